"""Times at the ends of the calendar: refused, or shown for ever after."""

import pytest

from tests.web.shop import Shop, wrong_fields

BEYOND = [
    "0001-01-01T00:00:00+00:01",
    "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-00:01",
    "9999-12-31T23:59:59.999999-23:59",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00Z",
    "2026-01-01T00:00:00,5Z",
    "20260101T000000Z",
    "2026-W01-1T00:00:00Z",
    "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
]
WITHIN = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00-12:00",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-02-29T12:00:00.5+05:45",
]


@pytest.mark.parametrize("time", BEYOND)
async def test_a_time_that_can_not_be_shown_is_refused(shop: Shop, time: str) -> None:
    moved = await shop.adjust({"sku": "P001", "delta": 1}, occurred_at=time)
    key = {"name": "x", "scopes": ["read"], "expires_at": time}
    made = await shop.http.post("/v1/api-keys", json=key)
    as_of = await shop.http.get("/v1/stock", params={"as_of": time})

    assert wrong_fields(moved) == ["occurred_at"]
    assert wrong_fields(made) == ["expires_at"]
    assert wrong_fields(as_of) == ["as_of"]


@pytest.mark.parametrize("time", WITHIN)
async def test_a_time_that_is_taken_is_shown_wherever_it_went(shop: Shop, time: str) -> None:
    moved = await shop.adjust({"sku": "P001", "delta": 1}, occurred_at=time)
    assert moved.status_code == 200, moved.text

    (movement,) = (await shop.get("/v1/movements", after=5))["items"]
    operation = await shop.get(f"/v1/operations/{movement['operation_id']}")
    explained = await shop.get("/v1/stock/P001/explain")
    exported = await shop.http.get("/v1/export/movements")
    as_of = await shop.http.get("/v1/stock", params={"as_of": time})

    assert operation["occurred_at"] == movement["occurred_at"]
    assert explained["levels"][0]["movements"][0] == movement
    assert movement["occurred_at"] in exported.text
    assert as_of.status_code == 200


async def test_a_time_that_can_not_be_shown_is_refused_in_an_import(shop: Shop) -> None:
    rows = "sku,delta,occurred_at\n" + "".join(f"P001,1,{time}\n" for time in BEYOND)
    headers = {"Content-Type": "text/csv; charset=utf-8"}

    answer = await shop.http.post("/v1/import/adjustments", content=rows.encode(), headers=headers)

    assert f'"rejected":{len(BEYOND)}' in answer.text
    assert await shop.head() == 5
