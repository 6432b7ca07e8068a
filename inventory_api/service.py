"""The inventory without HTTP: what scripts, tests and the web call."""

import asyncio
import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from inventory_api.attempt import Work
from inventory_api.committer import Committer
from inventory_api.domain.catalog import show_level, show_movement
from inventory_api.domain.commands import (
    AdjustLine,
    Command,
    Line,
    Mode,
    SetLine,
    TransferLine,
    check,
)
from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU, Instant, Key, Level, LocationCode
from inventory_api.domain.unavailable import DeadlineExpired
from inventory_api.feed import EVERYTHING, Feed, FeedLimits, TooSlow, Wanted
from inventory_api.keyring import Keyring
from inventory_api.outbound.client import Outbound
from inventory_api.settings import Settings
from inventory_api.shared_reads import SharedReads
from inventory_api.store import availability
from inventory_api.store.database import Database, Session
from inventory_api.store.faults import fault_of
from inventory_api.store.keys import all_keys, keys_version
from inventory_api.store.levels import list_levels, without_due, without_due_list
from inventory_api.store.snapshot import levels_of
from inventory_api.telemetry import Metrics, timed
from inventory_api.webhook_call import WebhookMeter

Answer = dict[str, Any]  # Any: JSON values, in the shapes of the HTTP API
Fields = Mapping[str, Any]

ACTOR = "local"
"""Who acts when no API key does: a script, or an open service on loopback."""
# A file is written by one process, which tells its feed of each commit: the tick is a safety net.
FILE_TICK_S = 5.0


class RefusedError(Exception):
    """The business said no, and nothing was changed.

    Attributes:
        code: why.
        facts: what the HTTP API would answer, parsed.
    """

    def __init__(self, code: Code, facts: Answer) -> None:
        super().__init__(code.value)
        self.code = code
        self.facts = facts


