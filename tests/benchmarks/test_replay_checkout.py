"""Checkout mode of the replay: carts that are paid, carts that expire, and books that balance."""

import copy
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.replay.audit import Differences
from benchmarks.replay.checkout import (
    Checkout,
    CheckoutService,
    Fate,
    Sums,
    abandoned,
    foresee_checkout,
    is_abandoned,
    is_cart,
)
from benchmarks.replay.checkout_audit import CheckoutAudit, audit_reservations
from benchmarks.replay.forecast import Opening, opening_stock
from benchmarks.replay.run import Outcome, send
from benchmarks.replay.shop import Invoice, Line, Shop
from benchmarks.replay_online_retail import connect, replay_checkout
from tests.benchmarks.small_shop import small_shop
from tests.server import ServerProcess

ROOT = Path(__file__).parents[2]
Record = dict[str, Any]
PAID = "489435"
# A number whose customer never pays.
LEFT = "489427"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The small shop, and before all others a cart that is left with what they want."""
    shop = small_shop(tmp_path)
    lines = [Line("85048", "main", -5, "sale"), Line("POST", "charges", -1, "sale")]
    shop.invoices.insert(0, Invoice(LEFT, shop.invoices[0].occurred_at, lines))
    shop.rows += 2
    shop.units += 6
    return shop


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A real service on an empty database."""
    with ServerProcess(tmp_path, demo=False) as server:
        yield server.url


def test_a_cart_is_an_invoice_that_only_sells_or_gives_away(shop: Shop) -> None:
    others = [invoice.number for invoice in shop.invoices if not is_cart(invoice)]

    assert others == ["C489438", "489440", "489441", "489442", "A506401", "489446"]


def test_one_cart_in_ten_is_left_and_always_the_same_ones(shop: Shop) -> None:
    invoice = shop.invoices[0]
    numbers = [str(number) for number in range(489_434, 499_434)]

    left = [number for number in numbers if is_abandoned(invoice._replace(number=number))]

    assert 950 <= len(left) <= 1_050
    assert left[:3] == ["489446", "489459", "489465"]


def test_what_is_not_a_cart_is_not_left_whatever_its_number(shop: Shop) -> None:
    assert abandoned(shop) == {LEFT}


def test_what_a_left_cart_held_is_there_for_the_next_one(shop: Shop) -> None:
    plain = opening_stock(shop, Opening.EXACT)

    opening = opening_stock(shop, Opening.EXACT, {LEFT})

    assert plain["85048", "main"] == 5 + 14
    assert opening["85048", "main"] == 14


def test_the_forecast_says_what_becomes_of_each_invoice_and_that_all_holds_end(shop: Shop) -> None:
    opening = opening_stock(shop, Opening.EXACT, {LEFT}) | {("85123A", "main"): 5}

    checkout = foresee_checkout(shop, opening)

    assert checkout.forecast.refused == {PAID: [0]}
    assert checkout.fates[PAID] is Fate.REFUSED
    assert checkout.fates[LEFT] is Fate.EXPIRED
    assert checkout.fates["489434"] is Fate.FULFILLED
    assert checkout.fates["C489438"] is Fate.BOOKED
    assert checkout.sums["expire", "85048", "main"] == Sums(1, 0, -5, 0)
    assert checkout.sums["fulfill", "85048", "main"] == Sums(2, -14, 0, -14)
    assert sum(sums.reserved for sums in checkout.sums.values()) == 0
    assert sum(sums.committed for sums in checkout.sums.values()) == 0


async def test_a_cart_is_held_paid_and_shipped_by_requests_with_keys_of_their_own(
    shop: Shop,
) -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers["Idempotency-Key"]))
        return _hold(request)

    outcome = await _booked(shop, PAID, answer)

    assert outcome == Outcome(None, (), (), "7", "fulfilled", "2026-01-01T00:00:00Z")
    assert asked == [
        ("/v1/reservations", f"invoice:{PAID}:reserve"),
        ("/v1/reservations/7/confirm", f"invoice:{PAID}:confirm"),
        ("/v1/reservations/7/fulfill", f"invoice:{PAID}:fulfill"),
    ]


