"""How a pull is begun, kept from others, and ended."""

import asyncio
import random
from collections.abc import Coroutine
from typing import NamedTuple, TypeVar

import orjson

from inventory_api.clock import new_id
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.supplier import Run
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.service import ACTOR, Service
from inventory_api.store.database import Session
from inventory_api.store.leases import take_lease
from inventory_api.store.supplier_runs import (
    Begun,
    Ending,
    begin_run,
    end_interrupted,
    end_run,
    lease_of,
    running_suppliers,
)
from inventory_api.store.suppliers import find_supplier
from inventory_api.suppliers.failure import PullFailed
from inventory_api.suppliers.schedule import next_due
from inventory_api.suppliers.tally import Tally
from inventory_api.telemetry import get_logger

logger = get_logger(__name__)

T = TypeVar("T")

# A run that can't be written off stays under way until somebody restarts the service.
ATTEMPTS_MAX = 6
PAUSE_S = 0.2
# So often in the time of a lease: two may fail before it is over.
RENEWALS = 3


class End(NamedTuple):
    """How a run ended; the validators are those of a list that was booked whole."""

    status: str
    error: str | None = None
    detail: str | None = None
    retry_after_s: float | None = None
    etag: str | None = None
    last_modified: str | None = None


# Who was told to end has not failed: the next process begins at once.
_NO_FAILURES = frozenset({"cancelled", "draining"})


async def begin(
    service: Service, supplier: str, *, actor: str, key: IdempotencyKey | None = None
) -> Begun:
    """Begin a pull; of a known key the outcome only, since it was begun before.

    Rejects: as `begin_run`.
    """
    found: list[Begun] = []
    lease_us = _lease_us(service)

    async def work(session: Session, now: Instant) -> Outcome:
        begun = await begin_run(
            session, supplier, new_id(), actor=actor, now=now, lease_us=lease_us
        )
        found.append(begun)
        return begun.outcome

    outcome = await service.transact(work, actor=actor, key=key)
    if outcome.replayed or not found:
        return Begun(outcome)
    return found[-1]._replace(outcome=outcome)


async def kept(service: Service, begun: Begun, work: Coroutine[None, None, T]) -> T:
    """Do the work while the supplier's lease is prolonged.

    Raises:
        PullFailed: another process has the lease now.
    """
    if begun.fence is None:
        return await work
    doing = asyncio.create_task(work)
    keeping = asyncio.create_task(_keep(service, begun))
    try:
        await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise PullFailed("overtaken", "another process pulls this supplier now")
    finally:
        doing.cancel()
        keeping.cancel()
        await asyncio.gather(doing, keeping, return_exceptions=True)


def broken_off(service: Service) -> End:
    """How a run ends that was cancelled: the service stops, or nobody waits for it any more."""
    is_stop = service.stopping_since is not None
    return End("failed", "draining" if is_stop else "cancelled")


async def end(service: Service, begun: Begun, tally: Tally, ended: End) -> Run:
    """Write the report, and when the schedule pulls next.

    Raises:
        Unavailable: it could not be written; a start of the service, or whoever takes over,
            ends the run as interrupted.
    """
    assert begun.run is not None
    told = tally.over(begun.run)._replace(
        status=ended.status,
        error=ended.error,
        report=orjson.dumps(tally.report(ended.detail)).decode(),
    )
    runs = [told]

    async def work(session: Session, now: Instant) -> Outcome:
        runs[0] = told._replace(ended_at=now)
        ending = await _ending(service, session, begun, runs[0], ended, now)
        await end_run(session, ending, kept=service.settings.supplier_runs_kept)
        return Outcome(b"{}")

    for attempt in range(ATTEMPTS_MAX):
        try:
            await service.transact(work, actor=told.actor)
            break
        except Draining:
            raise
        except Unavailable:
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(PAUSE_S * 2**attempt)
    service.metrics.supplier_runs.labels(ended.status).inc()
    logger.info("supplier_pulled", supplier=told.supplier, run=told.id, status=ended.status,
                code=ended.error, rows=told.rows, changed=told.changed)  # fmt: skip
    return runs[0]


async def tidy(service: Service) -> None:
    """End the runs of processes that are no more; on a file only before anything else is done."""
    async with service.reading() as session:
        # Most of the time there is none, and then nothing is written.
        if not await running_suppliers(session):
            return

    async def work(session: Session, now: Instant) -> Outcome:
        for supplier in await end_interrupted(session, now):
            logger.warning("supplier_run_interrupted", supplier=supplier)
        return Outcome(b"{}")

    await service.transact(work, actor=ACTOR)


async def _ending(
    service: Service, session: Session, begun: Begun, run: Run, ended: End, now: Instant
) -> Ending:
    """What the run leaves behind, by the supplier as it is now."""
    assert begun.supplier is not None
    supplier = await find_supplier(session, run.supplier, lock=True)
    assert supplier is not None, "suppliers are archived, never removed"
    is_whole = ended.status == "complete"
    is_no_failure = ended.error in _NO_FAILURES
    failures = 0
    if ended.status == "failed":
        failures = supplier.failures + (0 if is_no_failure else 1)
    due_at = next_due(
        supplier,
        now,
        failures=failures,
        retry_s=service.settings.supplier_retry_s,
        retry_after_s=ended.retry_after_s,
        chance=random.random(),  # noqa: S311 - no secret
    )
    due_at = now if is_no_failure and due_at is not None else due_at
    # Changed meanwhile, the same list would give other numbers.
    is_same = supplier.updated_at == begun.supplier.updated_at
    return Ending(
        run,
        due_at,
        failures,
        etag=ended.etag if is_same else None,
        last_modified=ended.last_modified if is_same else None,
        last_rows=run.named,
        is_whole=is_whole,
    )


async def _keep(service: Service, begun: Begun) -> None:
    """Prolong the lease; ends when it is another's."""
    assert begun.run is not None
    name, holder = lease_of(begun.run.supplier), begun.run.id

    async def work(session: Session, now: Instant) -> Outcome:  # noqa: ARG001 - the server's time counts
        fence = await take_lease(session, name, holder, lease_us=_lease_us(service))
        return Outcome(b"{}" if fence == begun.fence else b"")

    while True:
        await asyncio.sleep(service.settings.lease_s / RENEWALS)
        try:
            if not (await service.transact(work, actor=ACTOR)).answer:
                return
        except Unavailable as unavailable:
            logger.warning("supplier_lease_postponed", code=unavailable.code)


def _lease_us(service: Service) -> int:
    return round(service.settings.lease_s * 1_000_000)
