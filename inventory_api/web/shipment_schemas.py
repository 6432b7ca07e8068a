"""What is accepted about shipments."""

from typing import Annotated, Literal, NotRequired, get_args

from pydantic import Field
from typing_extensions import TypedDict

from inventory_api.domain.commands import FACT_REASONS
from inventory_api.web.schemas import (
    FORBID,
    LINES_MAX,
    Name,
    Note,
    Page,
    PositiveUnits,
    Reference,
    Time,
    Units,
)

FactReason = Literal[
    "lost", "damaged", "theft", "expired", "quality_control", "correction", "cycle_count"
]
assert set(get_args(FactReason)) == FACT_REASONS


class InboundLineBody(TypedDict):
    """Units to expect; without `location` at the default one."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: PositiveUnits
    location: NotRequired[Name | None]


class InboundBody(TypedDict):
    """What is expected from outside, and when, if that is known."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[InboundLineBody], Field(min_length=1, max_length=LINES_MAX)]
    reference: NotRequired[Reference | None]
    expected_at: NotRequired[Time | None]
    note: NotRequired[Note | None]


class ArrivedBody(TypedDict):
    """Units that have come; without `location` wherever the inbound has the item."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: PositiveUnits
    location: NotRequired[Name | None]


class ReceiveInboundBody(TypedDict, total=False):
    """What has come; without `lines` everything that is open."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[ArrivedBody], Field(min_length=1, max_length=LINES_MAX)]
    note: Note | None


class WithdrawnBody(TypedDict):
    """Units that will not come; without `quantity` all that are open."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: NotRequired[PositiveUnits | None]
    location: NotRequired[Name | None]


class CancelInboundBody(TypedDict, total=False):
    """What will not come; without `lines` everything that is open."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[WithdrawnBody], Field(min_length=1, max_length=LINES_MAX)]
    note: Note | None


class ScheduleBody(TypedDict):
    """When it is expected; null: nobody knows."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    expected_at: Time | None


class ShippedBody(TypedDict):
    """Units that leave the source."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: PositiveUnits


# The functional form: `from` is a keyword.
ShipBody = TypedDict(
    "ShipBody",
    {
        "to": Name,
        "lines": Annotated[list[ShippedBody], Field(min_length=1, max_length=LINES_MAX)],
        "from": NotRequired[Name | None],
        "via": NotRequired[Name | None],
        "reference": NotRequired[Reference | None],
        "expected_at": NotRequired[Time | None],
        "note": NotRequired[Note | None],
    },
)
ShipBody.__pydantic_config__ = FORBID  # type: ignore[attr-defined]


class UnloadedBody(TypedDict):
    """Units that have arrived, and units that should have and did not, for a `reason`."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: Units
    missing: NotRequired[Units]
    reason: NotRequired[FactReason | None]


class ReceiveTransferBody(TypedDict, total=False):
    """What has arrived and what got lost; without `lines` everything that is open has arrived."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[UnloadedBody], Field(min_length=1, max_length=LINES_MAX)]
    note: Note | None


class SentBackBody(TypedDict):
    """Units that go back to the source; without `quantity` all that are open."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    sku: Name
    quantity: NotRequired[PositiveUnits | None]


class CancelTransferBody(TypedDict, total=False):
    """What goes back; without `lines` everything that is open."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    lines: Annotated[list[SentBackBody], Field(min_length=1, max_length=LINES_MAX)]
    note: Note | None


class ShipmentQuery(Page):
    """Which shipments."""

    status: Literal["open", "received", "cancelled"] | None = None
    reference: Reference | None = None
