"""Real processes write one PostgreSQL as fast as they can: nobody waits in a circle, no gap is seen."""

import random
from asyncio import TaskGroup
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.battery.client import Connection
from tests.battery.fleet import Fleet, batch_retries
from tests.battery.history import Attempt, History, Line
from tests.battery.load import trade
from tests.battery.oracle import audit
from tests.databases import Template, run_aside

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]
SKUS = [f"HOT-{number}" for number in range(10)]
STOCK = 10  # soon out of it, and again
CLIENTS = 64
LINES = 5
WRITERS = 4
PAGE = 1_000
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# A machine that runs the other tests as well makes nobody too late.
PATIENCE = {"INVENTORY_CHANGE_DEADLINE_S": "60", "INVENTORY_BUSY_TIMEOUT_S": "60"}
Record = Callable[[str, object], None]


@pytest.fixture
def database_url(migrated_postgres: Template, tmp_path: Path) -> Iterator[str]:
    with migrated_postgres.copied(tmp_path) as url:
        yield url


@pytest.mark.parametrize(
    "orders",
    [pytest.param(500, id="sample"), pytest.param(20_000, id="full", marks=pytest.mark.slow)],
)
async def test_orders_of_hot_goods_in_any_order_wait_for_each_other_and_never_in_a_circle(
    database_url: str, tmp_path: Path, orders: int, record_property: Record
) -> None:
    history = History()
    with Fleet(tmp_path, database_url, demo=False) as fleet:
        ((before,),) = run_aside(database_url, DEADLOCKS)

        await _order(fleet, history, orders)

        retries = await batch_retries(fleet.ports)
        await audit(fleet, history)
        assert fleet.terminate().code == 0
        assert fleet.defects() == []
    # What a connection has met is counted at its end at the latest.
    ((met,),) = run_aside(database_url, DEADLOCKS)
    record_property("answers", history.statuses())
    record_property("batches decided again", retries)
    record_property("deadlocks", met - before)
    assert history.statuses().keys() <= {200, 409}
    assert met == before


@pytest.mark.parametrize(
    "orders",
    [pytest.param(300, id="sample"), pytest.param(10_000, id="full", marks=pytest.mark.slow)],
)
async def test_a_reader_of_the_ledger_under_four_writers_sees_each_number_once_and_in_order(
    database_url: str, tmp_path: Path, orders: int, record_property: Record
) -> None:
    history = History()
    is_over = False
    with Fleet(tmp_path, database_url, size=WRITERS, demo=False) as fleet:
        async with TaskGroup() as tasks:
            reading = tasks.create_task(_follow(fleet.ports[0], lambda: is_over))
            await _order(fleet, history, orders)
            is_over = True
        pages = reading.result()
        movements = await audit(fleet, history)
        assert fleet.defects() == []

    seen = [seq for page in pages for seq in page]
    record_property("movements", len(seen))
    record_property("pages", sum(map(bool, pages)))
    assert seen == [row["seq"] for row in movements] == list(range(1, len(movements) + 1))
    assert sum(map(bool, pages)) > 1, "it came too late to see anybody write"


async def _order(fleet: Fleet, history: History, orders: int) -> None:
    """Have so many orders taken, of some of the goods each, at all processes."""
    async with Connection(fleet.ports[0]) as connection:
        for sku in SKUS:
            answer = await connection.post("/v1/items", {"sku": sku, "name": sku})
            assert answer.status == 201, answer
        await history.adjust(connection, [{"sku": sku, "delta": STOCK} for sku in SKUS])
    left = iter(range(orders))

    def goes_on(attempt: Attempt) -> bool:
        return next(left, None) is not None

    chance = random.Random(orders)
    await trade(
        fleet.ports, history, chance=chance, clients=CLIENTS, goes_on=goes_on, wanted=_lines
    )


def _lines(chance: random.Random) -> list[Line]:
    """Some goods in any order; as many units come as go."""
    skus = chance.sample(SKUS, LINES)
    return [{"sku": sku, "delta": chance.choice((-1, 1)) * chance.randint(1, 9)} for sku in skus]


async def _follow(port: int, is_over: Callable[[], bool]) -> list[list[int]]:
    """Read what is new again and again, until nobody writes and nothing is new; each page."""
    pages: list[list[int]] = []
    after = 0
    async with Connection(port) as connection:
        while True:
            is_last = is_over()
            answer = await connection.get(f"/v1/movements?after={after}&limit={PAGE}")
            assert answer.status == 200, answer
            told = answer.json()
            pages.append([row["seq"] for row in told["items"]])
            after = pages[-1][-1] if pages[-1] else after
            # Nothing up to the head is missing, unless there is another page.
            assert after == told["head"] or len(pages[-1]) == PAGE
            if is_last and not pages[-1]:
                return pages
