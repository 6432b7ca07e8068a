"""Counts over HTTP: opened, recorded, approved, posted, while the shop goes on selling."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.databases import Template
from tests.ledger_oracle import assert_sound
from tests.web.shop import JSON, Shop, http_client, open_demo, problem, wrong_fields


async def open_count(shop: Shop, *skus: str, **fields: JSON) -> JSON:
    body = {**({"skus": skus} if skus else {}), **fields}
    answer = await shop.http.post("/v1/counts", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def record(shop: Shop, count: JSON, *lines: JSON, **headers: str) -> httpx.Response:
    path = f"/v1/counts/{count['id']}/lines"
    return await shop.http.post(path, json={"lines": lines}, headers=headers)


async def settle(shop: Shop, verb: str, count: JSON, **headers: str) -> httpx.Response:
    return await shop.http.post(f"/v1/counts/{count['id']}/{verb}", headers=headers)


def found(sku: str, counted: int | None, version: int | None = None) -> Mapping[str, JSON]:
    seen = {} if version is None else {"level_version": version}
    return {"sku": sku, "counted": counted, **seen}


async def counted(shop: Shop, *lines: JSON, **fields: JSON) -> JSON:
    """A count of these lines, recorded."""
    count = await open_count(shop, *(line["sku"] for line in lines), **fields)
    answer = await record(shop, count, *lines)
    assert answer.status_code == 200, answer.text
    return count


@asynccontextmanager
async def as_(shop: Shop, *scopes: str, **fields: JSON) -> AsyncIterator[Shop]:
    """The shop as another key sees it; the owner's is the first."""
    if "X-API-Key" not in shop.http.headers:
        first = await shop.http.post("/v1/api-keys", json={"name": "owner", "scopes": ["admin"]})
        shop.http.headers["X-API-Key"] = first.json()["key"]
    body = {"name": "counter", "scopes": scopes, **fields}
    made = await shop.http.post("/v1/api-keys", json=body)
    async with http_client(shop.service, **{"X-API-Key": made.json()["key"]}) as http:
        yield Shop(shop.service, http, shop.clock)


async def test_a_count_remembers_the_levels_as_they_are(shop: Shop) -> None:
    answer = await shop.http.post(
        "/v1/counts", json={"skus": ["P002", "P001"], "reference": "stocktake:1", "note": "aisle 3"}
    )

    count = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/counts/{count['id']}"
    assert answer.headers["etag"] == '"1"'
    assert count == {
        "id": count["id"],
        "reference": "stocktake:1",
        "location": "main",
        "status": "open",
        "blind": False,
        "approval_threshold": None,
        "note": "aisle 3",
        "actor": "local",
        "created_at": "2023-11-14T22:13:20.000000Z",
        "version": 1,
        "line_count": 2,
        "counted_count": 0,
        "approved_by": None,
        "operation_id": None,
        "lines": [
            {
                "index": index,
                "sku": sku,
                "level_version": 1,
                "expected": expected,
                "counted": None,
                "variance": None,
            }
            for index, (sku, expected) in enumerate([("P002", 200), ("P001", 50)])
        ],
    }
    shown = await shop.http.get(f"/v1/counts/{count['id']}")
    assert (shown.json(), shown.headers["etag"]) == (count, '"1"')


async def test_without_skus_the_whole_location_is_counted(shop: Shop) -> None:
    await shop.transfer({"sku": "P003", "to": "store-1", "quantity": 5})

    everything = await open_count(shop)
    at_the_shop = await open_count(shop, location="store-1", skus=None)
    nothing = await open_count(shop, location="quarantine")

    assert [line["sku"] for line in everything["lines"]] == ["P001", "P002", "P003", "P004", "P005"]
    assert [(one["sku"], one["expected"]) for one in at_the_shop["lines"]] == [("P003", 5)]
    assert nothing["lines"] == []


