"""Opening, checking, using and closing the database."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.store.database import Database, DatabaseClosed
from inventory_api.store.options import DatabaseDamaged, DatabaseOptions
from inventory_api.store.schema import SchemaOutdated, expected_revision
from tests.log_records import events
from tests.other_program import exclusively_locked

READ_ONLY = "readonly|read-only"


async def pragma(session: AsyncSession, name: str) -> object:
    return await session.scalar(text(f"PRAGMA {name}"))


def modes_in(folder: Path) -> dict[str, int]:
    """The permissions of the files of a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def options(path: Path, *, migrate_at_start: bool = True) -> DatabaseOptions:
    return DatabaseOptions(url=f"sqlite+aiosqlite:///{path}", migrate_at_start=migrate_at_start)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("query_only", 0),
        ("wal_autocheckpoint", 4_000),
        ("journal_size_limit", 16 << 20),
        ("temp_store", 2),
        ("cache_size", -16_384),
        ("busy_timeout", 2_000),
        ("mmap_size", 0),
    ],
)
async def test_the_writer_is_durable_and_strict(
    database: Database, name: str, value: object
) -> None:
    async with database.writer() as session:
        assert await pragma(session, name) == value


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("query_only", 1),
        ("wal_autocheckpoint", 0),
        ("busy_timeout", 2_000),
        ("mmap_size", 0),
    ],
)
async def test_no_reader_can_write_or_checkpoint(
    database: Database, name: str, value: object
) -> None:
    async with database.reader() as first, database.reader() as second:
        assert await pragma(first, name) == value
        assert await pragma(second, name) == value


async def test_a_reader_that_tries_to_write_is_refused(database: Database) -> None:
    async with database.reader() as session:
        with pytest.raises(DBAPIError, match=READ_ONLY):
            await session.execute(text("UPDATE ledger_head SET seq = 1"))


async def test_a_reader_sees_one_state_however_long_it_takes(database: Database) -> None:
    async with database.reader() as reader, database.writer() as writer:
        assert await reader.scalar(text("SELECT seq FROM ledger_head")) == 0
        await writer.execute(text("UPDATE ledger_head SET seq = 1"))
        await writer.commit()
        assert await reader.scalar(text("SELECT seq FROM ledger_head")) == 0

    async with database.reader() as reader:
        assert await reader.scalar(text("SELECT seq FROM ledger_head")) == 1


async def test_what_the_writer_does_not_commit_never_happened(database: Database) -> None:
    async with database.writer() as session:
        await session.execute(text("UPDATE ledger_head SET seq = 1"))

    async with database.reader() as session:
        assert await session.scalar(text("SELECT seq FROM ledger_head")) == 0


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with (
        Database(options(tmp_path / "inventory.db")) as database,
        database.writer() as session,
    ):
        await session.execute(text("UPDATE ledger_head SET recorded_at = 1"))
        await session.commit()
        modes = modes_in(tmp_path)

    assert modes == {
        "inventory.db": 0o600,
        "inventory.db-wal": 0o600,
        "inventory.db-shm": 0o600,
        "inventory.db.lock": 0o600,
    }


async def test_the_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with Database(options(tmp_path / "open.db")):
            modes = modes_in(tmp_path)
    finally:
        os.umask(before)

    assert set(modes.values()) == {0o600}


async def test_a_database_that_was_not_entered_says_so(database_url: str) -> None:
    database = Database(DatabaseOptions(url=database_url))

    with pytest.raises(DatabaseClosed, match="async with"):
        async with database.reader():
            pass


async def test_a_database_that_was_left_says_so(database_url: str) -> None:
    async with Database(DatabaseOptions(url=database_url)) as database:
        pass

    with pytest.raises(DatabaseClosed):
        async with database.writer():
            pass
    with pytest.raises(DatabaseClosed):
        database.checked_out()


async def test_a_database_can_be_entered_again(database_url: str) -> None:
    database = Database(DatabaseOptions(url=database_url))
    async with database:
        pass

    async with database:
        await database.check_schema()


@pytest.mark.sqlite
async def test_leaving_folds_the_log_back_into_the_file(database_url: str, tmp_path: Path) -> None:
    async with Database(DatabaseOptions(url=database_url)):
        pass

    assert not (tmp_path / "inventory.db-wal").exists()


async def test_connections_in_use_are_counted(database: Database) -> None:
    assert database.checked_out() == 0
    async with database.reader() as reader, database.writer() as writer:
        await reader.execute(text("SELECT 1"))
        await writer.execute(text("SELECT 1"))

        assert database.checked_out() == 2
    assert database.checked_out() == 0


@pytest.mark.sqlite
async def test_the_size_of_the_log_is_known(database: Database, tmp_path: Path) -> None:
    assert database.wal_bytes() == 0
    async with database.writer() as session:
        await session.execute(text("UPDATE ledger_head SET recorded_at = 1"))
        await session.commit()

    size = (tmp_path / "inventory.db-wal").stat().st_size

    assert database.wal_bytes() == size > 0


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite://"],
    ids=["no_file", "memory", "no_driver"],
)
def test_memory_is_refused_because_it_forgets(url: str) -> None:
    with pytest.raises(ValueError, match="must name a file"):
        Database(DatabaseOptions(url=url))


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mysql"):
        Database(DatabaseOptions(url="mysql://shop@localhost/stock"))


