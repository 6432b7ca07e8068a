"""The replenishment report: what was sold, and what to order for it."""

import csv
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.databases import Template
from tests.web.shop import Shop, open_demo

PATH = "/v1/reports/replenishment"
# The shop's clock stands at 2023-11-14T22:13:20Z.
DAYS = [f"2023-11-{day:02}T12:00:00Z" for day in range(5, 15)]
Row = dict[str, Any]  # Any: JSON values


async def sell(shop: Shop, sku: str, units: int, at: str, **fields: str) -> None:
    line = {"sku": sku, "delta": -units}
    answer = await shop.adjust(line, occurred_at=at, **{"reason": "sale", **fields})
    assert answer.status_code == 200, answer.text


async def sell_daily(shop: Shop, sku: str = "P002") -> None:
    """1 and 3 units in turn, ten days long: 2 a day, with a sample deviation of 1.0541."""
    for number, at in enumerate(DAYS):
        await sell(shop, sku, 1 + 2 * (number % 2), at)


async def row_of(shop: Shop, sku: str = "P002", **query: str | int) -> Row:
    rows = await shop.walk(PATH, **{"days": 10, **query})
    return next(row for row in rows if row["sku"] == sku)


async def test_a_reorder_point_is_the_lead_time_s_demand_and_a_margin(shop: Shop) -> None:
    await sell_daily(shop)

    row = await row_of(shop, lead_time_days=4, service_level="0.95", review_days=5)

    # 2 * 4 + 1.6449 * 1.0541 * sqrt(4) = 11.47; and 5 days more.
    assert row == {
        "sku": "P002",
        "location": "main",
        "class": "A",
        "available": 180,
        "incoming": 0,
        "units": 20,
        "days": 10,
        "mean": 2.0,
        "deviation": 1.0541,
        "days_of_cover": 90.0,
        "reorder_point": 12,
        "order_up_to": 22,
        "quantity": 0,
        "policy_reorder_point": None,
        "policy_reorder_to": None,
    }


async def test_what_is_due_is_ordered_up_to_the_target_less_what_is_coming(shop: Shop) -> None:
    await sell_daily(shop)
    await shop.set({"sku": "P002", "on_hand": 6, "expected_on_hand": None})
    before = await row_of(shop, lead_time_days=4, review_days=5)
    await shop.http.post("/v1/inbounds", json={"lines": [{"sku": "P002", "quantity": 3}]})
    coming = await row_of(shop, lead_time_days=4, review_days=5)
    await shop.http.patch("/v1/stock/P002/main", json={"reorder_to": 40})
    wanted = await row_of(shop, lead_time_days=4, review_days=5)

    assert [one["quantity"] for one in (before, coming, wanted)] == [16, 13, 31]


async def test_a_level_s_own_reorder_point_counts_where_it_is_higher(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"reorder_point": 50, "reorder_to": 90})

    row = await row_of(shop, "P001")

    assert (row["reorder_point"], row["quantity"], row["days_of_cover"]) == (0, 40, None)


async def test_fulfilments_and_sales_are_demand_and_nothing_else_is(shop: Shop) -> None:
    for reason in ("damaged", "other", "internal_use", "vendor_return"):
        await sell(shop, "P001", 1, DAYS[-1], reason=reason)
    await shop.adjust({"sku": "P001", "delta": 9, "reason": "sale"})
    await shop.transfer({"sku": "P001", "from": "main", "to": "store-1", "quantity": 2})
    made = await shop.http.post(
        "/v1/reservations", json={"lines": [{"sku": "P001", "quantity": 4, "location": "main"}]}
    )
    unfulfilled = await row_of(shop, "P001")
    path = f"/v1/reservations/{made.json()['id']}"
    await shop.http.post(f"{path}/confirm", json={})
    gone = await shop.http.post(f"{path}/fulfill", json={})
    assert gone.status_code == 200, gone.text
    shop.clock.move(1)

    assert unfulfilled["units"] == 0
    assert (await row_of(shop, "P001"))["units"] == 4


async def test_days_are_those_before_until_and_by_when_it_happened(shop: Shop) -> None:
    await sell_daily(shop)
    await sell(shop, "P002", 7, "2023-11-12T00:00:00Z")

    whole = await row_of(shop, until="2023-11-12T00:00:00Z", days=5)
    later = await row_of(shop, until="2023-11-13T00:00:00Z", days=1)

    assert (whole["units"], whole["days"]) == (1 + 3 + 1 + 3 + 1, 5)
    assert (later["units"], later["deviation"]) == (3 + 7, 0.0)


