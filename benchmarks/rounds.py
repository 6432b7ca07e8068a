"""One round of the bench: all servers on the same core, asked in turn for the same things."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import naive
from benchmarks.figures import Round
from benchmarks.measure import (
    BATCH_LINES,
    CONNECTIONS,
    Cores,
    Load,
    MeasurementError,
    Server,
    pinned,
    serving,
)
from benchmarks.seed import OPENING_UNITS, seed, sku_of

UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
BODY = b'{"reason":"sale","lines":[{"sku":"SKU-0000001","location":"main","delta":-1}]}'
HOLD = (
    b'{"reference":"cart:shape","ttl_s":86400,'
    b'"lines":[{"sku":"SKU-0000001","location":"main","quantity":1}]}'
)
Shape = dict[str, "Shape"] | list["Shape"] | None


@dataclass(frozen=True, slots=True)
class Size:
    """How much a database holds before the first request."""

    items: int
    movements: int


SMALL = Size(1_000, 5_000)
PLAN = (
    ("adjust", ("no-op model", "no-op plain", "naive", "small", "large")),
    ("hot", ("naive", "small", "large")),
    ("keyed", ("small",)),
    ("read", ("no-op model", "no-op plain", "small", "large")),
    ("batch", ("small", "large")),
    ("batches", ("small",)),
    ("stretch", ("small", "large")),
    # Holds come last: they are kept, and the others are measured on goods that have few.
    ("reserve", ("no-op model", "no-op plain", "small")),
)
"""What is asked in a round, and of whom, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured, where, and for how long.

    Attributes:
        folder: for the databases; on the disk whose fsync counts.
        seconds: per run.
        say: tells the user how far it is.
    """

    folder: Path
    large: Size
    seconds: float
    cores: Cores
    say: Callable[[str], None]

    def prepare(self) -> None:
        """Fills the databases and sees to it that all servers give the same answers."""
        for name, size in (("small", SMALL), ("large", self.large)):
            self.say(f"filling {name}: {size.items:,} items, {size.movements:,} movements")
            seed(self._path(name), items=size.items, movements=size.movements)
        skus = [sku_of(number) for number in range(1, SMALL.items + 1)]
        naive.create(self._path("naive"), skus=skus, on_hand=OPENING_UNITS)
        # What the system writes back later would be written during somebody's measurement.
        os.sync()
        with ExitStack() as running:
            servers = [self._noop("model"), self._noop("plain"), self._ours("small")]
            shapes = [_shapes(running.enter_context(server)) for server in servers]
        if any(shape != shapes[0] for shape in shapes):
            raise MeasurementError(f"The servers do not answer alike: {shapes}")

    def round(self, number: int) -> Round:
        """Everything once, by name; a figure is a ratio of these.

        All servers run, and one at a time is asked. What is compared is measured one directly after
        the other: a machine that has other work to do slows both.
        """
        databases = ("naive", "small", "large")
        before = {name: _movements(self._path(name)) for name in databases}
        runs: dict[str, Load] = {}
        with ExitStack() as running:
            servers = {
                name: running.enter_context(server)
                for name, server in {
                    "no-op model": self._noop("model"),
                    "no-op plain": self._noop("plain"),
                    "naive": self._naive(),
                    "small": self._ours("small"),
                    "large": self._ours("large"),
                }.items()
            }
            for scenario, asked in PLAN:
                if scenario == "batch":
                    runs["bare"] = self._bare(SMALL.items)
                    runs["bare unique"] = self._bare(SMALL.items, "unique")
                    runs["large bare"] = self._bare(self.large.items)
                for name in asked:
                    runs[_run(name, scenario)] = self._load(servers[name], name, scenario, number)
        for name in databases:
            _check_booked(name, runs, _movements(self._path(name)) - before[name])
        return runs

    def verify(self) -> None:
        """The service's own check that the ledger explains every number it has booked."""
        for name in ("small", "large"):
            self.say(f"verifying {name}")
            subprocess.run(
                [sys.executable, "-m", "inventory_api", "verify"],
                env={**os.environ, "INVENTORY_DATABASE_URL": _url(self._path(name))},
                check=True,
                stdout=subprocess.DEVNULL,
            )

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def _ours(self, name: str) -> AbstractContextManager[Server]:
        environment = {"INVENTORY_DATABASE_URL": _url(self._path(name))}
        return self._serving(("inventory_api", "serve"), "/readyz", environment)

    def _noop(self, variant: str) -> AbstractContextManager[Server]:
        arguments = ("uvicorn", "--factory", f"benchmarks.noop:{variant}", *UVICORN)
        return self._serving(arguments, "/openapi.json", {})

    def _naive(self) -> AbstractContextManager[Server]:
        arguments = ("uvicorn", "--factory", "benchmarks.naive:application", *UVICORN)
        return self._serving(arguments, "/openapi.json", {naive.DATABASE: str(self._path("naive"))})

    def _serving(
        self, arguments: Sequence[str], ready: str, environment: dict[str, str]
    ) -> AbstractContextManager[Server]:
        log = self.folder / "servers.log"
        return serving(arguments, on=self.cores, log=log, ready=ready, environment=environment)

    def _load(self, server: Server, name: str, scenario: str, number: int) -> Load:
        items = self.large.items if name == "large" else SMALL.items
        load = server.load(scenario, items=items, seconds=self.seconds, seed=2 * number)
        self.say(f"  {_run(name, scenario)}: {load.cpu_us:,.1f} µs of CPU per request")
        return load

    def _bare(self, items: int, *options: str) -> Load:
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            arguments = (f"{made}/bare.db", items, self.seconds, *options)
            command = [sys.executable, "-m", "benchmarks.bare_sqlite", *map(str, arguments)]
            run = subprocess.run(
                pinned(self.cores.server, command), check=True, capture_output=True, text=True
            )
        seen = json.loads(run.stdout)
        self.say(f"  bare sqlite3: {seen['cpu_s'] / seen['lines'] * 1e6:.2f} µs of CPU per line")
        batches = seen["lines"] // BATCH_LINES
        return Load(
            requests=batches, seconds=seen["seconds"], cpu_s=seen["cpu_s"], lines=BATCH_LINES
        )


