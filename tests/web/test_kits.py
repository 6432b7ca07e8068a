"""Kits over HTTP: sold as often as their components allow, and moved with them at once."""

import asyncio
from collections import Counter

import pytest

from tests.ledger_oracle import assert_sound
from tests.web.kits import (
    balances,
    check,
    declare,
    held,
    hold,
    line,
    make_kit,
    put,
    settle,
    states,
)
from tests.web.shop import JSON, Shop, problem


@pytest.fixture
async def kits(shop: Shop) -> Shop:
    """DESK is a laptop with two mice: 50 of them at main, none at store-1."""
    assert (await make_kit(shop)).status_code == 201
    return shop


async def test_a_kit_is_available_as_often_as_its_scarcest_component_allows(kits: Shop) -> None:
    await put(kits, "P002", 7)

    stock = await kits.get("/v1/stock/DESK")

    assert (stock["available"], stock["on_hand"], stock["levels"]) == (3, 3, [])
    assert stock["kits"] == [
        {"location": "main", "on_hand": 3, "available": 3, "limited_by": ["P002"]}
    ]
    told = await check(kits, "DESK", 4)
    assert (told["name"], told["available"], told["sufficient"]) == ("kit DESK", 3, False)
    assert (await check(kits, "DESK", 3))["sufficient"]
    assert (await kits.get("/v1/stock/DESK/main"))["available"] == 3
    assert "kits" not in await kits.get("/v1/stock/P001")


async def test_a_kit_is_assembled_at_one_location(kits: Shop) -> None:
    await put(kits, "P001", 1)
    await put(kits, "P002", 1)
    await put(kits, "P002", 9, "store-1")

    assert (await check(kits, "DESK"))["available"] == 0
    await put(kits, "P001", 2, "store-1")
    assert (await check(kits, "DESK"))["available"] == 2
    assert (await check(kits, "DESK", location="main"))["available"] == 0
    await kits.http.patch("/v1/locations/store-1", json={"sellable": False})
    assert (await check(kits, "DESK"))["available"] == 0
    assert (await check(kits, "DESK", location="store-1"))["available"] == 2
    assert (await kits.get("/v1/stock/DESK"))["available"] == 0


async def test_what_is_oversold_at_one_place_is_not_taken_from_another(kits: Shop) -> None:
    await put(kits, "P002", 4)
    await held(kits, line("P002", 4))
    await put(kits, "P002", 0)

    assert (await kits.get("/v1/stock/P002/main"))["available"] == -4
    assert (await kits.get("/v1/stock/DESK"))["available"] == 0


async def test_an_explanation_names_the_component_that_limits_each_location(kits: Shop) -> None:
    await put(kits, "P002", 7)
    await put(kits, "P001", 2, "store-1")

    told = await kits.get("/v1/stock/DESK/explain")

    assert (told["available"], told["levels"]) == (3, [])
    limits = {one["location"]: (one["available"], one["limited_by"]) for one in told["kits"]}
    assert limits == {"main": (3, ["P002"]), "store-1": (0, ["P002"])}
    assert told["kits"][0]["components"] == [
        {"sku": "P001", "quantity": 1, "available": 50, "kits": 50},
        {"sku": "P002", "quantity": 2, "available": 7, "kits": 3},
    ]


async def test_the_past_of_a_kit_is_that_of_its_components(kits: Shop) -> None:
    before = await kits.head()
    await put(kits, "P001", 1)

    assert (await kits.get("/v1/stock/DESK"))["available"] == 1
    assert (await kits.get("/v1/stock/DESK", as_of=before))["available"] == 50
    assert (await kits.get("/v1/stock/DESK/main", as_of=before))["available"] == 50


async def test_a_held_kit_holds_its_components(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 3), reference="cart:1")

    (shown,) = cart["lines"]
    assert (shown["sku"], shown["requested"], shown["quantity"], shown["open"]) == ("DESK", 3, 3, 3)
    assert shown["allocations"] == [{"location": "main", "quantity": 3, "open": 3}]
    assert shown["components"] == [
        {"sku": "P001", "quantity": 1, "units": 3, "open": 3},
        {"sku": "P002", "quantity": 2, "units": 6, "open": 6},
    ]
    assert (await balances(kits, "P001"), await balances(kits, "P002")) == (
        (50, 3, 0),
        (200, 6, 0),
    )
    assert (await check(kits, "DESK"))["available"] == 47
    moved = (await kits.get("/v1/movements", reservation_id=cart["id"]))["items"]
    assert [(one["sku"], one["delta"]["reserved"]) for one in moved] == [("P001", 3), ("P002", 6)]


