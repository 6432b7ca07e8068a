"""A list becomes facts in the ledger, once, and only if it is whole."""

import json

import pytest

from inventory_api.suppliers.readers import BOM
from tests.suppliers.feed_server import Asked, FeedServer, Told, listed
from tests.suppliers.feeds import (
    SHAPE,
    add_supplier,
    change,
    csv,
    ndjson,
    pull,
    pull_lines,
    stock,
)
from tests.web.shop import Shop, problem


async def test_a_pull_books_what_the_list_says_as_facts_of_the_supplier(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)

    run = await pull(shop)

    assert (run["status"], run["rows"], run["changed"], run["applied"]) == ("complete", 2, 2, True)
    assert await stock(shop) == {"P001": 7, "P002": 9}
    (last,) = await shop.walk("/v1/movements", location="acme", sku="P002")
    assert (last["type"], last["actor"]) == ("set", "supplier:acme")
    assert (last["reason"], last["reference"]) == ("supplier_feed", f"supplier-run:{run['id']}")


async def test_a_pull_tells_how_far_it_has_come(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)

    lines = await pull_lines(shop)

    assert [line.get("phase") for line in lines] == ["started", "list", "list", "book", None]
    assert lines[-1]["end"] is True
    assert lines[-2]["changed"] == 2


async def test_what_is_equal_already_is_not_booked_again(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    await pull(shop)
    head = await shop.head()
    server.answer = lambda _: listed({"P001": 7, "P002": 10})

    run = await pull(shop)

    assert (run["changed"], run["unchanged"]) == (1, 1)
    assert await shop.head() == head + 1


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("csv", csv({"P001": 7, "P002": 9})),
        ("csv", BOM + csv({'"P001"': "7", "P002": '"9"'}).replace(b"\n", b"\r\n")),
        ("ndjson", ndjson({"P001": 7, "P002": "9"})),
        ("ndjson", BOM + ndjson({"P001": 7, "P002": 9})),
        ("json", BOM + listed({"P001": 7, "P002": 9}).body),
    ],
    ids=["csv", "csv-of-a-spreadsheet", "ndjson", "ndjson-with-a-mark", "json-with-a-mark"],
)
async def test_each_format_reads_alike(
    shop: Shop, server: FeedServer, format_: str, body: bytes
) -> None:
    await add_supplier(shop, server, format=format_)
    server.answer = lambda _: Told(body)

    run = await pull(shop)

    assert (run["status"], run["bad"]) == ("complete", 0)
    assert await stock(shop) == {"P001": 7, "P002": 9}


async def test_rows_and_their_fields_may_stand_deep_inside(shop: Shop, server: FeedServer) -> None:
    shape = {"rows": "result.stock", "sku": "article.code", "quantity": "free.now"}
    await add_supplier(shop, server, shape=shape)
    rows = [{"article": {"code": "P001"}, "free": {"now": 3}, "tags": ["a", {"b": "}"}]}]
    document = {"stock": [1, 2], "result": {"page": 1, "stock": rows}, "note": "[]"}
    server.answer = lambda _: Told(json.dumps(document).encode())

    assert (await pull(shop))["status"] == "complete"
    assert await stock(shop) == {"P001": 3}


async def test_bad_rows_are_told_and_leave_their_levels_alone(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, missing="zero", bad_rows_percent_max=100)
    await pull(shop)
    rows = [
        {"sku": "P001", "quantity": -1},
        {"sku": "P002", "quantity": 1.5},
        {"sku": "P003", "quantity": 10**13},
        {"sku": "P004", "quantity": "a few"},
        {"sku": "P005", "quantity": True},
        {"sku": "nobody", "quantity": 1},
    ]
    server.answer = lambda _: Told(json.dumps({"items": rows}).encode())

    run = await pull(shop)

    assert [row["reason"] for row in run["report"]["bad_rows"]] == [
        "negative",
        "not_whole",
        "too_large",
        "quantity",
        "quantity",
    ]
    assert [row["line"] for row in run["report"]["bad_rows"]] == [1, 2, 3, 4, 5]
    assert run["report"]["unknown_codes"] == ["nobody"]
    assert await stock(shop) == {"P001": 7, "P002": 9}


async def test_too_many_bad_rows_refuse_the_list(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, bad_rows_percent_max=10)
    server.answer = lambda _: listed({"P001": 1, "P002": -1})

    run = await pull(shop)

    assert (run["status"], run["error"], run["applied"]) == ("failed", "bad_rows", False)
    assert await stock(shop) == {}


