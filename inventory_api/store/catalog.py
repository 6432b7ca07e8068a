"""Items and locations: what is written through `transact`, and what is read."""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import Select, exists, insert, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.catalog import Item, Location, Shown, show_item, show_location
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Instant, Recipe
from inventory_api.store.bulk import VALUES, listed, lock_all_levels
from inventory_api.store.kits import (
    is_held,
    kits_of,
    kits_with,
    replace_components,
    unfit_components,
)
from inventory_api.store.shipments import is_under_way
from inventory_api.store.tables import ALLOCATION, ITEM, LEVEL, LOCATION

ITEM_COLUMNS = tuple(ITEM.c[name] for name in Item._fields)
LOCATION_COLUMNS = tuple(LOCATION.c[name] for name in Location._fields)

Changes = dict[str, Any]  # Any: values of columns
Tags = frozenset[str] | None
"""Versions that are accepted for a change; None accepts any."""


def shown_item(item: Item, recipe: Recipe = ()) -> Shown:
    """An item as answers show it; of a kit with its components."""
    return show_item(item, orjson.loads(item.attributes), recipe)


async def shown_items(session: AsyncSession, items: Sequence[Item]) -> list[Shown]:
    """Items as answers show them."""
    kits = await kits_of(session, [item.sku for item in items])
    return [shown_item(item, kits.get(SKU(item.sku), ())) for item in items]


async def find_item(session: AsyncSession, sku: str, *, lock: bool = False) -> Item | None:
    """One item, archived or not; locked, it stays as it is until the transaction ends."""
    statement = _locked(select(*ITEM_COLUMNS).where(ITEM.c.sku == sku), lock)
    row = (await session.execute(statement)).first()
    return None if row is None else Item._make(row)


async def find_items(
    session: AsyncSession, skus: Collection[str], *, lock: bool = False
) -> dict[str, Item]:
    """The items that exist among the SKUs, locked in sorted order."""
    statement = select(*ITEM_COLUMNS).where(ITEM.c.sku.in_(VALUES)).order_by(ITEM.c.sku)
    rows = await session.execute(_locked(statement, lock), listed(skus))
    return {row[0]: Item._make(row) for row in rows}


async def list_items(
    session: AsyncSession, *, q: str | None, status: str | None, after: str, limit: int
) -> list[Item]:
    """Items by SKU, from the one behind `after`; `q` is a part of SKU or name, or a barcode."""
    statement = select(*ITEM_COLUMNS).where(ITEM.c.sku > after).order_by(ITEM.c.sku).limit(limit)
    if status is not None:
        statement = statement.where(ITEM.c.status == status)
    if q is not None:
        statement = statement.where(
            or_(
                ITEM.c.sku.icontains(q, autoescape=True),
                ITEM.c.name.icontains(q, autoescape=True),
                ITEM.c.barcode == q,
            )
        )
    return [Item._make(row) for row in await session.execute(statement)]


async def create_item(session: AsyncSession, item: Item, recipe: Recipe = ()) -> Outcome:
    """Add an item, or a kit of what the recipe names.

    Rejects: `ALREADY_EXISTS`, archived or not; what `replace_components` rejects.
    """
    if await find_item(session, item.sku) is not None:
        return Outcome(b"{}", Code.ALREADY_EXISTS)
    await session.execute(insert(ITEM).values(item._asdict()))
    if recipe and (refused := await replace_components(session, item.sku, recipe)) is not None:
        return refused
    return _item_outcome(item, recipe)


async def change_item(
    session: AsyncSession,
    sku: str,
    changes: Changes,
    *,
    if_match: Tags,
    now: Instant,
    steady: Instant,
    recipe: Recipe | None = None,
) -> Outcome:
    """Change columns of an item; the version rises even if the values are the same.

    A `recipe` replaces the components of a kit; an empty one makes it a plain item. `steady` is of
    the clock that holds live by: one that is over does not keep an item in use.

    Rejects: `UNKNOWN_SKU`; `VERSION_MISMATCH` unless the version is among the wanted ones;
    `ITEM_IN_USE` if it is to be archived while a level of it is not empty, a reservation has some
    of it as a kit, or an active kit contains it; `UNFIT_COMPONENT` if a kit is to be active whose
    components are not; what `replace_components` rejects.
    """
    item = await find_item(session, sku, lock=True)
    if item is None:
        return Outcome(b"{}", Code.UNKNOWN_SKU)
    if if_match is not None and str(item.version) not in if_match:
        return _mismatch(item.version)
    status = changes.get("status")
    if status == "archived" and (refused := await _no_archive(session, sku, steady)) is not None:
        return refused
    if recipe is not None:
        if (refused := await replace_components(session, sku, recipe)) is not None:
            return refused
    else:
        recipe = (await kits_of(session, [sku])).get(SKU(sku), ())
        is_restored = status == "active" and item.status != "active"
        if recipe and is_restored and (unfit := await unfit_components(session, sku, recipe)):
            return Outcome(orjson.dumps({"lines": unfit}), Code.UNFIT_COMPONENT)
    item = item._replace(**changes, version=item.version + 1, updated_at=now)
    await session.execute(update(ITEM).where(ITEM.c.sku == sku).values(item._asdict()))
    return _item_outcome(item, recipe)


