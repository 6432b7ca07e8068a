"""The README's Python script runs as it stands, on the file that a demo has left."""

import subprocess
import sys
from pathlib import Path

from tests.docs.readme import python_example
from tests.server import ServerProcess


def test_the_script_checks_sells_and_lists(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.terminate()

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", python_example()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "'available': 50" in done.stdout
    assert "'on_hand': 48" in done.stdout
    assert "P005 main 120" in done.stdout
    assert "6 P001 order:1004" in done.stdout