async def test_equal_duplicates_count_once_and_contradicting_ones_not_at_all(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, bad_rows_percent_max=50)
    body = csv({"P001": 3}) + b"P001,3\nP002,4\nP002,5\n"
    await change(shop, format="csv")
    server.answer = lambda _: Told(body)

    run = await pull(shop)

    assert await stock(shop) == {"P001": 3}
    (bad,) = run["report"]["bad_rows"]
    assert (bad["reason"], bad["line"]) == ("contradicts", 4)


async def test_a_contradiction_is_told_by_the_supplier_s_own_code(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, format="csv", bad_rows_percent_max=50)
    codes = [{"code": code, "sku": "P001"} for code in ("A-1", "B-1")]
    await shop.http.put("/v1/suppliers/acme/codes", json={"codes": codes})
    server.answer = lambda _: Told(csv({"A-1": 4, "P002": 9, "B-1": 5}))

    run = await pull(shop)

    assert run["report"]["bad_rows"] == [{"line": 3, "code": "B-1", "reason": "contradicts"}]
    assert await stock(shop) == {"P002": 9}


async def test_what_is_missing_is_kept_or_set_to_zero(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    await pull(shop)
    server.answer = lambda _: listed({"P001": 7})

    assert (await pull(shop))["zeroed"] == 0
    assert await stock(shop) == {"P001": 7, "P002": 9}

    await change(shop, missing="zero")
    assert (await pull(shop))["zeroed"] == 1
    assert (await stock(shop))["P002"] == 0


async def test_rows_that_nobody_can_read_keep_everything_that_is_missing(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, format="csv", missing="zero", bad_rows_percent_max=60)
    server.answer = lambda _: Told(csv({"P001": 7, "P002": 9}))
    await pull(shop)
    server.answer = lambda _: Told(csv({"P001": 8}) + b'"P002"x,9\n')

    run = await pull(shop)

    assert (run["status"], run["zeroed"]) == ("complete", 0)
    assert run["report"]["remarks"] != []
    assert await stock(shop) == {"P001": 8, "P002": 9}


async def test_a_list_that_is_much_shorter_is_believed_only_if_forced(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, missing="zero")
    await pull(shop)
    server.answer = lambda _: listed({})

    run = await pull(shop)

    assert (run["status"], run["error"]) == ("failed", "shrunk")
    assert await stock(shop) == {"P001": 7, "P002": 9}
    assert (await pull(shop, force=True))["zeroed"] == 2
    assert await stock(shop) == {"P001": 0, "P002": 0}


async def test_a_list_that_is_the_same_is_not_read_again(shop: Shop, server: FeedServer) -> None:
    def answer(asked: Asked) -> Told:
        if asked.headers.get("if-none-match") == '"v1"':
            return Told(status=304)
        return listed({"P001": 7}, etag='"v1"')

    await add_supplier(shop, server)
    server.answer = answer
    await pull(shop)

    assert (await pull(shop))["status"] == "not_modified"
    assert (await pull(shop, force=True))["status"] == "complete"
    await change(shop, missing="zero")
    assert (await pull(shop))["status"] == "complete"


async def test_an_archived_item_is_unknown_and_a_sold_one_is_set_again(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    await pull(shop)
    await shop.adjust({"sku": "P001", "location": "acme", "delta": -2})

    assert (await pull(shop))["changed"] == 1
    assert (await stock(shop))["P001"] == 7


async def test_codes_mean_what_the_mapping_says(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, unmapped="unknown")
    codes = [
        {"code": "A-1", "sku": "P001"},
        {"code": "42", "sku": "P002"},
        {"code": " W 7  ", "sku": "P004"},
    ]
    assert (await shop.http.put("/v1/suppliers/acme/codes", json={"codes": codes})).is_success
    rows = [
        {"sku": "A-1", "quantity": 5},
        {"sku": 42, "quantity": 6},
        {"sku": "P003", "quantity": 1},
        {"sku": " W 7  ", "quantity": 8},
    ]
    server.answer = lambda _: Told(json.dumps({"items": rows}).encode())

    run = await pull(shop)

    assert await stock(shop) == {"P001": 5, "P002": 6, "P004": 8}
    assert run["report"]["unknown_codes"] == ["P003"]


async def test_a_location_that_is_archived_takes_nothing(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    await shop.http.patch("/v1/locations/acme", json={"status": "archived"})

    run = await pull(shop)

    assert (run["status"], run["error"]) == ("failed", "location")
    assert server.asked == []


async def test_an_archived_supplier_is_not_pulled(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    await shop.http.delete("/v1/suppliers/acme")

    answer = await shop.http.post("/v1/suppliers/acme/pull")

    assert problem(answer, 409)["code"] == "supplier_archived"


async def test_an_array_may_be_the_whole_document(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, shape={**SHAPE, "rows": ""})
    server.answer = lambda _: Told(b'[{"sku":"P001","quantity":1}]')

    assert (await pull(shop))["changed"] == 1