async def test_a_location_with_more_levels_than_a_count_takes_wants_skus(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, lines_max=4) as shop:
        told = problem(await shop.http.post("/v1/counts", json={}), 409)
        count = await open_count(shop, "P001", "P002", "P003", "P004")
        more = problem(await record(shop, count, found("P005", 1)), 409)

    assert (told["code"], told["maximum"]) == ("too_many_lines", 4)
    assert more["code"] == "too_many_lines"


async def test_what_can_not_be_counted_is_refused_by_name(shop: Shop) -> None:
    unknown = await shop.http.post("/v1/counts", json={"skus": ["P001", "P999"]})
    nowhere = await shop.http.post("/v1/counts", json={"location": "nowhere"})
    named = await shop.http.post("/v1/counts", json={"location": "nowhere", "skus": ["P001"]})
    twice = await shop.http.post("/v1/counts", json={"skus": ["P001", "P002", "P001"]})

    (line,) = problem(unknown, 409)["lines"]
    assert (line["index"], line["error"]["code"]) == (1, "unknown_sku")
    assert problem(nowhere, 404)["code"] == problem(named, 404)["code"] == "unknown_location"
    assert wrong_fields(twice) == ["skus[2]"]
    assert (await shop.get("/v1/counts"))["items"] == []


async def test_sales_during_the_count_survive(shop: Shop) -> None:
    count = await open_count(shop, "P001", "P002", "P003", reference="stocktake:1")
    await shop.adjust({"sku": "P001", "delta": -3}, reason="sale")
    await shop.adjust({"sku": "P002", "delta": 20}, reason="received")
    await shop.transfer({"sku": "P002", "to": "store-1", "quantity": 4})

    recorded = await record(shop, count, found("P001", 48), found("P002", 201))
    posted = await settle(shop, "post", count)

    assert [one["variance"] for one in recorded.json()["lines"]] == [-2, 1]
    assert (recorded.json()["counted_count"], recorded.headers["etag"]) == (2, '"2"')
    told = posted.json()
    assert (told["status"], told["uncounted"]) == ("posted", ["P003"])
    assert [one["variance"] for one in told["lines"]] == [-2, 1, None]
    assert [await shop.on_hand(sku) for sku in ("P001", "P002", "P003")] == [45, 217, 150]
    operation = await shop.get(f"/v1/operations/{told['operation_id']}")
    assert (operation["type"], operation["reference"]) == ("count", "stocktake:1")
    assert [
        (one["type"], one["reason"], one["reference"], one["delta"]["on_hand"])
        for one in operation["movements"]
    ] == [("set", "cycle_count", "stocktake:1", -2), ("set", "cycle_count", "stocktake:1", 1)]
    await assert_sound(shop.service.database)
    verified = await shop.http.get("/v1/verify")
    assert '"findings":0' in verified.text


async def test_a_count_without_a_reference_has_its_id_in_the_ledger(shop: Shop) -> None:
    count = await counted(shop, found("P001", 50))

    await settle(shop, "post", count)

    (movement,) = (await shop.get("/v1/movements", reference=f"count:{count['id']}"))["items"]
    assert (movement["type"], movement["delta"]["on_hand"]) == ("set", 0)


async def test_goods_that_were_not_on_the_count_are_added(shop: Shop) -> None:
    count = await open_count(shop, "P001", location="store-1")
    assert count["lines"][0]["level_version"] == 0

    added = await record(shop, count, found("P004", 2))
    await settle(shop, "post", count)

    assert added.json()["lines"] == [
        {"index": 1, "sku": "P004", "level_version": 0, "expected": 0, "counted": 2, "variance": 2}
    ]
    assert await shop.on_hand("P004", "store-1") == 2


async def test_recording_again_replaces_what_was_recorded(shop: Shop) -> None:
    count = await counted(shop, found("P001", 40), found("P002", 200))

    await record(shop, count, found("P001", 49), found("P002", None))

    shown = await shop.get(f"/v1/counts/{count['id']}")
    assert [(one["counted"], one["variance"]) for one in shown["lines"]] == [(49, -1), (None, None)]
    assert (shown["counted_count"], shown["version"]) == (1, 3)


