"""Locations over HTTP."""

from urllib.parse import quote

import httpx
import pytest

from tests.web.shop import Shop, problem, wrong_fields


async def test_a_new_location_is_shown_whole_with_its_address_and_version(
    http: httpx.AsyncClient,
) -> None:
    body = {
        "code": "dock 2",
        "name": "二号码头",
        "kind": "transit",
        "sellable": False,
        "priority": 7,
    }

    answer = await http.post("/v1/locations", json=body)

    assert answer.status_code == 201
    assert body.items() <= answer.json().items()
    assert answer.json()["status"] == "active"
    assert answer.headers["location"] == "/v1/locations/dock%202"
    assert answer.headers["etag"] == '"1"'


async def test_a_location_is_a_selling_warehouse_unless_said_otherwise(
    http: httpx.AsyncClient,
) -> None:
    shown = (await http.post("/v1/locations", json={"code": "north"})).json()

    assert (shown["name"], shown["kind"]) == ("north", "warehouse")
    assert (shown["sellable"], shown["priority"]) == (True, 0)


async def test_the_default_location_is_there_from_the_first_start(http: httpx.AsyncClient) -> None:
    shown = (await http.get("/v1/locations/main")).json()

    assert (shown["code"], shown["sellable"], shown["status"]) == ("main", True, "active")


async def test_a_code_is_taken_only_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/locations", json={"code": "main"})

    assert problem(answer, 409)["code"] == "already_exists"


async def test_an_unknown_code_is_not_found(http: httpx.AsyncClient) -> None:
    for answer in (
        await http.get("/v1/locations/nowhere"),
        await http.patch("/v1/locations/nowhere", json={"priority": 1}),
    ):
        assert problem(answer, 404)["code"] == "unknown_location"


@pytest.mark.parametrize("code", ["仓库", "a b", "50%", "é"])
async def test_a_location_is_reached_under_its_percent_encoded_code(
    http: httpx.AsyncClient, code: str
) -> None:
    await http.post("/v1/locations", json={"code": code})

    shown = await http.get(f"/v1/locations/{quote(code, safe='')}")
    level = await http.get(f"/v1/stock/P001/{quote(code, safe='')}")

    assert shown.json()["code"] == code
    assert level.json()["location"] == code


async def test_the_list_is_walked_page_by_page_without_gap_or_repetition(shop: Shop) -> None:
    for number in range(9):
        await shop.http.post("/v1/locations", json={"code": f"a{number}"})

    locations = await shop.walk("/v1/locations", limit=4)

    codes = [one["code"] for one in locations]
    assert codes == sorted(set(codes))
    assert {*(f"a{number}" for number in range(9)), "main", "store-1"} <= set(codes)


async def test_a_change_touches_what_it_names_and_raises_the_version(
    http: httpx.AsyncClient,
) -> None:
    before = (await http.get("/v1/locations/store-1")).json()

    answer = await http.patch("/v1/locations/store-1", json={"priority": 3, "kind": "warehouse"})

    shown = answer.json()
    changed = {"priority": 3, "kind": "warehouse", "version": 2}
    assert {**before, **changed, "updated_at": shown["updated_at"]} == shown
    assert answer.headers["etag"] == '"2"'


async def test_a_stale_if_match_is_refused_with_the_current_version(
    http: httpx.AsyncClient,
) -> None:
    await http.patch("/v1/locations/store-1", json={"priority": 1})

    answer = await http.patch(
        "/v1/locations/store-1", json={"priority": 2}, headers={"If-Match": '"1"'}
    )

    assert problem(answer, 412)["current_version"] == 2
    assert (await http.get("/v1/locations/store-1")).json()["priority"] == 1


async def test_a_change_that_names_nothing_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.patch("/v1/locations/main", json={})

    assert wrong_fields(answer) == ["body"]


async def test_stock_where_nothing_is_sold_is_on_hand_but_not_available(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 20})

    await shop.http.patch("/v1/locations/store-1", json={"sellable": False})

    stock = await shop.get("/v1/stock/P001")
    checked = (await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})).json()
    assert (stock["on_hand"], stock["available"]) == (50, 30)
    assert checked["results"][0]["available"] == 30


async def test_a_location_with_stock_can_not_be_archived(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 1})

    answer = await shop.http.patch("/v1/locations/store-1", json={"status": "archived"})

    assert problem(answer, 409)["code"] == "location_in_use"


@pytest.mark.parametrize("direction", ["into", "out-of"])
async def test_an_archived_location_takes_no_changes_until_it_is_restored(
    shop: Shop, direction: str
) -> None:
    await shop.http.patch("/v1/locations/store-1", json={"status": "archived"})
    source, target = ("main", "store-1") if direction == "into" else ("store-1", "main")
    line = {"sku": "P001", "from": source, "to": target, "quantity": 1}

    refused = await shop.transfer(line)
    assert problem(refused, 409)["code"] == "location_archived"

    await shop.http.patch("/v1/locations/store-1", json={"status": "active"})
    arrived = await shop.adjust({"sku": "P001", "location": "store-1", "delta": 1})
    assert arrived.status_code == 200
