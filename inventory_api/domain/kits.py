"""How many of a kit can be assembled where, and which component limits it."""

from collections.abc import Iterable
from typing import NamedTuple

from inventory_api.domain.catalog import Shown
from inventory_api.domain.sourcing import promisable
from inventory_api.domain.types import SKU, Level, LocationCode, Recipe

# More is a bill of materials; a line of a reservation has so many movements at a location.
COMPONENTS_MAX = 100
# Kits that a refusal names: enough to begin with.
KITS_TOLD_MAX = 10


class Assembly(NamedTuple):
    """What one location has of a kit's components: units in one kit, and the level, by SKU."""

    location: LocationCode
    parts: tuple[tuple[int, Level], ...]

    @property
    def on_hand(self) -> int:
        """Kits that could be made of what is there, whoever it is promised to."""
        return min(level.on_hand // units for units, level in self.parts)

    @property
    def available(self) -> int:
        """Kits that can be sold; never below zero."""
        return min(_kits(units, level) for units, level in self.parts)

    @property
    def limited_by(self) -> list[SKU]:
        """The components of which one kit more would need more."""
        available = self.available
        return [level.sku for units, level in self.parts if _kits(units, level) == available]

    def promisable(self, wanted: int) -> int:
        """How many of `wanted` kits may be promised, as far as every component's backorders go."""
        return min(promisable(level, wanted * units) // units for units, level in self.parts)

    def show(self) -> Shown:
        """As an item's stock shows a location."""
        return {
            "location": self.location,
            "on_hand": self.on_hand,
            "available": self.available,
            "limited_by": self.limited_by,
        }

    def explain(self) -> Shown:
        """Which component allows how many kits."""
        return {
            **self.show(),
            "explanation": f"{self.available} available = the fewest kits that a component allows",
            "components": [
                {
                    "sku": level.sku,
                    "quantity": units,
                    "available": level.available,
                    "kits": _kits(units, level),
                }
                for units, level in self.parts
            ],
        }


def assemblies(recipe: Recipe, levels: Iterable[Level]) -> list[Assembly]:
    """A kit at each location that has a level of a component, by location."""
    by_location: dict[LocationCode, dict[SKU, Level]] = {}
    for level in levels:
        by_location.setdefault(level.location, {})[level.sku] = level
    return [assembly_at(code, recipe, by_location[code]) for code in sorted(by_location)]


def assembly_at(code: LocationCode, recipe: Recipe, levels: dict[SKU, Level]) -> Assembly:
    """A kit at a location, whose levels of the components are given; others are empty."""
    parts = ((units, levels.get(sku) or Level(sku, code)) for sku, units in recipe)
    return Assembly(code, tuple(parts))


def _kits(units: int, level: Level) -> int:
    return max(0, level.available) // units
