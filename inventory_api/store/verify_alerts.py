"""Whether alerts are what the movements crossed, as far as the ledger can tell.

Reorder points are no part of the ledger: when a level was low is taken from its movements, and only
what follows from one to the next is compared. Movements from before alerts were recorded say nothing.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column, or_

from inventory_api.domain.alerts import BACK, LOW, OUT, OVERSOLD, REARMED, STATE_SHIFT, STATES
from inventory_api.store.elsewhere import AVAILABLE
from inventory_api.store.tables import LEVEL, MOVEMENT

_MOVEMENT, _LEVEL = MOVEMENT.c, LEVEL.c


def alerts_differ(before: Any) -> ColumnElement[bool]:  # Any: the columns of an alias
    """Whether a movement crossed something else than it says, after the movement `before`, if any."""
    alerts = _MOVEMENT.alerts
    is_first = before.seq.is_(None)
    was = func.coalesce(before.available, 0)
    was_short = func.coalesce(before.oversold_by, 0) > 0
    was_low, was_out = (
        _has(before.alerts, LOW, of_state=True),
        _has(before.alerts, OUT, of_state=True),
    )
    is_low, is_out = _has(alerts, LOW, of_state=True), _has(alerts, OUT, of_state=True)
    has_some = _MOVEMENT.available > 0
    return and_(
        alerts.is_not(None),
        or_(
            _has(alerts, OVERSOLD) != and_(_MOVEMENT.oversold_by > 0, ~was_short),
            and_(is_out, has_some),
            # Of a movement whose forerunner says nothing it is not known what was told before it.
            and_(is_first, or_(_has(alerts, BACK), _has(alerts, LOW) != is_low)),
            and_(is_first, is_out),
            and_(
                before.alerts.is_not(None),
                or_(
                    _has(alerts, LOW) != and_(is_low, ~was_low),
                    _has(alerts, REARMED) != and_(was_low, ~is_low),
                    _has(alerts, BACK) != and_(was_out, has_some),
                    _has(alerts, OUT) != and_(~was_out, was > 0, ~has_some),
                    is_out != and_(~has_some, or_(was_out, was > 0)),
                ),
            ),
        ),
    )


def alert_differs() -> ColumnElement[bool]:
    """Whether a level is in another state than its last movement left, or than its policy allows."""
    alerts, is_low = _MOVEMENT.alerts, _has(_LEVEL.alert, LOW)
    return and_(
        alerts.is_not(None),
        or_(
            _LEVEL.alert
            != alerts.bitwise_rshift(literal_column(str(STATE_SHIFT))).bitwise_and(
                literal_column(str(STATES))
            ),
            and_(_LEVEL.reorder_point.is_(None), is_low),
            and_(AVAILABLE <= _LEVEL.reorder_point, ~is_low),
        ),
    )


def _has(column: ColumnElement[Any], bit: int, *, of_state: bool = False) -> ColumnElement[bool]:
    mask = bit << STATE_SHIFT if of_state else bit
    return column.bitwise_and(literal_column(str(mask))) != literal_column("0")
