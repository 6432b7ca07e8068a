"""A client of raw sockets: it can be slow, hang up or send half a request, and takes little CPU."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

JSON = Any  # Any: whatever a JSON document holds
ANSWER_DEADLINE_S = 60.0
LINE_BYTES_MAX = 1 << 20
# A connection that lingers for zero seconds is reset when it is closed.
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    """One HTTP answer that arrived whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> JSON:
        return json.loads(self.body)


class Connection:
    """One connection that is kept alive; it opens itself when it is needed.

    Raises:
        ConnectionError: the connection cannot be made, or ended before the answer was whole.
        TimeoutError: there is no answer after a minute, which nothing here may take.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(self, path: str, body: JSON, *, key: str | None = None) -> Answer:
        return await self.send_json("POST", path, body, key=key)

    async def send_json(
        self, method: str, path: str, body: JSON, *, key: str | None = None
    ) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.request(method, path, json.dumps(body).encode(), headers)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and wait for its whole answer."""
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await self.send(request_bytes(method, path, body, headers))
                return await self.answer()
        except BaseException:
            # What is left in the connection belongs to nobody.
            self.close()
            raise

    async def open(self) -> None:
        """Connect, unless connected."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=LINE_BYTES_MAX
            )

    async def send(self, some: bytes) -> None:
        """Send bytes as they are."""
        await self.open()
        assert self._writer is not None
        self._writer.write(some)
        await self._writer.drain()

    async def answer(self) -> Answer:
        """Wait for the next whole answer."""
        status, headers = await self.head()
        body = b"".join([piece async for piece in self.pieces(headers)])
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)

    async def head(self) -> tuple[int, Mapping[str, str]]:
        """Wait for the status and the headers of an answer."""
        head = await self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def pieces(self, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        assert self._reader is not None
        try:
            if headers.get("transfer-encoding") == "chunked":
                while size := int(await self._until(b"\r\n"), 16):
                    yield (await self._reader.readexactly(size + 2))[:-2]
                await self._until(b"\r\n")
            else:
                yield await self._reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("it ended within an answer") from error

    def reset(self) -> None:
        """Hang up at once: the server's next read or write fails."""
        if self._writer is not None:
            wire: socket.socket = self._writer.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            self._writer.transport.abort()
            self._reader = self._writer = None

    def close(self) -> None:
        """Hang up politely."""
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None

    async def _until(self, end: bytes) -> bytes:
        assert self._reader is not None
        try:
            return await self._reader.readuntil(end)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("it ended before an answer") from error


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    fields = {"Content-Type": "application/json"} if body else {}
    lines += [f"{name}: {value}" for name, value in {**fields, **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
