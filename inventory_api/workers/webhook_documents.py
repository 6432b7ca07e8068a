"""The events of operations, found for a stretch of the ledger; all endpoints share what was found."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from inventory_api.domain.events import LINES_MAX, Event, document_event, may_begin
from inventory_api.domain.types import Movement, Operation
from inventory_api.domain.webhook import Webhook
from inventory_api.service import Service
from inventory_api.store.database import Session
from inventory_api.store.ledger import Filter, find_operations, list_movements

# Operations that are remembered, 60 KiB each at most: those of the newest stretch, for endpoints
# that come to it one after the other.
REMEMBERED_MAX = 500
PAGE_ROWS = 1_000


class Documents:
    """Which operations begin with given movements, and what their events are."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: OrderedDict[str, Event | None] = OrderedDict()
        # Endpoints that come together ask once.
        self._asking = asyncio.Lock()

    async def beginning_in(self, movements: Sequence[Movement]) -> dict[int, Event]:
        """The events of operations whose first movements are among these, by their numbers.

        Raises:
            Unavailable: the ledger can't be read now.
        """
        starts = {one.operation_id: place for place, one in _starts(movements)}
        if not starts:
            return {}
        async with self._asking:
            missing = [name for name in starts if name not in self._known]
            if missing:
                await self._learn(missing, starts, movements)
            found = [self._known.get(name) for name in starts]
        return {
            event.seq: event
            for event, place in zip(found, starts.values(), strict=True)
            if event is not None and event.seq == movements[place].seq
        }

    async def touches(self, event: Event, webhook: Webhook) -> bool:
        """Whether an endpoint wants to hear of one of the levels that an operation moved."""
        if webhook.wants_every_level:
            return True
        data = event.data
        if any(webhook.touches(one["sku"], one["location"]) for one in data["lines"]):
            return True
        after = event.seq + len(data["lines"]) - 1
        while after < data["last_seq"]:
            async with self._service.reading() as session:
                page = await list_movements(
                    session, Filter(), after=after, limit=PAGE_ROWS, until=data["last_seq"]
                )
            if any(webhook.touches(one.sku, one.location) for one in page):
                return True
            after = page[-1].seq
        return False

    async def _learn(
        self, missing: Iterable[str], starts: dict[str, int], movements: Sequence[Movement]
    ) -> None:
        async with self._service.reading() as session:
            operations = await find_operations(session, list(missing))
            for name, operation in operations.items():
                lines = await _lines(session, operation, movements, starts[name])
                self._known[name] = document_event(operation, lines[0], lines)
        while len(self._known) > REMEMBERED_MAX + len(starts):
            self._known.popitem(last=False)


def _starts(movements: Sequence[Movement]) -> Iterable[tuple[int, Movement]]:
    """Movements whose predecessor is of another operation, or is not known, with their places."""
    before = None
    for place, movement in enumerate(movements):
        if movement.operation_id != before and may_begin(movement):
            yield place, movement
        before = movement.operation_id


async def _lines(
    session: Session, operation: Operation, movements: Sequence[Movement], place: int
) -> Sequence[Movement]:
    """The first movements of an operation, as many as its event shows."""
    count = min(LINES_MAX, operation.last_seq - operation.first_seq + 1)
    found = movements[place : place + count]
    if found[0].seq == operation.first_seq and len(found) == count:
        return found
    return await list_movements(session, Filter(), after=operation.first_seq - 1, limit=count)
