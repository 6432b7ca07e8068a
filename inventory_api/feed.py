"""The ledger as a feed: every movement in order as it is recorded, for any number of followers.

One task of the process, the tail, reads what lies behind its position and hands it to everybody
who follows: a thousand followers cost one query. A follower that is behind reads the ledger itself,
page by page, and joins the tail when it has come near. While nobody follows, nothing is asked.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from inventory_api.domain.types import Instant, Movement
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.store.database import Session
from inventory_api.store.ledger import Filter, list_movements, read_head
from inventory_api.telemetry import Metrics, get_logger

# Between two looks while the database can't be read: a restart of it is noticed that late.
PAUSE_MAX_S = 5.0
Reading = Callable[[], AbstractAsyncContextManager[Session]]

logger = get_logger(__name__)


class TooSlow(Exception):
    """A follower left more unread than is kept for it, and is followed no more.

    Attributes:
        position: everything up to here was given to it; it may follow again from there.
    """

    def __init__(self, position: int) -> None:
        super().__init__(f"More is unread behind movement {position} than is kept.")
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which movements a follower wants; None wants all."""

    sku: str | None = None
    location: str | None = None
    type: str | None = None
    locations: frozenset[str] | None = None

    def matches(self, movement: Movement) -> bool:
        """Whether a movement is one of them."""
        return (
            self.sku in (None, movement.sku)
            and self.location in (None, movement.location)
            and self.type in (None, movement.type)
            and (self.locations is None or movement.location in self.locations)
        )

    @property
    def stored(self) -> Filter:
        """What of it the database sorts out."""
        return Filter(sku=self.sku, location=self.location, locations=self.locations)


EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Bounds of the feed; meaning and reasons as in settings.py."""

    tick_s: float = 0.25
    page_rows: int = 2_000
    buffer_movements: int = 20_000


class Follower:
    """One reader of the feed, made by `Feed.follow`; also an iterator over single movements.

    Attributes:
        position: everything up to here was given, or is not wanted. To follow again from here
            misses nothing.
        has_caught_up: whether the last page that was read by itself ended at the head.
    """

    def __init__(self, feed: "Feed", after: int, wanted: Wanted) -> None:
        self.position = after
        self.wanted = wanted
        self.has_caught_up = False
        self._feed = feed
        self._joined_at: int | None = None
        self._buffer: list[Movement] = []
        self._is_late = False
        self._news = asyncio.Event()

    async def read(self, wait_s: float | None = None) -> Sequence[Movement]:
        """The next movements in order; none when `wait_s` is over, or after a stretch without any.

        May be cancelled at any moment: what was not returned comes with the next call.

        Raises:
            TooSlow: more was left unread than is kept.
            Draining: the feed has ended.
            Unavailable: the database can't be read now; ask again.
        """
        self._check()
        if self._joined_at is None and self._feed.can_join(self):
            self._joined_at = self._feed.join(self)
        if self._joined_at is None or self.position < self._joined_at:
            return await self._read_page()
        if not self._buffer:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            self._check()
        return self._take()

    def wake(self) -> None:
        """Let a `read` that waits return at once."""
        self._news.set()

    def offer(self, movements: Sequence[Movement], limit: int) -> bool:
        """Keep what the tail has read, without what was known when joining; whether it fits."""
        assert self._joined_at is not None
        if movements[0].seq <= self._joined_at:
            movements = [one for one in movements if one.seq > self._joined_at]
        self._buffer.extend(movements)
        self._is_late = len(self._buffer) > limit
        if self._is_late:
            self._buffer.clear()
        self._news.set()
        return not self._is_late

    async def __aiter__(self) -> AsyncIterator[Movement]:
        while True:
            for movement in await self.read():
                yield movement

    def _check(self) -> None:
        if self._is_late:
            raise TooSlow(self.position)
        if self._feed.is_closed:
            raise Draining

    async def _read_page(self) -> Sequence[Movement]:
        page = await self._feed.page(self.wanted, self.position, until=self._joined_at)
        self.position = page.reached
        self.has_caught_up = page.is_last
        return [one for one in page.movements if self.wanted.matches(one)]

    def _take(self) -> Sequence[Movement]:
        taken, self._buffer = self._buffer, []
        self._news.clear()
        self.position = max(self.position, self._feed.position)
        return taken


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the ledger up to `reached`; `is_last` if it ended there."""

    movements: Sequence[Movement]
    reached: int
    is_last: bool


