"""What a decided batch leaves behind: one statement for each table."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.decide import Snapshot
from inventory_api.domain.ledger import Decided, write
from inventory_api.domain.types import Instant, Key
from inventory_api.store import changes
from inventory_api.store.counts import keep_counts
from inventory_api.store.holds import keep_holds, retime
from inventory_api.store.shipments import keep_shipments


async def write_batch(
    session: AsyncSession,
    decided: Sequence[Decided],
    snapshot: Snapshot,
    *,
    known: Mapping[Key, object],
    now: Instant,
) -> int:
    """Write the difference that the decisions made; the number of the first movement, or 0.

    `known` are the levels that existed, in the order in which they are best written.
    """
    await keep_holds(session, snapshot.changed_holds.values())
    await keep_counts(session, snapshot.counts)
    await keep_shipments(session, snapshot.changed_shipments.values())
    first_seq, levels, touched = 0, snapshot.levels, set[Key]()
    if count := sum(len(one.decision.changes) for one in decided):
        head = await changes.advance_head(session, count, now)
        first_seq = head.seq - count + 1
        pages = write(decided, first_seq=first_seq, recorded_at=head.recorded_at)
        await changes.insert_operations(session, pages.operations)
        await changes.insert_levels(session, pages.opened(levels, known))
        if pages.is_simple:
            await changes.insert_simple_movements(session, pages.movements)
            await changes.update_on_hand(session, pages.on_hand(levels, known))
        else:
            await changes.insert_movements(session, pages.movements)
            await changes.update_levels(session, pages.balances(levels, known))
            touched.update(pages.touched)
    await retime(session, {key: levels[key].next_expiry_at for key in snapshot.retimed - touched})
    return first_seq
