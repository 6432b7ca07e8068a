"""Webhooks of a real process: killed in the middle, and a hundred of them beside each other."""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.battery.client import Connection
from tests.outbound.peer import Peer, reply
from tests.polling import until
from tests.server import ServerProcess
from tests.webhook_receiver import received

JSON = Any  # Any: an answer
DEMO_MOVEMENTS = 5
KILL_WITHIN_S = 0.005
# Receivers of a test are this machine, and no limit of the client is what is measured.
ENVIRONMENT = {
    "INVENTORY_OUTBOUND_PRIVATE_HOSTS": '["127.0.0.1"]',
    "INVENTORY_OUTBOUND_HTTP_HOSTS": '["127.0.0.1"]',
    # A machine that runs other tests on every core is slow.
    "INVENTORY_CHANGE_DEADLINE_S": "30",
}
MEDIAN_MAX_S = 1.0


@pytest.fixture
async def calling(stopped: ServerProcess) -> ServerProcess:
    """A running demo that may call this machine."""
    stopped.environment.update(ENVIRONMENT)
    await asyncio.to_thread(stopped.start)
    return stopped


async def make(connection: Connection, url: str, **fields: JSON) -> None:
    answer = await connection.post("/v1/webhooks", {"url": url, **fields})
    assert answer.status == 201, answer


async def sell(connection: Connection, lines: int = 1) -> list[int]:
    """The numbers of an acknowledged change's movements."""
    body = {"lines": [{"sku": "P001", "delta": 1}] * lines, "reason": "received"}
    answer = await connection.post("/v1/stock/adjust", body)
    assert answer.status == 200, answer
    return [result["seq"] for result in answer.json()["results"]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kills",
    [pytest.param(3, id="sample"), pytest.param(30, id="full", marks=pytest.mark.slow)],
)
async def test_an_acknowledged_change_has_its_event_however_soon_the_process_is_killed(
    calling: ServerProcess, kills: int, record_property: Callable[[str, object], None]
) -> None:
    acknowledged = []
    async with Peer(reply(204, b"")) as peer:
        async with Connection(calling.port) as connection:
            await make(connection, peer.url, events=["level.changed"])
        for number in range(kills):
            async with Connection(calling.port) as connection:
                acknowledged += await sell(connection, lines=3)
            # From at once to the bound, evenly.
            await asyncio.sleep(number / kills * KILL_WITHIN_S)
            calling.signal(signal.SIGKILL)
            await asyncio.to_thread(calling.wait)
            await asyncio.to_thread(calling.start)
        last = acknowledged[-1]
        await until(lambda: any(one.seq == last for one in received(peer)))

    came = received(peer)
    first_times = list(dict.fromkeys(one.seq for one in came))
    assert first_times == acknowledged, "every one, in order"
    bodies = {(one.id, one.body) for one in came}
    assert len(bodies) == len(acknowledged), "what is repeated has the same id and content"
    record_property("events", len(acknowledged))
    record_property("repeated", len(came) - len(acknowledged))


@contextmanager
def sink(count: int) -> Iterator[tuple[list[int], Callable[[], list[int]], Callable[[], JSON]]]:
    """So many receivers: their ports, how many events each has got, and the end's account."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.webhook_sink", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told_in, told_out = process.stdin, process.stdout

    def how_many() -> list[int]:
        told_in.write("how many\n")
        told_in.flush()
        found: list[int] = json.loads(told_out.readline())
        return found

    def end() -> JSON:
        told_in.close()
        return json.loads(told_out.readline())

    try:
        yield json.loads(told_out.readline()), how_many, end
    finally:
        process.kill()
        process.wait()
        told_out.close()


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("webhooks", "movements", "per_s"),
    [
        pytest.param(10, 100, 20.0, id="sample"),
        # 400 events a second in all, which this and the receivers do beside other tests.
        pytest.param(100, 5_000, 4.0, id="full", marks=pytest.mark.slow),
    ],
)
async def test_every_webhook_gets_every_movement_in_order_and_soon(
    calling: ServerProcess,
    webhooks: int,
    movements: int,
    per_s: float,
    record_property: Callable[[str, object], None],
) -> None:
    with sink(webhooks) as (ports, how_many, end):
        async with Connection(calling.port) as connection:
            for port in ports:
                url = f"http://127.0.0.1:{port}/"
                await make(connection, url, events=["level.changed"], after=0)
            total = movements + DEMO_MOVEMENTS
            began_s = time.monotonic()
            for number in range(movements):
                due_s = began_s + number / per_s
                # The pace is the point: receivers and service are not at their limits.
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await sell(connection)
            took_s = time.monotonic() - began_s
            await _until_all(how_many, total)
        receivers = end()

    for one in receivers:
        assert (one["count"], one["in_order"], one["repeated"]) == (total, True, 0)
    # Those of the demo had happened long before.
    lags_s = [lag / 1_000 for one in receivers for lag in one["lags_ms"][DEMO_MOVEMENTS:]]
    median_s = statistics.median(lags_s)
    assert median_s < MEDIAN_MAX_S
    record_property("deliveries", len(lags_s))
    record_property("deliveries/s", round(len(lags_s) / took_s))
    record_property("lag p50, s", median_s)
    record_property("lag p99, s", sorted(lags_s)[len(lags_s) * 99 // 100])
    record_property("lag max, s", max(lags_s))
    record_property("resident MiB", calling.rss_bytes >> 20)


async def _until_all(how_many: Callable[[], list[int]], total: int) -> None:
    while min(await asyncio.to_thread(how_many)) < total:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
