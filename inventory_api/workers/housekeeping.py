"""Removes what is kept for a time only: remembered outcomes, and deliveries of webhooks."""

import asyncio

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import Unavailable
from inventory_api.service import ACTOR, Service
from inventory_api.store.database import Session
from inventory_api.store.idempotency import forget_before
from inventory_api.store.webhooks import forget_deliveries
from inventory_api.telemetry import get_logger
from inventory_api.workers.turns import Turn

logger = get_logger(__name__)


async def keep_house(service: Service, turn: Turn) -> None:
    """Forget what is outdated every now and then, until cancelled."""
    while True:
        await asyncio.sleep(service.settings.housekeeping_interval_s)
        try:
            while (await turn.take())[0] and await forget_outcomes(service):
                pass
            while (await turn.take())[0] and await forget_old_deliveries(service):
                pass
        except Unavailable as unavailable:
            logger.warning("housekeeping_postponed", code=unavailable.code)


async def forget_outcomes(service: Service) -> bool:
    """Remove one batch of outcomes older than `idempotency_keep_s`; whether there may be more."""
    rows_max = service.settings.housekeeping_rows
    removed = 0

    async def work(session: Session, _: Instant) -> Outcome:
        nonlocal removed
        oldest = _ago(service, service.settings.idempotency_keep_s)
        removed = await forget_before(session, oldest, rows_max=rows_max)
        return Outcome(b"{}")

    await service.transact(work, actor=ACTOR)
    return removed == rows_max


async def forget_old_deliveries(service: Service) -> bool:
    """Remove one batch of deliveries older than `webhook_deliveries_keep_s`; as above."""
    rows_max = service.settings.housekeeping_rows
    removed = 0

    async def work(session: Session, _: Instant) -> Outcome:
        nonlocal removed
        oldest = _ago(service, service.settings.webhook_deliveries_keep_s)
        removed = await forget_deliveries(session, oldest, rows_max=rows_max)
        return Outcome(b"{}")

    await service.transact(work, actor=ACTOR)
    return removed == rows_max


def _ago(service: Service, seconds: int) -> Instant:
    """By the clock that does not jump, and that processes share: a wrong one would forget all."""
    return Instant(service.steady_clock() - seconds * 1_000_000)
