"""A sale: more buyers than units."""

import asyncio

from tests.battery.client import Connection
from tests.battery.history import History
from tests.battery.oracle import audit
from tests.server import ServerProcess

STOCK = 500
BUYERS = 2_000
AT_ONCE = 64


async def test_500_units_go_to_exactly_500_of_2000_buyers(server: ServerProcess) -> None:
    history = History()
    async with Connection(server.port) as connection:
        await history.set(connection, "P001", STOCK)
    buyers = iter(range(BUYERS))

    async def serve_buyers() -> None:
        async with Connection(server.port) as connection:
            for _ in buyers:
                await history.adjust(connection, [{"sku": "P001", "delta": -1}])

    await asyncio.gather(*(serve_buyers() for _ in range(AT_ONCE)))

    assert history.statuses() == {200: STOCK + 1, 409: BUYERS - STOCK}
    movements = await audit(server, history)
    assert movements[-1]["on_hand"] == 0
