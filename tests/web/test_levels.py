"""Levels read over HTTP: now, as they were, explained; and their policies."""

from itertools import pairwise

import httpx
import pytest

from tests.web.shop import JSON, Shop, problem, wrong_fields


async def test_an_items_stock_adds_up_over_its_locations(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 20})

    stock = await shop.get("/v1/stock/P001")

    assert (stock["sku"], stock["name"], stock["as_of_seq"]) == ("P001", "笔记本电脑", 7)
    assert (stock["on_hand"], stock["available"]) == (50, 50)
    held = [(one["location"], one["on_hand"]) for one in stock["levels"]]
    assert held == [("main", 30), ("store-1", 20)]


async def test_a_level_where_nothing_ever_moved_is_zero_at_version_0(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/v1/stock/P001/store-1")

    shown = answer.json()
    assert (shown["on_hand"], shown["available"], shown["version"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("P999", "unknown_sku"),
        ("P999/main", "unknown_sku"),
        ("P001/nowhere", "unknown_location"),
        ("P999/explain", "unknown_sku"),
    ],
)
async def test_stock_of_what_does_not_exist_is_not_found(
    http: httpx.AsyncClient, path: str, code: str
) -> None:
    assert problem(await http.get(f"/v1/stock/{path}"), 404)["code"] == code


async def test_the_list_of_levels_is_walked_without_gap_or_repetition(shop: Shop) -> None:
    for sku in ("P001", "P002", "P005"):
        await shop.transfer({"sku": sku, "to": "store-1", "quantity": 1})

    levels = await shop.walk("/v1/stock", limit=3)

    keys = [(one["sku"], one["location"]) for one in levels]
    assert len(keys) == 8
    assert keys == sorted(set(keys))


async def test_levels_are_listed_for_one_location(shop: Shop) -> None:
    await shop.transfer({"sku": "P004", "to": "store-1", "quantity": 1})

    page = await shop.get("/v1/stock", location="store-1")

    assert [one["sku"] for one in page["items"]] == ["P004"]


@pytest.mark.parametrize(
    ("status", "skus"), [("low", ["P001"]), ("out", ["P002", "P003"]), ("oversold", ["P003"])]
)
async def test_levels_are_listed_by_their_status(shop: Shop, status: str, skus: list[str]) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"reorder_point": 50})
    await shop.set({"sku": "P002", "on_hand": 0, "expected_on_hand": 200})
    await shop.http.patch("/v1/stock/P003/main", json={"safety_stock": 151})

    now = await shop.get("/v1/stock", status=status)
    as_of = await shop.get("/v1/stock", status=status, as_of=8)

    assert [one["sku"] for one in now["items"]] == skus
    assert [one["sku"] for one in as_of["items"]] == skus


async def test_stock_is_shown_as_it_was_at_a_position(shop: Shop) -> None:
    await shop.adjust({"sku": "P001", "delta": -2})
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 8})

    def of(stock: JSON) -> list[tuple[str, int]]:
        return [(one["location"], one["on_hand"]) for one in stock["levels"]]

    assert of(await shop.get("/v1/stock/P001", as_of=0)) == []
    assert of(await shop.get("/v1/stock/P001", as_of=5)) == [("main", 50)]
    assert of(await shop.get("/v1/stock/P001", as_of=6)) == [("main", 48)]
    assert of(await shop.get("/v1/stock/P001", as_of=8)) == [("main", 40), ("store-1", 8)]
    assert (await shop.get("/v1/stock/P001/main", as_of=6))["on_hand"] == 48
    assert (await shop.get("/v1/stock/P001/store-1", as_of=6))["version"] == 0


async def test_a_list_as_of_a_position_shows_every_level_of_that_position(shop: Shop) -> None:
    await shop.set(
        *({"sku": f"P00{n}", "on_hand": 7, "expected_on_hand": None} for n in range(1, 6))
    )

    page = await shop.get("/v1/stock", as_of=7)

    assert page["as_of_seq"] == 7
    assert [one["on_hand"] for one in page["items"]] == [7, 7, 150, 80, 120]


async def test_stock_is_shown_as_it_was_at_a_time(shop: Shop) -> None:
    shop.clock.move(3600)
    await shop.adjust({"sku": "P001", "delta": -2})

    before = await shop.get("/v1/stock/P001", as_of="2023-11-14T23:13:19.999999Z")
    there = await shop.get("/v1/stock/P001", as_of="2023-11-14T23:13:20Z")
    elsewhere = await shop.get("/v1/stock/P001", as_of="2023-11-15T07:13:20+08:00")
    earlier = await shop.get("/v1/stock/P001", as_of="1999-12-31T00:00:00Z")

    assert (before["on_hand"], before["as_of_seq"]) == (50, 5)
    assert (there["on_hand"], there["as_of_seq"]) == (48, 6)
    assert elsewhere == there
    assert (earlier["on_hand"], earlier["as_of_seq"]) == (0, 0)


@pytest.mark.parametrize("path", ["", "/P001", "/P001/main", "/P001/store-1"])
@pytest.mark.parametrize(
    "as_of", ["6", "-1", "soon", "2026-01-01", "2026-01-01T00:00:00", "\uff15", ""]
)
async def test_a_position_that_is_none_is_refused_by_name(
    http: httpx.AsyncClient, path: str, as_of: str
) -> None:
    answer = await http.get(f"/v1/stock{path}", params={"as_of": as_of})

    assert wrong_fields(answer) == ["as_of"]