def _run(name: str, scenario: str) -> str:
    """What a run is called; those on the small database have no other name than what they do."""
    return scenario if name == "small" else f"{name} {scenario}"


def _check_booked(name: str, runs: Round, booked: int) -> None:
    """Whether a database holds what its server has acknowledged.

    wrk hangs up when its time is over: what was under way then is booked and not counted.
    """
    changes = [one for one, asked in PLAN if name in asked and one != "read"]
    loads = {one: runs[_run(name, one)] for one in changes}
    acknowledged = sum(load.lines_sent for load in loads.values())
    under_way = sum(2 * CONNECTIONS[one] * load.lines for one, load in loads.items())
    if not acknowledged <= booked <= acknowledged + under_way:
        raise MeasurementError(f"{name}: {acknowledged} acknowledged, {booked} booked")


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path.absolute()}"


def _movements(path: Path) -> int:
    """How many movements the file holds; nobody serves it now."""
    database = sqlite3.connect(path)
    count: int = database.execute("SELECT count(*) FROM movement").fetchone()[0]
    database.close()
    return count


def _shapes(server: Server) -> list[Shape]:
    """The names in the answers to an adjust, a hold and a read."""
    asked = (
        _post(f"{server.url}/v1/stock/adjust", BODY),
        _post(f"{server.url}/v1/reservations", HOLD),
        f"{server.url}/v1/stock/SKU-0000001/main",
    )
    return [_shape(_get(request)) for request in asked]


def _post(url: str, body: bytes) -> urllib.request.Request:
    return urllib.request.Request(  # noqa: S310 - a loopback URL of our own
        url, body, {"Content-Type": "application/json"}
    )


def _get(request: urllib.request.Request | str) -> object:
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
        answer: object = json.load(response)
        return answer


def _shape(value: object) -> Shape:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return None
