"""What is due is pulled, what fails is left alone for longer and longer."""

import asyncio

import pytest

from inventory_api.domain.supplier import Supplier
from inventory_api.domain.types import Instant
from inventory_api.store.suppliers import find_supplier
from inventory_api.suppliers.schedule import next_due
from inventory_api.workers.suppliers import look, pull_suppliers
from inventory_api.workers.turns import Turn
from tests.suppliers.feed_server import FeedServer, Told, listed
from tests.suppliers.feeds import add_supplier, change, pull, stock
from tests.suppliers.test_one_at_a_time import Gate
from tests.web.shop import Shop

HOUR = 3600


async def look_once(shop: Shop) -> int:
    """One look of the scheduler, and the pulls that it starts; how many they are."""
    pulls: dict[str, asyncio.Task[None]] = {}
    await look(shop.service, Turn(shop.service, "suppliers", "test"), pulls)
    await asyncio.gather(*pulls.values())
    return len(pulls)


async def due_in_s(shop: Shop) -> float:
    async with shop.service.reading() as session:
        supplier = await find_supplier(session, "acme")
    assert supplier is not None
    assert supplier.due_at is not None
    return (supplier.due_at - shop.service.clock()) / 1_000_000


async def test_a_supplier_is_pulled_when_it_is_due_and_not_before(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, schedule_s=HOUR)

    assert await look_once(shop) == 1
    assert await stock(shop) == {"P001": 7, "P002": 9}
    assert await look_once(shop) == 0
    assert 0.94 * HOUR < await due_in_s(shop) < 1.06 * HOUR

    shop.clock.move(1.1 * HOUR)
    assert await look_once(shop) == 1
    (_, last) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
    assert last["actor"] == "schedule"


async def test_without_a_schedule_and_archived_nothing_is_pulled(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    assert await look_once(shop) == 0

    await change(shop, schedule_s=60)
    await shop.http.delete("/v1/suppliers/acme")

    assert await look_once(shop) == 0


async def test_failures_are_tried_again_later_and_later(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, schedule_s=24 * HOUR)
    server.answer = lambda _: Told(status=500)
    waits = []
    for _ in range(3):
        assert await look_once(shop) == 1
        waits.append(await due_in_s(shop))
        shop.clock.move(waits[-1] + 1)

    first, second, third = waits
    assert 57 <= first <= 63
    assert 114 <= second <= 126
    assert 228 <= third <= 252
    server.answer = lambda _: listed({"P001": 1})
    assert await look_once(shop) == 1
    assert await due_in_s(shop) > 20 * HOUR


async def test_a_stop_ends_the_pulls_that_are_under_way_and_they_are_due_at_once(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, schedule_s=HOUR)
    server.answer = gate = Gate(listed({"P001": 1}))
    shop.service.settings = shop.service.settings.model_copy(update={"supplier_poll_s": 0.001})
    scheduler = asyncio.create_task(
        pull_suppliers(shop.service, Turn(shop.service, "suppliers", "test"))
    )
    await gate.reached.wait()

    shop.service.stopping_since = asyncio.get_running_loop().time()
    scheduler.cancel()
    await asyncio.wait([scheduler])

    (run,) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
    assert (run["error"], run["applied"]) == ("draining", False)
    assert await due_in_s(shop) <= 0
    server.answer = lambda _: listed({"P001": 2})
    assert (await pull(shop))["status"] == "complete"


def supplier(schedule_s: int | None) -> Supplier:
    blank = Supplier._make([None] * len(Supplier._fields))
    return blank._replace(schedule_s=schedule_s)


def wait_s(
    schedule_s: int, failures: int, *, chance: float = 0.5, retry_after_s: float | None = None
) -> float:
    due = next_due(
        supplier(schedule_s),
        Instant(0),
        failures=failures,
        retry_s=60,
        retry_after_s=retry_after_s,
        chance=chance,
    )
    assert due is not None
    return due / 1_000_000


@pytest.mark.parametrize(
    ("schedule_s", "failures", "expected_s"),
    [
        (600, 0, 600),
        (600, 1, 60),
        (600, 4, 480),
        (600, 9, 3600),
        (60, 3, 240),
        (86_400, 9, 15_360),
        (86_400, 10_000, 86_400),
    ],
)
def test_the_wait_doubles_up_to_an_hour_or_to_the_schedule(
    schedule_s: int, failures: int, expected_s: float
) -> None:
    assert wait_s(schedule_s, failures) == expected_s


def test_suppliers_of_one_schedule_do_not_stay_in_step() -> None:
    assert (wait_s(600, 0, chance=0), wait_s(600, 0, chance=1)) == (570, 630)


def test_a_supplier_that_wants_to_be_left_alone_is() -> None:
    assert wait_s(60, 1, retry_after_s=1800) == 1800


def test_without_a_schedule_nothing_is_due() -> None:
    assert (
        next_due(supplier(None), Instant(0), failures=0, retry_s=60, retry_after_s=None, chance=0.5)
        is None
    )
