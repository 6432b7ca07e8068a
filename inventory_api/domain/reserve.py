"""What becomes of a reservation's commands, given the stock and the holds as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import (
    Allocation,
    Hold,
    Part,
    Reservation,
    Reserve,
    ReserveLine,
    Settle,
    Sourcing,
    as_expired,
    status_after,
)
from inventory_api.domain.sourcing import Take, promisable, ranking, take
from inventory_api.domain.stock import Change, move
from inventory_api.domain.types import SKU, UNITS_MAX, Instant, Key, Level, LocationCode

# Which balance a verb takes units from, in this order, and which one gets them.
_SOURCES = {"confirm": ("held",), "fulfill": ("committed",), "release": ("held", "committed")}
Name = tuple[SKU, LocationCode, int]
"""Which allocation of a reservation: item, location, line."""

_BALANCES = {"held": "reserved", "committed": "committed"}


class Stamp(NamedTuple):
    """Who decides something now, in which operation; `now` is the clock that does not jump."""

    operation_id: str
    actor: str
    now: Instant


@dataclass(slots=True)
class _Draft:
    """The running balance of one command: levels and allocations that are not yet anybody's."""

    snapshot: Snapshot
    id: str
    reason: str
    levels: dict[Key, Level] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def look(self, key: Key) -> Level:
        return self.levels.get(key) or self.snapshot.levels.get(key) or Level(*key)

    def move(self, key: Key, kind: str, on_hand: int = 0, **promises: int) -> None:
        before = self.look(key)
        after, change = move(before, on_hand, kind, self.reason, None, self.id, **promises)
        self.levels[key] = after
        self.changes.append(change)

    def hold(self, key: Key, quantity: int, expires_at: Instant) -> None:
        """Reserve units; the level knows when the first of its holds ends."""
        self.move(key, "reserve", reserved=quantity)
        self.due_by(key, expires_at)

    def due_by(self, key: Key, expires_at: Instant) -> bool:
        """Let a level know that a hold ends then; whether that is news to it."""
        level = self.look(key)
        if level.next_expiry_at is not None and level.next_expiry_at <= expires_at:
            return False
        self.levels[key] = level._replace(next_expiry_at=expires_at)
        return True

    def done(self, hold: Hold, verb: str, **facts: Any) -> Decision:  # Any: JSON values
        """The decision, carried over to the snapshot."""
        status = status_after(verb, hold.allocations)
        reservation = hold.reservation._replace(status=status, version=hold.reservation.version + 1)
        hold = Hold(reservation, hold.allocations)
        self.snapshot.levels.update(self.levels)
        self.snapshot.keep(hold)
        return Decision((), self.changes, hold=hold, facts=facts)


