"""Streams of any length: rows sent while their results arrive, exports read as they come."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from tests.battery.client import JSON, Connection, request_bytes

Record = dict[str, JSON]
PIECE_BYTES = 64 << 10


async def send_rows(
    port: int,
    path: str,
    rows: Iterable[str],
    *,
    key: str | None = None,
    content_type: str = "text/csv",
    on_result: Callable[[Record], None] = lambda _: None,
    whole: bool = True,
) -> list[Record]:
    """Import rows, lines of text with the header first; all results that arrived.

    If the connection breaks, the last result is not the summary. A body that is not `whole`
    lacks its end, so the server waits for more until somebody breaks off.
    """
    headers = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
    if key is not None:
        headers["Idempotency-Key"] = key
    results: list[Record] = []
    async with Connection(port) as connection:
        await connection.send(_without_length(request_bytes("POST", path, b"", headers)))
        sending = asyncio.create_task(_send_body(connection, rows, whole))
        try:
            status, fields = await connection.head()
            assert status == 200, status
            async for record in _records(connection.pieces(fields)):
                results.append(record)
                on_result(record)
            await sending
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            await asyncio.wait([sending])
    return results


async def export(port: int, path: str) -> AsyncIterator[Record]:
    """The records of an NDJSON export; the last one tells where it stands in the ledger."""
    async with Connection(port) as connection:
        await connection.send(request_bytes("GET", path))
        status, fields = await connection.head()
        assert status == 200, status
        async for record in _records(connection.pieces(fields)):
            yield record


async def _send_body(connection: Connection, rows: Iterable[str], whole: bool) -> None:
    try:
        for piece in _pieces(rows):
            await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        if whole:
            await connection.send(b"0\r\n\r\n")
    except ConnectionError:
        pass  # whoever reads the results finds out too


def _pieces(rows: Iterable[str]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for row in rows:
        waiting.append(row + "\n")
        size += len(row)
        if size > PIECE_BYTES:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()


def _without_length(request: bytes) -> bytes:
    return request.replace(b"Content-Length: 0\r\n", b"")


async def _records(pieces: AsyncIterator[bytes]) -> AsyncIterator[Record]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield json.loads(line)
