"""The replay of a real shop: what its file means, how it is sent, and the whole of it."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.replay.forecast import Opening, foresee, opening_stock
from benchmarks.replay.run import Outcome, send
from benchmarks.replay.service import ReplayError, Service, ndjson
from benchmarks.replay.shop import Item, Shop, read_shop
from benchmarks.replay_online_retail import replay_shop
from tests.benchmarks.small_shop import FILE, small_shop
from tests.server import ServerProcess, free_port

ROOT = Path(__file__).parents[2]

STRAY = {"reason": "received", "lines": [{"sku": "PADS", "location": "main", "delta": 1}]}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return small_shop(tmp_path)


def test_each_line_becomes_one_change_with_its_meaning(shop: Shop) -> None:
    changes = {invoice.number: [tuple(line) for line in invoice.lines] for invoice in shop.invoices}

    assert changes == {
        "489434": [("85048", "main", -12, "sale"), ("85048", "main", -2, "sale")],
        "489435": [("85123A", "main", -6, "sale")],
        "489436": [("85123a", "main", -4, "sale")],
        "489437": [
            ("47503J", "main", -1, "sale"),
            ("47503J", "main", -1, "sale"),
            ("POST", "charges", -1, "sale"),
            ("gift_0001_20", "charges", -2, "sale"),
        ],
        "C489438": [("85048", "main", 3, "cancelled_sale")],
        "C496350": [("M", "charges", -1, "sale")],
        "489440": [("85048", "main", -2, "damaged")],
        "489441": [("21646", "main", -50, "correction")],
        "489442": [("85123A", "main", 7, "correction")],
        "489443": [("22076", "main", -12, "sample")],
        "489444": [("46000S", "main", -400, "sample"), ("PADS", "main", -1, "sale")],
        "A506401": [("B", "charges", -1, "other")],
        "489445": [("85123A", "main", -7, "sale")],
        "489446": [("35956", "main", -1, "lost")],
    }


def test_an_invoice_happened_when_its_first_line_says_in_utc(shop: Shop) -> None:
    assert shop.invoices[0].occurred_at.isoformat() == "2009-12-01T07:45:00+00:00"


def test_the_file_is_counted_as_it_stands(shop: Shop) -> None:
    assert (shop.rows, shop.units) == (19, 514)
    assert len(shop.codes) == 14
    assert len(shop.items) == 13


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Item("85048", "15CM GLASS BALL", Decimal("6.95")), id="first priced line"),
        pytest.param(Item("47503J", 'SET/3 "TOOLS", IN BAG', Decimal("16.13")), id="blank cut off"),
        pytest.param(Item("21646", "21646", None), id="no description"),
        pytest.param(Item("35956", "35956", None), id="a remark is no name"),
        pytest.param(Item("PADS", "PADS TO MATCH", Decimal("0.00")), id="a tenth of a penny"),
        pytest.param(Item("B", "B", None), id="negative price"),
    ],
)
def test_an_item_is_called_what_its_first_line_with_a_price_calls_it(
    shop: Shop, item: Item
) -> None:
    assert shop.items[item.sku] == item


def test_a_gzipped_file_and_a_limit_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv.gz"
    path.write_bytes(gzip.compress(FILE.encode()))

    shop = read_shop(path, limit=3)

    assert [len(invoice.lines) for invoice in shop.invoices] == [2, 1]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Invoice;StockCode\n", encoding="utf-8")

    with pytest.raises(ValueError, match=r"shop\.csv: expected the columns"):
        read_shop(path)


def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(FILE.replace(",12,2009", ",dozen,2009"), encoding="utf-8")

    with pytest.raises(ValueError, match="line 2 is not a line of an invoice"):
        read_shop(path)


def test_an_ample_opening_is_everything_that_leaves(shop: Shop) -> None:
    opening = opening_stock(shop, Opening.AMPLE)

    assert opening["85048", "main"] == 12 + 2 + 2
    assert opening["85123A", "main"] == 6 + 7
    assert opening["M", "charges"] == 1


def test_an_exact_opening_is_the_deepest_fall_in_the_files_order(shop: Shop) -> None:
    opening = opening_stock(shop, Opening.EXACT)

    assert opening["85048", "main"] == 14
    assert opening["85123A", "main"] == 6
    assert not foresee(shop, opening).refused


def test_a_refused_line_takes_its_invoice_with_it_and_what_comes_back_can_be_sold(
    shop: Shop,
) -> None:
    opening = opening_stock(shop, Opening.EXACT) | {("85048", "main"): 13, ("PADS", "main"): 0}

    forecast = foresee(shop, opening)

    assert forecast.refused == {"489434": [1], "489444": [1]}
    assert forecast.on_hand["85048", "main"] == 13 + 3 - 2
    assert forecast.on_hand["46000S", "main"] == 400
    assert forecast.versions["85048", "main"] == 1 + 2


async def test_records_are_split_at_line_feeds_only() -> None:
    text = '{"name":"a\\u2028b"}\n{"name":"\u2028\x85"}\n'.encode()

    records = [record async for record in ndjson(_chunks(text[:25], text[25:28], text[28:]))]

    assert records == [{"name": "a\u2028b"}, {"name": "\u2028\x85"}]


async def test_a_stream_that_breaks_off_inside_a_record_is_an_error() -> None:
    with pytest.raises(ReplayError, match="broke off"):
        [record async for record in ndjson(_chunks(b'{"seq":1}\n{"se'))]


async def test_an_answer_that_is_not_final_is_asked_again_with_the_same_key(shop: Shop) -> None:
    answers = iter([503, None, 504, 200])
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        status = next(answers)
        if status is None:
            raise httpx.ReadError("connection lost")
        return httpx.Response(status, headers={"Retry-After": "0"}, json={"code": "overloaded"})

    async with _service(answer) as service:
        final = await service.book(shop.invoices[0])

    assert (final.status, final.attempts) == (200, 4)
    assert keys == ["invoice:489434"] * 4


async def test_an_invoice_without_an_answer_ends_the_replay(shop: Shop) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<h1>a proxy's page</h1>")

    async with _service(answer) as service:
        with pytest.raises(ReplayError, match="502 <h1>"):
            await send(shop.invoices, service, in_flight=3, ordered=False, advance=lambda _: None)


async def test_a_refusal_is_final_and_kept_with_its_lines(shop: Shop) -> None:
    lines = [{"index": 1, "error": {"code": "insufficient_stock"}}]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(409, json={"code": "insufficient_stock", "lines": lines})

    async with _service(answer) as service:
        run = await send(
            shop.invoices[:1], service, in_flight=1, ordered=False, advance=lambda _: None
        )

    assert run.outcomes["489434"] == Outcome(None, (), ((1, "insufficient_stock"),))
    assert run.refusals == {"insufficient_stock": 1}


async def test_an_invoice_waits_only_for_those_that_share_a_level(shop: Shop) -> None:
    first, second, other = (
        next(invoice for invoice in shop.invoices if invoice.number == number)
        for number in ("489434", "C489438", "489443")
    )
    other_arrived = asyncio.Event()
    arrived: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        arrived.append(request.headers["Idempotency-Key"])
        if arrived[-1] == "invoice:489443":
            other_arrived.set()
        await other_arrived.wait()
        arrived.append("answered " + request.headers["Idempotency-Key"])
        return _applied(request)

    async with _service(answer) as service:
        await send(
            [first, second, other], service, in_flight=3, ordered=True, advance=lambda _: None
        )

    assert arrived.index("answered invoice:489434") < arrived.index("invoice:C489438")
    assert arrived.index("invoice:489443") < arrived.index("invoice:C489438")


async def test_no_more_invoices_are_on_their_way_than_allowed(shop: Shop) -> None:
    under_way: set[str] = set()
    most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal most
        under_way.add(request.headers["Idempotency-Key"])
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.discard(request.headers["Idempotency-Key"])
        return _applied(request)

    async with _service(answer) as service:
        run = await send(shop.invoices, service, in_flight=3, ordered=False, advance=lambda _: None)

    assert len(run.outcomes) == len(shop.invoices)
    assert most == 3


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A real service on an empty database."""
    with ServerProcess(tmp_path, demo=False) as server:
        yield server.url


