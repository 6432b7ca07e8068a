"""The database: one connection that writes, a few that read, and the schema they expect."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from inventory_api.domain.unavailable import StorageBusy
from inventory_api.store.connection import OneHopConnection
from inventory_api.store.faults import fault_of
from inventory_api.store.lock import AlreadyServed, ProcessLock
from inventory_api.store.schema import (
    SchemaOutdated,
    current_revision,
    expected_revision,
    is_known,
    upgrade,
)
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

Session = AsyncSession

# STRICT tables need 3.37 (2021).
SQLITE_VERSION_MIN = (3, 37)
# The page check reads the whole file: 64 MiB take half a second. Larger files rely on SQLite's
# own checks of what it reads.
QUICK_CHECK_BYTES_MAX = 64 << 20
# The write-ahead log is cut to this size when it is folded back.
WAL_BYTES_KEPT = 16 << 20


class DatabaseClosed(RuntimeError):
    """The database is used before it was entered or after it was left."""


class DatabaseDamaged(RuntimeError):
    """The file is not a sound database; it is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """What a database needs to know; meaning and units as in settings.py."""

    url: str
    migrate_at_start: bool = True
    reader_connections: int = 2
    busy_timeout_s: float = 2.0
    cache_kib: int = 16_384
    wal_checkpoint_pages: int = 4_000
    read_only: bool = False


class Database:
    """An async context manager: entering opens, checks and migrates; leaving disposes.

    `writer()` and `reader()` give sessions. There is one writing connection: only the committer
    asks for it. A reader's session is one short, consistent read.

    Raises:
        AlreadyServed: another process has the file.
        SchemaOutdated: the schema is not this program's and migrating is off.
        DatabaseDamaged: the file is not a sound database.
    """

    def __init__(self, options: DatabaseOptions) -> None:
        self.options = options
        self.path = _path(options.url)
        self._writer: AsyncEngine | None = None
        self._readers: AsyncEngine | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> "Database":
        async with AsyncExitStack() as exits:
            if self.options.read_only and not self.path.exists():
                raise FileNotFoundError(f"{self.path} does not exist.")
            if not self.options.read_only:
                exits.enter_context(ProcessLock(self.path))
                _create(self.path)
            _check_version()
            self._writer = self._engine(writes=True)
            exits.push_async_callback(self._writer.dispose)
            self._readers = self._engine(writes=False)
            exits.push_async_callback(self._readers.dispose)
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
        """Bring the schema up to this program's revision."""
        async with self._open(self._writer).begin() as connection:
            revision = await connection.run_sync(current_revision)
            if revision is not None and not is_known(revision):
                raise SchemaOutdated(found=revision)
            await connection.run_sync(upgrade)

    async def check_schema(self) -> None:
        """Raise `SchemaOutdated` unless the schema is this program's."""
        async with self.reader() as session:
            connection = await session.connection()
            revision = await connection.run_sync(current_revision)
        if revision != expected_revision():
            raise SchemaOutdated(found=revision)

    def checked_out(self) -> int:
        """How many connections are in use."""
        engines = (self._open(self._writer), self._open(self._readers))
        return sum(engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined]

    def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _open(self, engine: AsyncEngine | None) -> AsyncEngine:
        if engine is None:
            raise DatabaseClosed("The database is closed: use it inside `async with database:`.")
        return engine

    def _engine(self, *, writes: bool) -> AsyncEngine:
        connect = partial(_connect, self.path, self.options)
        set_up = partial(_set_up, options=self.options, writes=writes)

        async def connected() -> OneHopConnection:
            begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
            return await OneHopConnection(connect, set_up=set_up, begin=begin).open()

        return create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=connected,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if writes else self.options.reader_connections,
            max_overflow=0,
            pool_timeout=None,
        )

    async def _check(self) -> None:
        await self._check_pages()
        if self.options.migrate_at_start and not self.options.read_only:
            await self.migrate()
        await self.check_schema()

    async def _check_pages(self) -> None:
        if self.path.stat().st_size > QUICK_CHECK_BYTES_MAX:
            return
        try:
            async with self.reader() as session:
                verdict = await session.scalar(text("PRAGMA quick_check(1)"))
        except Exception as error:
            if fault_of(error) is StorageBusy:
                raise AlreadyServed(f"{self.path} is locked by another program.") from error
            raise DatabaseDamaged(f"{self.path} is not a sound SQLite database.") from error
        if verdict != "ok":
            raise DatabaseDamaged(f"{self.path} is damaged: {verdict}")


def _path(url: str) -> Path:
    parsed = make_url(url)
    if parsed.drivername not in {"sqlite+aiosqlite", "sqlite"}:
        raise ValueError(f"INVENTORY_DATABASE_URL: {parsed.drivername} is not supported yet.")
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("INVENTORY_DATABASE_URL must name a file: memory is not durable.")
    # Resolved, so that one file has one lock, by whatever name it is opened.
    return Path(parsed.database).resolve()


def _create(path: Path) -> None:
    """Make an empty file that only its owner can read; SQLite gives its companions the mode.

    This happens before any connection exists: closing a descriptor of a database file drops the
    locks that the process has on it.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _connect(path: Path, options: DatabaseOptions) -> sqlite3.Connection:
    return sqlite3.connect(
        path, isolation_level=None, timeout=options.busy_timeout_s, check_same_thread=False
    )


def _set_up(connection: sqlite3.Connection, *, options: DatabaseOptions, writes: bool) -> None:
    """Everything that SQLite forgets when a connection is closed."""
    pragmas = {
        "foreign_keys": "ON",
        "trusted_schema": "OFF",
        # Without it REPLACE deletes rows behind the triggers that forbid it.
        "recursive_triggers": "ON",
        "cache_size": -options.cache_kib,
        "temp_store": "MEMORY",
    }
    if writes and not options.read_only:
        pragmas |= {
            "journal_mode": "WAL",
            "synchronous": "FULL",
            "wal_autocheckpoint": options.wal_checkpoint_pages,
            "journal_size_limit": WAL_BYTES_KEPT,
        }
    else:
        # One connection writes and checkpoints: two would meet the WAL-reset defect.
        pragmas |= {"query_only": 1, "wal_autocheckpoint": 0}
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _check_version() -> None:
    version = sqlite3.sqlite_version_info
    if version < SQLITE_VERSION_MIN:
        raise RuntimeError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed.")
    is_mended = version >= (3, 51, 3) or (
        version[:2] in {(3, 50), (3, 44)} and version[2] >= (7 if version[1] == 50 else 6)
    )
    if not is_mended:
        logger.warning(
            "sqlite_wal_reset_defect",
            sqlite=sqlite3.sqlite_version,
            advice="This SQLite has the WAL-reset defect (mended in 3.51.3). The service avoids it "
            "by writing and checkpointing on one connection; let no other program write the file.",
        )
