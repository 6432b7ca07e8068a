"""Stands between the service and PostgreSQL, and breaks the connection at a COMMIT."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL, make_url

SOCKET = ".s.PGSQL.5432"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
When = Literal["before", "after"]
"""Whether the server has done the COMMIT when the connection breaks."""


class CuttingProxy:
    """Passes everything on, until it is told to cut."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._when: When = "before"
        self._marker: bytes | None = None
        self._silent: set[asyncio.Event] = set()
        self._open: set[asyncio.Event] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self.cuts = 0

    def cut(self, when: When, *, marker: str) -> None:
        """Break a connection, once: at the COMMIT behind a message that has the marker in it."""
        self._when, self._marker = when, marker.encode()

    def silence(self) -> None:
        """From now on nothing passes on the connections that are open, and nobody is told."""
        self._silent |= self._open

    async def end(self) -> None:
        """End the silence, and wait until nobody is served any more."""
        for silence in self._silent:
            silence.set()
        serving = [task for task in self._serving if task is not None and not task.done()]
        await asyncio.gather(*serving, return_exceptions=True)

    async def _pause(self, connection: asyncio.Event) -> None:
        if connection in self._silent:
            await connection.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its start to its end."""
        from_server, to_server = await self._connect()
        self._serving.add(asyncio.current_task())
        connection = asyncio.Event()
        self._open.add(connection)
        answers = asyncio.create_task(self._pass_on(connection, from_server, writer))
        try:
            # The first message has no letter in front of its length.
            to_server.write(await _message(reader, lead=0))
            is_marked = False
            while True:
                message = await _message(reader, lead=1)
                await self._pause(connection)
                is_marked |= self._marker is not None and self._marker in message
                if is_marked and message.startswith(b"Q") and b"COMMIT" in message:
                    await self._break(message, to_server, from_server, answers)
                    return
                to_server.write(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            writer.transport.abort()
            to_server.transport.abort()

    async def _pass_on(
        self,
        connection: asyncio.Event,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while piece := await reader.read(1 << 16):
            await self._pause(connection)
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()

    async def _break(
        self,
        commit: bytes,
        to_server: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        answers: "asyncio.Task[None]",
    ) -> None:
        self._marker = None
        self.cuts += 1
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        if self._when == "after":
            to_server.write(commit)
            assert await from_server.read(1), "the server answers when it is done"


async def _message(reader: asyncio.StreamReader, *, lead: int) -> bytes:
    head = await reader.readexactly(lead + 4)
    return head + await reader.readexactly(int.from_bytes(head[lead:]) - 4)


@asynccontextmanager
async def cutting(url: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """A proxy for a database, and the URL through it: a Unix socket, whatever the server has."""
    direct = make_url(url)
    proxy = CuttingProxy(lambda: _connect(direct))
    with tempfile.TemporaryDirectory(prefix="cut") as folder:
        server = await asyncio.start_unix_server(proxy.serve, Path(folder) / SOCKET)
        async with server:
            query = {"host": folder}
            through = URL.create(
                direct.drivername,
                direct.username,
                direct.password,
                None,
                None,
                direct.database,
                query,
            )
            try:
                yield proxy, through.render_as_string(hide_password=False)
            finally:
                await proxy.end()


async def _connect(url: URL) -> Streams:
    if url.host is not None:
        return await asyncio.open_connection(url.host, url.port or 5432)
    folder, port = str(url.query["host"]), url.query.get("port", "5432")
    return await asyncio.open_unix_connection(Path(folder) / f".s.PGSQL.{port}")
