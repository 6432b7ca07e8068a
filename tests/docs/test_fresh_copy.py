"""A stranger's first minutes: a copy without `.venv`, `make run`, and the tour."""

import http.client
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docs.readme import tour
from tests.docs.test_readme_tour import check
from tests.server import HOST, STOP_DEADLINE_S, free_port, wait_until

ROOT = Path(__file__).parents[2]
INSTALL_DEADLINE_S = 400.0
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", "__pycache__", "*.db*", ".hypoth*"
)


def is_ready(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, f"make ended with {process.returncode}"
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_DEADLINE_S + 100)
def test_make_run_in_a_fresh_copy_serves_the_tour(tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=LEFT_BEHIND)
    port = free_port()
    address = f"http://{HOST}:{port}"
    with (tmp_path / "make.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=copy,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if "INVENTORY_" not in name},
        )
        try:
            wait_until(lambda: is_ready(port, process), INSTALL_DEADLINE_S, "make run serves")
            for step in tour():
                check(step, address)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_DEADLINE_S)
