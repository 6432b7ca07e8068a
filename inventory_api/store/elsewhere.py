"""Where else a refused item is available: a courtesy of refusals, read only when there are any."""

from collections.abc import Iterable

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.decide import Refused
from inventory_api.domain.ledger import Decided
from inventory_api.domain.prospects import Ends, Next, Prospects
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.shipments import IS_OPEN
from inventory_api.store.tables import ALLOCATION, LEVEL, LOCATION, SHIPMENT_LINE

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


# The same without the holds of a reservation that its owner declares anew: their end is no hope
# of his. Its own holds are few on a level; each level that it has is asked about once.
_OWN = (
    select(ALLOCATION.c.reservation_id, ALLOCATION.c.sku, ALLOCATION.c.location)
    .where(ALLOCATION.c.reservation_id.in_(VALUES), ALLOCATION.c.held > literal_column("0"))
    .distinct()
    .subquery("own")
)
ENDS_OF_OTHERS = select(
    _OWN.c.reservation_id,
    _OWN.c.sku,
    _OWN.c.location,
    select(func.min(ALLOCATION.c.expires_at))
    .where(
        ALLOCATION.c.sku == _OWN.c.sku,
        ALLOCATION.c.location == _OWN.c.location,
        ALLOCATION.c.held > literal_column("0"),
        ALLOCATION.c.expires_at > bindparam("now"),
        ALLOCATION.c.reservation_id != _OWN.c.reservation_id,
    )
    .scalar_subquery(),
)


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
    skus = listed({sku for _, result in short for sku in _needed(result)})
    prospects = Prospects(
        await session.execute(_ELSEWHERE, skus),
        map(Next._make, await session.execute(NEXT, {**skus, "now": now})),
        await _ends_of_others(session, {result.own for _, result in short if result.own}, now),
    )
    for visible, result in short:
        prospects.tell(result, visible)


async def _ends_of_others(session: AsyncSession, own: set[str], now: Instant) -> Ends:
    if not own:
        return {}
    rows = await session.execute(ENDS_OF_OTHERS, {**listed(own), "now": now})
    return {(name, sku, location): at for name, sku, location, at in rows}


def _needed(result: Refused) -> list[str]:
    """The items whose stock decides: the line's, or the components of its kit."""
    return [sku for sku, _ in result.recipe] or [result.line.sku]
