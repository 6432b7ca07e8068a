"""Reaches through to SQLite itself: to trace it, to fill it, to break it."""

import sqlite3

from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.store.connection import OneHopConnection
from inventory_api.store.database import Database


async def sqlite_of(session: AsyncSession) -> sqlite3.Connection:
    """The connection of a session; only while nothing runs on it."""
    raw = await (await session.connection()).get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, OneHopConnection)
    return driver._conn


async def writer_of(database: Database) -> sqlite3.Connection:
    """The one connection that writes; it stays the same as long as the database is open."""
    async with database.writer() as session:
        return await sqlite_of(session)