async def test_a_kit_goes_from_cart_to_shipment_and_its_components_with_it(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 5))

    await settle(kits, "confirm", cart, {"sku": "DESK", "quantity": 4})
    await settle(kits, "fulfill", cart, {"sku": "DESK", "quantity": 2})
    told = (await settle(kits, "release", cart, {"sku": "DESK", "quantity": 2})).json()

    assert states(told["lines"][0]) == [0, 1, 2, 2, 0]
    assert [one["units"] for one in told["lines"][0]["components"]] == [5, 10]
    assert await balances(kits, "P001") == (48, 0, 1)
    assert await balances(kits, "P002") == (196, 0, 2)
    await settle(kits, "fulfill", cart)
    assert (await balances(kits, "P001"), await balances(kits, "P002")) == ((47, 0, 0), (194, 0, 0))
    await assert_sound(kits.service.database)


async def test_parts_of_a_kit_are_named_by_the_kit_and_not_by_its_components(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 2))

    component = await settle(kits, "release", cart, {"sku": "P001", "quantity": 1})
    too_many = await settle(kits, "release", cart, {"sku": "DESK", "quantity": 3})

    for answer, left in ((component, 0), (too_many, 2)):
        assert problem(answer, 409)["lines"][0]["error"] == {
            "code": "not_open",
            "requested": 1 if left == 0 else 3,
            "open": left,
        }


async def test_a_kit_ends_to_the_microsecond_with_all_its_components(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 50), ttl_s=10)
    kits.clock.move(9.999999)
    assert (await check(kits, "DESK"))["available"] == 0

    kits.clock.move(0.000001)

    assert (await check(kits, "DESK"))["available"] == 50
    assert (await kits.get("/v1/stock/DESK"))["available"] == 50
    shown = await kits.get(f"/v1/reservations/{cart['id']}")
    assert states(shown["lines"][0]) == [0, 0, 0, 0, 50]
    await held(kits, line("P002", 200))
    assert await balances(kits, "P001") == (50, 0, 0)


async def test_an_extended_kit_lives_on(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 50), ttl_s=10)
    await kits.http.post(f"/v1/reservations/{cart['id']}/extend", json={"ttl_s": 60})

    kits.clock.move(20)

    assert (await check(kits, "DESK"))["available"] == 0


async def test_a_late_payment_takes_a_kit_again_if_all_of_it_is_free(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 2), ttl_s=1)
    kits.clock.move(2)
    other = await held(kits, line("P002", 198))

    refused = problem(await settle(kits, "confirm", cart), 410)
    assert refused["code"] == "reservation_expired"
    error = refused["lines"][0]["error"]
    assert (error["requested"], error["available"], error["shortage"]) == (2, 1, 1)
    assert error["components"] == [{"sku": "P002", "quantity": 2, "available": 2}]
    assert (await balances(kits, "P001"), await balances(kits, "P002")) == (
        (50, 0, 0),
        (200, 198, 0),
    )

    await settle(kits, "release", other)
    paid = (await settle(kits, "confirm", cart)).json()
    assert (paid["recovered"], states(paid["lines"][0])) == (True, [0, 2, 0, 0, 0])
    assert await balances(kits, "P002") == (200, 0, 4)


async def test_a_refused_kit_tells_what_is_short_where_it_is_and_when_there_may_be_more(
    kits: Shop,
) -> None:
    await put(kits, "P002", 5)
    await put(kits, "P001", 9, "store-1")
    await put(kits, "P002", 2, "store-1")
    await held(kits, line("P001", 1, "main"), ttl_s=30)
    await held(kits, line("P002", 2, "main"), ttl_s=60)

    answer = await hold(kits, line("DESK", 3, "main"))

    (told,) = problem(answer, 409)["lines"]
    error = told["error"]
    assert (told["sku"], error["code"]) == ("DESK", "insufficient_stock")
    assert (error["requested"], error["on_hand"], error["available"], error["shortage"]) == (
        3, 2, 1, 2,
    )  # fmt: skip
    assert error["components"] == [{"sku": "P002", "quantity": 2, "available": 3}]
    assert error["elsewhere"] == [{"location": "store-1", "available": 1}]
    assert error["next_available_at"] == "2023-11-14T22:14:20.000000Z", "the mouse, not the laptop"


