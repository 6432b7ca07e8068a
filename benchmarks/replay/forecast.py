"""What must be in the ledger in the end, computed from the file and nothing else.

It knows one rule of the service, in five lines of its own: an atomic operation in which one line
would take a level below zero changes nothing, and names every such line.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.replay.shop import Invoice, Shop

Key = tuple[str, str]
# Refuses about one invoice in ten.
SHORT_PERCENT = 90


class Opening(StrEnum):
    """How much of everything there is before the first invoice.

    ample: every unit that ever leaves. No order of the invoices can run out, so that they may
        overtake each other freely.
    exact: the least with which the file's own order never runs out. One invoice out of order could
        be refused, so that each waits for those before it that share a level.
    short: nine tenths of exact. The shop runs out again and again, and because the order per level is the
        file's, every refusal is known beforehand.
    """

    AMPLE = "ample"
    EXACT = "exact"
    SHORT = "short"

    @property
    def is_ordered(self) -> bool:
        """Whether invoices that share a level must go one after the other."""
        return self is not Opening.AMPLE


@dataclass(slots=True)
class Tally:
    """Movements and the sum of their deltas."""

    movements: int = 0
    units: int = 0

    def add(self, delta: int) -> None:
        self.movements += 1
        self.units += delta


@dataclass(slots=True)
class Forecast:
    """The end of the replay.

    Attributes:
        opening: units per level before the first invoice; levels with none are left out.
        refused: the refused invoices, and which of their lines say no.
        on_hand: units per level after the last invoice.
        versions: movements per level.
        tallies: by SKU, location and reason, opening included.
    """

    opening: dict[Key, int]
    refused: dict[str, list[int]] = field(default_factory=dict)
    on_hand: dict[Key, int] = field(default_factory=dict)
    versions: Counter[Key] = field(default_factory=Counter)
    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)


def opening_stock(shop: Shop, opening: Opening, given_back: Collection[str] = ()) -> dict[Key, int]:
    """Units per level before the first invoice, without the levels that need none.

    `given_back` are numbers of invoices whose units come back before the next one that wants them.
    """
    is_ordered = opening.is_ordered
    units = _deepest_fall(shop, given_back) if is_ordered else _everything_that_leaves(shop)
    share = SHORT_PERCENT if opening is Opening.SHORT else 100
    return {key: need * share // 100 for key, need in units.items() if need * share // 100}


def _everything_that_leaves(shop: Shop) -> dict[Key, int]:
    leaving: Counter[Key] = Counter()
    for invoice in shop.invoices:
        for line in invoice.lines:
            leaving[line.sku, line.location] += max(-line.delta, 0)
    return leaving


def _deepest_fall(shop: Shop, given_back: Collection[str]) -> dict[Key, int]:
    running: Counter[Key] = Counter()
    needed: dict[Key, int] = {}
    for invoice in shop.invoices:
        for line in invoice.lines:
            key = (line.sku, line.location)
            running[key] += line.delta
            needed[key] = max(needed.get(key, 0), -running[key])
        if invoice.number in given_back:
            for line in invoice.lines:
                running[line.sku, line.location] -= line.delta
    return needed


def foresee(shop: Shop, opening: dict[Key, int]) -> Forecast:
    """Walk through the invoices in the file's order."""
    forecast = Forecast(opening, on_hand=dict(opening))
    for (sku, location), units in opening.items():
        _book(forecast, (sku, location), units, "opening_balance")
    for invoice in shop.invoices:
        if refused := refused_lines(invoice, forecast.on_hand):
            forecast.refused[invoice.number] = refused
            continue
        for line in invoice.lines:
            key = (line.sku, line.location)
            forecast.on_hand[key] = forecast.on_hand.get(key, 0) + line.delta
            _book(forecast, key, line.delta, line.reason)
    return forecast


def refused_lines(invoice: Invoice, on_hand: dict[Key, int]) -> list[int]:
    """Indexes of the lines that would go below zero after the lines before them that would not."""
    left: dict[Key, int] = {}
    refused = []
    for index, line in enumerate(invoice.lines):
        key = (line.sku, line.location)
        after = left.get(key, on_hand.get(key, 0)) + line.delta
        if after < 0 and line.delta < 0:
            refused.append(index)
        else:
            left[key] = after
    return refused


def _book(forecast: Forecast, key: Key, delta: int, reason: str) -> None:
    forecast.versions[key] += 1
    forecast.tallies.setdefault((*key, reason), Tally()).add(delta)
