"""What a batch leaves behind: numbers from the ledger's head, then one statement for each table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, literal_column, null, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.ledger import MovementRow
from inventory_api.domain.types import Instant, Level, Operation
from inventory_api.store.bulk import (
    execute_many,
    fetch,
    greater,
    many_inserts,
    many_updates,
    prepare,
)
from inventory_api.store.tables import LEDGER_HEAD, LEVEL, MOVEMENT, OPERATION


class Head(NamedTuple):
    """The ledger's end: its last number, and the time of its last record."""

    seq: int
    recorded_at: Instant


ADVANCED = update(LEDGER_HEAD).values(
    seq=LEDGER_HEAD.c.seq + bindparam("count"),
    # A clock that was set back must not make the ledger's time run backwards.
    recorded_at=greater(LEDGER_HEAD.c.recorded_at, bindparam("now")),
)
_ADVANCE = prepare(ADVANCED.returning(LEDGER_HEAD.c.seq, LEDGER_HEAD.c.recorded_at))

BALANCES = (
    "on_hand",
    "reserved",
    "committed",
    "incoming",
    "version",
    "seq",
    "next_expiry_at",
    "alert",
)
INSERT_MOVEMENTS = many_inserts(MOVEMENT)
_OF_SIMPLE: dict[str, ColumnElement[Any]] = {
    **dict.fromkeys(("d_reserved", "d_committed", "d_incoming"), literal_column("0")),
    **dict.fromkeys(("line_id", "reservation_id"), null()),
}
INSERT_SIMPLE_MOVEMENTS = many_inserts(MOVEMENT, constants=_OF_SIMPLE)
INSERT_CALM_MOVEMENTS = many_inserts(
    MOVEMENT, constants={**_OF_SIMPLE, "alerts": literal_column("0")}
)
INSERT_OPERATIONS = many_inserts(OPERATION)
INSERT_LEVELS = many_inserts(LEVEL)
UPDATE_LEVELS = many_updates(LEVEL, set_=BALANCES, keys=("sku", "location"))
UPDATE_ON_HAND = many_updates(
    LEVEL, set_=("on_hand", "version", "seq", "alert"), keys=("sku", "location")
)
UPDATE_CALM = many_updates(LEVEL, set_=("on_hand", "version", "seq"), keys=("sku", "location"))


async def advance_head(session: AsyncSession, count: int, now: Instant) -> Head:
    """Take the next `count` numbers; the answer is the head after them."""
    ((seq, recorded_at),) = await fetch(session, _ADVANCE, {"count": count, "now": now})
    return Head(seq, recorded_at)


async def insert_movements(session: AsyncSession, movements: Sequence[MovementRow]) -> None:
    """Append to the ledger."""
    await execute_many(session, INSERT_MOVEMENTS, movements)


async def insert_operations(session: AsyncSession, operations: Sequence[Operation]) -> None:
    """Record the operations of the batch."""
    await execute_many(session, INSERT_OPERATIONS, operations)


async def insert_levels(session: AsyncSession, levels: Sequence[Level]) -> None:
    """Create the levels that the batch opened."""
    await execute_many(session, INSERT_LEVELS, levels)
