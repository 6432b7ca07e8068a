"""What a list says and the books do not becomes facts in the ledger, chunk by chunk.

Each line says what was there when it was compared, and is refused if that has changed since. So a
chunk can be asked for again after an unknown outcome, and a whole pull after a crash: what is
booked already is equal by then, and nothing is booked twice. No key has to be remembered for it,
and no answer of a hundred thousand lines.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from inventory_api.domain.commands import Command, Mode, SetLine
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.supplier import Supplier
from inventory_api.domain.types import SKU, Fence, LocationCode
from inventory_api.domain.unavailable import Draining, Unavailable
from inventory_api.service import Service
from inventory_api.store.snapshot import levels_of
from inventory_api.store.supplier_codes import stocked_at
from inventory_api.suppliers.failure import PullFailed
from inventory_api.suppliers.spool import Named, Spool
from inventory_api.suppliers.tally import Tally

REASON = "supplier_feed"
# The queue is full, the disk is slow, somebody sold in between: each passes within a second.
ATTEMPTS_MAX = 6
PAUSE_S = 0.1

# The level has moved since it was looked at: look again.
_AGAIN = frozenset({Code.STALE_QUANTITY.value})

Tell = Callable[[], None]
"""Tells how far it has come."""


class Booking:
    """Books for one run.

    Args:
        fence: under which of several processes; None: there is one only.
    """

    def __init__(
        self,
        service: Service,
        supplier: Supplier,
        run_id: str,
        *,
        fence: Fence | None,
        tally: Tally,
        tell: Tell,
    ) -> None:
        self._service = service
        self._supplier = supplier
        self._location = LocationCode(supplier.location)
        self._reference = f"supplier-run:{run_id}"
        self._fence = fence
        self._tally = tally
        self._tell = tell

    async def book(self, spool: Spool) -> None:
        """Set what differs from the list."""
        named = spool.named()
        while chunk := await self._next(named):
            units = {one.sku: one.units for one in chunk if one.units is not None}
            changed, equal = await self._set(units)
            self._tally.changed += changed
            self._tally.unchanged += equal
            self._tell()

    async def zero(self, spool: Spool) -> None:
        """Set what the list does not name to 0."""
        named, after = _Ahead(spool.named()), ""
        while page := await self._stocked(after):
            after = page[-1]
            missing = {sku: 0 for sku in page if not named.has(sku)}
            changed, _ = await self._set(missing)
            self._tally.zeroed += changed
            self._tell()

    async def _next(self, named: Iterator[Named]) -> list[Named]:
        # Merging a chunk takes some milliseconds: the others get their turn.
        await asyncio.sleep(0)
        return list(islice(named, self._service.settings.supplier_chunk_rows))

    async def _stocked(self, after: str) -> list[SKU]:
        limit = self._service.settings.supplier_chunk_rows
        async with self._service.reading() as session:
            return list(await stocked_at(session, self._location, after=after, limit=limit))

    async def _set(self, wanted: Mapping[SKU, int]) -> tuple[int, int]:
        """Make levels what they should be; how many were changed, and how many were so already.

        Raises:
            PullFailed: another process has taken over.
            Unavailable: the service stops, or the storage does not recover.
        """
        asked: set[SKU] = set()
        refused: dict[SKU, str] = {}
        rest = dict(wanted)
        for attempt in range(ATTEMPTS_MAX):
            before = await self._on_hand(rest)
            rest = {sku: units for sku, units in rest.items() if before.get(sku, 0) != units}
            if not rest:
                break
            asked |= rest.keys()
            failed = await self._try(rest, before, attempt)
            refused |= {sku: code for sku, code in failed.items() if code not in _AGAIN}
            rest = {sku: rest[sku] for sku, code in failed.items() if code in _AGAIN}
            if not rest:
                break
        refused |= dict.fromkeys(rest, Code.STALE_QUANTITY.value)
        for sku, code in refused.items():
            self._tally.refusal(sku, code)
        return len(asked) - len(refused), len(wanted) - len(asked)

    async def _try(
        self, wanted: Mapping[SKU, int], before: Mapping[SKU, int], attempt: int
    ) -> dict[SKU, str]:
        """Ask for it; the SKUs of which it is not known to be done, and why."""
        try:
            outcome = await self._submit(wanted, before)
        except Draining:
            raise
        except Unavailable:
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(PAUSE_S * 2**attempt)
            return dict.fromkeys(wanted, Code.STALE_QUANTITY.value)
        if outcome.refused is Code.PULL_RUNNING:
            raise PullFailed("overtaken", "another process pulls this supplier now")
        return _not_applied(outcome)

    async def _submit(self, wanted: Mapping[SKU, int], before: Mapping[SKU, int]) -> Outcome:
        lines = tuple(
            SetLine(sku, self._location, units, before.get(sku, 0), REASON)
            for sku, units in wanted.items()
        )
        command = Command(
            "set",
            lines,
            Mode.INDEPENDENT,
            reason=REASON,
            reference=self._reference,
            fence=self._fence,
        )
        self._tally.applied = True
        return await self._service.submit(command, actor=self._supplier.actor)

    async def _on_hand(self, wanted: Mapping[SKU, int]) -> dict[SKU, int]:
        async with self._service.reading() as session:
            levels = await levels_of(session, [(sku, self._location) for sku in wanted])
        return {sku: level.on_hand for (sku, _), level in levels.items()}


class _Ahead:
    """Which SKUs a list names; asked in order."""

    def __init__(self, named: Iterator[Named]) -> None:
        self._named = named
        self._at = next(named, None)

    def has(self, sku: SKU) -> bool:
        """Whether it names a SKU that is not before the one asked for last."""
        while self._at is not None and self._at.sku < sku:
            self._at = next(self._named, None)
        return self._at is not None and self._at.sku == sku


def _not_applied(outcome: Outcome) -> dict[SKU, str]:
    answer: Any = orjson.loads(outcome.answer)  # Any: JSON values
    lines = answer["results"] if outcome.refused is None else answer["lines"]
    return {
        SKU(line["sku"]): line["error"]["code"] for line in lines if line["status"] == "rejected"
    }
