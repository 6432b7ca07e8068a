"""Transfers in two steps over HTTP: shipped, under way, received, and what got lost."""

import asyncio
from pathlib import Path

import pytest

from tests.databases import Template
from tests.ledger_oracle import assert_sound
from tests.web.shop import JSON, Shop, open_demo, problem, wrong_fields


def line(sku: str, quantity: int, **fields: JSON) -> JSON:
    return {"sku": sku, "quantity": quantity, **fields}


async def ship(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    body = {"from": "main", "to": "store-1", "lines": lines, **fields}
    return await shop.http.post("/v1/transfers", json=body)


async def shipped(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    answer = await ship(shop, *lines, **fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def settle(shop: Shop, verb: str, transfer: JSON, *lines: JSON, **options: JSON) -> JSON:
    body = {"lines": lines} if lines else {}
    return await shop.http.post(f"/v1/transfers/{transfer['id']}/{verb}", json=body, **options)


async def places(shop: Shop, sku: str = "P001") -> dict[str, tuple[int, int]]:
    """On hand and incoming, by location; without what is empty."""
    levels = (await shop.get(f"/v1/stock/{sku}"))["levels"]
    found = {one["location"]: (one["on_hand"], one["incoming"]) for one in levels}
    return {location: units for location, units in found.items() if any(units)}


async def is_sound(shop: Shop) -> bool:
    answer = await shop.http.get("/v1/verify")
    await assert_sound(shop.service.database)
    return '"findings":0' in answer.text


def units(transfer: JSON, *names: str) -> list[list[int]]:
    return [[one[name] for name in names] for one in transfer["lines"]]


async def test_what_is_shipped_is_under_way_and_expected(shop: Shop) -> None:
    answer = await ship(shop, line("P001", 5), line("P002", 7), reference="truck:12")

    transfer = answer.json()
    assert answer.headers["location"] == f"/v1/transfers/{transfer['id']}"
    assert answer.headers["etag"] == '"1"'
    ends = [transfer[name] for name in ("from", "to", "via", "reference", "status")]
    assert ends == ["main", "store-1", "transit", "truck:12", "open"]
    assert transfer["lines"][0] == {
        "index": 0,
        "sku": "P001",
        "quantity": 5,
        "received": 0,
        "missing": 0,
        "cancelled": 0,
        "open": 5,
    }
    assert await places(shop) == {"main": (45, 0), "store-1": (0, 5), "transit": (5, 0)}
    assert await shop.get(answer.headers["location"]) == transfer
    assert await is_sound(shop)


async def test_what_is_under_way_is_not_for_sale(shop: Shop) -> None:
    await shipped(shop, line("P001", 50))

    stock = await shop.get("/v1/stock/P001")
    check = await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})
    sold = await shop.adjust({"sku": "P001", "delta": -1})

    assert (stock["on_hand"], stock["available"]) == (50, 0)
    assert check.json()["results"][0]["available"] == 0
    assert problem(sold, 409)["lines"][0]["error"]["elsewhere"] == []


async def test_its_reference_finds_both_steps(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5))
    await settle(shop, "receive", transfer)

    reference = f"transfer:{transfer['id']}"
    movements = (await shop.get("/v1/movements", reference=reference))["items"]

    told = [
        (one["type"], one["location"], one["delta"]["on_hand"], one["delta"]["incoming"])
        for one in movements
    ]
    assert told == [
        ("transfer_out", "main", -5, 0),
        ("transfer_in", "transit", 5, 0),
        ("expect", "store-1", 0, 5),
        ("transfer_out", "transit", -5, 0),
        ("transfer_in", "store-1", 5, -5),
    ]
    assert transfer["reference"] == reference


async def test_everything_arrives_without_lines(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5), line("P001", 2))

    told = (await settle(shop, "receive", transfer)).json()

    assert (told["status"], units(told, "received", "open")) == ("received", [[5, 0], [2, 0]])
    assert await places(shop) == {"main": (43, 0), "store-1": (7, 0)}
    assert await is_sound(shop)


async def test_what_neither_arrived_nor_got_lost_stays_under_way(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 10))

    lines = [line("P001", 4, missing=1, reason="damaged")]
    told = (await settle(shop, "receive", transfer, *lines)).json()

    assert told["status"] == "open"
    assert units(told, "received", "missing", "open") == [[4, 1, 5]]
    assert await places(shop) == {"main": (40, 0), "store-1": (4, 5), "transit": (5, 0)}
    movements = (await shop.get("/v1/movements", sku="P001", limit=1000))["items"][-4:]
    assert [(one["type"], one["location"], one["reason"]) for one in movements] == [
        ("transfer_out", "transit", "transfer"),
        ("transfer_in", "store-1", "transfer"),
        ("expect", "store-1", "damaged"),
        ("adjust", "transit", "damaged"),
    ]
    assert await is_sound(shop)


