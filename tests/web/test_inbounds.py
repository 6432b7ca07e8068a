"""Inbounds over HTTP: what is expected from outside, and what of it has come."""

import asyncio

import pytest

from tests.ledger_oracle import assert_sound
from tests.web.shop import JSON, Shop, problem, wrong_fields

# The shop's clock stands at 2023-11-14T22:13:20Z.
TOMORROW = "2023-11-15T09:00:00.000000Z"
NEXT_WEEK = "2023-11-21T09:00:00.000000Z"
YESTERDAY = "2023-11-13T09:00:00.000000Z"


def line(sku: str, quantity: int, location: str | None = None) -> JSON:
    return {"sku": sku, "quantity": quantity, "location": location}


async def expect(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    answer = await shop.http.post("/v1/inbounds", json={"lines": lines, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def settle(shop: Shop, verb: str, inbound: JSON, *lines: JSON, **options: JSON) -> JSON:
    body = {"lines": lines} if lines else {}
    return await shop.http.post(f"/v1/inbounds/{inbound['id']}/{verb}", json=body, **options)


async def stock(shop: Shop, sku: str = "P001", location: str = "main") -> tuple[int, int]:
    """On hand and incoming."""
    level = await shop.get(f"/v1/stock/{sku}/{location}")
    return level["on_hand"], level["incoming"]


async def is_sound(shop: Shop) -> bool:
    answer = await shop.http.get("/v1/verify")
    await assert_sound(shop.service.database)
    return '"findings":0' in answer.text


def units(inbound: JSON, *names: str) -> list[list[int]]:
    return [[one[name] for name in names] for one in inbound["lines"]]


async def test_what_is_expected_is_incoming_and_not_available(shop: Shop) -> None:
    answer = await shop.http.post(
        "/v1/inbounds",
        json={
            "reference": "po:77",
            "expected_at": TOMORROW,
            "lines": [line("P001", 20), line("P002", 5, "store-1")],
        },
    )

    inbound = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/inbounds/{inbound['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (inbound["reference"], inbound["status"], inbound["version"]) == ("po:77", "open", 1)
    assert inbound["expected_at"] == TOMORROW
    assert inbound["lines"][0] == {
        "index": 0,
        "sku": "P001",
        "location": "main",
        "quantity": 20,
        "received": 0,
        "cancelled": 0,
        "open": 20,
    }
    level = await shop.get("/v1/stock/P001/main")
    assert (level["on_hand"], level["incoming"], level["available"]) == (50, 20, 50)
    assert await stock(shop, "P002", "store-1") == (0, 5)
    assert await shop.get(answer.headers["location"]) == inbound
    assert await is_sound(shop)


async def test_its_reference_finds_its_whole_story(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20), reference="po:77")
    await settle(shop, "receive", inbound, line("P001", 12))
    await settle(shop, "cancel", inbound)

    movements = (await shop.get("/v1/movements", reference="po:77"))["items"]

    told = [
        (one["type"], one["reason"], one["delta"]["on_hand"], one["delta"]["incoming"])
        for one in movements
    ]
    assert told == [
        ("expect", "received", 0, 20),
        ("receive", "received", 12, -12),
        ("expect", "correction", 0, -8),
    ]


async def test_an_inbound_without_a_reference_has_its_own(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20))

    assert inbound["reference"] == f"inbound:{inbound['id']}"
    movements = await shop.get("/v1/movements", reference=inbound["reference"])
    assert len(movements["items"]) == 1


async def test_everything_that_is_open_is_received_without_lines(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20), line("P002", 5, "store-1"))

    answer = await settle(shop, "receive", inbound)

    told = answer.json()
    assert (told["status"], told["version"], answer.headers["etag"]) == ("received", 2, '"2"')
    assert units(told, "received", "open") == [[20, 0], [5, 0]]
    assert (await stock(shop), await stock(shop, "P002", "store-1")) == ((70, 0), (5, 0))
    assert await is_sound(shop)


async def test_a_part_is_received_and_the_rest_stays_open(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20), line("P002", 5))

    told = (await settle(shop, "receive", inbound, line("P001", 12))).json()

    assert told["status"] == "open"
    assert units(told, "received", "open") == [[12, 8], [0, 5]]
    assert await stock(shop) == (62, 8)


async def test_a_level_has_one_movement_however_many_lines_it_has(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 3), line("P001", 4))
    head = await shop.head()

    told = (await settle(shop, "receive", inbound, line("P001", 2), line("P001", 4))).json()

    assert units(told, "received", "open") == [[3, 0], [3, 1]]
    (movement,) = (await shop.get("/v1/movements", after=head))["items"]
    assert movement["delta"] == {"on_hand": 6, "reserved": 0, "committed": 0, "incoming": -6}


