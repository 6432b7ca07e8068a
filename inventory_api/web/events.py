"""How a live stream is written: as server-sent events, or as one JSON object per line."""

from functools import lru_cache
from typing import Protocol

import orjson
from fastapi.sse import EventSourceResponse, format_sse_event

from inventory_api.domain.catalog import show_movement
from inventory_api.domain.types import Movement
from inventory_api.web.reply import RawHeader

# A thousand readers get the same movement: it is written once, half a KiB for each.
WRITTEN_MAX = 2_048


class Form(Protocol):
    """One way to write what happens on a stream."""

    content_type: RawHeader

    def opening(self, position: int, retry_s: float) -> bytes:
        """The beginning: where the stream starts."""

    def movement(self, movement: Movement) -> bytes:
        """One row of the ledger."""

    def notice(self, event: str, position: int, code: str | None = None) -> bytes:
        """Something else: up to which position everything was sent, and why it ends."""


class ServerSentEvents:
    """`text/event-stream`: every event has the id from which a browser goes on by itself."""

    content_type: RawHeader = (b"content-type", EventSourceResponse.media_type.encode())

    def opening(self, position: int, retry_s: float) -> bytes:
        return format_sse_event(
            event="position",
            data_str=_told(position=position),
            id=str(position),
            retry=round(retry_s * 1_000),
        )

    def movement(self, movement: Movement) -> bytes:
        return _event_of(movement)

    def notice(self, event: str, position: int, code: str | None = None) -> bytes:
        facts = {"position": position} if code is None else {"position": position, "code": code}
        return format_sse_event(event=event, data_str=_told(**facts), id=str(position))


class Lines:
    """NDJSON: a movement is as everywhere, and what is none has an `event`."""

    content_type: RawHeader = (b"content-type", b"application/x-ndjson")

    def opening(self, position: int, retry_s: float) -> bytes:  # noqa: ARG002 - for browsers only
        return self.notice("position", position)

    def movement(self, movement: Movement) -> bytes:
        return _line_of(movement)

    def notice(self, event: str, position: int, code: str | None = None) -> bytes:
        facts = {} if code is None else {"code": code}
        return orjson.dumps({"event": event, "position": position, **facts}) + b"\n"


@lru_cache(maxsize=WRITTEN_MAX)
def _event_of(movement: Movement) -> bytes:
    shown = _told(**show_movement(movement))
    return format_sse_event(event="movement", data_str=shown, id=str(movement.seq))


@lru_cache(maxsize=WRITTEN_MAX)
def _line_of(movement: Movement) -> bytes:
    return orjson.dumps(show_movement(movement)) + b"\n"


def _told(**facts: object) -> str:
    return orjson.dumps(facts).decode()