async def test_a_kit_may_be_had_when_the_last_of_what_it_lacks_has_come(kits: Shop) -> None:
    await put(kits, "P001", 0)
    await put(kits, "P002", 0)
    await put(kits, "P002", 3, "store-1")
    for sku, location, date in [
        ("P001", "main", "2027-01-01T00:00:00Z"),
        ("P002", "main", "2027-06-01T00:00:00Z"),
        ("P001", "store-1", "2027-07-01T00:00:00Z"),
    ]:
        goods = [{"sku": sku, "location": location, "quantity": 9}]
        body = {"expected_at": date, "lines": goods}
        assert (await kits.http.post("/v1/inbounds", json=body)).status_code == 201

    told = [
        problem(await hold(kits, line("DESK", 1, location)), 409)["lines"][0]["error"]
        for location in ("main", "store-1", None)
    ]

    assert [one["next_available_at"] for one in told] == [
        "2027-06-01T00:00:00.000000Z",
        "2027-07-01T00:00:00.000000Z",
        "2027-06-01T00:00:00.000000Z",
    ]


async def test_a_kit_that_lacks_something_nobody_expects_has_no_date(kits: Shop) -> None:
    await put(kits, "P001", 0)
    await put(kits, "P002", 0)
    goods = [{"sku": "P001", "location": "main", "quantity": 9}]
    body = {"expected_at": "2027-01-01T00:00:00Z", "lines": goods}
    assert (await kits.http.post("/v1/inbounds", json=body)).status_code == 201

    told = problem(await hold(kits, line("DESK")), 409)["lines"][0]["error"]

    assert told["next_available_at"] is None


async def test_a_kit_is_split_over_locations_only_as_whole_kits(kits: Shop) -> None:
    await put(kits, "P001", 3)
    await put(kits, "P002", 5)
    await put(kits, "P001", 9, "store-1")
    await put(kits, "P002", 3, "store-1")

    cart = await held(kits, line("DESK", 3))

    assert cart["lines"][0]["allocations"] == [
        {"location": "main", "quantity": 2, "open": 2},
        {"location": "store-1", "quantity": 1, "open": 1},
    ]
    assert problem(await hold(kits, line("DESK")), 409)["code"] == "insufficient_stock"
    assert await balances(kits, "P002", "store-1") == (3, 2, 0)


@pytest.mark.parametrize(
    ("sourcing", "taken"), [("priority", "main"), ("most_available", "store-1")]
)
async def test_a_kit_is_sourced_like_an_item(kits: Shop, sourcing: str, taken: str) -> None:
    await put(kits, "P002", 20)
    await put(kits, "P001", 30, "store-1")
    await put(kits, "P002", 60, "store-1")

    cart = await held(kits, line("DESK", 2), sourcing=sourcing)

    assert [one["location"] for one in cart["lines"][0]["allocations"]] == [taken]


async def test_a_part_of_a_line_is_whole_kits_too(kits: Shop) -> None:
    await put(kits, "P002", 5)

    cart = await held(kits, line("DESK", 4), line("P003", 1), allow_partial=True)

    taken = [(one["requested"], one["quantity"]) for one in cart["lines"]]
    assert taken == [(4, 2), (1, 1)]
    assert await balances(kits, "P002") == (5, 4, 0)
    none = await held(kits, line("DESK", 1), allow_partial=True)
    assert (none["lines"][0]["sku"], none["lines"][0]["quantity"]) == ("DESK", 0)


async def test_a_kit_is_on_backorder_only_as_far_as_every_component_allows(kits: Shop) -> None:
    await kits.http.patch("/v1/stock/P001/main", json={"backorder_limit": None})
    await kits.http.patch("/v1/stock/P002/main", json={"backorder_limit": 5})
    told = await check(kits, "DESK", 102)
    assert (told["available"], told["sufficient"]) == (50, True)

    refused = await hold(kits, line("DESK", 103))
    cart = await held(kits, line("DESK", 102))

    assert problem(refused, 409)["lines"][0]["error"]["shortage"] == 1
    assert cart["backordered"] == [{"index": 0, "quantity": 52}]
    assert (await kits.get("/v1/stock/P002/main"))["available"] == -4
    await settle(kits, "confirm", cart)
    shipped = problem(await settle(kits, "fulfill", cart), 409)
    error = shipped["lines"][0]["error"]
    assert (shipped["code"], error["shortage"]) == ("insufficient_stock", 52)
    assert error["components"] == [{"sku": "P001", "quantity": 1, "available": 50}]


