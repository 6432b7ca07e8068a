"""How many can be sold."""

from typing import Any

import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.availability import check, stock_of
from inventory_api.store.catalog import create_location
from inventory_api.store.database import Session
from tests.stock_factory import (
    key,
    location,
    set_item_status,
    set_location_status,
    set_policy,
)

Line = dict[str, Any]  # Any: JSON values


async def checked(
    service: Service, *lines: Line, locations: frozenset[str] | None = None
) -> list[Line]:
    async with service.database.reader() as session:
        _, results = await check(session, lines, locations, Instant(0))
    return results


@pytest.fixture
async def stocked(service: Service) -> Service:
    """P001: 50 at main, 7 at store-1, 100 in quarantine, which is not sellable."""

    async def work(session: Session, now: Instant) -> Outcome:
        return await create_location(session, location("quarantine", sellable=False))

    await service.transact(work, actor="test")
    await service.adjust(
        [
            {"sku": "P001", "delta": 50},
            {"sku": "P001", "location": "store-1", "delta": 7},
            {"sku": "P001", "location": "quarantine", "delta": 100},
        ]
    )
    return service


async def test_a_line_with_a_location_is_answered_for_that_location(stocked: Service) -> None:
    (found,) = await checked(stocked, {"sku": "P001", "location": "main", "quantity": 50})

    assert found == {
        "sku": "P001",
        "location": "main",
        "name": "item P001",
        "on_hand": 50,
        "available": 50,
        "requested": 50,
        "sufficient": True,
    }


async def test_a_line_without_a_location_is_answered_over_all_sellable_ones(
    stocked: Service,
) -> None:
    (found,) = await checked(stocked, {"sku": "P001", "quantity": 58})

    assert (found["available"], found["sufficient"], found["location"]) == (57, False, None)


async def test_a_line_without_a_quantity_asks_for_one(stocked: Service) -> None:
    found = await checked(stocked, {"sku": "P001"}, {"sku": "P002"})

    assert [(one["requested"], one["sufficient"]) for one in found] == [(1, True), (1, False)]


async def test_a_place_that_may_not_be_sold_from_can_be_asked_for_by_name(
    stocked: Service,
) -> None:
    (found,) = await checked(stocked, {"sku": "P001", "location": "quarantine"})

    assert found["on_hand"] == 100


async def test_unknown_items_and_locations_are_errors_of_their_lines(stocked: Service) -> None:
    found = await checked(
        stocked,
        {"sku": "nope"},
        {"sku": "P001", "location": "moon"},
        {"sku": "nope", "location": "moon"},
        {"sku": "P001"},
    )

    codes = [one.get("error", {}).get("code") for one in found]
    assert codes == ["unknown_sku", "unknown_location", "unknown_sku", None]


async def test_what_is_buffered_is_not_available(stocked: Service) -> None:
    await set_policy(stocked, {"safety_stock": 45})

    found = await checked(
        stocked, {"sku": "P001", "location": "main", "quantity": 5}, {"sku": "P001"}
    )

    assert [(one["on_hand"], one["available"]) for one in found] == [(50, 5), (57, 12)]


@pytest.mark.parametrize(
    ("limit", "quantity", "sufficient"),
    [(0, 51, False), (5, 55, True), (5, 56, False), (None, 10**12, True)],
    ids=["none", "within", "beyond", "unlimited"],
)
async def test_backorders_suffice_up_to_their_limit(
    stocked: Service, limit: int | None, quantity: int, sufficient: bool
) -> None:
    await set_policy(stocked, {"backorder_limit": limit})

    (found,) = await checked(stocked, {"sku": "P001", "location": "main", "quantity": quantity})

    assert found["sufficient"] is sufficient


async def test_one_place_s_shortage_is_not_made_up_from_another_s_stock(
    stocked: Service,
) -> None:
    await set_policy(stocked, {"safety_stock": 60}, key("P001", "main"))

    (found,) = await checked(stocked, {"sku": "P001", "quantity": 7})

    assert (found["available"], found["sufficient"]) == (7, True)


async def test_an_archived_item_keeps_its_name(stocked: Service) -> None:
    await set_item_status(stocked, "P002", "archived")

    (found,) = await checked(stocked, {"sku": "P002"})

    assert (found["name"], found["available"]) == ("item P002", 0)


async def test_an_archived_location_is_not_sold_from(stocked: Service) -> None:
    await stocked.adjust([{"sku": "P001", "location": "store-1", "delta": -7}])
    await set_location_status(stocked, "store-1", "archived")

    (found,) = await checked(stocked, {"sku": "P001"})

    assert found["available"] == 50


async def test_a_caller_sees_only_his_locations(stocked: Service) -> None:
    found = await checked(
        stocked,
        {"sku": "P001"},
        {"sku": "P001", "location": "main"},
        {"sku": "P001", "location": "store-1"},
        locations=frozenset({"store-1"}),
    )

    assert found[0]["available"] == 7
    assert "on_hand" not in found[1]
    assert found[2]["available"] == 7


async def test_the_same_item_may_be_asked_for_many_times(stocked: Service) -> None:
    found = await checked(stocked, *[{"sku": "P001", "quantity": units} for units in (1, 57, 58)])

    assert [one["sufficient"] for one in found] == [True, True, False]


async def test_the_stock_of_an_item_comes_with_the_place_in_the_ledger(stocked: Service) -> None:
    async with stocked.database.reader() as session:
        found = await stock_of(session, ["P001", "P002", "nope"], Instant(0))

    assert set(found) == {"P001", "P002"}
    assert found["P001"].seq == 3
    assert found["P001"].sellable == {"main", "store-1"}
    assert [(one.location, one.on_hand) for one in found["P001"].levels] == [
        ("main", 50),
        ("quarantine", 100),
        ("store-1", 7),
    ]
    assert found["P002"].levels == []
