"""Real processes, and what the batteries measured at the end of the run."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from tests.battery.fleet import Fleet
from tests.databases import Template
from tests.server import ServerProcess

DESCRIPTORS = 8_192


@pytest.fixture(scope="session")
def demo(migrated: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """The database of a demo that was started once and stopped: a log is folded into its file."""
    folder = tmp_path_factory.mktemp("demo")
    with migrated.copied(folder) as url, ServerProcess(folder, database_url=url) as server:
        assert server.terminate().code == 0
        yield Template(migrated.store, url)


@pytest.fixture
def stopped(demo: Template, tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo that was started and stopped before, for a start with other settings or a wrapper."""
    with demo.copied(tmp_path) as url:
        server = ServerProcess(tmp_path, database_url=url)
        yield server
        if server.is_running:
            server.kill()


@pytest.fixture
def server(stopped: ServerProcess) -> ServerProcess:
    """A running demo."""
    stopped.start()
    return stopped


@pytest.fixture
def stopped_fleet(demo: Template, tmp_path: Path) -> Iterator[Fleet]:
    """All processes of a demo, before their start."""
    with demo.copied(tmp_path) as url:
        fleet = Fleet(tmp_path, url)
        yield fleet
        fleet.kill()


@pytest.fixture
def fleet(stopped_fleet: Fleet) -> Fleet:
    """A running demo: one process on a file, two on PostgreSQL."""
    stopped_fleet.start()
    return stopped_fleet


@pytest.fixture(scope="session", autouse=True)
def _descriptors() -> None:
    """A thousand connections are a thousand open files, here and in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print what the batteries recorded: a number that is only asserted is never looked at."""
    for report in terminalreporter.stats.get("passed", []):
        told = ", ".join(f"{name} = {value}" for name, value in report.user_properties)
        if told:
            terminalreporter.write_line(f"{report.nodeid.rpartition('/')[2]}: {told}")
