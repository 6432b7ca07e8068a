"""Reservations: what is held for whom, in which state, and until when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from inventory_api.domain.catalog import rfc3339
from inventory_api.domain.commands import Mode
from inventory_api.domain.types import SKU, Fence, Instant, Key, LocationCode, Recipe

Shown = dict[str, Any]  # Any: JSON values


class Sourcing(StrEnum):
    """From which locations a line without one is taken."""

    PRIORITY = "priority"
    FEWEST_LOCATIONS = "fewest_locations"
    MOST_AVAILABLE = "most_available"


class Reservation(NamedTuple):
    """A row of the reservation table, in the order of its columns.

    `status` is active, confirmed, fulfilled, released or expired; `version` counts its changes.
    """

    id: str
    reference: str | None
    actor: str
    status: str
    created_at: Instant
    expires_at: Instant
    version: int


class Allocation(NamedTuple):
    """What a line of a reservation has at one location, in the order of the table's columns.

    `held` to `expired` are units; each unit is in one of these states, and their sum is what was
    taken since the line was declared last. `requested` is the line's whole quantity, also where
    several locations share it, and 0 if a later declaration asks for nothing of it here: then all
    others are 0 as well. If the line is of a kit, this is what it has of one component: `kit` is the kit's SKU, else empty, and
    `per_kit` the units that one kit takes.
    """

    sku: SKU
    location: LocationCode
    reservation_id: str
    line: int
    requested: int
    expires_at: Instant
    held: int = 0
    committed: int = 0
    fulfilled: int = 0
    released: int = 0
    expired: int = 0
    kit: str = ""
    per_kit: int = 1

    @property
    def name(self) -> SKU:
        """What the line names: the kit or the item."""
        return SKU(self.kit or self.sku)

    @property
    def quantity(self) -> int:
        """All that was taken since the line was declared last."""
        return self.held + self.committed + self.fulfilled + self.released + self.expired


Bundle = tuple[Allocation, ...]
"""What moves in lock-step: the components of a kit's line at one location, or a plain one alone."""


class Hold(NamedTuple):
    """A reservation with its allocations, in the order of its lines."""

    reservation: Reservation
    allocations: tuple[Allocation, ...]

    @property
    def held(self) -> int:
        """Units that will expire."""
        return sum(one.held for one in self.allocations)

    def held_at(self) -> dict[Key, int]:
        """Units that will expire, by level."""
        held: dict[Key, int] = {}
        for one in self.allocations:
            if one.held:
                key = (one.sku, one.location)
                held[key] = held.get(key, 0) + one.held
        return held

    def recipes(self) -> dict[SKU, Recipe]:
        """What each kit is made of that the reservation has or had."""
        kits: dict[SKU, dict[SKU, int]] = {}
        for one in self.allocations:
            if one.kit:
                kits.setdefault(one.name, {})[one.sku] = one.per_kit
        return {kit: tuple(sorted(units.items())) for kit, units in kits.items()}

    def is_seen_by(self, visible: frozenset[str] | None) -> bool:
        """Whether a caller who may hear of these locations may hear of all of it."""
        return visible is None or all(one.location in visible for one in self.allocations)

    def is_due(self, now: Instant) -> bool:
        """Whether its time is over and it holds something still."""
        return self.reservation.expires_at <= now and self.held > 0


class ReserveLine(NamedTuple):
    """Hold `quantity` units, at a location or wherever the sourcing finds them."""

    sku: SKU
    location: LocationCode | None
    quantity: int


