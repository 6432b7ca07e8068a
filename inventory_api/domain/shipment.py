"""Shipments: goods on their way to a location, from outside or from another of our own.

An inbound is expected from outside. A transfer is one whose goods come from one of our locations
and wait in a transit location until they are received; all else is the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.commands import Mode
from inventory_api.domain.types import SKU, Instant, Key, LocationCode

Shown = dict[str, Any]  # Any: JSON values
ShipmentKind = Literal["inbound", "transfer"]


class Shipment(NamedTuple):
    """A row of the shipment table, in the order of its columns.

    `status` is open, received or cancelled; `source` and `transit` are a transfer's; `version`
    counts its changes.
    """

    id: str
    kind: str
    reference: str
    actor: str
    status: str
    source: LocationCode | None
    transit: LocationCode | None
    expected_at: Instant | None
    created_at: Instant
    version: int


class ShipmentLine(NamedTuple):
    """What of an item goes to which location, in the order of the table's columns.

    `open` is what is neither received nor cancelled nor missing; more than `quantity` may come.
    """

    shipment_id: str
    line: int
    sku: SKU
    location: LocationCode
    quantity: int
    received: int = 0
    cancelled: int = 0
    missing: int = 0
    open: int = 0
    expected_at: Instant | None = None


class Consignment(NamedTuple):
    """A shipment with its lines, in their order; there is at least one."""

    shipment: Shipment
    lines: tuple[ShipmentLine, ...]

    def level_keys(self) -> set[Key]:
        """Every level that a change of it may move."""
        targets = {(one.sku, one.location) for one in self.lines}
        return _with_ends(targets, self.shipment.source, self.shipment.transit)

    def is_seen_by(self, visible: frozenset[str] | None) -> bool:
        """Whether a caller who may hear of these locations may hear of all of it."""
        return visible is None or all(location in visible for _, location in self.level_keys())


class ExpectLine(NamedTuple):
    """Expect `quantity` units at a location."""

    sku: SKU
    location: LocationCode
    quantity: int


class Arrival(NamedTuple):
    """What has come of an item, and what should have and has not, for which reason."""

    sku: SKU
    location: LocationCode | None
    quantity: int
    missing: int = 0
    reason: str | None = None


class Withdrawal(NamedTuple):
    """What of an item will not come; `quantity` None is all that is open."""

    sku: SKU
    location: LocationCode | None
    quantity: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Expect goods; with a `source`, a transfer's, they leave it at once for `transit`.

    Attributes:
        reference: left out: the shipment's kind and id.
    """

    lines: tuple[ExpectLine, ...]
    reference: str | None = None
    expected_at: Instant | None = None
    source: LocationCode | None = None
    transit: LocationCode | None = None
    visible: frozenset[str] | None = None
    note: str | None = None
    mode: ClassVar[Mode] = Mode.ATOMIC
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    def level_keys(self) -> set[Key]:
        """Every level that it moves."""
        targets = {(one.sku, one.location) for one in self.lines}
        return _with_ends(targets, self.source, self.transit)

    @property
    def of(self) -> ShipmentKind:
        """What kind of shipment it makes."""
        return "inbound" if self.source is None else "transfer"

    @property
    def kind(self) -> str:
        """The word for the operation."""
        return "expect" if self.source is None else "ship"

    @property
    def reason(self) -> str:
        """Why units move."""
        return "received" if self.source is None else "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """Book what has come of a shipment of kind `of`; no lines: everything that is open."""

    id: str
    of: ShipmentKind
    lines: tuple[Arrival, ...] = ()
    visible: frozenset[str] | None = None
    note: str | None = None
    kind: ClassVar[str] = "receive"
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """Why units move."""
        return "received" if self.of == "inbound" else "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Expect a shipment no more, or parts of it; a transfer's goods go back to their source."""

    id: str
    of: ShipmentKind
    lines: tuple[Withdrawal, ...] = ()
    visible: frozenset[str] | None = None
    note: str | None = None
    kind: ClassVar[str] = "cancel"
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """Why units move, or are expected no more."""
        return "correction" if self.of == "inbound" else "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reschedule:
    """Expect a shipment at another time, or at an unknown one (None); no unit moves.

    Attributes:
        if_match: versions at which it may be changed; None: any.
    """

    id: str
    of: ShipmentKind
    expected_at: Instant | None
    if_match: frozenset[str] | None = None
    visible: frozenset[str] | None = None
    kind: ClassVar[str] = "reschedule"
    lines: ClassVar[tuple[()]] = ()
    reason: ClassVar[str] = "other"
    note: ClassVar[None] = None
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False


Shipping = Announce | Receive | Cancel | Reschedule
"""Everything that can be asked of shipments."""


def status_of(lines: Iterable[ShipmentLine]) -> str:
    """The state of a shipment with such lines; one that ended in several ways was received."""
    ended = list(lines)
    if any(one.open for one in ended):
        return "open"
    return "received" if any(one.received or one.missing for one in ended) else "cancelled"


def show_shipment(consignment: Consignment) -> Shown:
    """The shape of a shipment in answers."""
    shipment, lines = consignment
    is_transfer = shipment.kind == "transfer"
    ends = {"from": shipment.source, "to": lines[0].location, "via": shipment.transit}
    return {
        "id": shipment.id,
        "reference": shipment.reference,
        "status": shipment.status,
        **(ends if is_transfer else {}),
        "expected_at": None if shipment.expected_at is None else rfc3339(shipment.expected_at),
        "created_at": rfc3339(shipment.created_at),
        "version": shipment.version,
        "lines": [_show_line(one, is_transfer=is_transfer) for one in lines],
    }


def _with_ends(targets: set[Key], *ends: LocationCode | None) -> set[Key]:
    """The levels at the targets, and those of the same items at a transfer's two other places."""
    skus = {sku for sku, _ in targets}
    return targets | {(sku, end) for end in ends if end is not None for sku in skus}


def _show_line(line: ShipmentLine, *, is_transfer: bool) -> Shown:
    """A transfer's line has the target of all of them, and may have units that got lost."""
    return {
        "index": line.line,
        "sku": line.sku,
        **({} if is_transfer else {"location": line.location}),
        "quantity": line.quantity,
        "received": line.received,
        **({"missing": line.missing} if is_transfer else {}),
        "cancelled": line.cancelled,
        "open": line.open,
    }