async def test_a_level_that_is_younger_than_the_days_counts_its_own(shop: Shop) -> None:
    opening = {"sku": "P001", "location": "store-1", "delta": 50, "reason": "opening_balance"}
    await shop.adjust(opening, occurred_at="2023-11-11T00:00:00Z")
    await shop.adjust(
        {"sku": "P001", "location": "store-1", "delta": -8, "reason": "sale"},
        occurred_at="2023-11-13T00:00:00Z",
    )

    rows = await shop.walk(PATH, location="store-1", until="2023-11-15T00:00:00Z")

    assert [(row["sku"], row["days"], row["mean"]) for row in rows] == [("P001", 4, 2.0)]


async def test_classes_are_by_units_or_by_value(shop: Shop) -> None:
    for sku, units in (("P001", 1), ("P002", 80), ("P003", 15), ("P004", 1)):
        await sell(shop, sku, units, DAYS[0])

    by_units = {row["sku"]: row["class"] for row in await shop.walk(PATH)}
    value = {row["sku"]: row["class"] for row in await shop.walk(PATH, classes="value")}
    nothing = {row["class"] for row in await shop.walk(PATH, classes="none")}

    assert by_units == {"P001": "C", "P002": "A", "P003": "B", "P004": "C", "P005": "C"}
    # 5,999, 7,120, 5,985 and 1,299 of 20,403.
    assert value == {"P001": "A", "P002": "A", "P003": "A", "P004": "B", "P005": "C"}
    assert nothing == {None}


async def test_pages_and_streams_have_the_same_rows(shop: Shop) -> None:
    await sell_daily(shop)
    moment = {"until": "2023-11-15T00:00:00Z"}

    paged = await shop.walk(PATH, limit=2, **moment)
    ndjson = await shop.http.get(PATH, params={"format": "ndjson", **moment})
    table = await shop.http.get(PATH, params=moment, headers={"Accept": "text/csv"})

    *streamed, end = map(orjson.loads, ndjson.content.splitlines())
    assert streamed == paged
    assert len(paged) == 5
    assert end == {"end": True, "rows": 5, "as_of_seq": await shop.head()}
    cells = list(csv.DictReader(table.text.splitlines()))
    assert [(one["sku"], one["quantity"]) for one in cells] == [
        (one["sku"], str(one["quantity"])) for one in paged
    ]


async def test_only_what_is_due_can_be_asked_for(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P003/main", json={"reorder_point": 150, "reorder_to": 151})

    rows = await shop.walk(PATH, due="true", limit=1)

    assert [(row["sku"], row["quantity"]) for row in rows] == [("P003", 1)]


async def test_what_does_not_sell_or_is_archived_is_left_out(shop: Shop) -> None:
    for code in ("store-1", "main"):
        await shop.adjust({"sku": "P001", "location": code, "delta": 1, "reason": "received"})
    await shop.http.patch("/v1/locations/store-1", json={"sellable": False})
    await shop.adjust({"sku": "P005", "delta": -120})
    await shop.http.delete("/v1/items/P005")

    rows = await shop.walk(PATH)

    assert [(row["sku"], row["location"]) for row in rows] == [
        (sku, "main") for sku in ("P001", "P002", "P003", "P004")
    ]


async def test_a_limited_key_sees_its_own_locations(shop: Shop) -> None:
    await shop.adjust({"sku": "P002", "location": "store-1", "delta": 1, "reason": "received"})
    header = await shop.make_key(scopes=["read"], locations=["store-1"])

    seen = await shop.http.get(PATH, headers=header)
    other = await shop.http.get(PATH, headers=header, params={"location": "main"})

    assert [row["location"] for row in seen.json()["items"]] == ["store-1"]
    assert other.status_code == 403


async def test_a_window_of_more_movements_than_allowed_is_refused(
    demo: Template, tmp_path: Path
) -> None:
    async with open_demo(demo, tmp_path, report_movements_max=4) as shop:
        answer = await shop.http.get(PATH)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "days"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"days": "0"}, "days"),
        ({"days": "731"}, "days"),
        ({"service_level": "1"}, "service_level"),
        ({"service_level": "0.4"}, "service_level"),
        ({"service_level": "0.95\n"}, "service_level"),
        ({"lead_time_days": "366"}, "lead_time_days"),
        ({"until": "yesterday"}, "until"),
        ({"until": "0001-01-01T00:00:00Z"}, "until"),
        ({"class_a": "101"}, "class_a"),
        ({"columns": "sku"}, "columns"),
        ({"columns": "sku,sku", "format": "csv"}, "columns"),
        ({"cursor": "WyIiLCIiXQ", "format": "csv"}, "cursor"),
        ({"cursor": "x"}, "cursor"),
        ({"reasons": "sale"}, "reasons"),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_is_named(shop: Shop, query: dict[str, str], field: str) -> None:
    answer = await shop.http.get(PATH, params=query)

    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["errors"][0]["field"] == field
