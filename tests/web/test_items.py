"""The catalogue over HTTP."""

from urllib.parse import quote

import httpx
import pytest

from inventory_api.workers.expiry import expire_some
from tests.ledger_oracle import assert_sound
from tests.web.shop import JSON, Shop, problem, wrong_fields

WEBCAM = {
    "sku": "P006",
    "name": "Webcam",
    "barcode": "4006381333931",
    "unit_price": {"amount": "249.00", "currency": "EUR"},
    "attributes": {"colour": "black", "ports": 1, "used": False, "note": None},
}


async def test_a_new_item_is_shown_whole_with_its_address_and_version(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post("/v1/items", json=WEBCAM)

    assert answer.status_code == 201
    shown = answer.json()
    assert WEBCAM.items() <= shown.items()
    assert shown["status"] == "active"
    assert shown["version"] == 1
    assert shown["created_at"] == shown["updated_at"] == "2023-11-14T22:13:20.000000Z"
    assert answer.headers["location"] == "/v1/items/P006"
    assert answer.headers["etag"] == '"1"'


async def test_a_new_item_needs_no_more_than_a_sku_and_a_name(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/items", json={"sku": "P006", "name": "Webcam"})

    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["barcode"], shown["unit_price"], shown["attributes"]) == (None, None, {})


async def test_a_price_without_a_currency_gets_the_default_one(http: httpx.AsyncClient) -> None:
    price = {"amount": "249.00"}

    answer = await http.post("/v1/items", json={"sku": "P006", "name": "Cam", "unit_price": price})

    assert answer.json()["unit_price"] == {"amount": "249.00", "currency": "CNY"}


@pytest.mark.parametrize("amount", ["0", "0.10", "999999999999.9999", "5999.00"])
async def test_a_price_is_kept_to_the_last_digit(http: httpx.AsyncClient, amount: str) -> None:
    item = {"sku": "P006", "name": "Cam", "unit_price": {"amount": amount, "currency": "CNY"}}

    await http.post("/v1/items", json=item)

    shown = (await http.get("/v1/items/P006")).json()
    assert shown["unit_price"]["amount"] == amount


async def test_a_sku_is_taken_only_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/items", json={"sku": "P001", "name": "another"})

    told = problem(answer, 409)
    assert told["code"] == "already_exists"
    assert told["applied"] == "no"
    assert (await http.get("/v1/items/P001")).json()["name"] == "笔记本电脑"


async def test_skus_that_differ_in_case_are_different_items(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/items", json={"sku": "p001", "name": "small"})

    assert answer.status_code == 201
    assert (await http.get("/v1/items/P001")).json()["name"] == "笔记本电脑"


async def test_an_unknown_sku_is_not_found(http: httpx.AsyncClient) -> None:
    for answer in (
        await http.get("/v1/items/P999"),
        await http.patch("/v1/items/P999", json={"name": "x"}),
        await http.delete("/v1/items/P999"),
    ):
        assert problem(answer, 404)["code"] == "unknown_sku"


@pytest.mark.parametrize(
    "sku",
    ["键盘 机械", "a b", "50%", "a?b", "a#b", "a&b=c", "é", "🖱", "explain", "adjust", "-", "x" * 64],
    ids=[
        "chinese", "space", "percent", "question", "hash", "ampersand", "accent", "emoji",
        "explain", "adjust", "dash", "longest",
    ],
)  # fmt: skip
async def test_an_item_is_reached_under_its_percent_encoded_sku(
    http: httpx.AsyncClient, sku: str
) -> None:
    made = await http.post("/v1/items", json={"sku": sku, "name": "thing"})
    assert made.status_code == 201

    for path in ("/v1/items/{}", "/v1/stock/{}", "/v1/stock/{}/explain", "/v1/stock/{}/main"):
        answer = await http.get(path.format(quote(sku, safe="")))
        assert answer.status_code == 200, path
        assert answer.json()["sku"] == sku
    assert made.headers["location"] == f"/v1/items/{quote(sku, safe='')}"


async def test_the_list_is_walked_page_by_page_without_gap_or_repetition(shop: Shop) -> None:
    for number in range(6, 18):
        await shop.http.post("/v1/items", json={"sku": f"P{number:03}", "name": "thing"})

    items = await shop.walk("/v1/items", limit=5)

    assert [item["sku"] for item in items] == [f"P{number:03}" for number in range(1, 18)]


async def test_an_item_added_behind_the_cursor_is_still_seen(http: httpx.AsyncClient) -> None:
    first = (await http.get("/v1/items", params={"limit": 3})).json()
    await http.post("/v1/items", json={"sku": "P0035", "name": "between"})
    await http.post("/v1/items", json={"sku": "A", "name": "before"})

    second = (await http.get("/v1/items", params={"cursor": first["next_cursor"]})).json()

    assert [item["sku"] for item in second["items"]] == ["P0035", "P004", "P005"]


@pytest.mark.parametrize(
    ("query", "skus"),
    [
        ({"q": "p00"}, ["P001", "P002", "P003", "P004", "P005", "P006"]),
        ({"q": "键盘"}, ["P003"]),
        ({"q": "usb-c"}, ["P005"]),
        ({"q": "4006381333931"}, ["P006"]),
        ({"q": "400638"}, []),
        ({"q": "%"}, []),
        ({"q": "P_0"}, []),
        ({"status": "archived"}, ["P006"]),
        ({"status": "active", "q": "P006"}, []),
    ],
    ids=[
        "sku", "name", "case", "barcode", "part-of-barcode", "percent", "underscore",
        "archived", "both",
    ],
)  # fmt: skip
async def test_the_list_is_filtered_by_text_and_status(
    http: httpx.AsyncClient, query: JSON, skus: list[str]
) -> None:
    await http.post("/v1/items", json=WEBCAM)
    await http.delete("/v1/items/P006")

    found = (await http.get("/v1/items", params=query)).json()

    assert [item["sku"] for item in found["items"]] == skus


async def test_a_change_touches_what_it_names_and_raises_the_version(shop: Shop) -> None:
    await shop.http.post("/v1/items", json=WEBCAM)
    shop.clock.move(60)

    answer = await shop.http.patch("/v1/items/P006", json={"name": "Camera"})

    shown = answer.json()
    assert shown["name"] == "Camera"
    assert shown["version"] == 2
    assert answer.headers["etag"] == '"2"'
    assert shown["updated_at"] == "2023-11-14T22:14:20.000000Z"
    assert shown["created_at"] == "2023-11-14T22:13:20.000000Z"
    assert {**WEBCAM, "name": "Camera"}.items() <= shown.items()
    assert (await shop.http.get("/v1/items/P006")).json() == shown


async def test_null_takes_a_barcode_and_a_price_away(http: httpx.AsyncClient) -> None:
    await http.post("/v1/items", json=WEBCAM)

    shown = (await http.patch("/v1/items/P006", json={"barcode": None, "unit_price": None})).json()

    assert (shown["barcode"], shown["unit_price"]) == (None, None)


async def test_a_change_that_names_nothing_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.patch("/v1/items/P001", json={})

    assert wrong_fields(answer) == ["body"]


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
async def test_a_stale_if_match_is_refused_with_the_current_version(
    http: httpx.AsyncClient, verb: str
) -> None:
    await http.post("/v1/items", json=WEBCAM)
    before = (await http.patch("/v1/items/P006", json={"name": "second"})).json()

    body = {"name": "third"} if verb == "PATCH" else None
    answer = await http.request(verb, "/v1/items/P006", json=body, headers={"If-Match": '"1"'})

    told = problem(answer, 412)
    assert told["code"] == "version_mismatch"
    assert told["current_version"] == 2
    assert (await http.get("/v1/items/P006")).json() == before


@pytest.mark.parametrize("tags", ['"1"', '"7", "1"', "*"], ids=["one", "list", "any"])
async def test_an_if_match_that_names_the_version_lets_the_change_through(
    http: httpx.AsyncClient, tags: str
) -> None:
    answer = await http.patch("/v1/items/P001", json={"name": "x"}, headers={"If-Match": tags})

    assert answer.status_code == 200


@pytest.mark.parametrize("tags", ["1", '"1', "", '"1";"2"'])
async def test_an_if_match_that_is_no_tag_is_refused_by_name(
    http: httpx.AsyncClient, tags: str
) -> None:
    answer = await http.patch("/v1/items/P001", json={"name": "x"}, headers={"If-Match": tags})

    assert wrong_fields(answer) == ["If-Match"]


async def test_a_write_that_knows_no_versions_refuses_a_condition(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/items", json=WEBCAM, headers={"If-Match": '"1"'})

    assert wrong_fields(answer) == ["If-Match"]


async def test_a_hold_keeps_an_item_in_use_until_its_time_is_over_swept_or_not(
    shop: Shop,
) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"backorder_limit": 1})
    await shop.set({"sku": "P001", "on_hand": 0, "expected_on_hand": None})
    body = {"ttl_s": 60, "lines": [{"sku": "P001", "quantity": 1}]}
    assert (await shop.http.post("/v1/reservations", json=body)).status_code == 201

    shop.clock.move(59.999999)
    early = await shop.http.delete("/v1/items/P001")
    shop.clock.move(0.000001)
    in_time = await shop.http.delete("/v1/items/P001")
    await expire_some(shop.service)

    assert problem(early, 409)["code"] == "item_in_use"
    assert in_time.json()["status"] == "archived"
    await assert_sound(shop.service.database)


async def test_an_item_with_stock_can_not_be_archived(http: httpx.AsyncClient) -> None:
    for answer in (
        await http.delete("/v1/items/P001"),
        await http.patch("/v1/items/P001", json={"status": "archived"}),
    ):
        assert problem(answer, 409)["code"] == "item_in_use"

    assert (await http.get("/v1/items/P001")).json()["status"] == "active"


async def test_an_archived_item_takes_no_changes_until_it_is_restored(shop: Shop) -> None:
    await shop.set({"sku": "P001", "on_hand": 0, "expected_on_hand": 50})
    archived = await shop.http.delete("/v1/items/P001")
    assert archived.json()["status"] == "archived"

    refused = await shop.adjust({"sku": "P001", "delta": 5}, reason="received")
    told = problem(refused, 409)
    assert told["code"] == "item_archived"
    assert told["lines"][0]["error"]["code"] == "item_archived"

    restored = await shop.http.patch("/v1/items/P001", json={"status": "active"})
    assert restored.json()["status"] == "active"
    assert (await shop.adjust({"sku": "P001", "delta": 5})).status_code == 200


async def test_an_archived_sku_is_still_taken_and_still_shown(shop: Shop) -> None:
    await shop.http.post("/v1/items", json=WEBCAM)
    await shop.http.delete("/v1/items/P006")

    again = await shop.http.post("/v1/items", json=WEBCAM)

    assert problem(again, 409)["code"] == "already_exists"
    assert (await shop.http.get("/v1/items/P006")).json()["status"] == "archived"