async def test_what_was_counted_later_says_which_version_was_seen(shop: Shop) -> None:
    count = await open_count(shop, "P001")
    for _ in range(3):
        await shop.adjust({"sku": "P001", "delta": -1})

    late = await record(shop, count, found("P001", 48, version=3))
    early = await record(shop, count, found("P001", 1, version=0))
    future = await record(shop, count, found("P001", 47, version=5))
    again = await record(shop, count, found("P001", 50))

    assert [
        (one["level_version"], one["expected"], one["variance"])
        for answer in (late, early, again)
        for one in answer.json()["lines"]
    ] == [(3, 48, 0), (0, 0, 1), (1, 50, 0)]
    (line,) = problem(future, 409)["lines"]
    assert line["error"] == {"code": "unknown_version", "level_version": 4}


async def test_an_item_is_recorded_once_in_a_call(shop: Shop) -> None:
    count = await open_count(shop, "P001")

    answer = await record(shop, count, found("P001", 1), found("P001", 2))

    assert wrong_fields(answer) == ["lines[1].sku"]


async def test_two_counts_of_one_level_are_not_booked_twice(shop: Shop) -> None:
    first, second = await open_count(shop, "P001"), await open_count(shop, "P001", "P002")
    await record(shop, first, found("P001", 45))
    await record(shop, second, found("P001", 45), found("P002", 199))
    await shop.adjust({"sku": "P001", "delta": -1})

    await settle(shop, "post", first)
    told = problem(await settle(shop, "post", second), 409)

    assert told["code"] == "stale_quantity"
    assert [(one["index"], one["sku"]) for one in told["lines"]] == [(0, "P001")]
    assert told["lines"][0]["error"]["level_version"] == 3
    assert [await shop.on_hand("P001"), await shop.on_hand("P002")] == [44, 200]
    await record(shop, second, found("P001", 44, version=3))
    assert (await settle(shop, "post", second)).status_code == 200
    assert [await shop.on_hand("P001"), await shop.on_hand("P002")] == [44, 199]


async def test_a_count_that_was_set_meanwhile_is_refused(shop: Shop) -> None:
    count = await counted(shop, found("P001", 45))
    await shop.set({"sku": "P001", "on_hand": 46, "expected_on_hand": 50})

    told = problem(await settle(shop, "post", count), 409)

    assert told["lines"][0]["error"] == {
        "code": "stale_quantity",
        "expected_on_hand": 50,
        "on_hand": 46,
        "level_version": 2,
    }


async def test_more_is_not_missing_than_there_is(shop: Shop) -> None:
    count = await counted(shop, found("P001", 10), found("P002", 10))
    await shop.adjust({"sku": "P001", "delta": -20})

    told = problem(await settle(shop, "post", count), 409)

    assert [(one["sku"], one["error"]["code"]) for one in told["lines"]] == [
        ("P001", "insufficient_stock")
    ]
    assert await shop.on_hand("P002") == 200


async def test_a_count_is_posted_once(shop: Shop) -> None:
    count = await counted(shop, found("P001", 45))

    posted = await settle(shop, "post", count, **{"Idempotency-Key": "a"})
    replayed = await settle(shop, "post", count, **{"Idempotency-Key": "a"})
    again = await settle(shop, "post", count)

    assert replayed.headers["idempotent-replayed"] == "true"
    assert replayed.json() == posted.json()
    told = problem(again, 409)
    assert (told["code"], told["state"]) == ("count_not_open", "posted")
    assert await shop.on_hand() == 45


