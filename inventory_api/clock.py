"""Time and identity: the two things that the rest takes as arguments."""

import os
import time

from inventory_api.domain.types import Instant


def now() -> Instant:
    """Microseconds since 1970 UTC, by the system's clock."""
    return Instant(time.time_ns() // 1_000)


def new_id() -> str:
    """A UUID of version 7: the time in milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    high, low = chance >> 68, chance & ((1 << 62) - 1)
    text = f"{milliseconds:012x}7{high & 0xFFF:03x}{0x8000000000000000 | low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
