"""Live streams: what a follower of the feed is sent, as long as it, its key and the service live."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from inventory_api.domain.types import Movement
from inventory_api.domain.unavailable import Draining
from inventory_api.feed import Feed, Follower, TooSlow, Wanted
from inventory_api.web.events import Form
from inventory_api.web.problem_kinds import HTTPCode

# One write to a socket: some 50 KiB.
PIECE_MOVEMENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a stream keeps itself alive; meaning and reasons as in settings.py."""

    heartbeat_s: float
    retry_s: float


class LiveStream:
    """One reader's stream: `pieces` makes it, `end` makes it say farewell soon.

    Args:
        is_admitted: whether the reader's key still allows what it allowed at the beginning.
    """

    def __init__(
        self,
        feed: Feed,
        form: Form,
        pace: Pace,
        *,
        after: int,
        wanted: Wanted,
        is_admitted: Callable[[], Awaitable[bool]],
    ) -> None:
        self._feed = feed
        self._form = form
        self._pace = pace
        self._wanted = wanted
        self._is_admitted = is_admitted
        # Everything wanted up to here was sent.
        self._sent = after
        self._is_ending = False
        self._follower: Follower | None = None

    def end(self) -> None:
        """The client has gone, or the service stops."""
        self._is_ending = True
        if self._follower is not None:
            self._follower.wake()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The stream, until it ends with the reason for which it does."""
        yield self._form.opening(self._sent, self._pace.retry_s)
        async with self._feed.follow(after=self._sent, wanted=self._wanted) as follower:
            self._follower = follower
            try:
                async with aclosing(self._live(follower)) as pieces:
                    async for piece in pieces:
                        yield piece
            except TooSlow:
                yield self._form.notice("lagging", self._sent, "too_slow")
            except Draining:
                yield self._form.notice("closing", self._sent, Draining.code)

    async def _live(self, follower: Follower) -> AsyncGenerator[bytes, None]:
        time = asyncio.get_running_loop().time
        beat_at = time() + self._pace.heartbeat_s
        while True:
            movements = await follower.read(max(0.0, beat_at - time()))
            for piece in _pieces(movements):
                if self._is_ending:
                    raise Draining
                yield b"".join([self._form.movement(one) for one in piece])
                self._sent = piece[-1].seq
            if self._is_ending:
                raise Draining
            self._sent = follower.position
            if time() < beat_at:
                continue
            if not await self._is_admitted():
                yield self._form.notice("closing", self._sent, HTTPCode.UNAUTHORIZED)
                return
            yield self._form.notice("position", self._sent)
            beat_at = time() + self._pace.heartbeat_s


def _pieces(movements: Sequence[Movement]) -> Iterator[Sequence[Movement]]:
    starts = range(0, len(movements), PIECE_MOVEMENTS)
    return (movements[start : start + PIECE_MOVEMENTS] for start in starts)
