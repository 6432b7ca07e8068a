"""No change is acknowledged before the disk has it: read off the server's system calls.

A killed process proves little here, for the page cache survives it; the order of the calls is what
survives a power cut.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.battery import faults
from tests.battery.client import Connection
from tests.battery.history import History
from tests.battery.oracle import audit
from tests.server import ServerProcess

pytestmark = pytest.mark.sqlite
CHANGES = 200
CALLS = ("pwrite64", "fdatasync", "read", "write", "writev", "sendto", "sendmsg", "recvfrom")
LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(\d+<([^>]*)>| resumed>)(.*)")


@pytest.mark.parametrize("clients", [pytest.param(1, id="alone"), pytest.param(8, id="together")])
async def test_every_change_is_synced_before_it_is_acknowledged(
    stopped: ServerProcess, tmp_path: Path, clients: int
) -> None:
    trace = tmp_path / "trace"
    stopped.wrapper = faults.traced(trace, *CALLS)
    history = History()
    left = iter(range(CHANGES))

    async def client() -> None:
        async with Connection(stopped.port) as connection:
            for _ in left:
                await history.adjust(connection, [{"sku": "P002", "delta": 1}])

    with stopped:
        await asyncio.gather(*(client() for _ in range(clients)))
        await audit(stopped, history)
        stopped.terminate()

    assert history.statuses() == {200: CHANGES}
    assert _stages_when_acknowledged(trace) == ["synced"] * CHANGES


class Call(NamedTuple):
    """The beginning of a system call, its end, or both."""

    thread: str
    name: str
    file: str
    text: str
    begins: bool
    ends: bool


def _stages_when_acknowledged(trace: Path) -> list[str]:
    """How far the disk was with each change when the first byte of its success was sent.

    Alone, this is exact. With others, a change could profit from the sync of a batch that it just
    missed; what it shows then is that nobody is answered while no sync has ended.
    """
    stages: dict[str, str] = {}
    syncing: dict[str, list[str]] = {}
    found = []
    for call in _calls(trace.read_text(errors="replace").splitlines()):
        if call.file.startswith("socket:"):
            if call.ends and '"POST /v1/stock/a' in call.text:
                stages[call.file] = "received"
            if call.begins and '"HTTP/1.1 200' in call.text and call.file in stages:
                found.append(stages.pop(call.file))
        elif call.file.endswith("-wal"):
            _advance(stages, syncing, call)
    return found


def _advance(stages: dict[str, str], syncing: dict[str, list[str]], call: Call) -> None:
    if call.name == "pwrite64" and call.begins:
        stages |= {at: "written" for at, stage in stages.items() if stage == "received"}
    if call.name == "fdatasync" and call.begins:
        syncing[call.thread] = [at for at, stage in stages.items() if stage == "written"]
    if call.name == "fdatasync" and call.ends and call.text.endswith("= 0"):
        stages |= {at: "synced" for at in syncing.pop(call.thread) if at in stages}


def _calls(lines: Iterable[str]) -> Iterator[Call]:
    """The calls in the order of the trace; one that another thread interrupts has two lines."""
    files: dict[str, str] = {}
    for line in lines:
        if (match := LINE.match(line)) is None:
            continue
        thread, name, file, text = match.groups()
        begins, ends = file is not None, "<unfinished ...>" not in line
        if begins:
            files[thread] = file
        yield Call(thread, name, files.get(thread, ""), text, begins, ends)
