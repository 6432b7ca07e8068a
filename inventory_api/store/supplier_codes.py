"""What a supplier's codes mean, and which of our items they are."""

from collections.abc import Collection, Mapping, Sequence

import orjson
from sqlalchemy import and_, bindparam, delete, exists, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, LocationCode
from inventory_api.store.bulk import (
    VALUES,
    execute_many,
    fetch,
    listed,
    many_upserts,
    prepare,
)
from inventory_api.store.tables import ITEM, KIT_COMPONENT, LEVEL, SUPPLIER_CODE

LINES_TOLD_MAX = 100
"""Unknown SKUs that a refusal lists."""

_UPSERT = many_upserts(SUPPLIER_CODE, keys=("supplier", "code"), changing=("sku",))
_MEANINGS = prepare(
    select(SUPPLIER_CODE.c.code, SUPPLIER_CODE.c.sku).where(
        SUPPLIER_CODE.c.supplier == bindparam("supplier"), SUPPLIER_CODE.c.code.in_(VALUES)
    )
)
_STOCKABLE = prepare(
    select(ITEM.c.sku).where(
        ITEM.c.sku.in_(VALUES),
        ITEM.c.status == literal_column("'active'"),
        ~exists().where(KIT_COMPONENT.c.kit == ITEM.c.sku),
    )
)
_KNOWN = select(ITEM.c.sku).where(ITEM.c.sku.in_(VALUES))


async def put_codes(
    session: AsyncSession,
    supplier: str,
    meanings: Mapping[str, str | None],
    *,
    codes_max: int,
) -> Outcome:
    """Set what codes mean, all of them or none; None takes a meaning away, others stay.

    Rejects: `UNKNOWN_SKU` with the lines; `TOO_MANY_CODES` beyond `codes_max` in all.
    """
    wanted = {sku for sku in meanings.values() if sku is not None}
    known = set((await session.execute(_KNOWN, listed(wanted))).scalars())
    if wanted - known:
        wrong = [
            {"index": index, "sku": sku, "error": {"code": Code.UNKNOWN_SKU.value}}
            for index, sku in enumerate(meanings.values())
            if sku is not None and sku not in known
        ]
        return Outcome(orjson.dumps({"lines": wrong[:LINES_TOLD_MAX]}), Code.UNKNOWN_SKU)
    gone = [code for code, sku in meanings.items() if sku is None]
    if gone:
        here = and_(SUPPLIER_CODE.c.supplier == supplier, SUPPLIER_CODE.c.code.in_(VALUES))
        await session.execute(delete(SUPPLIER_CODE).where(here), listed(gone))
    rows = [(supplier, code, sku) for code, sku in sorted(meanings.items()) if sku is not None]
    await execute_many(session, _UPSERT, rows)
    count = await _count(session, supplier)
    if count > codes_max:
        return Outcome(b"{}", Code.TOO_MANY_CODES)
    answer = {"supplier": supplier, "set": len(rows), "removed": len(gone), "codes": count}
    return Outcome(orjson.dumps(answer))


async def list_codes(
    session: AsyncSession, supplier: str, *, after: str, limit: int
) -> list[tuple[str, str]]:
    """Codes and what they mean, by code, from the one behind `after`."""
    statement = (
        select(SUPPLIER_CODE.c.code, SUPPLIER_CODE.c.sku)
        .where(SUPPLIER_CODE.c.supplier == supplier, SUPPLIER_CODE.c.code > after)
        .order_by(SUPPLIER_CODE.c.code)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def skus_of(
    session: AsyncSession, supplier: str, codes: Collection[str], *, unmapped_is_sku: bool
) -> dict[str, SKU]:
    """Which of our items the codes are, as far as they are any that can have stock."""
    rows = await fetch(session, _MEANINGS, {"supplier": supplier, **listed(codes)})
    meanings = {code: code for code in codes} if unmapped_is_sku else {}
    meanings |= {row[0]: row[1] for row in rows}
    stockable = {row[0] for row in await fetch(session, _STOCKABLE, listed(set(meanings.values())))}
    return {code: SKU(sku) for code, sku in meanings.items() if sku in stockable}


async def stocked_at(
    session: AsyncSession, location: LocationCode, *, after: str, limit: int
) -> Sequence[SKU]:
    """SKUs that have stock at a location, in order, from the one behind `after`."""
    statement = (
        select(LEVEL.c.sku)
        .where(LEVEL.c.location == location, LEVEL.c.sku > after, LEVEL.c.on_hand > 0)
        .order_by(LEVEL.c.sku)
        .limit(limit)
    )
    return list((await session.execute(statement)).scalars())


async def count_stocked(session: AsyncSession, location: LocationCode) -> int:
    """How many SKUs have stock at a location."""
    statement = select(func.count()).where(LEVEL.c.location == location, LEVEL.c.on_hand > 0)
    return int((await session.execute(statement)).scalar_one())


async def _count(session: AsyncSession, supplier: str) -> int:
    statement = select(func.count()).where(SUPPLIER_CODE.c.supplier == supplier)
    return int((await session.execute(statement)).scalar_one())
