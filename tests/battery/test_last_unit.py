"""Many want the last unit at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.battery.client import Answer, Connection
from tests.battery.fleet import Fleet, spread
from tests.battery.history import Attempt, History
from tests.battery.oracle import audit
from tests.server import ServerProcess

RIVALS = 300
ROUNDS = 30
ROUNDS_SAMPLED = 3
REPEATS = 200
ONE_UNIT = {"sku": "P001", "delta": -1}


@pytest.fixture
async def rivals(fleet: Fleet) -> AsyncIterator[list[Connection]]:
    """Connections that stand ready."""
    async with AsyncExitStack() as exits:
        connections = [
            await exits.enter_async_context(Connection(port))
            for port in spread(fleet.ports, RIVALS)
        ]
        await asyncio.gather(*(connection.open() for connection in connections))
        yield connections


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(ROUNDS_SAMPLED, id="sample"),
        pytest.param(ROUNDS, id="full", marks=pytest.mark.slow),
    ],
)
async def test_of_300_that_want_the_last_unit_one_gets_it(
    fleet: Fleet, rivals: list[Connection], rounds: int
) -> None:
    history = History()

    for _ in range(rounds):
        await history.set(rivals[0], "P001", 1)
        attempts = await asyncio.gather(*(history.adjust(one, [ONE_UNIT]) for one in rivals))

        assert sorted(_told(one) for one in attempts) == ["200", *["409 insufficient_stock"] * 299]

    movements = await audit(fleet, history)
    assert movements[-1]["on_hand"] == 0


async def test_one_key_sent_200_times_at_once_has_one_effect_and_one_answer(
    fleet: Fleet, rivals: list[Connection]
) -> None:
    history = History()
    first = history.begin("adjust", [ONE_UNIT])

    tries = await asyncio.gather(*(history.retry(one, first) for one in rivals[:REPEATS]))

    answers = [one.answer for one in tries if one.answer is not None]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sorted(map(_is_replay, answers)) == [False, *[True] * (REPEATS - 1)]
    movements = await audit(fleet, history)
    assert movements[-1]["on_hand"] == 49


async def test_one_key_refused_200_times_at_once_is_refused_alike(
    fleet: Fleet, rivals: list[Connection]
) -> None:
    history = History()
    first = history.begin("adjust", [{"sku": "P001", "delta": -51}])

    tries = await asyncio.gather(*(history.retry(one, first) for one in rivals[:REPEATS]))

    told = [one.answer.json() for one in tries if one.answer is not None]
    assert len(told) == REPEATS
    for problem in told:
        del problem["request_id"], problem["instance"]
        assert problem == told[0]
    assert told[0]["code"] == "insufficient_stock"
    await audit(fleet, history)


async def test_of_two_lines_for_the_last_unit_one_is_refused(server: ServerProcess) -> None:
    history = History()
    async with Connection(server.port) as connection:
        await history.set(connection, "P001", 1)

        atomic = await history.adjust(connection, [ONE_UNIT, ONE_UNIT])
        independent = await history.adjust(connection, [ONE_UNIT, ONE_UNIT], mode="independent")

    assert atomic.answer is not None
    assert [line["index"] for line in atomic.answer.json()["lines"]] == [1]
    assert [line["status"] for line in independent.results] == ["applied", "rejected"]
    movements = await audit(server, history)
    assert movements[-1]["on_hand"] == 0


async def test_an_atomic_batch_of_50_with_one_bad_line_changes_nothing_and_names_it(
    server: ServerProcess,
) -> None:
    history = History()
    lines = [{"sku": f"P00{1 + place % 5}", "delta": -1} for place in range(50)]
    lines[37] = {"sku": "P003", "delta": -1_000}
    async with Connection(server.port) as connection:
        before = (await connection.get("/v1/stock")).json()

        refused = await history.adjust(connection, lines)

        assert (await connection.get("/v1/stock")).json() == before
    assert refused.status == 409
    assert refused.answer is not None
    assert [line["index"] for line in refused.answer.json()["lines"]] == [37]
    await audit(server, history)


def _told(attempt: Attempt) -> str:
    return f"{attempt.status} {attempt.code or ''}".strip()


def _is_replay(answer: Answer) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"
