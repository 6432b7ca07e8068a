"""Time and identity: the two things that the rest takes as arguments."""

import os
import time
from collections.abc import Callable

from inventory_api.domain.types import Instant


def now() -> Instant:
    """Microseconds since 1970 UTC, by the system's clock."""
    return Instant(time.time_ns() // 1_000)


def _ticks() -> int:
    """Nanoseconds that only ever pass, sleep of the machine included where the system tells."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyClock:
    """Microseconds since 1970 UTC as they pass, whatever happens to the system's clock.

    It is set once, by the system's clock, and never to a time before `at_least`: what was
    recorded last. A clock that is set back while the service runs, or while it is down, gives no
    hold more life than that; one that is set forward ends nothing while the service runs.
    """

    def __init__(
        self,
        at_least: Instant = Instant(0),  # noqa: B008 - an integer
        *,
        wall: Callable[[], Instant] = now,
        ticks: Callable[[], int] = _ticks,
    ) -> None:
        self._ticks = ticks
        self._start = max(wall(), at_least) * 1_000 - ticks()

    def __call__(self) -> Instant:
        return Instant((self._start + self._ticks()) // 1_000)


def new_id() -> str:
    """A UUID of version 7: the time in milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    high, low = chance >> 68, chance & ((1 << 62) - 1)
    text = f"{milliseconds:012x}7{high & 0xFFF:03x}{0x8000000000000000 | low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