async def test_a_truck_that_burns_ends_the_transfer(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 10))

    told = await settle(shop, "receive", transfer, line("P001", 0, missing=10, reason="lost"))

    assert (told.json()["status"], await places(shop)) == ("received", {"main": (40, 0)})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (line("P001", 1, missing=1), "lines[1].reason"),
        (line("P001", 1, missing=1, reason=None), "lines[1].reason"),
        (line("P001", 1, missing=1, reason="sale"), "lines[1].reason"),
        (line("P001", 0), "lines[1].quantity"),
        (line("P001", 1, missing=-1, reason="lost"), "lines[1].missing"),
    ],
    ids=["no-reason", "null", "no-fact", "nothing", "negative"],
)
async def test_what_is_missing_needs_a_reason(shop: Shop, wrong: JSON, field: str) -> None:
    transfer = await shipped(shop, line("P001", 10))

    answer = await settle(shop, "receive", transfer, line("P001", 1), wrong)

    assert wrong_fields(answer) == [field]


async def test_no_unit_appears_in_transit(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 10))

    lines = [line("P001", 8), line("P001", 2, missing=1, reason="lost"), line("P002", 1)]
    told = problem(await settle(shop, "receive", transfer, *lines), 409)

    assert [
        (one["index"], one["error"]["code"], one["error"]["open"]) for one in told["lines"]
    ] == [
        (1, "not_open", 2),
        (2, "not_open", 0),
    ]
    assert await places(shop) == {"main": (40, 0), "store-1": (0, 10), "transit": (10, 0)}


async def test_what_is_cancelled_goes_back(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 10), line("P002", 3))

    part = (await settle(shop, "cancel", transfer, line("P001", 4))).json()
    rest = (await settle(shop, "cancel", transfer)).json()
    again = await settle(shop, "cancel", transfer)

    assert (part["status"], units(part, "cancelled", "open")) == ("open", [[4, 6], [0, 3]])
    assert (rest["status"], await places(shop)) == ("cancelled", {"main": (50, 0)})
    assert problem(again, 409)["code"] == "not_open"
    assert await is_sound(shop)


async def test_what_is_promised_to_others_is_not_shipped(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "location": "store-1", "delta": 3})
    hold = await shop.http.post(
        "/v1/reservations", json={"lines": [line("P001", 48, location="main")]}
    )

    answer = await ship(shop, line("P002", 1), line("P001", 1), line("P001", 2))

    told = problem(answer, 409)
    (short,) = told["lines"]
    assert (told["code"], short["index"], short["location"]) == ("insufficient_stock", 2, "main")
    error = {**short["error"]}
    assert error == {
        "code": "insufficient_stock",
        "requested": 2,
        "on_hand": 49,
        "available": 1,
        "shortage": 1,
        "elsewhere": [{"location": "store-1", "available": 3}],
        "next_available_at": hold.json()["expires_at"],
    }
    assert (await places(shop, "P002")) == {"main": (200, 0)}


async def test_holds_that_are_over_do_not_stop_a_transfer(shop: Shop) -> None:
    await shop.http.post("/v1/reservations", json={"ttl_s": 10, "lines": [line("P001", 50)]})
    shop.clock.move(10)

    await shipped(shop, line("P001", 50))

    assert await is_sound(shop)


async def test_more_holds_than_one_batch_expires_stop_no_transfer(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, expiries_max=2) as shop:
        for _ in range(10):
            body = {"ttl_s": 10, "lines": [line("P001", 5)]}
            await shop.http.post("/v1/reservations", json=body)
        shop.clock.move(10)

        await shipped(shop, line("P001", 50))

        assert await is_sound(shop)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "main"}, "same_location"),
        ({"via": "store-1"}, "same_location"),
        ({"from": "transit"}, "same_location"),
        ({"via": "shelf"}, "not_transit"),
        ({"via": "nowhere"}, "unknown_location"),
        ({"to": "nowhere"}, "unknown_location"),
        ({"from": "nowhere"}, "unknown_location"),
    ],
    ids=str,
)
async def test_a_way_that_does_not_exist_is_refused(shop: Shop, fields: JSON, code: str) -> None:
    await shop.http.post("/v1/locations", json={"code": "shelf"})

    told = problem(await ship(shop, line("P001", 1), **fields), 409)
    assert told["code"] == code
    assert [one["location"] for one in told.get("lines", ())] in ([], [*fields.values()])
    assert await places(shop) == {"main": (50, 0)}


async def test_a_transfer_may_have_a_transit_location_of_its_own(shop: Shop) -> None:
    for code, sellable in (("ferry", False), ("shop-on-wheels", True)):
        body = {"code": code, "kind": "transit", "sellable": sellable}
        await shop.http.post("/v1/locations", json=body)

    transfer = await shipped(shop, line("P001", 5), via="ferry")
    selling = await ship(shop, line("P001", 5), via="shop-on-wheels")

    assert (transfer["via"], (await places(shop))["ferry"]) == ("ferry", (5, 0))
    assert problem(selling, 409)["code"] == "not_transit"


