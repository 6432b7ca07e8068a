"""Two ways to reorder, tried on the days that followed: units short, and stock that lay there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from typing import NamedTuple

from benchmarks.replay.shop import GOODS, Shop

Sales = Mapping[str, Mapping[date, int]]
"""Units sold by SKU and day; days without a sale are left out."""


class Rule(NamedTuple):
    """When to order a good, and up to how much."""

    reorder_point: int
    order_up_to: int


Rules = Mapping[str, Rule]
NEVER = Rule(-1, 0)


@dataclass(slots=True)
class Result:
    """What a set of rules did.

    Attributes:
        demand: units that were wanted.
        short: those of them that were not there; nobody waits for them.
        short_days: days on which a good was short, over all goods.
        average_stock: units on the shelf in the evening.
        orders: how many were placed.
    """

    demand: int = 0
    short: int = 0
    short_days: int = 0
    average_stock: float = 0.0
    orders: int = 0

    @property
    def fill(self) -> float:
        """The share of the units wanted that was there."""
        return 1 - self.short / self.demand if self.demand else 1.0


def sales_of(shop: Shop) -> dict[str, Counter[date]]:
    """What the file's invoices sold off the shelf, day by day."""
    sold: dict[str, Counter[date]] = {}
    for invoice in shop.invoices:
        for line in invoice.lines:
            if line.reason == "sale" and line.location == GOODS and line.delta < 0:
                sold.setdefault(line.sku, Counter())[invoice.occurred_at.date()] -= line.delta
    return sold


def plain_rules(
    sales: Sales, skus: Iterable[str], until: datetime, *, days: int, review_days: int
) -> dict[str, Rule]:
    """So many days of the last 30 days' mean, and what the review period sells on top."""
    since = until.date() - timedelta(days=30)
    rules = {}
    for sku in skus:
        sold = sales.get(sku, {})
        units = sum(n for day, n in sold.items() if since <= day < until.date())
        point = ceil(units * days / 30)
        rules[sku] = Rule(point, point + ceil(units * review_days / 30))
    return rules


def simulate(
    sales: Sales,
    rules: Mapping[date, Rules],
    skus: Iterable[str],
    days: Sequence[date],
    *,
    lead_time_days: int,
) -> Result:
    """Live through the days: receive, sell, order in the evening. It begins with full shelves.

    `rules` are in force from their day on; the first ones from the first day.
    """
    result = Result()
    evenings = 0
    for sku in skus:
        evenings += _live(sku, sales.get(sku, {}), rules, days, lead_time_days, result)
    result.average_stock = evenings / len(days)
    return result


def _live(
    sku: str,
    sold: Mapping[date, int],
    rules: Mapping[date, Rules],
    days: Sequence[date],
    lead_time_days: int,
    result: Result,
) -> int:
    """One good; the sum of its evenings' stock."""
    rule = rules[days[0]].get(sku, NEVER)
    stock, evenings = rule.order_up_to, 0
    coming: dict[date, int] = {}
    for day in days:
        if day in rules:
            rule = rules[day].get(sku, NEVER)
        stock += coming.pop(day, 0)
        wanted = sold.get(day, 0)
        short = max(0, wanted - stock)
        stock -= wanted - short
        result.demand += wanted
        result.short += short
        result.short_days += bool(short)
        evenings += stock
        position = stock + sum(coming.values())
        if position <= rule.reorder_point and position < rule.order_up_to:
            coming[day + timedelta(days=lead_time_days)] = rule.order_up_to - position
            result.orders += 1
    return evenings


def table(results: Sequence[tuple[str, Result]]) -> str:
    """The results, side by side, in Markdown."""
    lines = [
        "| rule | units short | of those wanted | short sku-days | average stock | orders |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {one.short:,} | {1 - one.fill:.1%} | {one.short_days:,}"
        f" | {one.average_stock:,.0f} | {one.orders:,} |"
        for name, one in results
    ]
    return "\n".join(lines)
