"""SQLite: one file, one process, one connection that writes."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import StorageBusy
from inventory_api.store.connection import OneHopConnection
from inventory_api.store.faults import fault_of
from inventory_api.store.lock import AlreadyServed, ProcessLock
from inventory_api.store.options import DatabaseDamaged, DatabaseOptions
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

# STRICT tables need 3.37 (2021).
SQLITE_VERSION_MIN = (3, 37)
# The page check reads the whole file: 64 MiB take half a second. Larger files rely on SQLite's
# own checks of what it reads.
QUICK_CHECK_BYTES_MAX = 64 << 20
# The write-ahead log is cut to this size when it is folded back.
WAL_BYTES_KEPT = 16 << 20


class SQLite:
    """A file that this process serves alone.

    Raises:
        AlreadyServed: another process has the file.
        DatabaseDamaged: the file is not a sound database.
    """

    # The writer is the only one, so nothing a batch reads can change under it; and what the disk
    # holds after a failed COMMIT is known only after a restart.
    is_shared = False
    migrates_at_start = True

    def __init__(self, url: URL, options: DatabaseOptions) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("INVENTORY_DATABASE_URL must name a file: memory is not durable.")
        # Resolved, so that one file has one lock, by whatever name it is opened.
        self.path = Path(url.database).resolve()
        self._options = options

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        """While inside, the file is there and this process's."""
        _check_version()
        if self._options.read_only:
            if not self.path.exists():
                raise FileNotFoundError(f"{self.path} does not exist.")
            yield
            return
        with ProcessLock(self.path):
            _create(self.path)
            yield

    def engine(self, *, writes: bool) -> AsyncEngine:
        """The engine of the one writing connection, or of those that read."""
        connect = partial(_connect, self.path, self._options)
        set_up = partial(_set_up, options=self._options, writes=writes)

        async def connected() -> OneHopConnection:
            begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
            return await OneHopConnection(connect, set_up=set_up, begin=begin).open()

        return create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=connected,
            # Values are whoever's they are, and errors go to the log.
            hide_parameters=True,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if writes else self._options.reader_connections,
            max_overflow=0,
            pool_timeout=None,
        )

    @asynccontextmanager
    async def migrating(self, writer: AsyncEngine) -> AsyncIterator[AsyncEngine]:
        """The engine that migrates: one connection writes."""
        yield writer

    async def check(self, readers: AsyncEngine) -> None:
        """Read every page of a small file, before anything is written to it."""
        if self.path.stat().st_size > QUICK_CHECK_BYTES_MAX:
            return
        try:
            async with readers.connect() as connection:
                verdict = await connection.scalar(text("PRAGMA quick_check(1)"))
        except Exception as error:
            if fault_of(error) is StorageBusy:
                raise AlreadyServed(f"{self.path} is locked by another program.") from error
            raise DatabaseDamaged(f"{self.path} is not a sound SQLite database.") from error
        if verdict != "ok":
            raise DatabaseDamaged(f"{self.path} is damaged: {verdict}")

    def lock_migrations(self, connection: Connection) -> None:
        """Nothing to do: the file is locked as a whole."""

    async def now(self, connection: AsyncConnection) -> Instant | None:  # noqa: ARG002 - Postgres asks
        """None: its time is the process's."""
        return None

    def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0


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
