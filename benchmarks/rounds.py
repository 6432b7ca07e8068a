"""One round of the bench: every server in turn on the same core, asked for the same things."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Sequence
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
        """Everything once, by name; a figure is a ratio of these."""
        runs: dict[str, Load] = {}
        for variant in ("model", "plain"):
            with self._noop(variant) as server:
                runs |= self._loads(
                    server, ("adjust", "reserve", "read"), f"no-op {variant} ", number
                )
        runs |= self._booked("naive", self._naive(), ("adjust", "hot"), "naive ", number)
        runs["bare"] = self._bare(SMALL.items)
        runs["bare unique"] = self._bare(SMALL.items, "unique")
        runs["large bare"] = self._bare(self.large.items)
        both = ("adjust", "hot", "batch", "stretch", "read")
        # Holds come last: they are kept, and the others are measured on goods that have few.
        ours = ("keyed", "batches", *both, "reserve")
        runs |= self._booked("small", self._ours("small"), ours, "", number)
        return runs | self._booked("large", self._ours("large"), both, "large ", number)

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

    def _loads(
        self, server: Server, scenarios: Iterable[str], prefix: str, number: int
    ) -> dict[str, Load]:
        items = self.large.items if prefix == "large " else SMALL.items
        loads = {}
        for scenario in scenarios:
            load = server.load(scenario, items=items, seconds=self.seconds, seed=2 * number)
            self.say(f"  {prefix}{scenario}: {load.cpu_us:,.1f} µs of CPU per request")
            loads[prefix + scenario] = load
        return loads

    def _booked(
        self,
        name: str,
        starting: AbstractContextManager[Server],
        scenarios: Iterable[str],
        prefix: str,
        number: int,
    ) -> dict[str, Load]:
        """The loads of a server whose database afterwards holds what was acknowledged."""
        before = _movements(self._path(name))
        with starting as server:
            loads = self._loads(server, scenarios, prefix, number)
        booked = _movements(self._path(name)) - before
        changes = [run for run in loads if not run.endswith("read")]
        acknowledged = sum(loads[run].lines_sent for run in changes)
        # wrk hangs up when its time is over: what was under way then is booked and not counted.
        under_way = sum(
            2 * CONNECTIONS[run.removeprefix(prefix)] * loads[run].lines for run in changes
        )
        if not acknowledged <= booked <= acknowledged + under_way:
            raise MeasurementError(f"{name}: {acknowledged} acknowledged, {booked} booked")
        return loads

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
