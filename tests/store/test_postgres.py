"""PostgreSQL: what its sessions are set to, what is refused, and how it is migrated."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from inventory_api.domain.unavailable import StorageBusy, StorageUnreachable
from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions, DatabaseUnsafe
from inventory_api.store.postgres import MIGRATION_LOCK
from inventory_api.store.schema import (
    SchemaOutdated,
    configuration,
    current_revision,
    expected_revision,
)
from inventory_api.store.tls import context_of
from tests.databases import Template, other_connection, run_aside, url_as
from tests.ledger_oracle import one_value
from tests.postgres import Databases

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(migrated_postgres: Template) -> Iterator[str]:
    with migrated_postgres.copied() as url:
        yield url


@pytest.fixture
def empty_url(postgres: Databases) -> Iterator[str]:
    """A database without a schema."""
    with postgres.lent() as url:
        yield url


async def open_and_close(url: str, **options: object) -> None:
    async with Database(DatabaseOptions(url=url, **options)):  # type: ignore[arg-type]
        pass


COMMON = {
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "application_name": "inventory-api",
    "synchronous_commit": "on",
}
WRITER = COMMON | {"transaction_isolation": "read committed", "transaction_read_only": "off"}
READER = COMMON | {"transaction_isolation": "repeatable read", "transaction_read_only": "on"}


@pytest.mark.parametrize("name", WRITER)
async def test_the_writer_waits_for_rows_and_not_for_ever(database: Database, name: str) -> None:
    async with database.writer() as session:
        assert await session.scalar(text(f"SHOW {name}")) == WRITER[name]


@pytest.mark.parametrize("name", READER)
async def test_no_reader_can_write_and_each_sees_one_state(database: Database, name: str) -> None:
    async with database.reader() as session:
        assert await session.scalar(text(f"SHOW {name}")) == READER[name]


async def test_the_timeouts_are_those_of_the_settings(database_url: str) -> None:
    options = DatabaseOptions(url=database_url, busy_timeout_s=0.5, statement_timeout_s=1.5)
    async with Database(options) as database, database.writer() as session:
        assert await session.scalar(text("SHOW lock_timeout")) == "500ms"
        assert await session.scalar(text("SHOW statement_timeout")) == "1500ms"


async def test_a_writer_reads_a_row_that_it_waited_for_as_it_has_become(database: Database) -> None:
    with other_connection(database.options.url) as other:
        other("BEGIN")
        other("UPDATE ledger_head SET seq = seq + 1")
        async with database.writer() as session:
            counted = text("UPDATE ledger_head SET seq = seq + 1 RETURNING seq")
            waiting = asyncio.create_task(session.execute(counted))
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            other("COMMIT")

            assert not done
            assert (await waiting).scalar_one() == 2


@pytest.mark.parametrize("name", ["postgresql", "postgresql+asyncpg"])
async def test_the_short_name_of_the_driver_will_do(database_url: str, name: str) -> None:
    url = make_url(database_url).set(drivername=name)

    await open_and_close(url.render_as_string(hide_password=False))


def set_for_all(url: str, setting: str) -> None:
    run_aside(url, f'ALTER DATABASE "{make_url(url).database}" SET {setting}')


async def test_a_server_that_acknowledges_before_its_disk_is_refused(database_url: str) -> None:
    set_for_all(database_url, "synchronous_commit = off")

    with pytest.raises(DatabaseUnsafe, match=r"synchronous_commit is off.*UNSAFE_ALLOWED"):
        await open_and_close(database_url)

    await open_and_close(database_url, unsafe_allowed=True)
    await open_and_close(database_url, read_only=True)


@pytest.mark.parametrize("setting", ["local", "remote_write", "remote_apply"])
async def test_any_other_way_to_wait_for_the_disk_will_do(database_url: str, setting: str) -> None:
    set_for_all(database_url, f"synchronous_commit = {setting}")

    await open_and_close(database_url)


async def test_a_database_of_another_encoding_is_refused(postgres: Databases) -> None:
    odd = " TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    with postgres.lent(making=odd) as url, pytest.raises(DatabaseUnsafe, match="must be UTF8"):
        await open_and_close(url, migrate_at_start=True)


async def test_a_database_that_does_not_exist_is_said_to_be_missing(empty_url: str) -> None:
    missing = make_url(empty_url).set(database="nowhere").render_as_string(hide_password=False)

    with pytest.raises(StorageUnreachable) as raised:
        await open_and_close(missing)

    assert '"nowhere" does not exist' in str(raised.value.__cause__)


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnreachable):
        await open_and_close(f"postgresql://shop@/stock?host={tmp_path}", connect_timeout_s=1)


async def test_an_empty_database_is_not_migrated_by_a_start(empty_url: str) -> None:
    with pytest.raises(SchemaOutdated, match=r"revision none.*run `inventory-api migrate`"):
        await open_and_close(empty_url)

    assert run_aside(empty_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [
        (0,)
    ]


def migrate(url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "inventory_api", "migrate"],
        env={**os.environ, "INVENTORY_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_migrates_and_does_nothing_more_the_second_time(empty_url: str) -> None:
    first = await asyncio.to_thread(migrate, empty_url)
    tables = run_aside(empty_url, "SELECT oid FROM pg_class ORDER BY oid")
    second = await asyncio.to_thread(migrate, empty_url)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert run_aside(empty_url, "SELECT oid FROM pg_class ORDER BY oid") == tables
    async with Database(DatabaseOptions(url=empty_url)) as database:
        revision = await one_value(database, "SELECT version_num FROM alembic_version")
    assert revision == expected_revision()


async def test_of_many_that_migrate_at_once_one_does_it_and_all_go_on(empty_url: str) -> None:
    await asyncio.gather(*(open_and_close(empty_url, migrate_at_start=True) for _ in range(6)))

    assert run_aside(empty_url, "SELECT version_num FROM alembic_version") == [
        (expected_revision(),)
    ]
    assert run_aside(empty_url, "SELECT count(*) FROM ledger_head") == [(1,)]


async def test_another_migrator_is_waited_for_so_long_and_no_longer(empty_url: str) -> None:
    with other_connection(empty_url) as other:
        other(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")

        with pytest.raises(StorageBusy):
            await open_and_close(empty_url, migrate_at_start=True, migration_lock_s=0.1)

        waiting = asyncio.create_task(open_and_close(empty_url, migrate_at_start=True))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        other(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})")

    assert not done
    await waiting


async def migrate_to(url: str, revision: str) -> str | None:
    """Migrate part of the way; the revision that was reached."""

    def work(connection: Connection) -> str | None:
        command.upgrade(configuration(connection), revision)
        return current_revision(connection)

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        reached = await connection.run_sync(work)
    await engine.dispose()
    return reached


async def test_a_table_in_use_is_waited_for_shortly_and_then_nothing_is_migrated(
    empty_url: str,
) -> None:
    assert await migrate_to(empty_url, "0001") == "0001"
    with other_connection(empty_url) as other:
        other("BEGIN")
        other("SELECT * FROM level")

        with pytest.raises(StorageBusy):
            await open_and_close(empty_url, migrate_at_start=True, busy_timeout_s=0.1)

        other("ROLLBACK")
        assert other("SELECT version_num FROM alembic_version") == [("0001",)]
        assert other("SELECT to_regclass('reservation')") == [(None,)]
    await open_and_close(empty_url, migrate_at_start=True)


async def test_an_older_schema_is_refused_until_it_is_migrated(empty_url: str) -> None:
    await migrate_to(empty_url, "0001")

    with pytest.raises(SchemaOutdated, match=f"0001.*{expected_revision()}.*inventory-api migrate"):
        await open_and_close(empty_url)

    await open_and_close(empty_url, migrate_at_start=True)
    await open_and_close(empty_url)


async def test_a_schema_of_the_future_is_not_migrated_and_left_as_it_is(database_url: str) -> None:
    run_aside(database_url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaOutdated, match="9999"):
        await open_and_close(database_url, migrate_at_start=True)

    assert run_aside(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


async def test_a_start_that_fails_leaves_no_connection_behind(empty_url: str) -> None:
    with pytest.raises(SchemaOutdated):
        await open_and_close(empty_url)

    others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'inventory-api'"
    assert run_aside(empty_url, f"{others} AND datname = current_database()") == [(0,)]


async def test_a_process_has_no_more_connections_than_the_settings_say(database_url: str) -> None:
    async with Database(DatabaseOptions(url=database_url, reader_connections=3)) as database:

        async def read() -> None:
            async with database.reader() as session:
                await session.execute(text("SELECT pg_sleep(0.01)"))

        async def write() -> None:
            async with database.writer() as session:
                await session.execute(text("UPDATE ledger_head SET seq = seq"))

        await asyncio.gather(*(read() for _ in range(20)), *(write() for _ in range(20)))
        open_now = await one_value(
            database,
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'inventory-api'",
        )

    assert open_now == 4


def test_an_authority_that_nobody_would_ask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs INVENTORY_DATABASE_TLS=verify-full"):
        context_of("require", tmp_path / "ca.pem")


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")

    with pytest.raises(OSError, match=r"certificate|PEM"):
        context_of("verify-full", tmp_path / "ca.pem")


async def test_a_password_file_that_is_missing_is_named(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="secret"):
        await open_and_close(database_url, password_file=tmp_path / "secret")


async def test_a_reader_of_a_read_only_database_needs_no_right_to_write(
    database_url: str,
) -> None:
    role = f"auditor_{make_url(database_url).database}"
    run_aside(
        database_url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'a secret'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    url = url_as(database_url, role, "a secret")

    async with Database(DatabaseOptions(url=url, read_only=True)) as database:
        assert await one_value(database, "SELECT seq FROM ledger_head") == 0
        async with database.writer() as session:
            with pytest.raises(DBAPIError, match="read-only"):
                await session.execute(text("UPDATE ledger_head SET seq = 1"))
    run_aside(database_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_a_foreign_database_is_not_taken_for_one_of_a_later_release(empty_url: str) -> None:
    run_aside(
        empty_url,
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES ('abc123')",
    )

    with pytest.raises(SchemaOutdated, match=r"abc123.*a later release's, or another program's"):
        await open_and_close(empty_url)


async def test_the_settings_of_other_drivers_are_refused_with_ours(database_url: str) -> None:
    with pytest.raises(ValueError, match="INVENTORY_DATABASE_TLS instead of sslmode"):
        await open_and_close(f"{database_url.partition('?')[0]}?sslmode=require")


async def test_a_table_that_is_in_the_way_of_a_migration_is_told_in_one_line(
    empty_url: str,
) -> None:
    run_aside(empty_url, "CREATE TABLE item (of_somebody text)")

    failed = await asyncio.to_thread(migrate, empty_url)

    assert failed.returncode == 1
    assert 'relation "item" already exists' in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
