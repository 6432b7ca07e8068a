"""Processes that serve, and wrk asking all of them at once."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import (
    LINES,
    LOAD_SCRIPT,
    STOP_DEADLINE_S,
    MeasurementError,
    cpu_seconds,
    free_port,
    wait_until_ready,
)
from benchmarks.postgres.usage import Waits, Watch, tree_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run saw.

    Attributes:
        lines: per request.
        cpu_s: processor seconds by who took them: server, database, load.
        batches: transactions of the service; 0 where nobody counts them.
    """

    requests: int
    seconds: float
    lines: int = 1
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    batches: int = 0
    waits: Waits = field(default_factory=Waits)

    @property
    def lines_per_s(self) -> float:
        """Lines booked in a second."""
        return self.requests * self.lines / self.seconds

    @property
    def lines_per_batch(self) -> float:
        """Lines of one transaction."""
        return self.requests * self.lines / self.batches if self.batches else float(self.lines)

    def cpu_us(self, *who: str) -> float:
        """Processor microseconds per line of the named ones, or of all."""
        spent = sum(self.cpu_s.get(name, 0.0) for name in who or self.cpu_s)
        return spent / (self.requests * self.lines) * 1e6


@dataclass(frozen=True, slots=True)
class Process:
    """A running server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def batches(self) -> int:
        """How many transactions it has committed so far; 0 if it does not count them."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 - loopback
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0
        counts = (line for line in lines if line.startswith("inventory_batch_commands_count"))
        return round(sum(float(line.split()[-1]) for line in counts))


@contextmanager
def running(
    arguments: Sequence[str], *, log: Path, ready: str, environment: Mapping[str, str]
) -> Iterator[Process]:
    """`python -m …`, with `--port` added, on any core, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Process(process.pid, port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked, by how many connections in all, for how long."""

    scenario: str
    items: int
    connections: int
    seconds: float
    seed: int

    def of(self, processes: Sequence[Process], *, postmaster: int | None, watch_url: str) -> Run:
        """Warm up for a third of the time, then measure; anything but 2xx is an error.

        Raises:
            MeasurementError: an answer was not 2xx, or a connection broke, or nothing was answered.
        """
        self._drive(processes, self.seconds / 3, self.seed)
        before, batches = _spent(processes, postmaster), sum(one.batches() for one in processes)
        load_s = sum(os.times()[2:4])
        with Watch(watch_url) as watch:
            seen = self._drive(processes, self.seconds, self.seed + 1)
        load_s = sum(os.times()[2:4]) - load_s
        cpu_s = {name: now - before[name] for name, now in _spent(processes, postmaster).items()}
        if not (requests := sum(int(one["requests"]) for one in seen)):
            raise MeasurementError(f"{self.scenario}: nothing was answered in {self.seconds:g} s")
        return Run(
            requests=requests,
            seconds=max(one["seconds"] for one in seen),
            lines=LINES.get(self.scenario, 1),
            p50_ms=max(one["p50_ms"] for one in seen),
            p99_ms=max(one["p99_ms"] for one in seen),
            cpu_s={**cpu_s, "load": load_s},
            batches=sum(one.batches() for one in processes) - batches,
            waits=watch.waits,
        )

    def _drive(
        self, processes: Sequence[Process], seconds: float, seed: int
    ) -> list[dict[str, float]]:
        connections = self.connections // len(processes)
        options = (f"--connections={connections}", f"--duration={max(1, round(seconds))}s")
        runs = [
            subprocess.Popen(
                ["wrk", "--latency", "--threads=1", *options, "--timeout=20s",
                 f"--script={LOAD_SCRIPT}", one.url, "--", self.scenario, str(self.items),
                 str(seed + 100 * number)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, one in enumerate(processes)
        ]  # fmt: skip
        seen: list[dict[str, float]] = [
            json.loads(run.communicate()[0].splitlines()[-1]) for run in runs
        ]
        if any(one["refused"] or one["broken"] for one in seen):
            raise MeasurementError(f"{self.scenario}: not every answer was 2xx: {seen}")
        return seen


def _spent(processes: Sequence[Process], postmaster: int | None) -> dict[str, float]:
    database = {} if postmaster is None else {"database": tree_seconds(postmaster)}
    return {"server": sum(cpu_seconds(one.pid) for one in processes), **database}
