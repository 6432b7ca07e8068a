"""What a batch leaves behind: numbers from the ledger's head, then one statement for each table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, insert, literal_column, null, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.ledger import Balance, MovementRow, OnHand
from inventory_api.domain.types import Instant, Level, Operation
from inventory_api.store.bulk import execute_many, fetch, prepare
from inventory_api.store.tables import LEDGER_HEAD, LEVEL, MOVEMENT, OPERATION


class Head(NamedTuple):
    """The ledger's end: its last number, and the time of its last record."""

    seq: int
    recorded_at: Instant


_ADVANCE = prepare(
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
_SIMPLE: dict[str, ColumnElement[Any]] = {  # Any: each column has its own type
    **{name: bindparam(name) for name in MOVEMENT.c.keys()},  # noqa: SIM118 - not a mapping
    **dict.fromkeys(("d_reserved", "d_committed", "d_incoming"), literal_column("0")),
    **dict.fromkeys(("line_id", "reservation_id"), null()),
}
INSERT_SIMPLE_MOVEMENTS = prepare(insert(MOVEMENT).values(_SIMPLE))
INSERT_OPERATIONS = prepare(insert(OPERATION))
INSERT_LEVELS = prepare(insert(LEVEL))
_AT = (LEVEL.c.sku == bindparam("at_sku"), LEVEL.c.location == bindparam("at_location"))
UPDATE_LEVELS = prepare(
    update(LEVEL).values({name: bindparam(f"new_{name}") for name in BALANCES}).where(*_AT)
)
UPDATE_ON_HAND = prepare(
    update(LEVEL)
    .values({name: bindparam(f"new_{name}") for name in ("on_hand", "version", "seq")})
    .where(*_AT)
)


async def advance_head(session: AsyncSession, count: int, now: Instant) -> Head:
    """Take the next `count` numbers; the answer is the head after them."""
    ((seq, recorded_at),) = await fetch(session, _ADVANCE, {"count": count, "now": now})
    return Head(seq, recorded_at)


async def insert_movements(session: AsyncSession, movements: Sequence[MovementRow]) -> None:
    """Append to the ledger."""
    await execute_many(session, INSERT_MOVEMENTS, movements)


async def insert_simple_movements(session: AsyncSession, movements: Sequence[MovementRow]) -> None:
    """Append the movements of a simple batch, which have no other columns than change there."""
    await execute_many(session, INSERT_SIMPLE_MOVEMENTS, movements)


async def insert_operations(session: AsyncSession, operations: Sequence[Operation]) -> None:
    """Record the operations of the batch."""
    await execute_many(session, INSERT_OPERATIONS, operations)


async def insert_levels(session: AsyncSession, levels: Sequence[Level]) -> None:
    """Create the levels that the batch opened."""
    await execute_many(session, INSERT_LEVELS, levels)


async def update_levels(session: AsyncSession, balances: Sequence[Balance]) -> None:
    """Bring the levels to their balances after the batch; policies are not touched."""
    await execute_many(session, UPDATE_LEVELS, balances)


async def update_on_hand(session: AsyncSession, balances: Sequence[OnHand]) -> None:
    """As `update_levels` where nothing but on hand has changed."""
    await execute_many(session, UPDATE_ON_HAND, balances)
