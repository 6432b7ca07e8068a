"""Where else a refused line could be had, and when there may be more where it was asked for."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inventory_api.domain.catalog import Shown, rfc3339
from inventory_api.domain.decide import Refused
from inventory_api.domain.types import SKU, Instant, LocationCode, Recipe

# More than a caller will offer its customer; bounds the answer of a batch of refusals.
ELSEWHERE_MAX = 10

Visible = frozenset[str] | None
"""Locations that a caller may hear of; None: all."""
Offer = tuple[SKU, LocationCode, int]
"""What a selling location has of an item: more than nothing."""
Ends = Mapping[tuple[str, SKU, LocationCode], Instant | None]
"""The first end on a level of a hold that is not the named reservation's."""


class Next(NamedTuple):
    """When a level may have more: the first hold that ends there, the first goods that come."""

    sku: SKU
    location: LocationCode
    sellable: int
    ends_at: Instant | None
    comes_at: Instant | None


class Prospects:
    """What is known about the items of a batch's refusals, by item and location.

    A line asks for its own item only, and lines that ask the same are answered once: a batch of
    refusals costs its lines and the levels of their items, never their product.
    """

    def __init__(self, offers: Iterable[Offer], nexts: Iterable[Next], ends: Ends) -> None:
        """`offers` come in the order in which they are told; `ends` is complete for its names."""
        self._offers: dict[SKU, dict[LocationCode, int]] = {}
        self._nexts: dict[SKU, dict[LocationCode, Next]] = {}
        self._ends = ends
        self._told: dict[tuple[SKU | Recipe, Visible], list[tuple[LocationCode, int]]] = {}
        self._anywhere: dict[tuple[SKU, Visible, str | None], Instant | None] = {}
        for sku, location, available in offers:
            self._offers.setdefault(sku, {})[location] = available
        for one in nexts:
            self._nexts.setdefault(one.sku, {})[one.location] = one

    def tell(self, result: Refused, visible: Visible) -> None:
        """Fill in what a refused line is told."""
        at = self._next_at(result, visible)
        result.rejection.facts["next_available_at"] = None if at is None else rfc3339(at)
        result.rejection.facts["elsewhere"] = self._elsewhere(result, visible)

    def _elsewhere(self, result: Refused, visible: Visible) -> list[Shown]:
        """Of a line without a location nothing: it has tried all that sell."""
        own = result.line.location
        if own is None:
            return []
        name = (result.recipe or result.line.sku, visible)
        if name not in self._told:
            self._told[name] = self._first_offers(result, visible)
        others = [offer for offer in self._told[name] if offer[0] != own]
        return [
            {"location": location, "available": available}
            for location, available in others[:ELSEWHERE_MAX]
        ]

    def _first_offers(self, result: Refused, visible: Visible) -> list[tuple[LocationCode, int]]:
        """Where an item is, or how many whole kits; one more than are told, for the line's own."""
        recipe = result.recipe or ((result.line.sku, 1),)
        parts = [(self._offers.get(sku, {}), units) for sku, units in recipe]
        found: list[tuple[LocationCode, int]] = []
        for location in parts[0][0]:
            if visible is not None and location not in visible:
                continue
            if count := min(there.get(location, 0) // units for there, units in parts):
                found.append((location, count))
            if len(found) > ELSEWHERE_MAX:
                break
        return found

    def _next_at(self, result: Refused, visible: Visible) -> Instant | None:
        """When there may first be more at one of the locations from which the line is served."""
        sku, location = result.line.sku, result.line.location
        if result.recipe:
            return min(filter(None, self._kits_at(result)), default=None)
        if location is not None:
            is_heard_of = visible is None or location in visible
            return self._first(sku, location, result.own) if is_heard_of else None
        name = (sku, visible, result.own)
        if name not in self._anywhere:
            times = (
                self._first(sku, code, result.own)
                for code, one in self._nexts.get(sku, {}).items()
                if one.sellable and (visible is None or code in visible)
            )
            self._anywhere[name] = min(filter(None, times), default=None)
        return self._anywhere[name]

    def _kits_at(self, result: Refused) -> Iterable[Instant | None]:
        """Of each location when it may have more of all that it lacks, if that is known."""
        for location, lacking in result.lacks.items():
            times = [self._first(sku, location, result.own) for sku in lacking]
            known = [at for at in times if at is not None]
            yield max(known) if len(known) == len(times) else None

    def _first(self, sku: SKU, location: LocationCode, own: str | None) -> Instant | None:
        one = self._nexts.get(sku, {}).get(location)
        if one is None:
            return None
        ends_at = one.ends_at
        if own is not None:
            ends_at = self._ends.get((own, sku, location), ends_at)
        return min(filter(None, (ends_at, one.comes_at)), default=None)