async def test_every_change_of_a_count_is_safe_to_repeat(shop: Shop) -> None:
    key = {"Idempotency-Key": "k1"}
    opened = [await shop.http.post("/v1/counts", json={}, headers=key) for _ in range(2)]
    count = opened[0].json()
    lines = [
        await record(shop, count, found("P001", 45), **{"Idempotency-Key": "k2"}) for _ in range(2)
    ]
    other = await record(shop, count, found("P001", 44), **{"Idempotency-Key": "k2"})

    approved, cancelled = [
        [await settle(shop, verb, count, **{"Idempotency-Key": verb}) for _ in range(2)]
        for verb in ("approve", "cancel")
    ]

    for first, second in (opened, lines, approved, cancelled):
        assert first.json() == second.json()
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["etag"] == first.headers["etag"]
    assert opened[1].headers["location"] == opened[0].headers["location"]
    assert problem(other, 422)["code"] == "idempotency_mismatch"
    assert len((await shop.get("/v1/counts"))["items"]) == 1
    assert (await shop.get(f"/v1/counts/{count['id']}"))["version"] == 4


async def test_a_count_of_nothing_is_not_posted_and_can_be_cancelled(shop: Shop) -> None:
    count = await open_count(shop)

    assert problem(await settle(shop, "post", count), 409)["code"] == "nothing_counted"
    cancelled = await settle(shop, "cancel", count)
    assert cancelled.json()["status"] == "cancelled"
    late = await record(shop, count, found("P001", 1))
    assert problem(late, 409)["state"] == "cancelled"


async def test_a_count_changes_only_at_the_version_that_was_read(shop: Shop) -> None:
    count = await counted(shop, found("P001", 45))
    old = {"If-Match": '"1"'}

    for answer in (
        await record(shop, count, found("P001", 1), **old),
        await settle(shop, "approve", count, **old),
        await settle(shop, "cancel", count, **old),
        await settle(shop, "post", count, **old),
    ):
        assert problem(answer, 412)["current_version"] == 2
    assert (await settle(shop, "post", count, **{"If-Match": '"2"'})).status_code == 200


async def test_a_large_variance_waits_for_an_admin(shop: Shop) -> None:
    async with as_(shop, "write") as till:
        count = await counted(
            till, found("P001", 45), found("P002", 199), approval_threshold=2, reference="c:1"
        )

        told = problem(await settle(till, "post", count), 409)
        assert (told["code"], told["approval_threshold"]) == ("approval_required", 2)
        assert [(one["sku"], one["error"]) for one in told["lines"]] == [
            ("P001", {"code": "approval_required", "variance": -5})
        ]
        assert problem(await settle(till, "approve", count), 403)["needs"] == "admin"
        approved = (await settle(shop, "approve", count)).json()
        assert (approved["status"], approved["version"]) == ("approved", 3)
        assert approved["approved_by"]
        await record(till, count, found("P001", 44))
        assert problem(await settle(till, "post", count), 409)["code"] == "approval_required"
        await settle(shop, "approve", count)
        posted = await settle(till, "post", count)

    assert posted.json()["status"] == "posted"
    assert await shop.on_hand() == 44


async def test_the_usual_threshold_is_a_setting_that_only_an_admin_can_loosen(
    demo: Template, tmp_path: Path
) -> None:
    async with (
        open_demo(demo, tmp_path, count_approval_threshold=5) as shop,
        as_(shop, "write") as till,
    ):
        usual = await open_count(till, "P001")
        strict = await open_count(till, "P001", approval_threshold=0)
        free = await open_count(shop, "P001", approval_threshold=None)
        for threshold in (None, 6):
            body = {"approval_threshold": threshold}
            answer = await till.http.post("/v1/counts", json=body)
            assert problem(answer, 403)["code"] == "forbidden"

    assert [one["approval_threshold"] for one in (usual, strict, free)] == [5, 0, None]


