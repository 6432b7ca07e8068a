"""Delivers events to webhooks: in one of several processes, with a task for each endpoint."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from inventory_api.domain.unavailable import Unavailable
from inventory_api.domain.webhook import Webhook
from inventory_api.service import Service
from inventory_api.store.webhooks import all_webhooks
from inventory_api.telemetry import get_logger
from inventory_api.workers.turns import Turn
from inventory_api.workers.webhook_documents import Documents
from inventory_api.workers.webhook_endpoint import Endpoint, Shared, Slots
from inventory_api.workers.webhook_journal import Journal

logger = get_logger(__name__)

# A file is served by one process, which is told of each change: the tick is a safety net.
FILE_TICK_S = 60.0
# A lease is prolonged when a third of it is over, so that two tries may fail.
TURNS_PER_LEASE = 3
# Endpoints that are behind and read a page of the ledger: one keeps the readers free for others.
CATCHING_UP = 1
# For the attempts under way when the service stops; what does not end in that time is repeated.
LAST_ATTEMPTS_S = 1.0


class Webhooks:
    """The endpoints of a service; `run` is the task that keeps them as the database says."""

    def __init__(self, service: Service, turn: Turn) -> None:
        self._service = service
        self._turn = turn
        self._journal = Journal(service)
        self._shared = Shared(
            service,
            self._journal,
            Documents(service),
            asyncio.Semaphore(CATCHING_UP),
            Slots(service.settings.webhook_concurrency),
            self._is_my_turn,
        )
        self._endpoints: dict[str, tuple[Endpoint, asyncio.Task[None]]] = {}
        self._taken_at_s: float | None = None
        self._has_turn = False
        self._is_closing = False
        self._has_ended = asyncio.Event()
        service.webhook_metrics.failing.set_function(self._count_failing)

    async def run(self) -> None:
        """Look what the database says at each change and each tick, until closed."""
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._journal.run(), name="webhook_journal")
                await self._watch()
                writing.cancel()
        finally:
            await self._end_all()
            self._has_ended.set()

    async def close(self) -> None:
        """Let the attempts under way end, soon, and write how far each endpoint has got."""
        under_way = []
        for endpoint, task in self._endpoints.values():
            endpoint.end()
            under_way += [task] if endpoint.is_sending else []
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_ATTEMPTS_S)
        self._is_closing = True
        self._service.webhooks_changed.set()
        await self._has_ended.wait()
        await self._journal.write()

    async def _watch(self) -> None:
        service = self._service
        tick_s = service.settings.webhook_tick_s if service.database.is_shared else FILE_TICK_S
        while not self._is_closing:
            service.webhooks_changed.clear()
            try:
                await self._tend()
            except Unavailable as unavailable:
                logger.warning("webhooks_postponed", code=unavailable.code)
                await asyncio.sleep(service.settings.webhook_tick_s)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(tick_s):
                    await service.webhooks_changed.wait()

    async def _tend(self) -> None:
        webhooks = await self._read()
        if self._journal.is_lost:
            await self._leave()
        if not any(one.is_active for one in webhooks):
            await self._end_all()
            return
        had_turn = self._has_turn
        if not await self._take_turn():
            await self._leave()
            return
        if not had_turn:
            # What another process has written before it was this one's turn.
            webhooks = await self._read()
        await self._keep(webhooks)

    async def _read(self) -> list[Webhook]:
        async with self._service.reading() as session:
            return await all_webhooks(session)

    async def _take_turn(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        lease_s = self._service.settings.lease_s
        is_fresh = self._taken_at_s is not None and (
            not self._service.database.is_shared
            or now_s - self._taken_at_s < lease_s / TURNS_PER_LEASE
        )
        if self._has_turn and is_fresh:
            return True
        self._has_turn, self._journal.fence = await self._turn.take()
        # As of before the question: the lease lasts longer than this process believes.
        self._taken_at_s = now_s if self._has_turn else None
        return self._has_turn

    def _is_my_turn(self) -> bool:
        if not self._service.database.is_shared:
            return True
        now_s = asyncio.get_running_loop().time()
        return (
            self._taken_at_s is not None
            and not self._journal.is_lost
            and now_s - self._taken_at_s < self._service.settings.lease_s
        )

    async def _leave(self) -> None:
        """It is another process's turn: it knows how far each endpoint has got."""
        await self._end_all()
        self._journal.forget()
        self._has_turn, self._taken_at_s = False, None

    async def _keep(self, webhooks: Sequence[Webhook]) -> None:
        """A task for each active webhook, from where it stands, and for no other."""
        wanted = {one.id: one for one in webhooks if one.is_active}
        for name in [*self._endpoints]:
            endpoint, _ = self._endpoints[name]
            stored = wanted.get(name)
            if stored is None or stored.epoch != endpoint.webhook.epoch:
                await self._end([name])
        for name, stored in wanted.items():
            found = self._endpoints.get(name)
            if found is None or (found[1].done() and found[0].webhook.is_active):
                self._start(stored if found is None else found[0].webhook)
            elif stored.version != found[0].webhook.version:
                found[0].change(stored)
            else:
                # Its time may have come by a clock that was set.
                found[0].look()

    def _start(self, webhook: Webhook) -> None:
        endpoint = Endpoint(webhook, self._shared)
        task = asyncio.create_task(endpoint.run(), name=f"webhook {webhook.id}")
        task.add_done_callback(_log_death)
        self._endpoints[webhook.id] = (endpoint, task)

    async def _end(self, names: Sequence[str]) -> None:
        tasks = [self._endpoints.pop(name)[1] for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_all(self) -> None:
        await self._end([*self._endpoints])

    def _count_failing(self) -> int:
        endpoints = (endpoint for endpoint, _ in self._endpoints.values())
        return sum(one.webhook.failing_since is not None for one in endpoints)


def _log_death(task: asyncio.Task[None]) -> None:
    """One endpoint's defect stops that one, until the next tick, and must be seen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("webhook_died", task=task.get_name(), exc_info=error)
