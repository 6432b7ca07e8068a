"""How many can be sold: batch checks, and the stock of an item over its locations."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from inventory_api.domain.kits import Assembly, assemblies
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Instant, Key, Level, Recipe
from inventory_api.store.bulk import VALUES, listed
from inventory_api.store.holds import held_under
from inventory_api.store.kits import kits_of
from inventory_api.store.levels import (
    head_seq,
    levels_of_items,
    names_of,
    sellable_locations,
    without_due,
    without_due_list,
)
from inventory_api.store.snapshot import levels_of
from inventory_api.store.tables import LOCATION

Fields = Mapping[str, Any]  # Any: JSON values
Line = dict[str, Any]

_KNOWN_LOCATIONS = select(LOCATION.c.code).where(LOCATION.c.code.in_(VALUES))


class Stock(NamedTuple):
    """An item over its locations, read in one go with the ledger's position.

    A kit has no levels: it has a `recipe`, and `parts` are the levels of its components.
    """

    name: str
    levels: Sequence[Level]
    sellable: frozenset[str]
    seq: int
    recipe: Recipe = ()
    parts: Sequence[Level] = ()

    def kits_seen_by(self, locations: frozenset[str] | None) -> list[Assembly]:
        """How many of a kit there are at the locations that a caller may see; None sees all."""
        found = assemblies(self.recipe, self.parts)
        return [one for one in found if _sees(locations, one.location)]


async def stock_of(session: AsyncSession, skus: Collection[str], now: Instant) -> dict[str, Stock]:
    """The stock of the items that exist among the SKUs; what is due counts no more."""
    seq = await head_seq(session)
    names = await names_of(session, skus)
    levels = await _live_levels(session, names, now)
    sellable = frozenset(await sellable_locations(session))
    kits, parts = await _kits_among(session, {sku for sku in names if not levels[sku]}, now)
    found = {}
    for sku, name in names.items():
        recipe = kits.get(SKU(sku), ())
        found[sku] = Stock(name, levels[sku], sellable, seq, recipe, _parts_of(recipe, parts))
    return found


async def check(
    session: AsyncSession,
    lines: Sequence[Fields],
    locations: frozenset[str] | None,
    now: Instant,
    *,
    own: str | None = None,
) -> tuple[int, list[Line]]:
    """The ledger's position, and for each line what can be sold of it, or why it can't be told.

    What the reservation under the reference `own` holds counts as available.
    """
    anywhere = {line["sku"] for line in lines if line.get("location") is None}
    keys = {(line["sku"], line["location"]) for line in lines if line.get("location") is not None}
    seq = await head_seq(session)
    names = await names_of(session, {line["sku"] for line in lines})
    sellable = await sellable_locations(session)
    if locations is not None:
        sellable &= locations
    by_item = await _live_levels(session, anywhere, now) if anywhere else {}
    by_key = await without_due(session, await levels_of(session, keys), now)
    seen = {sku for sku, levels in by_item.items() if levels} | {sku for sku, _ in by_key}
    kits, parts = await _kits_among(session, names.keys() - seen, now)
    given_back = {} if own is None else await held_under(session, own, now)
    if given_back:
        by_key = {key: _without(level, given_back) for key, level in by_key.items()}
        by_item, parts = (
            {sku: [_without(level, given_back) for level in levels] for sku, levels in one.items()}
            for one in (by_item, parts)
        )
    codes = {code for _, code in keys}
    known = (
        set((await session.execute(_KNOWN_LOCATIONS, listed(codes))).scalars()) if codes else codes
    )
    results = []
    for line in lines:
        sku, location = line["sku"], line.get("location")
        if sku not in names:
            results.append({"sku": sku, "error": {"code": Code.UNKNOWN_SKU.value}})
        elif location is not None and (location not in known or not _sees(locations, location)):
            error = {"code": Code.UNKNOWN_LOCATION.value}
            results.append({"sku": sku, "location": location, "error": error})
        elif sku in kits:
            at = sellable if location is None else {location}
            found = assemblies(kits[sku], _parts_of(kits[sku], parts))
            kit = [one for one in found if one.location in at]
            results.append(_kit_result(line, names[sku], kit))
        elif location is None:
            levels = [level for level in by_item[sku] if level.location in sellable]
            results.append(_result(line, names[sku], levels))
        else:
            level = by_key.get((sku, location))
            results.append(_result(line, names[sku], [] if level is None else [level]))
    return seq, results


def _without(level: Level, held: Mapping[Key, int]) -> Level:
    return level._replace(reserved=level.reserved - held.get(level[:2], 0))


async def _live_levels(
    session: AsyncSession, skus: Collection[str], now: Instant
) -> dict[str, list[Level]]:
    found = await levels_of_items(session, skus)
    return {sku: await without_due_list(session, levels, now) for sku, levels in found.items()}


async def _kits_among(
    session: AsyncSession, skus: Collection[str], now: Instant
) -> tuple[dict[SKU, Recipe], dict[str, list[Level]]]:
    """The kits among items without a level, and the levels of what they are made of."""
    kits = await kits_of(session, skus)
    components = {sku for recipe in kits.values() for sku, _ in recipe}
    return kits, await _live_levels(session, components, now) if components else {}


def _parts_of(recipe: Recipe, levels: Mapping[str, Sequence[Level]]) -> list[Level]:
    return [level for sku, _ in recipe for level in levels[sku]]


def _sees(locations: frozenset[str] | None, location: str) -> bool:
    return locations is None or location in locations


def _result(line: Fields, name: str, levels: Sequence[Level]) -> Line:
    requested = line.get("quantity", 1)
    if line.get("location") is None:
        # What one location lacks is not taken from what another can sell.
        available = sum(max(0, level.available) for level in levels)
    else:
        available = sum(level.available for level in levels)
    return {
        "sku": line["sku"],
        "location": line.get("location"),
        "name": name,
        "on_hand": sum(level.on_hand for level in levels),
        "available": available,
        "requested": requested,
        "sufficient": _suffices(levels, requested),
    }


def _kit_result(line: Fields, name: str, kit: Sequence[Assembly]) -> Line:
    requested = line.get("quantity", 1)
    return {
        "sku": line["sku"],
        "location": line.get("location"),
        "name": name,
        "on_hand": sum(one.on_hand for one in kit),
        "available": sum(one.available for one in kit),
        "requested": requested,
        "sufficient": sum(one.promisable(requested) for one in kit) >= requested,
    }


def _suffices(levels: Sequence[Level], requested: int) -> bool:
    """Whether so many can be promised, backorders included."""
    promisable = 0
    for level in levels:
        if level.backorder_limit is None:
            return True
        promisable += max(0, level.available + level.backorder_limit)
    return promisable >= requested
