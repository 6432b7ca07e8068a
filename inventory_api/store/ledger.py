"""The ledger, read: movements by number, operations, and the position of a moment."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.types import SKU, Instant, Level, LocationCode, Movement, Operation
from inventory_api.store.bulk import STEPS, VALUES, is_shared, listed
from inventory_api.store.changes import Head
from inventory_api.store.snapshot import LEVEL_COLUMNS
from inventory_api.store.tables import LEDGER_HEAD, LEVEL, MOVEMENT, OPERATION

MOVEMENT_COLUMNS = tuple(MOVEMENT.c[name] for name in Movement._fields)
OPERATION_COLUMNS = tuple(OPERATION.c[name] for name in Operation._fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which movements are wanted; None wants all."""

    sku: str | None = None
    location: str | None = None
    reference: str | None = None
    operation_id: str | None = None
    reservation_id: str | None = None
    locations: frozenset[str] | None = None

    @property
    def is_of_item(self) -> bool:
        """Whether nothing but the item and its locations is asked for."""
        return self.reference is self.operation_id is self.reservation_id is None


Step = tuple[int, SKU, LocationCode]
"""A version of a level: the key of one movement."""

_AT_STEP = (
    (MOVEMENT.c.level_version == STEPS.c.first)
    & (MOVEMENT.c.sku == STEPS.c.second)
    & (MOVEMENT.c.location == STEPS.c.third)
)
_STEPS = select(*MOVEMENT_COLUMNS).join_from(STEPS, MOVEMENT, _AT_STEP)
_STEP_SEQS = select(
    MOVEMENT.c.level_version, MOVEMENT.c.sku, MOVEMENT.c.location, MOVEMENT.c.seq
).join_from(STEPS, MOVEMENT, _AT_STEP)


async def _movements_of_item(
    session: AsyncSession, wanted: Filter, *, after: int, limit: int
) -> list[Movement]:
    """The next movements of each level of an item: known keys, so no index by SKU is needed."""
    statement = select(*LEVEL_COLUMNS).where(LEVEL.c.sku == wanted.sku, LEVEL.c.seq > after)
    levels = [
        level
        for level in map(Level._make, await session.execute(statement))
        if wanted.location in (None, level.location)
        and (wanted.locations is None or level.location in wanted.locations)
    ]
    begun = {step[1:]: step[0] for step in await steps_at(session, levels, after)}
    steps = [
        (version, level.sku, level.location)
        for level in levels
        for version in _next_versions(level, begun.get((level.sku, level.location), 0), limit)
    ]
    return await movements_of(session, steps)


def _next_versions(level: Level, last: int, count: int) -> range:
    return range(last + 1, min(level.version, last + count) + 1)


async def read_head(session: AsyncSession) -> Head:
    """The ledger's end."""
    row = (await session.execute(select(LEDGER_HEAD.c.seq, LEDGER_HEAD.c.recorded_at))).one()
    return Head(row[0], Instant(row[1]))


async def list_movements(
    session: AsyncSession, wanted: Filter, *, after: int, limit: int, until: int | None = None
) -> list[Movement]:
    """Movements in order of `seq`, from the one behind `after` to `until`."""
    if wanted.sku is not None and wanted.is_of_item:
        movements = await _movements_of_item(session, wanted, after=after, limit=limit)
        return [one for one in movements if until is None or one.seq <= until][:limit]
    page = select(*MOVEMENT_COLUMNS).where(MOVEMENT.c.seq > after, *_conditions(wanted))
    if until is not None:
        page = page.where(MOVEMENT.c.seq <= until)
    page = page.order_by(MOVEMENT.c.seq).limit(limit)
    if (written := _written(wanted, after=after, limit=limit)) is None:
        statement = page
    elif is_shared(session):
        statement = _page_of_pages(page, written, limit=limit)
    else:
        statement = page.select_from(written.join(MOVEMENT, _in_range(written)))
    return [Movement._make(row) for row in await session.execute(statement)]


async def movements_of(session: AsyncSession, steps: Collection[Step]) -> list[Movement]:
    """The named movements of levels, by number; steps that do not exist are left out."""
    rows = await session.execute(_STEPS, listed(steps))
    return sorted(Movement._make(row) for row in rows)


