"""The ledger over HTTP."""

import httpx
import pytest

from tests.web.shop import JSON, Shop, problem, wrong_fields


async def test_a_movement_tells_what_changed_and_the_balances_after_it(shop: Shop) -> None:
    shop.clock.move(60)
    answer = await shop.adjust(
        {"sku": "P001", "delta": -2, "line_id": "1001/1"},
        reason="sale",
        reference="order:1001",
        occurred_at="2023-11-01T08:00:00.5+08:00",
    )

    ledger = await shop.get("/v1/movements", after=5)

    assert ledger == {
        "head": 6,
        "next_cursor": None,
        "items": [
            {
                "seq": 6,
                "operation_id": answer.json()["operation_id"],
                "type": "adjust",
                "sku": "P001",
                "location": "main",
                "level_version": 2,
                "delta": {"on_hand": -2, "reserved": 0, "committed": 0, "incoming": 0},
                "after": {
                    "on_hand": 48,
                    "reserved": 0,
                    "committed": 0,
                    "incoming": 0,
                    "available": 48,
                },
                "reason": "sale",
                "reference": "order:1001",
                "actor": "local",
                "reservation_id": None,
                "line_id": "1001/1",
                "oversold_by": 0,
                "alerts": [],
                "occurred_at": "2023-11-01T00:00:00.500000Z",
                "recorded_at": "2023-11-14T22:14:20.000000Z",
            }
        ],
    }


async def test_the_ledger_is_walked_in_order_without_gap(shop: Shop) -> None:
    for _ in range(20):
        await shop.adjust({"sku": "P001", "delta": -1})

    movements = await shop.walk("/v1/movements", limit=7)

    assert [one["seq"] for one in movements] == list(range(1, 26))


async def test_a_reader_that_asks_behind_the_head_gets_nothing(shop: Shop) -> None:
    page = await shop.get("/v1/movements", after=2**63 - 1)

    assert page == {"head": 5, "items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ({"sku": "P002"}, [2, 7, 9, 10]),
        ({"location": "store-1"}, [10]),
        ({"reference": "order:1"}, [6, 7]),
        ({"reference": "order:1", "sku": "P002"}, [7]),
        ({"reference": "order:9"}, []),
        ({"sku": "P002", "after": 7}, [9, 10]),
        ({"sku": "p002"}, []),
        ({"reservation_id": "none"}, []),
    ],
    ids=["sku", "location", "reference", "both", "unknown", "after", "case", "reservation"],
)
async def test_movements_are_filtered(shop: Shop, query: JSON, seqs: list[int]) -> None:
    sale = [{"sku": "P001", "delta": -1}, {"sku": "P002", "delta": -1}]
    await shop.adjust(*sale, reference="order:1")
    await shop.adjust({"sku": "P003", "delta": -1}, reference="order:2")
    await shop.transfer({"sku": "P002", "to": "store-1", "quantity": 1})

    page = await shop.get("/v1/movements", **query)

    assert [one["seq"] for one in page["items"]] == seqs


async def test_a_filtered_list_is_walked_by_its_cursor(shop: Shop) -> None:
    for number in range(10):
        await shop.adjust(
            {"sku": "P001", "delta": -1}, {"sku": "P002", "delta": -1}, reference=f"r:{number % 2}"
        )

    movements = await shop.walk("/v1/movements", reference="r:1", sku="P002", limit=2)

    assert [one["seq"] for one in movements] == [9, 13, 17, 21, 25]


async def test_an_operation_shows_the_request_and_its_movements(shop: Shop) -> None:
    answer = await shop.adjust(
        {"sku": "P001", "delta": -1},
        {"sku": "P999", "delta": -1},
        {"sku": "P002", "delta": -1},
        key="a-key",
        mode="independent",
        reason="sale",
        reference="order:1",
        note="两件\u3000折扣",
    )
    name = answer.json()["operation_id"]

    operation = await shop.get(f"/v1/operations/{name}")

    movements = operation.pop("movements")
    assert operation.pop("next_cursor") is None
    assert operation == {
        "id": name,
        "recorded_at": "2023-11-14T22:13:20.000000Z",
        "occurred_at": "2023-11-14T22:13:20.000000Z",
        "actor": "local",
        "key": "a-key",
        "type": "adjust",
        "mode": "independent",
        "reason": "sale",
        "reference": "order:1",
        "note": "两件\u3000折扣",
        "first_seq": 6,
        "last_seq": 7,
        "applied": 2,
        "rejected": 1,
    }
    assert [one["sku"] for one in movements] == ["P001", "P002"]
    listed = await shop.get("/v1/movements", operation_id=name)
    assert listed["items"] == movements


async def test_an_operation_of_10000_movements_shows_the_first_1000_and_where_the_rest_is(
    shop: Shop,
) -> None:
    lines = [{"sku": "P001", "delta": 1}] * 10_000
    name = (await shop.adjust(*lines, reason="received")).json()["operation_id"]

    operation = await shop.get(f"/v1/operations/{name}")

    assert (operation["applied"], operation["last_seq"]) == (10_000, 10_005)
    assert len(operation["movements"]) == 1_000
    rest = await shop.walk(
        "/v1/movements", operation_id=name, cursor=operation["next_cursor"], limit=1_000
    )
    assert [one["seq"] for one in operation["movements"] + rest] == [*range(6, 10_006)]


async def test_an_operation_that_just_fits_has_no_rest(shop: Shop) -> None:
    lines = [{"sku": "P001", "delta": 1}] * 1_000
    name = (await shop.adjust(*lines, reason="received")).json()["operation_id"]

    operation = await shop.get(f"/v1/operations/{name}")

    assert (len(operation["movements"]), operation["next_cursor"]) == (1_000, None)


async def test_an_operation_that_is_no_batch_of_lines_counts_its_movements(shop: Shop) -> None:
    goods = [{"sku": "P001", "quantity": 1}, {"sku": "P002", "quantity": 1}]
    await shop.http.post("/v1/reservations", json={"lines": goods})
    await shop.http.post("/v1/transfers", json={"from": "main", "to": "store-1", "lines": goods})

    moved = await shop.walk("/v1/movements", after=5)
    names = dict.fromkeys(one["operation_id"] for one in moved)
    shown = [await shop.get(f"/v1/operations/{name}") for name in names]

    assert [(one["type"], one["applied"]) for one in shown] == [("reserve", 2), ("ship", 6)]


@pytest.mark.parametrize("name", ["0", "no-such-id"])
async def test_an_unknown_operation_is_not_found(http: httpx.AsyncClient, name: str) -> None:
    assert problem(await http.get(f"/v1/operations/{name}"), 404)["code"] == "unknown_id"


async def test_a_refused_change_leaves_no_operation(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -51}, reference="order:1")

    assert (await shop.get("/v1/movements", reference="order:1"))["items"] == []


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.0", "x", ""])
@pytest.mark.parametrize("path", ["/v1/movements", "/v1/items", "/v1/locations", "/v1/stock"])
async def test_a_page_has_1_to_1000_entries(http: httpx.AsyncClient, path: str, limit: str) -> None:
    assert wrong_fields(await http.get(path, params={"limit": limit})) == ["limit"]
