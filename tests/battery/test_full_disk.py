"""A full disk: changes are refused and nothing is lost, reads go on, and space ends it."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.battery.client import Connection
from tests.battery.history import Attempt, History
from tests.battery.load import trade
from tests.battery.mounts import fill, small_disk
from tests.battery.oracle import audit
from tests.databases import url_of
from tests.server import ServerProcess

pytestmark = pytest.mark.sqlite
CLIENTS = 16
CHANGES = 400
DISK = "8m"


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running demo whose database, but not its log, is on a disk of 8 MiB."""
    with (
        small_disk(tmp_path / "disk", size=DISK) as disk,
        ServerProcess(tmp_path, database_url=url_of(disk / "inventory.db")) as server,
    ):
        yield server


async def test_a_full_disk_refuses_changes_until_there_is_space_again(
    on_a_small_disk: ServerProcess,
) -> None:
    server = on_a_small_disk
    history = History()
    pid = server.pid

    await _trade(server, history)
    assert set(history.statuses()) <= {200, 409}
    filler = fill(server.database.parent)
    refused = await _trade(server, history)

    assert {_told(one) for one in refused} >= {"507 storage_full no"}
    assert {one.status for one in refused} <= {200, 409, 507}
    await _assert_serves_reads(server)
    await audit(server, history)
    filler.unlink()
    accepted = await _trade(server, history)
    assert {one.status for one in accepted} <= {200, 409}
    assert server.pid == pid
    assert server.is_running
    await audit(server, history)


async def test_a_disk_that_fills_up_by_itself_loses_nothing(
    on_a_small_disk: ServerProcess,
) -> None:
    server = on_a_small_disk
    history = History()

    def goes_on(attempt: Attempt) -> bool:
        return attempt.status in (200, 409)

    await trade(server.ports, history, chance=random.Random(8), clients=CLIENTS, goes_on=goes_on)

    assert set(history.statuses()) == {200, 409, 507}
    await _assert_serves_reads(server)
    await audit(server, history)
    await asyncio.to_thread(server.restart)
    await _assert_serves_reads(server)
    await audit(server, history)


async def _trade(server: ServerProcess, history: History) -> list[Attempt]:
    """Let clients trade for a while; their attempts."""
    before = len(history.attempts)
    left = iter(range(CHANGES))
    await trade(
        server.ports,
        history,
        chance=random.Random(before),
        clients=CLIENTS,
        goes_on=lambda _: next(left, None) is not None,
    )
    return history.attempts[before:]


async def _assert_serves_reads(server: ServerProcess) -> None:
    async with Connection(server.port) as connection:
        for path in ("/livez", "/v1/stock", "/v1/stock/P001", "/v1/movements?limit=1000"):
            assert (await connection.get(path)).status == 200, path


def _told(attempt: Attempt) -> str:
    return f"{attempt.status} {attempt.code} {attempt.applied}"