async def steps_at(session: AsyncSession, levels: Collection[Level], seq: int) -> list[Step]:
    """For each level its last step when the ledger ended at `seq`; levels without one are left out.

    A level's numbers rise with its versions, which have no gap: a bisection that asks for all
    levels at once.
    """
    low = {(level.sku, level.location): 0 for level in levels}
    high = {(level.sku, level.location): level.version for level in levels}
    while open_keys := [key for key in low if low[key] < high[key]]:
        middle = {key: (low[key] + high[key] + 1) // 2 for key in open_keys}
        rows = await session.execute(
            _STEP_SEQS, listed([(version, *key) for key, version in middle.items()])
        )
        found_rows = rows.all()
        assert len(found_rows) == len(open_keys), f"a movement of {open_keys[:3]} is missing"
        for version, sku, location, found in found_rows:
            key = (SKU(sku), LocationCode(location))
            low[key], high[key] = (version, high[key]) if found <= seq else (low[key], version - 1)
    return [(version, *key) for key, version in low.items() if version]


async def find_operation(session: AsyncSession, operation_id: str) -> Operation | None:
    """One operation."""
    statement = select(*OPERATION_COLUMNS).where(OPERATION.c.id == operation_id)
    row = (await session.execute(statement)).first()
    return None if row is None else Operation._make(row)


async def find_operations(session: AsyncSession, ids: Collection[str]) -> dict[str, Operation]:
    """Operations by their ids; those that do not exist are left out."""
    if not ids:
        return {}
    statement = select(*OPERATION_COLUMNS).where(OPERATION.c.id.in_(VALUES))
    rows = await session.execute(statement, listed(ids))
    return {one.id: one for one in map(Operation._make, rows)}


async def seq_at(session: AsyncSession, moment: Instant) -> int:
    """The number of the last movement recorded at or before a moment; 0 if there is none.

    Numbers have no gap and times do not run back along them, so a bisection over the primary key
    finds it in about twenty seeks: no index on the time is needed.
    """
    low, high = 0, (await read_head(session)).seq
    while low < high:
        middle = (low + high + 1) // 2
        statement = select(MOVEMENT.c.recorded_at).where(MOVEMENT.c.seq == middle)
        if (await session.execute(statement)).scalar_one() <= moment:
            low = middle
        else:
            high = middle - 1
    return low


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.sku is not None:
        conditions.append(MOVEMENT.c.sku == wanted.sku)
    if wanted.location is not None:
        conditions.append(MOVEMENT.c.location == wanted.location)
    if wanted.locations is not None:
        conditions.append(MOVEMENT.c.location.in_(sorted(wanted.locations)))
    if wanted.reservation_id is not None:
        conditions.append(MOVEMENT.c.reservation_id == wanted.reservation_id)
    return conditions


def _written(wanted: Filter, *, after: int, limit: int) -> Subquery | None:
    """The parts of the ledger that the wanted operations wrote; None if any operation will do.

    A movement's reference is its operation's, whose movements are a range of numbers: the few
    operations are found by their index, and no movement needs one more.
    """
    which = []
    if wanted.operation_id is not None:
        which.append(OPERATION.c.id == wanted.operation_id)
    if wanted.reference is not None:
        which.append(OPERATION.c.reference == wanted.reference)
    if not which:
        return None
    chosen = (
        select(OPERATION.c.first_seq, OPERATION.c.last_seq)
        .where(*which, OPERATION.c.last_seq > after)
        .order_by(OPERATION.c.first_seq)
    )
    if not _conditions(wanted):
        # Each operation has a movement, so that these fill the page; with more conditions they
        # might not, and the list would seem to end.
        chosen = chosen.limit(limit)
    return chosen.subquery()


def _in_range(written: Subquery) -> ColumnElement[bool]:
    return MOVEMENT.c.seq.between(written.c.first_seq, written.c.last_seq)


def _page_of_pages(page: Select[Any], written: Subquery, *, limit: int) -> Select[Any]:
    """The first rows of the first rows of each part.

    PostgreSQL can't know how few rows a range of numbers has, and would walk the whole ledger in
    order to be spared a sort: 1,100 pages of 41,000 movements for the four of a reference.
    """
    each = page.where(_in_range(written)).lateral()
    return select(each).select_from(written.join(each, true())).order_by(each.c.seq).limit(limit)
