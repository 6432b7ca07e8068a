"""What OpenAPI says about the events that are sent to webhooks."""

from collections.abc import Mapping
from functools import lru_cache

from pydantic import TypeAdapter

from inventory_api.domain.alerts import STATE_SHIFT
from inventory_api.domain.events import (
    DOCUMENT_TYPES,
    EVENT_TYPES,
    TEST_TYPE,
    document_event,
    level_events,
)
from inventory_api.domain.types import SKU, Instant, LocationCode, Movement, Operation
from inventory_api.web.description import JSONObject
from inventory_api.web.webhook_shapes import DocumentEvent, LevelEvent, TestEvent

_SUMMARIES = {
    "reservation.created": "A reservation was made",
    "reservation.changed": "A reservation was declared anew, with other lines",
    "reservation.confirmed": "A reservation, or a part of it, was confirmed",
    "reservation.fulfilled": "A reservation, or a part of it, has left",
    "reservation.released": "A reservation, or a part of it, was given back",
    "reservation.expired": "A reservation's time was over",
    "transfer.completed": "Goods were moved between locations in one step",
    "transfer.shipped": "Goods have left for another location",
    "transfer.received": "Goods of a transfer have arrived, or got lost",
    "transfer.cancelled": "Goods of a transfer have gone back",
    "count.posted": "A count was booked",
    "level.changed": "A level has changed: one event for each movement",
    "level.low": "A level has fallen to its reorder point",
    "level.out": "A level has nothing available any more",
    "level.back": "A level has something available again",
    "level.oversold": "A level has less than was promised",
    TEST_TYPE: "An admin asked for a test",
}
assert set(_SUMMARIES) == {*EVENT_TYPES, TEST_TYPE}
_HEADERS: list[JSONObject] = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": text,
        "schema": {"type": "string"},
    }
    for name, text in (
        ("webhook-id", "The event's id: the same whenever it is sent."),
        ("webhook-timestamp", "Seconds since 1970 of this attempt; signed as well."),
        ("webhook-signature", "`v1,` and base64, for each secret, with a space between them."),
    )
]
_REPLIES: JSONObject = {
    "2XX": {"description": "The event was taken."},
    "410": {"description": "The webhook is disabled."},
    "429": {"description": "It is tried again after `Retry-After`, like all that is not 2xx."},
}
_AT = Instant(1_767_225_600_000_000)
_OPERATION_ID = "019b7c3e-0c00-7000-8000-000000000001"


@lru_cache(maxsize=1)
def webhook_descriptions() -> Mapping[str, JSONObject]:
    """The section `webhooks`: each event with its content and an example."""
    return {name: {"post": _description(name)} for name in _SUMMARIES}


def _description(name: str) -> JSONObject:
    shape = LevelEvent if name.startswith("level.") else DocumentEvent
    adapter = TypeAdapter(TestEvent if name == TEST_TYPE else shape)
    schema = _inlined(adapter.json_schema(mode="serialization"))
    content = {"application/json": {"schema": schema, "example": _example(name)}}
    return {
        "operationId": name.replace(".", "_"),
        "tags": ["Webhooks"],
        "summary": _SUMMARIES[name],
        "parameters": _HEADERS,
        "requestBody": {"required": True, "content": content},
        "responses": _REPLIES,
    }


def _example(name: str) -> JSONObject:
    if name == TEST_TYPE:
        return {
            "id": f"evt_test_{_OPERATION_ID}",
            "type": TEST_TYPE,
            "timestamp": "2026-01-01T00:00:00.000000Z",
            "data": {"webhook_id": _OPERATION_ID},
        }
    movement = _movement(name)
    if name not in DOCUMENT_TYPES:
        (event,) = level_events(movement, frozenset({name}))
        return event.body
    found = document_event(_operation(name), movement, [movement])
    assert found is not None, name
    return found.body


def _movement(name: str) -> Movement:
    alerts = {"level.low": 1, "level.out": 2, "level.back": 4, "level.oversold": 8}.get(name, 0)
    return Movement(
        seq=7,
        recorded_at=_AT,
        operation_id=_OPERATION_ID,
        actor="till",
        reference="order:1001",
        occurred_at=_AT,
        type="adjust",
        sku=SKU("P001"),
        location=LocationCode("main"),
        level_version=3,
        d_on_hand=-2,
        d_reserved=0,
        d_committed=0,
        d_incoming=0,
        on_hand=48,
        reserved=0,
        committed=0,
        incoming=0,
        available=48,
        reason="sale",
        oversold_by=0,
        line_id=None,
        reservation_id=_OPERATION_ID if name == "reservation.created" else None,
        alerts=alerts | alerts << STATE_SHIFT,
    )


def _operation(name: str) -> Operation:
    verb = {
        "reservation.created": "reserve",
        "reservation.changed": "reserve",
        "reservation.confirmed": "confirm",
        "reservation.fulfilled": "fulfill",
        "reservation.released": "release",
        "reservation.expired": "expire",
        "transfer.completed": "transfer",
        "transfer.shipped": "ship",
        "transfer.received": "receive",
        "transfer.cancelled": "cancel",
        "count.posted": "count",
    }[name]
    reason = "transfer" if name.startswith("transfer.") else "sale"
    return Operation(
        _OPERATION_ID,
        _AT,
        "till",
        None,
        verb,
        "atomic",
        reason,
        "order:1001",
        None,
        _AT,
        7,
        7,
        1,
        0,
    )


def _inlined(schema: JSONObject) -> JSONObject:
    """The schema without references: a section of its own in the document, with none to refer to."""
    definitions = schema.pop("$defs", {})

    def whole(part: object) -> object:
        if isinstance(part, list):
            return [whole(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(definitions[part["$ref"].rpartition("/")[2]])
        return {name: whole(value) for name, value in part.items()}

    found = whole(schema)
    assert isinstance(found, dict)
    return found
