"""Where else a refused item is available: a courtesy of refusals, read only when there are any."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.decide import Refused
from inventory_api.domain.ledger import Decided
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.shipments import IS_OPEN
from inventory_api.store.tables import ALLOCATION, LEVEL, LOCATION, SHIPMENT_LINE

# More than a caller will offer its customer; bounds the answer of a batch of refusals.
ELSEWHERE_MAX = 10

Offer = tuple[str, int]
"""A location, and what it has."""

AVAILABLE = LEVEL.c.on_hand - LEVEL.c.reserved - LEVEL.c.committed - LEVEL.c.safety_stock
_ELSEWHERE = (
    select(LEVEL.c.sku, LEVEL.c.location, AVAILABLE)
    .join(LOCATION, LOCATION.c.code == LEVEL.c.location)
    .where(
        LEVEL.c.sku.in_(VALUES),
        LOCATION.c.sellable == 1,
        LOCATION.c.status == "active",
        AVAILABLE > 0,
    )
    .order_by(LOCATION.c.priority, LEVEL.c.location)
)

# The first hold that ends and the first goods that come with a date, by one seek each for each
# level however many it has. A date that is past promises nothing.
NEXT = (
    select(
        LEVEL.c.sku,
        LEVEL.c.location,
        LOCATION.c.sellable,
        select(func.min(ALLOCATION.c.expires_at))
        .where(
            ALLOCATION.c.sku == LEVEL.c.sku,
            ALLOCATION.c.location == LEVEL.c.location,
            ALLOCATION.c.held > literal_column("0"),
            ALLOCATION.c.expires_at > bindparam("now"),
        )
        .scalar_subquery(),
        select(func.min(SHIPMENT_LINE.c.expected_at))
        .where(
            SHIPMENT_LINE.c.sku == LEVEL.c.sku,
            SHIPMENT_LINE.c.location == LEVEL.c.location,
            IS_OPEN,
            SHIPMENT_LINE.c.expected_at > bindparam("now"),
        )
        .scalar_subquery(),
    )
    .join(LOCATION, LOCATION.c.code == LEVEL.c.location)
    .where(
        LEVEL.c.sku.in_(VALUES),
        LEVEL.c.next_expiry_at.is_not(None) | (LEVEL.c.incoming > 0),
        LOCATION.c.status == "active",
    )
)


class Next(NamedTuple):
    """When a level may have more: the first hold that ends there, the first goods that come."""

    sku: str
    location: str
    sellable: int
    ends_at: Instant | None
    comes_at: Instant | None

    def serves(self, sku: str, location: str | None, visible: frozenset[str] | None) -> bool:
        """Whether a line would be served from it, for a caller who may hear of it."""
        if sku != self.sku or (visible is not None and self.location not in visible):
            return False
        return bool(self.sellable) if location is None else location == self.location


async def explain_shortages(
    session: AsyncSession, decided: Iterable[Decided], now: Instant
) -> None:
    """Fill in `elsewhere` and `next_available_at` of every shortage, by what is committed."""
    short = [
        (one.command.visible, result)
        for one in decided
        for result in one.decision.results
        if isinstance(result, Refused) and result.rejection.code is Code.INSUFFICIENT_STOCK
    ]
    if not short:
        return
    found: dict[str, list[Offer]] = {}
    skus = listed({sku for _, result in short for sku in _needed(result)})
    for sku, location, available in await session.execute(_ELSEWHERE, skus):
        found.setdefault(sku, []).append((location, available))
    nexts = list(map(Next._make, await session.execute(NEXT, {**skus, "now": now})))
    for visible, result in short:
        line = result.line
        own = [
            one
            for one in nexts
            for sku in _lacking(result)
            if one.serves(sku, line.location, visible)
        ]
        result.rejection.facts["next_available_at"] = _first(own)
        result.rejection.facts["elsewhere"] = [
            {"location": location, "available": available}
            for location, available in _offers(result, found)
            if location != result.line.location and (visible is None or location in visible)
        ][:ELSEWHERE_MAX]


def _first(nexts: Sequence[Next]) -> str | None:
    times = [at for one in nexts for at in (one.ends_at, one.comes_at) if at is not None]
    return rfc3339(min(times)) if times else None


def _needed(result: Refused) -> list[str]:
    """The items whose stock decides: the line's, or the components of its kit."""
    return [sku for sku, _ in result.recipe] or [result.line.sku]


def _lacking(result: Refused) -> list[str]:
    """The items of which more would help."""
    if not result.recipe:
        return [result.line.sku]
    return [one["sku"] for one in result.rejection.facts["components"]]


def _offers(result: Refused, found: Mapping[str, Sequence[Offer]]) -> Sequence[Offer]:
    """Where a line could be had, and how much: of a kit, whole ones."""
    if not result.recipe:
        return found.get(result.line.sku, ())
    parts = [(dict(found.get(sku, ())), units) for sku, units in result.recipe]
    kits = [
        (location, min(there.get(location, 0) // units for there, units in parts))
        for location, _ in found.get(result.recipe[0][0], ())
    ]
    return [offer for offer in kits if offer[1]]
