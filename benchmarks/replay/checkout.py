"""Checkout mode: every sale is a cart that is reserved, confirmed and fulfilled, or abandoned.

What the books must show in the end follows from the file, from which carts are abandoned, and from
the one rule of `forecast.py`.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import httpx

from benchmarks.replay.forecast import Forecast, Key, refused_lines
from benchmarks.replay.service import Answer, Record, Service, reference_of
from benchmarks.replay.shop import GOODS, Invoice, Line, Shop

ABANDONED_ONE_IN = 10
ABANDONED_TTL_S = 1  # the shortest life there is
# Longer than all repeats of a request together: a cart that is paid is never late.
PAID_TTL_S = 900
SOLD = frozenset({"sale", "sample"})


class Fate(StrEnum):
    """What becomes of an invoice."""

    BOOKED = "booked"
    FULFILLED = "fulfilled"
    EXPIRED = "expired"
    REFUSED = "refused"


class Step(NamedTuple):
    """One movement that the ledger must have."""

    type: str
    sku: str
    location: str
    on_hand: int
    reserved: int
    committed: int
    reason: str


@dataclass(slots=True)
class Sums:
    """Movements, and the sums of their deltas."""

    movements: int = 0
    on_hand: int = 0
    reserved: int = 0
    committed: int = 0

    def add(self, on_hand: int, reserved: int, committed: int) -> None:
        self.movements += 1
        self.on_hand += on_hand
        self.reserved += reserved
        self.committed += committed

    def merge(self, other: "Sums") -> None:
        self.movements += other.movements
        self.on_hand += other.on_hand
        self.reserved += other.reserved
        self.committed += other.committed


@dataclass(frozen=True, slots=True)
class Checkout:
    """The end of a replay in checkout mode.

    Attributes:
        forecast: levels and refused lines.
        fates: by number of the invoice.
        sums: by type of movement, SKU and location, opening included.
    """

    forecast: Forecast
    fates: dict[str, Fate]
    sums: dict[tuple[str, str, str], Sums]

    @property
    def head(self) -> int:
        """Movements in all."""
        return self.forecast.versions.total()


def is_cart(invoice: Invoice) -> bool:
    """Whether an invoice only sells or gives away; what comes back or is written off is no cart."""
    return all(line.delta < 0 and line.reason in SOLD for line in invoice.lines)


def is_abandoned(invoice: Invoice) -> bool:
    """Whether the customer of a cart never pays: one in ten, by the number and so every time."""
    return is_cart(invoice) and zlib.crc32(invoice.number.encode()) % ABANDONED_ONE_IN == 0


def abandoned(shop: Shop) -> set[str]:
    """The numbers of the invoices that are never paid."""
    return {invoice.number for invoice in shop.invoices if is_abandoned(invoice)}


def foresee_checkout(shop: Shop, opening: dict[Key, int]) -> Checkout:
    """Walk through the invoices in the file's order; an abandoned cart ends before the next."""
    checkout = Checkout(Forecast(opening, on_hand=dict(opening)), {}, {})
    for key, units in opening.items():
        _book(checkout, Step("set", *key, units, 0, 0, "opening_balance"), key)
    on_hand = checkout.forecast.on_hand
    for invoice in shop.invoices:
        fate = _fate(invoice)
        if refused := refused_lines(invoice, on_hand):
            checkout.forecast.refused[invoice.number] = refused
            fate = Fate.REFUSED
        checkout.fates[invoice.number] = fate
        for step in script(invoice, fate):
            key = (step.sku, step.location)
            on_hand[key] = on_hand.get(key, 0) + step.on_hand
            _book(checkout, step, key)
    return checkout


def script(invoice: Invoice, fate: Fate) -> Iterator[Step]:
    """The movements of an invoice, in the order of the ledger."""
    match fate:
        case Fate.BOOKED:
            yield from _each(invoice.lines, _adjust)
        case Fate.FULFILLED:
            for verb in (_reserve, _confirm, _fulfill):
                yield from _each(invoice.lines, verb)
        case Fate.EXPIRED:
            for verb in (_reserve, _expire):
                yield from _each(invoice.lines, verb)
        case Fate.REFUSED:
            pass


def _each(lines: Iterable[Line], step: Callable[[Line], Step]) -> Iterator[Step]:
    return map(step, lines)


def _adjust(line: Line) -> Step:
    return Step("adjust", line.sku, line.location, line.delta, 0, 0, line.reason)


# A reservation knows no `sample`: what is given away leaves as a sale at no price.
def _reserve(line: Line) -> Step:
    return Step("reserve", line.sku, line.location, 0, -line.delta, 0, "sale")


def _confirm(line: Line) -> Step:
    return Step("confirm", line.sku, line.location, 0, line.delta, -line.delta, "sale")


def _fulfill(line: Line) -> Step:
    return Step("fulfill", line.sku, line.location, line.delta, 0, line.delta, "sale")


def _expire(line: Line) -> Step:
    return Step("expire", line.sku, line.location, 0, line.delta, 0, "cancelled_sale")


def _fate(invoice: Invoice) -> Fate:
    if not is_cart(invoice):
        return Fate.BOOKED
    return Fate.EXPIRED if is_abandoned(invoice) else Fate.FULFILLED


def _book(checkout: Checkout, step: Step, key: Key) -> None:
    checkout.forecast.versions[key] += 1
    sums = checkout.sums.setdefault((step.type, *key), Sums())
    sums.add(step.on_hand, step.reserved, step.committed)


class CheckoutService(Service):
    """Books a sale as a shop does: hold, then pay, then ship; each request has its own key."""

    def held_for_s(self, invoice: Invoice, /) -> float:
        """An abandoned cart stands in nobody's way when its life is over, swept or not."""
        return ABANDONED_TTL_S if is_abandoned(invoice) else 0.0

    async def book(self, invoice: Invoice) -> Answer:
        """The last answer about an invoice: the first refusal, or the one that it ends with."""
        if not is_cart(invoice):
            return await super().book(invoice)
        name = reference_of(invoice)
        held = await self.post("/v1/reservations", _cart(invoice), f"{name}:reserve")
        if held.status != httpx.codes.CREATED or is_abandoned(invoice):
            return held
        path = f"/v1/reservations/{held.body['id']}"
        paid = await self.post(f"{path}/confirm", {}, f"{name}:confirm")
        if paid.status != httpx.codes.OK:
            return paid
        shipped = await self.post(f"{path}/fulfill", {}, f"{name}:fulfill")
        answers = (held, paid, shipped)
        return shipped._replace(
            is_replayed=all(answer.is_replayed for answer in answers),
            attempts=1 + sum(answer.attempts - 1 for answer in answers),
        )


def _cart(invoice: Invoice) -> Record:
    """Goods without a location, as a shop's page asks for them; what is not for sale by its own."""
    lines: list[Record] = []
    for line in invoice.lines:
        entry: Record = {"sku": line.sku, "quantity": -line.delta}
        if line.location != GOODS:
            entry["location"] = line.location
        lines.append(entry)
    ttl_s = ABANDONED_TTL_S if is_abandoned(invoice) else PAID_TTL_S
    return {"reference": reference_of(invoice), "ttl_s": ttl_s, "lines": lines}
