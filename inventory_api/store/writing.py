"""What a decided batch leaves behind: in a file table by table, on a server at once."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.decide import Snapshot
from inventory_api.domain.ledger import Decided, Pages, write
from inventory_api.domain.types import Instant, Key, Level
from inventory_api.store import changes
from inventory_api.store.bulk import Work, execute_all, is_shared
from inventory_api.store.counts import kept_counts
from inventory_api.store.holds import kept_holds, retimed
from inventory_api.store.shipments import kept_shipments
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
    documents = [
        *kept_holds(snapshot.changed_holds.values()),
        *kept_counts(snapshot.counts),
        *kept_shipments(snapshot.changed_shipments.values()),
    ]
    if not any(one.decision.changes for one in decided):
        await execute_all(session, [*documents, _retimed(snapshot, ())])
        return 0
    write_all = _write_at_once if is_shared(session) else _write_in_steps
    return await write_all(session, decided, snapshot, documents, known, now)


def _retimed(snapshot: Snapshot, written: Collection[Key]) -> Work:
    """What writes the ends of holds at levels that are not written as a whole."""
    levels = snapshot.levels
    return retimed(
        {key: levels[key].next_expiry_at for key in snapshot.retimed.difference(written)}
    )


async def _write_in_steps(
    session: AsyncSession,
    decided: Sequence[Decided],
    snapshot: Snapshot,
    documents: Sequence[Work],
    known: Mapping[Key, object],
    now: Instant,
) -> int:
    """Take the head, then write each table: nobody waits for the head of a file."""
    count = sum(len(one.decision.changes) for one in decided)
    head = await changes.advance_head(session, count, now)
    first_seq = head.seq - count + 1
    pages = write(decided, first_seq=first_seq, recorded_at=head.recorded_at)
    await execute_all(
        session,
        [
            *documents,
            (changes.INSERT_OPERATIONS, pages.operations),
            (changes.INSERT_LEVELS, pages.opened(snapshot.levels, known)),
            *_movements(pages, snapshot.levels, known),
            # A simple batch leaves the ends of holds as they are.
            _retimed(snapshot, () if pages.is_simple else pages.touched),
        ],
    )
    return first_seq


def _movements(
    pages: Pages, levels: Mapping[Key, Level], known: Mapping[Key, object]
) -> list[Work]:
    """What appends to the ledger and brings the levels along, as little of both as will do."""
    if not pages.is_simple:
        balances = pages.balances(levels, known)
        return [(changes.INSERT_MOVEMENTS, pages.movements), (changes.UPDATE_LEVELS, balances)]
    on_hand = pages.on_hand(levels, known)
    if not pages.is_calm:
        return [
            (changes.INSERT_SIMPLE_MOVEMENTS, pages.movements),
            (changes.UPDATE_ON_HAND, on_hand),
        ]
    return [(changes.INSERT_CALM_MOVEMENTS, pages.movements), (changes.UPDATE_CALM, on_hand)]


async def _write_at_once(
    session: AsyncSession,
    decided: Sequence[Decided],
    snapshot: Snapshot,
    documents: Sequence[Work],
    known: Mapping[Key, object],
    now: Instant,
) -> int:
    """Write all that needs no head before it is taken, since other processes wait for it then."""
    pages = write(decided, first_seq=1, recorded_at=AT_HEAD, are_whole=True)
    await execute_all(session, [*documents, _retimed(snapshot, pages.touched)])
    return await append(
        session,
        now,
        movements=pages.movements,
        operations=pages.operations,
        opened=pages.opened(snapshot.levels, known),
        balances=pages.balances(snapshot.levels, known),
    )
