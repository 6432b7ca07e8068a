"""The outcomes of keyed writes, so that a retry gets the answer of the first try."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.bulk import FIRST, PAIRS, SECOND, execute_many, listed, many_inserts
from inventory_api.store.tables import IDEMPOTENCY

Caller = tuple[str, str]
"""Who asks, and the key."""


class Remembered(NamedTuple):
    """A row of the idempotency table, in the order of its columns."""

    actor: str
    key: str
    recorded_at: Instant
    fingerprint: bytes
    refused: str | None
    etag: str | None
    answer: bytes

    def told(self, key: IdempotencyKey) -> Outcome:
        """What the first request under the key was answered; to another one, that it is another."""
        if key.fingerprint != self.fingerprint:
            return Outcome(b"{}", Code.IDEMPOTENCY_MISMATCH)
        refused = None if self.refused is None else Code(self.refused)
        return Outcome(self.answer, refused, self.etag, replayed=True)


_COLUMNS = tuple(IDEMPOTENCY.c[name] for name in Remembered._fields)
_FIND = select(*_COLUMNS).join_from(
    PAIRS, IDEMPOTENCY, (IDEMPOTENCY.c.actor == FIRST) & (IDEMPOTENCY.c.key == SECOND)
)
_INSERT = many_inserts(IDEMPOTENCY)


async def remembered(
    session: AsyncSession, callers: Collection[Caller]
) -> dict[Caller, Remembered]:
    """The outcomes that are known for the keys; empty without a query if there are no keys."""
    if not callers:
        return {}
    result = await session.execute(_FIND, listed(callers))
    return {(row[0], row[1]): Remembered._make(row) for row in result}


async def find_outcome(session: AsyncSession, actor: str, key: IdempotencyKey) -> Outcome | None:
    """What a request under a key is answered without being done; None: the key is new."""
    known = await remembered(session, [(actor, key.key)])
    return next((row.told(key) for row in known.values()), None)


async def remember(session: AsyncSession, rows: Sequence[Remembered]) -> None:
    """Keep outcomes, in the transaction of their effects; sorted, so that nobody waits in a circle."""
    await execute_many(session, _INSERT, sorted(rows, key=lambda row: row[:2]))


async def forget_before(session: AsyncSession, instant: Instant, *, rows_max: int) -> int:
    """Remove the oldest outcomes recorded before an instant; how many were removed."""
    oldest = (
        select(IDEMPOTENCY.c.actor, IDEMPOTENCY.c.key)
        .where(IDEMPOTENCY.c.recorded_at < instant)
        .order_by(IDEMPOTENCY.c.recorded_at)
        .limit(rows_max)
    )
    pairs = (await session.execute(oldest)).all()
    for actor, key in pairs:
        await session.execute(
            delete(IDEMPOTENCY).where(IDEMPOTENCY.c.actor == actor, IDEMPOTENCY.c.key == key)
        )
    return len(pairs)
