"""The storage fails at a chosen system call: nothing acknowledged is lost, nothing is guessed."""

import asyncio
import signal
from pathlib import Path

import pytest

from inventory_api.server import EXIT_STORAGE_FAILED
from tests.battery import faults
from tests.battery.client import Connection
from tests.battery.history import Attempt, History
from tests.battery.oracle import audit, audit_database
from tests.server import ServerProcess

pytestmark = pytest.mark.sqlite
SCRIPT_CHANGES = 20
# A first start (the schema, the demo) and the script take about 36 syncs and 500 writes; a point
# beyond the last one is a run without a fault, and fails the test.
SYNCS = range(1, 34)
WRITES = range(5, 475, 10)
SYNC_SAMPLED = 25
WRITE_SAMPLED = 435
GONE_WITHIN_S = 15.0
FAULT_AT = 5  # changes after the start; each syncs the log once

kill_points = pytest.mark.parametrize(
    ("call", "count"),
    [
        pytest.param("fdatasync", SYNC_SAMPLED, id="sample-sync"),
        pytest.param("pwrite64", WRITE_SAMPLED, id="sample-write"),
        *(
            pytest.param(call, count, id=f"{call}-{count}", marks=pytest.mark.slow)
            for call, counts in (("fdatasync", SYNCS), ("pwrite64", WRITES))
            for count in counts
        ),
    ],
)


@kill_points
async def test_a_server_killed_within_a_system_call_has_what_it_acknowledged(
    tmp_path: Path, call: str, count: int
) -> None:
    server = ServerProcess(tmp_path, wrapper=faults.killed_at(call, count))
    history = History()

    await _run_script(server, history)

    assert await asyncio.to_thread(server.wait) == -signal.SIGKILL
    server.wrapper = []
    with server:
        await audit(server, history)
        await _resolve(server, history)
        await audit(server, history)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_a_commit_that_fails_is_unknown_and_ends_the_process(
    stopped: ServerProcess, call: str
) -> None:
    history = History()
    stopped.wrapper = faults.failing(call, "EIO", at=_wal(stopped), when=f"{FAULT_AT}+")
    stopped.start()

    await _change_until_unanswered(stopped, history)

    assert _told(history.attempts[-1]) == "None None unknown"
    assert _told(_first_failure(history)) == "504 outcome_unknown unknown"
    assert stopped.wait() == EXIT_STORAGE_FAILED
    stopped.wrapper = []
    stopped.start()
    await audit(stopped, history)
    await _resolve(stopped, history)
    await audit(stopped, history)
    assert stopped.terminate().code == 0


async def test_changes_in_flight_at_a_failed_commit_are_told_apart(stopped: ServerProcess) -> None:
    history = History()
    stopped.wrapper = faults.failing("fdatasync", "EIO", at=_wal(stopped), when=f"{FAULT_AT}+")
    stopped.start()

    await asyncio.gather(*(_change_until_unanswered(stopped, history) for _ in range(16)))

    told = {_told(one) for one in history.attempts if one.status != 200}
    assert told <= {"504 outcome_unknown unknown", "503 draining no", "None None unknown"}
    assert stopped.wait() == EXIT_STORAGE_FAILED
    stopped.wrapper = []
    stopped.start()
    await audit(stopped, history)
    await _resolve(stopped, history)
    await audit(stopped, history)


async def test_a_write_without_space_fails_alone(stopped: ServerProcess) -> None:
    history = History()
    stopped.wrapper = faults.failing("pwrite64", "ENOSPC", at=_wal(stopped), when="20")
    stopped.start()
    async with Connection(stopped.port) as connection:
        for _ in range(SCRIPT_CHANGES):
            await history.adjust(connection, [{"sku": "P001", "delta": -1}])

    assert history.statuses() == {200: SCRIPT_CHANGES - 1, 507: 1}
    assert _told(_first_failure(history)) == "507 storage_full no"
    await audit(stopped, history)


async def test_a_fold_of_the_log_that_fails_costs_no_change(stopped: ServerProcess) -> None:
    """The log is folded into the file in passing; what it holds is as safe as before."""
    history = History()
    stopped.environment["INVENTORY_WAL_CHECKPOINT_PAGES"] = "20"
    stopped.wrapper = faults.failing("fdatasync", "EIO", at=stopped.database, when="1+")
    stopped.start()
    async with Connection(stopped.port) as connection:
        for _ in range(SCRIPT_CHANGES):
            await history.adjust(connection, [{"sku": "P001", "delta": -1}])
    stopped.kill()
    stopped.wrapper = []

    stopped.start()

    assert history.statuses() == {200: SCRIPT_CHANGES}
    await audit(stopped, history)
    assert stopped.terminate().code == 0
    await audit_database(stopped.database_url, history)


async def _run_script(server: ServerProcess, history: History) -> None:
    """Start and change, until all is done or the server is gone."""
    try:
        await asyncio.to_thread(server.start)
    except RuntimeError:
        return  # it was killed while it started
    async with Connection(server.port) as connection:
        for number in range(SCRIPT_CHANGES):
            lines = [{"sku": f"P00{1 + number % 5}", "delta": -1}, {"sku": "P001", "delta": -1}]
            if (await history.adjust(connection, lines)).answer is None:
                return


async def _change_until_unanswered(server: ServerProcess, history: History) -> None:
    async with asyncio.timeout(GONE_WITHIN_S), Connection(server.port) as connection:
        while (await history.adjust(connection, [{"sku": "P001", "delta": -1}])).answer:
            pass


async def _resolve(server: ServerProcess, history: History) -> None:
    async with Connection(server.port) as connection:
        for attempt in history.unknown():
            assert (await history.retry(connection, attempt)).applied in ("yes", "no")


def _first_failure(history: History) -> Attempt:
    return next(one for one in history.attempts if one.status != 200)


def _told(attempt: Attempt) -> str:
    return f"{attempt.status} {attempt.code} {attempt.applied}"


def _wal(server: ServerProcess) -> Path:
    return server.database.with_name(server.database.name + "-wal")
