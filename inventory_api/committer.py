"""The write path: every change of the database goes through the one task of this module.

Requests put what they want into a queue and wait on a future of their own. The task takes what is
queued, in order of arrival, and makes one transaction of it: look up known keys, read the levels,
decide in memory, write the difference, commit, and only then resolve the futures. While a commit
waits for the disk the next batch gathers by itself; nothing ever sleeps to collect more.

A request may be cancelled, time out or hang up at any moment: that touches its future and never
the transaction. What has not been taken by then will never run.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from inventory_api.attempt import Attempts, Entry, Limits, Work
from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import (
    DeadlineExpired,
    Draining,
    OutcomeUnknown,
    Overloaded,
    StorageFailed,
    Unavailable,
)
from inventory_api.store.database import Database
from inventory_api.store.recent import RecentLevels
from inventory_api.telemetry import Metrics, get_logger

logger = get_logger(__name__)


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
        self._attempts = Attempts(
            database=database,
            clock=clock,
            steady_clock=steady_clock,
            new_id=new_id,
            metrics=metrics,
            limits=limits,
            recent=RecentLevels(0 if database.is_shared else limits.recent_levels_max),
        )
        self._new_id = new_id
        self._metrics = metrics
        self._limits = limits
        # What a file holds after a failed COMMIT is known only to a new process; a server knows.
        self._must_restart = not database.is_shared
        self._queue: deque[Entry] = deque()
        self._arrival = asyncio.Event()
        self.is_open = True
        self.failed = asyncio.Event()
        # Set after each commit; who waits for it clears it.
        self.committed = asyncio.Event()
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
            outcomes = await self._attempts.persist(batch)
        except Unavailable as unavailable:
            # No defect, so no traceback: the storage's own words say what it is.
            # Its first line: the ones below may quote what was to be written.
            cause = str(unavailable.__cause__).partition("\n")[0]
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
            self.committed.set()

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

    def _fail(self) -> None:
        """Stop writing: what the disk holds is known only after a restart."""
        self.is_open = False
        self.failed.set()
        self._arrival.set()


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
