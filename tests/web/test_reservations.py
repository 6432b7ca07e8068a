"""Reservations over HTTP: exact holds, from the cart to the shipment."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from inventory_api.workers.expiry import expire_some
from tests.databases import Template
from tests.ledger_oracle import assert_sound, rows_of
from tests.web.shop import JSON, Shop, open_demo, problem, wrong_fields


async def reserve(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    answer = await shop.http.post("/v1/reservations", json={"lines": lines, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def declare(shop: Shop, reference: str, *lines: JSON, **fields: JSON) -> JSON:
    path = f"/v1/reservations/by-reference/{reference}"
    answer = await shop.http.put(path, json={"lines": lines, **fields})
    assert answer.is_success, answer.text
    return answer.json()


async def settle(shop: Shop, verb: str, hold: JSON, *lines: JSON, **fields: JSON) -> JSON:
    body = {**({"lines": lines} if lines else {}), **fields}
    return await shop.http.post(f"/v1/reservations/{hold['id']}/{verb}", json=body)


async def promised(shop: Shop, sku: str = "P001", location: str = "main") -> tuple[int, int, int]:
    """On hand, reserved and committed."""
    level = await shop.get(f"/v1/stock/{sku}/{location}")
    return level["on_hand"], level["reserved"], level["committed"]


def line(sku: str, quantity: int, location: str | None = None) -> Mapping[str, JSON]:
    return {"sku": sku, "quantity": quantity, "location": location}


async def test_a_hold_is_taken_from_what_is_available_and_stays_on_the_shelf(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 2), reference="cart:1", ttl_s=600)

    assert (hold["status"], hold["version"], hold["created"]) == ("active", 1, True)
    assert hold["expires_at"] == "2023-11-14T22:23:20.000000Z"
    assert hold["lines"][0]["allocations"] == [{"location": "main", "quantity": 2, "open": 2}]
    assert await promised(shop) == (50, 2, 0)
    (movement,) = (await shop.get("/v1/movements", reservation_id=hold["id"]))["items"]
    assert (movement["type"], movement["reference"]) == ("reserve", "cart:1")
    assert movement["delta"] == {"on_hand": 0, "reserved": 2, "committed": 0, "incoming": 0}


async def test_a_hold_goes_from_cart_to_shipment(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 2))

    confirmed = await settle(shop, "confirm", hold)
    assert (confirmed.json()["status"], await promised(shop)) == ("confirmed", (50, 0, 2))
    fulfilled = await settle(shop, "fulfill", hold)
    assert (fulfilled.json()["status"], await promised(shop)) == ("fulfilled", (48, 0, 0))

    again = await settle(shop, "fulfill", hold)
    assert problem(again, 409)["code"] == "reservation_not_active"
    assert await promised(shop) == (48, 0, 0)


async def test_lines_of_one_item_are_judged_together(shop: Shop) -> None:
    lines = [line("P001", 30), line("P001", 30)]

    answer = await shop.http.post("/v1/reservations", json={"lines": lines})

    told = problem(answer, 409)
    assert [(one["index"], one["error"]["shortage"]) for one in told["lines"]] == [(1, 10)]
    assert await promised(shop) == (50, 0, 0)


async def test_a_part_is_taken_if_a_part_is_enough(shop: Shop) -> None:
    await shop.set({"sku": "P002", "on_hand": 0, "expected_on_hand": None})

    hold = await reserve(shop, line("P001", 60), line("P002", 1), allow_partial=True)

    taken = [(one["requested"], one["quantity"]) for one in hold["lines"]]
    assert taken == [(60, 50), (1, 0)]


async def test_a_refusal_tells_all_short_lines_and_when_there_may_be_more(shop: Shop) -> None:
    await reserve(shop, line("P001", 50), ttl_s=60)
    await reserve(shop, line("P003", 1), ttl_s=30)

    answer = await shop.http.post(
        "/v1/reservations", json={"lines": [line("P001", 1), line("P002", 1), line("P003", 150)]}
    )

    told = {one["index"]: one["error"] for one in problem(answer, 409)["lines"]}
    assert set(told) == {0, 2}
    assert told[0]["next_available_at"] == "2023-11-14T22:14:20.000000Z"
    assert (told[2]["requested"], told[2]["available"], told[2]["shortage"]) == (150, 149, 1)


async def test_the_end_of_the_own_hold_is_no_date_for_who_declares_it_anew(shop: Shop) -> None:
    path = "/v1/reservations/by-reference/own"
    await shop.http.put(path, json={"ttl_s": 30, "lines": [line("P001", 50), line("P003", 1)]})
    await reserve(shop, line("P003", 1), ttl_s=60)

    body = {"lines": [line("P001", 51), line("P003", 150)]}
    told = problem(await shop.http.put(path, json=body), 409)["lines"]
    foreign = problem(await shop.http.post("/v1/reservations", json=body), 409)["lines"]

    assert [one["error"]["next_available_at"] for one in told] == [
        None,
        "2023-11-14T22:14:20.000000Z",
    ]
    assert [one["error"]["next_available_at"] for one in foreign] == [
        "2023-11-14T22:13:50.000000Z",
        "2023-11-14T22:13:50.000000Z",
    ]


async def test_a_line_without_a_location_has_tried_all_that_sell(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "location": "store-1", "delta": 3})

    body = {"lines": [line("P001", 100), line("P001", 4, location="store-1")]}
    told = problem(await shop.http.post("/v1/reservations", json=body), 409)["lines"]

    assert [(one["error"]["available"], one["error"]["elsewhere"]) for one in told] == [
        (53, []),
        (3, [{"location": "main", "available": 50}]),
    ]


@pytest.mark.parametrize(
    ("sourcing", "taken"),
    [("priority", ["main"]), ("most_available", ["store-1"]), ("fewest_locations", ["main"])],
)
async def test_one_location_is_chosen_by_the_sourcing(
    shop: Shop, sourcing: str, taken: list[str]
) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 30})

    hold = await reserve(shop, line("P001", 5), sourcing=sourcing)

    assert [one["location"] for one in hold["lines"][0]["allocations"]] == taken


async def test_a_line_is_split_only_if_no_location_has_all_of_it(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 30})

    whole = await reserve(shop, line("P001", 25))
    split = await reserve(shop, line("P001", 21))

    def taken(hold: JSON) -> dict[str, int]:
        return {one["location"]: one["quantity"] for one in hold["lines"][0]["allocations"]}

    assert taken(whole) == {"store-1": 25}
    assert taken(split) == {"main": 20, "store-1": 1}


async def test_what_does_not_sell_is_taken_only_by_name(shop: Shop) -> None:
    await shop.http.patch("/v1/locations/store-1", json={"sellable": False})
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 50})

    sourced = await shop.http.post("/v1/reservations", json={"lines": [line("P001", 1)]})
    named = await reserve(shop, line("P001", 1, "store-1"))

    assert problem(sourced, 409)["lines"][0]["error"]["available"] == 0
    assert named["lines"][0]["allocations"][0]["location"] == "store-1"


async def test_a_backorder_is_promised_up_to_its_limit_and_shipped_only_from_the_shelf(
    shop: Shop,
) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"backorder_limit": 5})

    hold = await reserve(shop, line("P002", 1), line("P001", 55))
    assert hold["backordered"] == [{"index": 1, "quantity": 5}]
    more = await shop.http.post("/v1/reservations", json={"lines": [line("P001", 1)]})
    await settle(shop, "confirm", hold)
    shipped = await settle(shop, "fulfill", hold)

    assert (await shop.get("/v1/stock/P001/main"))["available"] == -5
    assert problem(more, 409)["code"] == "insufficient_stock"
    assert problem(shipped, 409)["lines"][0]["error"]["on_hand"] == 50
    await shop.adjust({"sku": "P001", "delta": 5}, reason="received")
    assert (await settle(shop, "fulfill", hold)).json()["status"] == "fulfilled"


async def test_parts_are_settled_and_the_rest_stays(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 5), line("P002", 4))

    await settle(shop, "confirm", hold, {"sku": "P001", "quantity": 3})
    await settle(shop, "release", hold, {"sku": "P002"})
    await settle(shop, "fulfill", hold, {"sku": "P001", "quantity": 1})
    told = await shop.get(f"/v1/reservations/{hold['id']}")

    states = [
        [one[name] for name in ("held", "committed", "fulfilled", "released")]
        for one in told["lines"]
    ]
    assert states == [[2, 2, 1, 0], [0, 0, 0, 4]]
    assert (told["status"], await promised(shop)) == ("active", (49, 2, 2))


async def test_more_than_is_open_is_refused(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 5))

    answer = await settle(shop, "confirm", hold, {"sku": "P001", "quantity": 6}, {"sku": "P002"})

    told = problem(answer, 409)
    assert [(one["error"]["code"], one["error"]["open"]) for one in told["lines"]] == [
        ("not_open", 5),
        ("not_open", 0),
    ]


async def test_nothing_is_held_from_the_microsecond_at_which_it_ends(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 50), reference="cart:1", ttl_s=10)

    shop.clock.move(9.999999)
    before = await shop.get("/v1/stock/P001")
    shop.clock.move(0.000001)

    assert before["available"] == 0
    assert (await shop.get("/v1/stock/P001"))["available"] == 50
    assert (await shop.get("/v1/stock/P001/main"))["reserved"] == 0
    assert (await shop.get("/v1/stock"))["items"][0]["reserved"] == 0
    check = await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})
    assert check.json()["results"][0]["available"] == 50
    assert (await shop.get(f"/v1/reservations/{hold['id']}"))["status"] == "expired"
    assert await shop.head() == 6, "nobody has tidied up"


async def test_what_is_due_ends_in_the_transaction_that_touches_its_level(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 50), line("P002", 1), reference="cart:1", ttl_s=10)
    shop.clock.move(10)

    assert (await shop.adjust({"sku": "P001", "delta": -50})).status_code == 200

    movements = (await shop.get("/v1/movements", after=7))["items"]
    told = [(one["type"], one["sku"], one["reference"], one["actor"]) for one in movements]
    assert told == [
        ("expire", "P001", "cart:1", "system"),
        ("expire", "P002", "cart:1", "system"),
        ("adjust", "P001", None, "local"),
    ]
    assert movements[0]["reservation_id"] == hold["id"]
    await assert_sound(shop.service.database)


async def test_the_sweep_expires_each_hold_once(shop: Shop) -> None:
    for number in range(3):
        await reserve(shop, line("P001", number + 1), ttl_s=10)
    shop.clock.move(10)

    while await expire_some(shop.service):
        pass

    movements = (await shop.get("/v1/movements", after=8))["items"]
    assert [one["delta"]["reserved"] for one in movements] == [-1, -2, -3]
    assert await promised(shop) == (50, 0, 0)
    rows = await rows_of(shop.service.database, "SELECT next_expiry_at FROM level")
    assert {row["next_expiry_at"] for row in rows} == {None}


async def test_more_holds_than_one_batch_expires_make_nobody_go_without(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, expiries_max=2) as shop:
        for _ in range(10):
            await reserve(shop, line("P001", 5), ttl_s=10)
        shop.clock.move(10)

        answers = await asyncio.gather(
            shop.adjust({"sku": "P001", "delta": -50}), shop.adjust({"sku": "P002", "delta": -1})
        )

        assert [one.status_code for one in answers] == [200, 200]
        await assert_sound(shop.service.database)


async def test_an_extended_hold_lives_on(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 5), ttl_s=10)
    shop.clock.move(9)

    extended = await settle(shop, "extend", hold, ttl_s=10)
    shop.clock.move(9)

    assert extended.json()["expires_at"] == "2023-11-14T22:13:39.000000Z"
    assert await promised(shop) == (50, 5, 0)
    assert await expire_some(shop.service), "the level thought that something was due"
    assert not await expire_some(shop.service)
    shop.clock.move(1)
    assert await promised(shop) == (50, 0, 0)


async def test_a_shortened_hold_ends_when_it_says(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 5), ttl_s=600)

    await settle(shop, "extend", hold, ttl_s=5)
    shop.clock.move(5)

    assert await promised(shop) == (50, 0, 0)


@pytest.mark.parametrize("taken", [0, 46], ids=["free", "gone"])
async def test_a_late_payment_gets_the_goods_if_they_are_still_free(shop: Shop, taken: int) -> None:
    hold = await reserve(shop, line("P001", 5), ttl_s=10)
    shop.clock.move(10)
    if taken:
        await reserve(shop, line("P001", taken), ttl_s=600)

    answer = await settle(shop, "confirm", hold)

    if taken:
        told = problem(answer, 410)
        assert told["code"] == "reservation_expired"
        assert told["lines"][0]["error"]["shortage"] == 1
        assert await promised(shop) == (50, 46, 0)
    else:
        assert (answer.json()["status"], answer.json()["recovered"]) == ("confirmed", True)
        assert await promised(shop) == (50, 0, 5)


async def test_a_declared_cart_costs_only_the_difference(shop: Shop) -> None:
    first = await declare(shop, "cart:1", line("P001", 50), ttl_s=10)
    shop.clock.move(5)
    second = await declare(shop, "cart:1", line("P001", 48), line("P002", 3), ttl_s=10)

    assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    assert second["expires_at"] == "2023-11-14T22:13:35.000000Z"
    movements = (await shop.get("/v1/movements", after=6))["items"]
    told = [(one["type"], one["sku"], one["delta"]["reserved"]) for one in movements]
    assert told == [("release", "P001", -2), ("reserve", "P002", 3)]
    assert await promised(shop) == (50, 48, 0)


async def test_the_same_cart_declared_again_moves_nothing_and_lives_on(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 5), ttl_s=10)
    head = await shop.head()
    shop.clock.move(9)

    again = await declare(shop, "cart:1", line("P001", 5), ttl_s=10)
    shop.clock.move(9)

    assert await shop.head() == head
    assert (again["version"], await promised(shop)) == (2, (50, 5, 0))


async def test_an_empty_cart_is_released(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 5))

    empty = await declare(shop, "cart:1")

    assert (empty["status"], await promised(shop)) == ("released", (50, 0, 0))
    again = await declare(shop, "cart:1", line("P001", 1))
    assert again["id"] != empty["id"]


async def test_a_cart_that_cannot_grow_stays_as_it_was(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 5))
    path = "/v1/reservations/by-reference/cart:1"

    answer = await shop.http.put(path, json={"lines": [line("P001", 51)]})

    assert problem(answer, 409)["lines"][0]["error"]["available"] == 50
    assert await promised(shop) == (50, 5, 0)


async def test_a_paid_cart_is_no_longer_declared(shop: Shop) -> None:
    hold = await declare(shop, "cart:1", line("P001", 5))
    await settle(shop, "confirm", hold)

    answer = await shop.http.put(
        "/v1/reservations/by-reference/cart:1", json={"lines": [line("P001", 1)]}
    )

    assert problem(answer, 409)["code"] == "reservation_not_active"


async def test_a_reference_has_one_open_hold(shop: Shop) -> None:
    first = await reserve(shop, line("P001", 1), reference="cart:1")

    second = await shop.http.post(
        "/v1/reservations", json={"reference": "cart:1", "lines": [line("P001", 1)]}
    )

    assert problem(second, 409)["id"] == first["id"]
    found = await shop.get("/v1/reservations/by-reference/cart:1")
    assert found["id"] == first["id"]


async def test_reservations_are_listed_by_status_and_reference(shop: Shop) -> None:
    for number in range(3):
        await reserve(shop, line("P001", 1), reference=f"cart:{number}", ttl_s=10 + number)
    shop.clock.move(10)
    await expire_some(shop.service)

    def references(page: JSON) -> list[str]:
        return [one["reference"] for one in page["items"]]

    assert references(await shop.get("/v1/reservations", status="active")) == ["cart:1", "cart:2"]
    assert references(await shop.get("/v1/reservations", status="expired")) == ["cart:0"]
    shop.clock.move(1)
    assert references(await shop.get("/v1/reservations", status="expired")) == ["cart:0", "cart:1"]
    assert references(await shop.get("/v1/reservations", reference="cart:2")) == ["cart:2"]
    walked = await shop.walk("/v1/reservations", limit=1)
    assert [one["reference"] for one in walked] == ["cart:0", "cart:1", "cart:2"]


async def test_a_life_beyond_the_longest_is_refused(shop: Shop) -> None:
    body = {"lines": [line("P001", 1)], "ttl_s": 30 * 24 * 3600 + 1}

    assert wrong_fields(await shop.http.post("/v1/reservations", json=body)) == ["ttl_s"]


@pytest.mark.parametrize("verb", ["confirm", "fulfill", "release", "extend"])
async def test_a_retry_of_a_verb_has_the_same_answer_and_no_second_effect(
    shop: Shop, verb: str
) -> None:
    hold = await reserve(shop, line("P001", 5))
    if verb == "fulfill":
        await settle(shop, "confirm", hold)
    path, headers = f"/v1/reservations/{hold['id']}/{verb}", {"Idempotency-Key": "k"}

    first = await shop.http.post(path, headers=headers)
    head = await shop.head()
    again = await shop.http.post(path, headers=headers)

    assert first.is_success
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert await shop.head() == head


async def test_what_is_held_can_not_be_sold_or_archived(shop: Shop) -> None:
    await reserve(shop, line("P001", 50))

    sold = await shop.adjust({"sku": "P001", "delta": -1})
    await shop.adjust({"sku": "P001", "delta": -50}, reason="lost")
    archived = await shop.http.delete("/v1/items/P001")

    assert problem(sold, 409)["code"] == "insufficient_stock"
    assert problem(archived, 409)["code"] == "item_in_use"


async def test_a_key_for_one_location_holds_only_there_and_sees_only_its_own(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})
    foreign = await reserve(shop, line("P001", 1, "main"))
    header = await shop.make_key(scopes=["write"], locations=["store-1"])

    own = await shop.http.post(
        "/v1/reservations", json={"lines": [line("P001", 5)]}, headers=header
    )
    more = await shop.http.post(
        "/v1/reservations", json={"lines": [line("P001", 1)]}, headers=header
    )
    other = await shop.http.get(f"/v1/reservations/{foreign['id']}", headers=header)
    listed = await shop.http.get("/v1/reservations", headers=header)

    assert own.json()["lines"][0]["allocations"][0]["location"] == "store-1"
    assert problem(more, 409)["code"] == "insufficient_stock"
    assert problem(other, 404)["code"] == "unknown_id"
    assert [one["id"] for one in listed.json()["items"]] == [own.json()["id"]]


async def test_a_shopper_s_own_hold_does_not_block_his_page(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 40))
    lines = [line("P001", 50), line("P001", 50, "main")]

    others = await shop.http.post("/v1/stock/check", json={"lines": lines})
    own = await shop.http.post(
        "/v1/stock/check", json={"lines": lines, "exclude_reference": "cart:1"}
    )

    assert [one["available"] for one in others.json()["results"]] == [10, 10]
    assert [one["available"] for one in own.json()["results"]] == [50, 50]
    assert [one["sufficient"] for one in own.json()["results"]] == [True, True]


async def test_an_explanation_names_the_holds_and_the_promises(shop: Shop) -> None:
    active = await declare(shop, "cart:1", line("P001", 4))
    paid = await declare(shop, "cart:2", line("P001", 3))
    await settle(shop, "confirm", paid)
    await declare(shop, "cart:3", line("P001", 2), ttl_s=1)
    shop.clock.move(1)

    (main,) = (await shop.get("/v1/stock/P001/explain"))["levels"]

    assert (main["reserved"], main["committed"]) == (4, 3)
    assert [(one["reference"], one["quantity"]) for one in main["holds"]] == [("cart:1", 4)]
    assert main["holds"][0]["expires_at"] == active["expires_at"]
    assert [(one["reference"], one["quantity"]) for one in main["promises"]] == [("cart:2", 3)]


async def test_a_part_of_what_expired_can_be_paid_late(shop: Shop) -> None:
    hold = await reserve(shop, line("P001", 5), ttl_s=10)
    await settle(shop, "confirm", hold, {"sku": "P001", "quantity": 1})
    shop.clock.move(10)

    late = await settle(shop, "confirm", hold, {"sku": "P001", "quantity": 3})

    told = late.json()["lines"][0]
    assert (late.json()["status"], late.json()["recovered"]) == ("confirmed", True)
    assert (told["committed"], told["expired"]) == (4, 1)


async def test_a_late_payment_does_not_stand_beside_a_new_hold_of_its_cart(shop: Shop) -> None:
    old = await reserve(shop, line("P001", 5), reference="cart:1", ttl_s=10)
    shop.clock.move(10)
    new = await declare(shop, "cart:1", line("P001", 3))

    late = await settle(shop, "confirm", old)

    assert (problem(late, 409)["code"], late.json()["id"]) == ("already_exists", new["id"])
    assert await promised(shop) == (50, 3, 0)


async def test_a_key_for_one_location_does_not_touch_the_cart_of_another(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 5))
    header = await shop.make_key(scopes=["write"], locations=["store-1"])

    answer = await shop.http.put(
        "/v1/reservations/by-reference/cart:1", json={"lines": []}, headers=header
    )

    assert problem(answer, 409)["code"] == "already_exists"


async def test_promises_without_a_limit_end_where_counting_ends(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"backorder_limit": None})

    most = [line("P001", 10**12)] * 2
    answer = await shop.http.post("/v1/reservations", json={"lines": most})

    assert problem(answer, 409)["code"] == "insufficient_stock"


async def test_a_level_whose_holds_are_over_is_not_listed_as_out(shop: Shop) -> None:
    await reserve(shop, line("P001", 50), ttl_s=10)
    assert [one["sku"] for one in (await shop.get("/v1/stock", status="out"))["items"]] == ["P001"]

    shop.clock.move(10)

    assert (await shop.get("/v1/stock", status="out"))["items"] == []


async def test_a_hold_that_is_declared_smaller_and_shorter_ends_in_time(shop: Shop) -> None:
    await declare(shop, "cart:1", line("P001", 3), ttl_s=600)
    await declare(shop, "cart:1", line("P001", 1), ttl_s=60)

    shop.clock.move(60)

    assert await promised(shop) == (50, 0, 0)


async def test_a_late_payment_promises_nothing_of_what_is_archived(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "P006", "name": "to order"})
    await shop.http.post("/v1/locations", json={"code": "store-2", "kind": "store"})
    components = [{"sku": "P006", "quantity": 1}]
    kit = {"sku": "SET", "name": "set", "components": components}
    await shop.http.post("/v1/items", json=kit)
    for sku, location in (("P001", "store-2"), ("P006", "main")):
        allowed = {"backorder_limit": 10}
        assert (await shop.http.patch(f"/v1/stock/{sku}/{location}", json=allowed)).is_success
    wanted = [line("P006", 1, "main"), line("P001", 1, "store-2"), line("SET", 1, "main")]
    hold = await reserve(shop, *wanted, ttl_s=10)
    shop.clock.move(10)
    while await expire_some(shop.service):
        pass
    for path in ("items/SET", "items/P006", "locations/store-2"):
        archived = await shop.http.patch(f"/v1/{path}", json={"status": "archived"})
        assert archived.is_success, path

    late = problem(await settle(shop, "confirm", hold), 410)

    assert late["code"] == "reservation_expired"
    assert [(one["index"], one["error"]["code"]) for one in late["lines"]] == [
        (0, "item_archived"),
        (1, "location_archived"),
        (2, "item_archived"),
    ]
    for path in ("items/P006", "locations/store-2"):
        await shop.http.patch(f"/v1/{path}", json={"status": "active"})
    (told,) = problem(await settle(shop, "confirm", hold), 410)["lines"]
    assert (told["sku"], told["error"]["code"]) == ("SET", "item_archived")
    part = await settle(shop, "confirm", hold, {"sku": "P006", "quantity": 1})
    assert part.json()["recovered"] is True


async def test_a_late_payment_promises_nothing_where_goods_are_under_way_now(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})
    hold = await reserve(shop, line("P001", 1, "store-1"), ttl_s=10)
    became = {"kind": "transit", "sellable": False}
    assert (await shop.http.patch("/v1/locations/store-1", json=became)).is_success
    shop.clock.move(10)

    (told,) = problem(await settle(shop, "confirm", hold), 410)["lines"]

    assert told["error"]["code"] == "in_transit"
