"""What is accepted about webhooks."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from inventory_api.domain.events import EVENT_TYPES
from inventory_api.outbound.targets import URL_LENGTH_MAX
from inventory_api.web.row_schemas import Seq
from inventory_api.web.schemas import FORBID, Name, Page, Text

# As many as one page of either; who wants more wants all.
FILTER_MAX = 1_000
EventType = Literal[
    "reservation.created",
    "reservation.changed",
    "reservation.confirmed",
    "reservation.fulfilled",
    "reservation.released",
    "reservation.expired",
    "transfer.completed",
    "transfer.shipped",
    "transfer.received",
    "transfer.cancelled",
    "count.posted",
    "level.changed",
    "level.low",
    "level.out",
    "level.back",
    "level.oversold",
]
assert EventType.__args__ == EVENT_TYPES  # type: ignore[attr-defined]  # a Literal's own
URL = Annotated[
    str,
    Field(min_length=1, max_length=URL_LENGTH_MAX, examples=["https://hooks.example.com/stock"]),
]
Events = Annotated[list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES))]
Names = Annotated[list[Name], Field(min_length=1, max_length=FILTER_MAX)]
DeliveryID = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$", examples=["1"])]


class WebhookBody(TypedDict):
    """A new webhook. Filters that are left out or null want everything.

    It begins with what happens from now on, or behind the movement `after`.
    """

    __pydantic_config__ = FORBID  # type: ignore[misc]  # how a TypedDict is configured
    url: URL
    description: NotRequired[Text | None]
    events: NotRequired[Events | None]
    skus: NotRequired[Names | None]
    locations: NotRequired[Names | None]
    after: NotRequired[Seq | None]


class WebhookChange(TypedDict, total=False):
    """What is to be different about a webhook; what is left out stays."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    url: URL
    description: Text | None
    events: Events | None
    skus: Names | None
    locations: Names | None
    status: Literal["active", "disabled"]


class ReplayBody(TypedDict):
    """Where a webhook goes on."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    after: Seq


class DeliveryQuery(Page):
    """Which deliveries."""

    status: Literal["pending", "delivered", "failed"] | None = None