class Feed:
    """The followers and their tail; `run` is its task.

    Args:
        reading: opens a session for one short read, with its deadline.
        news: is set when this process has committed something.
        clock: microseconds since 1970, for the lag that is measured.
    """

    def __init__(
        self,
        reading: Reading,
        news: asyncio.Event,
        *,
        clock: Callable[[], Instant],
        metrics: Metrics,
        limits: FeedLimits,
    ) -> None:
        self._reading = reading
        self._news = news
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._followers: defaultdict[Wanted, set[Follower]] = defaultdict(set)
        self._count = 0
        self._is_followed = asyncio.Event()
        self._moved = asyncio.Event()
        self.position = 0
        self.is_closed = False
        metrics.feed_followers.set_function(lambda: self._count)

    @asynccontextmanager
    async def follow(self, *, after: int, wanted: Wanted = EVERYTHING) -> AsyncIterator[Follower]:
        """Follow the ledger from the movement behind `after`, which must not lie beyond its head."""
        follower = Follower(self, after, wanted)
        try:
            yield follower
        finally:
            self._drop(follower)

    async def wait_beyond(self, seq: int) -> int:
        """Wait until the ledger goes on behind `seq`; a number that it has reached by then.

        For who reads the ledger himself, and has found nothing behind `seq`.

        Raises:
            Draining: the feed has ended.
        """
        self._enter(seq)
        try:
            while self.position <= seq and not self.is_closed:
                await self._moved.wait()
        finally:
            self._leave()
        if self.is_closed:
            raise Draining
        return self.position

    async def run(self) -> None:
        """Read behind the position and hand on, until cancelled; then nobody waits any more."""
        pause_s = 0.0
        try:
            while True:
                await self._is_followed.wait()
                self._news.clear()
                try:
                    has_more = await self._advance()
                except Unavailable as unavailable:
                    if not pause_s:
                        logger.warning("feed_postponed", code=unavailable.code)
                    pause_s = min(PAUSE_MAX_S, 2 * pause_s or self._limits.tick_s)
                    await asyncio.sleep(pause_s)
                    continue
                pause_s = 0.0
                if not has_more:
                    await self._news_or_tick()
        finally:
            self.is_closed = True
            self._moved.set()
            for follower in [one for group in self._followers.values() for one in group]:
                follower.wake()

    async def page(self, wanted: Wanted, after: int, *, until: int | None) -> Page:
        """The next stretch behind `after` that one short read may look through."""
        rows = self._limits.page_rows
        async with self._reading() as session:
            head = (await read_head(session)).seq
            end = head if until is None else min(head, until)
            if wanted.sku is None:
                # However few are wanted. An item's movements are known keys: no stretch is walked.
                end = min(end, after + rows)
            found = await list_movements(session, wanted.stored, after=after, limit=rows, until=end)
        reached = found[-1].seq if len(found) == rows else max(after, end)
        return Page(found, reached, reached >= head)

    def can_join(self, follower: Follower) -> bool:
        """Whether the tail is, or can be put, so near that the rest is one page."""
        if self._count:
            return self.position - follower.position <= self._limits.page_rows
        return follower.has_caught_up

    def join(self, follower: Follower) -> int:
        """From now on hand on to a follower; what it gets begins behind the number returned."""
        self._enter(follower.position)
        self._followers[follower.wanted].add(follower)
        return max(self.position, follower.position)

    async def _advance(self) -> bool:
        """Hand on one page; whether there may be more."""
        before, rows = self.position, self._limits.page_rows
        async with self._reading() as session:
            movements = await list_movements(session, Filter(), after=before, limit=rows)
        if self.position != before:
            # All had left meanwhile, and who came then needs another stretch.
            return True
        if movements:
            self.position = movements[-1].seq
            self._hand_on(movements)
        return len(movements) == rows

    def _hand_on(self, movements: Sequence[Movement]) -> None:
        lag_us = self._clock() - movements[0].recorded_at
        self._metrics.feed_lag_seconds.observe(max(0, lag_us) / 1_000_000)
        limit = self._limits.buffer_movements
        late = [
            follower
            for wanted, group in self._followers.items()
            if (matching := [one for one in movements if wanted.matches(one)])
            for follower in group
            if not follower.offer(matching, limit)
        ]
        for follower in late:
            self._metrics.feed_dropped.inc()
            self._drop(follower)
        self._moved.set()
        self._moved = asyncio.Event()

    async def _news_or_tick(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.tick_s):
                await self._news.wait()

    def _drop(self, follower: Follower) -> None:
        group = self._followers.get(follower.wanted)
        if group is None or follower not in group:
            return
        group.discard(follower)
        if not group:
            del self._followers[follower.wanted]
        self._leave()

    def _enter(self, position: int) -> None:
        """One more who waits; the first one says where the tail begins."""
        if not self._count:
            self.position = position
            self._is_followed.set()
            self._news.set()
        self._count += 1

    def _leave(self) -> None:
        self._count -= 1
        if not self._count:
            self._is_followed.clear()
