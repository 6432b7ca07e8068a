"""What is answered about shipments, for the docs page; nothing at run time is built from these."""

from typing import Literal

from typing_extensions import TypedDict


class InboundLine(TypedDict):
    """A line of an inbound; more may be received than its quantity."""

    index: int
    sku: str
    location: str
    quantity: int
    received: int
    cancelled: int
    open: int


class InboundAnswer(TypedDict):
    """Goods that are expected from outside."""

    id: str
    reference: str
    status: Literal["open", "received", "cancelled"]
    expected_at: str | None
    created_at: str
    version: int
    lines: list[InboundLine]


class InboundList(TypedDict):
    """A page of inbounds."""

    items: list[InboundAnswer]
    next_cursor: str | None


class TransferLineShown(TypedDict):
    """A line of a transfer: each unit that was shipped is in one of four states."""

    index: int
    sku: str
    quantity: int
    received: int
    missing: int
    cancelled: int
    open: int


# The functional form: `from` is a keyword.
TransferAnswer = TypedDict(
    "TransferAnswer",
    {
        "id": str,
        "reference": str,
        "status": Literal["open", "received", "cancelled"],
        "from": str,
        "to": str,
        "via": str,
        "expected_at": str | None,
        "created_at": str,
        "version": int,
        "lines": list[TransferLineShown],
    },
)


class TransferList(TypedDict):
    """A page of transfers."""

    items: list[TransferAnswer]
    next_cursor: str | None
