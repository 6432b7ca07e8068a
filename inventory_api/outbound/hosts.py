"""What is known of each host, for as many hosts as there is room for."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import httpcore

from inventory_api.outbound.breaker import Breaker
from inventory_api.outbound.errors import Busy
from inventory_api.outbound.gate import Gate
from inventory_api.outbound.limits import HostLimits, OutboundLimits, Pace


class Key(NamedTuple):
    """Calls that are alike in all of it share a budget and connections; a breaker, if no owner is named."""

    purpose: str
    scheme: str
    host: str
    port: int
    limits: HostLimits


@dataclass(slots=True)
class Host:
    """One host, as one purpose sees it.

    Attributes:
        users: calls that wait for it or are under way.
        free: pools of one connection each, the last used at the end. The gate bounds them; a
            pool of many looks at all of its connections, for each of them, at every request.
    """

    key: Key
    gate: Gate
    new_breaker: Callable[[], Breaker]
    open_pool: Callable[[], httpcore.AsyncConnectionPool]
    used_at_s: float
    users: int = 0
    breakers: dict[str, Breaker] = field(default_factory=dict)
    free: list[httpcore.AsyncConnectionPool] = field(default_factory=list)

    def breaker(self, owner: str) -> Breaker:
        """That of an owner, who is judged by his own failures only."""
        return self.breakers.get(owner) or self.breakers.setdefault(owner, self.new_breaker())

    def forget_well(self) -> None:
        """Keep only breakers that know of a failure: owners come and go."""
        self.breakers = {owner: one for owner, one in self.breakers.items() if one.has_failures}

    @contextmanager
    def connection(self) -> Iterator[httpcore.AsyncConnectionPool]:
        """A connection for one exchange, opened when it is needed."""
        pool = self.free.pop() if self.free else self.open_pool()
        try:
            yield pool
        finally:
            self.free.append(pool)

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self.free:
            await self.free.pop().aclose()


class Hosts:
    """The hosts that were called last; those that nobody calls now make room for others.

    Args:
        open_pool: a pool of one connection.
    """

    def __init__(
        self,
        limits: OutboundLimits,
        pace: Pace,
        open_pool: Callable[[], httpcore.AsyncConnectionPool],
    ) -> None:
        self._limits = limits
        self._pace = pace
        self._open_pool = open_pool
        self._total = asyncio.Semaphore(limits.in_flight_max)
        self._hosts: OrderedDict[Key, Host] = OrderedDict()

    @asynccontextmanager
    async def using(self, key: Key) -> AsyncIterator[Host]:
        """A host, which is not forgotten meanwhile.

        Raises:
            Busy: there is no room for another host.
        """
        host = self._hosts.get(key)
        if host is None:
            await self._make_room()
            # Another call may have brought it while an old one was closed.
            host = self._hosts.get(key) or self._new(key)
        self._hosts.move_to_end(key)
        host.users += 1
        try:
            yield host
        finally:
            host.users -= 1
            if not host.users:
                host.forget_well()
            host.used_at_s = self._pace.ticks()

    async def close_idle(self, idle_s: float) -> None:
        """Close the connections of hosts that nobody called for a while; nothing else is lost."""
        before_s = self._pace.ticks() - idle_s
        for host in list(self._hosts.values()):
            if host.users == 0 and host.used_at_s <= before_s:
                await host.close()

    async def close(self) -> None:
        """Close every connection."""
        while self._hosts:
            await self._hosts.popitem()[1].close()

    def _new(self, key: Key) -> Host:
        limits = self._limits
        host = Host(
            key=key,
            gate=Gate(
                key.limits,
                self._total,
                self._pace,
                waiting_max=limits.waiting_max,
                wait_max_s=limits.wait_max_s,
            ),
            new_breaker=lambda: Breaker(
                failures_max=limits.breaker_failures,
                open_s=limits.breaker_open_s,
                ticks=self._pace.ticks,
            ),
            open_pool=self._open_pool,
            used_at_s=self._pace.ticks(),
        )
        self._hosts[key] = host
        return host

    async def _make_room(self) -> None:
        while len(self._hosts) >= self._limits.hosts_max:
            idle = next((key for key, host in self._hosts.items() if host.users == 0), None)
            if idle is None:
                raise Busy(f"{len(self._hosts)} hosts are being called")
            await self._hosts.pop(idle).close()
