"""Whether a host that keeps failing is called at all."""

from collections.abc import Callable

from inventory_api.outbound.errors import BreakerOpen


class Breaker:
    """Opens after so many failures in a row; after a while one probe decides.

    Args:
        failures_max: failures in a row that open it.
        open_s: seconds for which it stays open.
        ticks: seconds that only ever pass.
    """

    def __init__(self, *, failures_max: int, open_s: float, ticks: Callable[[], float]) -> None:
        self._failures_max = failures_max
        self._open_s = open_s
        self._ticks = ticks
        self._failures = 0
        self._open_until_s: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether only a probe would be let through, if anything."""
        return self._open_until_s is not None

    @property
    def has_failures(self) -> bool:
        """Whether there is anything that a new one would not know."""
        return self._failures > 0

    def check(self) -> None:
        """Refuse early what would be refused anyway.

        Raises:
            BreakerOpen: with the seconds until the next probe.
        """
        if self._open_until_s is None:
            return
        left_s = self._open_until_s - self._ticks()
        if left_s > 0 or self._is_probing:
            left_s = max(left_s, 1.0)
            raise BreakerOpen(
                f"this host failed {self._failures} times in a row", retry_after_s=left_s
            )

    def admit(self) -> bool:
        """Let an attempt begin; whether it is the probe, which must end in one of the verdicts.

        Raises:
            BreakerOpen: as `check`.
        """
        self.check()
        self._is_probing = self._open_until_s is not None
        return self._is_probing

    def succeeded(self) -> None:
        self._failures = 0
        self._open_until_s = None
        self._is_probing = False

    def failed(self) -> bool:
        """Count a failure; whether this one opened it."""
        self._is_probing = False
        self._failures += 1
        if self._failures < self._failures_max:
            return False
        was_closed = self._open_until_s is None
        self._open_until_s = self._ticks() + self._open_s
        return was_closed

    def abandoned(self) -> None:
        """The probe ended without a verdict: the next attempt is the probe."""
        self._is_probing = False
