"""A clock that a test sets."""

from dataclasses import dataclass

from inventory_api.domain.types import Instant

START = Instant(1_700_000_000_000_000)
SECOND = 1_000_000


@dataclass(slots=True)
class SettableClock:
    """Stands still until it is moved, in either direction."""

    now: Instant = START

    def __call__(self) -> Instant:
        return self.now

    def move(self, seconds: float) -> None:
        self.now = Instant(self.now + round(seconds * SECOND))
