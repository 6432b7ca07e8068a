"""Generated requests over the whole schema, good and bad, against the real process."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server import ServerProcess

KEY = "inv_fuzz_0123456789abcdefghijklmn"
EXAMPLES, EXAMPLES_SLOW = 3, 200
SECONDS_SLOW = 600
# What a schema can not say is refused all the same: letters that nobody sees, names with a slash,
# a key used twice. And `Allow` names what a SKU spelled like a path ("adjust") can be asked for.
NOT_CHECKED = "positive_data_acceptance,allow_header_conformance"
# Schemathesis waits for an answer's end, which this one does not have; tests/web/test_stream.py.
ENDLESS = "follow_the_movements"


def fuzz(database_url: str, folder: Path, *arguments: str) -> str:
    """Run schemathesis against a fresh demo that a key opens; its report if it found something."""
    environment = {
        "INVENTORY_ADMIN_KEY": KEY,
        "INVENTORY_FAILED_AUTH_PER_MINUTE": "1000000",
        # It makes longer addresses than are allowed, and the operations do not document 414.
        "INVENTORY_URL_BYTES_MAX": "60000",
    }
    with ServerProcess(folder, database_url=database_url, environment=environment) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
        options = ["-H", f"X-API-Key: {KEY}", "--exclude-checks", NOT_CHECKED, "--warnings", "off"]
        options += ["--exclude-operation-id", ENDLESS]
        ended = subprocess.run(
            [*command, *options, *arguments],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.hostile.media_types", **paths()},
            capture_output=True,
            text=True,
            check=False,
        )
        verified = httpx.get(f"{server.url}/v1/verify", headers={"X-API-Key": KEY}, timeout=60)
        assert '"findings":0' in verified.text
        assert "unhandled exception" not in server.log_text()
    return "" if ended.returncode == 0 else ended.stdout[-8_000:] + ended.stderr


def paths() -> dict[str, str]:
    """Where the hooks are found, though the run is in another folder."""
    return {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_no_generated_request_finds_an_undocumented_answer(
    database_url: str, tmp_path: Path
) -> None:
    assert fuzz(database_url, tmp_path, "--seed", "1", "-n", str(EXAMPLES)) == ""


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS_SLOW)
def test_no_request_of_a_long_generation_finds_an_undocumented_answer(
    database_url: str, tmp_path: Path
) -> None:
    """Its seed is random, and stands in the report."""
    assert (
        fuzz(database_url, tmp_path, "-n", str(EXAMPLES_SLOW), "--max-time", str(SECONDS_SLOW))
        == ""
    )
