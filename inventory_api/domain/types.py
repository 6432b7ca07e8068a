"""The values that the rules work on."""

import unicodedata
from typing import NamedTuple, NewType

SKU = NewType("SKU", str)
LocationCode = NewType("LocationCode", str)
Key = tuple[SKU, LocationCode]
Instant = NewType("Instant", int)
"""Microseconds since 1970 UTC: exact, ordered, the same bits on both databases."""

Recipe = tuple[tuple[SKU, int], ...]
"""What one of something is made of: items and their units; of a plain item it is itself, once."""

UNITS_MAX = 10**12
SKU_LENGTH_MAX = 64
REFERENCE_LENGTH_MAX = 255
LINE_ID_LENGTH_MAX = 128
# Control, format, surrogate, private use, unassigned; and the two separators that break lines.
_NO_NAMES = {"", ".", ".."}
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_visible(text: str) -> bool:
    """Whether a text has only characters that are seen and stored alike everywhere."""
    if text.isascii():
        return text.isprintable()
    return not any(unicodedata.category(character) in _INVISIBLE for character in text)


def is_name(text: str) -> bool:
    """Whether a text may be a SKU or a location's code (docs/api.md), but for its length."""
    # Clients resolve the two of dots in a path before they send it.
    if text.strip() != text or "/" in text or text in _NO_NAMES or not is_visible(text):
        return False
    return text.isascii() or unicodedata.is_normalized("NFC", text)


class Fence(NamedTuple):
    """The right to do a background job, as long as the token is the lease's (store/leases.py)."""

    name: str
    token: int


class Level(NamedTuple):
    """The stock of one item at one location. Units are whole.

    `version` counts its movements and `seq` is the last one's; both 0 before the first.
    `backorder_limit` None is unlimited. A change of a policy, from `safety_stock` to `reorder_to`,
    is a movement too, of nothing. `next_expiry_at` is not later than the end of any active hold.
    `alert` is what was told of it (domain/alerts.py), and `rearm_at` ends the reorder point's margin.
    """

    sku: SKU
    location: LocationCode
    on_hand: int = 0
    reserved: int = 0
    committed: int = 0
    incoming: int = 0
    version: int = 0
    seq: int = 0
    safety_stock: int = 0
    backorder_limit: int | None = 0
    reorder_point: int | None = None
    reorder_to: int | None = None
    next_expiry_at: Instant | None = None
    alert: int = 0
    rearm_at: int | None = None

    @property
    def available(self) -> int:
        """What can be sold; below zero by backorders, or by facts."""
        return self.on_hand - self.reserved - self.committed - self.safety_stock


class Movement(NamedTuple):
    """One immutable row of the ledger, in the order of its columns; `d_` is a change of units.

    `alerts` None: it was written before they were recorded.
    """

    seq: int
    recorded_at: Instant
    operation_id: str
    actor: str
    reference: str | None
    occurred_at: Instant
    type: str
    sku: SKU
    location: LocationCode
    level_version: int
    d_on_hand: int
    d_reserved: int
    d_committed: int
    d_incoming: int
    on_hand: int
    reserved: int
    committed: int
    incoming: int
    available: int
    reason: str
    oversold_by: int
    line_id: str | None
    reservation_id: str | None
    alerts: int | None


class Operation(NamedTuple):
    """One request that changed stock, in the order of its columns; movements `first_seq` to `last_seq`.

    `applied` counts lines of an adjust, a set or a transfer, and movements of all else.
    """

    id: str
    recorded_at: Instant
    actor: str
    key: str | None
    type: str
    mode: str
    reason: str
    reference: str | None
    note: str | None
    occurred_at: Instant
    first_seq: int
    last_seq: int
    applied: int
    rejected: int
