"""What the decisions about reservations share: the running balance, and how they say no."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import Hold, ReserveLine, Shown, status_after
from inventory_api.domain.sourcing import Look, promisable, promisable_of
from inventory_api.domain.stock import Change, move
from inventory_api.domain.types import SKU, UNITS_MAX, Instant, Key, Level, LocationCode, Recipe


class Stamp(NamedTuple):
    """Who decides something now, in which operation; `now` is the clock that does not jump."""

    operation_id: str
    actor: str
    now: Instant


@dataclass(slots=True)
class Draft:
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


def bar(line: ReserveLine, recipe: Recipe, snapshot: Snapshot) -> Code | None:
    """Why a line can't be had whatever is there: the item, its components, the location."""
    if snapshot.barred_items:
        for sku in (line.sku, *(sku for sku, _ in recipe)):
            if (code := snapshot.barred_items.get(sku)) is not None:
                return code
    if line.location is None:
        return None
    barred = snapshot.barred_locations.get(line.location)
    # What waits there is a transfer's, and will leave with it.
    return Code.IN_TRANSIT if barred is None and line.location in snapshot.transits else barred


def promisable_units(level: Level) -> int:
    """All that a level may promise."""
    return promisable(level, UNITS_MAX)


def shelf_units(level: Level) -> int:
    """All that is there."""
    return level.on_hand


def shortage(
    line: ReserveLine,
    recipe: Recipe,
    codes: Sequence[LocationCode],
    look: Look,
    missing: int,
    units: Callable[[Level], int] = promisable_units,
) -> Refused:
    """Not enough at the locations, in what the line counts: units, or whole kits.

    `units` is what counts of a level; of a kit the components are told that have too little of it.
    """
    on_hand = [
        min(look((sku, code)).on_hand // per_one for sku, per_one in recipe) for code in codes
    ]
    facts = {
        "requested": line.quantity,
        "on_hand": sum(on_hand),
        "available": sum(promisable_of(recipe, code, look, UNITS_MAX) for code in codes),
        "shortage": missing,
        "elsewhere": [],
        "next_available_at": None,
    }
    if recipe == ((line.sku, 1),):
        return Refused(line, Rejection(Code.INSUFFICIENT_STOCK, facts))
    here = {code: [units(look((sku, code))) for sku, _ in recipe] for code in codes}
    facts["components"] = _short_components(line, recipe, here)
    lacks = {code: _limiting(recipe, has) for code, has in here.items()}
    return Refused(line, Rejection(Code.INSUFFICIENT_STOCK, facts), recipe=recipe, lacks=lacks)


def _short_components(
    line: ReserveLine, recipe: Recipe, here: Mapping[LocationCode, Sequence[int]]
) -> list[Shown]:
    """The components that limit a kit at any location which can't fill the line.

    `here` has the units of each component. A location that has nothing of the kit at all says
    nothing, unless no other one has.
    """
    short: set[SKU] = set()
    for has in here.values():
        kits = [count // per_kit for count, (_, per_kit) in zip(has, recipe, strict=True)]
        if any(has) and min(kits) < line.quantity:
            short.update(_limiting(recipe, has))
    available = map(sum, zip(*here.values(), strict=True)) if here else [0] * len(recipe)
    return [
        {"sku": sku, "quantity": per_kit, "available": count}
        for (sku, per_kit), count in zip(recipe, available, strict=True)
        if sku in short or not short
    ]


def _limiting(recipe: Recipe, has: Sequence[int]) -> list[SKU]:
    """The components that allow the fewest kits, of so many units of each."""
    kits = [count // per_kit for count, (_, per_kit) in zip(has, recipe, strict=True)]
    fewest = min(kits)
    return [sku for count, (sku, _) in zip(kits, recipe, strict=True) if count == fewest]


def refused(code: Code, facts: dict[str, Any]) -> Decision:  # Any: JSON values
    """The refusal of a command as a whole."""
    return Decision((), (), refused=True, rejection=Rejection(code, facts))


def not_active(hold: Hold) -> Decision:
    """Not in the state that the verb needs; an expired one has a code of its own."""
    status = hold.reservation.status
    code = Code.RESERVATION_EXPIRED if status == "expired" else Code.RESERVATION_NOT_ACTIVE
    return refused(code, {"id": hold.reservation.id, "state": status})
