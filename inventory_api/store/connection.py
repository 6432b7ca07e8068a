"""An aiosqlite connection that crosses to its thread once per statement, or for several.

SQLAlchemy's adapter asks aiosqlite for a cursor, a statement, the rows and the cursor's end: four
crossings, each a wake-up of two threads. Here one crossing does all, and opens the transaction too
when none is open: a statement that runs outside of a transaction does not exist, so a BEGIN that
failed cannot leave the next statement in autocommit.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiosqlite

# Any: what a driver takes as parameters and gives as rows has no narrower type.
Parameters = Sequence[Any]
Description = tuple[tuple[Any, ...], ...] | None
R = TypeVar("R")
Outcome = tuple[list[Any], Description, int, int | None]
Step = tuple[Callable[..., sqlite3.Cursor], str, Parameters]
"""How the cursor is asked, a statement, and its parameters."""


class OneHopCursor:
    """What SQLAlchemy's adapter needs of a cursor; rows are fetched with the statement."""

    arraysize = 1

    def __init__(self, connection: "OneHopConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Description = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "OneHopCursor":
        return self

    async def execute(self, sql: str, parameters: Parameters = ()) -> None:
        """Run one statement and keep its rows."""
        self._keep(await self._connection.hop((sqlite3.Cursor.execute, sql, parameters)))

    async def executemany(self, sql: str, parameters: Sequence[Parameters]) -> None:
        """Run one statement for each of many parameters."""
        self._keep(await self._connection.hop((sqlite3.Cursor.executemany, sql, parameters)))

    async def fetchall(self) -> list[Any]:
        """The rows of the last statement."""
        return self._rows

    async def close(self) -> None:
        """Nothing is open."""

    def _keep(self, outcome: Outcome) -> None:
        self._rows, self.description, self.rowcount, self.lastrowid = outcome


class OneHopConnection(aiosqlite.Connection):
    """A connection in which `begin` opens the transaction of the first statement."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        set_up: Callable[[sqlite3.Connection], None],
        begin: str,
    ) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self._set_up = set_up
        # A process that dies must not wait for the storage of a connection nobody will use.
        self._thread.daemon = True
        self._begin = begin

    async def open(self) -> "OneHopConnection":
        """Connect and set up; a connection that can't be set up is closed and its thread ended."""
        opened = await self
        assert opened is self
        try:
            await self._cross(lambda: self._set_up(self._conn))
        except BaseException:
            await self.close()
            raise
        return self

    def cursor(self) -> OneHopCursor:  # type: ignore[override]  # no crossing to make one
        """A cursor, made without asking the thread."""
        return OneHopCursor(self)

    async def hop(self, *steps: Step) -> Outcome:
        """Open the transaction if none is open, run the steps, fetch from the last: one crossing."""
        return await self._cross(partial(self._run, steps))

    async def _cross(self, work: Callable[[], R]) -> R:
        result: R = await self._execute(work)  # type: ignore[no-untyped-call]  # aiosqlite's
        return result

    def _commit_or_roll_back(self) -> None:
        # SQLAlchemy takes a failed commit for the end of the transaction and would hand the
        # connection on with it.
        try:
            self._conn.execute("COMMIT")
        except sqlite3.Error:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            raise

    def _run(self, steps: Sequence[Step]) -> Outcome:
        cursor = self._conn.cursor()
        if not self._conn.in_transaction:
            cursor.execute(self._begin)
        for run, sql, parameters in steps:
            run(cursor, sql, parameters)
        rows = cursor.fetchall() if cursor.description else []
        return rows, cursor.description, cursor.rowcount, cursor.lastrowid

    async def commit(self) -> None:
        """Commit if a transaction is open; if that fails, none is open afterwards."""
        if self.in_transaction:
            await self._cross(self._commit_or_roll_back)

    async def rollback(self) -> None:
        """Roll back if a transaction is open; SQLite closes it itself on some errors."""
        if self.in_transaction:
            await self._cross(partial(self._conn.execute, "ROLLBACK"))
