"""What one line does to one level: the arithmetic of I1 to I4."""

from typing import NamedTuple

from inventory_api.domain.alerts import cross, state_of
from inventory_api.domain.rejections import Code, Rejection
from inventory_api.domain.types import SKU, UNITS_MAX, Level, LocationCode

_new = tuple.__new__


class Change(NamedTuple):
    """A movement before it has its place in the ledger: the tail of `Movement`'s columns."""

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
    alerts: int


def guard(level: Level, delta: int, *, is_fact: bool) -> Rejection | None:
    """The refusal of a change of on hand, if it has to be refused (I1, I3).

    A fact is refused only where it would leave less than nothing on the shelf. A request must
    also leave what is promised to others.
    """
    on_hand = level[2] + delta
    if delta >= 0:
        if on_hand <= UNITS_MAX:
            return None
        facts = {"on_hand": level.on_hand, "maximum": UNITS_MAX}
        return Rejection(Code.QUANTITY_OUT_OF_RANGE, facts)
    # By position: reserved, committed, safety stock and backorder limit.
    left, limit = on_hand - level[3] - level[4] - level[8], level[9]
    if on_hand >= 0 and (is_fact or limit is None or left >= -limit):
        return None
    return shortage(level, -delta, is_fact=is_fact)


def shortage(level: Level, requested: int, *, is_fact: bool) -> Rejection:
    """Not enough: what was requested, what is available, how much is missing."""
    takeable = level.on_hand
    if not is_fact and level.backorder_limit is not None:
        takeable = min(takeable, level.available + level.backorder_limit)
    facts = {
        "requested": requested,
        "on_hand": level.on_hand,
        "available": level.available,
        "shortage": requested - max(takeable, 0),
        "elsewhere": [],
        "next_available_at": None,
    }
    return Rejection(Code.INSUFFICIENT_STOCK, facts)


def move(
    level: Level,
    delta: int,
    kind: str,
    reason: str,
    line_id: str | None = None,
    reservation_id: str | None = None,
    *,
    reserved: int = 0,
    committed: int = 0,
    incoming: int = 0,
) -> tuple[Level, Change]:
    """The level after `delta` units more on hand, and the change that explains it.

    The named arguments are units more in the other balances. Written out by position and past
    the named constructors: this runs for each line of each batch, and they cost three times as
    much (docs/decisions.md).
    """
    (
        sku, location, on_hand, held, promised, expected, version, seq,
        kept, limit, point, to, next_expiry_at, alert, rearm_at,
    ) = level  # fmt: skip
    on_hand += delta
    held += reserved
    promised += committed
    expected += incoming
    version += 1
    assert 0 <= on_hand <= UNITS_MAX, (level, delta)
    assert held >= 0 <= promised, (level, reserved, committed)
    assert expected >= 0, (level, incoming)
    available = on_hand - held - promised - kept
    oversold_by = 0 if limit is None or available >= -limit else -limit - available
    alerts = 0
    if alert or available <= (point or 0):
        was = available - delta + reserved + committed
        was_oversold = limit is not None and was < -limit
        alerts = cross(alert, was, was_oversold, available, oversold_by, point, rearm_at)
        alert = state_of(alerts)
    after = (
        sku, location, on_hand, held, promised, expected, version, seq,
        kept, limit, point, to, next_expiry_at, alert, rearm_at,
    )  # fmt: skip
    change = (
        kind, sku, location, version, delta, reserved, committed, incoming, on_hand, held,
        promised, expected, available, reason, oversold_by, line_id, reservation_id, alerts,
    )  # fmt: skip
    return _new(Level, after), _new(Change, change)


def change_terms(before: Level, wanted: Level) -> tuple[Level, Change]:
    """The level with another policy, and the movement of no units that tells of it.

    What the policy crosses is measured from the level as it was under the policy before.
    """
    after, change = move(wanted, 0, "policy", "policy")
    limit = before.backorder_limit
    was_oversold = limit is not None and before.available < -limit
    alerts = cross(
        before.alert,
        before.available,
        was_oversold,
        change.available,
        change.oversold_by,
        after.reorder_point,
        after.rearm_at,
    )
    return after._replace(alert=state_of(alerts)), change._replace(alerts=alerts)
