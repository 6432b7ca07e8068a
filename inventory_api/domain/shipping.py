"""What becomes of a shipment's commands, given the stock and the shipments as they are."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.draft import Stamp
from inventory_api.domain.open_rest import OpenRest
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.shipment import (
    Announce,
    Arrival,
    Cancel,
    Consignment,
    ExpectLine,
    Receive,
    Reschedule,
    Shipment,
    ShipmentLine,
    Shipping,
    Withdrawal,
    status_of,
)
from inventory_api.domain.stock import Change, guard, move
from inventory_api.domain.types import SKU, UNITS_MAX, Key, Level, LocationCode

_Step = tuple[Key, str, str]
"""Which level a movement is of, its type, and its reason."""
_Some = TypeVar("_Some", Arrival, Withdrawal)


class _Wrong(NamedTuple):
    """Why a line is refused, and the location where that is; None: it is at none in particular."""

    rejection: Rejection
    location: LocationCode | None = None


@dataclass(slots=True)
class _Draft:
    """The running balance of one command, and the one movement for each level, type and reason.

    Attributes:
        lines: of the shipment, as they become.
        levels: on hand and incoming only; what is written is made of the steps.
        steps: units more on hand and more expected.
    """

    snapshot: Snapshot
    shipment: Shipment
    lines: list[ShipmentLine]
    levels: dict[Key, Level] = field(default_factory=dict)
    steps: dict[_Step, tuple[int, int]] = field(default_factory=dict)

    def look(self, key: Key) -> Level:
        return self.levels.get(key) or self.snapshot.levels.get(key) or Level(*key)

    def book(self, key: Key, kind: str, reason: str, on_hand: int = 0, incoming: int = 0) -> None:
        level = self.look(key)
        self.levels[key] = level._replace(
            on_hand=level.on_hand + on_hand, incoming=level.incoming + incoming
        )
        units, expected = self.steps.get((key, kind, reason), (0, 0))
        self.steps[key, kind, reason] = (units + on_hand, expected + incoming)

    def close(self, index: int, name: str, units: int, *, is_open: bool = True) -> None:
        """Open units of a line have become so; or units have come that were not expected."""
        line = self.lines[index]
        values = {name: getattr(line, name) + units}
        if is_open:
            values["open"] = line.open - units
        self.lines[index] = line._replace(**values)

    def done(self) -> Decision:
        """The decision, carried over to the snapshot."""
        levels: dict[Key, Level] = {}
        changes: list[Change] = []
        for (key, kind, reason), (on_hand, incoming) in self.steps.items():
            before = levels.get(key) or self.snapshot.levels.get(key) or Level(*key)
            levels[key], change = move(before, on_hand, kind, reason, incoming=incoming)
            changes.append(change)
        self.snapshot.levels.update(levels)
        version = self.shipment.version + 1
        shipment = self.shipment._replace(status=status_of(self.lines), version=version)
        consignment = Consignment(shipment, tuple(self.lines))
        self.snapshot.keep_shipment(consignment)
        return Decision((), changes, shipment=consignment)


def ship(command: Shipping, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Announce a shipment, or receive, cancel or reschedule one that the caller may see."""
    if isinstance(command, Announce):
        return _no_way(command, snapshot) or _announce(command, snapshot, stamp)
    found = snapshot.shipments.get(command.id)
    if found is None or found.shipment.kind != command.of or not found.is_seen_by(command.visible):
        return _refused(Code.UNKNOWN_ID, {})
    match command:
        case Receive():
            return _receive(command, found, snapshot)
        case Cancel():
            return _cancel(command, found, snapshot)
        case Reschedule():
            return _reschedule(command, found, snapshot)


def _no_way(command: Announce, snapshot: Snapshot) -> Decision | None:
    """Why goods can't go from there to there, whatever they are."""
    if command.source is None or command.transit is None:
        return None
    ends = {command.source, command.transit}
    if len(ends) == 1 or any(line.location in ends for line in command.lines):
        return _refused(Code.SAME_LOCATION, {})
    if command.transit not in snapshot.transits | snapshot.barred_locations.keys():
        return _refused(Code.NOT_TRANSIT, {"location": command.transit})
    return None