async def test_more_than_expected_is_a_fact(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20))

    told = (await settle(shop, "receive", inbound, line("P001", 23))).json()

    assert told["status"] == "received"
    assert units(told, "quantity", "received", "open") == [[20, 23, 0]]
    assert await stock(shop) == (73, 0)
    assert await is_sound(shop)


@pytest.mark.parametrize("ended", ["receive", "cancel"])
async def test_what_comes_after_the_end_is_a_fact_too(shop: Shop, ended: str) -> None:
    inbound = await expect(shop, line("P001", 20))
    await settle(shop, ended, inbound)
    before, _ = await stock(shop)

    told = (await settle(shop, "receive", inbound, line("P001", 2))).json()

    assert (told["status"], await stock(shop)) == ("received", (before + 2, 0))
    assert await is_sound(shop)


async def test_nothing_is_received_without_lines_when_nothing_is_open(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20))
    await settle(shop, "cancel", inbound)

    for verb in ("receive", "cancel"):
        told = problem(await settle(shop, verb, inbound), 409)
        assert (told["code"], told["state"]) == ("not_open", "cancelled")


async def test_what_is_not_on_the_document_is_refused_line_by_line(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20))

    lines = [line("P001", 1), line("P002", 3), line("P001", 1, "store-1")]
    told = problem(await settle(shop, "receive", inbound, *lines), 409)

    assert [(one["index"], one["error"]["code"]) for one in told["lines"]] == [
        (1, "not_open"),
        (2, "not_open"),
    ]
    assert await stock(shop) == (50, 20)


async def test_an_item_that_goes_to_two_places_is_received_at_the_one_that_is_named(
    shop: Shop,
) -> None:
    inbound = await expect(shop, line("P001", 5), line("P001", 5, "store-1"))

    told = (await settle(shop, "receive", inbound, line("P001", 4, "store-1"))).json()
    rest = (await settle(shop, "receive", inbound, line("P001", 7))).json()

    assert units(told, "received") == [[0], [4]]
    assert units(rest, "received", "open") == [[5, 0], [6, 0]]
    assert (await stock(shop), await stock(shop, "P001", "store-1")) == ((55, 0), (6, 0))


async def test_what_is_cancelled_is_incoming_no_more(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20), line("P002", 5))

    part = (await settle(shop, "cancel", inbound, line("P001", 8), {"sku": "P002"})).json()
    more = await settle(shop, "cancel", inbound, line("P001", 13))
    rest = (await settle(shop, "cancel", inbound)).json()

    assert (part["status"], units(part, "cancelled", "open")) == ("open", [[8, 12], [5, 0]])
    assert problem(more, 409)["lines"][0]["error"]["open"] == 12
    assert (rest["status"], await stock(shop)) == ("cancelled", (50, 0))
    assert await is_sound(shop)


async def test_an_end_of_both_kinds_is_received(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20))
    await settle(shop, "receive", inbound, line("P001", 1))

    assert (await settle(shop, "cancel", inbound)).json()["status"] == "received"


async def test_all_lines_are_expected_or_none(shop: Shop) -> None:
    lines = [line("P001", 1), line("nope", 1), line("P002", 1, "nowhere"), line("P001", 10**12)]
    answer = await shop.http.post("/v1/inbounds", json={"lines": lines})

    told = problem(answer, 409)
    assert [(one["index"], one["error"]["code"]) for one in told["lines"]] == [
        (1, "unknown_sku"),
        (2, "unknown_location"),
        (3, "quantity_out_of_range"),
    ]
    assert await stock(shop) == (50, 0)


