"""The service as a real process: started on a free port, killed, stopped, started again."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

START_DEADLINE_S = 60.0  # a machine that runs the other tests on every core is slow
STOP_DEADLINE_S = 60.0
POLL_S = 0.02
HOST = "127.0.0.1"


class Stopped(NamedTuple):
    """How a process ended, and how long that took."""

    code: int
    seconds: float


class Serving(Protocol):
    """One process that serves a database, or several."""

    database_url: str

    @property
    def ports(self) -> Sequence[int]:
        """Of the processes that run."""

    def terminate(self) -> Stopped:
        """Ask all of them to stop; the worst exit code and how long it took."""


class ServerProcess:
    """A context manager: entering starts the process and waits until it is ready.

    Args:
        folder: gets the log, and a database file unless `database_url` names another database.
        environment: settings, such as `{"INVENTORY_CHANGE_DEADLINE_S": "0.01"}`.
        wrapper: a command that starts the given one in its own process, such as `strace -D`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        demo: bool = True,
        database_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.database_url = database_url or f"sqlite+aiosqlite:///{folder / 'inventory.db'}"
        self.log = folder / "server.log"
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.environment = dict(environment or {})
        self.wrapper = list(wrapper)
        self._arguments = ["--demo"] if demo else []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_running:
            self.kill()

    def start(self) -> float:
        """Start the process and wait for /readyz; the seconds that took.

        Raises:
            RuntimeError: it ended instead; the message has the end of its log.
            TimeoutError: it is still not ready at the deadline.
        """
        began = time.monotonic()
        self.launch()
        try:
            wait_until(self._is_ready, START_DEADLINE_S, f"{self.url} is ready")
        except BaseException:
            self.process.kill()
            raise
        return time.monotonic() - began

    def launch(self) -> None:
        """Start the process and wait for nothing."""
        assert not self.is_running, "it runs already"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("INVENTORY_")}
        command = [*self.wrapper, sys.executable, "-m", "inventory_api", "serve", *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, "INVENTORY_DATABASE_URL": self.database_url, **self.environment},
            )

    def restart(self) -> float:
        """Start again on the same port and file, killing what still runs; the seconds to ready."""
        if self.is_running:
            self.kill()
        return self.start()

    def kill(self) -> None:
        """SIGKILL: no handler runs."""
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self, sig: signal.Signals = signal.SIGTERM) -> Stopped:
        """Ask it to stop; its exit code and how long it took."""
        began = time.monotonic()
        self.signal(sig)
        return Stopped(self.wait(), time.monotonic() - began)

    def signal(self, sig: signal.Signals) -> None:
        """Send a signal and wait for nothing."""
        self.process.send_signal(sig)

    def wait(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """Wait for the process's end; its exit code, negative if a signal ended it.

        Raises:
            TimeoutExpired: it did not end in time, and was killed.
        """
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ports(self) -> Sequence[int]:
        return (self.port,)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def database(self) -> Path:
        """The file of a database that is one."""
        assert self.database_url.startswith("sqlite"), "it is no file"
        return Path(self.database_url.removeprefix("sqlite+aiosqlite:///"))

    @property
    def rss_bytes(self) -> int:
        """Memory that is resident now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def sockets(self) -> int:
        """Open connections, and a few sockets of the server's own."""
        links = Path(f"/proc/{self.pid}/fd").iterdir()
        return sum(_target(link).startswith("socket:") for link in links)

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def wal_bytes(self) -> int:
        """The size of a file's write-ahead log; a server's is none of the process's business."""
        if not self.database_url.startswith("sqlite"):
            return 0
        try:
            return os.stat(f"{self.database}-wal").st_size
        except FileNotFoundError:
            return 0

    def log_text(self) -> str:
        """Everything that all processes so far have written."""
        return self.log.read_text(errors="replace")

    def _is_ready(self) -> bool:
        if not self.is_running:
            code = self.process.returncode
            raise RuntimeError(f"the server ended with {code}:\n{self.log_text()[-4000:]}")
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return "closed meanwhile"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(is_true: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Poll until a condition holds.

    Raises:
        TimeoutError: it does not hold at the deadline.
    """
    deadline = time.monotonic() + deadline_s
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {deadline_s} s")
        time.sleep(POLL_S)
