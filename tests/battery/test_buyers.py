"""A sale: more buyers than units."""

import asyncio
from collections import Counter

import pytest

from tests.battery.client import Connection
from tests.battery.fleet import Fleet, spread
from tests.battery.history import History
from tests.battery.holds import audit_stopped, count, level, reserve, told
from tests.battery.oracle import audit

STOCK = 500
BUYERS = 2_000
AT_ONCE = 64


async def test_500_units_go_to_exactly_500_of_2000_buyers(fleet: Fleet) -> None:
    history = History()
    async with Connection(fleet.ports[0]) as connection:
        await history.set(connection, "P001", STOCK)
    buyers = iter(range(BUYERS))

    async def serve_buyers(port: int) -> None:
        async with Connection(port) as connection:
            for _ in buyers:
                await history.adjust(connection, [{"sku": "P001", "delta": -1}])

    await asyncio.gather(*map(serve_buyers, spread(fleet.ports, AT_ONCE)))

    assert history.statuses() == {200: STOCK + 1, 409: BUYERS - STOCK}
    movements = await audit(fleet, history)
    assert movements[-1]["on_hand"] == 0


@pytest.mark.parametrize(
    ("stock", "buyers"),
    [
        pytest.param(100, 400, id="sample"),
        pytest.param(STOCK, BUYERS, id="full", marks=pytest.mark.slow),
    ],
)
async def test_units_are_held_for_as_many_buyers_as_there_are_and_for_no_one_else(
    fleet: Fleet, stock: int, buyers: int
) -> None:
    waiting = iter(range(buyers))
    answers: Counter[str] = Counter()

    async def serve_buyers(port: int) -> None:
        async with Connection(port) as connection:
            for number in waiting:
                answer = await reserve(connection, "P001", reference=f"cart:{number}")
                answers[told(answer)] += 1

    async with Connection(fleet.ports[0]) as connection:
        await count(connection, "P001", stock)
        await asyncio.gather(*map(serve_buyers, spread(fleet.ports, AT_ONCE)))
        now = await level(connection, "P001")

    assert answers == {"201": stock, "409 insufficient_stock": buyers - stock}
    assert (now["on_hand"], now["reserved"], now["available"]) == (stock, stock, 0)
    await audit_stopped(fleet)