async def test_an_inbound_is_put_off_by_whoever_knows_its_version(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 20), expected_at=TOMORROW)
    path, head = f"/v1/inbounds/{inbound['id']}", await shop.head()

    stale = await shop.http.patch(
        path, json={"expected_at": NEXT_WEEK}, headers={"If-Match": '"7"'}
    )
    later = await shop.http.patch(
        path, json={"expected_at": NEXT_WEEK}, headers={"If-Match": '"1"'}
    )
    again = await shop.http.patch(path, json={"expected_at": NEXT_WEEK})
    unknown = await shop.http.patch(path, json={"expected_at": None})

    assert problem(stale, 412)["current_version"] == 1
    assert (later.json()["expected_at"], later.headers["etag"]) == (NEXT_WEEK, '"2"')
    assert again.json()["version"] == 2
    assert (unknown.json()["expected_at"], unknown.json()["version"]) == (None, 3)
    assert await shop.head() == head
    assert wrong_fields(await shop.http.patch(path, json={})) == ["expected_at"]
    await settle(shop, "receive", inbound)
    over = await shop.http.patch(path, json={"expected_at": TOMORROW})
    assert problem(over, 409)["code"] == "not_open"


async def next_available(shop: Shop, **fields: JSON) -> JSON:
    """When a refused line of a reservation may have more."""
    body = {"lines": [{**line("P001", 51), **fields}]}
    told = problem(await shop.http.post("/v1/reservations", json=body), 409)
    return told["lines"][0]["error"]["next_available_at"]


async def test_a_refusal_tells_when_the_first_goods_come(shop: Shop) -> None:
    await expect(shop, line("P001", 1), expected_at=NEXT_WEEK)
    first = await expect(shop, line("P001", 1), expected_at=TOMORROW)
    await expect(shop, line("P001", 1))
    await expect(shop, line("P002", 1), expected_at="2023-11-14T23:00:00Z")

    assert await next_available(shop) == TOMORROW
    await settle(shop, "receive", first)
    assert await next_available(shop, quantity=52) == NEXT_WEEK


async def test_a_hold_that_ends_earlier_is_told_first(shop: Shop) -> None:
    await expect(shop, line("P001", 1), expected_at=TOMORROW)
    hold = await shop.http.post("/v1/reservations", json={"ttl_s": 10, "lines": [line("P001", 1)]})

    assert await next_available(shop) == hold.json()["expires_at"]


async def test_a_date_that_is_past_promises_nothing(shop: Shop) -> None:
    await expect(shop, line("P001", 1), expected_at=YESTERDAY)

    assert await next_available(shop) is None


async def test_goods_that_come_where_the_line_is_not_served_are_no_promise(shop: Shop) -> None:
    await shop.http.post("/v1/locations", json={"code": "quarantine", "sellable": False})
    await expect(shop, line("P001", 1, "quarantine"), expected_at=TOMORROW)
    await expect(shop, line("P001", 1, "store-1"), expected_at=NEXT_WEEK)

    assert await next_available(shop) == NEXT_WEEK
    assert await next_available(shop, location="main") is None
    assert await next_available(shop, location="quarantine") == TOMORROW


async def test_an_explanation_names_what_is_expected_first_things_first(shop: Shop) -> None:
    await expect(shop, line("P001", 3), reference="po:3")
    await expect(shop, line("P001", 2), reference="po:2", expected_at=NEXT_WEEK)
    first = await expect(shop, line("P001", 1), reference="po:1", expected_at=TOMORROW)

    (main,) = (await shop.get("/v1/stock/P001/explain"))["levels"]

    assert [(one["reference"], one["quantity"]) for one in main["expected"]] == [
        ("po:1", 1),
        ("po:2", 2),
        ("po:3", 3),
    ]
    assert main["expected"][0]["inbound_id"] == first["id"]
    assert main["expected"][0]["expected_at"] == TOMORROW
    assert main["incoming"] == 6


async def test_inbounds_are_listed_by_status_and_reference(shop: Shop) -> None:
    made = [await expect(shop, line("P001", 1), reference=f"po:{one}") for one in range(3)]
    await settle(shop, "receive", made[0])
    await settle(shop, "cancel", made[1])

    def names(page: JSON) -> list[str]:
        return [one["reference"] for one in page["items"]]

    for number, status in enumerate(("received", "cancelled", "open")):
        assert names(await shop.get("/v1/inbounds", status=status)) == [f"po:{number}"]
    assert names(await shop.get("/v1/inbounds", reference="po:2")) == ["po:2"]
    walked = await shop.walk("/v1/inbounds", limit=1)
    assert [one["reference"] for one in walked] == ["po:0", "po:1", "po:2"]
    assert (await shop.get("/v1/transfers"))["items"] == []