async def test_a_blind_count_tells_nobody_but_an_admin_what_it_expects(shop: Shop) -> None:
    async with as_(shop, "write") as till, as_(shop, "read") as office:
        count = await open_count(till, "P001", "P002", blind=True, approval_threshold=2)
        recorded = await record(till, count, found("P001", 45), found("P002", 199))
        refused = problem(await settle(till, "post", count), 409)
        path = f"/v1/counts/{count['id']}"
        for shown in (count, recorded.json(), await office.get(path)):
            hidden = [(one["expected"], one["variance"]) for one in shown["lines"]]
            assert hidden == [(None, None), (None, None)]
        assert refused["lines"][0]["error"] == {"code": "approval_required"}
        report = await office.get(f"{path}/variance")
        assert [report[name] for name in ("accuracy", "units", "values", "unpriced_count")] == (
            [None] * 4
        )
        assert [(one["sku"], one["variance"], one["value"]) for one in report["lines"]] == [
            ("P001", None, None),
            ("P002", None, None),
        ]
        table = await office.http.get(f"{path}/variance", params={"format": "csv"})
        assert table.text.splitlines()[1] == "P001,main,1,,45,,5999.00,CNY,"
        (listed,) = (await office.get("/v1/counts"))["items"]
        assert "lines" not in listed
        assert [one["variance"] for one in (await shop.get(path))["lines"]] == [-5, -1]
        await settle(shop, "approve", count)
        assert (await office.get(path))["lines"][0]["expected"] is None
        posted = await settle(till, "post", count)

    assert [one["variance"] for one in posted.json()["lines"]] == [-5, -1]


async def test_the_refusals_of_a_blind_count_hide_what_is_there(shop: Shop) -> None:
    async with as_(shop, "write") as till:
        count = await counted(till, found("P001", 1), found("P002", 1), blind=True)
        await shop.adjust({"sku": "P001", "delta": -20})
        await shop.set({"sku": "P002", "on_hand": 7, "expected_on_hand": None})

        told = problem(await settle(till, "post", count), 409)

    errors = [one["error"] for one in told["lines"]]
    assert errors[0] == {
        "code": "insufficient_stock",
        "next_available_at": None,
        "elsewhere": [],
    }
    assert errors[1] == {"code": "stale_quantity", "level_version": 2}


async def test_a_report_says_how_far_the_books_were_off(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "P006", "name": "no price"})
    price = {"amount": "0.0001", "currency": "EUR"}
    await shop.http.post("/v1/items", json={"sku": "P007", "name": "screw", "unit_price": price})
    count = await open_count(shop, "P001", "P002", "P003", "P004")
    await record(
        shop,
        count,
        found("P001", 48),
        found("P002", 203),
        found("P003", 150),
        found("P006", 4),
        found("P007", 10**12),
    )

    report = await shop.get(f"/v1/counts/{count['id']}/variance")

    assert (report["provisional"], report["uncounted_count"], report["unpriced_count"]) == (
        True,
        1,
        1,
    )
    assert report["accuracy"] == "0.2000"
    assert report["units"] == {
        "positive": 10**12 + 7,
        "negative": -2,
        "net": 10**12 + 5,
        "absolute": 10**12 + 9,
    }
    assert report["values"] == [
        {
            "currency": "CNY",
            "positive": "267.00",
            "negative": "-11998.00",
            "net": "-11731.00",
            "absolute": "12265.00",
        },
        {
            "currency": "EUR",
            "positive": "100000000.0000",
            "negative": "0.0000",
            "net": "100000000.0000",
            "absolute": "100000000.0000",
        },
    ]
    assert [(one["sku"], one["variance"], one["value"]) for one in report["lines"]] == [
        ("P007", 10**12, "100000000.0000"),
        ("P006", 4, None),
        ("P002", 3, "267.00"),
        ("P001", -2, "-11998.00"),
        ("P003", 0, "0.00"),
        ("P004", None, None),
    ]
    await settle(shop, "post", count)
    assert (await shop.get(f"/v1/counts/{count['id']}/variance"))["provisional"] is False


