"""Where else a refused item is available: a courtesy of refusals, read only when there are any."""

from collections.abc import Iterable

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.decide import Refused
from inventory_api.domain.ledger import Decided
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.tables import ALLOCATION, LEVEL, LOCATION

# More than a caller will offer its customer; bounds the answer of a batch of refusals.
ELSEWHERE_MAX = 10

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

# The first hold that ends, by one seek for each level however many holds it has.
_ENDS = select(
    LEVEL.c.sku,
    LEVEL.c.location,
    select(func.min(ALLOCATION.c.expires_at))
    .where(
        ALLOCATION.c.sku == LEVEL.c.sku,
        ALLOCATION.c.location == LEVEL.c.location,
        ALLOCATION.c.held > literal_column("0"),
        ALLOCATION.c.expires_at > bindparam("now"),
    )
    .scalar_subquery(),
).where(LEVEL.c.sku.in_(VALUES), LEVEL.c.next_expiry_at.is_not(None))


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
    found: dict[str, list[tuple[str, int]]] = {}
    skus = listed({result.line.sku for _, result in short})
    for sku, location, available in await session.execute(_ELSEWHERE, skus):
        found.setdefault(sku, []).append((location, available))
    ends = (await session.execute(_ENDS, {**skus, "now": now})).all()
    for visible, result in short:
        result.rejection.facts["next_available_at"] = min(
            (
                rfc3339(at)
                for sku, location, at in ends
                if at is not None
                and sku == result.line.sku
                and result.line.location in (None, location)
                and (visible is None or location in visible)
            ),
            default=None,
        )
        result.rejection.facts["elsewhere"] = [
            {"location": location, "available": available}
            for location, available in found.get(result.line.sku, ())
            if location != result.line.location and (visible is None or location in visible)
        ][:ELSEWHERE_MAX]