async def test_goods_that_are_gone_from_transit_do_not_arrive(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 10))
    await shop.adjust({"sku": "P001", "location": "transit", "delta": -3}, reason="theft")

    told = problem(await settle(shop, "receive", transfer), 409)
    verified = (await shop.http.get("/v1/verify")).text

    (short,) = told["lines"]
    assert (short["location"], short["error"]["code"]) == ("transit", "insufficient_stock")
    assert '"transit_short"' in verified
    await shop.adjust({"sku": "P001", "location": "transit", "delta": 3}, reason="correction")
    lost = line("P001", 7, missing=3, reason="theft")
    assert (await settle(shop, "receive", transfer, lost)).is_success
    assert await is_sound(shop)


async def test_a_transfer_that_is_under_way_is_a_date(shop: Shop) -> None:
    arrives_at = "2023-11-15T09:00:00.000000Z"
    transfer = await shipped(shop, line("P001", 5), expected_at=arrives_at)

    body = {"lines": [line("P001", 6, location="store-1")]}
    told = problem(await shop.http.post("/v1/reservations", json=body), 409)
    (store,) = (await shop.get("/v1/stock/P001/explain", location="store-1"))["levels"]

    assert told["lines"][0]["error"]["next_available_at"] == arrives_at
    assert store["expected"] == [
        {
            "transfer_id": transfer["id"],
            "reference": transfer["reference"],
            "quantity": 5,
            "expected_at": arrives_at,
        }
    ]


async def test_a_transfer_is_put_off(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5))

    answer = await shop.http.patch(
        f"/v1/transfers/{transfer['id']}",
        json={"expected_at": "2023-11-15T09:00:00Z"},
        headers={"If-Match": '"1"'},
    )

    assert answer.json()["expected_at"] == "2023-11-15T09:00:00.000000Z"


async def test_a_transfer_is_no_inbound(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5))
    path = f"/v1/inbounds/{transfer['id']}"

    answers = [
        await shop.http.get(path),
        await shop.http.post(f"{path}/receive", json={"lines": [line("P001", 1)]}),
    ]

    assert [problem(one, 404)["code"] for one in answers] == ["unknown_id"] * 2
    assert (await shop.get("/v1/inbounds"))["items"] == []
    assert [one["id"] for one in (await shop.get("/v1/transfers"))["items"]] == [transfer["id"]]


async def test_locations_and_items_under_way_can_not_be_archived(shop: Shop) -> None:
    await shipped(shop, line("P001", 50))

    item = await shop.http.delete("/v1/items/P001")
    codes = [
        problem(await shop.http.patch(f"/v1/locations/{one}", json={"status": "archived"}), 409)
        for one in ("transit", "store-1")
    ]

    assert problem(item, 409)["code"] == "item_in_use"
    assert [one["code"] for one in codes] == ["location_in_use"] * 2


@pytest.mark.parametrize("change", [{"sellable": True}, {"kind": "store"}], ids=["sells", "kind"])
async def test_a_transit_location_stays_one_while_goods_are_under_way(
    shop: Shop, change: JSON
) -> None:
    transfer = await shipped(shop, line("P001", 5))

    during = await shop.http.patch("/v1/locations/transit", json=change)
    renamed = await shop.http.patch("/v1/locations/transit", json={"name": "On the road"})
    await settle(shop, "receive", transfer)

    assert problem(during, 409)["code"] == "location_in_use"
    assert renamed.is_success
    assert (await shop.http.patch("/v1/locations/transit", json=change)).is_success


async def test_goods_do_not_go_back_to_an_archived_source(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "location": "store-1", "delta": 5})
    transfer = await shipped(shop, line("P001", 5), **{"from": "store-1", "to": "main"})
    await shop.http.patch("/v1/locations/store-1", json={"status": "archived"})

    told = problem(await settle(shop, "cancel", transfer), 409)

    (refused,) = told["lines"]
    assert (refused["location"], refused["error"]["code"]) == ("store-1", "location_archived")
    assert (await settle(shop, "receive", transfer)).is_success


async def test_a_limited_key_needs_every_location_of_a_transfer(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5))
    path = f"/v1/transfers/{transfer['id']}"
    header = await shop.make_key(scopes=["write"], locations=["main", "store-1"])
    body = {"from": "main", "to": "store-1", "lines": [line("P001", 1)]}

    forbidden = await shop.http.post("/v1/transfers", json=body, headers=header)
    hidden = [
        await shop.http.get(path, headers=header),
        await shop.http.post(f"{path}/receive", json={}, headers=header),
        await shop.http.post(f"{path}/cancel", json={}, headers=header),
    ]
    listed = await shop.http.get("/v1/transfers", headers=header)

    assert problem(forbidden, 403)["code"] == "forbidden"
    assert [problem(one, 404)["code"] for one in hidden] == ["unknown_id"] * 3
    assert listed.json()["items"] == []


