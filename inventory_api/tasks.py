"""What runs beside the requests of a service: started together, and ended in their order."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager

from inventory_api import clock
from inventory_api.domain.unavailable import Unavailable
from inventory_api.service import Service
from inventory_api.telemetry import get_logger
from inventory_api.workers.expiry import sweep
from inventory_api.workers.housekeeping import keep_house
from inventory_api.workers.suppliers import pull_suppliers
from inventory_api.workers.turns import Turn
from inventory_api.workers.webhooks import Webhooks

logger = get_logger(__name__)

# For the commit that is under way when everything else has ended.
LAST_WAIT_S = 0.5
CANCELLED_WITHIN_S = 2.0


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """The tasks of a service: the writer, which drains at the end, and those that just end."""
    holder = clock.new_id()
    names = ("housekeeping", "expiry", "suppliers", "webhooks")
    turns = {name: Turn(service, name, holder) for name in names}
    webhooks = Webhooks(service, turns["webhooks"])
    committing = asyncio.create_task(service.committer.run(), name="committer")
    others = [
        *(_start(work, name) for name, work in service.reads().items()),
        _start(keep_house(service, turns["housekeeping"]), "housekeeping"),
        _start(sweep(service, turns["expiry"]), "expiry_sweep"),
        _start(service.outbound.tidy(), "outbound_tidy"),
        _start(webhooks.run(), "webhooks"),
    ]
    pulling = _start(pull_suppliers(service, turns["suppliers"]), "suppliers")
    try:
        yield
    finally:
        now_s = asyncio.get_running_loop().time()
        if service.stopping_since is None:
            service.stopping_since = now_s
        ends_s = service.stopping_since + service.settings.drain_deadline_s
        # First of all: what a pull leaves behind has to be written, and is told to webhooks.
        pulling.cancel()
        await asyncio.wait([pulling], timeout=max(ends_s - now_s, 0.0))
        await _end_deliveries(webhooks, until_s=ends_s)
        await _give_back(turns.values(), until_s=ends_s)
        service.committer.drain()
        left_s = ends_s - asyncio.get_running_loop().time()
        await asyncio.wait([committing], timeout=max(left_s, LAST_WAIT_S))
        tasks = (committing, pulling, *others)
        for task in tasks:
            task.cancel()
        ended = asyncio.gather(*tasks, return_exceptions=True)
        # A driver's goodbye to a server that does not answer is not waited for.
        await asyncio.wait([ended], timeout=CANCELLED_WITHIN_S)


async def _end_deliveries(webhooks: Webhooks, *, until_s: float) -> None:
    """Write how far each webhook has got while there is a writer; what is not written comes again."""
    try:
        async with asyncio.timeout_at(until_s):
            await webhooks.close()
    except TimeoutError:
        logger.warning("webhook_progress_lost", code="deadline")


async def _give_back(turns: Iterable[Turn], *, until_s: float) -> None:
    """Let other processes do the background jobs at once; without it they wait for the leases."""
    try:
        async with asyncio.timeout_at(until_s):
            for turn in turns:
                await turn.give_back()
    except TimeoutError:
        logger.warning("leases_kept", code="deadline")
    except Unavailable as unavailable:
        logger.warning("leases_kept", code=unavailable.code)


def _start(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_death)
    return task


def _log_death(task: asyncio.Task[None]) -> None:
    """A task that should run for ever and does not is a defect that somebody must see."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("task_died", task=task.get_name(), exc_info=error)
