"""What tests share: settings for a file of their own, a clock, and a running service."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings as hypothesis_settings

from inventory_api.app import open_service
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.databases import Files, Server, Store, Template
from tests.postgres import Databases, serving
from tests.settable_clock import SettableClock
from tests.stock_factory import open_shop

# A shared machine is sometimes slow: a deadline per example would make that a failure.
hypothesis_settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("shared")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: batteries wait for their servers half of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about the file itself runs on SQLite only."""
    beside = [
        item
        for item in items
        if item.get_closest_marker("sqlite") and item.get_closest_marker("postgres")
    ]
    config.hook.pytest_deselected(items=beside)
    items[:] = [item for item in items if item not in beside]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how many tests ran on each kind of database, in all processes together."""
    reports = [one for name in ("passed", "failed") for one in terminalreporter.getreports(name)]
    ran = [one for one in reports if one.when == "call"]
    on_postgres = sum("postgres" in one.keywords for one in ran)
    on_sqlite = sum("postgres" not in one.keywords and _names_sqlite(one) for one in ran)
    if not ran:
        return
    rest = len(ran) - on_postgres - on_sqlite
    terminalreporter.write_line(
        f"Ran on SQLite: {on_sqlite}, on PostgreSQL: {on_postgres}, on no database: {rest}"
    )


def _names_sqlite(report: pytest.TestReport) -> bool:
    """Marked so, or given a file by the fixture `store`."""
    return "sqlite" in report.keywords or "[sqlite" in report.nodeid


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def store(request: pytest.FixtureRequest) -> Store:
    """The kind of database: every test that needs one runs on each."""
    if request.param == "sqlite":
        return Files()
    databases: Databases = request.getfixturevalue("postgres")
    return Server(databases)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A server for the tests of this process; started when the first one asks."""
    with serving() as databases:
        yield databases


@pytest.fixture(scope="session")
def migrated(store: Store) -> Iterator[Template]:
    """A database that is migrated and empty: copies of it save each test its migrations."""
    with migrated_in(store) as template:
        yield template


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Databases) -> Iterator[Template]:
    """The same for tests that are about PostgreSQL."""
    with migrated_in(Server(postgres)) as template:
        yield template


@contextmanager
def migrated_in(store: Store) -> Iterator[Template]:
    """A database whose schema is this program's."""
    with store.fresh() as url:

        async def migrate() -> None:
            async with Database(DatabaseOptions(url=url, migrate_at_start=True)):
                pass

        asyncio.run(migrate())
        yield Template(store, url)


@pytest.fixture
def database_url(tmp_path: Path, migrated: Template) -> Iterator[str]:
    with migrated.copied(tmp_path) as url:
        yield url


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Deadlines that only a test about deadlines meets, however busy the machine is."""
    return Settings(
        database_url=database_url,
        housekeeping_interval_s=3600,
        expiry_sweep_s=3600,
        supplier_poll_s=3600,
        change_deadline_s=60,
        check_deadline_s=60,
    )


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database: the schema, and the ledger's head."""
    async with Database(DatabaseOptions(url=database_url)) as database:
        yield database


@pytest.fixture
async def service(settings: Settings, clock: SettableClock) -> AsyncIterator[Service]:
    """A running service with locations main and store-1 and items P001 to P005, without stock."""
    async with open_service(settings, now=clock) as service:
        await open_shop(service)
        yield service
