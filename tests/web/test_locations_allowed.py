"""What a key that is limited to store-1 may see and change."""

from collections.abc import AsyncIterator

import pytest

from tests.web.shop import JSON, Shop, http_client, problem


@pytest.fixture
async def limited(shop: Shop) -> AsyncIterator[Shop]:
    """The shop as a writer of store-1 sees it; there are 5 of P001, and 45 at main."""
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 5}, reference="move:1")
    await shop.adjust({"sku": "P002", "delta": -1}, reference="order:1", note="confidential")
    admin = await shop.http.post("/v1/api-keys", json={"name": "admin", "scopes": ["admin"]})
    shop.http.headers["X-API-Key"] = admin.json()["key"]
    body = {"name": "till", "scopes": ["write"], "locations": ["store-1"]}
    made = await shop.http.post("/v1/api-keys", json=body)
    async with http_client(shop.service, **{"X-API-Key": made.json()["key"]}) as http:
        yield Shop(shop.service, http, shop.clock)


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/v1/stock/adjust", {"lines": [{"sku": "P001", "delta": 1}]}),
        (
            "POST",
            "/v1/stock/adjust",
            {
                "mode": "independent",
                "lines": [
                    {"sku": "P001", "location": "store-1", "delta": 1},
                    {"sku": "P001", "location": "main", "delta": 1},
                ],
            },
        ),
        ("POST", "/v1/stock/adjust", {"lines": [{"sku": "P1", "location": "x", "delta": 1}]}),
        (
            "POST",
            "/v1/stock/set",
            {"lines": [{"sku": "P001", "on_hand": 1, "expected_on_hand": None}]},
        ),
        ("POST", "/v1/stock/transfer", {"lines": [{"sku": "P001", "to": "store-1", "quantity": 1}]}),
        (
            "POST",
            "/v1/stock/transfer",
            {"lines": [{"sku": "P001", "from": "store-1", "to": "main", "quantity": 1}]},
        ),
        ("POST", "/v1/stock/check", {"lines": [{"sku": "P001", "location": "main"}]}),
        ("PATCH", "/v1/stock/P001/main", {"safety_stock": 1}),
        ("PATCH", "/v1/locations/main", {"sellable": False}),
        ("POST", "/v1/locations", {"code": "north"}),
        ("GET", "/v1/stock/P001/main", None),
        ("GET", "/v1/stock?location=main", None),
        ("GET", "/v1/stock/P001/explain?location=main", None),
        ("GET", "/v1/export/levels?location=main", None),
        ("GET", "/v1/export/movements?location=main", None),
    ],
    ids=[
        "adjust-default", "adjust-mixed", "adjust-unknown", "set", "transfer-out", "transfer-in",
        "check", "policy", "location", "new-location", "level", "list", "explain",
        "export-levels", "export-movements",
    ],
)  # fmt: skip
async def test_other_locations_are_forbidden(
    limited: Shop, verb: str, path: str, body: JSON
) -> None:
    answer = await limited.http.request(verb, path, json=body)

    assert problem(answer, 403)["code"] == "forbidden"
    assert (await limited.get("/v1/movements"))["head"] == 8


async def test_its_own_location_is_open(limited: Shop) -> None:
    line = {"sku": "P001", "location": "store-1"}

    for answer in (
        await limited.adjust({**line, "delta": -1}),
        await limited.set({**line, "on_hand": 9, "expected_on_hand": 4}),
        await limited.http.post("/v1/stock/check", json={"lines": [line]}),
        await limited.http.get("/v1/stock/P001/store-1"),
        await limited.http.patch("/v1/stock/P001/store-1", json={"safety_stock": 1}),
        await limited.http.get("/v1/stock", params={"location": "store-1"}),
    ):
        assert answer.status_code == 200, answer.text


async def test_totals_count_only_what_the_key_may_see(limited: Shop) -> None:
    stock = await limited.get("/v1/stock/P001")
    explained = await limited.get("/v1/stock/P001/explain")
    checked = await limited.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})
    listed = await limited.get("/v1/stock")

    assert (stock["on_hand"], stock["available"], len(stock["levels"])) == (5, 5, 1)
    assert (explained["available"], len(explained["levels"])) == (5, 1)
    assert checked.json()["results"][0]["available"] == 5
    assert [(one["sku"], one["location"]) for one in listed["items"]] == [("P001", "store-1")]


async def test_totals_of_the_past_count_only_what_the_key_may_see(limited: Shop) -> None:
    stock = await limited.get("/v1/stock/P001", as_of=5)
    listed = await limited.get("/v1/stock", as_of=5)

    assert (stock["on_hand"], stock["levels"], listed["items"]) == (0, [], [])


@pytest.mark.parametrize("query", [{}, {"reference": "move:1"}, {"location": "main"}])
async def test_movements_elsewhere_are_not_shown(limited: Shop, query: JSON) -> None:
    page = await limited.get("/v1/movements", **query)

    assert {one["location"] for one in page["items"]} <= {"store-1"}
    assert len(page["items"]) == (0 if "location" in query else 1)


@pytest.mark.parametrize("kind", ["levels", "movements"])
@pytest.mark.parametrize("form", ["ndjson", "csv"])
async def test_exports_hold_only_what_the_key_may_see(limited: Shop, kind: str, form: str) -> None:
    answer = await limited.http.get(f"/v1/export/{kind}", params={"format": form})

    assert answer.status_code == 200
    assert "store-1" in answer.text
    assert "main" not in answer.text


async def test_an_operation_elsewhere_is_not_shown(shop: Shop, limited: Shop) -> None:
    (foreign,) = (await shop.get("/v1/movements", reference="order:1"))["items"]

    answer = await limited.http.get(f"/v1/operations/{foreign['operation_id']}")

    assert problem(answer, 404)["code"] == "unknown_id"
    assert "confidential" not in answer.text


async def test_an_operation_of_several_locations_shows_the_keys_own_movements(
    limited: Shop,
) -> None:
    (own,) = (await limited.get("/v1/movements", reference="move:1"))["items"]

    operation = await limited.get(f"/v1/operations/{own['operation_id']}")

    assert operation["movements"] == [own]


async def test_a_shortage_does_not_tell_what_other_locations_have(limited: Shop) -> None:
    answer = await limited.adjust({"sku": "P001", "location": "store-1", "delta": -6})

    (line,) = problem(answer, 409)["lines"]
    assert line["error"]["elsewhere"] == []


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("levels", "sku,location,on_hand\nP001,main,1\n"),
        ("adjustments", "sku,location,delta\nP001,main,1\nP001,,1\n"),
    ],
)
async def test_imported_rows_of_other_locations_are_not_booked(
    limited: Shop, kind: str, rows: str
) -> None:
    headers = {"Content-Type": "text/csv"}

    answer = await limited.http.post(f"/v1/import/{kind}", content=rows, headers=headers)

    assert '"applied":0' in answer.text or answer.status_code == 403
    assert (await limited.get("/v1/movements"))["head"] == 8


async def test_a_key_that_makes_keys_can_not_be_limited(shop: Shop) -> None:
    body = {"name": "x", "scopes": ["read", "admin"], "locations": ["store-1"]}

    answer = await shop.http.post("/v1/api-keys", json=body)

    assert problem(answer, 422)["errors"][0]["field"] == "locations"
