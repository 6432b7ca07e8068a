"""The obvious version: FastAPI, one AsyncSession per request, stock aiosqlite, one commit each.

It is correct (a lock keeps check and change together) and durable (WAL, synchronous=FULL), and it
does less than the service: no operation, no idempotency, no ledger head, a narrow movement.
Its level comes from `INVENTORY_NAIVE_DATABASE`, a file made by `create`.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from benchmarks import noop

DATABASE = "INVENTORY_NAIVE_DATABASE"


class Table(DeclarativeBase):
    """The declarative root."""


class LevelRow(Table):
    """The stock of one item at one location."""

    __tablename__ = "level"
    sku: Mapped[str] = mapped_column(primary_key=True)
    location: Mapped[str] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    version: Mapped[int]


class MovementRow(Table):
    """One change of one level."""

    __tablename__ = "movement"
    seq: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    location: Mapped[str]
    delta: Mapped[int]
    on_hand: Mapped[int]
    reason: Mapped[str]
    reference: Mapped[str | None]


def create(path: Path, *, skus: list[str], on_hand: int) -> None:
    """Makes the database file with one level per SKU."""
    database = sqlite3.connect(path)
    database.executescript(
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE level (sku TEXT, location TEXT, on_hand INTEGER NOT NULL,
            version INTEGER NOT NULL, PRIMARY KEY (sku, location));
        CREATE TABLE movement (seq INTEGER PRIMARY KEY, sku TEXT NOT NULL, location TEXT NOT NULL,
            delta INTEGER NOT NULL, on_hand INTEGER NOT NULL, reason TEXT NOT NULL,
            reference TEXT);
        """
    )
    rows = ((sku, "main", on_hand, 1) for sku in skus)
    database.executemany("INSERT INTO level VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()


def application() -> FastAPI:
    """The naive service on the file that the environment names."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ[DATABASE]}")
    event.listen(engine.sync_engine, "connect", _make_durable)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    lock = asyncio.Lock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/stock/adjust")
    async def adjust(body: noop.AdjustBody) -> noop.AdjustAnswer:
        async with lock, sessions() as session:
            return await _adjust(session, body)

    return app


def _make_durable(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


async def _adjust(session: AsyncSession, body: noop.AdjustBody) -> noop.AdjustAnswer:
    line = body.lines[0]
    location = line.location or "main"
    level = await session.get(LevelRow, (line.sku, location))
    if level is None:
        raise HTTPException(404)
    if level.on_hand + line.delta < 0:
        raise HTTPException(409)
    level.on_hand += line.delta
    level.version += 1
    movement = MovementRow(
        sku=line.sku,
        location=location,
        delta=line.delta,
        on_hand=level.on_hand,
        reason=body.reason,
        reference=body.reference,
    )
    session.add(movement)
    await session.commit()
    return answer(level, movement)


def answer(level: LevelRow, movement: MovementRow) -> noop.AdjustAnswer:
    """What the service would answer."""
    shown = noop.Level(
        sku=level.sku,
        location=level.location,
        on_hand=level.on_hand,
        reserved=0,
        committed=0,
        safety_stock=0,
        incoming=0,
        available=level.on_hand,
        version=level.version,
    )
    result = noop.AdjustResult(
        index=0,
        sku=level.sku,
        location=level.location,
        status="applied",
        seq=movement.seq,
        delta=movement.delta,
        level=shown,
    )
    return noop.AdjustAnswer(
        operation_id=noop.OPERATION_ID, applied=1, rejected=0, results=[result]
    )
