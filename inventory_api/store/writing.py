"""What a decided batch leaves behind: in a file table by table, on a server at once."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.decide import Snapshot
from inventory_api.domain.ledger import Decided, Pages, write
from inventory_api.domain.types import Instant, Key
from inventory_api.store import changes
from inventory_api.store.bulk import is_shared
from inventory_api.store.counts import keep_counts
from inventory_api.store.holds import keep_holds, retime
from inventory_api.store.shipments import keep_shipments
from inventory_api.store.tail import AT_HEAD, append


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
    first_seq, levels, timed = 0, snapshot.levels, set[Key]()
    if any(one.decision.changes for one in decided):
        write_pages = _write_at_once if is_shared(session) else _write_in_steps
        first_seq, pages = await write_pages(session, decided, snapshot, known, now)
        # A simple batch has left the ends of holds as they were.
        timed.update(() if pages.is_simple else pages.touched)
    await retime(session, {key: levels[key].next_expiry_at for key in snapshot.retimed - timed})
    return first_seq


async def _write_in_steps(
    session: AsyncSession,
    decided: Sequence[Decided],
    snapshot: Snapshot,
    known: Mapping[Key, object],
    now: Instant,
) -> tuple[int, Pages]:
    """Take the head, then write each table: nobody waits for the head of a file."""
    count = sum(len(one.decision.changes) for one in decided)
    head = await changes.advance_head(session, count, now)
    first_seq = head.seq - count + 1
    pages = write(decided, first_seq=first_seq, recorded_at=head.recorded_at)
    levels = snapshot.levels
    await changes.insert_operations(session, pages.operations)
    await changes.insert_levels(session, pages.opened(levels, known))
    if pages.is_simple:
        is_calm = pages.is_calm
        await changes.insert_simple_movements(session, pages.movements, are_calm=is_calm)
        await changes.update_on_hand(session, pages.on_hand(levels, known), are_calm=is_calm)
    else:
        await changes.insert_movements(session, pages.movements)
        await changes.update_levels(session, pages.balances(levels, known))
    return first_seq, pages


async def _write_at_once(
    session: AsyncSession,
    decided: Sequence[Decided],
    snapshot: Snapshot,
    known: Mapping[Key, object],
    now: Instant,
) -> tuple[int, Pages]:
    """Make the rows before the head is taken, since other processes wait for it then."""
    pages = write(decided, first_seq=1, recorded_at=AT_HEAD, are_whole=True)
    first_seq = await append(
        session,
        now,
        movements=pages.movements,
        operations=pages.operations,
        opened=pages.opened(snapshot.levels, known),
        balances=pages.balances(snapshot.levels, known),
    )
    return first_seq, pages
