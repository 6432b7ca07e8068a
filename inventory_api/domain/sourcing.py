"""Where the units of a reservation are taken from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from inventory_api.domain.reservation import ReserveLine, Sourcing
from inventory_api.domain.types import UNITS_MAX, Key, Level, LocationCode

Look = Callable[[Key], Level]
"""The level of a key on the running balance; an empty one where nothing ever was."""


class Place(NamedTuple):
    """An active location, as far as sourcing cares; `priority` 0 is served first."""

    sellable: bool
    priority: int


class Take(NamedTuple):
    """So many units from one location, and how many of them are not there yet."""

    location: LocationCode
    quantity: int
    backordered: int = 0


def ranking(
    lines: Sequence[ReserveLine],
    places: Mapping[LocationCode, Place],
    look: Look,
    sourcing: Sourcing,
) -> list[LocationCode]:
    """Selling locations in the order in which lines try them, the most available aside."""
    selling = sorted(
        (code for code, place in places.items() if place.sellable),
        key=lambda code: (places[code].priority, code),
    )
    if sourcing is not Sourcing.FEWEST_LOCATIONS:
        return selling
    # Greedy: whoever can serve most lines whole comes first, so that few locations are used.
    whole = {
        code: sum(look((line.sku, code)).available >= line.quantity for line in lines)
        for code in selling
    }
    return sorted(selling, key=lambda code: -whole[code])


def take(
    line: ReserveLine,
    ranked: Iterable[LocationCode],
    look: Look,
    *,
    most_available: bool,
    preferred: Sequence[LocationCode] = (),
) -> tuple[list[Take], int]:
    """What a line takes from where, and how many units are missing.

    One location that can fill the line is better than several; units that are there are better
    than a backorder, which the first location gives that allows it.
    """
    codes = [line.location] if line.location is not None else list(ranked)
    levels = [look((line.sku, code)) for code in codes]
    if most_available:
        levels.sort(key=lambda level: -level.available)
    if preferred:
        levels.sort(key=lambda level: level.location not in preferred)
    for level in levels:
        if level.available >= line.quantity:
            return [Take(level.location, line.quantity)], 0
    there: dict[LocationCode, int] = {}
    later: dict[LocationCode, int] = {}
    missing = line.quantity
    for level in levels:
        there[level.location] = min(missing, max(0, level.available))
        missing -= there[level.location]
    for level in levels:
        later[level.location] = min(missing, _backorder(level, missing))
        missing -= later[level.location]
    takes = [Take(code, there[code] + later[code], later[code]) for code in there]
    return [one for one in takes if one.quantity], missing


def promisable(level: Level, wanted: int) -> int:
    """How many of `wanted` units may be promised, backorders included."""
    return min(wanted, max(0, level.available) + _backorder(level, wanted))


def _backorder(level: Level, wanted: int) -> int:
    """Units that may be promised beyond what is available; without a limit what can be counted."""
    if level.backorder_limit is None:
        return min(wanted, max(0, UNITS_MAX - level.reserved - level.committed))
    return max(0, level.backorder_limit + min(0, level.available))
