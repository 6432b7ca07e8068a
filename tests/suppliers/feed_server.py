"""A supplier's server: what it answers, what it was asked, and whether its limits were kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

JSON = Any  # Any: JSON values


class Asked(NamedTuple):
    """A request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer.

    Attributes:
        is_framed: whether the header tells the body's length.
        missing: bytes that the header promises and that never come.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_framed: bool = True
    missing: int = 0


Answer = Callable[[Asked], Told | Awaitable[Told]]


class FeedServer:
    """Listens on a port of its own; `answer` may be replaced at any time."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stock"

    async def __aenter__(self) -> "FeedServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                asked = _asked(await reader.readuntil(b"\r\n\r\n"))
                self.asked.append(asked)
                found = self.answer(asked)
                told = found if isinstance(found, Told) else await found
                writer.write(_head(told) + told.body)
                await writer.drain()
                if told.missing or not told.is_framed:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class Limited:
    """Pages of a list behind limits; every so many calls it says 429 although they are kept.

    Attributes:
        violations: calls beyond the limits.
        busiest: the most calls in any second, and the most at once.
    """

    def __init__(
        self,
        rows: int,
        *,
        size: int = 500,
        concurrency: int = 5,
        rate_per_s: int = 20,
        refuses_every: int = 40,
        work_s: float = 0.0,
    ) -> None:
        self._rows = rows
        self._size = size
        self._concurrency = concurrency
        self._rate_per_s = rate_per_s
        self._refuses_every = refuses_every
        self._work_s = work_s
        self._open = 0
        self._tokens, self._filled_at_s = float(concurrency), 0.0
        self.arrivals_s: list[float] = []
        self.open_max = 0
        self.refused = 0
        self.violations = 0

    @property
    def busiest_second(self) -> int:
        at = self.arrivals_s
        return max(sum(start <= one < start + 1 for one in at) for start in at)

    async def __call__(self, asked: Asked) -> Told:
        self._open += 1
        self.open_max = max(self.open_max, self._open)
        try:
            return await self._admitted(asked)
        finally:
            self._open -= 1

    async def _admitted(self, asked: Asked) -> Told:
        if not self._is_kept():
            self.violations += 1
            return Told(status=429, headers={"retry-after": "1"})
        if len(self.arrivals_s) % self._refuses_every == 0:
            self.refused += 1
            return Told(status=429, headers={"retry-after": "1"})
        await asyncio.sleep(self._work_s)
        first = (int(asked.query["page"]) - 1) * self._size
        last = min(first + self._size, self._rows)
        return listed({sku(n): quantity(n) for n in range(first, last)}, total=self._rows)

    def _is_kept(self) -> bool:
        """At most so many at once; so many a second, of which a few may come close together."""
        now_s = asyncio.get_running_loop().time()
        self.arrivals_s.append(now_s)
        gained = (now_s - self._filled_at_s) * self._rate_per_s
        self._tokens = min(float(self._concurrency), self._tokens + gained) - 1
        self._filled_at_s = now_s
        return self._tokens >= 0 and self._open <= self._concurrency


def sku(number: int) -> str:
    return f"S{number:06d}"


def quantity(number: int) -> int:
    return number % 97 + 1


def listed(levels: Mapping[str, JSON], *, total: int | None = None, **headers: str) -> Told:
    """A list in JSON: `{"items": [{"sku":…,"quantity":…}], "total":…}`."""
    rows = [{"sku": sku, "quantity": units} for sku, units in levels.items()]
    around = {} if total is None else {"total": total}
    return Told(json.dumps({**around, "items": rows}).encode(), headers=headers)


def _asked(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    url = urlsplit(first.split(" ")[1])
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    return Asked(url.path, dict(parse_qsl(url.query)), headers)


def _head(told: Told) -> bytes:
    lines = [f"HTTP/1.1 {told.status} X"]
    lines += [f"{name}: {value}" for name, value in told.headers.items()]
    if told.is_framed:
        lines.append(f"content-length: {len(told.body) + told.missing}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
