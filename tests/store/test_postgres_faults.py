"""Which error of PostgreSQL is whose fault: real errors of a real server."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.unavailable import (
    StorageBusy,
    StorageConflict,
    StorageFailed,
    StorageFull,
    StorageRace,
    StorageReadOnly,
    StorageUnreachable,
    Unavailable,
)
from inventory_api.store.database import Database
from inventory_api.store.faults import fault_of
from inventory_api.store.options import DatabaseOptions
from tests.databases import Template, other_connection, run_aside, url_as

pytestmark = pytest.mark.postgres
COUNT = "UPDATE ledger_head SET seq = seq + 1"
HEAD = "INSERT INTO ledger_head VALUES (1, 0, 0)"
ITEM = "INSERT INTO item VALUES ('{}', 'x', NULL, NULL, NULL, '{{}}', 'active', 1, 1, 1)"


@pytest.fixture
def database_url(migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied() as url:
        yield url


async def error_of(session: AsyncSession, statement: str) -> BaseException:
    with pytest.raises(DBAPIError) as raised:
        await session.execute(text(statement))
    return raised.value


async def test_a_lock_that_is_held_too_long_is_busy(database_url: str) -> None:
    impatient = DatabaseOptions(url=database_url, busy_timeout_s=0.01)
    async with Database(impatient) as database, database.writer() as session:
        with other_connection(database_url) as other:
            other("BEGIN")
            other(COUNT)
            error = await error_of(session, COUNT)

    assert fault_of(error) is StorageBusy


async def test_a_statement_that_takes_too_long_is_busy(database_url: str) -> None:
    impatient = DatabaseOptions(url=database_url, statement_timeout_s=0.3)
    async with Database(impatient) as database, database.writer() as session:
        error = await error_of(session, "SELECT pg_sleep(5)")

    assert fault_of(error) is StorageBusy


async def test_a_transaction_that_idles_too_long_loses_its_connection(database_url: str) -> None:
    impatient = DatabaseOptions(url=database_url, statement_timeout_s=0.3)
    async with Database(impatient) as database:
        async with database.writer() as session:
            await session.execute(text(COUNT))
            await asyncio.sleep(1)
            error = await error_of(session, COUNT)
        async with database.writer() as session:
            await session.execute(text(COUNT))

    assert fault_of(error) is StorageUnreachable


async def test_a_circle_of_waits_is_a_conflict_for_one_of_them(database: Database) -> None:
    update = "UPDATE item SET name = 'y' WHERE sku = '{}'"
    with other_connection(database.options.url) as other:
        other(ITEM.format("a"))
        other(ITEM.format("b"))
        other("SET deadlock_timeout = '1h'")
        other("BEGIN")
        other(update.format("a"))
        async with database.writer() as session:
            await session.execute(text(update.format("b")))
            circle = asyncio.to_thread(other, update.format("b"))
            closing = asyncio.create_task(circle)
            await asyncio.wait([closing], timeout=0.1)
            error = await error_of(session, update.format("a"))
        await closing

    assert fault_of(error) is StorageConflict


async def test_a_state_that_is_over_is_a_conflict(database: Database) -> None:
    async with database.writer() as session:
        _ = await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        await session.execute(text("SELECT 1 FROM ledger_head"))
        run_aside(database.options.url, COUNT)
        error = await error_of(session, COUNT)

    assert fault_of(error) is StorageConflict


async def test_a_key_that_exists_may_have_been_a_race(database: Database) -> None:
    async with database.writer() as session:
        error = await error_of(session, HEAD)

    assert fault_of(error) is StorageRace


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger_head VALUES (2, 0, 0)",
        "UPDATE ledger_head SET seq = NULL",
        "INSERT INTO allocation VALUES ('a', 'b', 'nobody', 1, 1, 1, 1, 0, 0, 0, 0)",
        "UPDATE ledger_head SET seq = 'many'",
        "UPDATE ledger_head SET seq = 99999999999999999999",
        "SELECT * FROM nowhere",
    ],
    ids=["check", "not_null", "reference", "type", "range", "table"],
)
async def test_a_broken_rule_is_not_the_storage_s(database: Database, statement: str) -> None:
    async with database.writer() as session:
        error = await error_of(session, statement)

    assert fault_of(error) is None


async def test_a_connection_that_the_operator_ended_is_gone_and_the_next_one_is_new(
    database: Database,
) -> None:
    async with database.writer() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        run_aside(database.options.url, f"SELECT pg_terminate_backend({pid}, 5000)")
        error = await error_of(session, COUNT)
    async with database.writer() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != pid

    assert fault_of(error) is StorageUnreachable


async def test_a_statement_that_the_operator_cancelled_is_busy(database: Database) -> None:
    async with database.writer() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        sleeping = asyncio.create_task(error_of(session, "SELECT pg_sleep(20)"))
        await asyncio.wait([sleeping], timeout=0.1)
        run_aside(database.options.url, f"SELECT pg_cancel_backend({pid})")

        assert fault_of(await sleeping) is StorageBusy


async def test_a_reader_that_writes_is_read_only(database: Database) -> None:
    async with database.reader() as session:
        error = await error_of(session, COUNT)

    assert fault_of(error) is StorageReadOnly


async def test_a_server_without_a_connection_to_spare_is_busy(database_url: str) -> None:
    name = make_url(database_url).database
    role = f"clerk_{name}"
    run_aside(
        database_url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'a secret'",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        f'ALTER DATABASE "{name}" CONNECTION LIMIT 0',
    )
    url = url_as(database_url, role, "a secret")

    with pytest.raises(StorageBusy):
        await Database(DatabaseOptions(url=url)).__aenter__()

    run_aside(
        database_url,
        f'ALTER DATABASE "{name}" CONNECTION LIMIT -1',
        f"DROP OWNED BY {role}",
        f"DROP ROLE {role}",
    )


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("53100", StorageFull),
        ("53200", StorageBusy),
        ("40001", StorageConflict),
        ("40P01", StorageConflict),
        ("57P01", StorageUnreachable),
        ("57P03", StorageUnreachable),
        ("08006", StorageUnreachable),
        ("25006", StorageReadOnly),
        ("42501", StorageReadOnly),
        ("58030", StorageFailed),
        ("XX001", StorageFailed),
        ("P0001", None),
    ],
)
async def test_the_code_that_the_server_sends_decides(
    database: Database, code: str, fault: type[Unavailable] | None
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'some words' USING ERRCODE = '{code}'; END $$"
    async with database.writer() as session:
        error = await error_of(session, raising)

    assert fault_of(error) is fault
