"""One server process on one core, wrk on another, and the CPU time that the server took."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BATCH_LINES = 1_000
CONNECTIONS = {
    "adjust": 64,
    "hot": 64,
    "keyed": 64,
    "read": 64,
    "reserve": 64,
    # One call after the other makes one transaction of each, as in the bare loop; several at once
    # share transactions, and pages of levels that they have in common.
    "batch": 1,
    "stretch": 1,
    "batches": 8,
}
LINES = {"batch": BATCH_LINES, "stretch": BATCH_LINES, "batches": BATCH_LINES}
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 20.0
LOAD_SCRIPT = Path(__file__).with_name("load.lua")


class MeasurementError(RuntimeError):
    """The figure would not mean what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of wrk saw, and the CPU seconds the server spent on it.

    Attributes:
        warm_up: requests before the measurement.
        foreign_s: CPU seconds that others took on the server's core meanwhile.
        lines: per request.
    """

    requests: int
    seconds: float
    cpu_s: float
    lines: int
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    foreign_s: float = 0.0
    warm_up: int = 0

    @property
    def cpu_us(self) -> float:
        """Server CPU microseconds per request."""
        return self.cpu_s / self.requests * 1e6

    @property
    def cpu_us_per_line(self) -> float:
        """Server CPU microseconds per line of a request."""
        return self.cpu_us / self.lines

    @property
    def foreign(self) -> float:
        """The share of the server's core that others took."""
        return self.foreign_s / self.seconds

    @property
    def lines_sent(self) -> int:
        """Lines of all answered requests."""
        return (self.warm_up + self.requests) * self.lines


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core serves and which one makes the load."""

    server: int
    load: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process."""

    pid: int
    port: int
    cores: Cores

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def load(self, scenario: str, *, items: int, seconds: float, seed: int) -> Load:
        """Warm up for a third of `seconds`, then measure; anything but 2xx is an error.

        Raises:
            MeasurementError: an answer was not 2xx, or a connection broke, or nothing was answered.
        """
        warm_up = _wrk(self, scenario, items=items, seconds=seconds / 3, seed=seed)
        core_s, cpu_s = core_seconds(self.cores.server), cpu_seconds(self.pid)
        seen = _wrk(self, scenario, items=items, seconds=seconds, seed=seed + 1)
        cpu_s = cpu_seconds(self.pid) - cpu_s
        core_s = core_seconds(self.cores.server) - core_s
        if not seen["requests"]:
            raise MeasurementError(f"{scenario}: nothing was answered in {seconds:g} s")
        return Load(
            requests=int(seen["requests"]),
            seconds=seen["seconds"],
            cpu_s=cpu_s,
            lines=LINES.get(scenario, 1),
            p50_ms=seen["p50_ms"],
            p99_ms=seen["p99_ms"],
            foreign_s=max(0.0, core_s - cpu_s),
            warm_up=int(warm_up["requests"]),
        )


def cores() -> Cores:
    """Two cores of those this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise MeasurementError("Two cores are needed: one serves, the other makes the load.")
    return Cores(server=allowed[0], load=allowed[-1])


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def core_seconds(core: int) -> float:
    """Time that a core has not been idle since the machine started."""
    lines = Path("/proc/stat").read_text().splitlines()
    fields = next(line.split() for line in lines if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, on one core only."""
    return ["taskset", "--cpu-list", str(core), *command]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(
    arguments: Sequence[str], *, on: Cores, log: Path, ready: str, environment: Mapping[str, str]
) -> Iterator[Server]:
    """`python -m …` on the server's core, with `--port` added, until the block ends.

    It is ready when the path `ready` answers with any status below 500.
    """
    port = free_port()
    command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(on.server, command),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(process.pid, port, on)
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Returns when the URL answers with any status below 500."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise MeasurementError(f"{url} does not answer:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - a loopback URL of our own
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _wrk(
    server: Server, scenario: str, *, items: int, seconds: float, seed: int
) -> dict[str, float]:
    command = [
        "wrk",
        "--latency",
        "--threads=1",
        f"--connections={CONNECTIONS[scenario]}",
        f"--duration={max(1, round(seconds))}s",
        "--timeout=20s",
        f"--script={LOAD_SCRIPT}",
        server.url,
        "--",
        scenario,
        str(items),
        str(seed),
    ]
    run = subprocess.run(
        pinned(server.cores.load, command), capture_output=True, text=True, check=True
    )
    seen: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    if seen["refused"] or seen["broken"]:
        raise MeasurementError(f"{scenario}: not every answer was 2xx: {seen}")
    return seen
