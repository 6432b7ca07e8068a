"""The variance report of a count: how far the books were from the shelf, in units and in money."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from functools import reduce
from typing import NamedTuple

from inventory_api.domain.count_sheet import CountLine, CountSheet, Shown, show_line, show_sheet
from inventory_api.domain.types import SKU

# A variance has 13 digits, a price 16, and a count at most some thousands of lines: all of it is
# exact. Four decimals are enough to tell one line of ten thousand.
EXACT = Context(prec=60)
ACCURACY = Decimal("0.0001")


class Price(NamedTuple):
    """What a unit costs, exactly."""

    amount: Decimal
    currency: str


class ReportLine(NamedTuple):
    """A line of a count, and what its variance is worth if it has one and the item a price."""

    line: CountLine
    price: Price | None
    value: Decimal | None


def report_lines(
    lines: Sequence[CountLine], prices: Mapping[SKU, Price], *, hidden: bool
) -> list[ReportLine]:
    """The lines with their values, the largest variance first, those not counted last.

    Of a count that hides its variances they stand as they are on the sheet: the order would tell.
    """
    if hidden:
        return [ReportLine(line, prices.get(line.sku), None) for line in lines]
    ordered = sorted(
        lines, key=lambda one: (one.variance is None, -abs(one.variance or 0), one.line)
    )
    return [_valued(line, prices.get(line.sku)) for line in ordered]


def show_report(sheet: CountSheet, lines: Sequence[ReportLine], *, hidden: bool) -> Shown:
    """The shape of the report; what would tell a hidden variance is null."""
    counted = [one for one in lines if one.line.counted is not None]
    return {
        **show_sheet(sheet),
        "provisional": sheet.status != "posted",
        "uncounted_count": len(lines) - len(counted),
        "accuracy": None if hidden else _accuracy(counted),
        "units": None
        if hidden
        else _sums([Decimal(one.line.variance or 0) for one in counted], int),
        "values": None if hidden else _values(counted),
        "unpriced_count": None if hidden else sum(map(_is_unpriced, counted)),
        "lines": [_show(one, hidden=hidden) for one in lines],
    }


CELLS = (
    "sku", "location", "level_version", "expected", "counted", "variance",
    "unit_price", "currency", "value",
)  # fmt: skip
"""Names of the columns of the report as a table."""


def cells(sheet: CountSheet, one: ReportLine, *, hidden: bool) -> tuple[object, ...]:
    """A line of the report as a row of a table, in the order of `CELLS`."""
    line, price = one.line, one.price
    return (
        line.sku,
        sheet.location,
        line.level_version,
        None if hidden else line.expected,
        line.counted,
        None if hidden else line.variance,
        price and price.amount,
        price and price.currency,
        one.value,
    )


def _valued(line: CountLine, price: Price | None) -> ReportLine:
    if price is None or line.variance is None:
        return ReportLine(line, price, None)
    value = EXACT.multiply(price.amount, Decimal(line.variance))
    # What costs nothing is worth nothing, and not minus nothing.
    return ReportLine(line, price, value if value else abs(value))


def _accuracy(counted: Sequence[ReportLine]) -> str | None:
    """The share of counted lines without a variance, rounded down: 1.0000 is all of them."""
    if not counted:
        return None
    right = sum(one.line.variance == 0 for one in counted)
    return str((Decimal(right) / len(counted)).quantize(ACCURACY, rounding=ROUND_DOWN))


def _values(counted: Sequence[ReportLine]) -> list[Shown]:
    by_currency: dict[str, list[Decimal]] = {}
    for one in counted:
        if one.price is not None and one.value is not None:
            by_currency.setdefault(one.price.currency, []).append(one.value)
    return [
        {"currency": currency, **_sums(values, str)}
        for currency, values in sorted(by_currency.items())
    ]


def _sums(parts: Sequence[Decimal], show: type[int] | type[str]) -> Shown:
    # Nothing with as many decimals as the part has.
    zeros = [EXACT.subtract(part, part) for part in parts]
    more = _sum(map(EXACT.max, parts, zeros))
    less = _sum(map(EXACT.min, parts, zeros))
    sums = {
        "positive": more,
        "negative": less,
        "net": EXACT.add(more, less),
        "absolute": EXACT.subtract(more, less),
    }
    return {name: show(total) for name, total in sums.items()}


def _sum(parts: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, parts, Decimal(0))


def _is_unpriced(one: ReportLine) -> bool:
    return one.price is None and bool(one.line.variance)


def _show(one: ReportLine, *, hidden: bool) -> Shown:
    price = None
    if one.price is not None:
        price = {"amount": str(one.price.amount), "currency": one.price.currency}
    return {
        **show_line(one.line, hidden=hidden),
        "unit_price": price,
        "value": None if one.value is None else str(one.value),
    }
