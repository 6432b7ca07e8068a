"""The database: sessions that write, sessions that read, and the schema they expect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from inventory_api.domain.types import Instant
from inventory_api.store.faults import fault_of
from inventory_api.store.options import DatabaseOptions
from inventory_api.store.postgres import Postgres
from inventory_api.store.schema import (
    SchemaOutdated,
    current_revision,
    expected_revision,
    has_ledger,
    is_known,
    upgrade,
)
from inventory_api.store.sqlite import SQLite
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

# For the goodbye of a server's connection, of which there are a few, before a supervisor's patience
# ends.
CLOSE_S = 0.5

Session = AsyncSession


class DatabaseClosed(RuntimeError):
    """The database is used before it was entered or after it was left."""


class Database:
    """An async context manager: entering opens, checks and migrates; leaving disposes.

    `writer()` and `reader()` give sessions. There is one writing connection: only the committer
    asks for it. A reader's session is one short, consistent read.

    Raises:
        AlreadyServed: another process has the file.
        SchemaOutdated: the schema is not this program's and migrating is off.
        DatabaseDamaged: the file is not a sound database.
        DatabaseUnsafe: the server would lose acknowledged changes, or is a replica.
    """

    def __init__(self, options: DatabaseOptions) -> None:
        self.options = options
        self._kind = _kind(options)
        self._writer: AsyncEngine | None = None
        self._readers: AsyncEngine | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> "Database":
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self._kind.claimed())
            self._writer = self._kind.engine(writes=True)
            exits.push_async_callback(self._close, self._writer)
            self._readers = self._kind.engine(writes=False)
            exits.push_async_callback(self._close, self._readers)
            try:
                await self._check()
            except Exception as error:
                if (fault := fault_of(error)) is None:
                    raise
                raise fault from error
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer = self._readers = None
        await self._exits.aclose()

    @property
    def is_shared(self) -> bool:
        """Whether other processes write too."""
        return self._kind.is_shared

    @property
    def path(self) -> Path:
        """The file of a database that is one."""
        assert isinstance(self._kind, SQLite), "it is no file"
        return self._kind.path

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[AsyncSession]:
        """The session on the one connection that writes; rolled back unless committed."""
        async with AsyncSession(self._open(self._writer), expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database, for as short as possible."""
        async with AsyncSession(self._open(self._readers), expire_on_commit=False) as session:
            yield session

    async def migrate(self) -> None:
        """Bring the schema up to this program's revision; one process at a time."""
        async with (
            self._kind.migrating(self._open(self._writer)) as engine,
            engine.begin() as connection,
        ):
            await connection.run_sync(self._kind.lock_migrations)
            revision = await connection.run_sync(current_revision)
            if revision is not None and not is_known(revision):
                raise SchemaOutdated(found=revision)
            await connection.run_sync(upgrade)

    async def check_schema(self) -> None:
        """Raise `SchemaOutdated` unless this program can work with the schema.

        A shared one may be ahead: the processes of the release before go on while the new ones are
        started (docs/scaling.md, "expand, migrate, contract").
        """
        async with self.reader() as session:
            connection = await session.connection()
            revision = await connection.run_sync(current_revision)
            is_ours = await connection.run_sync(has_ledger)
        is_ahead = self.is_shared and is_ours and revision is not None and not is_known(revision)
        if revision != expected_revision() and not is_ahead:
            raise SchemaOutdated(found=revision)

    async def now(self) -> Instant | None:
        """The server's time, which processes on several machines share; None of a file.

        It is as late as the answer took to come: by that, two processes differ.
        """
        async with self._open(self._readers).connect() as connection:
            return await self._kind.now(connection)

    def checked_out(self) -> int:
        """How many connections are in use."""
        engines = (self._open(self._writer), self._open(self._readers))
        return sum(engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined]

    def wal_bytes(self) -> int:
        """The size of a file's write-ahead log."""
        return self._kind.wal_bytes()

    async def _close(self, engine: AsyncEngine) -> None:
        """Close an engine's connections; a server that does not answer is not waited for."""
        for _ in range(self.options.reader_connections):
            try:
                async with asyncio.timeout(CLOSE_S if self.is_shared else None):
                    await engine.dispose()
            except TimeoutError:
                # That one is broken off; the others still have to be closed.
                logger.warning("connection_left", reason="the server does not answer")
            else:
                return
        await engine.dispose()

    def _open(self, engine: AsyncEngine | None) -> AsyncEngine:
        if engine is None:
            raise DatabaseClosed("The database is closed: use it inside `async with database:`.")
        return engine

    async def _check(self) -> None:
        await self._kind.check(self._open(self._readers))
        wanted = self.options.migrate_at_start
        migrates = self._kind.migrates_at_start if wanted is None else wanted
        if migrates and not self.options.read_only:
            await self.migrate()
        await self.check_schema()


def _kind(options: DatabaseOptions) -> SQLite | Postgres:
    url = make_url(options.url)
    if url.drivername in {"sqlite+aiosqlite", "sqlite"}:
        return SQLite(url, options)
    if url.drivername in {"postgresql+asyncpg", "postgresql"}:
        return Postgres(url, options)
    raise ValueError(f"INVENTORY_DATABASE_URL: {url.drivername} is not supported.")
