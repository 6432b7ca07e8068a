"""Which error of the database is whose fault."""

import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from inventory_api.domain.unavailable import (
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
    Unavailable,
)
from inventory_api.store.database import Database, Session
from inventory_api.store.faults import fault_of
from inventory_api.store.options import DatabaseOptions
from tests.databases import write_locked

FILL = "INSERT INTO idempotency VALUES ('a', 'k', 1, x'', NULL, NULL, zeroblob(1000000))"


async def error_of(session: Session, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as raised:
        await session.execute(text(statement))
    return raised.value


async def test_a_foreign_lock_is_busy(database_url: str) -> None:
    impatient = DatabaseOptions(url=database_url, busy_timeout_s=0.01)
    async with Database(impatient) as database:
        with write_locked(database_url):
            async with database.writer() as session:
                error = await error_of(session, "UPDATE ledger_head SET seq = 1")

    assert fault_of(error) is StorageBusy


@pytest.mark.sqlite
async def test_no_more_pages_is_full(database: Database) -> None:
    async with database.writer() as session:
        await session.execute(text("PRAGMA max_page_count = 1"))
        error = await error_of(session, FILL)

    assert fault_of(error) is StorageFull


async def test_a_reader_that_writes_is_read_only(database: Database) -> None:
    async with database.reader() as session:
        error = await error_of(session, "UPDATE ledger_head SET seq = 1")

    assert fault_of(error) is StorageReadOnly


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFailed),
        (sqlite3.SQLITE_CORRUPT, StorageFailed),
        (sqlite3.SQLITE_NOTADB, StorageFailed),
        (sqlite3.SQLITE_CANTOPEN, StorageFailed),
        (sqlite3.SQLITE_NOMEM, StorageFailed),
        (sqlite3.SQLITE_PROTOCOL, StorageFailed),
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy),
        (sqlite3.SQLITE_LOCKED, StorageBusy),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StorageReadOnly),
        (sqlite3.SQLITE_PERM, StorageReadOnly),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, None),
        (sqlite3.SQLITE_ERROR, None),
        (sqlite3.SQLITE_MISMATCH, None),
    ],
)
def test_the_primary_code_decides(code: int, fault: type[Unavailable] | None) -> None:
    cause = sqlite3.OperationalError("some words")
    cause.sqlite_errorcode = code

    assert fault_of(DBAPIError("SELECT 1", None, cause)) is fault


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), sqlite3.OperationalError("x"), DBAPIError("x", None, ValueError("x"))],
    ids=["not_a_database_error", "without_sqlalchemy", "not_sqlite"],
)
def test_any_other_error_is_not_the_storage_s(error: Exception) -> None:
    assert fault_of(error) is None


async def test_a_broken_rule_is_not_the_storage_s(database: Database) -> None:
    async with database.writer() as session:
        error = await error_of(session, "INSERT INTO ledger_head VALUES (2, 0, 0)")

    assert fault_of(error) is None
