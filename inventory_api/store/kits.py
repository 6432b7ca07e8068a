"""Kits: which items are kits, what they are made of, and who may be a part of one."""

from collections.abc import Collection, Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, delete, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.kits import KITS_TOLD_MAX
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Recipe
from inventory_api.store.bulk import (
    VALUES,
    execute_many,
    fetch,
    listed,
    lock_all_levels,
    many_inserts,
    prepare,
)
from inventory_api.store.tables import ALLOCATION, ITEM, KIT_COMPONENT, LEVEL

_KIT, _COMPONENT = KIT_COMPONENT.c.kit, KIT_COMPONENT.c.component
_RECIPES = prepare(
    select(_KIT, _COMPONENT, KIT_COMPONENT.c.quantity)
    .where(_KIT.in_(VALUES))
    .order_by(_KIT, _COMPONENT)
)
# A plain item gives one row without a component.
_KNOWN = prepare(
    select(ITEM.c.sku, _COMPONENT, KIT_COMPONENT.c.quantity)
    .join_from(ITEM, KIT_COMPONENT, ITEM.c.sku == _KIT, isouter=True)
    .where(ITEM.c.sku.in_(VALUES))
    .order_by(ITEM.c.sku, _COMPONENT)
)
_INSERT = many_inserts(KIT_COMPONENT)
_STATUSES = select(ITEM.c.sku, ITEM.c.status).where(ITEM.c.sku.in_(VALUES))
# With the condition of the index that has these and no others.
_IS_OPEN: ColumnElement[bool] = literal_column("kit <> '' AND held + committed > 0")


async def kits_of(session: AsyncSession, skus: Collection[str]) -> dict[SKU, Recipe]:
    """Those of the items that are kits, with their components by SKU."""
    return _as_recipes(await fetch(session, _RECIPES, listed(skus))) if skus else {}


async def known_items(
    session: AsyncSession, skus: Collection[str]
) -> tuple[set[SKU], dict[SKU, Recipe]]:
    """Those of the SKUs that there are, and the kits among them, in one query."""
    rows = await fetch(session, _KNOWN, listed(skus))
    return {row[0] for row in rows}, _as_recipes(row for row in rows if row[1] is not None)


async def replace_components(session: AsyncSession, kit: str, recipe: Recipe) -> Outcome | None:
    """Make an item a kit of these components, or a plain item of none; the refusal, if it is one.

    Rejects: `HAD_STOCK` if it had stock of its own; `ITEM_IN_USE` if a kit contains it;
    `UNFIT_COMPONENT` naming those that are unknown, archived, kits, or the item itself.
    """
    if recipe and (refused := await _no_kit(session, kit, recipe)) is not None:
        return refused
    await session.execute(delete(KIT_COMPONENT).where(_KIT == kit))
    rows = [(kit, component, quantity) for component, quantity in recipe]
    await execute_many(session, _INSERT, rows)
    return None


async def kits_with(
    session: AsyncSession, component: str, *, only_active: bool = False
) -> list[str]:
    """The first kits that contain an item."""
    statement = select(_KIT).where(_COMPONENT == component)
    if only_active:
        statement = statement.join(ITEM, ITEM.c.sku == _KIT).where(ITEM.c.status == "active")
    found = await session.execute(statement.order_by(_KIT).limit(KITS_TOLD_MAX))
    return list(found.scalars())


async def is_held(session: AsyncSession, kit: str) -> bool:
    """Whether a reservation holds or has promised some of a kit."""
    statement = select(ALLOCATION.c.kit).where(ALLOCATION.c.kit == kit, _IS_OPEN).limit(1)
    return await _has_any(session, statement)


async def unfit_components(
    session: AsyncSession, kit: str, recipe: Recipe
) -> list[dict[str, object]]:
    """The components that can't be a part of the kit, and why."""
    skus = [sku for sku, _ in recipe]
    statuses = {row[0]: row[1] for row in await session.execute(_STATUSES, listed(skus))}
    kits = {kit, *await kits_of(session, skus)}
    codes = {sku: _unfit(statuses.get(sku), is_kit=sku in kits) for sku in skus}
    return [
        {"index": index, "sku": sku, "error": {"code": code.value}}
        for index, sku in enumerate(skus)
        if (code := codes[sku]) is not None
    ]


def _unfit(status: str | None, *, is_kit: bool) -> Code | None:
    if is_kit:
        return Code.IS_KIT
    if status is None:
        return Code.UNKNOWN_SKU
    return None if status == "active" else Code.ITEM_ARCHIVED


async def _no_kit(session: AsyncSession, kit: str, recipe: Recipe) -> Outcome | None:
    await lock_all_levels(session)
    # Levels are never removed: one that is there tells that there was stock.
    if await _has_any(session, select(LEVEL.c.sku).where(LEVEL.c.sku == kit).limit(1)):
        return Outcome(b"{}", Code.HAD_STOCK)
    if kits := await kits_with(session, kit):
        return Outcome(orjson.dumps({"kits": kits}), Code.ITEM_IN_USE)
    if unfit := await unfit_components(session, kit, recipe):
        return Outcome(orjson.dumps({"lines": unfit}), Code.UNFIT_COMPONENT)
    return None


async def _has_any(session: AsyncSession, statement: Select[Any]) -> bool:  # Any: whatever row
    return (await session.execute(statement)).first() is not None


def _as_recipes(rows: Iterable[tuple[Any, ...]]) -> dict[SKU, Recipe]:  # Any: the driver's
    kits: dict[SKU, list[tuple[SKU, int]]] = {}
    for kit, component, quantity in rows:
        kits.setdefault(kit, []).append((component, quantity))
    return {kit: tuple(parts) for kit, parts in kits.items()}
