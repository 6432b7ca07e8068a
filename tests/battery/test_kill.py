"""SIGKILL under load, again and again: what was acknowledged is there, and nothing else."""

import asyncio
import random
import signal
from collections.abc import Callable

import pytest

from tests.battery import faults
from tests.battery.history import Attempt, History
from tests.battery.load import trade
from tests.battery.oracle import audit
from tests.server import ServerProcess

KILLS = 50
KILLS_SAMPLED = 5
CLIENTS = 32
ANSWERS_MAX = 400  # of one life: enough for several folds of the write-ahead log in all
DELAY_MAX_S = 0.02  # a few batches: the kill may come at any moment of one
WRITE_MS = 2
RECOVERY_MAX_S = 10.0  # of a machine that also runs other tests; the real one is printed


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(KILLS_SAMPLED, id="sample"),
        pytest.param(KILLS, id="full", marks=pytest.mark.slow),
    ],
)
async def test_a_killed_server_has_every_acknowledged_change_and_nothing_twice(
    server: ServerProcess, kills: int, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(kills)
    history = History()
    recoveries = []

    for number in range(kills):
        await _trade_until_killed(server, history, chance)
        # On a slow disk most of a life is spent between the first write of a batch and the last.
        server.wrapper = faults.slow("pwrite64", ms=WRITE_MS) if number % 2 == 0 else []
        recoveries.append(await asyncio.to_thread(server.restart))
        await audit(server, history)

    assert max(recoveries) < RECOVERY_MAX_S
    unknown = len(history.unknown())
    assert 0 < unknown <= kills * CLIENTS
    record_property("restarts took at most, s", round(max(recoveries), 2))
    record_property("answers", dict(history.statuses()))
    record_property("without an answer", unknown)


async def _trade_until_killed(
    server: ServerProcess, history: History, chance: random.Random
) -> None:
    """Let clients trade until a random answer, and kill a random moment later."""
    left = chance.randint(CLIENTS, ANSWERS_MAX)
    delay_s = chance.uniform(0, DELAY_MAX_S)

    def goes_on(attempt: Attempt) -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            asyncio.get_running_loop().call_later(delay_s, server.signal, signal.SIGKILL)
        return attempt.answer is not None

    await trade(server.port, history, chance=chance, clients=CLIENTS, goes_on=goes_on)
    assert await asyncio.to_thread(server.wait) == -signal.SIGKILL
