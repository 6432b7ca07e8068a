"""A batch of commands inside its transaction: prefetch, expire, decide, write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from inventory_api.domain.commands import Command
from inventory_api.domain.counting import note_sets
from inventory_api.domain.decide import Decision, Snapshot
from inventory_api.domain.draft import Stamp
from inventory_api.domain.judge import Asked, judge, must_wait
from inventory_api.domain.ledger import Decided
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import Expire, Reserve
from inventory_api.domain.settle import expire
from inventory_api.domain.types import Fence, Instant, Key, Level
from inventory_api.domain.unavailable import StorageConflict
from inventory_api.store.bulk import is_shared
from inventory_api.store.database import Session
from inventory_api.store.elsewhere import explain_shortages
from inventory_api.store.holds import open_ids
from inventory_api.store.leases import lost_fences
from inventory_api.store.snapshot import take_snapshot
from inventory_api.store.writing import write_batch

EXPIRE = Expire()
SYSTEM = "system"
"""Who acts when time does."""


class Asking(NamedTuple):
    """One command, who asks for it under which idempotency key, and its operation."""

    command: Asked
    operation_id: str
    actor: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a batch is decided.

    Attributes:
        now: the time of the day, which is recorded.
        steady: the clock that does not jump, which holds live by.
    """

    now: Instant
    steady: Instant


class Batch(NamedTuple):
    """What became of the commands, in their order, and whether there is anything to commit.

    With each decision stands the number of its first movement, 0 if it has none. None: more was
    due on the command's levels than one batch expires, so it has to come again.
    """

    verdicts: list[tuple[Decided, int] | None]
    has_written: bool


async def run_batch(
    session: Session,
    asked: Sequence[Asking],
    at: Moment,
    recent: dict[Key, Level],
    *,
    due_max: int,
    new_id: Callable[[], str],
) -> Batch:
    """Expire what is due, decide in order of arrival, write the difference.

    `recent` are levels as they are committed; afterwards it has those of the batch too, as they
    will be.

    Raises:
        StorageConflict: another process has made what was looked for in vain.
    """
    lost = await lost_fences(session, {fence for one in asked if (fence := _fence(one.command))})
    commands = [one.command for one in asked if _fence(one.command) not in lost]
    snapshot = await take_snapshot(session, commands, at.steady, due_max=due_max, recent=recent)
    known = dict.fromkeys(snapshot.levels)
    due = [hold for hold in snapshot.holds.values() if hold.is_due(at.steady)]
    expired = [Decided(EXPIRE, expire(hold, snapshot), new_id(), SYSTEM, None) for hold in due]
    verdicts = [
        _overtaken(one) if _is_overtaken(one, lost) else _decide(one, snapshot, at.steady)
        for one in asked
    ]
    await _require_own_holds(session, commands, snapshot)
    judged = [one for one in verdicts if one is not None]
    await explain_shortages(session, judged, at.steady)
    decided = [*expired, *judged]
    seq = await write_batch(session, decided, snapshot, known=known, now=at.now)
    recent |= snapshot.levels
    first_seqs = {}
    for one in decided:
        first_seqs[id(one)] = seq if one.decision.changes else 0
        seq += len(one.decision.changes)
    told = [None if one is None else (one, first_seqs[id(one)]) for one in verdicts]
    changed = snapshot.changed_holds or snapshot.changed_shipments or snapshot.retimed
    return Batch(told, bool(seq or changed or snapshot.counts.changed_sheets))


async def _require_own_holds(
    session: Session, commands: Sequence[Asked], snapshot: Snapshot
) -> None:
    """Have all decided anew if a reference has a hold that was not seen.

    References are looked up before the levels are locked. Meanwhile another process may have made
    the hold of a reference that had none. A second one breaks a rule of the database; a refusal
    breaks none, and tells a cart that it can't have the last unit, which is its own.

    Raises:
        StorageConflict: there is such a hold.
    """
    if not is_shared(session):
        return
    without = {
        one.reference
        for one in commands
        if isinstance(one, Reserve) and one.reference and snapshot.open_hold(one.reference) is None
    }
    if without and await open_ids(session, without) - snapshot.holds.keys():
        raise StorageConflict


def _fence(command: Asked) -> Fence | None:
    return command.fence if isinstance(command, Command | Expire) else None


def _is_overtaken(asking: Asking, lost: set[Fence]) -> bool:
    # What expires is decided by the batch; the command itself asks for nothing.
    return bool(lost) and isinstance(asking.command, Command) and asking.command.fence in lost


def _overtaken(asking: Asking) -> Decided:
    """Another process does now what this one was asked for."""
    rejection = Rejection(Code.PULL_RUNNING, {})
    decision = Decision((), (), refused=True, rejection=rejection)
    return Decided(asking.command, decision, asking.operation_id, asking.actor, asking.key)


def _decide(asking: Asking, snapshot: Snapshot, now: Instant) -> Decided | None:
    """A dry run is judged on a copy of the stock, and leaves no changes."""
    command = asking.command
    if must_wait(command, snapshot):
        return None
    stamp = Stamp(asking.operation_id, asking.actor, now)
    if command.dry_run:
        copy = replace(snapshot, levels=dict(snapshot.levels), line_ids=set(snapshot.line_ids))
        decision = replace(judge(command, copy, stamp), changes=())
    else:
        decision = judge(command, snapshot, stamp)
        if snapshot.counts.last_sets:
            note_sets(decision.changes, snapshot)
    return Decided(command, decision, asking.operation_id, asking.actor, asking.key)
