"""The application behind a real server and real sockets, in the test's own event loop.

The sockets have small buffers: little is needed to make one side wait for the other.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from inventory_api.app import create_app
from inventory_api.service import Service
from inventory_api.web.protocol import ConnectionLimits, guarded
from inventory_api.web.streams import OpenStreams

DEADLINE_S = 30.0
PIECE_BYTES = 50_000


@dataclass(frozen=True, slots=True)
class Served:
    """A service that listens, and what it must have given back when all clients are gone."""

    service: Service
    port: int
    streams: OpenStreams

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def in_use(self) -> tuple[int, int, int]:
        """Open streams, connections to the database, tasks."""
        return self.streams.count(), self.service.database.checked_out(), len(asyncio.all_tasks())

    async def at_rest(self) -> tuple[int, int, int]:
        """What is in use when no background loop is just reading."""
        async with asyncio.timeout(DEADLINE_S):
            while self.service.database.checked_out():  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.01)
        return self.in_use

    async def until_in_use(self, expected: tuple[int, int, int]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.in_use != expected:  # noqa: ASYNC110 - counts have no event
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def request(self, method: str, path: str, *headers: str) -> AsyncIterator["Dialogue"]:
        """The head of a request on a connection of its own."""
        sock = socket.socket()
        _shrink(sock)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=8192)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield Dialogue(reader, writer)
        finally:
            writer.transport.abort()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=DEADLINE_S)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A request and its chunked answer, piece by piece."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            self.writer.write(data[start : start + PIECE_BYTES])
            await self.writer.drain()

    async def send_chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def chunk(self) -> bytes:
        """The next chunk; empty at the answer's end. Raises if the connection breaks instead."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        """All chunks to the answer's end."""
        found = []
        while data := await self.chunk():
            found.append(data)
        return b"".join(found)


class _Server(uvicorn.Server):
    """One that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

    @asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        serving = asyncio.create_task(self.serve([listener]))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self.has_started.wait()
            yield
        finally:
            self.should_exit = True
            await serving


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[Served]:
    app = create_app(service)
    config = uvicorn.Config(
        app,
        http=guarded(ConnectionLimits()),
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _shrink(listener)
        async with _Server(config).listening(listener):
            yield Served(service, listener.getsockname()[1], app.state.edge.streams)


def _shrink(sock: socket.socket) -> None:
    """Buffers so small that whoever sends soon has to wait for the other side."""
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, buffer, 8192)