async def test_a_policy_keeps_stock_back_and_shows_in_the_level(shop: Shop) -> None:
    policy = {"safety_stock": 5, "backorder_limit": None, "reorder_point": 20, "reorder_to": 100}

    answer = await shop.http.patch("/v1/stock/P001/main", json=policy)

    assert policy.items() <= answer.json().items()
    assert answer.json()["available"] == 45
    assert await shop.get("/v1/stock/P001/main") == answer.json()
    assert await shop.head() == 6


async def test_a_policy_keeps_what_the_change_does_not_name(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"safety_stock": 5, "reorder_point": 20})

    answer = await shop.http.patch("/v1/stock/P001/main", json={"reorder_point": None})

    assert (answer.json()["safety_stock"], answer.json()["reorder_point"]) == (5, None)


async def test_a_policy_can_come_before_the_first_movement(shop: Shop) -> None:
    answer = await shop.http.patch("/v1/stock/P001/store-1", json={"safety_stock": 2})
    assert (answer.json()["available"], answer.json()["version"]) == (-2, 1)

    moved = await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 3})

    assert moved.json()["results"][0]["levels"][1]["available"] == 1


@pytest.mark.parametrize(
    ("limit", "delta", "status"), [(3, -53, 409), (3, -50, 200), (None, -50, 200), (None, -51, 409)]
)
async def test_a_backorder_limit_never_lets_on_hand_below_zero(
    shop: Shop, limit: int | None, delta: int, status: int
) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"backorder_limit": limit})

    answer = await shop.adjust({"sku": "P001", "delta": delta})

    assert answer.status_code == status


async def test_a_backorder_limit_counts_against_safety_stock(shop: Shop) -> None:
    policy = {"safety_stock": 10, "backorder_limit": 3}
    await shop.http.patch("/v1/stock/P001/main", json=policy)

    too_many = await shop.adjust({"sku": "P001", "delta": -44})
    enough = await shop.adjust({"sku": "P001", "delta": -43})

    assert (too_many.status_code, enough.status_code) == (409, 200)


async def test_a_levels_etag_changes_with_every_movement_and_every_policy(shop: Shop) -> None:
    async def etag() -> str:
        return (await shop.http.get("/v1/stock/P001/main")).headers["etag"]

    tags = [await etag()]
    await shop.adjust({"sku": "P001", "delta": 1})
    tags.append(await etag())
    patched = await shop.http.patch("/v1/stock/P001/main", json={"safety_stock": 1})
    tags.append(await etag())

    assert len(set(tags)) == 3
    assert patched.headers["etag"] == tags[2]


async def test_a_policy_is_not_changed_under_a_stale_etag(shop: Shop) -> None:
    stale = (await shop.http.get("/v1/stock/P001/main")).headers["etag"]
    await shop.adjust({"sku": "P001", "delta": 1})
    fresh = (await shop.http.get("/v1/stock/P001/main")).headers["etag"]

    def patch(tag: str) -> JSON:
        body, headers = {"safety_stock": 9}, {"If-Match": tag}
        return shop.http.patch("/v1/stock/P001/main", json=body, headers=headers)

    told = problem(await patch(stale), 412)
    assert told["code"] == "version_mismatch"
    assert f'"{told["current_etag"]}"' == fresh
    assert (await patch(fresh)).status_code == 200


@pytest.mark.parametrize(
    ("path", "code"), [("P999/main", "unknown_sku"), ("P001/nowhere", "unknown_location")]
)
async def test_a_policy_of_what_does_not_exist_is_not_found(
    http: httpx.AsyncClient, path: str, code: str
) -> None:
    answer = await http.patch(f"/v1/stock/{path}", json={"safety_stock": 1})

    assert problem(answer, 404)["code"] == code


async def test_an_empty_policy_is_refused(http: httpx.AsyncClient) -> None:
    assert wrong_fields(await http.patch("/v1/stock/P001/main", json={})) == ["body"]


async def test_an_explanation_adds_up_to_the_numbers_it_explains(shop: Shop) -> None:
    await shop.http.patch("/v1/stock/P001/main", json={"safety_stock": 5})
    await shop.adjust({"sku": "P001", "delta": -2})
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 8})

    told = await shop.get("/v1/stock/P001/explain")

    stock = await shop.get("/v1/stock/P001")
    assert told["available"] == stock["available"] == 43
    assert told["as_of_seq"] == 9
    for explained, shown in zip(told["levels"], stock["levels"], strict=True):
        assert shown.items() <= explained.items()
        assert explained["movements"][0]["after"]["on_hand"] == explained["on_hand"]
        assert sum(one["delta"]["on_hand"] for one in explained["movements"]) == shown["on_hand"]
        for newer, older in pairwise(explained["movements"]):
            assert newer["level_version"] == older["level_version"] + 1
    main = told["levels"][0]
    assert main["explanation"].startswith("35 available = 40 on hand - 0 reserved")


async def test_an_explanation_is_bounded_and_can_be_narrowed_to_a_location(shop: Shop) -> None:
    for _ in range(5):
        await shop.adjust({"sku": "P001", "delta": -1})
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 1})

    told = await shop.get("/v1/stock/P001/explain", location="main", limit=3)

    (only,) = told["levels"]
    assert only["location"] == "main"
    assert [one["level_version"] for one in only["movements"]] == [7, 6, 5]


async def test_what_does_not_sell_is_explained_but_not_counted(shop: Shop) -> None:
    await shop.transfer({"sku": "P001", "to": "store-1", "quantity": 8})
    await shop.http.patch("/v1/locations/store-1", json={"sellable": False})

    told = await shop.get("/v1/stock/P001/explain")

    assert told["available"] == 42
    assert [one["sellable"] for one in told["levels"]] == [True, False]
