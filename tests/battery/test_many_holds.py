"""Very many holds: those that end at once disturb nobody, and those that live cost a read nothing."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from benchmarks.measure import cpu_seconds
from tests.battery.client import Connection
from tests.battery.holds import audit_stopped, count, level, verify_file
from tests.battery.many_holds import end_holds, write_holds
from tests.server import ServerProcess

GOODS = 100
CLIENTS = 16
NORMAL_S = 6.0
START_S = 8.0  # a loaded machine starts a server in three
P99_GROWTH_MAX = 3.0
POLL_S = 0.1
GONE_DEADLINE_S = 300.0
DAY_US = 86_400_000_000
HOLDS_OF_A_LEVEL = 10_000
READS = 3_000
BLOCKS = 5
READ_GROWTH_MAX = 1.3
SALE = {"lines": [{"sku": "P001", "delta": 1}]}
Record = Callable[[str, object], None]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("holds", "most"),
    [
        # So few are gone before a percentile means anything.
        pytest.param(1_000, None, id="sample"),
        pytest.param(100_000, P99_GROWTH_MAX, id="full", marks=pytest.mark.slow),
    ],
)
async def test_holds_that_end_at_once_leave_the_waits_of_others_as_they_are(
    stopped: ServerProcess, holds: int, most: float | None, record_property: Record
) -> None:
    server, skus = stopped, [f"HELD-{number:03d}" for number in range(GOODS)]
    await _stock(server, skus, holds // GOODS)
    normal_s = NORMAL_S if most else 1.0
    end = time.time_ns() // 1_000 + DAY_US
    write_holds(server.database_url, skus, each=holds // GOODS, ends_at_us=end)
    found = await asyncio.to_thread(verify_file, server.database_url)
    assert found.returncode == 0, found.stdout
    ends_at = time.time() + START_S + normal_s
    end_holds(server.database_url, int(ends_at * 1e6))
    await asyncio.to_thread(server.start)

    await _waits(server, until=lambda: time.time() > ends_at - normal_s)
    assert time.time() < ends_at - normal_s / 2, "the machine was too slow to begin in time"
    normal = await _waits(server, until=lambda: time.time() > ends_at)
    gone = asyncio.create_task(_until_gone(server, skus, holds // GOODS))
    meanwhile = await _waits(server, until=gone.done)
    expired_in_s = await gone

    before, after = _p99_ms(normal), _p99_ms(meanwhile)
    record_property("p99 before and meanwhile, ms", (round(before, 1), round(after, 1)))
    record_property("seconds until all were gone", round(expired_in_s, 1))
    movements = await audit_stopped(server)
    assert sum(row["type"] == "expire" for row in movements) == holds
    assert most is None or after <= most * before


@pytest.mark.slow
async def test_a_level_with_10_000_holds_is_read_as_cheaply_as_one_without(
    stopped: ServerProcess, record_property: Record
) -> None:
    await _stock(stopped, ["HELD", "FREE"], HOLDS_OF_A_LEVEL)
    end = time.time_ns() // 1_000 + DAY_US
    write_holds(stopped.database_url, ["HELD"], each=HOLDS_OF_A_LEVEL, ends_at_us=end)
    await asyncio.to_thread(stopped.start)

    async with Connection(stopped.port) as connection:
        assert (await level(connection, "HELD"))["reserved"] == HOLDS_OF_A_LEVEL
        for sku in ("HELD", "FREE"):
            await _cpu_us(stopped, connection, sku)
        blocks = [
            (
                await _cpu_us(stopped, connection, "HELD"),
                await _cpu_us(stopped, connection, "FREE"),
            )
            for _ in range(BLOCKS)
        ]

    ratio = statistics.median(held / free for held, free in blocks)
    record_property("CPU µs with and without", [tuple(map(round, block)) for block in blocks])
    record_property("ratio", round(ratio, 2))
    assert ratio <= READ_GROWTH_MAX


async def _stock(server: ServerProcess, skus: list[str], on_hand: int) -> None:
    """Put goods on the shelf, and stop."""
    await asyncio.to_thread(server.start)
    async with Connection(server.port) as connection:
        for sku in skus:
            assert (await connection.post("/v1/items", {"sku": sku, "name": sku})).status == 201
            await count(connection, sku, on_hand)
    assert server.terminate().code == 0


async def _until_gone(server: ServerProcess, skus: list[str], each: int) -> float:
    """How long the ledger took to account for all that had ended; a read never counted it."""
    began = time.monotonic()
    async with Connection(server.port) as connection:
        while time.monotonic() < began + GONE_DEADLINE_S:
            levels = [await level(connection, sku) for sku in (skus[0], skus[-1])]
            assert all(one["reserved"] == 0 for one in levels), levels
            # One version for the count, one for each hold, one for each end.
            if await _are_booked(connection, skus, 1 + 2 * each):
                return time.monotonic() - began
            await asyncio.sleep(POLL_S)
    raise TimeoutError("holds that had ended were never booked")


async def _are_booked(connection: Connection, skus: list[str], version: int) -> bool:
    """Whether every level has come to a version; the first that has not ends the search."""
    for sku in skus:
        if (await level(connection, sku))["version"] < version:
            return False
    return True


async def _waits(server: ServerProcess, until: Callable[[], bool]) -> list[float]:
    """How long each change and each read of other goods waited."""
    waits: list[float] = []

    async def client(number: int) -> None:
        async with Connection(server.port) as connection:
            while not until():
                began = time.monotonic()
                if number % 2:
                    answer = await connection.post("/v1/stock/adjust", SALE)
                else:
                    answer = await connection.get("/v1/stock/P002/main")
                assert answer.status == 200, answer
                waits.append(time.monotonic() - began)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return waits


async def _cpu_us(server: ServerProcess, connection: Connection, sku: str) -> float:
    """CPU microseconds of the server per read of a level."""
    before = cpu_seconds(server.pid)
    for _ in range(READS):
        await level(connection, sku)
    return (cpu_seconds(server.pid) - before) / READS * 1e6


def _p99_ms(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=100)[98] * 1_000
