"""What is answered about counts, for the docs page; nothing at run time is built from these."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from inventory_api.web.schemas import Price


class CountShown(TypedDict):
    """A count without its lines."""

    id: str
    reference: str | None
    location: str
    status: Literal["open", "approved", "posted", "cancelled"]
    blind: bool
    approval_threshold: int | None
    note: str | None
    actor: str
    created_at: str
    version: int
    line_count: int
    counted_count: int
    approved_by: str | None
    operation_id: str | None


class CountLineShown(TypedDict):
    """What was there at the version that was seen, and what was found; null: hidden, or not yet."""

    index: int
    sku: str
    level_version: int
    expected: int | None
    counted: int | None
    variance: int | None


class CountAnswer(CountShown):
    """A count; `uncounted`, the SKUs that nothing was booked of, is told by its posting."""

    lines: list[CountLineShown]
    uncounted: NotRequired[list[str]]


class CountList(TypedDict):
    """A page of counts."""

    items: list[CountShown]
    next_cursor: str | None


class UnitSums(TypedDict):
    """Units found too many and too few, their balance, and both together."""

    positive: int
    negative: int
    net: int
    absolute: int


class ValueSums(TypedDict):
    """The same in a currency, as exact decimals."""

    currency: str
    positive: str
    negative: str
    net: str
    absolute: str


class VarianceLine(CountLineShown):
    """A line with the price of a unit today, and what its variance is worth."""

    unit_price: Price | None
    value: str | None


class VarianceAnswer(CountShown):
    """How far the books were off; `accuracy` is the share of counted lines that were right."""

    provisional: bool
    uncounted_count: int
    accuracy: str | None
    units: UnitSums | None
    values: list[ValueSums] | None
    unpriced_count: int | None
    lines: list[VarianceLine]
