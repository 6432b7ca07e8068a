"""Kits in the catalogue: what may be one, and of what."""

import pytest

from tests.web.kits import DESK, components_of, held, line, make_kit, settle
from tests.web.shop import JSON, Shop, problem, wrong_fields


async def test_an_item_is_made_as_a_kit_and_shown_with_its_components(shop: Shop) -> None:
    made = await make_kit(shop, components=DESK[::-1])

    assert (made.status_code, made.json()["components"]) == (201, DESK)
    assert await components_of(shop, "DESK") == DESK
    assert await components_of(shop, "P001") == []
    listed = {one["sku"]: one["components"] for one in await shop.walk("/v1/items")}
    assert (listed["DESK"], listed["P001"]) == (DESK, [])


async def test_an_export_shows_the_components(shop: Shop) -> None:
    await make_kit(shop)

    exported = (await shop.http.get("/v1/export/items")).text
    query = {"format": "csv", "columns": "sku,components"}
    as_csv = (await shop.http.get("/v1/export/items", params=query)).text

    assert 'DESK,"[{""sku"":""P001"",""quantity"":1},' in as_csv
    assert '"components":[{"sku":"P001","quantity":1},{"sku":"P002","quantity":2}]' in exported


async def test_an_item_without_history_becomes_a_kit_and_a_plain_item_again(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "DESK", "name": "Desk"})

    as_kit = await shop.http.patch("/v1/items/DESK", json={"components": DESK})
    assert (as_kit.json()["components"], as_kit.headers["etag"]) == (DESK, '"2"')
    renamed = await shop.http.patch("/v1/items/DESK", json={"name": "The desk"})
    assert renamed.json()["components"] == DESK

    as_item = await shop.http.patch("/v1/items/DESK", json={"components": None})
    assert as_item.json()["components"] == []
    assert (await shop.adjust({"sku": "DESK", "delta": 1})).status_code == 200


async def test_what_had_stock_never_becomes_a_kit(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -50})

    answer = await shop.http.patch("/v1/items/P001", json={"components": [DESK[1]]})

    assert problem(answer, 409)["code"] == "had_stock"
    assert await components_of(shop, "P001") == []


@pytest.mark.parametrize(
    ("sku", "code"),
    [
        ("NOPE", "unknown_sku"),
        ("P004", "item_archived"),
        ("OTHER", "is_kit"),
        ("DESK", "is_kit"),
    ],
    ids=["unknown", "archived", "a_kit", "itself"],
)
async def test_a_component_is_another_item_that_is_active_and_plain(
    shop: Shop, sku: str, code: str
) -> None:
    await make_kit(shop, "OTHER")
    await shop.adjust({"sku": "P004", "delta": -80})
    await shop.http.delete("/v1/items/P004")

    answer = await make_kit(shop, components=[DESK[0], line(sku) | {"quantity": 1}][:1])
    assert answer.status_code == 201
    wrong = [{"sku": sku, "quantity": 1}, DESK[0]]
    changed = await shop.http.patch("/v1/items/DESK", json={"components": wrong})

    told = problem(changed, 409)
    assert told["code"] == "unfit_component"
    assert [(one["sku"], one["error"]["code"]) for one in told["lines"]] == [(sku, code)]
    assert await components_of(shop, "DESK") == DESK[:1]


async def test_a_kit_of_an_unknown_component_is_not_made(shop: Shop) -> None:
    answer = await make_kit(shop, components=[{"sku": "NOPE", "quantity": 1}])

    assert problem(answer, 409)["code"] == "unfit_component"
    assert problem(await shop.http.get("/v1/items/DESK"), 404)["code"] == "unknown_sku"


async def test_a_part_of_a_kit_never_becomes_a_kit(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "CABLE", "name": "Cable"})
    await make_kit(shop, components=[{"sku": "CABLE", "quantity": 3}])

    answer = await shop.http.patch("/v1/items/CABLE", json={"components": DESK})

    told = problem(answer, 409)
    assert (told["code"], told["kits"]) == ("item_in_use", ["DESK"])


