"""Others at the same file: a second server, a lock from outside, a folder nobody may write."""

import asyncio
from pathlib import Path

import pytest

from tests.battery.client import Connection
from tests.battery.history import History
from tests.battery.mounts import make_read_only, small_disk
from tests.battery.oracle import audit
from tests.databases import Template, path_of, url_of, write_locked
from tests.server import ServerProcess

SHORT_LOCK_S = 0.5
BUSY_TIMEOUT_S = 2.0  # the default of INVENTORY_BUSY_TIMEOUT_S
SALE = [{"sku": "P001", "delta": -1}]


@pytest.mark.sqlite
async def test_a_second_process_on_the_file_tells_who_has_it_and_ends(
    server: ServerProcess, tmp_path: Path
) -> None:
    second = ServerProcess(tmp_path, database_url=server.database_url)
    second.log = tmp_path / "second.log"

    second.launch()

    assert await asyncio.to_thread(second.wait) not in (0, None)
    assert f"already served by pid {server.pid}" in _unwrapped(second.log_text())
    assert "Traceback" not in second.log_text()
    history = History()
    async with Connection(server.port) as connection:
        assert (await history.adjust(connection, SALE)).status == 200
    await audit(server, history)


async def test_a_short_lock_from_outside_delays_a_change(server: ServerProcess) -> None:
    history = History()
    async with Connection(server.port) as connection, Connection(server.port) as reader:
        with write_locked(server.database_url):
            change = asyncio.create_task(history.adjust(connection, SALE))
            done, _ = await asyncio.wait({change}, timeout=SHORT_LOCK_S)
            assert not done
            assert (await reader.get("/v1/stock/P001")).status == 200

        assert (await change).status == 200
    await audit(server, history)


async def test_a_long_lock_from_outside_refuses_changes_until_it_is_gone(
    stopped: ServerProcess,
) -> None:
    # Nothing of the server's own waits for the lock, in front of the change.
    stopped.environment = {"INVENTORY_EXPIRY_SWEEP_S": "3600"}
    stopped.start()
    server, history = stopped, History()
    async with Connection(server.port) as connection, Connection(server.port) as reader:
        with write_locked(server.database_url):
            change = asyncio.create_task(history.adjust(connection, SALE))
            assert (await reader.get("/v1/stock/P001")).status == 200
            refused = await change

        assert (refused.status, refused.code, refused.applied) == (503, "storage_busy", "no")
        assert refused.answer is not None
        assert int(refused.answer.headers["retry-after"]) >= 1
        assert refused.answered_at - refused.sent_at >= BUSY_TIMEOUT_S * 0.9
        assert (await history.adjust(connection, SALE)).status == 200
    await audit(server, history)


@pytest.mark.sqlite
async def test_a_lock_from_outside_at_the_start_is_told_in_one_line(
    stopped: ServerProcess,
) -> None:
    with write_locked(stopped.database_url):
        stopped.launch()
        code = await asyncio.to_thread(stopped.wait)

    assert code not in (0, None)
    assert "Traceback" not in stopped.log_text()
    stopped.start()
    await audit(stopped, History())


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "has_database", [pytest.param(False, id="new"), pytest.param(True, id="old")]
)
def test_a_folder_that_cannot_be_written_ends_the_start_with_one_line(
    demo: Template, tmp_path: Path, has_database: bool
) -> None:
    with small_disk(tmp_path / "disk", size="8m") as disk:
        server = ServerProcess(tmp_path, database_url=url_of(disk / "inventory.db"))
        if has_database:
            server.database.write_bytes(path_of(demo.url).read_bytes())
        make_read_only(disk)

        server.launch()

        assert server.wait() not in (0, None)
        assert "Traceback" not in server.log_text()
        assert "read-only" in _unwrapped(server.log_text()).lower()


def _unwrapped(text: str) -> str:
    return " ".join(text.split())
