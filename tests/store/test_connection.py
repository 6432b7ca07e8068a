"""The one-hop connection: one crossing per statement, and no statement outside a transaction."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from inventory_api.store.connection import OneHopConnection

pytestmark = pytest.mark.sqlite


class CountingConnection(OneHopConnection):
    """Knows how often its thread was asked for something."""

    crossings = 0

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.crossings += 1
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
    return path


def as_it_is(connection: sqlite3.Connection) -> None:
    """No settings of its own."""


def engine_of(path: Path, *, begin: str = "BEGIN IMMEDIATE") -> AsyncEngine:
    connect = partial(
        sqlite3.connect, path, isolation_level=None, timeout=0.01, check_same_thread=False
    )

    async def connected() -> OneHopConnection:
        return await CountingConnection(connect, set_up=as_it_is, begin=begin).open()

    return create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connected,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
    )


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_of(path)
    yield engine
    await engine.dispose()


async def driver_of(session: AsyncSession) -> CountingConnection:
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, CountingConnection)
    return driver


def names_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM thing ORDER BY id")]


async def test_one_statement_is_one_crossing_begin_included(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        driver = await driver_of(session)
        before = driver.crossings

        await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
        rows = (await session.execute(text("SELECT name FROM thing"))).all()

        assert driver.crossings - before == 2
        assert rows == [("a",)]


async def test_a_commit_is_one_crossing_and_an_empty_one_none(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        driver = await driver_of(session)
        await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
        before = driver.crossings

        await session.commit()
        _ = await session.connection()
        await session.commit()

        assert driver.crossings - before == 1


async def test_rows_of_a_thousand_parameters_are_one_crossing(
    engine: AsyncEngine, path: Path
) -> None:
    async with AsyncSession(engine) as session:
        driver = await driver_of(session)
        before = driver.crossings

        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO thing (name) VALUES (?)", [(str(number),) for number in range(1000)]
        )

        assert driver.crossings - before == 1
        await session.commit()
    assert len(names_in(path)) == 1000


async def test_what_is_not_committed_is_rolled_back_at_the_end(
    engine: AsyncEngine, path: Path
) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))

    assert names_in(path) == []


async def test_a_begin_that_found_the_database_locked_leaves_no_autocommit(
    engine: AsyncEngine, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with AsyncSession(engine) as session:
            with pytest.raises(OperationalError, match="locked"):
                await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
            other.execute("ROLLBACK")

            # The very same session and connection: without a BEGIN of its own this is durable.
            await session.execute(text("INSERT INTO thing (name) VALUES ('b')"))
            await session.rollback()

    assert names_in(path) == []


async def test_a_connection_that_was_locked_out_works_again(
    engine: AsyncEngine, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with AsyncSession(engine) as session:
            with pytest.raises(OperationalError, match="locked"):
                await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
        other.execute("ROLLBACK")

    async with AsyncSession(engine) as session:
        await session.execute(text("INSERT INTO thing (name) VALUES ('b')"))
        await session.commit()

    assert names_in(path) == ["b"]


async def test_a_statement_after_one_that_ended_the_transaction_opens_a_new_one(
    engine: AsyncEngine, path: Path
) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
        # What SQLite does by itself when the disk is full or broken.
        await (await driver_of(session)).hop((sqlite3.Cursor.execute, "ROLLBACK", ()))

        await session.execute(text("INSERT INTO thing (name) VALUES ('b')"))
        await session.rollback()

    assert names_in(path) == []


async def test_a_reader_sees_one_state_from_its_first_statement_on(path: Path) -> None:
    engine = engine_of(path, begin="BEGIN")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with AsyncSession(engine) as session:
            assert (await session.scalar(text("SELECT count(*) FROM thing"))) == 0
            other.execute("INSERT INTO thing (name) VALUES ('a')")
            assert (await session.scalar(text("SELECT count(*) FROM thing"))) == 0

        async with AsyncSession(engine) as session:
            assert (await session.scalar(text("SELECT count(*) FROM thing"))) == 1
    await engine.dispose()


async def test_a_cancelled_statement_leaves_no_open_transaction_behind(
    engine: AsyncEngine, path: Path
) -> None:
    async def insert() -> None:
        async with AsyncSession(engine) as session:
            await session.execute(text("INSERT INTO thing (name) VALUES ('a')"))
            await session.execute(text("INSERT INTO thing (name) VALUES ('b')"))

    for steps in range(40):
        task = asyncio.create_task(insert())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with AsyncSession(engine) as session:
        driver = await driver_of(session)
        assert not driver.in_transaction
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
    assert names_in(path) == []


async def test_a_connection_that_cannot_be_set_up_is_closed_and_its_thread_ended(
    path: Path,
) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        raise ValueError("not like this")

    connection = OneHopConnection(partial(sqlite3.connect, path), set_up=refuse, begin="BEGIN")

    with pytest.raises(ValueError, match="not like this"):
        _ = await connection.open()

    connection._thread.join(timeout=5)
    assert not connection._thread.is_alive()
