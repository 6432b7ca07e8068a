"""Constant reading and writing: the write-ahead log stays small, and so does the memory."""

import asyncio
from collections.abc import Callable

import pytest

from tests.battery.client import Connection, request_bytes
from tests.battery.history import History
from tests.battery.load import lengthen_ledger
from tests.battery.oracle import audit
from tests.server import ServerProcess

pytestmark = pytest.mark.sqlite
WRITERS = 8
READERS = 8
LINES = 50
WAL_BYTES_MAX = 64 << 20
RSS_GROWTH_BYTES_MAX = 200 << 20  # three connections may each fill a cache of 64 MiB
PAGES = 256  # 1 MiB: a log that is held would soon be many times as long
HELD_WAL_BYTES_MAX = 8 << 20
CHANGES_BESIDE = 100
PATHS = ("/v1/stock", "/v1/stock/P001", "/v1/movements?limit=1000", "/v1/stock/P002/explain")


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(3, id="sample"), pytest.param(20, id="full", marks=pytest.mark.slow)],
)
async def test_the_log_is_folded_while_readers_and_writers_never_pause(
    server: ServerProcess, seconds: int, record_property: Callable[[str, object], None]
) -> None:
    history = History()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    rss_before = server.rss_bytes
    sizes = []
    reads = 0

    async def write() -> None:
        async with Connection(server.port) as connection:
            while loop.time() < ends_at:
                lines = [{"sku": f"P00{1 + place % 5}", "delta": 1} for place in range(LINES)]
                await history.adjust(connection, lines)
                sizes.append(server.wal_bytes)

    async def read() -> None:
        nonlocal reads
        async with Connection(server.port) as connection:
            while loop.time() < ends_at:
                for path in PATHS:
                    assert (await connection.get(path)).status == 200
                    reads += 1

    tasks = [*(write() for _ in range(WRITERS)), *(read() for _ in range(READERS))]
    await asyncio.gather(*tasks)

    assert set(history.statuses()) == {200}
    assert max(sizes) < WAL_BYTES_MAX
    grown = server.rss_bytes - rss_before
    assert grown < RSS_GROWTH_BYTES_MAX
    movements = await audit(server, history)
    record_property("-wal at most, MiB", round(max(sizes) / (1 << 20), 1))
    record_property("movements", len(movements))
    record_property("reads", reads)
    record_property("memory grew by, MiB", round(grown / (1 << 20), 1))


async def test_an_export_that_nobody_reads_does_not_hold_the_log(stopped: ServerProcess) -> None:
    history = History()
    sizes = []
    stopped.environment["INVENTORY_WAL_CHECKPOINT_PAGES"] = str(PAGES)
    with stopped:
        async with Connection(stopped.port) as unread, Connection(stopped.port) as connection:
            await lengthen_ledger(connection, history)
            await unread.send(request_bytes("GET", "/v1/export/movements"))
            assert (await unread.head())[0] == 200

            for _ in range(CHANGES_BESIDE):
                lines = [{"sku": f"P00{1 + place % 5}", "delta": 1} for place in range(LINES)]
                await history.adjust(connection, lines)
                sizes.append(stopped.wal_bytes)

        assert set(history.statuses()) == {200}
        assert max(sizes[len(sizes) // 2 :]) < HELD_WAL_BYTES_MAX
        await audit(stopped, history)
