"""Real processes write one PostgreSQL as fast as they can: nobody waits in a circle, no gap is seen."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.battery.client import Connection
from tests.battery.fleet import Fleet, batch_retries
from tests.battery.history import Attempt, History, Line
from tests.battery.load import trade
from tests.battery.oracle import audit
from tests.databases import Template, run_aside
from tests.ledger_oracle import Row

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


class Written(NamedTuple):
    """What four processes have written, and what a reader at one of them saw, page by page."""

    history: History
    movements: list[Row]
    pages: list[list[int]]
    retries: dict[str, int]
    deadlocks: int


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(500, id="sample"),
        pytest.param(20_000, id="full", marks=pytest.mark.slow),
    ],
)
def written(
    request: pytest.FixtureRequest,
    migrated_postgres: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Written:
    """So many orders of hot goods, taken by four processes from 64 clients."""
    folder = tmp_path_factory.mktemp("written")
    with migrated_postgres.copied(folder) as url:
        return asyncio.run(_write(folder, url, request.param))


def test_orders_of_hot_goods_in_any_order_wait_for_each_other_and_never_in_a_circle(
    written: Written, record_property: Record
) -> None:
    record_property("answers", written.history.statuses())
    record_property("batches decided again", written.retries)
    record_property("deadlocks", written.deadlocks)
    assert written.history.statuses().keys() <= {200, 409}
    assert written.deadlocks == 0


def test_a_reader_of_the_ledger_under_four_writers_sees_each_number_once_and_in_order(
    written: Written, record_property: Record
) -> None:
    seen = [seq for page in written.pages for seq in page]
    with_news = sum(map(bool, written.pages))

    record_property("movements", len(seen))
    record_property("pages", with_news)
    assert seen == [row["seq"] for row in written.movements]
    assert seen == list(range(1, len(seen) + 1))
    assert with_news > 1, "it came too late to see anybody write"


async def _write(folder: Path, url: str, orders: int) -> Written:
    history, is_over = History(), False
    fleet = Fleet(folder, url, size=WRITERS, demo=False)
    with fleet.running(environment=PATIENCE):
        ((before,),) = run_aside(url, DEADLOCKS)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_follow(fleet.ports[0], lambda: is_over))
            await _order(fleet, history, orders)
            is_over = True
        retries = await batch_retries(fleet.ports)
        movements = await audit(fleet, history)
        assert fleet.terminate().code == 0
    assert fleet.defects() == []
    # What a connection has met is counted at its end at the latest.
    ((after,),) = run_aside(url, DEADLOCKS)
    return Written(history, movements, reading.result(), retries, after - before)


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
