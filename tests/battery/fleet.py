"""Processes that serve one database side by side: clients may ask whichever of them they like."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Self

from tests.battery.client import Connection
from tests.databases import is_file
from tests.server import ServerProcess, Stopped

# A file belongs to one process; a second one on a server shows what several do to each other.
ON_FILE = 1
ON_SERVER = 2
_RETRIES = re.compile(r'^inventory_batch_retries_total\{code="(\w+)"\} (\S+)$', re.MULTILINE)


class Fleet:
    """Processes that are started, killed and stopped, one of them or all.

    Args:
        folder: gets a folder for the log of each process.
        size: how many there are; left out: as many as the kind of database is shown with.
        demo: whether they put the five goods into a database without items.
    """

    def __init__(
        self, folder: Path, database_url: str, *, size: int | None = None, demo: bool = True
    ) -> None:
        self.database_url = database_url
        count = size or (ON_FILE if is_file(database_url) else ON_SERVER)
        folders = [folder / f"process-{number}" for number in range(count)]
        for one in folders:
            one.mkdir()
        self.servers = tuple(
            ServerProcess(one, database_url=database_url, demo=demo) for one in folders
        )

    @contextmanager
    def running(self, *, environment: Mapping[str, str] | None = None) -> Iterator[Self]:
        """While inside all of them run; whoever does so at the end is killed."""
        try:
            self.start(environment=environment)
            yield self
        finally:
            self.kill()

    def start(
        self, *, wrapper: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> float:
        """Start those that are down, side by side; the seconds that the slowest one took.

        Args:
            wrapper: makes the disk of a file slow; the disk of a server is not the processes'.
            environment: settings of this life.
        """
        down = [server for server in self.servers if not server.is_running]
        for server in down:
            server.wrapper = list(wrapper) if is_file(self.database_url) else []
            server.environment = dict(environment or {})
        with ThreadPoolExecutor(len(self.servers)) as starters:
            return max(starters.map(ServerProcess.start, down), default=0.0)

    def kill(self) -> None:
        """SIGKILL those that run."""
        for server in self._running():
            server.kill()

    def terminate(self) -> Stopped:
        """Ask those that run to stop, one after the other; the worst code and the longest time."""
        stopped = [server.terminate() for server in self._running()]
        codes = [one.code for one in stopped if one.code]
        return Stopped(codes[0] if codes else 0, max(one.seconds for one in stopped))

    @property
    def ports(self) -> Sequence[int]:
        """Of the processes that run."""
        return [server.port for server in self._running()]

    def victims(self, number: int) -> Sequence[ServerProcess]:
        """Whom the n-th fault hits: each process alone in turn, then all of them at once."""
        turns = [*((server,) for server in self.servers), self.servers]
        return turns[number % len(turns)]

    def others(self, victims: Sequence[ServerProcess]) -> Sequence[int]:
        """The ports of those that a fault leaves alone."""
        return [server.port for server in self.servers if server not in victims]

    def defects(self) -> list[str]:
        """What the processes have logged with a traceback: nobody foresaw it."""
        lines = [line for one in self.servers for line in one.log_text().splitlines()]
        return [line for line in lines if '"exception"' in line or "Traceback" in line]

    def _running(self) -> list[ServerProcess]:
        return [server for server in self.servers if server.is_running]


def spread(ports: Sequence[int], clients: int) -> Sequence[int]:
    """A port for each client: neighbours are at different processes."""
    return list(islice(cycle(ports), clients))


async def batch_retries(ports: Sequence[int]) -> dict[str, int]:
    """How often processes have decided a batch again, by the code of the reason."""
    found: Counter[str] = Counter()
    for port in ports:
        async with Connection(port) as connection:
            metrics = (await connection.get("/metrics")).body.decode()
        for code, times in _RETRIES.findall(metrics):
            found[code] += int(float(times))
    return dict(found)
