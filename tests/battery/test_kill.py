"""SIGKILL under load, again and again: what was acknowledged is there, and nothing else."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.battery import faults
from tests.battery.fleet import Fleet
from tests.battery.history import Attempt, History
from tests.battery.load import trade
from tests.battery.oracle import audit
from tests.server import ServerProcess

KILLS = 50
KILLS_SAMPLED = 3
CLIENTS = 32
ANSWERS_MAX = 400  # of one life: enough for several folds of the write-ahead log in all
ANSWERS_AFTERWARDS = 100  # of the processes that were not killed
DELAY_MAX_S = 0.02  # a few batches: the kill may come at any moment of one
WRITE_MS = 2
RECOVERY_MAX_S = 30.0  # of a machine that also runs other tests; the real one is printed


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(KILLS_SAMPLED, id="sample"),
        pytest.param(KILLS, id="full", marks=pytest.mark.slow),
    ],
)
async def test_a_killed_server_has_every_acknowledged_change_and_nothing_twice(
    fleet: Fleet, kills: int, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(kills)
    history = History()
    recoveries = []

    for number in range(kills):
        await _trade_until_killed(fleet, fleet.victims(number), history, chance)
        # On a slow disk most of a life is spent between the first write of a batch and the last.
        disk = faults.slow("pwrite64", ms=WRITE_MS) if number % 2 == 0 else []
        recoveries.append(await asyncio.to_thread(fleet.start, wrapper=disk))
        await audit(fleet, history)

    assert max(recoveries) < RECOVERY_MAX_S
    unknown = len(history.unknown())
    assert 0 < unknown <= kills * CLIENTS
    found = Counter(told for one in history.by_key().values() for told in _told_by_others(one))
    record_property("asked again of another process", dict(found))
    record_property("restarts took at most, s", round(max(recoveries), 2))
    record_property("answers", dict(history.statuses()))
    record_property("without an answer", unknown)


async def _trade_until_killed(
    fleet: Fleet, victims: Sequence[ServerProcess], history: History, chance: random.Random
) -> None:
    """Let clients trade until a random answer, and kill a random moment later.

    The clients of the others go on for a while, joined by those whose process is gone.
    """
    left, left_afterwards = chance.randint(CLIENTS, ANSWERS_MAX), ANSWERS_AFTERWARDS
    delay_s = chance.uniform(0, DELAY_MAX_S)
    is_over = False

    def kill() -> None:
        nonlocal is_over
        is_over = True
        for server in victims:
            server.signal(signal.SIGKILL)

    def goes_on(attempt: Attempt) -> bool:
        nonlocal left, left_afterwards
        left -= 1
        left_afterwards -= is_over
        if left == 0:
            asyncio.get_running_loop().call_later(delay_s, kill)
        return attempt.answer is not None and left_afterwards > 0

    others = fleet.others(victims)
    await trade(
        fleet.ports, history, chance=chance, clients=CLIENTS, goes_on=goes_on, others=others
    )
    for server in victims:
        assert await asyncio.to_thread(server.wait) == -signal.SIGKILL


def _told_by_others(tries: list[Attempt]) -> list[str]:
    """What those were told who had no answer and asked again elsewhere: it was done, or is now."""
    answers = [one.answer for one in tries[1:] if one.answer is not None]
    return [f"{one.status}{' done' * ('idempotent-replayed' in one.headers)}" for one in answers]
