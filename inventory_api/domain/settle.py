"""What becomes of a hold: confirmed, fulfilled, released, extended, expired, or taken again."""

from collections.abc import Sequence

from inventory_api.domain.decide import Decision, Refused, Snapshot
from inventory_api.domain.draft import (
    Draft,
    Stamp,
    bar,
    not_active,
    refused,
    shelf_units,
    shortage,
)
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.reservation import (
    Allocation,
    Bundle,
    Hold,
    Part,
    ReserveLine,
    Settle,
    as_expired,
    bundles,
)
from inventory_api.domain.sourcing import promisable_of
from inventory_api.domain.types import SKU, Instant, Recipe

# Which balance a verb takes units from, in this order, and which one gets them.
_SOURCES = {"confirm": ("held",), "fulfill": ("committed",), "release": ("held", "committed")}
_BALANCES = {"held": "reserved", "committed": "committed"}


def settle(command: Settle, snapshot: Snapshot, stamp: Stamp) -> Decision:
    """Confirm, fulfill, release or extend: what is named, or everything that can be."""
    hold = snapshot.holds.get(command.id)
    if hold is None or not hold.is_seen_by(command.visible):
        return refused(Code.UNKNOWN_ID, {})
    if command.kind == "extend":
        return _extend(command, hold, snapshot, stamp)
    if command.kind == "confirm" and _is_late(hold):
        return _recover(command, hold, snapshot)
    sources = _SOURCES[command.kind]
    if not any(getattr(one, name) for one in hold.allocations for name in sources):
        return not_active(hold)
    moving = bundles(hold.allocations)
    parts, wrong = _parts(command, moving, sources)
    if wrong:
        return Decision(wrong, (), refused=True)
    return _settle_parts(command, hold, moving, parts, snapshot)


def _settle_parts(
    command: Settle,
    hold: Hold,
    moving: Sequence[Bundle],
    parts: Sequence[int],
    snapshot: Snapshot,
) -> Decision:
    """Move so much of each bundle; what leaves the shelf must be on it, each component of a kit."""
    draft = Draft(snapshot, hold.reservation.id, command.reason)
    allocations, wrong = list[Allocation](), []
    for bundle, quantity in zip(moving, parts, strict=True):
        if command.kind == "fulfill" and (missing := _off_the_shelf(bundle, quantity, draft)):
            wrong.append(missing._replace(own=hold.reservation.id))
            continue
        allocations += [
            _settled(command.kind, one, quantity * one.per_kit, draft) for one in bundle
        ]
    if wrong:
        return Decision(wrong, (), refused=True)
    return draft.done(Hold(hold.reservation, tuple(allocations)), command.kind)


def expire(hold: Hold, snapshot: Snapshot) -> Decision:
    """Give back what a due reservation still holds, on all its levels."""
    draft = Draft(snapshot, hold.reservation.id, "cancelled_sale")
    for one in hold.allocations:
        if one.held:
            draft.move((one.sku, one.location), "expire", reserved=-one.held)
    return draft.done(as_expired(hold), "expire")


def _extend(command: Settle, hold: Hold, snapshot: Snapshot, stamp: Stamp) -> Decision:
    if not hold.held:
        return not_active(hold)
    expires_at = Instant(stamp.now + command.ttl_us)
    reservation = hold.reservation._replace(expires_at=expires_at)
    allocations = tuple(one._replace(expires_at=expires_at) for one in hold.allocations)
    draft = Draft(snapshot, hold.reservation.id, command.reason)
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
        return refused(Code.ALREADY_EXISTS, {"id": other.reservation.id})
    moving = bundles(hold.allocations)
    parts, wrong = _parts(command, moving, ("expired",))
    if wrong:
        return Decision(wrong, (), refused=True)
    draft = Draft(snapshot, hold.reservation.id, "sale")
    allocations = list[Allocation]()
    for bundle, quantity in zip(moving, parts, strict=True):
        line, recipe = _line_of(bundle, quantity), _recipe_of(bundle)
        code = bundle[0].location
        if quantity and (barred := bar(line, recipe, snapshot)) is not None:
            wrong.append(Refused(line, Rejection(barred, {}), bundle[0].line))
            continue
        free = promisable_of(recipe, code, draft.look, quantity)
        if free < quantity:
            short = shortage(line, recipe, (code,), draft.look, quantity - free)
            wrong.append(short._replace(place=bundle[0].line))
            continue
        allocations += [_retaken(one, quantity * one.per_kit, draft) for one in bundle]
    if wrong:
        late = Rejection(Code.RESERVATION_EXPIRED, {"id": hold.reservation.id})
        return Decision(wrong, (), refused=True, rejection=late)
    return draft.done(Hold(hold.reservation, tuple(allocations)), "confirm", recovered=True)


def _retaken(one: Allocation, quantity: int, draft: Draft) -> Allocation:
    """The allocation after units of it that had expired are promised again."""
    if quantity:
        draft.move((one.sku, one.location), "confirm", committed=quantity)
    return one._replace(expired=one.expired - quantity, committed=one.committed + quantity)


def _parts(
    command: Settle, moving: Sequence[Bundle], sources: Sequence[str]
) -> tuple[list[int], list[Refused]]:
    """How much of each bundle is meant, in its order: units, or kits."""
    # In lock-step: any component tells how many kits there are.
    firsts = [bundle[0] for bundle in moving]
    is_open = [sum(getattr(one, name) for name in sources) // one.per_kit for one in firsts]
    if not command.lines:
        return is_open, []
    meant = [0] * len(is_open)
    wrong = []
    by_name: dict[SKU, list[int]] = {}
    for index, one in enumerate(firsts):
        by_name.setdefault(one.name, []).append(index)
    for number, part in enumerate(command.lines):
        own = [
            index
            for index in by_name.get(part.sku, ())
            if part.location in (None, firsts[index].location)
        ]
        left = sum(is_open[index] - meant[index] for index in own)
        wanted = left if part.quantity is None else part.quantity
        if not own or wanted > left:
            wrong.append(_too_many(part, left)._replace(place=number))
            continue
        for index in own:
            some = min(wanted, is_open[index] - meant[index])
            meant[index] += some
            wanted -= some
    return meant, wrong


def _too_many(part: Part, left: int) -> Refused:
    return Refused(part, Rejection(Code.NOT_OPEN, {"requested": part.quantity, "open": left}))


def _off_the_shelf(bundle: Bundle, quantity: int, draft: Draft) -> Refused | None:
    """The refusal of what is not all there, if it isn't."""
    there = min(draft.look((one.sku, one.location)).on_hand // one.per_kit for one in bundle)
    if quantity <= there:
        return None
    line, code = _line_of(bundle, quantity), bundle[0].location
    return shortage(line, _recipe_of(bundle), (code,), draft.look, quantity - there, shelf_units)


def _line_of(bundle: Bundle, quantity: int) -> ReserveLine:
    return ReserveLine(bundle[0].name, bundle[0].location, quantity)


def _recipe_of(bundle: Bundle) -> Recipe:
    return tuple((one.sku, one.per_kit) for one in bundle)


def _settled(verb: str, one: Allocation, quantity: int, draft: Draft) -> Allocation:
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
