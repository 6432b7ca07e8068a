"""Servers of raw bytes that behave as badly as a test wants, and a client to call them with."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from prometheus_client import CollectorRegistry

from inventory_api.outbound.addresses import HostList
from inventory_api.outbound.client import Outbound
from inventory_api.outbound.limits import OutboundLimits, Pace
from inventory_api.outbound.messages import OutboundRequest
from inventory_api.outbound.targets import Policy
from inventory_api.settings import Settings

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIMITS = OutboundLimits(
    **{
        field.name: Settings.model_fields[f"outbound_{field.name}"].default
        for field in fields(OutboundLimits)
    }
)


class Peer:
    """Gives its answers one after the other, and the last one again and again."""

    def __init__(
        self,
        *answers: Answer,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answers = list(answers)
        self._host = host
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = port

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}/hook"

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(
            self._accept, self._host, self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                self.requests.append(await _request(reader))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


def reply(status: int = 200, body: bytes = b"ok", **headers: str) -> Answer:
    """A whole answer; `retry_after="1"` is the header Retry-After."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(text: bytes, *, hangs_up: bool = False) -> Answer:
    """Some bytes, whatever they are."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        if hangs_up:
            writer.close()
            raise ConnectionResetError

    return answer


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """No answer, for as long as the client waits."""
    await reader.read()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The connection breaks."""
    writer.transport.abort()
    raise ConnectionResetError


def endless(
    piece: bytes = b"x" * 8_192, *, start: bytes = b"HTTP/1.1 200 OK\r\n\r\n", every_s: float = 0
) -> Answer:
    """The same piece for ever; slowly, if `every_s` says so."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)  # the slowness is the point

    return answer


@dataclass
class Still:
    """Time that passes only while somebody sleeps, and chance that is always the same."""

    now_s: float = 1_000.0
    chance: float = 0.5
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    @property
    def pace(self) -> Pace:
        return Pace(
            ticks=lambda: self.now_s,
            sleep=self.sleep,
            wall=lambda: 1_700_000_000.0,
            chance=lambda: self.chance,
        )


class Rebinding:
    """Answers each question with the next list of addresses, and with the last one again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def calling(
    *named: str,
    plain: Sequence[str] = (),
    pace: Pace | None = None,
    limits: OutboundLimits = LIMITS,
    **others: Any,
) -> Outbound:
    """A client that may call these hosts, also by http; Any: arguments of the client."""
    registry = others.pop("registry", CollectorRegistry())
    policy = Policy(private=HostList.parse(named), plain=HostList.parse([*named, *plain]))
    return Outbound(policy, limits, registry=registry, pace=pace, **others)


def limited(**changes: Any) -> OutboundLimits:
    """The usual limits, but for these; Any: their values."""
    return replace(LIMITS, **changes)


def get(url: str, **others: Any) -> OutboundRequest:
    """A call that may be repeated; Any: fields of the request."""
    return OutboundRequest("GET", url, "supplier", **others)


def post(url: str, **others: Any) -> OutboundRequest:
    """A call that may not; Any: fields of the request."""
    return OutboundRequest("POST", url, "webhook", **{"body": b"{}", **others})
