"""Connections that lead to checked addresses only.

Every connection of the client is made here, so there is no moment between the check of a name
and its use: the address that is connected to is the one that was checked. TLS and the Host
header never see the address; they are about the name.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from inventory_api.outbound.addresses import Address, literal
from inventory_api.outbound.errors import ForbiddenAddress, TooSlow, Unreachable
from inventory_api.outbound.targets import Policy
from inventory_api.telemetry import get_logger

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses behind a name, the best first."""
SocketOption = Any  # Any: httpcore's own union, which is passed on

# Tried one after the other; more would only share the time to connect among hopeless ones.
ADDRESSES_MAX = 4
# A name server that hangs takes a thread for as long as the system's resolver waits for it.
LOOKUPS_MAX = 16

logger = get_logger(__name__)


class SystemResolver:
    """The system's resolver in threads of its own, so that a slow name delays nobody else."""

    def __init__(self) -> None:
        # Threads start with the first lookups, not now.
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return [str(address[4][0]) for address in found]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up, checks what is behind it, and connects to nothing else.

    Args:
        age_max_s: seconds after which a connection that is free is not used again, so that
            the addresses of a busy host are looked up and checked at least so often.
    """

    def __init__(
        self,
        policy: Policy,
        resolver: Resolver,
        *,
        lookup_timeout_s: float,
        age_max_s: float,
        ticks: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._lookup_timeout_s = lookup_timeout_s
        self._age_max_s = age_max_s
        self._ticks = ticks
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the addresses of the name that may be called.

        Raises:
            ForbiddenAddress: none of them may.
            TooSlow, Unreachable: the name could not be looked up.
        """
        addresses = await self._addresses(host, port)
        assert timeout is not None, "every attempt has a timeout for connecting"
        ends_s = self._ticks() + timeout
        for count, address in enumerate(addresses, start=1):
            share_s = max(ends_s - self._ticks(), 0.0) / (len(addresses) - count + 1)
            try:
                stream = await self._plain.connect_tcp(
                    str(address), port, share_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if count == len(addresses):
                    raise
            else:
                return AgeingStream(stream, self._age_max_s, self._ticks)
        raise AssertionError("there is at least one address")

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Those that may be called, the best first; looked up anew each time."""
        found = await self._look_up(host, port)
        if not found:
            raise Unreachable(f"the name {host} has no address")
        refusals = {address: self._policy.refusal(host, port, address) for address in found}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            address, kind = next(iter(refusals.items()))
            logger.warning(
                "outbound_forbidden", host=host, port=port, address=str(address), kind=kind
            )
            raise ForbiddenAddress(f"the name {host} leads to an address that is not public")
        return allowed[:ADDRESSES_MAX]

    async def _look_up(self, host: str, port: int) -> list[Address]:
        if (address := literal(host)) is not None:
            return [address]
        try:
            async with asyncio.timeout(self._lookup_timeout_s):
                texts = await self._resolver(host, port)
        except TimeoutError:
            raise TooSlow(f"the name {host} was not resolved in time") from None
        except OSError as error:
            raise Unreachable(f"the name {host} can't be resolved") from error
        addresses = (literal(text) for text in texts)
        return [address for address in addresses if address is not None]


class AgeingStream(httpcore.AsyncNetworkStream):
    """A connection that is not used for a further request once it is old."""

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, age_max_s: float, ticks: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._age_max_s = age_max_s
        self._ticks = ticks
        self._opened_at_s = ticks()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return AgeingStream(stream, self._age_max_s, self._ticks)

    def get_extra_info(self, info: str) -> Any:  # Any: whatever httpcore asks for
        # An idle connection with something to read was closed by the server: the pool gives it up
        # before the next request. That is asked of idle connections only.
        if info == "is_readable" and self._ticks() - self._opened_at_s > self._age_max_s:
            return True
        return self._stream.get_extra_info(info)


def _look_up(host: str, port: int) -> list[Any]:  # Any: five fields, of which one is wanted
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
