"""What becomes of a new or a declared reservation, given the stock and the holds as they are."""

from collections.abc import Collection, Mapping, Sequence

from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.draft import Draft, Stamp, bar, refused, shortage
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import (
    Allocation,
    Hold,
    Reservation,
    Reserve,
    ReserveLine,
    Sourcing,
)
from inventory_api.domain.sourcing import Take, ranking, take
from inventory_api.domain.types import SKU, Instant, Level, LocationCode, Recipe

# Allocations of one command: as many as lines of a call, which is what a busy batch writes.
COMPONENT_LINES_MAX = 10_000
Recipes = Mapping[SKU, Recipe]
Name = tuple[int, LocationCode, str, SKU]
"""Which allocation of a reservation: line, location, kit, item; in their order."""


def reserve(command: Reserve, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Hold what is asked for, all lines or none, unless a part is enough.

    A declared reservation gives back what it holds first, on the running balance, so that it
    never stands in its own way; the ledger gets the difference. Nothing declared where nothing is
    held changes nothing.
    """
    before = snapshot.open_hold(command.reference)
    if before is None and not command.lines:
        return _nothing_more(command, snapshot)
    if (refusal := _no_new_hold(command, before)) is not None:
        return refusal
    expires_at = Instant(stamp.now + command.ttl_us)
    row = Reservation(
        stamp.operation_id, command.reference, stamp.actor, "active", stamp.now, expires_at, 0
    )
    if before is not None:
        row = before.reservation._replace(expires_at=expires_at)
    recipes = snapshot.recipes({line.sku for line in command.lines}, before)
    if (refusal := _too_many_components(command, recipes)) is not None:
        return refusal
    draft = Draft(snapshot, row.id, command.reason)
    taken, wrong = _take_lines(command, recipes, _without(draft, before), _places_of(before))
    if wrong:
        own = None if before is None else row.id
        return Decision([one._replace(own=own) for one in wrong], (), refused=True)
    old = {} if before is None else {_name(one): one for one in before.allocations}
    allocations = _difference(old, _wanted(command.lines, taken, row, recipes, snapshot), draft)
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
        return None
    if not before.is_seen_by(command.visible):
        return refused(Code.ALREADY_EXISTS, {})
    if not command.declared:
        return refused(Code.ALREADY_EXISTS, {"id": before.reservation.id})
    # It may be active still; then what is paid of it is why.
    for state, status in (("committed", "confirmed"), ("fulfilled", "fulfilled")):
        if any(getattr(one, state) for one in before.allocations):
            facts = {"id": before.reservation.id, "state": status}
            return refused(Code.RESERVATION_NOT_ACTIVE, facts)
    return None


def _nothing_more(command: Reserve, snapshot: Snapshot) -> Decision:
    """The last reservation of the reference as it is: it holds nothing already."""
    last = snapshot.last_hold(command.reference)
    if last is None or not last.is_seen_by(command.visible):
        return refused(Code.UNKNOWN_ID, {})
    return Decision((), (), hold=last, facts={"created": False, "backordered": []})


def _too_many_components(command: Reserve, recipes: Recipes) -> Decision | None:
    """The refusal of kits that would make a call larger than a call may be."""
    count = sum(len(recipes[line.sku]) for line in command.lines)
    if count <= COMPONENT_LINES_MAX:
        return None
    facts = {"components": count, "maximum": COMPONENT_LINES_MAX}
    return refused(Code.TOO_MANY_COMPONENTS, facts)


def _wanted(
    lines: Sequence[ReserveLine],
    taken: Sequence[Sequence[Take]],
    row: Reservation,
    recipes: Recipes,
    snapshot: Snapshot,
) -> dict[Name, Allocation]:
    """The allocations that the lines shall have; a line that got nothing has empty ones."""
    somewhere = min(snapshot.places, default=LocationCode("main"))
    wanted = {}
    for index, (line, takes) in enumerate(zip(lines, taken, strict=True)):
        kit = line.sku if line.sku in snapshot.kits else ""
        for code, quantity, _ in takes or [Take(line.location or somewhere, 0)]:
            for sku, per_one in recipes[line.sku]:
                wanted[index, code, kit, sku] = Allocation(
                    sku, code, row.id, index, line.quantity, row.expires_at, quantity * per_one,
                    0, 0, 0, 0, kit, per_one,
                )  # fmt: skip
    return wanted


def _difference(
    old: dict[Name, Allocation], wanted: dict[Name, Allocation], draft: Draft
) -> tuple[Allocation, ...]:
    """The allocations as they become, with a movement for each that holds more or less.

    Each line's account starts anew: what is given back because less is asked for is no part of what
    the line asked for, and is told by the ledger only. If nothing is asked for, all is released.
    """
    allocations = []
    for name in sorted({*old, *wanted}):
        key = (name[3], name[1])
        known, one = old.get(name), wanted.get(name)
        held = 0 if known is None else known.held
        if one is None:
            assert known is not None
            one = known._replace(held=0)
            if wanted:
                one = one._replace(requested=0, released=0, expired=0)
            else:
                one = one._replace(released=known.released + held)
        if one.held > held:
            draft.hold(key, one.held - held, one.expires_at)
        elif one.held < held:
            draft.move(key, "release", reserved=one.held - held)
        # Also where less is held than before: its life may have become shorter.
        if one.held and draft.due_by(key, one.expires_at):
            draft.snapshot.retimed.add(key)
        allocations.append(one)
    return tuple(allocations)


def _take_lines(
    command: Reserve, recipes: Recipes, draft: Draft, had: Mapping[SKU, Collection[LocationCode]]
) -> tuple[list[list[Take]], list[Refused]]:
    """What each line takes on the running balance, and the lines that can't have what they ask.

    `had` are the locations where the caller holds an item already: they are served first.
    """
    snapshot, taken, wrong = draft.snapshot, list[list[Take]](), list[Refused]()
    places = {
        code: place
        for code, place in snapshot.places.items()
        if command.visible is None or code in command.visible
    }
    ranked = ranking(command.lines, places, draft.look, command.sourcing, recipes)
    most_available = command.sourcing is Sourcing.MOST_AVAILABLE
    for index, line in enumerate(command.lines):
        recipe = recipes[line.sku]
        if (barred := bar(line, recipe, snapshot)) is not None:
            wrong.append(Refused(line, Rejection(barred, {}), index))
            continue
        takes, missing = take(
            line,
            recipe,
            ranked,
            draft.look,
            most_available=most_available,
            preferred=had.get(line.sku, ()),
        )
        if missing and not command.allow_partial:
            codes = ranked if line.location is None else (line.location,)
            short = shortage(line, recipe, codes, draft.look, missing)
            wrong.append(short._replace(place=index))
            continue
        _book(takes, recipe, draft)
        taken.append(takes)
    return taken, wrong


def _book(takes: Sequence[Take], recipe: Recipe, draft: Draft) -> None:
    """Let the running balance know what a line takes."""
    for code, quantity, _ in takes:
        for sku, per_one in recipe:
            draft.levels[sku, code] = _less(draft.look((sku, code)), quantity * per_one)


def _places_of(before: Hold | None) -> dict[SKU, set[LocationCode]]:
    """Where a hold has what its lines name."""
    places: dict[SKU, set[LocationCode]] = {}
    for one in before.allocations if before is not None else ():
        if one.held:
            places.setdefault(one.name, set()).add(one.location)
    return places


def _without(draft: Draft, before: Hold | None) -> Draft:
    """A draft on which the caller's own hold is given back."""
    trial = Draft(draft.snapshot, draft.id, draft.reason)
    for key, quantity in before.held_at().items() if before is not None else ():
        trial.levels[key] = _less(trial.look(key), -quantity)
    return trial


def _less(level: Level, quantity: int) -> Level:
    return level._replace(reserved=level.reserved + quantity)


def _name(one: Allocation) -> Name:
    return (one.line, one.location, one.kit, one.sku)
