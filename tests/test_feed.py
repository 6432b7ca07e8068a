"""The ledger as a feed: everything in order, nothing twice, and one reader for all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

import pytest
from sqlalchemy import event

from inventory_api.app import open_service
from inventory_api.domain.unavailable import Draining, StorageUnreachable
from inventory_api.feed import Feed, FeedLimits, Follower, Reading, TooSlow, Wanted
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Database, Session
from inventory_api.telemetry import Metrics
from tests.polling import until
from tests.settable_clock import SettableClock
from tests.stock_factory import open_shop

PAGE_ROWS = 4
BUFFER = 10


@pytest.fixture
async def service(settings: Settings, clock: SettableClock) -> AsyncIterator[Service]:
    """A shop whose pages and buffers are short, and which looks by itself once in an hour."""
    short = settings.model_copy(
        update={
            "export_page_rows": PAGE_ROWS,
            "stream_buffer_movements": BUFFER,
            "feed_tick_s": 3600,
        }
    )
    async with open_service(short, now=clock) as service:
        await open_shop(service)
        yield service


async def receive(service: Service, count: int, sku: str = "P001", at: str = "main") -> None:
    """Make so many movements."""
    line = {"sku": sku, "location": at, "delta": 1}
    await service.adjust([line] * count)


async def numbers(follower: Follower, count: int) -> list[int]:
    """The numbers of the next movements, so many or a few more."""
    found: list[int] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += [one.seq for one in await follower.read()]
    return found


async def test_a_follower_gets_the_history_page_by_page_and_then_what_comes(
    service: Service,
) -> None:
    await receive(service, 3 * PAGE_ROWS + 1)

    async with service.feed.follow(after=2) as follower:
        past = await numbers(follower, 3 * PAGE_ROWS - 1)
        await receive(service, 3)
        new = await numbers(follower, 3)

    assert past == list(range(3, 14))
    assert new == [14, 15, 16]


async def test_movements_that_are_made_while_followers_come_reach_each_of_them_once(
    service: Service,
) -> None:
    await receive(service, 5 * PAGE_ROWS)
    ready = 5 * PAGE_ROWS + 100

    async def follow(after: int) -> list[int]:
        async with service.feed.follow(after=after) as follower:
            return await numbers(follower, ready - after)

    async def trade() -> None:
        for _ in range(100):
            await service.adjust([{"sku": "P002", "delta": 1}])

    found = await asyncio.gather(*(follow(after) for after in range(20)), trade())

    for after, seen in enumerate(found[:-1]):
        assert seen == list(range(after + 1, ready + 1))


async def test_a_follower_that_comes_and_goes_at_any_moment_misses_nothing(
    service: Service,
) -> None:
    seen: list[int] = []
    trading = asyncio.create_task(_trade(service, 60))
    for pauses in range(1_000):
        reading = asyncio.create_task(_read_once(service.feed, seen))
        for _ in range(pauses % 50):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        if trading.done():
            break
    await trading

    async with service.feed.follow(after=len(seen)) as follower:
        seen += await numbers(follower, 60 - len(seen))

    assert seen == list(range(1, 61))


async def _trade(service: Service, count: int) -> None:
    for _ in range(count):
        await service.adjust([{"sku": "P001", "delta": 1}])


async def _read_once(feed: Feed, seen: list[int]) -> None:
    async with feed.follow(after=len(seen)) as follower:
        while True:
            seen.extend([one.seq for one in await follower.read()])


async def test_filters_hold_for_the_history_and_for_what_comes(service: Service) -> None:
    wanted = {
        "sku": Wanted(sku="P002"),
        "location": Wanted(location="store-1"),
        "type": Wanted(type="set"),
        "all": Wanted(sku="P001", location="main", type="adjust"),
        "limited": Wanted(locations=frozenset({"store-1"})),
        "limited to nothing": Wanted(locations=frozenset()),
    }

    async def book() -> None:
        await receive(service, 1, "P001")
        await receive(service, 1, "P002")
        await receive(service, 1, "P001", "store-1")
        await service.set([{"sku": "P001", "on_hand": 9, "expected_on_hand": None}])

    await book()
    await book()
    async with AsyncExitStack() as exits:
        followers = {
            name: await exits.enter_async_context(service.feed.follow(after=0, wanted=one))
            for name, one in wanted.items()
        }
        past = {name: await _all_up_to(one, 8) for name, one in followers.items()}
        await book()
        new = {name: await _all_up_to(one, 12) for name, one in followers.items()}

    assert past == {
        "sku": [2, 6],
        "location": [3, 7],
        "type": [4, 8],
        "all": [1, 5],
        "limited": [3, 7],
        "limited to nothing": [],
    }
    assert new == {
        "sku": [10],
        "location": [11],
        "type": [12],
        "all": [9],
        "limited": [11],
        "limited to nothing": [],
    }


async def _all_up_to(follower: Follower, position: int) -> list[int]:
    """What comes until the follower knows everything up to a position."""
    found: list[int] = []
    async with asyncio.timeout(60):
        while follower.position < position:
            found += [one.seq for one in await follower.read(0.01)]
    return found


async def test_a_thousand_followers_cost_one_query_for_each_change(service: Service) -> None:
    async with AsyncExitStack() as exits:
        followers = [
            await exits.enter_async_context(service.feed.follow(after=0, wanted=wanted))
            for wanted in [Wanted(sku="P001"), Wanted(location="main"), Wanted()]
            for _ in range(334)
        ]
        for follower in followers:
            await _joined(follower)
        with traced(service.database) as statements:
            for number in range(1, 6):
                await receive(service, 1)
                for follower in followers:
                    assert await numbers(follower, 1) == [number]

    assert len(statements) == 5


async def _joined(follower: Follower) -> None:
    """Read until there is nothing: from then on the tail reads."""
    while follower._joined_at is None:
        assert not await follower.read(0)


async def test_a_tick_costs_one_query_however_many_follow(service: Service) -> None:
    """What other processes write is found by it."""
    async with (
        running_feed(service, FeedLimits(tick_s=0.2)) as feed,
        AsyncExitStack() as exits,
    ):
        followers = [await exits.enter_async_context(feed.follow(after=0)) for _ in range(1_000)]
        for follower in followers:
            await _joined(follower)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with traced(service.database) as statements:
            await until(lambda: len(statements) == 3)
        # Three ticks, or the last one of them begun before the count.
        assert loop.time() - began >= 2 * 0.2

        await receive(service, 1)

        assert [await numbers(one, 1) for one in followers] == [[1]] * 1_000


@contextmanager
def traced(database: Database) -> Iterator[list[str]]:
    """What readers send while inside."""
    statements: list[str] = []
    assert database._readers is not None
    engine = database._readers.sync_engine

    def sent(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", sent)
    yield statements
    event.remove(engine, "before_cursor_execute", sent)


async def test_nothing_is_asked_while_nobody_follows(service: Service) -> None:
    async with service.feed.follow(after=0) as follower:
        await _joined(follower)
    with traced(service.database) as statements:
        await receive(service, 3)
        async with service.reading():
            await asyncio.sleep(0)

    assert statements == []


async def test_who_leaves_too_much_unread_is_told_and_dropped_and_the_others_are_not(
    service: Service,
) -> None:
    async with (
        service.feed.follow(after=0) as slow,
        service.feed.follow(after=0) as quick,
    ):
        await _joined(slow)
        await _joined(quick)
        seen: list[int] = []
        for _ in range(4):
            await receive(service, PAGE_ROWS)
            seen += await numbers(quick, PAGE_ROWS)

        assert slow._buffer == []
        with pytest.raises(TooSlow) as told:
            await slow.read()
        with pytest.raises(TooSlow):
            await slow.read()

    assert seen == list(range(1, 4 * PAGE_ROWS + 1))
    assert told.value.position == 0
    registry = service.metrics.registry
    assert registry.get_sample_value("inventory_feed_dropped_total") == 1
    assert registry.get_sample_value("inventory_feed_followers") == 0


async def test_a_follower_that_is_dropped_goes_on_where_it_was(service: Service) -> None:
    async with service.feed.follow(after=0) as follower:
        await _joined(follower)
        await receive(service, 2)
        seen = await numbers(follower, 2)
        await receive(service, 2 * BUFFER)
        await until(lambda: follower._is_late)
        with pytest.raises(TooSlow) as told:
            await follower.read()

    async with service.feed.follow(after=told.value.position) as follower:
        seen += await numbers(follower, 2 * BUFFER)

    assert seen == list(range(1, 2 * BUFFER + 3))


async def test_a_follower_knows_how_far_it_is_though_nothing_was_for_it(service: Service) -> None:
    async with service.feed.follow(after=0, wanted=Wanted(sku="P005")) as follower:
        await _joined(follower)
        await receive(service, 3)

        assert await _all_up_to(follower, 3) == []


async def test_whoever_waits_for_the_ledger_to_go_on_is_told_at_once(service: Service) -> None:
    await receive(service, 2)
    assert await service.feed.wait_beyond(1) == 2
    waits = [asyncio.create_task(service.feed.wait_beyond(2)) for _ in range(3)]
    await asyncio.sleep(0)

    await receive(service, 1)

    assert await asyncio.gather(*waits) == [3, 3, 3]
    assert service.metrics.registry.get_sample_value("inventory_feed_followers") == 0


async def test_a_database_that_can_not_be_read_for_a_while_costs_time_and_no_movement(
    service: Service,
) -> None:
    is_reachable = asyncio.Event()
    is_reachable.set()
    refusals = 0

    @asynccontextmanager
    async def reading() -> AsyncIterator[Session]:
        nonlocal refusals
        if not is_reachable.is_set():
            refusals += 1
            raise StorageUnreachable
        async with service.reading() as session:
            yield session

    async with (
        running_feed(service, FeedLimits(tick_s=0.001), reading) as feed,
        feed.follow(after=0) as follower,
    ):
        await _joined(follower)
        is_reachable.clear()
        await receive(service, 3)
        await until(lambda: refusals >= 3)
        is_reachable.set()

        assert await numbers(follower, 3) == [1, 2, 3]


@asynccontextmanager
async def running_feed(
    service: Service, limits: FeedLimits, reading: Reading | None = None
) -> AsyncIterator[Feed]:
    """A feed that nobody tells anything, as of a process that others write beside."""
    feed = Feed(
        reading or service.reading,
        asyncio.Event(),
        clock=service.clock,
        metrics=Metrics(),
        limits=limits,
    )
    tail = asyncio.create_task(feed.run())
    yield feed
    tail.cancel()
    await asyncio.wait([tail])


async def test_followers_are_told_when_the_service_ends(
    settings: Settings, clock: SettableClock
) -> None:
    async with AsyncExitStack() as exits:
        async with open_service(settings, now=clock) as service:
            feed = service.feed
            follower = await exits.enter_async_context(feed.follow(after=0))
            tasks = [
                asyncio.create_task(feed.wait_beyond(0)),
                asyncio.create_task(follower.read()),
            ]
            await until(lambda: feed._count == 2)

        ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in ended] == [Draining, Draining]


async def test_a_script_follows_the_ledger_however_slow_it_is(service: Service) -> None:
    await receive(service, PAGE_ROWS)
    seen: list[int] = []

    async with aclosing(service.movements(after=1)) as movements:
        async for movement in movements:
            seen.append(movement["seq"])
            if len(seen) == PAGE_ROWS:
                await receive(service, 2 * BUFFER)
            if len(seen) < BUFFER:
                await receive(service, 1)
            if len(seen) == 3 * BUFFER:
                break

    assert seen == list(range(2, 3 * BUFFER + 2))
