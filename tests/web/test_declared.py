"""What a reference holds, declared again and again: its account says what it has now."""

from typing import Any

import httpx

from tests.web.kits import balances, line, make_kit, put, settle, states
from tests.web.shop import JSON, Shop

CART = "/v1/reservations/by-reference/cart:1"


async def declare(shop: Shop, *lines: JSON, **fields: JSON) -> httpx.Response:
    return await shop.http.put(CART, json={"lines": list(lines), **fields})


async def declared(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    answer = await declare(shop, *lines, **fields)
    assert answer.is_success, answer.text
    return answer.json()


def account(shown: JSON) -> dict[str, Any]:
    names = ("sku", "requested", "quantity", "open", "held", "released")
    return {name: shown[name] for name in names}


async def test_a_part_of_what_is_declared_looks_like_a_part(shop: Shop) -> None:
    await put(shop, "P001", 5)
    await declared(shop, line("P001", 5))
    await declared(shop, line("P001", 1))
    await shop.adjust({"sku": "P001", "delta": -3}, reason="sale")

    (told,) = (await declared(shop, line("P001", 6), allow_partial=True))["lines"]

    assert account(told) == {
        "sku": "P001",
        "requested": 6,
        "quantity": 2,
        "open": 2,
        "held": 2,
        "released": 0,
    }
    assert told["allocations"] == [{"location": "main", "quantity": 2, "open": 2}]
    movements = (await shop.get("/v1/movements", reference="cart:1"))["items"]
    assert [one["delta"]["reserved"] for one in movements] == [5, -4, 1]


async def test_a_quantity_does_not_grow_with_each_declaration(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"backorder_limit": None})
    for quantity in (10**12, 1, 10**12, 1, 10**12):
        cart = await declared(shop, line("P001", quantity))

        assert [one["quantity"] for one in cart["lines"]] == [quantity]


async def test_what_is_released_of_a_line_stays_its_own_until_it_is_declared_anew(
    shop: Shop,
) -> None:
    first = await declared(shop, line("P001", 2))
    (told,) = (await settle(shop, "release", first, {"sku": "P001", "quantity": 1})).json()["lines"]
    assert [told[name] for name in ("quantity", "open", "released")] == [2, 1, 1]

    (told,) = (await declared(shop, line("P001", 2)))["lines"]

    assert [told[name] for name in ("quantity", "open", "released")] == [2, 2, 0]


async def test_a_line_that_is_dropped_is_not_shown_any_more(shop: Shop) -> None:
    await declared(shop, line("P001", 2), line("P002", 3))

    for lines in ([line("P002", 1)], [line("P003", 4), line("P001", 2, "main")]):
        cart = await declared(shop, *lines)

        shown = [(one["index"], one["sku"], one["quantity"]) for one in cart["lines"]]
        wanted = [(index, one["sku"], one["quantity"]) for index, one in enumerate(lines)]
        assert shown == wanted
        assert (await shop.get(CART))["lines"] == cart["lines"]
    rows = (await shop.http.get("/v1/export/reservations")).text
    assert rows.count('"sku"') == 2
    assert await balances(shop, "P002") == (200, 0, 0)


async def test_a_line_that_moved_asks_for_what_it_asks_now(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 10})
    await declared(shop, line("P001", 5, "main"))

    (told,) = (await declared(shop, line("P001", 7, "store-1")))["lines"]

    assert (told["requested"], told["quantity"]) == (7, 7)
    assert told["allocations"] == [{"location": "store-1", "quantity": 7, "open": 7}]


async def test_a_line_that_gets_nothing_is_shown(shop: Shop) -> None:
    await put(shop, "P002", 0)

    cart = await declared(shop, line("P001", 1), line("P002", 2), allow_partial=True)

    assert [(one["requested"], one["quantity"]) for one in cart["lines"]] == [(1, 1), (2, 0)]


async def test_a_declared_kit_counts_its_own_units_only(shop: Shop) -> None:
    await make_kit(shop)
    await declared(shop, line("DESK", 5))

    (told,) = (await declared(shop, line("DESK", 2)))["lines"]
    (alone,) = (await declared(shop, line("P001", 2)))["lines"]

    assert (told["quantity"], states(told)) == (2, [2, 0, 0, 0, 0])
    assert [(one["units"], one["open"]) for one in told["components"]] == [(2, 2), (4, 4)]
    assert (alone["sku"], states(alone)) == ("P001", [2, 0, 0, 0, 0])
    assert '"findings":0' in (await shop.http.get("/v1/verify")).text


async def test_an_empty_declaration_releases_like_the_verb(shop: Shop) -> None:
    await declared(shop, line("P001", 5))
    await declared(shop, line("P001", 3))

    empty = await declared(shop)

    assert empty["status"] == "released"
    assert [states(one) for one in empty["lines"]] == [[0, 0, 0, 3, 0]]
