"""Levels: listed, filtered, and given their policies."""

from collections.abc import Collection

import orjson
import pytest
from hypothesis import given, strategies as st

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant, Key, Level
from inventory_api.service import Service
from inventory_api.store.catalog import create_location
from inventory_api.store.database import Session
from inventory_api.store.levels import (
    Policy,
    as_of,
    etag_of,
    head_seq,
    levels_of_items,
    list_levels,
    matches,
    names_of,
    sellable_locations,
)
from inventory_api.store.snapshot import levels_of
from tests.ledger_oracle import assert_sound, rows_of
from tests.stock_factory import (
    adjust,
    command,
    key,
    level,
    location,
    set_item_status,
    set_location_status,
    set_policy,
)


async def book(service: Service, *lines: tuple[str, str, int]) -> None:
    asked = command(*[adjust(delta, sku, at, reason="received") for sku, at, delta in lines])
    await service.submit(asked, actor="test")


async def listed(
    service: Service,
    *,
    after: Key | None = None,
    limit: int = 100,
    locations: Collection[str] | None = None,
    status: str | None = None,
) -> list[tuple[str, str]]:
    async with service.database.reader() as session:
        found = await list_levels(
            session, after=after or key("", ""), limit=limit, locations=locations, status=status
        )
    return [(one.sku, one.location) for one in found]


async def test_levels_come_by_sku_and_location(service: Service) -> None:
    await book(service, ("P002", "main", 1), ("P001", "store-1", 1), ("P001", "main", 1))

    assert await listed(service) == [("P001", "main"), ("P001", "store-1"), ("P002", "main")]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_cover_every_level_once(service: Service, limit: int) -> None:
    await book(
        service, *[(sku, at, 1) for sku in ("P001", "P002", "P003") for at in ("main", "store-1")]
    )

    found: list[tuple[str, str]] = []
    while page := await listed(service, after=key(*found[-1]) if found else None, limit=limit):
        found += page

    assert len(found) == 6
    assert found == sorted(set(found))


async def test_levels_are_filtered_by_location(service: Service) -> None:
    await book(service, ("P001", "main", 1), ("P001", "store-1", 1))

    assert await listed(service, locations=["store-1"]) == [("P001", "store-1")]
    assert await listed(service, locations=["main", "store-1"]) == await listed(service)
    assert await listed(service, locations=[]) == []


async def test_a_level_is_low_at_its_reorder_point(service: Service) -> None:
    await book(service, ("P001", "main", 5), ("P002", "main", 6), ("P003", "main", 0))
    await set_policy(service, {"reorder_point": 5}, key("P001"))
    await set_policy(service, {"reorder_point": 5}, key("P002"))

    assert await listed(service, status="low") == [("P001", "main")]


async def test_a_level_is_out_when_nothing_can_be_sold(service: Service) -> None:
    await book(service, ("P001", "main", 0), ("P002", "main", 5), ("P003", "main", 5))
    await set_policy(service, {"safety_stock": 5}, key("P002"))

    assert await listed(service, status="out") == [("P001", "main"), ("P002", "main")]


async def test_a_level_is_oversold_below_its_backorder_limit(service: Service) -> None:
    await book(service, *[(sku, "main", 5) for sku in ("P001", "P002", "P003", "P004")])
    await set_policy(service, {"safety_stock": 6}, key("P001"))
    await set_policy(service, {"safety_stock": 6, "backorder_limit": 1}, key("P002"))
    await set_policy(service, {"safety_stock": 6, "backorder_limit": None}, key("P003"))

    assert await listed(service, status="oversold") == [("P001", "main")]


@given(
    st.builds(
        level,
        st.integers(0, 5),
        reserved=st.integers(0, 4),
        safety_stock=st.integers(0, 4),
        backorder_limit=st.sampled_from([0, 1, None]),
    ),
    st.none() | st.integers(0, 3),
)
def test_a_level_that_is_oversold_is_out_as_well(one: Level, reorder_point: int | None) -> None:
    one = one._replace(reorder_point=reorder_point)

    assert not matches(one, "oversold") or matches(one, "out")


@pytest.mark.parametrize("status", ["low", "out", "oversold"])
async def test_the_filter_in_the_database_and_the_one_in_memory_agree(
    service: Service, status: str
) -> None:
    await book(service, *[(sku, "main", units) for units, sku in enumerate(SKUS)])
    for number, sku in enumerate(SKUS):
        policy: Policy = {"safety_stock": number % 3, "reorder_point": (None, 1, 2)[number % 3]}
        await set_policy(service, policy | {"backorder_limit": (0, None)[number % 2]}, key(sku))

    async with service.database.reader() as session:
        every = await list_levels(session, after=key("", ""), limit=99)

    expected = [(one.sku, one.location) for one in every if matches(one, status)]
    assert await listed(service, status=status) == expected


SKUS = ("P001", "P002", "P003", "P004", "P005")


async def test_named_levels_are_found_and_missing_ones_left_out(service: Service) -> None:
    await book(service, ("P001", "main", 1), ("P002", "store-1", 2))

    async with service.database.reader() as session:
        found = await levels_of(session, [key("P001"), key("P002", "store-1"), key("P009")])

    assert {at: one.on_hand for at, one in found.items()} == {
        key("P001"): 1,
        key("P002", "store-1"): 2,
    }


