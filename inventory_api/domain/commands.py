"""What can be asked of the stock."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from inventory_api.domain.types import (
    LINE_ID_LENGTH_MAX,
    REFERENCE_LENGTH_MAX,
    SKU,
    SKU_LENGTH_MAX,
    UNITS_MAX,
    Fence,
    Instant,
    LocationCode,
    is_name,
    is_visible,
)

REASONS = frozenset(
    [
        "received",
        "returned",
        "correction",
        "cycle_count",
        "damaged",
        "expired",
        "lost",
        "theft",
        "sample",
        "internal_use",
        "vendor_return",
        "production",
        "transfer",
        "sale",
        "cancelled_sale",
        "quality_control",
        "opening_balance",
        "supplier_feed",
        "other",
    ]
)
FACT_REASONS = frozenset(
    {"damaged", "expired", "lost", "theft", "cycle_count", "correction", "quality_control"}
)
CUSTOM_REASON = re.compile(r"custom:[a-z0-9][a-z0-9_-]{0,55}")


def is_reason(text: str) -> bool:
    """Whether a text is of the closed list or `custom:<slug>`."""
    return text in REASONS or CUSTOM_REASON.fullmatch(text) is not None


class Mode(StrEnum):
    """All lines or none; or each line, or group of lines, for itself."""

    ATOMIC = "atomic"
    INDEPENDENT = "independent"


class AdjustLine(NamedTuple):
    """Add `delta` units; lines of one `group` succeed or fail together."""

    sku: SKU
    location: LocationCode
    delta: int
    reason: str
    line_id: str | None = None
    group: str | None = None


class SetLine(NamedTuple):
    """Book that `on_hand` units were counted; `expected_on_hand` None accepts any count before."""

    sku: SKU
    location: LocationCode
    on_hand: int
    expected_on_hand: int | None
    reason: str
    line_id: str | None = None
    group: str | None = None


class TransferLine(NamedTuple):
    """Move `quantity` units from one location to another."""

    sku: SKU
    source: LocationCode
    target: LocationCode
    quantity: int
    reason: str
    group: str | None = None

    @property
    def location(self) -> LocationCode:
        """Where the line takes from."""
        return self.source

    @property
    def line_id(self) -> None:
        """A transfer is known by its key only."""


Line = AdjustLine | SetLine | TransferLine


@dataclass(frozen=True, slots=True)
class Command:
    """One request to change stock: lines of one kind, in the order in which they are judged.

    Attributes:
        kind: the word for the operation: adjust, set or transfer.
        occurred_at: when it happened outside; information only. None: when it is recorded.
        dry_run: judge, answer, and change nothing.
        visible: locations that the caller may hear of; None: all.
        fence: under which of several processes it is asked; None: whoever asks.
    """

    kind: str
    lines: tuple[Line, ...]
    mode: Mode = Mode.ATOMIC
    reason: str = "other"
    reference: str | None = None
    occurred_at: Instant | None = None
    note: str | None = None
    dry_run: bool = False
    visible: frozenset[str] | None = None
    fence: Fence | None = None


def check(command: Command) -> None:
    """Raise `ValueError` naming the field, if a command breaks a rule of docs/api.md.

    The web checks its bodies itself, for the caller's language; this is for commands that code
    makes.
    """
    for index, line in enumerate(command.lines):
        for field, value in line._asdict().items():
            if not _is_fit(field, value):
                raise ValueError(f"lines[{index}].{field} is not valid: {value!r}")
    if command.reference is not None and not _is_text(command.reference, REFERENCE_LENGTH_MAX):
        raise ValueError(f"reference is not valid: {command.reference!r}")


def _is_fit(field: str, value: object) -> bool:
    match field:
        case "sku" | "location" | "source" | "target":
            return isinstance(value, str) and len(value) <= SKU_LENGTH_MAX and is_name(value)
        case "delta":
            return type(value) is int and abs(value) <= UNITS_MAX
        case "on_hand":
            return type(value) is int and 0 <= value <= UNITS_MAX
        case "quantity":
            return type(value) is int and 1 <= value <= UNITS_MAX
        case "expected_on_hand":
            return value is None or (type(value) is int and 0 <= value <= UNITS_MAX)
        case "reason":
            return isinstance(value, str) and is_reason(value)
        case _:
            return value is None or _is_text(value, LINE_ID_LENGTH_MAX)


def _is_text(value: object, length_max: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= length_max and is_visible(value)