async def test_a_part_of_an_active_kit_is_not_archived(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "CABLE", "name": "Cable"})
    await make_kit(shop, components=[{"sku": "CABLE", "quantity": 3}])

    refused = await shop.http.delete("/v1/items/CABLE")
    assert (problem(refused, 409)["code"], refused.json()["kits"]) == ("item_in_use", ["DESK"])

    await shop.http.delete("/v1/items/DESK")
    assert (await shop.http.delete("/v1/items/CABLE")).status_code == 200
    restored = await shop.http.patch("/v1/items/DESK", json={"status": "active"})
    assert problem(restored, 409)["code"] == "unfit_component"
    await shop.http.patch("/v1/items/CABLE", json={"status": "active"})
    restored = await shop.http.patch("/v1/items/DESK", json={"status": "active"})
    assert restored.status_code == 200


async def test_a_kit_that_a_cart_holds_is_not_archived(shop: Shop) -> None:
    await make_kit(shop)
    cart = await held(shop, line("DESK"))

    assert problem(await shop.http.delete("/v1/items/DESK"), 409)["code"] == "item_in_use"
    await settle(shop, "release", cart)
    assert (await shop.http.delete("/v1/items/DESK")).status_code == 200
    refused = await shop.http.post("/v1/reservations", json={"lines": [line("DESK")]})
    assert problem(refused, 409)["code"] == "item_archived"


@pytest.mark.parametrize(
    ("components", "field"),
    [
        ([{"sku": "P001", "quantity": 0}], "components[0].quantity"),
        ([{"sku": "P001", "quantity": 10**12 + 1}], "components[0].quantity"),
        ([{"sku": "P001", "quantity": True}], "components[0].quantity"),
        ([{"sku": "P001"}], "components[0].quantity"),
        ([{"sku": "a/b", "quantity": 1}], "components[0].sku"),
        ([{"sku": "P001", "quantity": 1, "unit": "m"}], "components[0].unit"),
        ([DESK[0], DESK[0]], "components"),
        ([{"sku": f"C{number}", "quantity": 1} for number in range(101)], "components"),
        ({"P001": 1}, "components"),
    ],
    ids=["none", "too_many", "true", "no_quantity", "name", "unknown", "twice", "101", "object"],
)
async def test_components_are_checked_like_every_field(
    shop: Shop, components: JSON, field: str
) -> None:
    assert wrong_fields(await make_kit(shop, components=components)) == [field]


async def test_a_change_of_components_is_done_once_and_by_version(shop: Shop) -> None:
    await make_kit(shop)
    change = {"components": [DESK[0]]}
    headers = {"Idempotency-Key": "k1", "If-Match": '"1"'}

    first = await shop.http.patch("/v1/items/DESK", json=change, headers=headers)
    again = await shop.http.patch("/v1/items/DESK", json=change, headers=headers)

    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert first.json()["version"] == 2
    stale = await shop.http.patch("/v1/items/DESK", json=change, headers={"If-Match": '"1"'})
    assert problem(stale, 412)["code"] == "version_mismatch"


async def test_no_stock_is_booked_of_a_kit(shop: Shop) -> None:
    await make_kit(shop)
    head = await shop.head()

    mixed = await shop.adjust(
        {"sku": "DESK", "delta": 1}, {"sku": "P001", "delta": 1}, mode="independent"
    )
    counted = await shop.set({"sku": "DESK", "on_hand": 1, "expected_on_hand": None})
    moved = await shop.transfer({"sku": "DESK", "to": "store-1", "quantity": 1})
    policy = await shop.http.patch("/v1/stock/DESK/main", json={"safety_stock": 1})
    rows = "sku,location,on_hand\nDESK,main,5\n"
    imported = await shop.http.post(
        "/v1/import/levels", content=rows, headers={"Content-Type": "text/csv"}
    )

    results = [one.get("error", {}).get("code") for one in mixed.json()["results"]]
    assert results == ["is_kit", None]
    for refused in (counted, moved, policy):
        assert problem(refused, 409)["code"] == "is_kit"
    assert '"code":"is_kit"' in imported.text
    assert await shop.head() == head + 1
