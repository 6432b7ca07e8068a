"""Where else a refused item is available: a courtesy of refusals, read only when there are any."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.decide import Refused
from inventory_api.domain.ledger import Decided
from inventory_api.domain.rejections import Code
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.tables import LEVEL, LOCATION

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


async def explain_shortages(session: AsyncSession, decided: Iterable[Decided]) -> None:
    """Fill in `elsewhere` of every shortage, by the stock before the batch."""
    short = [
        (one.command.visible, result)
        for one in decided
        for result in one.decision.results
        if isinstance(result, Refused) and result.rejection.code is Code.INSUFFICIENT_STOCK
    ]
    if not short:
        return
    found: dict[str, list[tuple[str, int]]] = {}
    rows = await session.execute(_ELSEWHERE, listed({result.line.sku for _, result in short}))
    for sku, location, available in rows:
        found.setdefault(sku, []).append((location, available))
    for visible, result in short:
        result.rejection.facts["elsewhere"] = [
            {"location": location, "available": available}
            for location, available in found.get(result.line.sku, ())
            if location != result.line.location and (visible is None or location in visible)
        ][:ELSEWHERE_MAX]