async def find_location(session: AsyncSession, code: str, *, lock: bool = False) -> Location | None:
    """One location, archived or not; locked like an item."""
    statement = _locked(select(*LOCATION_COLUMNS).where(LOCATION.c.code == code), lock)
    row = (await session.execute(statement)).first()
    return None if row is None else Location._make(row)


async def list_locations(session: AsyncSession, *, after: str, limit: int) -> list[Location]:
    """Locations by code, from the one behind `after`."""
    statement = (
        select(*LOCATION_COLUMNS)
        .where(LOCATION.c.code > after)
        .order_by(LOCATION.c.code)
        .limit(limit)
    )
    return [Location._make(row) for row in await session.execute(statement)]


async def create_location(session: AsyncSession, location: Location) -> Outcome:
    """Rejects: `ALREADY_EXISTS`, archived or not."""
    if await find_location(session, location.code) is not None:
        return Outcome(b"{}", Code.ALREADY_EXISTS)
    await session.execute(insert(LOCATION).values(location._asdict()))
    return _location_outcome(location)


async def change_location(
    session: AsyncSession,
    code: str,
    changes: Changes,
    *,
    if_match: Tags,
    now: Instant,
    steady: Instant,
) -> Outcome:
    """Change columns of a location; `steady` as for an item.

    Rejects: `UNKNOWN_LOCATION`; `VERSION_MISMATCH`; `LOCATION_IN_USE` if it is to be archived
    while a level of it is not empty, or to be no transit location while goods are under way there.
    """
    location = await find_location(session, code, lock=True)
    if location is None:
        return Outcome(b"{}", Code.UNKNOWN_LOCATION)
    if if_match is not None and str(location.version) not in if_match:
        return _mismatch(location.version)
    if changes.get("status") == "archived" and await _in_use(
        session, LEVEL.c.location == code, steady
    ):
        return Outcome(b"{}", Code.LOCATION_IN_USE)
    after = location._replace(**changes, version=location.version + 1, updated_at=now)
    if _carries(location) and not _carries(after) and await is_under_way(session, code):
        # They would be for sale, and be received nevertheless.
        return Outcome(b"{}", Code.LOCATION_IN_USE)
    location = after
    await session.execute(
        update(LOCATION).where(LOCATION.c.code == code).values(location._asdict())
    )
    return _location_outcome(location)


def _carries(location: Location) -> bool:
    """Whether goods under way may wait there."""
    return location.kind == "transit" and not location.sellable


async def _in_use(
    session: AsyncSession,
    where: Any,  # Any: a column's comparison
    steady: Instant,
) -> bool:
    """Whether a level there holds or expects anything, or has promised it."""
    await lock_all_levels(session)
    lives = exists().where(
        ALLOCATION.c.sku == LEVEL.c.sku,
        ALLOCATION.c.location == LEVEL.c.location,
        ALLOCATION.c.held > literal_column("0"),
        ALLOCATION.c.expires_at > steady,
    )
    busy = (LEVEL.c.on_hand + LEVEL.c.committed + LEVEL.c.incoming) > 0
    in_use = select(LEVEL.c.sku).where(where, busy | ((LEVEL.c.reserved > 0) & lives)).limit(1)
    return (await session.execute(in_use)).first() is not None


async def _no_archive(session: AsyncSession, sku: str, steady: Instant) -> Outcome | None:
    """Why an item can't be archived, if it can't."""
    if await _in_use(session, LEVEL.c.sku == sku, steady) or await is_held(session, sku):
        return Outcome(b"{}", Code.ITEM_IN_USE)
    kits = await kits_with(session, sku, only_active=True)
    return Outcome(orjson.dumps({"kits": kits}), Code.ITEM_IN_USE) if kits else None


def _locked(statement: Select[Any], lock: bool) -> Select[Any]:  # Any: rows of columns
    # No key is ever changed, so that references to the row may be made meanwhile.
    return statement.with_for_update(key_share=True) if lock else statement


def _item_outcome(item: Item, recipe: Recipe) -> Outcome:
    return Outcome(orjson.dumps(shown_item(item, recipe)), etag=str(item.version))


def _location_outcome(location: Location) -> Outcome:
    return Outcome(orjson.dumps(show_location(location)), etag=str(location.version))


def _mismatch(version: int) -> Outcome:
    return Outcome(orjson.dumps({"current_version": version}), Code.VERSION_MISMATCH)