@pytest.mark.parametrize("size", [100, 4096, 20_000], ids=["short", "a_page", "some_pages"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "inventory.db"
    path.write_bytes(b"not a database. " * (size // 16))
    before = path.read_bytes()

    with pytest.raises(DatabaseDamaged, match="not a sound SQLite database"):
        await Database(options(path)).__aenter__()

    assert path.read_bytes() == before
    assert set(modes_in(tmp_path)) == {"inventory.db", "inventory.db.lock"}


async def test_a_file_with_a_broken_page_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    async with Database(options(path)):
        pass
    whole = path.read_bytes()
    broken = whole[:4096] + b"\xff" * 4096 + whole[8192:]
    path.write_bytes(broken)

    with pytest.raises(DatabaseDamaged):
        await Database(options(path)).__aenter__()

    assert path.read_bytes() == broken


async def test_a_file_that_was_cut_short_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    async with Database(options(path)):
        pass
    short = path.read_bytes()[: 4096 * 3]
    path.write_bytes(short)

    with pytest.raises(DatabaseDamaged):
        await Database(options(path)).__aenter__()

    assert path.read_bytes() == short


async def test_a_refused_file_is_free_for_the_next_try(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    path.write_bytes(b"not a database. " * 64)
    with pytest.raises(DatabaseDamaged):
        await Database(options(path)).__aenter__()
    path.unlink()

    async with Database(options(path)) as database:
        await database.check_schema()


async def test_a_file_that_another_program_keeps_locked_is_not_called_damaged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inventory.db"
    async with Database(options(path)):
        pass
    impatient = DatabaseOptions(url=options(path).url, busy_timeout_s=0.05)

    with exclusively_locked(path), pytest.raises(Exception, match="locked") as raised:
        await Database(impatient).__aenter__()

    assert not isinstance(raised.value, DatabaseDamaged)


async def test_an_empty_database_is_refused_where_migrating_is_off(tmp_path: Path) -> None:
    with pytest.raises(SchemaOutdated, match="revision none"):
        await Database(options(tmp_path / "new.db", migrate_at_start=False)).__aenter__()


def revise(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize("migrate_at_start", [True, False], ids=["migrating", "not_migrating"])
async def test_a_schema_of_the_future_is_refused_and_left_as_it_is(
    tmp_path: Path, migrate_at_start: bool
) -> None:
    path = tmp_path / "inventory.db"
    async with Database(options(path)):
        pass
    revise(path, "9999")

    with pytest.raises(SchemaOutdated, match="9999"):
        await Database(options(path, migrate_at_start=migrate_at_start)).__aenter__()

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


async def test_a_schema_of_the_past_is_refused_where_migrating_is_off(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    async with Database(options(path)):
        pass
    revise(path, "0000")

    with pytest.raises(SchemaOutdated, match=f"0000.*{expected_revision()}.*inventory-api migrate"):
        await Database(options(path, migrate_at_start=False)).__aenter__()


async def test_a_read_only_database_reads_and_changes_nothing(database: Database) -> None:
    read_only = DatabaseOptions(url=database.options.url, read_only=True)

    async with Database(read_only) as second:
        async with second.reader() as session:
            assert await session.scalar(text("SELECT seq FROM ledger_head")) == 0
        async with second.writer() as session:
            with pytest.raises(DBAPIError, match=READ_ONLY):
                await session.execute(text("UPDATE ledger_head SET seq = 1"))


async def test_a_read_only_database_makes_no_file(tmp_path: Path) -> None:
    missing = DatabaseOptions(url=f"sqlite+aiosqlite:///{tmp_path / 'none.db'}", read_only=True)

    with pytest.raises(FileNotFoundError):
        await Database(missing).__aenter__()

    assert modes_in(tmp_path) == {}


async def test_an_old_sqlite_is_warned_of_once_at_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_mended = sqlite3.sqlite_version_info >= (3, 51, 3) or sqlite3.sqlite_version_info in {
        (3, 50, 7),
        (3, 44, 6),
    }

    async with Database(options(tmp_path / "inventory.db")):
        pass

    warned = [one["event"] for one in events(caplog, "warning")]
    assert warned == ([] if is_mended else ["sqlite_wal_reset_defect"])


async def test_an_error_does_not_quote_what_was_to_be_written(database: Database) -> None:
    """Errors go to the log, and among the values are secrets."""
    async with database.writer() as session:
        with pytest.raises(DBAPIError) as failed:
            await session.execute(
                text("INSERT INTO item (sku, name) VALUES (:sku, :name)"),
                {"sku": "P001", "name": "a secret"},
            )

    assert "a secret" not in str(failed.value).partition("\n")[0]
    assert "hide" in str(failed.value)
