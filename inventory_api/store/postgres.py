"""PostgreSQL: a server that any number of processes share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from inventory_api.domain.types import Instant
from inventory_api.store.options import DatabaseOptions, DatabaseUnsafe
from inventory_api.store.tls import context_of

# UNIQUE constraints and partial indexes would do with less; what is tested is 14 and later.
SERVER_VERSION_MIN = 140_000
# Any number that nothing else on the server locks: "inventory" in ASCII, cut to 63 bits.
MIGRATION_LOCK = 0x696E76656E746F72
# The server ends a statement itself; when it says nothing by then, it is gone without a word.
SILENCE_MAX_S = 2.0
# Statements whose plans are kept per connection; the service has some two hundred.
STATEMENTS_KEPT = 500


class Postgres:
    """A database on a server.

    Writers run at READ COMMITTED: each statement sees what was committed before it, so that a row
    that was waited for is read as it has become. At REPEATABLE READ and above such a wait ends in
    an error, and a hot item would be retried instead of queued for (37 of 40 writers failed so).
    What a batch decides on is locked by then, so nothing more is needed. Readers run at
    REPEATABLE READ: the several statements of one read see one state.

    Raises:
        DatabaseUnsafe: it would lose acknowledged changes, or is a replica.
    """

    # Other processes write too: rows are locked, and a batch may have to be tried again.
    is_shared = True
    # An operator runs `inventory-api migrate` once, not each of many processes at its start.
    migrates_at_start = False

    def __init__(self, url: URL, options: DatabaseOptions) -> None:
        self._options = options
        if "sslmode" in url.query:
            raise ValueError(
                "INVENTORY_DATABASE_URL: say INVENTORY_DATABASE_TLS instead of sslmode."
            )
        self._url = url.set(drivername="postgresql+asyncpg")
        if options.password_file is not None:
            # One that can't be read is told at the start, and not by the first connection.
            _password_in(options.password_file)

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        """Nobody's alone."""
        yield

    def engine(self, *, writes: bool) -> AsyncEngine:
        """The engine of the connection that writes, or of those that read."""
        return self._engine(
            writes=writes, silence_s=self._options.statement_timeout_s + SILENCE_MAX_S
        )

    @asynccontextmanager
    async def migrating(self, _: AsyncEngine) -> AsyncIterator[AsyncEngine]:
        """An engine for statements that take as long as they take."""
        engine = self._engine(writes=True, silence_s=None)
        try:
            yield engine
        finally:
            await engine.dispose()

    def _engine(self, *, writes: bool, silence_s: float | None) -> AsyncEngine:
        writes = writes and not self._options.read_only
        engine = create_async_engine(
            self._url,
            # Values are whoever's they are, and errors go to the log.
            hide_parameters=True,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if writes else self._options.reader_connections,
            max_overflow=0,
            pool_timeout=None,
            isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            execution_options={} if writes else {"postgresql_readonly": True},
            connect_args={
                "ssl": context_of(self._options.tls, self._options.tls_ca_file),
                "timeout": self._options.connect_timeout_s,
                "command_timeout": silence_s,
                **self._address_and_password(),
                "prepared_statement_cache_size": STATEMENTS_KEPT,
                "server_settings": {
                    "application_name": "inventory-api",
                    # What a page costs that is not the next one. The default is that of turning
                    # disks, at which a batch of a hundred keys walks a table of 20,000 rows.
                    "random_page_cost": "1.1",
                    "lock_timeout": _milliseconds(self._options.busy_timeout_s),
                    "statement_timeout": _milliseconds(self._options.statement_timeout_s),
                    # A process that hangs between two statements must not hold its locks for ever.
                    "idle_in_transaction_session_timeout": _milliseconds(
                        self._options.statement_timeout_s
                    ),
                },
            },
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        event.listen(engine.sync_engine, "handle_error", _leave_silent)
        return engine

    def _address_and_password(self) -> dict[str, Any]:  # Any: as the driver takes them
        found: dict[str, Any] = {}
        if (file := self._options.password_file) is not None:
            # Read for each connection: a password is changed while the service runs.
            found["password"] = lambda: _password_in(file)
        hosts = self._url.query.get("host", "")
        if not (isinstance(hosts, str) or self._options.unsafe_allowed or self._options.read_only):
            # Of several servers the one that takes changes, also when they change their parts.
            found["target_session_attrs"] = "read-write"
        return found

    async def check(self, readers: AsyncEngine) -> None:
        """Refuse what would not keep the promises, unless that is allowed."""
        async with readers.connect() as connection:
            version, encoding, is_replica, commits = (await connection.execute(_ABOUT)).one()
        if version < SERVER_VERSION_MIN:
            raise DatabaseUnsafe("PostgreSQL 14 or later is needed.")
        if encoding != "UTF8":
            raise DatabaseUnsafe(f"The database's encoding is {encoding}; it must be UTF8.")
        if self._options.unsafe_allowed or self._options.read_only:
            return
        if is_replica:
            raise DatabaseUnsafe("The database is a replica: it takes no changes.")
        if commits == "off":
            raise DatabaseUnsafe(
                "synchronous_commit is off: a crash of the server would lose acknowledged changes."
                " Set it on, or INVENTORY_DATABASE_UNSAFE_ALLOWED=true."
            )

    def lock_migrations(self, connection: Connection) -> None:
        """Wait until no other process migrates; then wait only shortly for tables in use."""
        waits_s = self._options.migration_lock_s
        connection.execute(_SET_LOCAL, {"name": "lock_timeout", "to": _milliseconds(waits_s)})
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        brief = _milliseconds(self._options.busy_timeout_s)
        connection.execute(_SET_LOCAL, {"name": "lock_timeout", "to": brief})
        # Filling a new column or building an index takes as long as it takes.
        connection.execute(_SET_LOCAL, {"name": "statement_timeout", "to": "0"})

    async def now(self, connection: AsyncConnection) -> Instant | None:
        """The server's time."""
        return Instant((await connection.execute(_NOW)).scalar_one())

    def wal_bytes(self) -> int:
        """None of the service's business."""
        return 0


_ABOUT = text(
    "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),"
    " pg_is_in_recovery(), current_setting('synchronous_commit')"
)
_NOW = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
_SET_LOCAL = text("SELECT set_config(:name, :to, true)")


def _refuse_closed(connection: Any, *_: object) -> None:  # Any: SQLAlchemy's face of the driver's
    """Have the pool replace a connection that the server has closed meanwhile; no round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _leave_silent(context: ExceptionContext) -> None:
    """Give a connection up on which the server has said nothing for too long."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def _password_in(file: Path) -> str:
    return file.read_text().rstrip("\r\n")


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1_000))
