"""Answers of any length: how many may be open, how they are sent, and where results wait."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, closing, contextmanager

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from inventory_api.domain.unavailable import Draining, Overloaded
from inventory_api.web.reply import RawHeader

# A client that takes nothing for so long has left without a word. What the server and both
# systems hold for it is gone in that time on a line of 10 kbit/s.
STALL_S = 120.0
# For a live stream to tell its reader that the service ends, before it is broken like the others.
FAREWELL_S = 1.0
# One write to a socket: small beside the server's buffer of 64 KiB, large beside a chunk's frame.
PIECE_BYTES = 32 << 10
SPOOL_MEMORY_BYTES = 1 << 20
# Results that a client leaves unread while it sends: those of some six million rows.
SPOOL_BYTES_MAX = 1 << 30

NDJSON: RawHeader = (b"content-type", b"application/x-ndjson")
CSV: RawHeader = (b"content-type", b"text/csv; charset=utf-8; header=present")


class OpenStreams:
    """The streams that are being sent: so many for each caller, and none when the service ends."""

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[object], Callable[[], None] | None] = {}
        self._is_cut = False

    @contextmanager
    def opened(self, caller: str, farewell: Callable[[], None] | None = None) -> Iterator[None]:
        """One more stream of a caller, sent by the current task, while inside.

        With a `farewell` it has a second to end by itself when all are cut.

        Raises:
            Overloaded: it has too many already.
            Draining: the stream was cut.
        """
        if self._is_cut:
            raise Draining
        if self._open[caller] >= self._limit:
            raise Overloaded
        self._open[caller] += 1
        try:
            with self.cuttable(farewell):
                yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    @contextmanager
    def cuttable(self, farewell: Callable[[], None] | None = None) -> Iterator[None]:
        """The current task waits for a client while inside; raises `Draining` when it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = farewell
        # Whoever gets here after the cut still takes what has come, and is cut when it waits.
        late = asyncio.get_running_loop().call_soon(task.cancel) if self._is_cut else None
        try:
            yield
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
            task.uncancel()
            raise Draining from None
        finally:
            self._tasks.pop(task, None)
            if late is not None:
                late.cancel()

    def cut(self) -> None:
        """Break all that are open: a client that takes its time must not keep a process alive."""
        self._is_cut = True
        loop = asyncio.get_running_loop()
        for task, farewell in self._tasks.items():
            if farewell is None:
                task.cancel()
            else:
                farewell()
                loop.call_later(FAREWELL_S, self._break, task)

    def _break(self, task: asyncio.Task[object]) -> None:
        if task in self._tasks:
            task.cancel()

    def count(self) -> int:
        """How many there are of all callers."""
        return self._open.total()


class StreamReply(Response):
    """An answer that is made while it is sent, each piece when the one before it was taken.

    What fails before the first piece gets a status of its own. After it the connection is
    broken, so that nobody takes a part for the whole. A client that hangs up is noticed between
    two pieces: it cancels nothing inside a read. Pieces that may be long in coming bring a
    `farewell`, which makes them end soon.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        headers: Iterable[RawHeader],
        streams: OpenStreams,
        caller: str,
        stall_s: float = STALL_S,
        farewell: Callable[[], None] | None = None,
    ) -> None:
        self.status_code = 200
        self.raw_headers = list(headers)
        self.background = None
        self._stall_s = stall_s
        self._farewell = farewell
        self._pieces = pieces
        self._streams = streams
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.opened(self._caller, self._farewell):
            gone = asyncio.create_task(disconnected(receive))
            if (farewell := self._farewell) is not None:
                gone.add_done_callback(lambda _: farewell())
            try:
                async with aclosing(self._pieces) as pieces:
                    piece = await anext(pieces, None)
                    await send(start_message(self.raw_headers))
                    if scope["method"] != "HEAD":
                        await self._send_all(piece, pieces, send, gone)
                await send({"type": "http.response.body"})
            finally:
                gone.cancel()
                await asyncio.wait([gone])

    async def _send_all(
        self,
        piece: bytes | None,
        pieces: AsyncGenerator[bytes, None],
        send: Send,
        gone: "asyncio.Task[None]",
    ) -> None:
        while piece is not None:
            async with asyncio.timeout(self._stall_s):
                await send(body_message(piece))
            # A socket that takes everything at once never suspends: the others get their turn.
            await asyncio.sleep(0)
            if gone.done():
                raise ClientDisconnect
            piece = await anext(pieces, None)


class DuplexReply(Response):
    """An answer whose making reads the request at the same time.

    The making writes to a spool and is never held up by a client that does not read yet. As long
    as it runs, a client may take its time; then it has to take what is left. A `farewell` makes the
    making end soon, and by itself.
    """

    def __init__(
        self,
        make: "Callable[[Spool], Awaitable[None]]",
        *,
        headers: Iterable[RawHeader],
        streams: OpenStreams,
        caller: str,
        stall_s: float = STALL_S,
        farewell: Callable[[], None] | None = None,
    ) -> None:
        self.status_code = 200
        self.raw_headers = list(headers)
        self.background = None
        self._stall_s = stall_s
        self._farewell = farewell
        self._make = make
        self._streams = streams
        self._caller = caller
        self._limit: asyncio.Timeout | None = None

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        with self._streams.opened(self._caller, self._farewell), closing(Spool()) as spool:
            making = asyncio.create_task(self._made(spool))
            making.add_done_callback(self._hurry)
            try:
                await send(start_message(self.raw_headers))
                while piece := await spool.read():
                    await self._send(piece, send, making)
                await making
                await send({"type": "http.response.body"})
            finally:
                # One that ends already is not broken off in what it writes last.
                if not making.cancelling():
                    making.cancel()
                await asyncio.wait([making])

    async def _made(self, spool: "Spool") -> None:
        try:
            await self._make(spool)
        finally:
            spool.complete()

    async def _send(self, piece: bytes, send: Send, making: "asyncio.Task[None]") -> None:
        try:
            async with asyncio.timeout(self._stall_s if making.done() else None) as self._limit:
                await send(body_message(piece))
        finally:
            self._limit = None
        await asyncio.sleep(0)

    def _hurry(self, _: "asyncio.Task[None]") -> None:
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._stall_s)


class Spool:
    """Bytes between a writer and a reader that never wait for each other's pace.

    A client that sends all it has before it reads would otherwise wait for a server that waits
    for it. What is unread is in memory, and in a file without a name when it is more.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115 - closed below
        self._start = self._end = 0
        self._is_complete = False
        self._news = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            Overloaded: too much is unread.
        """
        if self._end - self._start + len(data) > SPOOL_BYTES_MAX:
            raise Overloaded
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)
        self._news.set()

    def complete(self) -> None:
        """Nothing more will be written."""
        self._is_complete = True
        self._news.set()

    async def read(self) -> bytes:
        """The next piece, as soon as there is one; empty at the end."""
        while self._start == self._end and not self._is_complete:
            self._news.clear()
            await self._news.wait()
        self._file.seek(self._start)
        data = self._file.read(PIECE_BYTES)
        self._start += len(data)
        if self._start == self._end:
            self._file.seek(0)
            self._file.truncate()
            self._start = self._end = 0
        return data

    def close(self) -> None:
        """Forget everything."""
        self._file.close()


def start_message(headers: Iterable[RawHeader]) -> Message:
    """The beginning of an answer with status 200."""
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def body_message(piece: bytes) -> Message:
    """A part of an answer, not the last one."""
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def disconnected(receive: Receive) -> None:
    """Wait until the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
