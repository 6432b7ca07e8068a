"""An export while the stock changes: one moment of the ledger, little memory, a short log."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.seed import OPENING_UNITS, sku_of
from tests.battery.bulk import export
from tests.battery.client import Connection
from tests.battery.history import History
from tests.battery.oracle import assert_verified
from tests.databases import other_connection
from tests.seeded import fill
from tests.server import ServerProcess

LEVELS = 1_000_000
LEVELS_SAMPLED = 10_000
CHANGES = 20_000
CHANGES_SAMPLED = 500
CLIENTS = 16
RSS_GROWTH_BYTES_MAX = 50_000_000
WAL_BYTES_MAX = 64 << 20


@pytest.mark.parametrize(
    ("levels", "changes"),
    [
        pytest.param(LEVELS_SAMPLED, CHANGES_SAMPLED, id="sample"),
        pytest.param(
            LEVELS, CHANGES, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(1_200)]
        ),
    ],
)
async def test_an_export_during_changes_is_the_stock_at_its_position(
    database_url: str,
    tmp_path: Path,
    levels: int,
    changes: int,
    record_property: Callable[[str, object], None],
) -> None:
    server = ServerProcess(tmp_path, demo=False, database_url=database_url)
    fill(database_url, tmp_path, items=levels, movements=levels)
    with server:
        shop = _Shop(server, levels=levels, changes=changes)
        trading = asyncio.create_task(shop.trade())
        await shop.has_begun.wait()
        shop.rss_before = server.rss_bytes

        exported, end = await _export(server)

        shop.look()
        await trading
        await assert_verified(server)
        moved, head = _moved(server.database_url, after=levels, until=end["as_of_seq"])
    assert levels < end["as_of_seq"] < head, "changes came before and after the position"
    assert end["rows"] == len(exported) == levels
    assert list(exported) == sorted(exported)
    wrong = {sku for sku, on_hand in exported.items() if on_hand != OPENING_UNITS + moved[sku]}
    assert not wrong
    assert shop.rss_growth < RSS_GROWTH_BYTES_MAX
    assert shop.wal_bytes_max < WAL_BYTES_MAX
    record_property("movements behind the position", head - end["as_of_seq"])
    record_property("memory grew by, MiB", round(shop.rss_growth / (1 << 20), 1))
    record_property("-wal at most, MiB", round(shop.wal_bytes_max / (1 << 20), 1))


class _Shop:
    """Changes of random levels, and what the server uses meanwhile."""

    def __init__(self, server: ServerProcess, *, levels: int, changes: int) -> None:
        self.server = server
        self.has_begun = asyncio.Event()
        self.rss_before = 0
        self.rss_growth = 0
        self.wal_bytes_max = 0
        self._levels = levels
        self._changes = changes

    async def trade(self) -> None:
        """Make all changes; a tenth of them is the beginning."""
        history = History()
        chance = random.Random(self._changes)
        left = iter(range(self._changes))

        async def client() -> None:
            async with Connection(self.server.port) as connection:
                for number in left:
                    sku = sku_of(chance.randint(1, self._levels))
                    await history.adjust(connection, [{"sku": sku, "delta": -1}])
                    self.look()
                    if number > self._changes // 10:
                        self.has_begun.set()

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        assert history.statuses() == {200: self._changes}

    def look(self) -> None:
        """Note what the server uses now."""
        self.wal_bytes_max = max(self.wal_bytes_max, self.server.wal_bytes)
        if self.rss_before:
            self.rss_growth = max(self.rss_growth, self.server.rss_bytes - self.rss_before)


async def _export(server: ServerProcess) -> tuple[dict[str, int], dict[str, int]]:
    """Units by SKU, in the order of arrival, and the last record."""
    exported: dict[str, int] = {}
    async for record in export(server.port, "/v1/export/levels"):
        if "end" in record:
            return exported, record
        exported[record["sku"]] = record["on_hand"]
    raise AssertionError("the export was cut off")


def _moved(url: str, *, after: int, until: int) -> tuple[Counter[str], int]:
    """How many units a stretch of the ledger moved, by SKU, and the head of the ledger."""
    with other_connection(url) as run:
        moved = run(
            "SELECT sku, sum(d_on_hand) FROM movement"
            f" WHERE seq > {after} AND seq <= {until} GROUP BY sku"
        )
        ((head,),) = run("SELECT seq FROM ledger_head")
    return Counter({sku: int(units) for sku, units in moved}), head
