"""Where else a refused item is to be had."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.prospects import ELSEWHERE_MAX
from inventory_api.domain.reservation import Reserve, ReserveLine
from inventory_api.domain.types import Instant
from inventory_api.service import RefusedError, Service
from inventory_api.store.bulk import listed
from inventory_api.store.catalog import create_location
from inventory_api.store.database import Session
from inventory_api.store.elsewhere import ENDS_OF_OTHERS
from tests.stock_factory import (
    P001,
    adjust,
    command,
    key,
    location,
    set_location_status,
    set_policy,
)
from tests.store.test_query_plans import steps_of


async def open_locations(service: Service, *codes: str, sellable: bool = True) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        for priority, code in enumerate(codes):
            await create_location(session, location(code, sellable=sellable, priority=priority))
        return Outcome(b"{}")

    await service.transact(work, actor="test")


async def book(service: Service, location: str, delta: int, sku: str = "P001") -> None:
    await service.adjust([{"sku": sku, "location": location, "delta": delta}])


async def elsewhere(service: Service, sku: str = "P001") -> list[dict[str, Any]]:
    """What a refusal at `main` says about other places."""
    with pytest.raises(RefusedError) as refused:
        await service.adjust([{"sku": sku, "delta": -(10**12)}], reason="sale")
    found: list[dict[str, Any]] = refused.value.facts["lines"][0]["error"]["elsewhere"]
    return found


async def test_a_refusal_says_where_the_item_is_by_priority(service: Service) -> None:
    await open_locations(service, "z-first", "a-second")
    await book(service, "a-second", 5)
    await book(service, "z-first", 3)

    assert await elsewhere(service) == [
        {"location": "z-first", "available": 3},
        {"location": "a-second", "available": 5},
    ]


async def test_the_place_itself_and_other_items_are_not_elsewhere(service: Service) -> None:
    await book(service, "main", 5)
    await book(service, "store-1", 5, sku="P002")

    assert await elsewhere(service) == []


async def test_what_cannot_be_sold_is_not_offered(service: Service) -> None:
    await open_locations(service, "quarantine", sellable=False)
    await book(service, "quarantine", 5)
    await book(service, "store-1", 5)
    await set_policy(service, {"safety_stock": 5}, key("P001", "store-1"))

    assert await elsewhere(service) == []


async def test_an_archived_location_offers_nothing(service: Service) -> None:
    await book(service, "store-1", 5)
    await book(service, "store-1", -5)
    await set_location_status(service, "store-1", "archived")

    assert await elsewhere(service) == []


async def test_only_so_many_places_are_told(service: Service) -> None:
    codes = [f"store-{number:03}" for number in range(ELSEWHERE_MAX + 5)]
    await open_locations(service, *codes)
    for code in codes:
        await book(service, code, 1)

    assert [one["location"] for one in await elsewhere(service)] == codes[:ELSEWHERE_MAX]


async def test_each_short_line_is_told_its_own_elsewhere(service: Service) -> None:
    await book(service, "store-1", 5)
    await book(service, "main", 2, sku="P002")

    answer = await service.adjust(
        [
            {"sku": "P001", "location": "main", "delta": -9},
            {"sku": "P001", "location": "store-1", "delta": -9},
            {"sku": "P002", "location": "store-1", "delta": -9},
        ],
        reason="sale",
        mode="independent",
    )

    assert [result["error"]["elsewhere"] for result in answer["results"]] == [
        [{"location": "store-1", "available": 5}],
        [],
        [{"location": "main", "available": 2}],
    ]


async def test_a_caller_hears_only_of_the_locations_that_he_may_see(service: Service) -> None:
    await open_locations(service, "hidden", "shown")
    await book(service, "hidden", 5)
    await book(service, "shown", 3)
    asked = replace(command(adjust(-1)), visible=frozenset({"main", "shown"}))

    outcome = await service.submit(asked, actor="test")

    (line,) = orjson.loads(outcome.answer)["lines"]
    assert line["error"]["elsewhere"] == [{"location": "shown", "available": 3}]


@pytest.mark.sqlite
async def test_a_hold_of_many_lines_is_left_out_by_one_pass_over_its_level(
    service: Service,
) -> None:
    own = ""

    async def ends(session: Session) -> object:
        return (await session.execute(ENDS_OF_OTHERS, {**listed([own]), "now": 1})).all()

    async def steps(lines: int) -> int:
        nonlocal own
        asked = Reserve(lines=(ReserveLine(P001, None, 1),) * lines, ttl_us=10**6)
        own = orjson.loads((await service.submit(asked, actor="test")).answer)["id"]
        return await steps_of(service, ends)

    await book(service, "main", 9_000)
    few, many = await steps(1_000), await steps(4_000)

    assert many < 5 * few
