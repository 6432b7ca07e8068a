"""One endpoint: follows the ledger from its position, and delivers one event after the other.

It has a task of its own, so that it delays nobody. An event that fails stays the next one until it
is delivered or the endpoint is disabled: nothing overtakes it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from inventory_api.domain.events import (
    DOCUMENT_TYPES,
    RANK_MAX,
    Event,
    Position,
    level_events,
)
from inventory_api.domain.types import Instant, Movement
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.domain.webhook import Attempted, Delivery, Webhook, after_attempt
from inventory_api.feed import Follower, TooSlow
from inventory_api.outbound.retrying import pause_s
from inventory_api.service import Service
from inventory_api.telemetry import get_logger
from inventory_api.webhook_call import attempt
from inventory_api.workers.webhook_documents import Documents
from inventory_api.workers.webhook_journal import Journal

logger = get_logger(__name__)

_DOCUMENTS = frozenset(DOCUMENT_TYPES)
# Between two looks at a clock that may be set.
LOOK_S = 60.0
# After the database could not be read, and for a limit of our own that names no time.
PAUSE_S = 1.0
# Movements that an endpoint which is behind keeps: with a hundred of them some 100 MiB at most.
BEHIND_MAX = 500


# An attempt that takes longer waits for its receiver, and does so beside the slots.
SLOT_S = 0.02


class Slots:
    """How many attempts begin at the same time.

    Each attempt is a millisecond of work. A hundred endpoints that woke together would keep every
    request waiting for a hundred of them, again and again. A slot is given back when the attempt ends,
    and at the latest soon: a receiver that hangs keeps nobody from beginning.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None, None]:
        """Wait for a slot, and have it for a moment."""
        await self._free.acquire()
        is_held = True

        def give_back() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(SLOT_S, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()


class OthersTurn(Exception):
    """Another process may deliver by now."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all endpoints of a process share.

    Attributes:
        catching_up: lets few of those that are behind read the ledger at the same time.
        slots: for attempts that begin.
        is_my_turn: whether no other process delivers.
        chance: a number from 0 to below 1.
    """

    service: Service
    journal: Journal
    documents: Documents
    catching_up: asyncio.Semaphore
    slots: Slots
    is_my_turn: Callable[[], bool]
    chance: Callable[[], float] = random.random


class Endpoint:
    """Delivers to one webhook; `run` is its task.

    Attributes:
        webhook: as it is now, with what is not written yet.
        is_sending: whether an attempt is under way.
    """

    def __init__(self, webhook: Webhook, shared: Shared) -> None:
        self.webhook = webhook
        self.is_sending = False
        self._shared = shared
        self._service = shared.service
        self._is_ending = False
        self._look = asyncio.Event()
        self._began: tuple[str, Instant] | None = None
        self._pending: Delivery | None = None

    def change(self, webhook: Webhook) -> None:
        """Go on as somebody wants it now, from where this has got."""
        self.webhook = webhook.with_progress_of(self.webhook)
        self.look()

    def look(self) -> None:
        """See at once whether the time for the next attempt has come."""
        self._look.set()

    def end(self) -> None:
        """Begin no further attempt."""
        self._is_ending = True
        self.look()

    async def run(self) -> None:
        """Deliver until the endpoint is disabled, it is another process's turn, or it shall end."""
        with suppress(Draining, OthersTurn):
            while self.webhook.is_active and not self._is_ending:
                await self._wait_for_time()
                try:
                    await self._follow()
                except TooSlow:
                    # It goes on from its position, page by page.
                    continue
                except Draining:
                    raise
                except Unavailable as unavailable:
                    logger.warning("webhook_postponed", code=unavailable.code)
                    await asyncio.sleep(PAUSE_S)

    async def _wait_for_time(self) -> None:
        while (at := self.webhook.next_attempt_at) is not None and not self._is_ending:
            left_us = at - self._service.clock()
            if left_us <= 0:
                return
            self._look.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_us / 1_000_000, LOOK_S)):
                    await self._look.wait()

    async def _follow(self) -> None:
        """Deliver what comes, until an attempt fails: a reader that waits must not keep a buffer."""
        seq, rank = self.webhook.position
        after = seq if rank >= RANK_MAX else seq - 1
        is_near = False
        async with self._service.feed.follow(after=after) as follower:
            while not self._is_ending:
                movements, is_near = await self._read(follower, is_near)
                is_cut = not is_near and len(movements) > BEHIND_MAX
                movements = movements[:BEHIND_MAX] if is_cut else movements
                if not await self._deliver_all(movements):
                    return
                self._pass(movements[-1].seq if is_cut else follower.position)
                if is_cut:
                    return

    async def _read(self, follower: Follower, is_near: bool) -> tuple[Sequence[Movement], bool]:
        """What comes next, and whether the endpoint is so near the head that it waits for news."""
        if is_near:
            return await follower.read(), True
        async with self._shared.catching_up:
            movements = await follower.read(0)
        return movements, not movements

    async def _deliver_all(self, movements: Sequence[Movement]) -> bool:
        async with aclosing(self._events(movements)) as events:
            async for event in events:
                if not await self._deliver(event):
                    return False
        return True

    async def _events(self, movements: Sequence[Movement]) -> AsyncGenerator[Event, None]:
        """The wanted events behind the position; they are made one by one: a page has thousands."""
        documents: dict[int, Event] = {}
        if self.webhook.types & _DOCUMENTS:
            documents = await self._shared.documents.beginning_in(movements)
        for movement in movements:
            # Read anew each time: somebody may change the filters meanwhile.
            webhook, found = self.webhook, documents.get(movement.seq)
            if found is not None and await self._wants(found):
                yield found
            if webhook.touches(movement.sku, movement.location):
                for event in level_events(movement, webhook.types):
                    if self._is_next(event):
                        yield event

    async def _wants(self, event: Event) -> bool:
        if event.type not in self.webhook.types or not self._is_next(event):
            return False
        return await self._shared.documents.touches(event, self.webhook)

    def _is_next(self, event: Event) -> bool:
        return event.position > self.webhook.position

    def _pass(self, seq: int) -> None:
        """All up to a movement is done; nothing behind it was looked at."""
        position = Position(seq, RANK_MAX)
        if position <= self.webhook.position:
            return
        self.webhook = self.webhook.moved_to(position)
        self._shared.journal.passed(self.webhook)
        if self._pending is not None:
            # Nobody wants the event any more that failed: somebody has changed the filters.
            given_up = self._pending._replace(status="failed", next_attempt_at=None)
            self._shared.journal.delivered(self.webhook, given_up)
            self._pending = None

    async def _deliver(self, event: Event) -> bool:
        """One attempt; whether the next event may follow."""
        service = self._service
        await self._shared.journal.room()
        async with self._shared.slots.one():
            made = await self._attempt(event)
        now = service.clock()
        if not made.was_sent:
            pause_us = self._us(made.retry_after_s or PAUSE_S * (1 + self._shared.chance()))
            self.webhook = self.webhook._replace(next_attempt_at=Instant(now + pause_us))
            self._shared.journal.passed(self.webhook)
            return False
        self._note(event, made, now)
        return made.is_success and not self._is_ending

    async def _attempt(self, event: Event) -> Attempted:
        service = self._service
        if not self._shared.is_my_turn():
            raise OthersTurn
        self.is_sending = True
        try:
            return await attempt(
                service.outbound,
                self.webhook,
                event.id,
                event.body,
                now=service.clock(),
                deadline_s=service.settings.webhook_deadline_s,
            )
        finally:
            self.is_sending = False

    def _note(self, event: Event, made: Attempted, now: Instant) -> None:
        settings, metrics = self._service.settings, self._service.webhook_metrics
        if self._began is None or self._began[0] != event.id:
            self._began = (event.id, now)
        self.webhook, delivery = after_attempt(
            self.webhook,
            event,
            made,
            now=now,
            pause_us=self._pause_us(made),
            give_up_us=self._us(settings.webhook_give_up_s),
            began_at=self._began[1],
        )
        self._shared.journal.delivered(self.webhook, delivery)
        self._pending = delivery if delivery.status == "pending" else None
        if made.is_success:
            metrics.delivered(max(0, now - event.recorded_at) / 1_000_000)
            return
        metrics.failed(made.error or str(made.code))
        if not self.webhook.is_active:
            metrics.disabled()
            reason = self.webhook.disabled_reason
            logger.warning("webhook_disabled", webhook=self.webhook.id, reason=reason)

    def _pause_us(self, made: Attempted) -> int:
        """Until the next attempt: grows, is never alike, and is what the receiver asks for at least."""
        settings = self._service.settings
        ours_s = pause_s(
            self.webhook.attempts,
            chance=self._shared.chance(),
            first_s=settings.webhook_retry_pause_s,
            max_s=settings.webhook_retry_pause_max_s,
        )
        asked_s = min(made.retry_after_s or 0.0, settings.webhook_retry_after_max_s)
        return self._us(max(ours_s, asked_s))

    @staticmethod
    def _us(seconds: float) -> int:
        return round(seconds * 1_000_000)
