"""What a batch leaves behind: numbers from the ledger's head, then one statement for each table."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.ledger import Balance, MovementRow
from inventory_api.domain.types import Instant, Level, Operation
from inventory_api.store.bulk import execute_many, prepare
from inventory_api.store.tables import LEDGER_HEAD, LEVEL, MOVEMENT, OPERATION


class Head(NamedTuple):
    """The ledger's end: its last number, and the time of its last record."""

    seq: int
    recorded_at: Instant


_ADVANCE = (
    update(LEDGER_HEAD)
    .values(
        seq=LEDGER_HEAD.c.seq + bindparam("count"),
        # A clock that was set back must not make the ledger's time run backwards.
        recorded_at=func.max(LEDGER_HEAD.c.recorded_at, bindparam("now")),
    )
    .returning(LEDGER_HEAD.c.seq, LEDGER_HEAD.c.recorded_at)
)


BALANCES = ("on_hand", "reserved", "committed", "incoming", "version", "seq", "next_expiry_at")
INSERT_MOVEMENTS = prepare(insert(MOVEMENT))
INSERT_OPERATIONS = prepare(insert(OPERATION))
INSERT_LEVELS = prepare(insert(LEVEL))
UPDATE_LEVELS = prepare(
    update(LEVEL)
    .values({name: bindparam(f"new_{name}") for name in BALANCES})
    .where(LEVEL.c.sku == bindparam("at_sku"), LEVEL.c.location == bindparam("at_location"))
)


async def advance_head(session: AsyncSession, count: int, now: Instant) -> Head:
    """Take the next `count` numbers; the answer is the head after them."""
    row = (await session.execute(_ADVANCE, {"count": count, "now": now})).one()
    return Head(row[0], Instant(row[1]))


async def insert_movements(session: AsyncSession, movements: Sequence[MovementRow]) -> None:
    """Append to the ledger."""
    await execute_many(session, INSERT_MOVEMENTS, movements)


async def insert_operations(session: AsyncSession, operations: Sequence[Operation]) -> None:
    """Record the operations of the batch."""
    await execute_many(session, INSERT_OPERATIONS, operations)


async def insert_levels(session: AsyncSession, levels: Sequence[Level]) -> None:
    """Create the levels that the batch opened."""
    await execute_many(session, INSERT_LEVELS, levels)


async def update_levels(session: AsyncSession, balances: Sequence[Balance]) -> None:
    """Bring the levels to their balances after the batch; policies are not touched."""
    await execute_many(session, UPDATE_LEVELS, balances)
