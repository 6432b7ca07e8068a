"""What a reference holds, declared again and again: its account says what it has now."""

import asyncio
from typing import Any

import httpx

from tests.web.kits import balances, line, make_kit, put, settle, states
from tests.web.shop import JSON, Shop, problem

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


async def test_a_reference_shows_the_hold_that_is_open(shop: Shop) -> None:
    late = await declared(shop, line("P001", 2), ttl_s=10)
    shop.clock.move(10)
    newer = await declared(shop, line("P001", 1))
    await settle(shop, "release", newer)
    assert (await shop.get(CART))["id"] == newer["id"]

    await settle(shop, "confirm", late)

    found = await shop.get(CART)
    assert (found["id"], found["status"]) == (late["id"], "confirmed")
    await settle(shop, "fulfill", late)
    assert (await shop.get(CART))["id"] == newer["id"]


async def test_a_cart_that_is_partly_paid_says_why_it_is_no_longer_declared(shop: Shop) -> None:
    cart = await declared(shop, line("P001", 5))
    for verb, state in (("confirm", "confirmed"), ("fulfill", "fulfilled")):
        partly = await settle(shop, verb, cart, {"sku": "P001", "quantity": 1})
        assert partly.json()["status"] == "active"

        told = problem(await declare(shop, line("P001", 1)), 409)

        assert (told["code"], told["state"]) == ("reservation_not_active", state)


async def test_nothing_is_declared_as_often_as_one_likes(shop: Shop) -> None:
    unused = problem(await declare(shop), 404)
    cart = await declared(shop, line("P001", 5))
    first = await declared(shop)
    head = await shop.head()

    again = await declare(shop)

    assert unused["code"] == "unknown_id"
    assert (again.status_code, again.json()) == (200, first)
    assert (again.json()["id"], again.headers["etag"]) == (cart["id"], '"2"')
    assert (await shop.head(), await shop.get(CART)) == (head, without_facts(first))


async def test_nothing_is_declared_of_a_cart_whose_time_is_over(shop: Shop) -> None:
    await declared(shop, line("P001", 5), ttl_s=10)
    await declared(shop)
    newest = await declared(shop, line("P001", 2), ttl_s=10)
    shop.clock.move(10)

    for _ in range(2):
        told = await declared(shop)

        assert (told["id"], told["status"]) == (newest["id"], "expired")
        assert [states(one) for one in told["lines"]] == [[0, 0, 0, 0, 2]]


async def test_nothing_is_declared_by_many_at_once(shop: Shop) -> None:
    cart = await declared(shop, line("P001", 5))

    answers = await asyncio.gather(*(declare(shop) for _ in range(8)))

    assert {(one.status_code, one.json()["id"]) for one in answers} == {(200, cart["id"])}
    assert {(one.json()["status"], one.json()["version"]) for one in answers} == {("released", 2)}


async def test_a_limited_key_declares_nothing_of_what_it_may_not_see(shop: Shop) -> None:
    await declared(shop, line("P001", 5))
    await declared(shop)
    header = await shop.make_key(scopes=["write"], locations=["store-1"])

    told = await shop.http.put(CART, json={"lines": []}, headers=header)

    assert problem(told, 404)["code"] == "unknown_id"


def without_facts(shown: JSON) -> JSON:
    return {name: told for name, told in shown.items() if name not in ("created", "backordered")}
