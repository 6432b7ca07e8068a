"""One round: every server in turn on the same PostgreSQL, asked for the same things."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import BATCH_LINES, MeasurementError
from benchmarks.naive import DATABASE as NAIVE_DATABASE
from benchmarks.postgres.lanes import LANES
from benchmarks.postgres.load import Load, Process, Run, running
from benchmarks.postgres.seed import plain
from tests.postgres import Databases

UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
CONNECTIONS = 64
ITEMS = 1_000
# Enough batches for a second or more of the bare loop on a quick machine.
BARE_BATCHES = 200
BARE_BATCHES_LARGE = 20
LANES_TRIED = (1, 2, 4)

Round = Mapping[str, Run]
"""What one round measured, by the name of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured, where, and for how long.

    Attributes:
        template, naive_template: databases that each run gets a copy of.
        postmaster: the server's process, None if it runs elsewhere.
        seconds: per run.
        say: tells the user how far it is.
    """

    databases: Databases
    template: str
    naive_template: str
    postmaster: int | None
    folder: Path
    seconds: float
    say: Callable[[str], None]
    heads: list[list[dict[str, float]]] = field(default_factory=list)

    def round(self, number: int) -> Round:
        """Everything once, by name; a figure is a ratio of these."""
        runs: dict[str, Run] = {}
        with self._naive() as (processes, url):
            runs["naive adjust"] = self._load(processes, url, "adjust", number)
            runs["naive hot"] = self._load(processes, url, "hot", number)
        with self._service(1) as (processes, url):
            for scenario in ("adjust", "hot"):
                runs[scenario] = self._load(processes, url, scenario, number)
            runs["batch"] = self._load(processes, url, "batch", number, connections=8)
        size = max(1, round(runs["adjust"].lines_per_batch))
        runs["bare adjust"], runs["committer adjust"] = self._bare(size, 1, BARE_BATCHES)
        calls = max(1, round(runs["batch"].lines_per_batch / BATCH_LINES))
        runs["bare batch"], runs["committer batch"] = self._bare(
            calls, BATCH_LINES, BARE_BATCHES_LARGE
        )
        with self._service(2) as (processes, url):
            runs["two processes"] = self._load(processes, url, "adjust", number)
            runs["two processes hot"] = self._load(processes, url, "hot", number)
        for lanes in LANES_TRIED:
            with self._lanes(lanes) as (processes, url):
                runs[f"lanes {lanes}"] = self._load(processes, url, "adjust", number)
        for name, run in runs.items():
            self.say(f"  {name}: {run.lines_per_s:,.0f} lines/s")
        self.heads.append(self._head())
        return runs

    def _service(self, count: int) -> AbstractContextManager[tuple[list[Process], str]]:
        return self._serving([("inventory_api", "serve")] * count, {})

    def _lanes(self, lanes: int) -> AbstractContextManager[tuple[list[Process], str]]:
        return self._serving([("benchmarks.postgres.lanes", "serve")], {LANES: str(lanes)})

    @contextmanager
    def _serving(
        self, commands: Sequence[tuple[str, ...]], environment: Mapping[str, str]
    ) -> Iterator[tuple[list[Process], str]]:
        """Processes of the service on one database, which is verified when they have ended."""
        with self.databases.lent(self.template) as url:
            environment = {**environment, "INVENTORY_DATABASE_URL": url}
            with ExitStack() as exits:
                yield (
                    [
                        exits.enter_context(
                            running(
                                command, log=self._log, ready="/readyz", environment=environment
                            )
                        )
                        for command in commands
                    ],
                    plain(url),
                )
            verify(url)

    @contextmanager
    def _naive(self) -> Iterator[tuple[list[Process], str]]:
        command = ("uvicorn", "--factory", "benchmarks.postgres.naive:application", *UVICORN)
        with (
            self.databases.lent(self.naive_template) as url,
            running(
                command, log=self._log, ready="/openapi.json", environment={NAIVE_DATABASE: url}
            ) as process,
        ):
            yield [process], plain(url)

    @property
    def _log(self) -> Path:
        return self.folder / "servers.log"

    def _load(
        self,
        processes: Sequence[Process],
        url: str,
        scenario: str,
        number: int,
        connections: int = CONNECTIONS,
    ) -> Run:
        load = Load(
            scenario=scenario,
            items=ITEMS,
            connections=connections,
            seconds=self.seconds,
            seed=2 * number,
        )
        return load.of(processes, postmaster=self.postmaster, watch_url=url)

    def _bare(self, commands: int, lines: int, batches: int) -> tuple[Run, Run]:
        """The bare loop, and the committer whose statements it sends again."""
        with (
            self.databases.lent(self.template) as recorded,
            self.databases.lent(self.template) as replayed,
        ):
            numbers = map(str, (ITEMS, commands, lines, batches))
            seen = program("benchmarks.postgres.bare", recorded, replayed, *numbers)
        both = (("seconds", "cpu_s"), ("committer_s", "committer_cpu_s"))
        bare, committer = (
            Run(
                requests=round(seen["lines"]),
                seconds=seen[seconds],
                cpu_s={"server": seen[cpu_s]},
                batches=round(seen["batches"]),
            )
            for seconds, cpu_s in both
        )
        return bare, committer

    def _head(self) -> list[dict[str, float]]:
        with self.databases.lent(self.template) as url:
            passed: list[dict[str, float]] = program("benchmarks.postgres.head", url, "1")
        return passed


def program(module: str, *arguments: str) -> Any:  # Any: JSON
    """What a module prints as a program."""
    run = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise MeasurementError(f"{module}: {run.stderr[-2000:]}")
    return json.loads(run.stdout)


def verify(url: str) -> None:
    """The service's own check that the ledger explains every number that was booked."""
    run = subprocess.run(
        [sys.executable, "-m", "inventory_api", "verify", "--database-url", url],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise MeasurementError(f"verify: {run.stdout[-2000:]}{run.stderr[-2000:]}")
