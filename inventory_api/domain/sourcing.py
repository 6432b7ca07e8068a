"""Where the units of a reservation are taken from."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from inventory_api.domain.reservation import ReserveLine, Sourcing
from inventory_api.domain.types import SKU, UNITS_MAX, Key, Level, LocationCode, Recipe

Look = Callable[[Key], Level]
"""The level of a key on the running balance; an empty one where nothing ever was."""


class Place(NamedTuple):
    """An active location, as far as sourcing cares; `priority` 0 is served first."""

    sellable: bool
    priority: int


class Take(NamedTuple):
    """So many, of units or of whole kits, from one location; and how many are not there yet."""

    location: LocationCode
    quantity: int
    backordered: int = 0


def ranking(
    lines: Sequence[ReserveLine],
    places: Mapping[LocationCode, Place],
    look: Look,
    sourcing: Sourcing,
    recipes: Mapping[SKU, Recipe],
) -> list[LocationCode]:
    """Selling locations in the order in which lines try them, the most available aside."""
    selling = sorted(
        (code for code, place in places.items() if place.sellable),
        key=lambda code: (places[code].priority, code),
    )
    if sourcing is not Sourcing.FEWEST_LOCATIONS:
        return selling
    # Greedy: whoever can serve most lines whole comes first, so that few locations are used.
    made_of = [(recipes[line.sku], line.quantity) for line in lines]
    whole = {
        code: sum(ready(parts, code, look) >= quantity for parts, quantity in made_of)
        for code in selling
    }
    return sorted(selling, key=lambda code: -whole[code])


def take(
    line: ReserveLine,
    recipe: Recipe,
    ranked: Iterable[LocationCode],
    look: Look,
    *,
    most_available: bool,
    preferred: Collection[LocationCode] = (),
) -> tuple[list[Take], int]:
    """What a line takes from where, and how many are missing; kits are whole at each location.

    One location that can fill the line is better than several; what is there is better than a
    backorder, which the first location gives that allows it.
    """
    codes = [line.location] if line.location is not None else list(ranked)
    stock = {code: ready(recipe, code, look) for code in codes}
    if most_available:
        codes.sort(key=lambda code: -stock[code])
    if preferred:
        codes.sort(key=lambda code: code not in preferred)
    for code in codes:
        if stock[code] >= line.quantity:
            return [Take(code, line.quantity)], 0
    there: dict[LocationCode, int] = {}
    later: dict[LocationCode, int] = {}
    missing = line.quantity
    for code in codes:
        there[code] = min(missing, max(0, stock[code]))
        missing -= there[code]
    for code in codes:
        most = promisable_of(recipe, code, look, there[code] + missing)
        later[code] = most - there[code]
        missing -= later[code]
    takes = [Take(code, there[code] + later[code], later[code]) for code in there]
    return [one for one in takes if one.quantity], missing


def ready(recipe: Recipe, code: LocationCode, look: Look) -> int:
    """How many a location has of what is made so; below zero where something is oversold."""
    return min([look((sku, code)).available // units for sku, units in recipe])


def promisable_of(recipe: Recipe, code: LocationCode, look: Look, wanted: int) -> int:
    """How many of `wanted` may be promised: so many as each component allows."""
    return min([promisable(look((sku, code)), wanted * units) // units for sku, units in recipe])


def promisable(level: Level, wanted: int) -> int:
    """How many of `wanted` units may be promised, backorders included."""
    return min(wanted, max(0, level.available) + _backorder(level, wanted))


def _backorder(level: Level, wanted: int) -> int:
    """Units that may be promised beyond what is available; without a limit what can be counted."""
    if level.backorder_limit is None:
        return min(wanted, max(0, UNITS_MAX - level.reserved - level.committed))
    return max(0, level.backorder_limit + min(0, level.available))
