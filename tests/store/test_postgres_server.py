"""A PostgreSQL that is stopped, that has a replica, and that asks for a password."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from inventory_api.app import create_app, open_service
from inventory_api.domain.unavailable import StorageReadOnly, StorageUnreachable
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.faults import fault_of
from inventory_api.store.options import DatabaseOptions, DatabaseUnsafe
from tests.databases import run_aside
from tests.ledger_oracle import one_value
from tests.polling import until_told
from tests.postgres import PostgresServer
from tests.server import free_port

pytestmark = pytest.mark.postgres
HOST = "127.0.0.1"
REPLICATED = {"wal_level": "replica", "max_wal_senders": "4"}
COUNT = "UPDATE ledger_head SET seq = seq + 1"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of these tests' own, with a migrated database: they stop it."""
    settings = REPLICATED | {"listen_addresses": f"'{HOST}'", "port": str(free_port())}
    with ExitStack() as exits:
        server = PostgresServer(settings=settings)
        exits.callback(server.remove)

        async def migrate() -> None:
            async with Database(DatabaseOptions(url=rendered(server.url), migrate_at_start=True)):
                pass

        asyncio.run(migrate())
        run_aside(rendered(server.url), "CREATE ROLE shop LOGIN PASSWORD 'a secret'")
        run_aside(rendered(server.url), "GRANT ALL ON ALL TABLES IN SCHEMA public TO shop")
        yield server


def rendered(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def test_a_server_that_was_stopped_is_unreachable_until_it_is_back(
    server: PostgresServer,
) -> None:
    async with Database(DatabaseOptions(url=rendered(server.url))) as database:
        before = await one_value(database, "SELECT seq FROM ledger_head")
        await asyncio.to_thread(server.stop)
        try:
            errors = [await error_of(database) for _ in range(3)]
        finally:
            await asyncio.to_thread(server.start)

        async with database.writer() as session:
            await session.execute(text(COUNT))
            await session.commit()
        # The reader's connection was open before, and is replaced before it is used.
        assert await one_value(database, "SELECT seq FROM ledger_head") == before + 1
    assert [fault_of(error) for error in errors] == [StorageUnreachable] * 3


async def error_of(database: Database) -> Exception:
    """What becomes of a change."""
    try:
        async with database.writer() as session:
            await session.execute(text(COUNT))
    except Exception as error:  # noqa: BLE001 - which one it is, is looked at
        return error
    raise AssertionError("it was done")


async def test_a_replica_is_refused_and_may_be_read(server: PostgresServer) -> None:
    port = free_port()
    replica = await asyncio.to_thread(
        PostgresServer,
        source=server.url,
        settings=REPLICATED | {"listen_addresses": f"'{HOST}'", "port": str(port)},
    )
    try:
        url = rendered(replica.url)
        for address in (url, rendered(replica.url.set(host=HOST, port=port, query={}))):
            with pytest.raises(DatabaseUnsafe, match="is a replica"):
                await Database(DatabaseOptions(url=address)).__aenter__()

        hosts = (f"{HOST}:{port}", f"{HOST}:{server.url.query['port']}")
        either = rendered(server.url.set(query={"host": hosts}))
        async with Database(DatabaseOptions(url=either)) as database:
            assert await one_value(database, "SELECT pg_is_in_recovery()") is False

        run_aside(rendered(server.url), "UPDATE ledger_head SET recorded_at = 77")
        async with Database(DatabaseOptions(url=url, read_only=True)) as database:

            async def has_followed() -> bool:
                seen = await one_value(database, "SELECT recorded_at FROM ledger_head")
                return bool(seen == 77)

            await until_told(has_followed)
        async with Database(DatabaseOptions(url=url, unsafe_allowed=True)) as database:
            assert fault_of(await error_of(database)) is StorageReadOnly
    finally:
        await asyncio.to_thread(replica.remove)


async def test_a_process_whose_server_is_down_says_so_when_asked_whether_it_is_ready(
    server: PostgresServer,
) -> None:
    async with open_service(Settings(database_url=rendered(server.url))) as service:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            await asyncio.to_thread(server.stop)
            try:
                answer = await http.get("/readyz")
            finally:
                await asyncio.to_thread(server.start)

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unreachable")
    assert answer.json()["checks"]["reads"] is False


@pytest.fixture
def guarded(server: PostgresServer) -> Iterator[URL]:
    """The address of a user who needs a password, without it."""
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all shop scram-sha-256\nhost all shop all scram-sha-256\n" + before)
    server.reload()
    yield server.url.set(username="shop")
    rules.write_text(before)
    server.reload()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "line", "windows_line"])