async def test_quantities_beyond_all_counting_are_refused(kits: Shop) -> None:
    await make_kit(kits, "HUGE", [{"sku": "P001", "quantity": 10**12}])
    await kits.http.patch("/v1/stock/P001/main", json={"backorder_limit": None})

    answer = await hold(kits, line("HUGE", 10**12))

    assert problem(answer, 409)["code"] == "insufficient_stock"


async def test_nothing_is_shipped_if_one_component_is_not_on_the_shelf(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 2))
    await settle(kits, "confirm", cart)
    await put(kits, "P002", 3)

    refused = problem(await settle(kits, "fulfill", cart), 409)

    (told,) = refused["lines"]
    assert (told["sku"], told["error"]["shortage"]) == ("DESK", 1)
    assert told["error"]["components"] == [{"sku": "P002", "quantity": 2, "available": 3}]
    assert await balances(kits, "P001") == (50, 0, 2)
    one = await settle(kits, "fulfill", cart, {"sku": "DESK", "quantity": 1})
    assert one.status_code == 200
    assert (await balances(kits, "P001"), await balances(kits, "P002")) == ((49, 0, 1), (1, 0, 2))


async def test_a_cart_with_a_component_beside_its_kit_is_judged_on_the_running_balance(
    kits: Shop,
) -> None:
    await put(kits, "P002", 5)

    answer = await hold(kits, line("DESK", 2), line("P002", 2), line("P002", 1))
    told = problem(answer, 409)["lines"]
    assert [(one["index"], one["error"]["shortage"]) for one in told] == [(1, 1)]

    cart = await held(kits, line("P002", 3), line("DESK"), line("P002"), allow_partial=True)
    assert [one["quantity"] for one in cart["lines"]] == [3, 1, 0]
    assert await balances(kits, "P002") == (5, 5, 0)


async def test_two_kits_that_share_a_component_never_have_it_twice(kits: Shop) -> None:
    await make_kit(kits, "MICE", [{"sku": "P002", "quantity": 3}])
    await put(kits, "P002", 6)

    answer = await hold(kits, line("DESK", 2), line("MICE"))
    cart = await held(kits, line("MICE"), line("DESK"))

    assert [one["index"] for one in problem(answer, 409)["lines"]] == [1]
    assert [one["open"] for one in cart["lines"]] == [1, 1]
    assert await balances(kits, "P002") == (6, 5, 0)


async def test_a_declared_cart_never_stands_in_its_own_way(kits: Shop) -> None:
    await put(kits, "P001", 3)
    first = (await declare(kits, "cart:1", line("DESK", 3))).json()
    assert (await check(kits, "DESK"))["available"] == 0
    assert (await check(kits, "DESK", exclude_reference="cart:1"))["available"] == 3

    again = await declare(kits, "cart:1", line("DESK", 2), line("P001", 1))
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert await balances(kits, "P001") == (3, 3, 0)

    plain = (await declare(kits, "cart:1", line("P001", 3))).json()
    assert await balances(kits, "P002") == (200, 0, 0)
    shown = {(one["index"], one["sku"]): states(one) for one in plain["lines"]}
    assert shown == {(0, "P001"): [3, 0, 0, 0, 0]}
    emptied = (await declare(kits, "cart:1")).json()
    assert emptied["status"] == "released"
    assert await summary(kits) == (True, 0)


async def test_what_is_held_keeps_the_components_that_it_was_held_with(kits: Shop) -> None:
    old = await held(kits, line("DESK", 2), reference="cart:1")
    await kits.http.patch("/v1/items/DESK", json={"components": [{"sku": "P003", "quantity": 1}]})

    new = await held(kits, line("DESK"))
    more = (await declare(kits, "cart:1", line("DESK", 3))).json()

    assert [one["sku"] for one in new["lines"][0]["components"]] == ["P003"]
    assert more["lines"][0]["components"] == [
        {"sku": "P001", "quantity": 1, "units": 3, "open": 3},
        {"sku": "P002", "quantity": 2, "units": 6, "open": 6},
    ]
    await settle(kits, "confirm", old)
    await settle(kits, "fulfill", old)
    assert (await balances(kits, "P001"), await balances(kits, "P002")) == ((47, 0, 0), (194, 0, 0))
    assert await balances(kits, "P003") == (150, 1, 0)