async def test_a_report_is_a_table_if_that_is_asked_for(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "=1+1", "name": "formula"})
    count = await open_count(shop, "P001", "P002", "=1+1")
    await record(shop, count, found("P001", 48))
    path = f"/v1/counts/{count['id']}/variance"

    by_header = await shop.http.get(path, headers={"Accept": "text/csv"})
    by_name = await shop.http.get(path, params={"format": "csv"})
    both = await shop.http.get(path, headers={"Accept": "text/csv, application/json"})
    json = await shop.http.get(path, headers={"Accept": "text/csv"}, params={"format": "json"})

    assert by_header.text == by_name.text
    assert by_header.text.splitlines() == [
        "sku,location,level_version,expected,counted,variance,unit_price,currency,value",
        "P001,main,1,50,48,-2,5999.00,CNY,-11998.00",
        "P002,main,1,200,,,89.00,CNY,",
        "'=1+1,main,0,0,,,,,",
    ]
    assert by_header.headers["content-type"].startswith("text/csv")
    assert "attachment" in by_header.headers["content-disposition"]
    assert both.json() == json.json()


async def test_counts_are_listed_by_state_place_and_reference(shop: Shop) -> None:
    first = await open_count(shop, "P001", reference="stocktake:1")
    second = await open_count(shop, location="store-1")
    third = await counted(shop, found("P002", 1))
    await settle(shop, "post", third)

    async def ids(**query: str | int) -> list[str]:
        return [one["id"] for one in await shop.walk("/v1/counts", **query)]

    assert await ids() == await ids(limit=1) == [first["id"], second["id"], third["id"]]
    assert await ids(status="open") == [first["id"], second["id"]]
    assert await ids(status="posted") == [third["id"]]
    assert await ids(location="store-1") == [second["id"]]
    assert await ids(reference="stocktake:1") == [first["id"]]
    assert await ids(reference="stocktake:2") == []


async def test_a_limited_key_counts_its_own_location_only(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5})
    mains = await counted(shop, found("P001", 45))
    async with as_(shop, "write", locations=["store-1"]) as till:
        for answer in (
            await till.http.post("/v1/counts", json={}),
            await till.http.post("/v1/counts", json={"location": "nowhere"}),
            await till.http.get("/v1/counts", params={"location": "main"}),
        ):
            assert problem(answer, 403)["code"] == "forbidden"
        for answer in (
            await till.http.get(f"/v1/counts/{mains['id']}"),
            await till.http.get(f"/v1/counts/{mains['id']}/variance"),
            await record(till, mains, found("P001", 1)),
            await settle(till, "post", mains),
            await settle(till, "cancel", mains),
        ):
            assert problem(answer, 404)["code"] == "unknown_id"
        own = await counted(till, found("P001", 4), location="store-1")
        assert [one["id"] for one in (await till.get("/v1/counts"))["items"]] == [own["id"]]
        assert (await settle(till, "post", own)).status_code == 200

    assert await shop.on_hand("P001", "store-1") == 4
    assert await shop.on_hand("P001", "main") == 45


async def test_what_was_archived_meanwhile_takes_no_count_but_lets_it_be_cancelled(
    shop: Shop,
) -> None:
    await shop.http.post("/v1/items", json={"sku": "P006", "name": "old"})
    count = await counted(shop, found("P001", 50), found("P006", 0))
    elsewhere = await counted(shop, found("P001", 1), location="store-1")
    await shop.http.delete("/v1/items/P006")
    await shop.http.patch("/v1/locations/store-1", json={"status": "archived"})

    told = problem(await settle(shop, "post", count), 409)
    closed = problem(await settle(shop, "post", elsewhere), 409)

    assert [(one["sku"], one["error"]["code"]) for one in told["lines"]] == [
        ("P006", "item_archived")
    ]
    assert closed["lines"][0]["error"]["code"] == "location_archived"
    assert (await settle(shop, "cancel", elsewhere)).status_code == 200
    reopened = await shop.http.post("/v1/counts", json={"location": "store-1"})
    assert problem(reopened, 409)["code"] == "location_archived"


