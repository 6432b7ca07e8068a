"""What to order, from what was sold: the model is on docs/api.md, "Replenishment"."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

from inventory_api.domain.types import UNITS_MAX, Level

Classes = Mapping[str, tuple[float, float]]
"""By currency, or of `UNITS`: the least weight of an A, and of a B."""
UNITS = ""
# Weights are products of binary floats, made here and by the database: the last bit may differ.
_SAME = 1 - 1e-9
# What lies so little above a whole number is that number, and no reason to order one unit more.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Terms:
    """How orders are wanted.

    Attributes:
        service_level: the share of replenishment cycles without a stock-out, 0.5 to below 1.
        lead_time_days: from the order to the shelf.
        lead_time_deviation_days: the standard deviation of that.
        review_days: how long an order lasts beyond the lead time, if the level says no `reorder_to`.
    """

    service_level: float
    lead_time_days: int
    lead_time_deviation_days: int
    review_days: int

    @property
    def z(self) -> float:
        """How many deviations above the mean the service level is."""
        return NormalDist().inv_cdf(self.service_level)


class Demand(NamedTuple):
    """What was sold of a level in `days` days: the units, and the sum of the squares of each day's."""

    days: int
    units: int = 0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Units per day, the days without a sale counted."""
        return self.units / self.days

    @property
    def deviation(self) -> float:
        """The standard deviation of a day's units, of a sample; of one day it is 0."""
        if self.days == 1:
            return 0.0
        spread = self.squares - self.units * self.mean
        return math.sqrt(max(0.0, spread) / (self.days - 1))


class Proposal(NamedTuple):
    """What is proposed for a level, and why.

    `quantity` 0: nothing has to be ordered. `value_class` None: no class was asked for, or the item
    has no price.
    """

    level: Level
    demand: Demand
    value_class: str | None
    reorder_point: int
    order_up_to: int
    quantity: int

    @property
    def days_of_cover(self) -> float | None:
        """How long what is available lasts; None where nothing is sold."""
        if not self.demand.units:
            return None
        return max(0, self.level.available) / self.demand.mean


def propose(level: Level, demand: Demand, terms: Terms, value_class: str | None) -> Proposal:
    """What to order of a level.

    It is due when available and incoming together are at or below the reorder point, the one computed or the
    one that the level has, whichever is higher.
    """
    point = reorder_point(demand, terms)
    threshold = max(point, level.reorder_point or 0)
    review = demand.units * terms.review_days / demand.days
    target = level.reorder_to
    if target is None:
        target = _units(threshold + review)
    position = level.available + level.incoming
    is_due = position <= threshold
    quantity = min(UNITS_MAX, max(0, target - position)) if is_due else 0
    return Proposal(level, demand, value_class, point, target, quantity)


def reorder_point(demand: Demand, terms: Terms) -> int:
    """The demand of the lead time, and as much above it as the service level takes; rounded up."""
    lead, mean = terms.lead_time_days, demand.mean
    expected = demand.units * lead / demand.days
    spread = lead * demand.deviation**2 + (mean * terms.lead_time_deviation_days) ** 2
    return _units(expected + terms.z * math.sqrt(spread))


def classify(
    units: int, amount: str | None, currency: str | None, classes: Classes | None
) -> str | None:
    """A, B or C by weight: units, or their value where classes are by currency."""
    if classes is None:
        return None
    if UNITS in classes:
        weight, name = float(units), UNITS
    elif amount is None or currency is None:
        return None
    else:
        weight, name = float(units) * float(amount), currency
    least_a, least_b = classes.get(name, (math.inf, math.inf))
    if weight >= least_a * _SAME:
        return "A"
    return "B" if weight >= least_b * _SAME else "C"


def show_proposal(one: Proposal) -> dict[str, Any]:  # Any: JSON values
    """The shape of a proposal in answers."""
    level, demand, cover = one.level, one.demand, one.days_of_cover
    return {
        "sku": level.sku,
        "location": level.location,
        "class": one.value_class,
        "available": level.available,
        "incoming": level.incoming,
        "units": demand.units,
        "days": demand.days,
        "mean": round(demand.mean, 4),
        "deviation": round(demand.deviation, 4),
        "days_of_cover": None if cover is None else round(cover, 1),
        "reorder_point": one.reorder_point,
        "order_up_to": one.order_up_to,
        "quantity": one.quantity,
        "policy_reorder_point": level.reorder_point,
        "policy_reorder_to": level.reorder_to,
    }


def _units(quantity: float) -> int:
    return min(UNITS_MAX, math.ceil(round(quantity, _DIGITS)))