class Service:
    """Stock and its changes; made by `open_service`.

    Lines are dicts in the shapes of the HTTP API, and so are the answers. Every call has its
    deadline: `check_deadline_s` for reads, `change_deadline_s` for changes.

    Raises:
        RefusedError: an atomic change was refused.
        ValueError: a line is not valid; the message names the field.
        Unavailable: it could not be done now; its `applied` says what became of a change.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        committer: Committer,
        keyring: Keyring,
        outbound: Outbound,
        metrics: Metrics,
        clock: Callable[[], Instant],
        steady_clock: Callable[[], Instant],
        supplier_secrets: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.database = database
        self.committer = committer
        self.keyring = keyring
        self.outbound = outbound
        self.metrics = metrics
        self.webhook_metrics = WebhookMeter(metrics.registry)
        # Set when somebody has changed a webhook; who waits for it clears it.
        self.webhooks_changed = asyncio.Event()
        self.clock = clock
        self.steady_clock = steady_clock
        self.supplier_secrets = supplier_secrets
        # When a server, or the service, began to stop, in seconds of the loop's clock: all that
        # follows shares one deadline.
        self.stopping_since: float | None = None
        self.level_reads = SharedReads[Key, Level](
            self._fetch_levels, metrics.shared_read_keys.observe
        )
        self.item_reads = SharedReads[str, availability.Stock](
            self._fetch_items, metrics.shared_read_keys.observe
        )
        self._key_reads = SharedReads[str, int](self._fetch_keys_version, lambda _: None)
        self._keys_known_at = float("-inf")
        self._gates = asyncio.Semaphore(settings.reader_connections)
        self.feed = Feed(
            self.reading,
            committer.committed,
            clock=clock,
            metrics=metrics,
            limits=FeedLimits(
                tick_s=settings.feed_tick_s if database.is_shared else FILE_TICK_S,
                page_rows=settings.export_page_rows,
                buffer_movements=settings.stream_buffer_movements,
            ),
        )

    @timed("check")
    async def check(
        self,
        lines: Sequence[Fields],
        *,
        locations: frozenset[str] | None = None,
        exclude_reference: str | None = None,
    ) -> Answer:
        """What can be sold of each line; a line that fails has an error, the others their result.

        Args:
            lines: `sku`, and optionally `quantity` (1) and `location` (all sellable ones).
            locations: those that the caller may see; None sees all.
            exclude_reference: what its reservation holds counts as available.
        """
        size = self.settings.check_chunk_lines
        chunks = [lines[start : start + size] for start in range(0, len(lines), size)]
        async with self.deadline():
            answers = await asyncio.gather(
                *(self._check_chunk(chunk, locations, exclude_reference) for chunk in chunks),
                return_exceptions=True,
            )
        checked = [_unless_failed(*pair) for pair in zip(chunks, answers, strict=True)]
        results = [line for _, found in checked for line in found]
        return {
            "as_of_seq": min((seq for seq, _ in checked if seq is not None), default=None),
            "results": [{"index": index, **line} for index, line in enumerate(results)],
        }

    async def level(self, sku: str, location: str) -> Level | None:
        """One level, if anything ever moved there; reads that come together share a query."""
        async with self.deadline():
            return await self.level_reads.read((SKU(sku), LocationCode(location)))

    async def stock(self, sku: str) -> availability.Stock | None:
        """An item over its locations; None if it is unknown. Shared like `level`."""
        async with self.deadline():
            return await self.item_reads.read(sku)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """A session for one short and consistent read, with its deadline."""
        async with self.deadline(), self.database.reader() as session:
            yield session

    @timed("update")
    async def submit(
        self, command: Asked, *, actor: str, key: IdempotencyKey | None = None
    ) -> Outcome:
        """A change of stock or of a reservation, with its deadline."""
        return await self.committer.submit(
            command, actor=actor, key=key, deadline_s=self.settings.change_deadline_s
        )

    async def transact(
        self,
        work: Work,
        *,
        actor: str,
        key: IdempotencyKey | None = None,
        after_commit: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Any other write, with its deadline."""
        return await self.committer.transact(
            work,
            actor=actor,
            key=key,
            deadline_s=self.settings.change_deadline_s,
            after_commit=after_commit,
        )

    async def adjust(
        self,
        lines: Sequence[Fields],
        *,
        reason: str = "other",
        reference: str | None = None,
        mode: str = "atomic",
        key: str | None = None,
    ) -> Answer:
        """Add `delta` units for each line: `sku`, `delta`, optionally `location`, `line_id`, ...."""
        parsed = [self.adjust_line(line, reason) for line in lines]
        return await self._change("adjust", parsed, reason, reference, mode, key)

    async def set(
        self,
        lines: Sequence[Fields],
        *,
        reason: str = "cycle_count",
        reference: str | None = None,
        mode: str = "atomic",
        key: str | None = None,
    ) -> Answer:
        """Book counts: `sku`, `on_hand`, `expected_on_hand` (None accepts any)."""
        parsed = [self.set_line(line, reason) for line in lines]
        return await self._change("set", parsed, reason, reference, mode, key)

    async def transfer(
        self,
        lines: Sequence[Fields],
        *,
        reason: str = "transfer",
        reference: str | None = None,
        mode: str = "atomic",
        key: str | None = None,
    ) -> Answer:
        """Move `quantity` units of `sku` `from` one location `to` another."""
        parsed = [self.transfer_line(line, reason) for line in lines]
        return await self._change("transfer", parsed, reason, reference, mode, key)

    async def levels(self) -> AsyncIterator[Answer]:
        """All levels by SKU and location; short reads by page, so writers never wait."""
        after: Key = (SKU(""), LocationCode(""))
        while True:
            async with self.reading() as session:
                page = await list_levels(session, after=after, limit=self.settings.export_page_rows)
                live = await without_due_list(session, page, self.steady_clock())
            for level in live:
                yield show_level(level)
            if len(page) < self.settings.export_page_rows:
                return
            after = (page[-1].sku, page[-1].location)

    async def movements(
        self, *, after: int, wanted: Wanted = EVERYTHING
    ) -> AsyncGenerator[Answer, None]:
        """Every movement behind number `after`, and then each as it is recorded; never ends.

        However slow the caller is, none is left out.
        """
        while True:
            async with self.feed.follow(after=after, wanted=wanted) as follower:
                with suppress(TooSlow):
                    async for movement in follower:
                        yield show_movement(movement)
            after = follower.position

    def adjust_line(self, line: Fields, reason: str) -> AdjustLine:
        """A line of an adjustment with its defaults filled in."""
        get = line.get
        values = (
            line["sku"],
            get("location") or self.default_location,
            line["delta"],
            get("reason") or reason,
            get("line_id"),
            get("group"),
        )
        return tuple.__new__(AdjustLine, values)  # half of what the named constructor takes

    def set_line(self, line: Fields, reason: str) -> SetLine:
        """A line of a count with its defaults filled in."""
        return SetLine(
            line["sku"],
            line.get("location") or self.default_location,
            line["on_hand"],
            line["expected_on_hand"],
            line.get("reason") or reason,
            line.get("line_id"),
            line.get("group"),
        )

    def transfer_line(self, line: Fields, reason: str) -> TransferLine:
        """A line of a transfer with its defaults filled in."""
        return TransferLine(
            line["sku"],
            line.get("from") or self.default_location,
            line.get("to") or self.default_location,
            line["quantity"],
            line.get("reason") or reason,
            line.get("group"),
        )

    @property
    def default_location(self) -> LocationCode:
        """Where a line belongs that names no location."""
        return LocationCode(self.settings.default_location)

    async def _change(
        self,
        kind: str,
        lines: Sequence[Line],
        reason: str,
        reference: str | None,
        mode: str,
        key: str | None,
    ) -> Answer:
        command = Command(kind, tuple(lines), Mode(mode), reason, reference)
        check(command)
        known = None
        if key is not None:
            digest = hashlib.blake2b(repr(command).encode(), digest_size=16).digest()
            known = IdempotencyKey(key, digest)
        outcome = await self.submit(command, actor=ACTOR, key=known)
        answer: Answer = orjson.loads(outcome.answer)
        if outcome.refused is not None:
            raise RefusedError(outcome.refused, answer)
        return answer

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """The time for a read, and the storage's faults by their names."""
        left = asyncio.timeout(self.settings.check_deadline_s)
        try:
            async with left:
                yield
        except Exception as error:
            if left.expired():  # a driver that gives a server up raises TimeoutError too
                raise DeadlineExpired from None
            if (fault := fault_of(error)) is None:
                raise
            raise fault from error

    async def _check_chunk(
        self, lines: Sequence[Fields], locations: frozenset[str] | None, own: str | None
    ) -> tuple[int, list[Answer]]:
        async with self._gates, self.database.reader() as session:
            now = self.steady_clock()
            return await availability.check(session, lines, locations, now, own=own)

    async def know_keys(self, *, within_s: float = 0.0) -> None:
        """See to it that the keys are those of the database, whichever process changed them.

        Requests that come together share the question; whoever is content with what was true
        `within_s` may find it answered. A process that is alone knows every change.
        """
        asked_at = asyncio.get_running_loop().time()
        if asked_at < self._keys_known_at + within_s:
            return
        if await self._key_reads.read("keys") != self.keyring.version:
            async with self.reading() as session:
                self.keyring.replace(await all_keys(session), await keys_version(session))
        self._keys_known_at = asked_at

    def reads(self) -> dict[str, Coroutine[None, None, None]]:
        """The tasks behind reads, by name."""
        return {
            "feed": self.feed.run(),
            "level_reads": self.level_reads.run(),
            "item_reads": self.item_reads.run(),
            "key_reads": self._key_reads.run(),
        }

    async def _fetch_keys_version(self, names: Collection[str]) -> dict[str, int]:
        async with self.reading() as session:
            return dict.fromkeys(names, await keys_version(session))

    async def _fetch_levels(self, keys: Collection[Key]) -> dict[Key, Level]:
        async with self.reading() as session:
            levels = await levels_of(session, keys)
            return await without_due(session, levels, self.steady_clock())

    async def _fetch_items(self, skus: Collection[str]) -> dict[str, availability.Stock]:
        async with self.reading() as session:
            return await availability.stock_of(session, skus, self.steady_clock())


def _unless_failed(
    lines: Sequence[Fields], found: tuple[int, list[Answer]] | BaseException
) -> tuple[int | None, list[Answer]]:
    """What a chunk found, or an error for each of its lines; a defect of ours is raised."""
    if not isinstance(found, BaseException):
        return found
    fault = fault_of(found)
    if fault is None:
        raise found
    return None, [{"sku": line["sku"], "error": {"code": fault.code}} for line in lines]