def reserve(command: Reserve, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Hold what is asked for, all lines or none, unless a part is enough.

    A declared reservation gives back what it holds first, on the running balance, so that it
    never stands in its own way; the ledger gets the difference.
    """
    before = snapshot.open_hold(command.reference)
    if (refusal := _no_new_hold(command, before)) is not None:
        return refusal
    expires_at = Instant(stamp.now + command.ttl_us)
    row = Reservation(
        stamp.operation_id, command.reference, stamp.actor, "active", stamp.now, expires_at, 0
    )
    if before is not None:
        row = before.reservation._replace(expires_at=expires_at)
    draft = _Draft(snapshot, row.id, command.reason)
    own = {} if before is None else before.held_at()
    taken, refused = _take_lines(command, _without(draft, own), own)
    if refused:
        return Decision(refused, (), refused=True)
    old = {} if before is None else {_name(one): one for one in before.allocations}
    allocations = _difference(old, _wanted(command.lines, taken, row, snapshot), draft)
    backordered = [
        {"index": index, "quantity": units}
        for index, takes in enumerate(taken)
        if (units := sum(one.backordered for one in takes))
    ]
    facts = {"created": before is None, "backordered": backordered}
    return draft.done(Hold(row, allocations), "release", **facts)


def _no_new_hold(command: Reserve, before: Hold | None) -> Decision | None:
    """Why a hold can't be made or declared under a reference, if it can't."""
    if before is None:
        return None if command.lines else _refused(Code.UNKNOWN_ID, {})
    if not before.is_seen_by(command.visible):
        return _refused(Code.ALREADY_EXISTS, {})
    if not command.declared:
        return _refused(Code.ALREADY_EXISTS, {"id": before.reservation.id})
    is_promised = any(one.committed or one.fulfilled for one in before.allocations)
    return _not_active(before) if is_promised else None


def _wanted(
    lines: Sequence[ReserveLine],
    taken: Sequence[Sequence[Take]],
    row: Reservation,
    snapshot: Snapshot,
) -> dict[Name, Allocation]:
    """The allocations that the lines shall have; a line that got nothing has an empty one."""
    somewhere = min(snapshot.places, default=LocationCode("main"))
    wanted = {}
    for index, (line, takes) in enumerate(zip(lines, taken, strict=True)):
        for code, quantity, _ in takes or [Take(line.location or somewhere, 0)]:
            wanted[line.sku, code, index] = Allocation(
                line.sku, code, row.id, index, line.quantity, row.expires_at, quantity
            )
    return wanted


def _difference(
    old: dict[Name, Allocation], wanted: dict[Name, Allocation], draft: _Draft
) -> tuple[Allocation, ...]:
    """The allocations as they become, with a movement for each that holds more or less."""
    allocations = []
    for name in sorted({*old, *wanted}, key=lambda name: (name[2], name[1])):
        key = (name[0], name[1])
        known, one = old.get(name), wanted.get(name)
        held = 0 if known is None else known.held
        if one is None:
            assert known is not None
            one = known._replace(held=0)
        if one.held > held:
            draft.hold(key, one.held - held, one.expires_at)
        elif one.held < held:
            draft.move(key, "release", reserved=one.held - held)
        # Also where less is held than before: its life may have become shorter.
        if one.held and draft.due_by(key, one.expires_at):
            draft.snapshot.retimed.add(key)
        if known is not None:
            given_back = known.released + max(0, held - one.held)
            one = one._replace(released=given_back, expired=known.expired)
        allocations.append(one)
    return tuple(allocations)


def settle(command: Settle, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Confirm, fulfill, release or extend: what is named, or everything that can be."""
    hold = snapshot.holds.get(command.id)
    if hold is None or not hold.is_seen_by(command.visible):
        return _refused(Code.UNKNOWN_ID, {})
    if command.kind == "extend":
        return _extend(command, hold, snapshot, stamp)
    if command.kind == "confirm" and _is_late(hold):
        return _recover(command, hold, snapshot)
    sources = _SOURCES[command.kind]
    if not any(getattr(one, name) for one in hold.allocations for name in sources):
        return _not_active(hold)
    parts, refused = _parts(command, hold, sources)
    if refused:
        return Decision(refused, (), refused=True)
    return _settle_parts(command, hold, parts, snapshot)


def _settle_parts(
    command: Settle, hold: Hold, parts: Sequence[int], snapshot: Snapshot
) -> Decision:
    """Move the units of each allocation; what leaves the shelf must be on it."""
    draft = _Draft(snapshot, hold.reservation.id, command.reason)
    allocations, refused = [], []
    for one, quantity in zip(hold.allocations, parts, strict=True):
        if command.kind == "fulfill" and quantity > draft.look((one.sku, one.location)).on_hand:
            refused.append(_off_the_shelf(one, quantity, draft))
        else:
            allocations.append(_settled(command.kind, one, quantity, draft))
    if refused:
        return Decision(refused, (), refused=True)
    return draft.done(Hold(hold.reservation, tuple(allocations)), command.kind)


def expire(hold: Hold, snapshot: Snapshot) -> Decision:
    """Give back what a due reservation still holds, on all its levels."""
    draft = _Draft(snapshot, hold.reservation.id, "cancelled_sale")
    for one in hold.allocations:
        if one.held:
            draft.move((one.sku, one.location), "expire", reserved=-one.held)
    return draft.done(as_expired(hold), "expire")


def _take_lines(
    command: Reserve, draft: _Draft, own: dict[Key, int]
) -> tuple[list[list[Take]], list[Refused]]:
    """What each line takes on the running balance, and the lines that can't have what they ask."""
    snapshot, taken, refused = draft.snapshot, list[list[Take]](), list[Refused]()
    places = {
        code: place
        for code, place in snapshot.places.items()
        if command.visible is None or code in command.visible
    }
    ranked = ranking(command.lines, places, draft.look, command.sourcing)
    most_available = command.sourcing is Sourcing.MOST_AVAILABLE
    had: dict[SKU, list[LocationCode]] = {}
    for sku, code in own:
        had.setdefault(sku, []).append(code)
    for index, line in enumerate(command.lines):
        barred = snapshot.barred_items.get(line.sku)
        if barred is None and line.location is not None:
            barred = snapshot.barred_locations.get(line.location)
        if barred is not None:
            refused.append(Refused(line, Rejection(barred, {}), index))
            continue
        takes, missing = take(
            line,
            ranked,
            draft.look,
            most_available=most_available,
            preferred=had.get(line.sku, ()),
        )
        if missing and not command.allow_partial:
            refused.append(_shortage(line, ranked, draft, missing)._replace(place=index))
            continue
        for one in takes:
            key = (line.sku, one.location)
            draft.levels[key] = _less(draft.look(key), one.quantity)
        taken.append(takes)
    return taken, refused


def _without(draft: _Draft, own: dict[Key, int]) -> _Draft:
    """A draft on which the caller's own hold is given back."""
    trial = _Draft(draft.snapshot, draft.id, draft.reason)
    for key, quantity in own.items():
        trial.levels[key] = _less(trial.look(key), -quantity)
    return trial


def _less(level: Level, quantity: int) -> Level:
    return level._replace(reserved=level.reserved + quantity)


def _shortage(
    line: ReserveLine, ranked: Sequence[LocationCode], draft: _Draft, missing: int
) -> Refused:
    codes = [line.location] if line.location is not None else ranked
    levels = [draft.look((line.sku, code)) for code in codes]
    facts = {
        "requested": line.quantity,
        "on_hand": sum(level.on_hand for level in levels),
        "available": sum(promisable(level, UNITS_MAX) for level in levels),
        "shortage": missing,
        "elsewhere": [],
        "next_available_at": None,
    }
    return Refused(line, Rejection(Code.INSUFFICIENT_STOCK, facts))


def _extend(command: Settle, hold: Hold, snapshot: Snapshot, stamp: Stamp) -> Decision:
    if not hold.held:
        return _not_active(hold)
    expires_at = Instant(stamp.now + command.ttl_us)
    reservation = hold.reservation._replace(expires_at=expires_at)
    allocations = tuple(one._replace(expires_at=expires_at) for one in hold.allocations)
    draft = _Draft(snapshot, hold.reservation.id, command.reason)
    for one in allocations:
        # No unit moves, but a life that has become shorter must be known to the level.
        if one.held and draft.due_by((one.sku, one.location), expires_at):
            snapshot.retimed.add((one.sku, one.location))
    return draft.done(Hold(reservation, allocations), "extend")


def _is_late(hold: Hold) -> bool:
    """Whether nothing is held any more, and what was held has expired and not shipped."""
    has_expired = any(one.expired for one in hold.allocations)
    return has_expired and not hold.held and hold.reservation.status in ("expired", "confirmed")


def _recover(command: Settle, hold: Hold, snapshot: Snapshot) -> Decision:
    """A late payment: take again what had expired, where it was, if it is still free."""
    other = snapshot.open_hold(hold.reservation.reference)
    if other is not None and other.reservation.id != hold.reservation.id:
        return _refused(Code.ALREADY_EXISTS, {"id": other.reservation.id})
    parts, refused = _parts(command, hold, ("expired",))
    if refused:
        return Decision(refused, (), refused=True)
    draft = _Draft(snapshot, hold.reservation.id, "sale")
    allocations = []
    for one, quantity in zip(hold.allocations, parts, strict=True):
        key = (one.sku, one.location)
        free = promisable(draft.look(key), quantity)
        if free < quantity:
            line = ReserveLine(one.sku, one.location, quantity)
            refused.append(_shortage(line, (), draft, quantity - free)._replace(place=one.line))
        elif quantity:
            draft.move(key, "confirm", committed=quantity)
        allocations.append(
            one._replace(expired=one.expired - quantity, committed=one.committed + quantity)
        )
    if refused:
        late = Rejection(Code.RESERVATION_EXPIRED, {"id": hold.reservation.id})
        return Decision(refused, (), refused=True, rejection=late)
    return draft.done(Hold(hold.reservation, tuple(allocations)), "confirm", recovered=True)


def _parts(command: Settle, hold: Hold, sources: Sequence[str]) -> tuple[list[int], list[Refused]]:
    """How many units of each allocation are meant, in its order."""
    open_units = [sum(getattr(one, name) for name in sources) for one in hold.allocations]
    if not command.lines:
        return open_units, []
    meant = [0] * len(open_units)
    refused = []
    by_item: dict[SKU, list[int]] = {}
    for index, one in enumerate(hold.allocations):
        by_item.setdefault(one.sku, []).append(index)
    for number, part in enumerate(command.lines):
        own = [
            index
            for index in by_item.get(part.sku, ())
            if part.location in (None, hold.allocations[index].location)
        ]
        left = sum(open_units[index] - meant[index] for index in own)
        wanted = left if part.quantity is None else part.quantity
        if not own or wanted > left:
            refused.append(_too_many(part, left)._replace(place=number))
            continue
        for index in own:
            some = min(wanted, open_units[index] - meant[index])
            meant[index] += some
            wanted -= some
    return meant, refused


def _too_many(part: Part, left: int) -> Refused:
    return Refused(part, Rejection(Code.NOT_OPEN, {"requested": part.quantity, "open": left}))


def _off_the_shelf(one: Allocation, quantity: int, draft: _Draft) -> Refused:
    line = ReserveLine(one.sku, one.location, quantity)
    level = draft.look((one.sku, one.location))
    return _shortage(line, (), draft, quantity - level.on_hand)


def _settled(verb: str, one: Allocation, quantity: int, draft: _Draft) -> Allocation:
    """The allocation after a verb has taken units from its sources, in their order."""
    if not quantity:
        return one
    gone: dict[str, int] = {}
    for name in _SOURCES[verb]:
        gone[name] = min(quantity - sum(gone.values()), getattr(one, name))
    promises = {_BALANCES[name]: -units for name, units in gone.items()}
    if verb == "confirm":
        promises["committed"] = quantity
    on_hand = -quantity if verb == "fulfill" else 0
    draft.move((one.sku, one.location), verb, on_hand, **promises)
    target = {"confirm": "committed", "fulfill": "fulfilled", "release": "released"}[verb]
    values = {name: getattr(one, name) - units for name, units in gone.items()}
    values[target] = values.get(target, getattr(one, target)) + quantity
    return one._replace(**values)


def _refused(code: Code, facts: dict[str, Any]) -> Decision:  # Any: JSON values
    return Decision((), (), refused=True, rejection=Rejection(code, facts))


def _not_active(hold: Hold) -> Decision:
    """Not in the state that the verb needs; an expired one has a code of its own."""
    status = hold.reservation.status
    code = Code.RESERVATION_EXPIRED if status == "expired" else Code.RESERVATION_NOT_ACTIVE
    return _refused(code, {"id": hold.reservation.id, "state": status})


def _name(one: Allocation) -> Name:
    return (one.sku, one.location, one.line)
