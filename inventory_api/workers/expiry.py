"""Tidies up holds whose time is over. No number depends on it: reads never count them."""

import asyncio

from inventory_api.domain.reservation import Expire
from inventory_api.domain.types import Fence, Key
from inventory_api.domain.unavailable import Unavailable
from inventory_api.service import ACTOR, Service
from inventory_api.store.holds import due_levels
from inventory_api.telemetry import get_logger
from inventory_api.workers.turns import Turn

logger = get_logger(__name__)

# Levels of one command; their holds are bounded by `expiries_max`.
LEVELS_MAX = 100


async def sweep(service: Service, turn: Turn) -> None:
    """Expire what is due every now and then, until cancelled."""
    while True:
        try:
            while await _expire_in_turn(service, turn):
                pass
        except Unavailable as unavailable:
            logger.warning("expiry_postponed", code=unavailable.code)
        await asyncio.sleep(service.settings.expiry_sweep_s)


async def _expire_in_turn(service: Service, turn: Turn) -> bool:
    is_mine, fence = await turn.take()
    return is_mine and await expire_some(service, fence)


async def expire_some(service: Service, fence: Fence | None = None) -> bool:
    """Expire one batch of what is due; whether there was any."""
    keys = await _due(service)
    if not keys:
        return False
    await service.submit(Expire(keys=tuple(keys), fence=fence), actor=ACTOR)
    return True


async def _due(service: Service) -> list[Key]:
    async with service.reading() as session:
        return await due_levels(session, service.steady_clock(), limit=LEVELS_MAX)
