"""Half an answer changes nothing, however it is cut."""

import json

import pytest

from tests.suppliers.feed_server import Asked, FeedServer, Told, listed
from tests.suppliers.feeds import SHAPE, add_supplier, csv, ndjson, pull, stock
from tests.web.shop import JSON, Shop

WHOLE = {"P001": 7, "P002": 9}
TEXT = json.dumps({"items": [{"sku": sku, "quantity": units} for sku, units in WHOLE.items()]})
CUTS: dict[str, tuple[JSON, Told]] = {
    "json-not-closed": ({}, Told(TEXT[:-2].encode())),
    "json-cut-in-a-row": ({}, Told(TEXT[:-10].encode())),
    "json-empty": ({}, Told(b"")),
    "json-shorter-than-told": ({}, Told(TEXT[:-10].encode(), missing=10)),
    "json-fewer-rows-than-declared": (
        {"shape": {**SHAPE, "total": "total"}},
        listed(WHOLE, total=3),
    ),
    "ndjson-without-its-end": (
        {"format": "ndjson", "shape": {**SHAPE, "end": "done"}},
        Told(ndjson(WHOLE)),
    ),
    "ndjson-fewer-than-declared": (
        {"format": "ndjson", "shape": {**SHAPE, "end": "done", "total": "rows"}},
        Told(ndjson(WHOLE, {"done": True, "rows": 3})),
    ),
    "ndjson-of-unknown-length": ({"format": "ndjson"}, Told(ndjson(WHOLE), is_framed=False)),
    "csv-of-unknown-length": ({"format": "csv"}, Told(csv(WHOLE), is_framed=False)),
    "csv-shorter-than-told": ({"format": "csv"}, Told(csv(WHOLE)[:-6], missing=6)),
    "csv-empty": ({"format": "csv"}, Told(b"")),
}
NONSENSE: dict[str, tuple[JSON, Told]] = {
    "no-list": ({}, Told(b'{"items": {}}')),
    "list-elsewhere": ({}, Told(b'{"rows": []}')),
    "two-lists": ({}, Told(b'{"items": [], "items": []}')),
    "no-json": ({}, Told(b"<html>{}</html>")),
    "brackets": ({}, Told(b'{"items": [}]')),
    "trailing": ({}, Told(TEXT.encode() + b"{}")),
    "deep": ({}, Told(b"[" * 100)),
    "too-much-around": ({}, Told(b'{"x":"' + b"x" * 100_000 + b'","items":[]}')),
    "columns": ({"format": "csv"}, Told(b"code,stock\nP001,7\n")),
    "error": ({}, Told(b"{}", status=404)),
    "redirect": ({}, Told(status=302, headers={"location": "http://127.0.0.1/"})),
    "more-after-the-end": (
        {"format": "ndjson", "shape": {**SHAPE, "end": "done"}},
        Told(ndjson(WHOLE, {"done": True}, {"sku": "P003", "quantity": 1})),
    ),
}


@pytest.mark.parametrize("name", [*CUTS, *NONSENSE])
async def test_what_is_not_whole_or_not_a_list_changes_nothing(
    shop: Shop, server: FeedServer, name: str
) -> None:
    fields, told = (CUTS | NONSENSE)[name]
    await add_supplier(shop, server, missing="zero", **fields)
    head = await shop.head()
    server.answer = lambda _: told

    run = await pull(shop)

    assert (run["status"], run["applied"], run["changed"]) == ("failed", False, 0)
    assert run["error"] in ("truncated", "unreachable", "malformed", "redirected", "status")
    assert await shop.head() == head


@pytest.mark.parametrize(
    "name", ["json-not-closed", "ndjson-without-its-end", "csv-of-unknown-length"]
)
async def test_a_part_is_booked_if_the_supplier_says_that_parts_will_do(
    shop: Shop, server: FeedServer, name: str
) -> None:
    fields, told = CUTS[name]
    await add_supplier(shop, server, missing="zero", partial_allowed=True, **fields)
    await shop.set(
        {"sku": "P005", "on_hand": 5, "expected_on_hand": None, "location": "acme"},
    )
    server.answer = lambda _: told

    run = await pull(shop)

    assert run["status"] == "partial"
    # What is not named may be in the part that did not come.
    assert (await stock(shop))["P005"] == 5
    assert (await stock(shop))["P001"] == 7


async def test_nonsense_is_no_part_of_a_list(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, partial_allowed=True)
    server.answer = lambda _: Told(b'{"items":[{"sku":"P001","quantity":1},{"sku"]}')

    assert (await pull(shop))["error"] == "malformed"
    assert await stock(shop) == {}


async def test_a_page_that_fails_after_its_retries_changes_nothing(
    shop: Shop, server: FeedServer
) -> None:
    def answer(asked: Asked) -> Told:
        if asked.query["page"] == "2":
            return Told(status=503)
        return listed({"P001": 7})

    await add_supplier(shop, server, paging={"kind": "page", "size": 1})
    server.answer = answer

    run = await pull(shop)

    assert (run["status"], run["error"], run["applied"]) == ("failed", "status", False)
    assert [one.query["page"] for one in server.asked].count("2") == 4
    assert await stock(shop) == {}