async def test_the_password_is_read_from_its_file(guarded: URL, tmp_path: Path, end: str) -> None:
    (tmp_path / "password").write_bytes(f"a secret{end}".encode())
    options = DatabaseOptions(url=rendered(guarded), password_file=tmp_path / "password")

    async with Database(options) as database:
        assert await one_value(database, "SELECT current_user") == "shop"


async def test_a_password_that_is_changed_counts_from_the_next_connection_on(
    server: PostgresServer, guarded: URL, tmp_path: Path
) -> None:
    admin, secret = rendered(server.url), tmp_path / "password"
    secret.write_text("a secret")
    async with Database(DatabaseOptions(url=rendered(guarded), password_file=secret)) as database:
        run_aside(admin, "ALTER ROLE shop PASSWORD 'a new one'")
        secret.write_text("a new one")
        run_aside(
            admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'"
        )

        with suppress(DBAPIError):
            # Its connection has gone; the next one is a new one.
            await one_value(database, "SELECT current_user")
        assert await one_value(database, "SELECT current_user") == "shop"
    run_aside(admin, "ALTER ROLE shop PASSWORD 'a secret'")


async def test_the_password_file_counts_more_than_the_address(guarded: URL, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a secret")
    url = rendered(guarded.set(password="an old one"))

    async with Database(DatabaseOptions(url=url, password_file=tmp_path / "password")) as database:
        assert await one_value(database, "SELECT current_user") == "shop"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password": "a guess"}, 'password authentication failed for user "shop"'),
        ({"username": "nobody"}, 'role "nobody" does not exist'),
        ({"username": "postgres", "database": "none"}, 'database "none" does not exist'),
        ({"query": {"host": "/nowhere"}}, "No such file or directory"),
    ],
    ids=["password", "user", "database", "server"],
)
async def test_a_start_without_a_database_says_in_one_line_why(
    guarded: URL, change: dict[str, str], told: str
) -> None:
    url = rendered(guarded.set(**change))  # type: ignore[arg-type]  # each of its own type

    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "inventory_api", "serve", "--port", "0"],
        env={**os.environ, "INVENTORY_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "a guess" not in ended.stderr


def over_tcp(server: PostgresServer) -> str:
    port = int(server.url.query["port"])  # type: ignore[arg-type]  # it is one word
    return rendered(server.url.set(host=HOST, port=port, query={}))


@pytest.mark.parametrize("tls", ["disable", "prefer"])
async def test_a_server_without_tls_will_do_unless_it_is_asked_for(
    server: PostgresServer, tls: str
) -> None:
    options = DatabaseOptions(url=over_tcp(server), tls=tls)  # type: ignore[arg-type]  # it is one

    async with Database(options) as database:
        assert (
            await one_value(database, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            is False
        )


@pytest.mark.parametrize("tls", ["require", "verify-full"])
async def test_a_server_without_tls_is_refused_where_it_is_asked_for(
    server: PostgresServer, tls: str
) -> None:
    options = DatabaseOptions(url=over_tcp(server), tls=tls)  # type: ignore[arg-type]  # it is one

    with pytest.raises(StorageUnreachable) as raised:
        await Database(options).__aenter__()

    assert "rejected SSL upgrade" in str(raised.value.__cause__)
