"""A process that is killed or stopped in the middle of a pull; the next one does it again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.databases import Template, run_aside
from tests.polling import until_told
from tests.server import ServerProcess
from tests.suppliers.feed_server import Asked, FeedServer, Told, quantity, sku
from tests.suppliers.feeds import SHAPE
from tests.suppliers.test_one_at_a_time import Gate

ROWS = 3_000
ENVIRONMENT = {
    "INVENTORY_OUTBOUND_PRIVATE_HOSTS": '["127.0.0.1"]',
    "INVENTORY_OUTBOUND_HTTP_HOSTS": '["127.0.0.1"]',
    # So small that the kill meets the middle of many.
    "INVENTORY_SUPPLIER_CHUNK_ROWS": "20",
    "INVENTORY_SUPPLIER_POLL_S": "0.05",
    "INVENTORY_LEASE_S": "1",
    "INVENTORY_CHANGE_DEADLINE_S": "60",
    "INVENTORY_CHECK_DEADLINE_S": "60",
}
LEVELS = "SELECT count(*) FROM level WHERE location = 'acme'"


@pytest.mark.slow
async def test_a_pull_that_is_killed_while_it_books_is_done_again(
    migrated: Template, tmp_path: Path
) -> None:
    with migrated.copied() as url:
        async with FeedServer(whole_list) as feed:
            await asyncio.to_thread(begin_and_kill, tmp_path, url, feed.url)
            booked = run_aside(url, LEVELS)[0][0]
            run = await asyncio.to_thread(pulled_by_the_next, tmp_path, url)

        assert 0 < booked < ROWS
        assert (run["status"], run["unchanged"] + run["changed"]) == ("complete", ROWS)
        rows = run_aside(url, "SELECT sku, on_hand, version FROM level WHERE location = 'acme'")
        assert sorted(rows) == [(sku(n), quantity(n), 1) for n in range(ROWS)]
        (old,) = run_aside(url, "SELECT status, error FROM supplier_run ORDER BY id LIMIT 1")
        assert tuple(old) == ("failed", "interrupted")


@pytest.mark.slow
async def test_a_signal_ends_a_pull_with_its_report_and_nothing_goes_wrong(
    migrated: Template, tmp_path: Path
) -> None:
    with migrated.copied() as url:
        gate = Gate(Told())
        async with FeedServer(gate) as feed:
            with ServerProcess(tmp_path, database_url=url, environment=ENVIRONMENT) as server:
                async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                    body = {"code": "acme", "url": feed.url, "format": "json", "shape": SHAPE}
                    await http.post("/v1/suppliers", json=body)
                    pulling = asyncio.create_task(http.post("/v1/suppliers/acme/pull"))
                    await gate.reached.wait()

                    stopped = await asyncio.to_thread(server.terminate)
                    last = json.loads((await pulling).text.splitlines()[-1])

                log = server.log_text()

        (kept,) = run_aside(url, "SELECT status, error FROM supplier_run")
        assert (last["end"], last["status"], last["error"]) == (True, *kept)
        assert tuple(kept) == ("failed", "draining")
        assert stopped.code == 0
        assert '"level": "error"' not in log
        assert '"level": "warning"' not in log.partition('"event": "draining"')[2]


def whole_list(_: Asked) -> Told:
    rows = [{"sku": sku(number), "quantity": quantity(number)} for number in range(ROWS)]
    return Told(json.dumps({"items": rows}).encode())


def begin_and_kill(folder: Path, url: str, feed: str) -> None:
    """Kill a server as soon as some of the list is booked."""
    with ServerProcess(folder, database_url=url, environment=ENVIRONMENT) as server:
        items = "sku,name\n" + "".join(f"{sku(n)},{sku(n)}\n" for n in range(ROWS))
        with httpx.Client(base_url=server.url, timeout=60) as http:
            http.post("/v1/import/items", content=items, headers={"Content-Type": "text/csv"})
            body = {"code": "acme", "url": feed, "format": "json", "shape": SHAPE}
            made = http.post("/v1/suppliers", json={**body, "schedule_s": 3600})
            assert made.status_code == 201, made.text
        asyncio.run(until_told(lambda: _some_booked(url)))
        server.kill()


async def _some_booked(url: str) -> bool:
    return bool(run_aside(url, LEVELS)[0][0])


def pulled_by_the_next(folder: Path, url: str) -> Any:  # Any: JSON
    """The report of the pull that the next process makes by itself."""
    with ServerProcess(folder, database_url=url, environment=ENVIRONMENT, demo=False) as server:
        found: list[Any] = []

        async def is_done() -> bool:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                answer = await http.get("/v1/suppliers/acme/runs?limit=1")
            found[:] = answer.json()["items"]
            return bool(found) and found[0]["status"] == "complete"

        asyncio.run(until_told(is_done))
        verified = httpx.get(f"{server.url}/v1/verify", timeout=60).json()
        assert verified["ok"], verified
        return found[0]