async def test_a_key_with_every_location_of_a_transfer_receives_it(shop: Shop) -> None:
    transfer = await shipped(shop, line("P001", 5))
    header = await shop.make_key(scopes=["write"], locations=["main", "store-1", "transit"])

    assert (await settle(shop, "receive", transfer, headers=header)).is_success


@pytest.mark.parametrize("verb", ["receive", "cancel"])
async def test_a_retry_has_the_same_answer_and_no_second_effect(shop: Shop, verb: str) -> None:
    transfer, key = await shipped(shop, line("P001", 5)), {"Idempotency-Key": "k"}

    first = await settle(shop, verb, transfer, line("P001", 2), headers=key)
    head = await shop.head()
    again = await settle(shop, verb, transfer, line("P001", 2), headers=key)

    assert first.is_success
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert await shop.head() == head


async def test_of_receipts_and_cancellations_at_once_units_count_once(shop: Shop) -> None:
    for _ in range(10):
        transfer = await shipped(shop, line("P001", 4))
        before = await places(shop)

        answers = await asyncio.gather(
            settle(shop, "receive", transfer, line("P001", 3)),
            settle(shop, "cancel", transfer, line("P001", 3)),
            settle(shop, "receive", transfer, line("P001", 3)),
        )

        assert sorted(one.status_code for one in answers) == [200, 409, 409]
        rest = (await settle(shop, "receive", transfer)).json()
        ((received, cancelled),) = units(rest, "received", "cancelled")
        assert received + cancelled == 4
        after = await places(shop)
        assert after["main"][0] == before["main"][0] + cancelled
    assert await is_sound(shop)


async def test_goods_under_way_are_nobody_else_s(shop: Shop) -> None:
    await shipped(shop, line("P001", 5))

    named = await shop.http.post(
        "/v1/reservations", json={"lines": [line("P001", 2, location="transit"), line("P001", 1)]}
    )
    cart = {"lines": [line("P001", 2, location="transit")], "allow_partial": True}
    declared = await shop.http.put("/v1/reservations/by-reference/cart:1", json=cart)

    for answer in (named, declared):
        (told,) = problem(answer, 409)["lines"]
        assert (told["index"], told["location"]) == (0, "transit")
        assert told["error"]["code"] == "in_transit"


@pytest.mark.parametrize("verb", ["receive", "cancel"])
async def test_what_is_promised_where_goods_wait_does_not_leave_with_them(
    shop: Shop, verb: str
) -> None:
    await shop.http.post("/v1/locations", json={"code": "ferry", "kind": "store"})
    await shop.transfer({"sku": "P001", "to": "ferry", "quantity": 2})
    body = {"lines": [line("P001", 2, location="ferry")], "ttl_s": 60}
    await shop.http.post("/v1/reservations", json=body)
    became = {"kind": "transit", "sellable": False}
    assert (await shop.http.patch("/v1/locations/ferry", json=became)).is_success
    transfer = await shipped(shop, line("P001", 5), via="ferry")
    await shop.adjust({"sku": "P001", "location": "ferry", "delta": -2}, reason="theft")

    (told,) = problem(await settle(shop, verb, transfer), 409)["lines"]

    assert (told["location"], told["error"]["code"]) == ("ferry", "insufficient_stock")
    assert (told["error"]["available"], told["error"]["shortage"]) == (3, 2)
    part = await settle(shop, verb, transfer, line("P001", 3))
    assert part.json()["lines"][0]["open"] == 2
    shop.clock.move(60)
    assert (await settle(shop, verb, transfer)).json()["lines"][0]["open"] == 0
    assert await is_sound(shop)


async def test_more_holds_than_one_batch_expires_keep_no_receipt_back(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, expiries_max=2) as shop:
        await shop.http.post("/v1/locations", json={"code": "ferry", "kind": "store"})
        await shop.transfer({"sku": "P001", "to": "ferry", "quantity": 8})
        body = {"lines": [line("P001", 1, location="ferry")], "ttl_s": 10}
        for _ in range(8):
            await shop.http.post("/v1/reservations", json=body)
        became = {"kind": "transit", "sellable": False}
        await shop.http.patch("/v1/locations/ferry", json=became)
        transfer = await shipped(shop, line("P001", 5), via="ferry")
        await shop.adjust({"sku": "P001", "location": "ferry", "delta": -8}, reason="theft")
        shop.clock.move(10)

        assert (await settle(shop, "receive", transfer)).is_success
