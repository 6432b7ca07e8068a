"""Whether and when an attempt is made again."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from inventory_api.outbound.errors import OutboundError, TooSlow, Unreachable
from inventory_api.outbound.limits import OutboundLimits, Pace

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
# Too many requests, and the three by which a proxy says that nobody is behind it now.
WORTH_A_RETRY = frozenset({429, 502, 503, 504})
FAILURES = frozenset({502, 503, 504})
"""Statuses that count against a host; any other is the answer of a living one."""


class Retries:
    """How often one call may still be tried.

    Args:
        retries: attempts after the first.
    """

    def __init__(self, retries: int, limits: OutboundLimits, pace: Pace) -> None:
        self._left = retries
        self._made = 0
        self._limits = limits
        self._pace = pace
        self._ends_s = pace.ticks() + limits.retry_total_s
        self._pause_s = 0.0

    def allow(self, result: int | OutboundError) -> bool:
        """Whether another attempt may follow a status or an error; if so, `pause` comes next."""
        is_worth_it = (
            result in WORTH_A_RETRY
            if isinstance(result, int)
            else isinstance(result, (Unreachable, TooSlow))
        )
        self._pause_s = pause_s(
            self._made,
            chance=self._pace.chance(),
            first_s=self._limits.retry_pause_s,
            max_s=self._limits.retry_pause_max_s,
        )
        is_in_time = self._pace.ticks() + self._pause_s < self._ends_s
        return is_worth_it and is_in_time and self._left > 0

    async def pause(self) -> None:
        """Wait before the next attempt. A pause that the host asked for is its gate's business."""
        self._left -= 1
        self._made += 1
        await self._pace.sleep(self._pause_s)


def pause_s(retry: int, *, chance: float, first_s: float, max_s: float) -> float:
    """Seconds before a retry, counted from 0: anything up to a bound that doubles each time.

    The whole span is chance, so that callers which failed together do not come back together.
    """
    return float(chance * min(max_s, first_s * 2.0 ** min(retry, 32)))


def retry_after_s(headers: Mapping[str, str], *, now_s: float, max_s: float) -> float | None:
    """Seconds that a reply asks to wait, from 0 to `max_s`; None if it does not say, or nonsense.

    Args:
        headers: by names in lower case.
        now_s: seconds since 1970; the reply may name a date.
        max_s: seconds that no reply can exceed.
    """
    text = headers.get("retry-after", "").strip()
    if not text or len(text) > 40:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), max_s)
    try:
        date = parsedate_to_datetime(text)
        # A date without a zone is UTC: HTTP knows no other.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), max_s)
