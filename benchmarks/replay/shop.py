"""What the shop's file says: goods, and one change of stock per line of each invoice.

The file is the first sheet of *Online Retail II* saved as CSV in UTF-8, plain or gzipped. It was
kept by people in a hurry, and each of its oddities is read in one deliberate way. The table is in
docs/replay-report.md; the rules are `interpret`, `_reason` and `sku_of`.
"""

import csv
import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

HEADER = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
GOODS = "main"
CHARGES = "charges"
# Fees, postage, discounts, vouchers and tests: they have lines on invoices and no place on a shelf.
NOT_GOODS = re.compile(
    r"POST|DOT|C[23]|[DMmSB]|BANK CHARGES|ADJUST2?|AMAZONFEE|TEST00[12]|GIFT|gift_0001_\d+"
)
# First match wins: "damages, lost bits etc" is damage.
WRITE_OFF_WORDS = {
    "damaged": "damag damg smash crush broken rust wet damp mould rotting dirty faulty discolour "
    "quality unsellable wonky torn",
    "lost": "missing lost mia gone find short",
}


class Row(NamedTuple):
    """One line of the file, as it stands there."""

    invoice: str
    code: str
    description: str
    quantity: int
    date: str
    price: Decimal
    customer: str
    country: str


class Line(NamedTuple):
    """One change of one level."""

    sku: str
    location: str
    delta: int
    reason: str


class Invoice(NamedTuple):
    """The lines of one number, in the order of the file: one operation."""

    number: str
    occurred_at: datetime
    lines: list[Line]


class Item(NamedTuple):
    """What an item is called and costs; `price` is None where no line has one above zero."""

    sku: str
    name: str
    price: Decimal | None


@dataclass(slots=True)
class Shop:
    """Everything the file holds. `invoices` are in order of their first line."""

    rows: int = 0
    units: int = 0
    codes: set[str] = field(default_factory=set)
    items: dict[str, Item] = field(default_factory=dict)
    invoices: list[Invoice] = field(default_factory=list)


def read_shop(path: Path, limit: int | None = None) -> Shop:
    """The shop of the file's first `limit` lines; a limit may cut the last invoice short."""
    return build_shop(islice(read_rows(path), limit))


def build_shop(rows: Iterable[Row]) -> Shop:
    """Group lines by invoice, in one pass: the lines of 697 invoices are not next to each other."""
    shop = Shop()
    invoices: dict[str, list[Row]] = {}
    for row in rows:
        shop.rows += 1
        shop.units += abs(row.quantity)
        shop.codes.add(row.code)
        invoices.setdefault(row.invoice, []).append(row)
        _name(shop.items, row)
    shop.invoices = [interpret(number, lines) for number, lines in invoices.items()]
    return shop


def read_rows(path: Path) -> Iterator[Row]:
    """The lines of the file, plain or gzipped."""
    unpack = gzip.open if path.suffix == ".gz" else open
    with unpack(path, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        if (header := ",".join(next(reader, []))) != HEADER:
            raise ValueError(f"{path.name}: expected the columns {HEADER}, found {header}")
        for cells in reader:
            yield _row(cells, reader.line_num)


def _row(cells: list[str], line_number: int) -> Row:
    try:
        invoice, code, description, quantity, date, price, customer, country = cells
        return Row(
            sys.intern(invoice),
            sys.intern(code),
            description,
            int(quantity),
            date,
            Decimal(price),
            customer,
            country,
        )
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"line {line_number} is not a line of an invoice: {cells}") from error


def interpret(number: str, rows: list[Row]) -> Invoice:
    """What an invoice did to the stock.

    A quantity is what left the shop, so a sale takes it off and a cancellation, whose quantity is
    negative, brings it back. A stock adjustment is the other way round: its quantity is what the
    stock keeper added. An invoice whose lines bear two dates (41 do, a minute apart) has the first.
    """
    adjusts = _is_stock_adjustment(number, rows)
    lines = [
        Line(
            sku_of(row.code),
            location_of(row.code),
            row.quantity if adjusts else -row.quantity,
            _write_off(row) if adjusts else _sale(row),
        )
        for row in rows
    ]
    occurred_at = datetime.fromisoformat(rows[0].date).replace(tzinfo=UTC)
    return Invoice(number, occurred_at, lines)


def _is_stock_adjustment(number: str, rows: list[Row]) -> bool:
    """Whether a stock keeper wrote it: a single line without a customer, at price 0."""
    return number.isdigit() and len(rows) == 1 and not rows[0].customer and rows[0].price == 0


def _write_off(row: Row) -> str:
    """A fact for what is gone, by the words of the stock keeper; what was found is a correction."""
    if row.quantity < 0:
        for reason, words in WRITE_OFF_WORDS.items():
            if any(word in row.description.lower() for word in words.split()):
                return reason
    return "correction"


def _sale(row: Row) -> str:
    if row.quantity < 0:
        return "cancelled_sale"
    if row.price < 0:
        return "other"
    return "sale" if row.price else "sample"


def sku_of(code: str) -> str:
    """The code itself, byte for byte, without the blank that one line has at its end.

    `85123A` and `85123a` are two items: nothing in the file says that they are one.
    """
    return code.strip()


def location_of(code: str) -> str:
    """The shelf for goods; a place that is not for sale for what never lies on one."""
    return CHARGES if NOT_GOODS.fullmatch(sku_of(code)) else GOODS


def _name(items: dict[str, Item], row: Row) -> None:
    """Call an item what its first line with a price calls it, and the code where there is none.

    At price 0 the description is often the stock keeper's remark ("smashed"), not a name.
    """
    sku = sku_of(row.code)
    known = items.get(sku)
    if known is None or known.price is None:
        # Fourteen lines cost a tenth of a penny: 0.00.
        price = round(row.price, 2) if row.price > 0 else None
        name = " ".join(row.description.split()) if row.price > 0 else ""
        items[sku] = Item(sku, name or sku, price)
