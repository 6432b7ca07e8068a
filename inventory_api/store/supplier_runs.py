"""Pulls of suppliers' lists: begun, ended, interrupted, and when the next is due."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import Shown
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.supplier import Run, Supplier, show_run
from inventory_api.domain.types import Fence, Instant
from inventory_api.store.bulk import is_shared
from inventory_api.store.catalog import Changes
from inventory_api.store.leases import give_back, held_leases, take_lease
from inventory_api.store.suppliers import find_supplier
from inventory_api.store.tables import SUPPLIER, SUPPLIER_RUN

_COLUMNS = tuple(SUPPLIER_RUN.c[name] for name in Run._fields)
INTERRUPTED = "interrupted"


class Begun(NamedTuple):
    """A run that has begun, or why none has; `fence` is of several processes only."""

    outcome: Outcome
    supplier: Supplier | None = None
    run: Run | None = None
    fence: Fence | None = None


class Ending(NamedTuple):
    """What a run leaves behind.

    Attributes:
        etag, last_modified: of the list that was applied whole; None keeps what is there.
        last_rows: likewise.
        due_at: when the schedule pulls next.
        failures: in a row.
    """

    run: Run
    due_at: Instant | None
    failures: int
    etag: str | None = None
    last_modified: str | None = None
    last_rows: int | None = None
    is_whole: bool = False


def shown_run(run: Run) -> Shown:
    """A run as answers show it."""
    return show_run(run, orjson.loads(run.report))


def lease_of(supplier: str) -> str:
    """The name of a supplier's lease."""
    return f"supplier:{supplier}"


async def begin_run(
    session: AsyncSession, code: str, run_id: str, *, actor: str, now: Instant, lease_us: int
) -> Begun:
    """Begin a pull, of which each supplier has one at a time.

    One that another process began and did not live to end is ended as interrupted.

    Rejects: `UNKNOWN_ID`; `SUPPLIER_ARCHIVED`; `PULL_RUNNING`.
    """
    supplier = await find_supplier(session, code, lock=True)
    if supplier is None:
        return Begun(Outcome(b"{}", Code.UNKNOWN_ID))
    if supplier.status != "active":
        return Begun(Outcome(b"{}", Code.SUPPLIER_ARCHIVED))
    fence = None
    if is_shared(session):
        fence = await take_lease(session, lease_of(code), run_id, lease_us=lease_us)
        if fence is None:
            return Begun(Outcome(b"{}", Code.PULL_RUNNING))
        await _interrupt(session, code, now)
    elif supplier.run_id is not None:
        return Begun(Outcome(b"{}", Code.PULL_RUNNING))
    run = Run(run_id, code, "running", actor, now, None, *(0,) * 10, None, "{}")
    await session.execute(insert(SUPPLIER_RUN).values(run._asdict()))
    await session.execute(update(SUPPLIER).where(SUPPLIER.c.code == code).values(run_id=run_id))
    return Begun(Outcome(orjson.dumps(shown_run(run))), supplier, run, fence)


async def end_run(session: AsyncSession, ending: Ending, *, kept: int) -> bool:
    """End a run and forget those before the last `kept`; whether it was still under way."""
    run = ending.run
    statement = update(SUPPLIER_RUN).where(
        SUPPLIER_RUN.c.id == run.id, SUPPLIER_RUN.c.status == "running"
    )
    ended = await session.execute(statement.values(run._asdict()).returning(SUPPLIER_RUN.c.id))
    if ended.first() is None:
        return False
    left: Changes = {"run_id": None, "due_at": ending.due_at, "failures": ending.failures}
    if ending.is_whole:
        left |= {
            "etag": ending.etag,
            "last_modified": ending.last_modified,
            "last_rows": ending.last_rows,
        }
    await session.execute(update(SUPPLIER).where(SUPPLIER.c.code == run.supplier).values(left))
    await _forget(session, run.supplier, kept)
    if is_shared(session):
        await give_back(session, lease_of(run.supplier), run.id)
    return True


async def end_interrupted(session: AsyncSession, now: Instant) -> list[str]:
    """End runs that nobody works on any more; the suppliers whose runs they were.

    A file has one process: at its start nobody works on any. Others hold a lease.
    """
    suppliers = await running_suppliers(session)
    if suppliers and is_shared(session):
        held = await held_leases(session, [lease_of(one) for one in suppliers])
        suppliers = [one for one in suppliers if lease_of(one) not in held]
    for supplier in suppliers:
        await _interrupt(session, supplier, now)
    return suppliers


async def running_suppliers(session: AsyncSession) -> list[str]:
    """Those that have a run under way, as far as is written."""
    statement = select(SUPPLIER_RUN.c.supplier).where(SUPPLIER_RUN.c.status == "running")
    return sorted((await session.execute(statement)).scalars())


async def due_suppliers(session: AsyncSession, now: Instant, *, limit: int) -> Sequence[str]:
    """Codes of those whose schedule says that they are to be pulled, the longest due first."""
    statement = (
        select(SUPPLIER.c.code)
        .where(SUPPLIER.c.due_at <= now, SUPPLIER.c.status == "active", SUPPLIER.c.run_id.is_(None))
        .order_by(SUPPLIER.c.due_at)
        .limit(limit)
    )
    return list((await session.execute(statement)).scalars())


async def find_run(session: AsyncSession, run_id: str) -> Run | None:
    """One run."""
    statement = select(*_COLUMNS).where(SUPPLIER_RUN.c.id == run_id)
    row = (await session.execute(statement)).first()
    return None if row is None else Run._make(row)


async def list_runs(
    session: AsyncSession, supplier: str, *, before: str | None, limit: int
) -> list[Run]:
    """Runs of a supplier, the last one first, from the one before `before`."""
    statement = (
        select(*_COLUMNS)
        .where(SUPPLIER_RUN.c.supplier == supplier)
        .order_by(SUPPLIER_RUN.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(SUPPLIER_RUN.c.id < before)
    return [Run._make(row) for row in await session.execute(statement)]


async def _interrupt(session: AsyncSession, supplier: str, now: Instant) -> None:
    """A run that has ended without a word; what is scheduled is due at once, to be done again."""
    running = SUPPLIER_RUN.c.status == "running"
    ended = (
        update(SUPPLIER_RUN)
        .where(SUPPLIER_RUN.c.supplier == supplier, running)
        .values(status="failed", ended_at=now, error=INTERRUPTED)
    )
    await session.execute(ended)
    at = update(SUPPLIER).where(SUPPLIER.c.code == supplier)
    await session.execute(at.values(run_id=None))
    await session.execute(at.where(SUPPLIER.c.due_at.is_not(None)).values(due_at=now))


async def _forget(session: AsyncSession, supplier: str, kept: int) -> None:
    oldest = (
        select(SUPPLIER_RUN.c.id)
        .where(SUPPLIER_RUN.c.supplier == supplier)
        .order_by(SUPPLIER_RUN.c.id.desc())
        .offset(kept - 1)
        .limit(1)
    ).scalar_subquery()
    await session.execute(
        delete(SUPPLIER_RUN).where(
            SUPPLIER_RUN.c.supplier == supplier, SUPPLIER_RUN.c.id < func.coalesce(oldest, "")
        )
    )
