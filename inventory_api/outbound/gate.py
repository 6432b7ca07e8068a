"""One host's gate: how many attempts are open, how fast they begin, and the pause it asked for."""

import asyncio

from inventory_api.outbound.errors import Busy
from inventory_api.outbound.limits import HostLimits, Pace

# A token of which so little is missing is there: sums of fractions are never exact.
ROUNDING = 1e-6


class Bucket:
    """Tokens that come at a steady rate and are kept up to a burst."""

    def __init__(self, rate_per_s: float, burst: int, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at_s = now_s

    def delay_s(self, now_s: float) -> float:
        """Seconds until there is a token."""
        self._fill(now_s)
        missing = 1.0 - self._tokens
        return missing / self._rate_per_s if missing > ROUNDING else 0.0

    def take(self) -> None:
        self._tokens -= 1.0

    def _fill(self, now_s: float) -> None:
        gained = (now_s - self._filled_at_s) * self._rate_per_s
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at_s = now_s


class Gate:
    """Lets attempts through in the order in which they came.

    Args:
        total: slots for all hosts together.
        waiting_max: attempts that may wait here; more are refused at once.
        wait_max_s: seconds that each may wait.
    """

    def __init__(
        self,
        limits: HostLimits,
        total: asyncio.Semaphore,
        pace: Pace,
        *,
        waiting_max: int,
        wait_max_s: float,
    ) -> None:
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._total = total
        self._turn = asyncio.Lock()
        self._pace = pace
        self._bucket = Bucket(limits.rate_per_s, limits.burst, pace.ticks())
        self._paused_until_s = 0.0
        self._waiting = 0
        self._waiting_max = waiting_max
        self._wait_max_s = wait_max_s

    async def enter(self) -> None:
        """Wait for a slot and then for a token, so that an attempt begins when its token is taken.

        Raises:
            Busy: too many wait, or it would take too long.
        """
        if self._waiting >= self._waiting_max:
            raise Busy(f"{self._waiting} calls wait for this host")
        self._waiting += 1
        ends_s = self._pace.ticks() + self._wait_max_s
        try:
            async with asyncio.timeout(self._wait_max_s):
                await self._enter(ends_s)
        except TimeoutError:
            raise Busy(f"no slot for this host in {self._wait_max_s:g} s") from None
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Give the slot back."""
        self._total.release()
        self._slots.release()

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while; a shorter pause does not end a longer one."""
        self._paused_until_s = max(self._paused_until_s, self._pace.ticks() + seconds)

    async def _enter(self, ends_s: float) -> None:
        # A pause is known: who can't outlast it need not take a slot from anybody.
        self._refuse_if_too_long(self._pause_left_s(), ends_s)
        await self._slots.acquire()
        try:
            await self._token(ends_s)
        except BaseException:
            self._slots.release()
            raise

    async def _token(self, ends_s: float) -> None:
        """A token, and one of the slots that all hosts share.

        Who sleeps here holds none of the shared slots: hosts that asked for a pause would else
        stop all the others. It is this host's turn, so nobody else takes the token meanwhile.
        """
        async with self._turn:
            while (delay_s := self._delay_s()) > 0 or not await self._share():
                self._refuse_if_too_long(delay_s, ends_s)
                await self._pace.sleep(delay_s)
            self._bucket.take()

    async def _share(self) -> bool:
        """Take a shared slot; given back, and False, if the host asked for a pause meanwhile."""
        await self._total.acquire()
        if self._delay_s() > 0:
            self._total.release()
            return False
        return True

    def _delay_s(self) -> float:
        return max(self._bucket.delay_s(self._pace.ticks()), self._pause_left_s())

    def _pause_left_s(self) -> float:
        return max(0.0, self._paused_until_s - self._pace.ticks())

    def _refuse_if_too_long(self, delay_s: float, ends_s: float) -> None:
        if self._pace.ticks() + delay_s > ends_s:
            raise Busy(
                f"this host is not called for another {delay_s:.1f} s", retry_after_s=delay_s
            )