async def test_every_item_asked_for_has_its_list_of_levels(service: Service) -> None:
    await book(service, ("P001", "store-1", 1), ("P001", "main", 2))

    async with service.database.reader() as session:
        found = await levels_of_items(session, ["P001", "P002"])

    assert [one.location for one in found["P001"]] == ["main", "store-1"]
    assert found["P002"] == []


async def test_names_of_items_that_exist(service: Service) -> None:
    async with service.database.reader() as session:
        assert await names_of(session, ["P001", "nope"]) == {"P001": "item P001"}


async def test_only_active_sellable_locations_are_sold_from(service: Service) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        return await create_location(session, location("quarantine", sellable=False))

    await service.transact(work, actor="test")
    await set_location_status(service, "store-1", "archived")

    async with service.database.reader() as session:
        assert await sellable_locations(session) == {"main"}


async def test_the_head_is_told_by_number(service: Service) -> None:
    await book(service, ("P001", "main", 1), ("P001", "main", 1))

    async with service.database.reader() as session:
        assert await head_seq(session) == 2


async def test_a_policy_can_be_set_before_the_first_movement(service: Service) -> None:
    outcome = await set_policy(service, {"safety_stock": 3, "reorder_point": 5, "reorder_to": 9})

    shown = orjson.loads(outcome.answer)
    assert (shown["safety_stock"], shown["on_hand"], shown["available"]) == (3, 0, -3)
    await book(service, ("P001", "main", 10))
    async with service.database.reader() as session:
        found = (await levels_of(session, [key()]))[key()]
    assert (found.on_hand, found.available, found.version, found.reorder_to) == (10, 7, 2, 9)


async def test_a_policy_changes_what_is_named_and_nothing_else(service: Service) -> None:
    await book(service, ("P001", "main", 10), ("P002", "main", 10))
    await set_policy(service, {"safety_stock": 3, "reorder_point": 5})

    await set_policy(service, {"reorder_point": None, "backorder_limit": 2})

    rows = await rows_of(service.database, "SELECT * FROM level ORDER BY sku")
    policies = [
        (row["safety_stock"], row["reorder_point"], row["backorder_limit"], row["version"])
        for row in rows
    ]
    assert policies == [(3, None, 2, 3), (0, None, 0, 1)]
    assert [row["on_hand"] for row in rows] == [10, 10]


async def test_a_policy_is_a_movement_of_nothing_that_explains_what_is_available(
    service: Service,
) -> None:
    await book(service, ("P001", "main", 10))
    await set_policy(service, {"safety_stock": 3})

    (*_, last) = await rows_of(service.database, "SELECT * FROM movement ORDER BY seq")
    deltas = [last[f"d_{name}"] for name in ("on_hand", "reserved", "committed", "incoming")]
    assert (last["type"], last["level_version"], last["actor"]) == ("policy", 2, "test")
    assert (deltas, last["on_hand"], last["available"]) == ([0, 0, 0, 0], 10, 7)
    assert len(await assert_sound(service.database)) == 2


async def test_the_past_keeps_the_safety_stock_it_had(service: Service) -> None:
    await book(service, ("P001", "main", 10))
    await set_policy(service, {"safety_stock": 3})

    async with service.database.reader() as session:
        levels = list((await levels_of(session, [key()])).values())
        past = [(await as_of(session, levels, seq))[0].available for seq in (1, 2)]

    assert past == [10, 7]


async def test_a_policy_that_is_so_already_leaves_no_trace(service: Service) -> None:
    first = await set_policy(service, {"safety_stock": 3})

    again = await set_policy(service, {"safety_stock": 3})

    assert again == first
    assert len(await rows_of(service.database, "SELECT seq FROM movement")) == 1


async def test_the_policy_of_what_is_archived_stays(service: Service) -> None:
    await set_item_status(service, "P002", "archived")
    await set_location_status(service, "store-1", "archived")

    of_item = await set_policy(service, {"safety_stock": 3}, key("P002"))
    at_location = await set_policy(service, {"safety_stock": 3}, key("P001", "store-1"))

    assert of_item.refused is Code.ITEM_ARCHIVED
    assert at_location.refused is Code.LOCATION_ARCHIVED


@pytest.mark.parametrize(
    ("at", "code"),
    [(key("nope"), Code.UNKNOWN_SKU), (key("P001", "moon"), Code.UNKNOWN_LOCATION)],
    ids=["item", "location"],
)
async def test_there_is_no_policy_for_what_is_unknown(
    service: Service, at: Key, code: Code
) -> None:
    outcome = await set_policy(service, {"safety_stock": 3}, at)

    assert outcome.refused is code
    assert await rows_of(service.database, "SELECT * FROM level") == []


async def test_a_policy_is_changed_only_if_the_level_is_as_the_caller_saw_it(
    service: Service,
) -> None:
    seen = (await set_policy(service, {"safety_stock": 3})).etag
    assert seen is not None
    await book(service, ("P001", "main", 1))

    stale = await set_policy(service, {"safety_stock": 1}, tags=frozenset({seen}))
    current: str = orjson.loads(stale.answer)["current_etag"]
    accepted = await set_policy(service, {"safety_stock": 1}, tags=frozenset({"other", current}))

    assert stale.refused is Code.VERSION_MISMATCH
    assert accepted.refused is None
    assert accepted.etag not in {seen, current}


def test_an_etag_is_the_version() -> None:
    assert etag_of(level(5, version=2)) == "2"
