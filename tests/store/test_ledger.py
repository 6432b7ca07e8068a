"""The ledger, read back: by number, by time, by level and by what it was about."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings as hypothesis_settings, strategies as st

from inventory_api.app import open_service
from inventory_api.domain.commands import Mode
from inventory_api.domain.types import Instant, Movement
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from inventory_api.store.ledger import (
    Filter,
    find_operation,
    list_movements,
    movements_of,
    read_head,
    seq_at,
    steps_at,
)
from inventory_api.store.levels import as_of, list_levels
from tests.databases import Template
from tests.ledger_oracle import assert_sound
from tests.settable_clock import START, SettableClock
from tests.stock_factory import P001, adjust, command, key, level, open_shop, set_policy, transfer

# Each example opens a database: to find the shortest failing one would take minutes.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
Batch = tuple[int, list[tuple[str, str, int]]]
BATCHES = st.lists(
    st.tuples(
        st.integers(-3, 3),
        st.lists(
            st.tuples(
                st.sampled_from(["P001", "P002"]),
                st.sampled_from(["main", "store-1"]),
                st.integers(0, 5),
            ),
            min_size=1,
            max_size=4,
        ),
    ),
    max_size=8,
)


async def book(service: Service, *lines: tuple[str, int], reference: str | None = None) -> str:
    """One operation that adds units of items; its id."""
    answer = await service.adjust(
        [{"sku": sku, "delta": delta} for sku, delta in lines], reference=reference
    )
    operation_id: str = answer["operation_id"]
    return operation_id


async def numbers(
    service: Service, wanted: Filter, *, after: int = 0, limit: int = 100, until: int | None = None
) -> list[int]:
    async with service.database.reader() as session:
        found = await list_movements(session, wanted, after=after, limit=limit, until=until)
    return [movement.seq for movement in found]


async def test_a_new_ledger_ends_at_zero(service: Service) -> None:
    async with service.database.reader() as session:
        assert await read_head(session) == (0, 0)
        assert await seq_at(session, START) == 0


async def test_the_head_is_the_last_movement(service: Service, clock: SettableClock) -> None:
    await book(service, ("P001", 1), ("P002", 1))
    clock.move(seconds=5)
    await book(service, ("P001", 1))

    async with service.database.reader() as session:
        head = await read_head(session)

    assert head == (3, clock.now)


async def test_the_ledger_s_time_does_not_run_back_with_the_clock(
    service: Service, clock: SettableClock
) -> None:
    await book(service, ("P001", 1))
    clock.move(seconds=-7200)
    await book(service, ("P001", 1))
    clock.move(seconds=7201)
    await book(service, ("P001", 1))

    movements = await assert_sound(service.database)

    assert [row["recorded_at"] - START for row in movements] == [0, 0, 1_000_000]


async def test_movements_come_in_order_from_behind_a_number_to_another(service: Service) -> None:
    await book(service, *[("P001", 1)] * 9)

    assert await numbers(service, Filter(), after=2, limit=3) == [3, 4, 5]
    assert await numbers(service, Filter(), after=2, limit=99, until=4) == [3, 4]
    assert await numbers(service, Filter(), after=9) == []


async def test_movements_are_found_by_item_and_location(service: Service) -> None:
    await book(service, ("P001", 5), ("P002", 5))
    await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 2}])
    await book(service, ("P001", 1))

    assert await numbers(service, Filter(sku="P001")) == [1, 3, 4, 5]
    assert await numbers(service, Filter(location="main")) == [1, 2, 3, 5]
    assert await numbers(service, Filter(sku="P001", location="store-1")) == [4]
    assert await numbers(service, Filter(locations=frozenset({"store-1"}))) == [4]
    assert await numbers(service, Filter(locations=frozenset())) == []
    assert await numbers(service, Filter(sku="P003")) == []
    assert await numbers(service, Filter(reservation_id="none")) == []


async def test_movements_are_found_by_operation(service: Service) -> None:
    await book(service, ("P001", 1))
    operation_id = await book(service, ("P001", 1), ("P002", 1))

    assert await numbers(service, Filter(operation_id=operation_id)) == [2, 3]
    assert await numbers(service, Filter(operation_id="nope")) == []


async def test_movements_are_found_by_reference(service: Service) -> None:
    for reference in ("order:1", "order:2", "order:1", None):
        await book(service, ("P001", 1), ("P002", 1), reference=reference)

    assert await numbers(service, Filter(reference="order:1")) == [1, 2, 5, 6]
    assert await numbers(service, Filter(reference="order:1", sku="P002")) == [2, 6]
    assert await numbers(service, Filter(reference="order:1"), until=5) == [1, 2, 5]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_of_a_reference_cover_all_its_movements(service: Service, limit: int) -> None:
    for reference in ("order:1", "order:2", "order:1", "order:1"):
        await book(service, ("P001", 1), ("P002", 1), ("P003", 1), reference=reference)

    found: list[int] = []
    while page := await numbers(
        service, Filter(reference="order:1"), after=found[-1] if found else 0, limit=limit
    ):
        found += page

    assert found == [1, 2, 3, 7, 8, 9, 10, 11, 12]


async def test_a_page_is_full_though_the_first_operations_of_a_reference_moved_other_items(
    service: Service,
) -> None:
    for _ in range(3):
        await book(service, ("P001", 1), reference="order:1")
    await book(service, ("P002", 1), reference="order:1")

    assert await numbers(service, Filter(reference="order:1", sku="P002"), limit=2) == [4]


async def test_an_operation_is_found_by_its_id(service: Service) -> None:
    operation_id = await book(service, ("P001", 1), ("P002", 1), reference="order:1")

    async with service.database.reader() as session:
        found = await find_operation(session, operation_id)
        missing = await find_operation(session, "nope")

    assert found is not None
    assert (found.first_seq, found.last_seq, found.reference) == (1, 2, "order:1")
    assert missing is None


async def test_named_versions_of_levels_are_found_and_missing_ones_left_out(
    service: Service,
) -> None:
    await book(service, ("P001", 5), ("P002", 5), ("P001", -1))

    async with service.database.reader() as session:
        found = await movements_of(
            session, [(2, *key()), (1, *key("P002")), (3, *key()), (1, *key("P003"))]
        )

    assert [(movement.seq, movement.on_hand) for movement in found] == [(2, 5), (3, 4)]


def last_movement(movements: Sequence[Movement], *, until: int) -> dict[tuple[str, str], Movement]:
    """The last movement of each level up to a number: what a bisection has to find."""
    return {(one.sku, one.location): one for one in movements if one.seq <= until}


async def fill(service: Service, clock: SettableClock, batches: Sequence[Batch]) -> None:
    """One operation for each batch, about two orders in turn."""
    for number, (seconds, lines) in enumerate(batches):
        clock.move(seconds)
        asked = [adjust(delta, sku, at) for sku, at, delta in lines]
        await service.submit(command(*asked, reference=f"order:{number % 2}"), actor="test")


MAIN_ONLY = frozenset({"main"})
FILTERS = [
    Filter(),
    Filter(sku="P001"),
    Filter(sku="P001", location="main"),
    Filter(sku="P001", locations=MAIN_ONLY),
    Filter(location="store-1"),
    Filter(locations=MAIN_ONLY),
    Filter(reference="order:1"),
    Filter(reference="order:1", sku="P001"),
    Filter(reference="order:1", sku="P001", location="main"),
    Filter(reference="order:1", locations=MAIN_ONLY),
]


def is_wanted(movement: Movement, wanted: Filter) -> bool:
    return (
        wanted.sku in (None, movement.sku)
        and wanted.location in (None, movement.location)
        and wanted.reference in (None, movement.reference)
        and (wanted.locations is None or movement.location in wanted.locations)
    )


async def walk(session: Session, wanted: Filter, *, limit: int, until: int) -> list[Movement]:
    """All pages of a filter, each but the last one full."""
    found: list[Movement] = []
    while True:
        after = found[-1].seq if found else 0
        page = await list_movements(session, wanted, after=after, limit=limit, until=until)
        found += page
        if len(page) < limit:
            return found


@hypothesis_settings(max_examples=8, phases=NO_SHRINKING)
@given(BATCHES, st.integers(1, 4), st.integers(0, 2))
async def test_pages_of_any_filter_are_what_a_search_through_the_ledger_finds(
    migrated: Template, batches: list[Batch], limit: int, before_the_end: int
) -> None:
    clock = SettableClock()
    with migrated.copied() as url:
        async with open_service(Settings(database_url=url), now=clock) as service:
            await open_shop(service)
            await fill(service, clock, batches)
            async with service.database.reader() as session:
                ledger = await list_movements(session, Filter(), after=0, limit=1000)
                until = max(0, len(ledger) - before_the_end)
                for wanted in FILTERS:
                    found = await walk(session, wanted, limit=limit, until=until)
                    assert found == [one for one in ledger[:until] if is_wanted(one, wanted)]


@hypothesis_settings(max_examples=10, phases=NO_SHRINKING)
@given(BATCHES)
async def test_every_position_of_the_past_is_what_a_replay_says(
    migrated: Template, batches: list[Batch]
) -> None:
    clock = SettableClock()
    with migrated.copied() as url:
        async with open_service(Settings(database_url=url), now=clock) as service:
            await open_shop(service)
            await fill(service, clock, batches)
            async with service.database.reader() as session:
                head = (await read_head(session)).seq
                ledger = await list_movements(session, Filter(), after=0, limit=1000)
                levels = await list_levels(session, after=key("", ""), limit=1000)
                for seq in range(head + 1):
                    past = last_movement(ledger, until=seq)
                    steps = await steps_at(session, levels, seq)
                    found = await as_of(session, levels, seq)
                    assert set(steps) == {(one.level_version, *at) for at, one in past.items()}
                    assert {
                        (one.sku, one.location): (one.on_hand, one.version, one.seq)
                        for one in found
                    } == {at: (one.on_hand, one.level_version, one.seq) for at, one in past.items()}


@hypothesis_settings(max_examples=10, phases=NO_SHRINKING)
@given(BATCHES)
async def test_every_moment_is_at_the_number_that_a_search_finds(
    migrated: Template, batches: list[Batch]
) -> None:
    clock = SettableClock()
    with migrated.copied() as url:
        async with open_service(Settings(database_url=url), now=clock) as service:
            await open_shop(service)
            await fill(service, clock, batches)
            async with service.database.reader() as session:
                ledger = await list_movements(session, Filter(), after=0, limit=1000)
                times = [one.recorded_at for one in ledger]
                for moment in {START - 1, START, *times, *[time + 1 for time in times]}:
                    expected = sum(time <= moment for time in times)
                    assert await seq_at(session, Instant(moment)) == expected


async def test_a_level_keeps_its_history_through_a_thousand_versions(service: Service) -> None:
    lines = [adjust(1) for _ in range(1000)]
    await service.submit(command(*lines, mode=Mode.INDEPENDENT), actor="test")

    async with service.database.reader() as session:
        levels = await list_levels(session, after=key("", ""), limit=10)
        found = [await as_of(session, levels, seq) for seq in (0, 1, 499, 500, 999, 1000)]

    assert [[one.on_hand for one in past] for past in found] == [
        [],
        [1],
        [499],
        [500],
        [999],
        [1000],
    ]


async def test_the_past_shows_the_safety_stock_of_then(service: Service) -> None:
    await book(service, ("P001", 10))
    await set_policy(service, {"safety_stock": 4})
    await book(service, ("P001", 1))
    await set_policy(service, {"safety_stock": 7})

    async with service.database.reader() as session:
        levels = await list_levels(session, after=key("", ""), limit=10)
        past = [(await as_of(session, levels, seq))[0] for seq in (1, 2, 3, 4)]

    told = [(one.safety_stock, one.available) for one in past]
    assert told == [(0, 10), (4, 6), (4, 7), (7, 4)]


async def test_what_did_not_exist_yet_is_not_shown(service: Service) -> None:
    await book(service, ("P001", 1))
    await book(service, ("P002", 1))

    async with service.database.reader() as session:
        levels = await list_levels(session, after=key("", ""), limit=10)
        found = await as_of(session, levels, 1)

    assert [one.sku for one in found] == [P001]


async def test_a_transfer_is_two_movements_of_one_operation(service: Service) -> None:
    await book(service, ("P001", 5))
    await service.submit(command(transfer(2)), actor="test")

    async with service.database.reader() as session:
        out, into = await list_movements(session, Filter(), after=1, limit=9)

    assert (out.type, out.d_on_hand, into.type, into.d_on_hand) == (
        "transfer_out",
        -2,
        "transfer_in",
        2,
    )
    assert out.operation_id == into.operation_id


async def test_a_ledger_with_a_hole_is_a_defect_and_no_endless_search(service: Service) -> None:
    await book(service, ("P001", 1))
    torn = level(5, version=3)

    async with service.database.reader() as session, asyncio.timeout(5):
        with pytest.raises(AssertionError):
            await steps_at(session, [torn], 1)
