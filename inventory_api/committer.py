"""The write path: every change of the database goes through the one task of this module.

Requests put what they want into a queue and wait on a future of their own. The task takes what is
queued, in order of arrival, and makes one transaction of it: look up known keys, read the levels,
decide in memory, write the difference, commit, and only then resolve the futures. While a commit
waits for the disk the next batch gathers by itself; nothing ever sleeps to collect more.

A request may be cancelled, time out or hang up at any moment: that touches its future and never
the transaction. What has not been taken by then will never run.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from inventory_api.batch import Asking, Moment, run_batch
from inventory_api.domain.decide import Refused
from inventory_api.domain.judge import Asked
from inventory_api.domain.ledger import Decided, answer, refusal
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import (
    DeadlineExpired,
    Draining,
    OutcomeUnknown,
    Overloaded,
    StorageConflict,
    StorageFailed,
    StorageFull,
    StorageRace,
    StorageUnreachable,
    Unavailable,
)
from inventory_api.store.database import Database, Session
from inventory_api.store.faults import fault_of
from inventory_api.store.idempotency import Caller, Remembered, remember, remembered
from inventory_api.telemetry import Metrics, get_logger

logger = get_logger(__name__)

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


class Committer:
    """The single writer: `run` is its task, `submit` and `transact` are for everybody.

    Args:
        clock: microseconds since 1970; may jump, the ledger's time does not run back.
        steady_clock: the same, but it never jumps: holds live by it.
        new_id: makes time-ordered identities.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], Instant],
        steady_clock: Callable[[], Instant],
        new_id: Callable[[], str],
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._database = database
        self._clock = clock
        self._steady_clock = steady_clock
        self._new_id = new_id
        self._metrics = metrics
        self._limits = limits
        # What a file holds after a failed COMMIT is known only to a new process; a server knows.
        self._must_restart = not database.is_shared
        self._queue: deque[Entry] = deque()
        self._arrival = asyncio.Event()
        self.is_open = True
        self.failed = asyncio.Event()
        metrics.queue_depth.set_function(lambda: len(self._queue))

    async def submit(
        self, command: Asked, *, actor: str, key: IdempotencyKey | None = None, deadline_s: float
    ) -> Outcome:
        """Have a command decided and committed.

        Raises:
            Overloaded, Draining, DeadlineExpired, StorageBusy, StorageFull, StorageReadOnly: it
                is not applied and never will be.
            OutcomeUnknown, StorageFailed: it may have been; ask again with the same key.
        """
        return await self._enter(command, actor, key, deadline_s)

    async def transact(
        self,
        work: Work,
        *,
        actor: str,
        key: IdempotencyKey | None = None,
        deadline_s: float,
        after_commit: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Run session code in a transaction of its own; raises as `submit`.

        `work` neither commits nor waits for anything but its session; a refused outcome rolls it
        back. `after_commit` is told of the outcome even if the request has left by then.
        """
        return await self._enter(work, actor, key, deadline_s, after_commit)

    def drain(self) -> None:
        """Take nothing more; `run` returns when what was accepted is answered."""
        self.is_open = False
        self._arrival.set()

    async def run(self) -> None:
        """Commit batch after batch, until drained or until the storage fails."""
        try:
            while (self.is_open or self._queue) and not self.failed.is_set():
                if batch := self._take():
                    await self._commit(batch)
                elif self.is_open:
                    self._arrival.clear()
                    await self._arrival.wait()
        except Exception:
            logger.exception("committer_died")
            self._fail()
            raise
        finally:
            self.is_open = False
            # Nobody has claimed these: they never run, here or after a restart.
            _refuse(self._queue, Draining)
            self._queue.clear()

    async def _enter(
        self,
        what: Asked | Work,
        actor: str,
        key: IdempotencyKey | None,
        deadline_s: float,
        after_commit: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        if not self.is_open:
            raise Draining
        if len(self._queue) >= self._limits.queue_commands_max:
            raise Overloaded
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = Entry(what, actor, key, future, self._new_id(), after_commit)
        self._queue.append(entry)
        self._arrival.set()
        try:
            async with asyncio.timeout(deadline_s):
                return await future
        except TimeoutError:
            # The timeout has cancelled the future: what is not claimed now never will be.
            raise (OutcomeUnknown if entry.claimed else DeadlineExpired) from None

    def _take(self) -> list[Entry]:
        """Claim the next batch: commands up to the limits, or one piece of other work."""
        batch: list[Entry] = []
        lines = 0
        while self._queue and len(batch) < self._limits.batch_commands_max:
            entry = self._queue[0]
            if entry.future.done():
                self._queue.popleft()
                continue
            size = 0 if callable(entry.what) else max(1, len(entry.what.lines))
            if batch and (not size or lines + size > self._limits.batch_lines_max):
                break
            entry.claimed = True
            batch.append(self._queue.popleft())
            lines += size
            if not size:
                break
        return batch

    async def _commit(self, batch: Sequence[Entry]) -> None:
        """Answer every entry of a batch, whatever happens.

        An error that is not the storage's is a defect that some entry brought along. Nothing is
        committed then, so each runs again alone and only the guilty one fails.
        """
        started = time.perf_counter()
        try:
            outcomes = await self._persist(batch)
        except Unavailable as unavailable:
            # No defect, so no traceback: the storage's own words say what it is.
            cause = str(unavailable.__cause__)
            logger.error("batch_failed", code=unavailable.code, commands=len(batch), cause=cause)  # noqa: TRY400
            if isinstance(unavailable, StorageFailed | OutcomeUnknown) and self._must_restart:
                self._fail()
            _refuse(batch, type(unavailable))
        except Exception as error:  # noqa: BLE001 - a defect: found out below
            await self._isolate(batch, error)
        else:
            self._metrics.batch_commands.observe(len(batch))
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
            self._put_back(batch, outcomes)
            for entry, outcome in zip(batch, outcomes, strict=True):
                if outcome is None:
                    continue
                if entry.after_commit is not None and outcome.refused is None:
                    entry.after_commit(outcome)
                _resolve(entry.future, outcome)

    def _put_back(self, batch: Sequence[Entry], outcomes: Sequence[Outcome | None]) -> None:
        """More was due on their levels than one batch expires: they come again, before others."""
        for entry, outcome in zip(reversed(batch), reversed(outcomes), strict=True):
            if outcome is None:
                entry.claimed = False
                self._queue.appendleft(entry)

    async def _isolate(self, batch: Sequence[Entry], error: Exception) -> None:
        """Find the guilty one: each entry again alone, unless it was alone already."""
        if len(batch) == 1:
            _resolve(batch[0].future, error)
            return
        logger.error("batch_isolated", commands=len(batch), exc_info=error)
        for entry in batch:
            if self.failed.is_set():
                _refuse([entry], Draining)
            else:
                await self._commit([entry])

    async def _persist(self, batch: Sequence[Entry]) -> list[Outcome | None]:
        """Attempt a batch, and again as a whole while other processes get in its way.

        Nothing was committed then, and the next attempt decides everything anew. The pauses grow
        and are never alike, so that two processes do not meet again and again.
        """
        for attempt in range(self._limits.retries_max):
            try:
                return await self._attempt(batch)
            except (StorageConflict, StorageUnreachable) as fault:
                if isinstance(fault, StorageRace) and attempt >= RACES_MAX:
                    raise fault.__cause__ or fault from None
                self._metrics.batch_retries.labels(fault.code).inc()
                pause_s = self._limits.retry_pause_s * 2**attempt
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await self._attempt(batch)

    async def _attempt(self, batch: Sequence[Entry]) -> list[Outcome | None]:
        """One transaction for the batch; the outcomes are in its order, None: it has to wait.

        Raises:
            Unavailable: the storage's fault; `OutcomeUnknown` if COMMIT itself failed.
        """
        has_committed = False
        try:
            async with self._database.writer() as session:
                known = await remembered(session, {entry.caller for entry in batch if entry.caller})
                fresh = _fresh(batch, known)
                now = self._clock()
                outcomes, has_written = await self._run(session, fresh, now)
                kept = [_kept(*pair, now) for pair in zip(fresh, outcomes, strict=True)]
                rows = [row for row in kept if row is not None]
                await remember(session, rows)
                if has_written or rows:
                    await _commit_session(session)
                has_committed = True
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
        self, session: Session, entries: Sequence[Entry], now: Instant
    ) -> tuple[list[Outcome | None], bool]:
        """The outcomes of the entries, and whether there is anything to commit."""
        if entries and callable(entries[0].what):
            outcome = await entries[0].what(session, now)
            if outcome.refused is None:
                return [outcome], True
            await session.rollback()
            return [outcome], False
        return await self._run_commands(session, entries, now)

    async def _run_commands(
        self, session: Session, entries: Sequence[Entry], now: Instant
    ) -> tuple[list[Outcome | None], bool]:
        asked = [
            Asking(one.what, one.operation_id, one.actor, one.key and one.key.key)
            for one in entries
            if not callable(one.what)
        ]
        if not asked:
            return [], False
        at = Moment(now=now, steady=self._steady_clock())
        batch = await run_batch(
            session, asked, at, due_max=self._limits.expiries_max, new_id=self._new_id
        )
        told = [None if one is None else self._outcome(*one) for one in batch.verdicts]
        return told, batch.has_written

    def _outcome(self, one: Decided, first_seq: int) -> Outcome:
        for result in one.decision.results:
            if isinstance(result, Refused):
                self._metrics.refusal(result.rejection.code)
        if one.decision.refused:
            code, facts = refusal(one)
            return Outcome(orjson.dumps(facts), code)
        version = one.decision.version
        told = answer(one, first_seq)
        return Outcome(orjson.dumps(told), etag=None if version is None else str(version))

    def _fail(self) -> None:
        """Stop writing: what the disk holds is known only after a restart."""
        self.is_open = False
        self.failed.set()
        self._arrival.set()


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
    if (row := known.get(entry.caller)) is None:
        return None  # the first one waits
    is_same = row.fingerprint == entry.key.fingerprint
    return row.outcome if is_same else Outcome(b"{}", Code.IDEMPOTENCY_MISMATCH)


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


def _refuse(entries: Iterable[Entry], reason: type[Unavailable]) -> None:
    for entry in entries:
        _resolve(entry.future, reason())


def _resolve(future: asyncio.Future[Outcome], result: Outcome | Exception) -> None:
    """Answer a waiter, unless it has left."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
