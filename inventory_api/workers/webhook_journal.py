"""How far endpoints have got, until it is written: of all of them together, in one transaction.

A transaction for each delivery would make the writer, whose time is the orders', write a thousand
times a second. A crash repeats what was not written yet, with the same ids.
"""

import asyncio
from contextlib import suppress

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Fence, Instant
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.domain.webhook import Delivery, Webhook
from inventory_api.service import ACTOR, Service
from inventory_api.store.database import Session
from inventory_api.store.leases import lost_fences
from inventory_api.store.webhooks import write_progress
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

# For endpoints that have only passed what they do not want: nothing is repeated without it.
IDLE_S = 5.0
RETRY_S = 1.0


class Journal:
    """What was done since it was last written; `run` writes it, every now and then.

    Attributes:
        fence: under which of several processes it is written; None: there is one only.
        is_lost: another process has taken over, and nothing of this may be written.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: dict[str, dict[int, Delivery]] = {}
        self._count = 0
        self._passed = asyncio.Event()
        self._delivered = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._writing = asyncio.Lock()
        self.fence: Fence | None = None
        self.is_lost = False

    async def room(self) -> None:
        """Wait while as much is unwritten as a crash may repeat."""
        await self._room.wait()

    def passed(self, webhook: Webhook) -> None:
        """Note how far an endpoint has got without a delivery."""
        self._webhooks[webhook.id] = webhook
        self._passed.set()

    def delivered(self, webhook: Webhook, delivery: Delivery) -> None:
        """Note an attempt, and the state in which it left its endpoint."""
        self.passed(webhook)
        kept = self._deliveries.setdefault(webhook.id, {})
        kept[delivery.number] = delivery
        if len(kept) > self._service.settings.webhook_deliveries_keep:
            del kept[next(iter(kept))]
        self._count += 1
        self._delivered.set()
        if self._count >= self._service.settings.webhook_flush_events:
            self._full.set()
            self._room.clear()

    def forget(self) -> None:
        """What was noted is another process's business now."""
        self._take()
        self.is_lost = False

    async def run(self) -> None:
        """Write what was noted, until cancelled."""
        clock, written_s = asyncio.get_running_loop().time, 0.0
        while True:
            await self._passed.wait()
            await _first(self._delivered, IDLE_S)
            if self._delivered.is_set():
                # At once after a quiet time, then so often: the pause is after a writing.
                left_s = written_s + self._service.settings.webhook_flush_s - clock()
                if left_s > 0:
                    await _first(self._full, left_s)
            if not await self.write():
                await asyncio.sleep(RETRY_S)
            written_s = clock()

    async def write(self) -> bool:
        """Write everything now; whether that could be done."""
        async with self._writing:
            webhooks, deliveries = self._take()
            if not webhooks:
                return True
            try:
                await self._write(webhooks, deliveries)
            except asyncio.CancelledError:
                # At the end, for the last writing: whether this one was done is not known.
                self._put_back(webhooks, deliveries)
                raise
            except Unavailable as unavailable:
                self._put_back(webhooks, deliveries)
                if not isinstance(unavailable, Draining):
                    logger.warning("webhook_progress_postponed", code=unavailable.code)
                return False
            return True

    async def _write(
        self, webhooks: dict[str, Webhook], deliveries: dict[str, dict[int, Delivery]]
    ) -> None:
        fence, keep = self.fence, self._service.settings.webhook_deliveries_keep

        async def work(session: Session, now: Instant) -> Outcome:  # noqa: ARG001 - times are known
            if fence is not None and await lost_fences(session, [fence]):
                return Outcome(b"{}", Code.VERSION_MISMATCH)
            told = [one for kept in deliveries.values() for one in kept.values()]
            await write_progress(session, list(webhooks.values()), told, keep=keep)
            return Outcome(b"{}")

        outcome = await self._service.transact(work, actor=ACTOR)
        if outcome.refused is not None and fence == self.fence:
            self.is_lost = True

    def _take(self) -> tuple[dict[str, Webhook], dict[str, dict[int, Delivery]]]:
        taken = self._webhooks, self._deliveries
        self._webhooks, self._deliveries, self._count = {}, {}, 0
        for event in (self._passed, self._delivered, self._full):
            event.clear()
        self._room.set()
        return taken

    def _put_back(
        self, webhooks: dict[str, Webhook], deliveries: dict[str, dict[int, Delivery]]
    ) -> None:
        """What is newer by now stays; deliveries wait until the database takes these."""
        self._webhooks = webhooks | self._webhooks
        for name, kept in deliveries.items():
            both = kept | self._deliveries.get(name, {})
            numbers = sorted(both)[-self._service.settings.webhook_deliveries_keep :]
            self._deliveries[name] = {number: both[number] for number in numbers}
        self._count += sum(map(len, deliveries.values()))
        self._passed.set()
        self._delivered.set()
        if self._count >= self._service.settings.webhook_flush_events:
            self._room.clear()


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