async def test_a_kit_that_is_plain_again_is_still_shipped_as_it_was_held(kits: Shop) -> None:
    cart = await held(kits, line("DESK", 2), reference="cart:1")
    await kits.http.patch("/v1/items/DESK", json={"components": []})
    await put(kits, "DESK", 5)

    both = (await declare(kits, "cart:1", line("DESK", 1))).json()

    assert await balances(kits, "DESK") == (5, 1, 0)
    assert await balances(kits, "P001") == (50, 0, 0)
    assert [states(one) for one in both["lines"]] == [[1, 0, 0, 0, 0]]
    assert problem(await kits.http.delete("/v1/items/DESK"), 409)["code"] == "item_in_use"
    assert (await settle(kits, "confirm", cart)).status_code == 200


async def test_a_retry_holds_a_kit_once(kits: Shop) -> None:
    body = {"lines": [line("DESK", 2)]}
    headers = {"Idempotency-Key": "k1"}

    first = await kits.http.post("/v1/reservations", json=body, headers=headers)
    again = await kits.http.post("/v1/reservations", json=body, headers=headers)

    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert await balances(kits, "P002") == (200, 4, 0)


async def test_a_limited_key_sees_and_takes_kits_of_its_own_locations_only(kits: Shop) -> None:
    await put(kits, "P001", 2, "store-1")
    await put(kits, "P002", 3, "store-1")
    elsewhere = await held(kits, line("DESK", 1, "main"), reference="cart:main")
    till = await kits.make_key(scopes=["read", "write"], locations=["store-1"])
    kits.http.headers.update(till)

    stock = await kits.get("/v1/stock/DESK")
    assert (stock["available"], [one["location"] for one in stock["kits"]]) == (1, ["store-1"])
    assert (await check(kits, "DESK"))["available"] == 1
    told = await kits.get("/v1/stock/DESK/explain")
    assert [one["location"] for one in told["kits"]] == ["store-1"]
    assert problem(await kits.http.get("/v1/stock/DESK/main"), 403)["code"] == "forbidden"

    refused = problem(await hold(kits, line("DESK", 2)), 409)["lines"][0]["error"]
    assert (refused["available"], refused["elsewhere"]) == (1, [])
    own = await held(kits, line("DESK"))
    assert own["lines"][0]["allocations"][0]["location"] == "store-1"
    assert problem(await settle(kits, "release", elsewhere), 404)["code"] == "unknown_id"


async def test_a_cart_has_no_more_lines_with_its_components_than_a_call_may_have(
    kits: Shop,
) -> None:
    at_most = [line("DESK")] * 5_000

    answer = await hold(kits, *at_most, line("P003"))

    told = problem(answer, 409)
    assert (told["code"], told["components"]) == ("too_many_components", 10_001)


@pytest.mark.parametrize("buyers", [64])
async def test_of_many_buyers_of_the_last_kits_exactly_so_many_get_one_as_there_are(
    kits: Shop, buyers: int
) -> None:
    """Two kits share the mouse; whoever is first, no mouse is sold twice."""
    await make_kit(kits, "PAIR", [{"sku": "P002", "quantity": 2}, {"sku": "P003", "quantity": 1}])
    await put(kits, "P002", 21)

    names = ["DESK", "PAIR"] * (buyers // 2)
    answers = await asyncio.gather(*(hold(kits, line(name)) for name in names))

    assert Counter(one.status_code for one in answers) == {201: 10, 409: buyers - 10}
    assert await balances(kits, "P002") == (21, 20, 0)
    sold: Counter[str] = Counter(
        one.json()["lines"][0]["sku"] for one in answers if one.status_code == 201
    )
    assert await balances(kits, "P001") == (50, sold["DESK"], 0)
    assert await balances(kits, "P003") == (150, sold["PAIR"], 0)
    await assert_sound(kits.service.database)
    assert await summary(kits) == (True, 0)


async def summary(shop: Shop) -> JSON:
    """Whether the books balance, and how many findings there are."""
    lines = (await shop.http.get("/v1/verify")).text.splitlines()
    last = lines[-1]
    return ('"ok":true' in last, len(lines) - 1)
