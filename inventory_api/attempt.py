"""One batch, one transaction: what became of its entries, attempted again where others interfere.

Look up the known idempotency keys, run what is new, remember the outcomes, COMMIT. There are no
savepoints: SQLite rolls all back on a full disk, and a savepoint after that opens a new transaction
in which what was acknowledged before does not exist.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import orjson

from inventory_api.batch import Asking, Moment, run_batch
from inventory_api.domain.decide import Refused
from inventory_api.domain.judge import Asked
from inventory_api.domain.ledger import Decided, answer, refusal
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.types import Instant, Key, Level
from inventory_api.domain.unavailable import (
    OutcomeUnknown,
    StorageConflict,
    StorageFull,
    StorageRace,
    StorageUnreachable,
    Unavailable,
)
from inventory_api.store.database import Database, Session
from inventory_api.store.faults import fault_of
from inventory_api.store.idempotency import Caller, Remembered, remember, remembered
from inventory_api.store.recent import RecentLevels
from inventory_api.telemetry import Metrics

# A key that is taken again after so many looks was not taken by a race: somebody has a defect.
RACES_MAX = 3

Work = Callable[[Session, Instant], Awaitable[Outcome]]
"""A write that is no stock change: session code that ends in an outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the queue and of a batch; meaning and reasons as in settings.py."""

    queue_commands_max: int = 10_000
    batch_commands_max: int = 256
    batch_lines_max: int = 10_000
    expiries_max: int = 100
    retries_max: int = 8
    retry_pause_s: float = 0.005
    recent_levels_max: int = 10_000


@dataclass(slots=True, eq=False)
class Entry:
    """One request in the queue; `claimed` once the task has taken it."""

    what: Asked | Work
    actor: str
    key: IdempotencyKey | None
    future: asyncio.Future[Outcome] = field(repr=False)
    operation_id: str
    after_commit: Callable[[Outcome], None] | None = None
    claimed: bool = False

    @property
    def caller(self) -> Caller | None:
        """Under which name an outcome is remembered; a dry run has none to remember."""
        if self.key is None or (not callable(self.what) and self.what.dry_run):
            return None
        return (self.actor, self.key.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How a batch becomes durable.

    Attributes:
        clock: microseconds since 1970; may jump, the ledger's time does not run back.
        steady_clock: the same, but it never jumps: holds live by it.
        new_id: makes time-ordered identities.
        recent: the levels that the last batches left behind; none where others write too.
    """

    database: Database
    clock: Callable[[], Instant]
    steady_clock: Callable[[], Instant]
    new_id: Callable[[], str]
    metrics: Metrics
    limits: Limits
    recent: RecentLevels

    async def persist(self, batch: Sequence[Entry]) -> list[Outcome | None]:
        """Attempt a batch, and again as a whole while other processes get in its way.

        Nothing was committed then, and the next attempt decides everything anew. The pauses grow
        and are never alike, so that two processes do not meet again and again.
        """
        for attempt in range(self.limits.retries_max):
            try:
                return await self._attempt(batch)
            except (StorageConflict, StorageUnreachable) as fault:
                if isinstance(fault, StorageRace) and attempt >= RACES_MAX:
                    raise fault.__cause__ or fault from None
                if all(entry.future.done() for entry in batch):
                    # Nobody waits for it any more, and others wait behind it.
                    raise
                self.metrics.batch_retries.labels(fault.code).inc()
                pause_s = self.limits.retry_pause_s * 2**attempt
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await self._attempt(batch)

    async def _attempt(self, batch: Sequence[Entry]) -> list[Outcome | None]:
        """One transaction for the batch; the outcomes are in its order, None: it has to wait.

        Raises:
            Unavailable: the storage's fault; `OutcomeUnknown` if COMMIT itself failed.
        """
        has_committed = False
        recent = self.recent.take()
        try:
            async with self.database.writer() as session:
                known = await remembered(session, {entry.caller for entry in batch if entry.caller})
                fresh = _fresh(batch, known)
                now = self.clock()
                outcomes, has_written = await self._run(session, fresh, now, recent)
                kept = [_kept(*pair, now) for pair in zip(fresh, outcomes, strict=True)]
                rows = [row for row in kept if row is not None]
                await remember(session, rows)
                if has_written or rows:
                    await _commit_session(session)
                has_committed = True
            self.recent.give_back(recent)
        except Unavailable:
            raise
        except Exception as error:
            if has_committed:
                # Giving the connection back failed. It must not be attempted again: it is done.
                raise OutcomeUnknown from error
            if (fault := fault_of(error)) is None:
                raise
            raise fault from error
        known |= {(row.actor, row.key): row for row in rows}
        by_entry = dict(zip(map(id, fresh), outcomes, strict=True))
        return [
            by_entry[id(entry)] if id(entry) in by_entry else _replay(entry, known)
            for entry in batch
        ]

    async def _run(
        self, session: Session, entries: Sequence[Entry], now: Instant, recent: dict[Key, Level]
    ) -> tuple[list[Outcome | None], bool]:
        """The outcomes of the entries, and whether there is anything to commit."""
        if entries and callable(entries[0].what):
            recent.clear()
            outcome = await entries[0].what(session, now)
            if outcome.refused is None:
                return [outcome], True
            await session.rollback()
            return [outcome], False
        return await self._run_commands(session, entries, now, recent)

    async def _run_commands(
        self, session: Session, entries: Sequence[Entry], now: Instant, recent: dict[Key, Level]
    ) -> tuple[list[Outcome | None], bool]:
        asked = [
            Asking(one.what, one.operation_id, one.actor, one.key and one.key.key)
            for one in entries
            if not callable(one.what)
        ]
        if not asked:
            return [], False
        at = Moment(now=now, steady=self.steady_clock())
        batch = await run_batch(
            session, asked, at, recent, due_max=self.limits.expiries_max, new_id=self.new_id
        )
        told = [None if one is None else self._outcome(*one) for one in batch.verdicts]
        return told, batch.has_written

    def _outcome(self, one: Decided, first_seq: int) -> Outcome:
        for result in one.decision.results:
            if isinstance(result, Refused):
                self.metrics.refusal(result.rejection.code)
        if one.decision.refused:
            code, facts = refusal(one)
            return Outcome(orjson.dumps(facts), code)
        version = one.decision.version
        told = answer(one, first_seq)
        return Outcome(orjson.dumps(told), etag=None if version is None else str(version))


