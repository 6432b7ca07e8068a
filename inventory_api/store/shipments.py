"""Shipments: found with their lines, written with what has become of them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.shipment import Consignment, Shipment, ShipmentLine
from inventory_api.domain.types import Instant, Key, LocationCode
from inventory_api.store.bulk import (
    VALUES,
    Lock,
    Prepared,
    Work,
    fetch,
    listed,
    many_upserts,
    prepare,
)
from inventory_api.store.pages import leading
from inventory_api.store.tables import LOCATION, SHIPMENT, SHIPMENT_LINE

SHIPMENT_COLUMNS = tuple(SHIPMENT.c[name] for name in Shipment._fields)
LINE_COLUMNS = tuple(SHIPMENT_LINE.c[name] for name in ShipmentLine._fields)
# Literal, like the condition of the index that serves it.
IS_OPEN = SHIPMENT_LINE.c.open > literal_column("0")

_ROWS = select(*SHIPMENT_COLUMNS).where(SHIPMENT.c.id.in_(VALUES)).order_by(SHIPMENT.c.id)
_BY_ID: dict[Lock, Prepared] = {
    Lock.NONE: prepare(_ROWS),
    Lock.WAIT: prepare(_ROWS.with_for_update()),
}
_LINES = prepare(
    select(*LINE_COLUMNS)
    .where(SHIPMENT_LINE.c.shipment_id.in_(VALUES))
    .order_by(SHIPMENT_LINE.c.shipment_id, SHIPMENT_LINE.c.line)
)
_SIZES = prepare(
    select(SHIPMENT_LINE.c.shipment_id, func.count())
    .where(SHIPMENT_LINE.c.shipment_id.in_(VALUES))
    .group_by(SHIPMENT_LINE.c.shipment_id)
)
_TRANSITS = prepare(
    select(LOCATION.c.code).where(
        LOCATION.c.code.in_(VALUES),
        LOCATION.c.kind == literal_column("'transit'"),
        LOCATION.c.sellable == literal_column("0"),
        LOCATION.c.status == literal_column("'active'"),
    )
)
_EXPECTED = prepare(
    select(
        SHIPMENT_LINE.c.location,
        SHIPMENT.c.kind,
        SHIPMENT.c.id,
        SHIPMENT.c.reference,
        SHIPMENT_LINE.c.open,
        SHIPMENT_LINE.c.expected_at,
    )
    .join(SHIPMENT, SHIPMENT.c.id == SHIPMENT_LINE.c.shipment_id)
    .where(
        SHIPMENT_LINE.c.sku == bindparam("sku"),
        SHIPMENT_LINE.c.location == bindparam("location"),
        IS_OPEN,
    )
    # What has no date comes last, on either database.
    .order_by(SHIPMENT_LINE.c.expected_at.is_(None), SHIPMENT_LINE.c.expected_at, SHIPMENT.c.id)
    .limit(bindparam("limit"))
)
_KEEP_SHIPMENTS = many_upserts(SHIPMENT, keys=["id"], changing=["status", "expected_at", "version"])
_KEEP_LINES = many_upserts(
    SHIPMENT_LINE,
    keys=["shipment_id", "line"],
    changing=["received", "cancelled", "missing", "open", "expected_at"],
)


async def consignments_of(
    session: AsyncSession, ids: Collection[str], lock: Lock = Lock.NONE
) -> dict[str, Consignment]:
    """The shipments that exist among the ids, with all their lines, which a lock covers too."""
    if not ids:
        return {}
    rows = list(map(Shipment._make, await fetch(session, _BY_ID[lock], listed(ids))))
    lines: dict[str, list[ShipmentLine]] = {}
    for row in await fetch(session, _LINES, listed(ids)):
        lines.setdefault(row[0], []).append(ShipmentLine._make(row))
    return {row.id: Consignment(row, tuple(lines[row.id])) for row in rows}


async def transits_among(
    session: AsyncSession, codes: Collection[LocationCode]
) -> set[LocationCode]:
    """Those in which goods under way may wait: active, of kind transit, and not selling."""
    if not codes:
        return set()
    return {row[0] for row in await fetch(session, _TRANSITS, listed(codes))}


async def is_under_way(session: AsyncSession, transit: str) -> bool:
    """Whether an open transfer goes through a location."""
    found = await session.execute(
        select(SHIPMENT.c.id)
        .where(
            SHIPMENT.c.kind == "transfer",
            SHIPMENT.c.status == "open",
            SHIPMENT.c.transit == transit,
        )
        .limit(1)
    )
    return found.first() is not None


async def find_shipments(
    session: AsyncSession,
    *,
    kind: str,
    after: str,
    limit: int,
    status: str | None,
    reference: str | None,
) -> list[str]:
    """Shipments of a kind in the order in which they were made, from the one behind `after`."""
    statement = select(SHIPMENT.c.id).where(SHIPMENT.c.kind == kind, SHIPMENT.c.id > after)
    if status is not None:
        statement = statement.where(SHIPMENT.c.status == status)
    if reference is not None:
        statement = statement.where(SHIPMENT.c.reference == reference)
    found = await session.execute(statement.order_by(SHIPMENT.c.id).limit(limit))
    return list(found.scalars())


async def leading_shipments(
    session: AsyncSession, ids: Sequence[str], *, lines_max: int
) -> dict[str, Consignment]:
    """The first of the shipments that have at most so many lines in all, or one."""
    return await consignments_of(session, await leading(session, ids, _SIZES, lines_max=lines_max))


class Expectation(NamedTuple):
    """What one line of a shipment will bring to a level, and when, if that is known."""

    location: str
    kind: str
    id: str
    reference: str
    quantity: int
    expected_at: Instant | None

    def show(self) -> dict[str, object]:
        """As an explanation tells it."""
        return {
            f"{self.kind}_id": self.id,
            "reference": self.reference,
            "quantity": self.quantity,
            "expected_at": None if self.expected_at is None else rfc3339(self.expected_at),
        }


async def expected_at_levels(
    session: AsyncSession, keys: Collection[Key], *, limit: int
) -> list[Expectation]:
    """What is expected at the levels, the first to come first, at most so many for each."""
    found: list[Expectation] = []
    for sku, location in keys:
        at = {"sku": sku, "location": location, "limit": limit}
        found += map(Expectation._make, await fetch(session, _EXPECTED, at))
    return found


def kept_shipments(consignments: Collection[Consignment]) -> list[Work]:
    """What writes shipments with their lines, new ones and changed ones."""
    return [
        (_KEEP_SHIPMENTS, [tuple(one.shipment) for one in consignments]),
        (_KEEP_LINES, [tuple(row) for one in consignments for row in one.lines]),
    ]
