"""Customers: they sell, take back and ask for too much, as fast as they are answered."""

import asyncio
import random
from collections.abc import Callable, Sequence

from tests.battery.client import Connection
from tests.battery.fleet import spread
from tests.battery.history import Attempt, History, Line

SKUS = ("P001", "P002", "P003", "P004", "P005")
LINES_MAX = 10_000
UNITS_MAX = 9  # of stocks of 50 to 200: refusals come soon, and go on


async def trade(
    ports: Sequence[int],
    history: History,
    *,
    chance: random.Random,
    clients: int,
    goes_on: Callable[[Attempt], bool],
    wanted: Callable[[random.Random], list[Line]] | None = None,
    others: Sequence[int] = (),
) -> None:
    """Run clients side by side; each stops when `goes_on` of its last attempt says so.

    Those whose last change has no answer ask for it again at once, at one of the other ports.
    """
    wanted = wanted or lines

    async def client(port: int) -> None:
        async with Connection(port) as connection:
            attempt = await history.adjust(connection, wanted(chance), mode=_mode(chance))
            while goes_on(attempt):
                attempt = await history.adjust(connection, wanted(chance), mode=_mode(chance))
        if attempt.answer is None and others:
            async with Connection(chance.choice(others)) as connection:
                await history.retry(connection, attempt)

    await asyncio.gather(*(client(port) for port in spread(ports, clients)))


async def lengthen_ledger(connection: Connection, history: History) -> None:
    """Make 40,000 movements: an export of 17 MB, more than all buffers on its way take."""
    for _ in range(4):
        attempt = await history.adjust(connection, [{"sku": "P002", "delta": 1}] * LINES_MAX)
        assert attempt.status == 200, attempt.answer


def lines(chance: random.Random) -> list[Line]:
    """One to three lines, out more often than in."""
    return [
        {"sku": chance.choice(SKUS), "delta": chance.choice((-1, -1, 1)) * _units(chance)}
        for _ in range(chance.choice((1, 1, 1, 2, 3)))
    ]


def _units(chance: random.Random) -> int:
    return chance.randint(1, UNITS_MAX)


def _mode(chance: random.Random) -> str:
    return chance.choice(("atomic", "atomic", "independent"))