async def test_a_cart_that_is_left_is_held_for_a_second_and_asked_for_no_more(shop: Shop) -> None:
    bodies: list[Record] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return _hold(request)

    outcome = await _booked(shop, LEFT, answer)

    assert outcome.state == "active"
    assert bodies == [
        {
            "reference": f"invoice:{LEFT}",
            "ttl_s": 1,
            "lines": [
                {"sku": "85048", "quantity": 5},
                {"sku": "POST", "quantity": 1, "location": "charges"},
            ],
        }
    ]


@pytest.mark.parametrize("step", ["/v1/reservations", "/v1/reservations/7/confirm"])
async def test_a_refusal_is_the_last_that_is_asked_about_a_cart(shop: Shop, step: str) -> None:
    lines = [{"index": 0, "error": {"code": "insufficient_stock"}}]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == step:
            return httpx.Response(409, json={"code": "insufficient_stock", "lines": lines})
        return _hold(request)

    outcome = await _booked(shop, PAID, answer)

    assert outcome == Outcome(None, (), ((0, "insufficient_stock"),))
    assert asked[-1] == step


@pytest.mark.parametrize(
    ("opening", "left", "refused"),
    [(Opening.AMPLE, {LEFT}, 0), (Opening.EXACT, {LEFT}, 0), (Opening.SHORT, set(), 11)],
    ids=list(Opening),
)
async def test_the_books_balance_even_when_all_is_sent_twice(
    shop: Shop, url: str, opening: Opening, left: set[str], refused: int
) -> None:
    replay = await replay_checkout(shop, url, opening=opening, in_flight=8, resend=True)

    assert replay.differences.shown == []
    assert replay.resent is not None
    assert replay.resent.replayed == len(shop.invoices)
    assert replay.carts is not None
    assert set(replay.carts.late_s) == {f"invoice:{number}" for number in left}
    assert len(replay.forecast.refused) == refused


