"""How much may be asked of other servers, and how long they may take."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What one host can bear.

    In any `t` seconds at most `burst + rate_per_s * t` attempts begin, and never more than
    `concurrency` are open.
    """

    concurrency: int
    rate_per_s: float
    burst: int = 1

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.burst < 1 or self.rate_per_s <= 0:
            raise ValueError(f"{self} lets nothing through")


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """Every bound of the client; each is the setting of its name behind `outbound_`."""

    lookup_timeout_s: float
    connect_timeout_s: float
    write_timeout_s: float
    read_timeout_s: float
    deadline_s: float
    reply_bytes_max: int
    host_concurrency: int
    host_rate_per_s: float
    host_burst: int
    waiting_max: int
    wait_max_s: float
    in_flight_max: int
    hosts_max: int
    keepalive_s: float
    connection_age_max_s: float
    retries: int
    retry_pause_s: float
    retry_pause_max_s: float
    retry_total_s: float
    retry_after_max_s: float
    breaker_failures: int
    breaker_open_s: float

    @property
    def host(self) -> HostLimits:
        """For a host of which nobody knows better."""
        return HostLimits(self.host_concurrency, self.host_rate_per_s, self.host_burst)


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, as arguments.

    Attributes:
        ticks: seconds that only ever pass.
        wall: seconds since 1970, for the dates of other servers.
        chance: a number from 0 to below 1.
    """

    ticks: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