async def test_what_is_expected_can_not_be_archived(shop: Shop) -> None:
    await expect(shop, line("P001", 1, "store-1"))
    await shop.set({"sku": "P001", "on_hand": 0, "expected_on_hand": None})

    item = await shop.http.delete("/v1/items/P001")
    location = await shop.http.patch("/v1/locations/store-1", json={"status": "archived"})

    assert problem(item, 409)["code"] == "item_in_use"
    assert problem(location, 409)["code"] == "location_in_use"


async def test_what_is_archived_is_not_expected_and_not_received(shop: Shop) -> None:
    inbound = await expect(shop, line("P001", 1))
    await settle(shop, "cancel", inbound)
    await shop.set({"sku": "P001", "on_hand": 0, "expected_on_hand": None})
    await shop.http.delete("/v1/items/P001")

    new = await shop.http.post("/v1/inbounds", json={"lines": [line("P001", 1)]})
    late = await settle(shop, "receive", inbound, line("P001", 1))

    for answer in (new, late):
        assert problem(answer, 409)["lines"][0]["error"]["code"] == "item_archived"


@pytest.mark.parametrize("verb", ["receive", "cancel"])
async def test_a_retry_has_the_same_answer_and_no_second_effect(shop: Shop, verb: str) -> None:
    inbound = await expect(shop, line("P001", 20))
    key = {"Idempotency-Key": "k"}

    first = await settle(shop, verb, inbound, line("P001", 5), headers=key)
    head = await shop.head()
    again = await settle(shop, verb, inbound, line("P001", 5), headers=key)

    assert first.is_success
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert await shop.head() == head


async def test_a_retried_announcement_makes_one_inbound(shop: Shop) -> None:
    body, key = {"lines": [line("P001", 20)]}, {"Idempotency-Key": "k"}

    first = await shop.http.post("/v1/inbounds", json=body, headers=key)
    again = await shop.http.post("/v1/inbounds", json=body, headers=key)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert await stock(shop) == (50, 20)


async def test_a_key_for_one_location_sees_and_changes_only_its_own(shop: Shop) -> None:
    foreign = await expect(shop, line("P001", 1), line("P001", 1, "store-1"))
    header = await shop.make_key(scopes=["write"], locations=["store-1"])
    path = f"/v1/inbounds/{foreign['id']}"

    own = await shop.http.post(
        "/v1/inbounds", json={"lines": [line("P001", 1, "store-1")]}, headers=header
    )
    forbidden = await shop.http.post(
        "/v1/inbounds", json={"lines": [line("P001", 1)]}, headers=header
    )
    hidden = [
        await shop.http.get(path, headers=header),
        await shop.http.patch(path, json={"expected_at": None}, headers=header),
        await shop.http.post(f"{path}/receive", json={}, headers=header),
        await shop.http.post(f"{path}/cancel", json={}, headers=header),
    ]
    listed = await shop.http.get("/v1/inbounds", headers=header)

    assert own.status_code == 201
    assert problem(forbidden, 403)["code"] == "forbidden"
    assert [problem(one, 404)["code"] for one in hidden] == ["unknown_id"] * 4
    assert [one["id"] for one in listed.json()["items"]] == [own.json()["id"]]


async def test_of_many_receipts_of_the_open_rest_one_books_it(shop: Shop) -> None:
    for _ in range(20):
        inbound = await expect(shop, line("P001", 5))
        before, _ = await stock(shop)

        answers = await asyncio.gather(
            *(settle(shop, verb, inbound) for verb in ("receive", "cancel", "receive", "cancel"))
        )

        assert sorted(one.status_code for one in answers) == [200, 409, 409, 409]
        (told,) = (one.json() for one in answers if one.status_code == 200)
        (state,) = units(told, "received", "cancelled")
        assert await stock(shop) == (before + state[0], 0)
        assert sum(state) == 5
    assert await is_sound(shop)