async def test_a_hold_that_is_over_does_not_make_a_count_stale(shop: Shop) -> None:
    body = {"lines": [{"sku": "P001", "quantity": 5}], "ttl_s": 60}
    await shop.http.post("/v1/reservations", json=body)
    count = await counted(shop, found("P001", 49))
    shop.clock.move(61)

    posted = await settle(shop, "post", count)

    assert posted.status_code == 200
    level = await shop.get("/v1/stock/P001/main")
    assert (level["on_hand"], level["reserved"]) == (49, 0)


async def test_a_count_that_is_posted_by_many_at_once_is_posted_once(shop: Shop) -> None:
    for _ in range(20):
        before = await shop.on_hand()
        count = await counted(shop, found("P001", before - 1))

        answers = await asyncio.gather(*(settle(shop, "post", count) for _ in range(5)))

        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
        assert await shop.on_hand() == before - 1


async def test_sales_and_a_posting_at_the_same_time_all_count(shop: Shop) -> None:
    for _ in range(10):
        before = await shop.on_hand("P002")
        count = await counted(shop, found("P002", before - 2))

        answers = await asyncio.gather(
            shop.adjust({"sku": "P002", "delta": -1}),
            settle(shop, "post", count),
            shop.adjust({"sku": "P002", "delta": -1}),
        )

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert await shop.on_hand("P002") == before - 4


async def test_of_a_set_and_a_posting_at_the_same_time_the_later_one_is_stale(shop: Shop) -> None:
    line = {"sku": "P003", "on_hand": 100, "expected_on_hand": 150}
    for set_first in (True, False):
        await shop.set({"sku": "P003", "on_hand": 150, "expected_on_hand": None})
        count = await open_count(shop, "P003")
        await record(shop, count, found("P003", 149))
        changes = [shop.set(line), settle(shop, "post", count)]

        answers = await asyncio.gather(*(changes if set_first else changes[::-1]))

        assert [answer.status_code for answer in answers] == [200, 409]
        assert problem(answers[1], 409)["code"] == "stale_quantity"
        assert await shop.on_hand("P003") == (100 if set_first else 149)


async def test_two_counts_that_are_posted_at_the_same_time_book_one_variance(shop: Shop) -> None:
    counts = [await counted(shop, found("P001", 45)) for _ in range(4)]

    answers = await asyncio.gather(*(settle(shop, "post", count) for count in counts))

    assert [answer.status_code for answer in answers] == [200, 409, 409, 409]
    assert await shop.on_hand() == 45


@pytest.mark.parametrize("verb", ["post", "cancel", "approve"])
async def test_an_unknown_count_is_not_found(shop: Shop, verb: str) -> None:
    count = {"id": "nothing"}

    assert problem(await settle(shop, verb, count), 404)["code"] == "unknown_id"
    assert problem(await record(shop, count, found("P001", 1)), 404)["code"] == "unknown_id"


async def test_a_line_whose_item_takes_no_count_any_more_is_taken_back(shop: Shop) -> None:
    for sku in ("P006", "P007"):
        await shop.http.post("/v1/items", json={"sku": sku, "name": "old"})
    count = await counted(shop, found("P001", 49), found("P006", 0), found("P007", 0))
    await shop.http.delete("/v1/items/P006")
    kit = {"components": [{"sku": "P001", "quantity": 1}]}
    assert (await shop.http.patch("/v1/items/P007", json=kit)).status_code == 200

    again = problem(await record(shop, count, found("P006", 0), found("P007", 0)), 409)
    back = await record(shop, count, found("P006", None), found("P007", None, 99))
    new = problem(await record(shop, count, found("P999", None)), 409)

    assert [one["error"]["code"] for one in again["lines"]] == ["item_archived", "is_kit"]
    assert [one["counted"] for one in back.json()["lines"]] == [None, None]
    assert new["lines"][0]["error"]["code"] == "unknown_sku"
    posted = await settle(shop, "post", count)
    assert (posted.status_code, posted.json()["uncounted"]) == (200, ["P006", "P007"])
