"""Clients that hang up and deadlines that pass, at every moment of a change."""

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.battery.client import Connection
from tests.battery.fleet import Fleet, spread
from tests.battery.history import Attempt, History, as_bytes
from tests.battery.load import lines, trade
from tests.battery.oracle import audit
from tests.databases import is_file
from tests.server import ServerProcess, wait_until

CHANGES = 3_000
CHANGES_SAMPLED = 200
CLIENTS = 64
WARM_UP_CHANGES = 20
PATIENCE_MAX_S = 0.03
DEADLINES_S = (0.001, 0.003, 0.005, 0.01, 0.02)
SETTLED_WITHIN_S = 10.0
SLACK = 2
DATABASE_CONNECTIONS = 3  # one that writes, and two that read, are opened when they are needed

sizes = pytest.mark.parametrize(
    "changes",
    [
        pytest.param(CHANGES_SAMPLED, id="sample"),
        pytest.param(CHANGES, id="full", marks=pytest.mark.slow),
    ],
)


@sizes
async def test_clients_that_hang_up_leave_changes_done_once_or_not_at_all(
    fleet: Fleet, changes: int, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(changes)
    history = History()
    baselines = [await _warm_up(server, history) for server in fleet.servers]
    left = iter(range(changes))

    async def hang_up_often(port: int) -> None:
        for _ in left:
            attempt = history.begin("adjust", lines(chance))
            await _ask_with_patience(port, history, attempt, chance)

    await asyncio.gather(*map(hang_up_often, spread(fleet.ports, CLIENTS)))

    await _settle(fleet, history, baselines)
    abandoned = len(history.unknown())
    await audit(fleet, history)
    await _resolve(fleet, history)
    await audit(fleet, history)
    record_property("hung up", abandoned)
    record_property("answers", dict(history.statuses()))


@pytest.mark.parametrize(
    ("deadline_s", "changes"),
    [
        pytest.param(0.003, CHANGES_SAMPLED, id="sample"),
        *(
            pytest.param(
                deadline_s,
                CHANGES // len(DEADLINES_S),
                id=f"full-{deadline_s * 1000:.0f}-ms",
                marks=pytest.mark.slow,
            )
            for deadline_s in DEADLINES_S
        ),
    ],
)
async def test_deadlines_that_pass_tell_the_truth_about_the_change(
    stopped_fleet: Fleet,
    deadline_s: float,
    changes: int,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(changes)
    history = History()
    fleet = stopped_fleet
    fleet.start(environment={"INVENTORY_CHANGE_DEADLINE_S": str(deadline_s)})
    baselines = [await _warm_up(server, history) for server in fleet.servers]
    left = iter(range(changes))

    await trade(
        fleet.ports,
        history,
        chance=chance,
        clients=CLIENTS,
        goes_on=lambda _: next(left, None) is not None,
    )

    assert set(history.statuses()) <= {200, 409, 503, 504}
    told = {one.code for one in history.attempts if one.status in (503, 504)}
    assert told <= {"deadline", "outcome_unknown"}
    await _settle(fleet, history, baselines)
    await audit(fleet, history)
    record_property("answers", dict(history.statuses()))
    fleet.kill()
    await asyncio.to_thread(fleet.start)
    await _resolve(fleet, history)
    await audit(fleet, history)


class Baseline(NamedTuple):
    """What the server has open when nobody is connected."""

    descriptors: int
    threads: int


async def _warm_up(server: ServerProcess, history: History) -> Baseline:
    """The baseline, once the server has every connection to its database that it will need."""
    sockets = server.sockets + (0 if is_file(server.database_url) else DATABASE_CONNECTIONS)
    async with Connection(server.port) as connection:
        for _ in range(WARM_UP_CHANGES):
            await history.adjust(connection, [{"sku": "P001", "delta": 1}])
    connections = [Connection(server.port) for _ in range(8)]
    await asyncio.gather(*(one.get("/v1/stock") for one in connections))
    for connection in connections:
        connection.close()
    await asyncio.to_thread(
        wait_until, lambda: server.sockets <= sockets, SETTLED_WITHIN_S, "nobody is connected"
    )
    return Baseline(server.descriptors, server.threads)


async def _settle(fleet: Fleet, history: History, baselines: list[Baseline]) -> None:
    """Wait until nothing is open that the clients opened, and nothing in flight that they sent."""
    pairs = list(zip(fleet.servers, baselines, strict=True))

    def is_settled() -> bool:
        return all(
            server.descriptors <= baseline.descriptors + SLACK
            and server.threads <= baseline.threads + SLACK
            for server, baseline in pairs
        )

    await asyncio.to_thread(wait_until, is_settled, SETTLED_WITHIN_S, f"back at {baselines}")
    for port in fleet.ports:
        async with Connection(port) as connection:
            # Changes are answered in their order: what the others left in the queue is done then.
            await history.adjust(connection, [{"sku": "P001", "delta": 1}])


async def _ask_with_patience(
    port: int, history: History, attempt: Attempt, chance: random.Random
) -> None:
    """Send a change, wait up to 30 ms for its answer, then reset the connection."""
    async with Connection(port) as connection:
        await connection.send(as_bytes(attempt))
        try:
            async with asyncio.timeout(chance.uniform(0, PATIENCE_MAX_S)):
                history.end(attempt, await connection.answer())
        except TimeoutError:
            connection.reset()


async def _resolve(fleet: Fleet, history: History) -> None:
    """Ask each process for what is unknown, under its own key: it has one definite answer now."""
    unknown = history.unknown()
    for port in fleet.ports:
        async with Connection(port) as connection:
            for attempt in unknown:
                again = await history.retry(connection, attempt)
                assert again.applied in ("yes", "no"), again
    assert history.unknown() == []