class Part(NamedTuple):
    """Some of what a reservation has of an item; `quantity` None is all of it."""

    sku: SKU
    location: LocationCode | None
    quantity: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Hold stock for `ttl_us` microseconds.

    Attributes:
        declared: the lines are what the reference shall hold from now on, whatever it held.
        allow_partial: take what there is of each line.
    """

    lines: tuple[ReserveLine, ...]
    ttl_us: int
    reference: str | None = None
    declared: bool = False
    allow_partial: bool = False
    sourcing: Sourcing = Sourcing.PRIORITY
    visible: frozenset[str] | None = None
    note: str | None = None
    mode: ClassVar[Mode] = Mode.ATOMIC
    reason: ClassVar[str] = "sale"
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """What the ledger calls it: nothing declared gives back what is held."""
        return "reserve" if self.lines else "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Confirm, fulfill, release or extend (`kind`) a reservation, or parts of it.

    Attributes:
        lines: the parts; empty: everything.
        ttl_us: of an extension, from now on.
    """

    kind: str
    id: str
    lines: tuple[Part, ...] = ()
    ttl_us: int = 0
    visible: frozenset[str] | None = None
    note: str | None = None
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    dry_run: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """Why units move."""
        return "cancelled_sale" if self.kind == "release" else "sale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """Tidy up what is due on some levels: the sweep's command, and the operation of an expiry.

    Attributes:
        fence: under which of several processes does it; None: there is one process only.
    """

    fence: Fence | None = None
    keys: tuple[tuple[SKU, LocationCode], ...] = ()
    kind: ClassVar[str] = "expire"
    lines: ClassVar[tuple[()]] = ()
    reason: ClassVar[str] = "cancelled_sale"
    mode: ClassVar[Mode] = Mode.ATOMIC
    reference: ClassVar[None] = None
    occurred_at: ClassVar[None] = None
    note: ClassVar[None] = None
    visible: ClassVar[None] = None
    dry_run: ClassVar[bool] = False


def bundles(allocations: Iterable[Allocation]) -> list[Bundle]:
    """What moves in lock-step, in the order in which it first appears."""
    every = list(allocations)
    if not any(one.kit for one in every):
        return [(one,) for one in every]
    found: dict[tuple[int, LocationCode, str, SKU | None], list[Allocation]] = {}
    for one in every:
        key = (one.line, one.location, one.kit, None if one.kit else one.sku)
        found.setdefault(key, []).append(one)
    return [tuple(group) for group in found.values()]


def status_after(verb: str, allocations: Iterable[Allocation]) -> str:
    """The state of a reservation whose allocations have just become so by a verb."""
    held = committed = fulfilled = 0
    for one in allocations:
        held += one.held
        committed += one.committed
        fulfilled += one.fulfilled
    if held:
        return "active"
    if committed:
        return "confirmed"
    if fulfilled:
        return "fulfilled"
    return "expired" if verb == "expire" else "released"


def show_hold(hold: Hold) -> Shown:
    """The shape of a reservation in answers."""
    reservation, lines = hold.reservation, _by_line(hold.allocations)
    return {
        "id": reservation.id,
        "reference": reservation.reference,
        "status": reservation.status,
        "created_at": rfc3339(reservation.created_at),
        "expires_at": rfc3339(reservation.expires_at),
        "version": reservation.version,
        "lines": [_show_line(*name, lines[name]) for name in sorted(lines)],
    }


def as_expired(hold: Hold) -> Hold:
    """How a hold looks whose time is over, before anybody has tidied it up."""
    allocations = tuple(
        one._replace(held=0, expired=one.expired + one.held) for one in hold.allocations
    )
    status = status_after("expire", allocations)
    return Hold(hold.reservation._replace(status=status), allocations)


def hold_at(hold: Hold, now: Instant) -> Hold:
    """How a hold looks at a moment, tidied up or not."""
    return as_expired(hold) if hold.is_due(now) else hold


def _by_line(allocations: Iterable[Allocation]) -> dict[tuple[int, str], list[Bundle]]:
    """By line and what it names, without what a later declaration has dropped."""
    lines: dict[tuple[int, str], list[Bundle]] = {}
    for bundle in bundles(one for one in allocations if one.requested):
        lines.setdefault((bundle[0].line, bundle[0].name), []).append(bundle)
    return lines


def _show_line(index: int, name: str, parts: Sequence[Bundle]) -> Shown:
    """Quantities are of what the line names: of kits, if it is one."""
    # In lock-step: any component tells how many kits there are.
    firsts = [bundle[0] for bundle in parts]

    def total(state: str) -> int:
        return sum(getattr(one, state) // one.per_kit for one in firsts)

    held, committed = total("held"), total("committed")
    return {
        "index": index,
        "sku": name,
        "requested": firsts[0].requested,
        "quantity": total("quantity"),
        "open": held + committed,
        "held": held,
        "committed": committed,
        "fulfilled": total("fulfilled"),
        "released": total("released"),
        "expired": total("expired"),
        "components": _show_components(parts) if firsts[0].kit else [],
        "allocations": [
            {
                "location": one.location,
                "quantity": one.quantity // one.per_kit,
                "open": (one.held + one.committed) // one.per_kit,
            }
            for one in firsts
            if one.quantity
        ],
    }


def _show_components(parts: Sequence[Bundle]) -> list[Shown]:
    """The units behind a kit's line; `quantity` is that of one kit."""
    units: dict[tuple[SKU, int], list[Allocation]] = {}
    for one in (one for bundle in parts for one in bundle):
        units.setdefault((one.sku, one.per_kit), []).append(one)
    return [
        {
            "sku": sku,
            "quantity": per_kit,
            "units": sum(one.quantity for one in same),
            "open": sum(one.held + one.committed for one in same),
        }
        for (sku, per_kit), same in sorted(units.items())
    ]