@pytest.mark.parametrize("opening", [Opening.AMPLE, Opening.SHORT])
async def test_the_service_agrees_with_the_file_even_when_all_is_sent_twice(
    shop: Shop, url: str, opening: Opening
) -> None:
    replay = await replay_shop(shop, url, opening=opening, in_flight=8, resend=True)

    assert replay.differences.shown == []
    assert replay.resent is not None
    assert replay.resent.replayed == len(shop.invoices)
    assert len(replay.run.outcomes) == len(shop.invoices)


def test_the_command_reports_and_its_status_says_that_all_agrees(
    shop: Shop, tmp_path: Path, url: str
) -> None:
    report = tmp_path / "report.md"

    result = _command("--csv", tmp_path / "shop.csv", "--url", url, "--report", report)

    text = report.read_text(encoding="utf-8")
    assert result.returncode == 0
    assert text in result.stdout
    assert "| `cancelled_sale` | main | 1 | +3 |" in text
    assert "**Differences: 0**" in text
    assert str(tmp_path) not in text


def test_the_commands_status_says_that_something_differs(
    shop: Shop, tmp_path: Path, url: str
) -> None:
    arguments = ("--csv", tmp_path / "shop.csv", "--url", url)
    _command(*arguments)
    httpx.post(f"{url}/v1/stock/adjust", json=STRAY).raise_for_status()

    result = _command(*arguments)

    assert result.returncode == 1
    assert "| level is as computed | 13 | 1 |" in result.stdout
    assert "| lines of the file | 1 | 1 |" in result.stdout


def test_the_command_says_that_nobody_answers(shop: Shop, tmp_path: Path) -> None:
    result = _command("--csv", tmp_path / "shop.csv", "--url", f"http://127.0.0.1:{free_port()}")

    assert result.returncode == 2
    assert "ConnectError" in result.stderr


def _command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "benchmarks/replay_online_retail.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@asynccontextmanager
async def _service(answer: Callable[[httpx.Request], Any]) -> AsyncIterator[Service]:
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(base_url="http://shop", transport=transport) as http:
        yield Service([http] * 3)


def _applied(request: httpx.Request) -> httpx.Response:
    lines = json.loads(request.content)["lines"]
    results = [{"index": index, "seq": index + 1} for index in range(len(lines))]
    return httpx.Response(200, json={"operation_id": "1", "results": results})


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
