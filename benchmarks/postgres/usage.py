"""Where the time goes: processor time by process, and what the service's writers wait for."""

import asyncio
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.01
# The statement that takes the ledger's head; it is held from then to the end of COMMIT.
HEAD = "WITH head AS"
_SAMPLE = """
    SELECT state, wait_event_type, wait_event, query FROM pg_stat_activity
    WHERE application_name = 'inventory-api' AND datname = current_database()
"""


def tree_seconds(pid: int) -> float:
    """User and system time of a process and its children, those that have ended included."""
    spent, *_ = _ticks(pid)
    return (spent + sum(_ticks(child)[0] for child in _children(pid))) * TICK_S


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def _ticks(pid: int) -> tuple[int, int]:
    """Ticks of a process with its ended children, and its parent; nothing if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0, 0
    return sum(map(int, fields[11:15])), int(fields[1])


@dataclass(frozen=True, slots=True)
class Waits:
    """How often a look at the writers found what.

    Attributes:
        found: (what it did, or what it waited for) to the number of looks.
    """

    looks: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def share(self, name: str) -> float:
        """Of the looks; with several processes more than one may be found at once."""
        return self.found[name] / self.looks if self.looks else 0.0


class Watch:
    """Looks at the writers of a database every 10 ms, in a thread of its own, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = threading.Event()
        self._looks = 0
        self._found: Counter[str] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def waits(self) -> Waits:
        """What was found."""
        return Waits(self._looks, self._found)

    async def _watch(self) -> None:
        connection = await asyncpg.connect(self._url)
        look = await connection.prepare(_SAMPLE)
        while not self._end.is_set():
            self._looks += 1
            for state, kind, event, query in await look.fetch():
                self._found.update(_told(state, kind, event, query))
            await asyncio.sleep(SAMPLE_S)
        await connection.close()


def _told(state: str, kind: str | None, event: str | None, query: str) -> list[str]:
    """What one look at a writer says; nothing of one that has nothing to do."""
    is_active = state == "active"
    if query.startswith("COMMIT"):
        told = ["commit"] if is_active else []
    elif query.startswith(HEAD):
        waits = is_active and kind == "Lock"
        told = ["waits for head"] if waits else ["holds head"] if state != "idle" else []
    else:
        told = ["before head"] if is_active or state == "idle in transaction" else []
    if is_active and kind is not None and kind != "Client":
        told.append(f"{kind}: {event}")
    return told
