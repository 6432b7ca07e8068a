"""What is accepted about reservations."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from inventory_api.web.schemas import (
    FORBID,
    LINES_MAX,
    HoldReference,
    Name,
    Note,
    Page,
    PositiveUnits,
    StatusWord,
)

ReferencePath = Annotated[HoldReference, Field(examples=["cart:8f2"])]
Seconds = Annotated[int, Field(ge=1, le=366 * 24 * 3600)]
SourcingWord = Literal["priority", "fewest_locations", "most_available"]


class ReserveLineBody(TypedDict):
    """Units to hold; without `location` the sourcing finds them among the locations that sell."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: PositiveUnits
    location: NotRequired[Name | None]


class DeclareBody(TypedDict):
    """What a reference shall hold from now on, and for how long; no lines release it."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[ReserveLineBody], Field(max_length=LINES_MAX)]
    ttl_s: NotRequired[Seconds | None]
    allow_partial: NotRequired[bool]
    sourcing: NotRequired[SourcingWord]
    note: NotRequired[Note | None]


class ReserveBody(TypedDict):
    """A new hold."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[ReserveLineBody], Field(min_length=1, max_length=LINES_MAX)]
    reference: NotRequired[HoldReference | None]
    ttl_s: NotRequired[Seconds | None]
    allow_partial: NotRequired[bool]
    sourcing: NotRequired[SourcingWord]
    note: NotRequired[Note | None]


class PartBody(TypedDict):
    """Some of what a reservation has of an item; without `quantity` all of it."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: NotRequired[PositiveUnits | None]
    location: NotRequired[Name | None]


class SettleBody(TypedDict, total=False):
    """Which parts; without `lines` everything."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[PartBody], Field(min_length=1, max_length=LINES_MAX)]
    note: Note | None


class ExtendBody(TypedDict):
    """How long it shall live from now on."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    ttl_s: NotRequired[Seconds | None]


class ReservationQuery(Page):
    """Which reservations."""

    status: StatusWord | None = None
    reference: HoldReference | None = None
