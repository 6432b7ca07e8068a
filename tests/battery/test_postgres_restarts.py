"""The database server ends connections, and itself, under load: nothing is lost, nothing is made up.

64 clients on ten hot goods at two processes. They ask again, at the other process and under the same
key, until they have an answer: a history in which each call lasted until it was answered.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.battery.checker import check
from tests.battery.fleet import Fleet, batch_retries
from tests.battery.holds import audit_stopped
from tests.battery.mixed import Call, Traffic, keys_of
from tests.databases import Template, other_connection
from tests.polling import until_told
from tests.postgres import Databases, PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]
CLIENTS = 64
EVERY_S = 0.2
ANSWERS_BETWEEN = 150
# What a client may be told instead of an answer; a 500 or a word of the database's is a defect.
# Busy: whoever waited for a lock that an ended transaction still had.
PUT_OFF = {"503 storage_unreachable", "503 storage_busy", "504 outcome_unknown"}
PATIENCE = {"INVENTORY_CHANGE_DEADLINE_S": "20", "INVENTORY_BUSY_TIMEOUT_S": "10"}
END_ONE = """
    SELECT pg_terminate_backend(pid) FROM (
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'inventory-api'
        ORDER BY random() LIMIT 1
    ) AS one
"""
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def crashing() -> Iterator[PostgresServer]:
    """A server of its own, which keeps what it has told also when it crashes."""
    server = PostgresServer(is_durable=True)
    yield server
    server.remove()


@pytest.mark.parametrize(
    "times",
    [pytest.param(8, id="sample"), pytest.param(100, id="full", marks=pytest.mark.slow)],
)
async def test_connections_that_are_ended_all_the_time_cost_no_change_and_make_none(
    migrated_postgres: Template, tmp_path: Path, times: int, record_property: Record
) -> None:
    with migrated_postgres.copied(tmp_path) as url, _fleet(tmp_path, url) as fleet:
        traffic = Traffic(random.Random(times), is_patient=True)

        async def end_connections() -> None:
            with other_connection(url) as run:
                for _ in range(times):
                    await asyncio.sleep(EVERY_S)
                    await asyncio.to_thread(run, END_ONE)

        calls = await _trade_through(end_connections, traffic, fleet)

        await _assert_one_history(fleet, traffic, calls, record_property)


@pytest.mark.parametrize(
    "times",
    [pytest.param(2, id="sample"), pytest.param(10, id="full", marks=pytest.mark.slow)],
)
async def test_a_server_that_crashes_under_load_has_all_that_was_told_and_no_more(
    crashing: PostgresServer, tmp_path: Path, times: int, record_property: Record
) -> None:
    with closing(Databases(crashing.url)) as databases, databases.lent() as url:
        async with Database(DatabaseOptions(url=url, migrate_at_start=True)):
            pass
        with _fleet(tmp_path, url) as fleet:
            traffic = Traffic(random.Random(times), is_patient=True)

            async def crash() -> None:
                for _ in range(times):
                    await asyncio.to_thread(crashing.stop, "immediate")
                    await asyncio.to_thread(crashing.start)
                    await _answered(traffic)

            calls = await _trade_through(crash, traffic, fleet)

            await _assert_one_history(fleet, traffic, calls, record_property)


def _fleet(folder: Path, url: str) -> AbstractContextManager[Fleet]:
    """Two processes, with a patience that only the database's absence wears out."""
    return Fleet(folder, url, demo=False).running(environment=PATIENCE)


async def _trade_through(
    fault: Callable[[], Awaitable[None]], traffic: Traffic, fleet: Fleet
) -> list[Call]:
    """What clients were told who trade until a fault is over and some more answers are given."""
    is_over = False
    async with asyncio.TaskGroup() as tasks:
        trading = tasks.create_task(
            traffic.run(fleet.ports, clients=CLIENTS, goes_on=lambda: not is_over)
        )
        await _answered(traffic)
        await fault()
        await _answered(traffic)
        is_over = True
    return trading.result()


async def _answered(traffic: Traffic) -> None:
    """Wait for some more answers."""
    wanted = len(traffic.calls) + ANSWERS_BETWEEN

    async def are_enough() -> bool:
        return len(traffic.calls) >= wanted

    await until_told(are_enough)


async def _assert_one_history(
    fleet: Fleet, traffic: Traffic, calls: list[Call], record_property: Record
) -> None:
    """Nothing acknowledged is lost, nothing is made up or done twice, nothing is sold twice."""
    retries = await batch_retries(fleet.ports)
    # It verifies the database, and looks at each hold and each unit.
    movements = await audit_stopped(fleet)
    findings = check(calls, movements, await keys_of(fleet.database_url))

    told = Counter(f"{one.status} {one.code or ''}".strip() for one in calls)
    record_property("answers", dict(sorted(told.items())))
    record_property("put off", dict(sorted(traffic.put_off.items())))
    record_property("unknown at first", dict(traffic.resolved))
    record_property("batches decided again", retries)
    assert findings == []
    assert fleet.defects() == []
    assert traffic.put_off.keys() <= PUT_OFF
    assert traffic.put_off, "no client met the fault"