def _fresh(batch: Sequence[Entry], known: dict[Caller, Remembered]) -> list[Entry]:
    """The entries to run: unknown keys, and of several under one key the first."""
    seen: set[Caller] = set(known)
    fresh = []
    for entry in batch:
        if entry.caller is None:
            fresh.append(entry)
        elif entry.caller not in seen:
            seen.add(entry.caller)
            fresh.append(entry)
    return fresh


def _kept(entry: Entry, outcome: Outcome | None, now: Instant) -> Remembered | None:
    """The row that makes a retry safe; None if nobody can retry by name, or nothing is told."""
    if entry.key is None or entry.caller is None or outcome is None:
        return None
    refused = None if outcome.refused is None else outcome.refused.value
    return Remembered(
        entry.actor,
        entry.key.key,
        now,
        entry.key.fingerprint,
        refused,
        outcome.etag,
        outcome.answer,
    )


def _replay(entry: Entry, known: dict[Caller, Remembered]) -> Outcome | None:
    """The outcome that the first request under the key had, if this is the same request."""
    assert entry.caller is not None
    assert entry.key is not None
    row = known.get(entry.caller)
    # None: the first one waits.
    return None if row is None else row.told(entry.key)


async def _commit_session(session: Session) -> None:
    """Commit, or say what is known.

    A full disk fails before the commit record is written, and SQLite has rolled back: not
    applied. After any other failure the record may be on disk and come back with a restart (an
    fsync that failed did, 2 of 2): unknown.
    """
    try:
        await session.commit()
    except Exception as error:
        if fault_of(error) is StorageFull:
            raise StorageFull from error
        raise OutcomeUnknown from error
