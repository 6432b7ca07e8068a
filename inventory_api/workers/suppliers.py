"""Pulls suppliers' lists by their schedules."""

import asyncio

from inventory_api.domain.unavailable import Unavailable
from inventory_api.service import Service
from inventory_api.store.supplier_runs import due_suppliers
from inventory_api.suppliers.pull import pull
from inventory_api.suppliers.runs import begin, tidy
from inventory_api.telemetry import get_logger
from inventory_api.workers.turns import Turn

logger = get_logger(__name__)

ACTOR = "schedule"


async def pull_suppliers(service: Service, turn: Turn) -> None:
    """Pull what is due every now and then, until cancelled; then the pulls under way end too."""
    pulls: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            await asyncio.sleep(service.settings.supplier_poll_s)
            try:
                await look(service, turn, pulls)
            except Unavailable as unavailable:
                logger.warning("suppliers_postponed", code=unavailable.code)
    finally:
        for task in pulls.values():
            task.cancel()
        await asyncio.gather(*pulls.values(), return_exceptions=True)


async def look(service: Service, turn: Turn, pulls: dict[str, asyncio.Task[None]]) -> None:
    """One look: forget what has ended, write off what nobody works on, start what is due."""
    for supplier in [one for one, task in pulls.items() if task.done()]:
        _see(pulls.pop(supplier))
    is_mine, _ = await turn.take()
    if not is_mine:
        return
    if service.database.is_shared:
        # A process that died holds no lease any more. A file's was written off at the start.
        await tidy(service)
    room = service.settings.supplier_pulls_max - len(pulls)
    if room <= 0:
        return
    async with service.reading() as session:
        due = await due_suppliers(session, service.clock(), limit=room)
    for supplier in due:
        if supplier not in pulls:
            pulls[supplier] = asyncio.create_task(pull_once(service, supplier))


async def pull_once(service: Service, supplier: str) -> None:
    """Pull one supplier, unless somebody does already."""
    try:
        begun = await begin(service, supplier, actor=ACTOR)
        if begun.run is not None and begun.outcome.refused is None:
            await pull(service, begun, is_forced=False, tell=lambda _: None)
    except Unavailable as unavailable:
        logger.warning("supplier_postponed", supplier=supplier, code=unavailable.code)


def _see(task: asyncio.Task[None]) -> None:
    """The failure of a pull is a defect that somebody has to see; the others go on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("supplier_pull_died", exc_info=error)
