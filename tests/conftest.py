"""What tests share: settings for a file of their own, a clock, and a running service."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings

from inventory_api.app import open_service
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Database, DatabaseOptions
from tests.settable_clock import SettableClock
from tests.stock_factory import open_shop

# A shared machine is sometimes slow: a deadline per example would make that a failure.
hypothesis_settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("shared")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that is migrated and empty: copies of it save each test 20 ms."""
    path = tmp_path_factory.mktemp("migrated") / "inventory.db"

    async def migrate() -> None:
        async with Database(DatabaseOptions(url=f"sqlite+aiosqlite:///{path}")):
            pass

    asyncio.run(migrate())
    return path


@pytest.fixture
def database_url(tmp_path: Path, migrated: Path) -> str:
    path = tmp_path / "inventory.db"
    shutil.copyfile(migrated, path)
    path.chmod(0o600)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Deadlines that only a test about deadlines meets, however busy the machine is."""
    return Settings(
        database_url=database_url,
        housekeeping_interval_s=3600,
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