def _announce(command: Announce, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Expect all lines or none; a transfer's goods are taken from their source as a request."""
    shipment = Shipment(
        id=stamp.operation_id,
        kind=command.of,
        reference=command.reference or f"{command.of}:{stamp.operation_id}",
        actor=stamp.actor,
        status="open",
        source=command.source,
        transit=command.transit,
        expected_at=command.expected_at,
        created_at=stamp.now,
        version=0,
    )
    draft, refused = _Draft(snapshot, shipment, []), []
    for index, line in enumerate(command.lines):
        if (wrong := _expect(line, command, draft)) is not None:
            at = wrong.location or command.source or line.location
            refused.append(Refused(line._replace(location=at), wrong.rejection, index))
        draft.lines.append(
            ShipmentLine(
                shipment_id=shipment.id,
                line=index,
                sku=line.sku,
                location=line.location,
                quantity=line.quantity,
                open=line.quantity,
                expected_at=command.expected_at,
            )
        )
    return Decision(refused, (), refused=True) if refused else draft.done()


def _expect(line: ExpectLine, command: Announce, draft: _Draft) -> _Wrong | None:
    """Expect a line on the running balance, and take a transfer's goods away; or why not."""
    places = (line.location, command.source, command.transit)
    if (barred := _bar(line.sku, places, draft.snapshot)) is not None:
        return barred
    sku, target, quantity = line.sku, (line.sku, line.location), line.quantity
    incoming = draft.look(target).incoming
    if incoming + quantity > UNITS_MAX:
        facts = {"incoming": incoming, "maximum": UNITS_MAX}
        return _Wrong(Rejection(Code.QUANTITY_OUT_OF_RANGE, facts), line.location)
    if command.source is not None and command.transit is not None:
        source, transit = (sku, command.source), (sku, command.transit)
        wrong = _guard(source, -quantity, draft, is_fact=False)
        if wrong := wrong or _guard(transit, quantity, draft, is_fact=False):
            return wrong
        draft.book(source, "transfer_out", command.reason, -quantity)
        draft.book(transit, "transfer_in", command.reason, quantity)
    draft.book(target, "expect", command.reason, incoming=quantity)
    return None


def _receive(command: Receive, found: Consignment, snapshot: Snapshot) -> Decision:
    """Book what has come, all lines or none.

    What comes from outside is a fact, also if it is more than was expected or comes after the
    end. Out of a transit location comes only what is open.
    """
    arrivals = list(enumerate(command.lines)) or [
        (one.line, Arrival(one.sku, one.location, one.open)) for one in found.lines if one.open
    ]
    judge = _land if found.shipment.transit is None else _unload
    return _judge_parts(arrivals, judge, found, snapshot)


def _cancel(command: Cancel, found: Consignment, snapshot: Snapshot) -> Decision:
    """Expect what is named no more, or everything that is open; all lines or none."""
    withdrawals = list(enumerate(command.lines)) or [
        (one.line, Withdrawal(one.sku, one.location, one.open)) for one in found.lines if one.open
    ]
    return _judge_parts(withdrawals, _withdraw, found, snapshot)


def _judge_parts(
    parts: Sequence[tuple[int, _Some]],
    judge: Callable[[_Some, OpenRest, _Draft], _Wrong | None],
    found: Consignment,
    snapshot: Snapshot,
) -> Decision:
    """Judge parts of a shipment in order on the running balance, each with its index."""
    if not parts:
        return _over(found.shipment)
    draft, rest = _Draft(snapshot, found.shipment, list(found.lines)), OpenRest(found.lines)
    refused = []
    for index, part in parts:
        wrong = _bar(part.sku, (), snapshot) or judge(part, rest, draft)
        if wrong is not None:
            told = part._replace(location=wrong.location or part.location)
            refused.append(Refused(told, wrong.rejection, index))
    return Decision(refused, (), refused=True) if refused else draft.done()


def _land(arrival: Arrival, rest: OpenRest, draft: _Draft) -> _Wrong | None:
    """What has come from outside: what is open, and what is more stands with the last line."""
    part = (arrival.sku, arrival.location)
    last = rest.last(part)
    if last is None:
        return _not_open(arrival.quantity, 0)
    surplus = arrival.quantity - rest.units(part)
    for index, units in rest.take(part, arrival.quantity):
        if (wrong := _put(index, units, units, draft)) is not None:
            return wrong
    return _put(last, surplus, 0, draft) if surplus > 0 else None


def _put(index: int, units: int, expected: int, draft: _Draft) -> _Wrong | None:
    """Units of an inbound's line on the shelf: all of them expected, or none."""
    line = draft.lines[index]
    key = (line.sku, line.location)
    wrong = _bar(line.sku, (line.location,), draft.snapshot)
    if wrong := wrong or _guard(key, units, draft):
        return wrong
    if line.received + units > UNITS_MAX:
        facts = {"received": line.received, "maximum": UNITS_MAX}
        return _Wrong(Rejection(Code.QUANTITY_OUT_OF_RANGE, facts), line.location)
    draft.book(key, "receive", "received", units, -expected)
    draft.close(index, "received", units, is_open=expected > 0)
    return None


def _unload(arrival: Arrival, rest: OpenRest, draft: _Draft) -> _Wrong | None:
    """What has come out of the transit location, and what got lost in it."""
    part = (arrival.sku, arrival.location)
    requested = arrival.quantity + arrival.missing
    if requested > rest.units(part):
        return _not_open(requested, rest.units(part))
    for index, units in rest.take(part, arrival.quantity):
        line = draft.lines[index]
        if (wrong := _carry(line, line.location, units, draft)) is not None:
            return wrong
        draft.close(index, "received", units)
    for index, units in rest.take(part, arrival.missing):
        assert arrival.reason is not None, "the edge asks for it"
        if (wrong := _lose(draft.lines[index], arrival.reason, units, draft)) is not None:
            return wrong
        draft.close(index, "missing", units)
    return None


def _withdraw(one: Withdrawal, rest: OpenRest, draft: _Draft) -> _Wrong | None:
    """What will not come: a transfer's goods go back."""
    part = (one.sku, one.location)
    wanted = rest.units(part) if one.quantity is None else one.quantity
    if not wanted or wanted > rest.units(part):
        return _not_open(wanted, rest.units(part))
    source = draft.shipment.source
    for index, units in rest.take(part, wanted):
        line = draft.lines[index]
        if source is None:
            draft.book((line.sku, line.location), "expect", "correction", incoming=-units)
        elif (wrong := _carry(line, source, units, draft)) is not None:
            return wrong
        draft.close(index, "cancelled", units)
    return None


def _carry(line: ShipmentLine, end: LocationCode, units: int, draft: _Draft) -> _Wrong | None:
    """Units out of the transit location, to the target or back; they are expected no more.

    They leave it as a request does: what is promised there stays.
    """
    transit = draft.shipment.transit
    assert transit is not None
    wrong = _bar(line.sku, (end, transit), draft.snapshot)
    wrong = wrong or _guard((line.sku, transit), -units, draft, is_fact=False)
    if wrong := wrong or _guard((line.sku, end), units, draft):
        return wrong
    has_arrived = end == line.location
    draft.book((line.sku, transit), "transfer_out", "transfer", -units)
    draft.book((line.sku, end), "transfer_in", "transfer", units, -units if has_arrived else 0)
    if not has_arrived:
        draft.book((line.sku, line.location), "expect", "transfer", incoming=-units)
    return None


def _lose(line: ShipmentLine, reason: str, units: int, draft: _Draft) -> _Wrong | None:
    """Units that have left the source and will not arrive: a fact of the transit location."""
    assert draft.shipment.transit is not None
    transit = (line.sku, draft.shipment.transit)
    if (wrong := _guard(transit, -units, draft)) is not None:
        return wrong
    # In this order: by its first movement an operation is known to be a receipt (`domain/events.py`).
    draft.book((line.sku, line.location), "expect", reason, incoming=-units)
    draft.book(transit, "adjust", reason, -units)
    return None


def _reschedule(command: Reschedule, found: Consignment, snapshot: Snapshot) -> Decision:
    """Expect what is open at another time; the same time again leaves no trace."""
    shipment, lines = found
    if command.if_match is not None and str(shipment.version) not in command.if_match:
        return _refused(Code.VERSION_MISMATCH, {"current_version": shipment.version})
    if shipment.status != "open":
        return _over(shipment)
    at = command.expected_at
    if shipment.expected_at == at:
        return Decision((), (), shipment=found)
    moved = [one._replace(expected_at=at) for one in lines]
    return _Draft(snapshot, shipment._replace(expected_at=at), moved).done()


def _guard(key: Key, delta: int, draft: _Draft, *, is_fact: bool = True) -> _Wrong | None:
    rejection = guard(draft.look(key), delta, is_fact=is_fact)
    return None if rejection is None else _Wrong(rejection, key[1])


def _bar(sku: SKU, places: Iterable[LocationCode | None], snapshot: Snapshot) -> _Wrong | None:
    """Why nothing may change there: the item first, then the locations."""
    if (code := snapshot.barred(sku)) is not None:
        return _Wrong(Rejection(code, {}))
    for place in places:
        if place is not None and (code := snapshot.barred_locations.get(place)) is not None:
            return _Wrong(Rejection(code, {}), place)
    return None


def _not_open(requested: int, units: int) -> _Wrong:
    return _Wrong(Rejection(Code.NOT_OPEN, {"requested": requested, "open": units}))


def _over(shipment: Shipment) -> Decision:
    return _refused(Code.NOT_OPEN, {"id": shipment.id, "state": shipment.status})


def _refused(code: Code, facts: dict[str, Any]) -> Decision:  # Any: JSON values
    return Decision((), (), refused=True, rejection=Rejection(code, facts))