def test_the_command_reports_carts_and_movements_by_type(tmp_path: Path, url: str) -> None:
    small_shop(tmp_path)
    options = ("--csv", str(tmp_path / "shop.csv"), "--url", url, "--checkout")

    result = subprocess.run(
        [sys.executable, "benchmarks/replay_online_retail.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "| Confirmed and fulfilled | 8 (foreseen: 8) |" in result.stdout
    assert "| `confirm` | 13 | +0 | -450 | +450 |" in result.stdout
    assert "**Differences: 0**" in result.stdout


class Books:
    """What the service told after a replay of the shop, for a test to falsify."""

    def __init__(self, shop: Shop, checkout: Checkout, outcomes: dict[str, Outcome]) -> None:
        self.shop, self.checkout, self.outcomes = shop, checkout, outcomes
        self.movements: list[Record] = []
        self.reservations: list[Record] = []

    async def audit(self) -> Differences:
        differences = Differences()
        audit = CheckoutAudit(self.shop, self.checkout, self.outcomes, differences)
        await audit.read(_each(self.movements))
        held = _each(self.reservations)
        await audit_reservations(held, self.shop, self.checkout, self.outcomes, differences)
        return differences

    def movement(self, kind: str) -> Record:
        """The last one of a type."""
        return next(one for one in reversed(self.movements) if one.get("type") == kind)

    def reservation(self, status: str) -> Record:
        return next(one for one in self.reservations if one["status"] == status)


@pytest.fixture
async def books(shop: Shop, url: str) -> Books:
    replay = await replay_checkout(shop, url, opening=Opening.EXACT, in_flight=8)
    assert replay.carts is not None
    books = Books(shop, replay.carts.checkout, replay.run.outcomes)
    async with connect(url, 1, CheckoutService) as service:
        books.movements = [record async for record in service.export("movements")]
        books.reservations = [record async for record in service.reservations()]
    return books


async def test_no_falsehood_in_the_books_escapes_the_comparison(books: Books) -> None:
    found = {}
    for name, (tamper, check) in FALSEHOODS.items():
        false = copy.deepcopy(books)
        tamper(false)
        differences = await false.audit()
        found[name] = differences.failures[check] >= 1
    honest = await books.audit()

    assert honest.total == 0
    assert found == dict.fromkeys(FALSEHOODS, True)


def _set(kind: str, **values: object) -> Callable[[Books], None]:
    return lambda books: books.movement(kind).update(values)


def _delta(kind: str, **values: int) -> Callable[[Books], None]:
    return lambda books: books.movement(kind)["delta"].update(values)


def _after(kind: str, **values: int) -> Callable[[Books], None]:
    return lambda books: books.movement(kind)["after"].update(values)


def _drop(index: int) -> Callable[[Books], None]:
    return lambda books: books.movements.__delitem__(index)


def _not_there(books: Books) -> None:
    del books.reservations[0]


def _unpaid(books: Books) -> None:
    books.outcomes[PAID] = books.outcomes[PAID]._replace(reservation_id="another")


def _refused(books: Books) -> None:
    books.outcomes[PAID] = Outcome(None, (), ((0, "insufficient_stock"),))


def _ends_later(books: Books) -> None:
    outcome = books.outcomes[LEFT]
    books.outcomes[LEFT] = outcome._replace(expires_at="2126-01-01T00:00:00Z")


def _one_unit_more(books: Books) -> None:
    books.shop = replace(books.shop, units=books.shop.units + 1)


def _still_open(books: Books) -> None:
    books.reservation("fulfilled")["lines"][0].update(open=1, fulfilled=0)


FALSEHOODS: dict[str, tuple[Callable[[Books], None], str]] = {
    "lost": (_drop(-3), "seq without a gap"),
    "cut off": (_drop(-1), "ledger is whole"),
    "other item": (_set("reserve", sku="PADS"), "movement is the invoice's next step"),
    "other verb": (_set("expire", type="release"), "movement is the invoice's next step"),
    "other hold": (_set("confirm", reservation_id="x"), "movement is of the acknowledged hold"),
    "foreign": (_set("fulfill", reference="order:1"), "opening is as computed"),
    "other number": (_set("adjust", seq=1), "movement is the acknowledged one"),
    "version": (_set("fulfill", level_version=99), "level versions without a gap"),
    "clock": (_set("fulfill", recorded_at="2001-01-01T00:00:00Z"), "recorded_at never runs back"),
    "units": (_delta("confirm", committed=99), "movements and units per type and level"),
    "balance": (_after("confirm", reserved=99), "after = before + delta"),
    "below zero": (_after("fulfill", on_hand=-1), "no balance is below zero"),
    "promised": (_after("fulfill", available=99), "available is what is not promised"),
    "oversold": (_after("reserve", reserved=10**6), "nothing is oversold"),
    "acknowledged": (_unpaid, "reservation is the acknowledged one"),
    "refused": (_refused, "refused lines as foreseen"),
    "early": (_ends_later, "no hold ends before its time"),
    "file": (_one_unit_more, "units of the file"),
    "still open": (_still_open, "reservation ended as it had to"),
    "not there": (_not_there, "no reservation is missing"),
    "besides": (
        lambda books: books.reservations.append({"reference": "cart:1"}),
        "reservation is of a cart",
    ),
}


async def _booked(
    shop: Shop, number: str, answer: Callable[[httpx.Request], httpx.Response]
) -> Outcome:
    [invoice] = [invoice for invoice in shop.invoices if invoice.number == number]
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(base_url="http://shop", transport=transport) as http:
        run = await send(
            [invoice],
            CheckoutService([http]),
            in_flight=1,
            ordered=False,
            advance=lambda _: None,
        )
    return run.outcomes[number]


def _hold(request: httpx.Request) -> httpx.Response:
    states = {"reservations": "active", "confirm": "confirmed", "fulfill": "fulfilled"}
    verb = request.url.path.rpartition("/")[2]
    body = {"id": "7", "status": states[verb], "expires_at": "2026-01-01T00:00:00Z"}
    return httpx.Response(201 if verb == "reservations" else 200, json=body)


async def _each(records: list[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
