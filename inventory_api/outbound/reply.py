"""A reply while it comes in: bounded in bytes and in time, and never decoded."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import httpcore

from inventory_api.outbound.errors import (
    BadReply,
    Busy,
    OutboundError,
    TooLarge,
    TooSlow,
    Unreachable,
)

T = TypeVar("T")

# What httpcore and h11 say when the other side hangs up in the middle.
_ENDED_EARLY = ("Server disconnected", "peer closed connection")


class Patience:
    """The time that an attempt may spend waiting for the other server, in all.

    A server that sends a byte now and then passes every timeout for reading, but not this.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left_s = seconds

    @contextmanager
    def _measured(self) -> Iterator[None]:
        clock = asyncio.get_running_loop().time
        started_s = clock()
        try:
            yield
        finally:
            self._left_s -= clock() - started_s

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of something that waits for the other server.

        Raises:
            OutboundError: in our words, whatever went wrong.
        """
        with translated(self._seconds), self._measured():
            async with asyncio.timeout(max(self._left_s, 0.0)):
                return await awaitable


class OutboundStream:
    """A reply whose body is still to be read: `async for piece in stream`.

    Attributes:
        headers: by names in lower case; repeated ones joined by commas.
        retry_after_s: seconds that the reply asks to wait, bounded; None if it does not.
        failure: what went wrong while the body was read.
    """

    def __init__(
        self,
        response: httpcore.Response,
        patience: Patience,
        *,
        bytes_max: int,
        headers: Mapping[str, str],
        retry_after_s: float | None,
    ) -> None:
        self.status = response.status
        self.headers = headers
        self.retry_after_s = retry_after_s
        self.failure: OutboundError | None = None
        self._response = response
        self._patience = patience
        self._bytes_max = bytes_max
        self._bytes_read = 0
        self._pieces: AsyncIterator[bytes] | None = None

    @property
    def is_framed(self) -> bool:
        """Whether a body that ends too early is noticed: its length was told in some way."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    def __aiter__(self) -> "OutboundStream":
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            TooLarge, TooSlow, Unreachable, BadReply: the body is not whole and never will be.
        """
        if self.failure is not None:
            raise self.failure
        try:
            return await self._next()
        except OutboundError as error:
            self.failure = error
            raise

    async def read(self) -> bytes:
        """The whole body, or what is left of it."""
        return b"".join([piece async for piece in self])

    async def aclose(self) -> None:
        """Let the connection go: to be used again if the body was read, else closed."""
        await self._response.aclose()

    async def _next(self) -> bytes:
        if self._pieces is None:
            self._refuse_early()
            self._pieces = self._response.aiter_stream()
        piece = await self._patience.wait(anext(self._pieces, b""))
        if not piece:
            raise StopAsyncIteration
        self._bytes_read += len(piece)
        if self._bytes_read > self._bytes_max:
            raise TooLarge(f"the body is longer than {self._bytes_max} bytes")
        return piece

    def _refuse_early(self) -> None:
        """What the header says already. Nothing is decoded, so nothing can grow when decoded."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise BadReply("the body is compressed, although that was not asked for")
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._bytes_max:
            raise TooLarge(f"the body is longer than {self._bytes_max} bytes")


@contextmanager
def translated(deadline_s: float) -> Iterator[None]:
    """Our errors instead of the engine's."""
    try:
        yield
    except TimeoutError:
        raise TooSlow(f"the attempt took longer than {deadline_s:g} s") from None
    except httpcore.PoolTimeout as error:
        raise Busy("no connection is free") from error
    except httpcore.TimeoutException as error:
        raise TooSlow(_PHASES.get(type(error), "the server took too long")) from error
    except httpcore.NetworkError as error:
        raise Unreachable(_broken(error)) from error
    except httpcore.ProtocolError as error:
        if str(error).startswith(_ENDED_EARLY):
            raise Unreachable("the connection ended before the reply did") from error
        raise BadReply("the reply is no HTTP, or its header is too large") from error


_PHASES: dict[type[Exception], str] = {
    httpcore.ConnectTimeout: "the server took too long to accept the connection",
    httpcore.ReadTimeout: "the server took too long to answer",
    httpcore.WriteTimeout: "the server took too long to take the request",
}


def _broken(error: httpcore.NetworkError) -> str:
    """Why, without the address that the system's message has in it."""
    # The engine raises `from None`, which keeps the context.
    reason = error.__context__
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return f"no TLS connection: {reason.reason}"
    if isinstance(error, httpcore.ConnectError):
        return "nobody accepts the connection"
    return "the connection broke"
