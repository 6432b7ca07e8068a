"""Reads a decision in a test's words."""

from inventory_api.domain.decide import Decision, Refused, Snapshot
from tests.stock_factory import key


def kinds(decision: Decision) -> list[str]:
    """applied, duplicate, or the code of the refusal, by line."""
    return [
        result.rejection.code.value if isinstance(result, Refused) else type(result).__name__
        for result in decision.results
    ]


def on_hand(stock: Snapshot, sku: str = "P001", location: str = "main") -> int:
    return stock.levels[key(sku, location)].on_hand
