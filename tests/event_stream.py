"""Server-sent events as a client reads them, by the rules of the HTML standard."""

import json
from typing import Any, NamedTuple

JSON = Any  # Any: whatever a JSON document holds


class Event(NamedTuple):
    """One event that was dispatched."""

    name: str
    id: str
    data: JSON


class EventReader:
    """Takes bytes as they come and gives the events that they complete.

    Attributes:
        last_id: what a browser would send as Last-Event-ID.
        retry_ms: what the server asked for.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms = 0
        self._rest = ""

    def feed(self, data: bytes) -> list[Event]:
        *blocks, self._rest = (self._rest + data.decode()).split("\n\n")
        return [self._event(block.split("\n")) for block in blocks]

    def _event(self, lines: list[str]) -> Event:
        pairs = [line.partition(": ") for line in lines]
        fields = {name: value for name, _, value in pairs}
        assert len(fields) == len(lines), lines
        self.last_id = fields["id"]
        self.retry_ms = int(fields.get("retry", self.retry_ms))
        return Event(fields["event"], fields["id"], json.loads(fields["data"]))
