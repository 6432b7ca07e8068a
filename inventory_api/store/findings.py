"""What verification can find wrong, and how that is told."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Gives a session for one short read."""

PROMISE_RULES: dict[str, tuple[str, str]] = {
    "promises_differ": ("I5", "Reserved or committed is not what reservations hold there."),
    "expiry_forgotten": ("I6", "A hold ends before the level would look for it."),
    "incoming_differs": ("I5", "Incoming is not what is open of the shipments to there."),
    "transit_short": ("transit", "Less is there than is under way through it."),
}
"""Those about what a level has promised and expects."""

COUNT_RULES: dict[str, tuple[str, str]] = {
    "count_operation": ("count", "The posted count's operation is not that of its lines."),
    "count_expected": ("count", "The ledger says another quantity at the version that was seen."),
    "count_unbooked": ("count", "The variance that was posted is not in the ledger."),
}
"""Those about counts."""

RULES: dict[str, tuple[str, str]] = {
    "guard_missing": ("I7", "A trigger or an index that protects the ledger is missing."),
    "head_behind": ("I7", "The ledger has movements beyond its head."),
    "head_ahead": ("I7", "The movement at the ledger's head is missing."),
    "head_time": ("I7", "The head's time is before the last movement's."),
    "seq_gap": ("I7", "The movement before this one is missing."),
    "time_backwards": ("I7", "It was recorded before the movement in front of it."),
    "out_of_bounds": ("I1", "A balance is below zero or too large."),
    "available_differs": ("I2", "More is available than on hand less the promises."),
    "version_gap": ("I4", "The level's movement before this one is missing."),
    "version_order": ("I4", "The level's movement before this one stands behind it."),
    "balance_differs": ("I4", "The balances are not those before plus the change."),
    "level_missing": ("I4", "The movement's level does not exist."),
    "level_differs": ("I4", "The level is not as its last movement left it."),
    "level_behind": ("I4", "The ledger has more movements of the level than it counts."),
    **PROMISE_RULES,
    "alerts_differ": ("alerts", "What the movement says that it crossed is not what it did."),
    "alert_differs": ("alerts", "The level's alert is not what its last movement left."),
    "level_unfounded": ("I4", "The level has no movement."),
    "operation_missing": ("operation", "The movement's operation does not exist."),
    "operation_differs": ("operation", "Actor, reference or time are not the operation's."),
    "operation_range": ("operation", "The operation's range is not that of its movements."),
    "operation_unfounded": ("operation", "The operation has no movements."),
    "line_id_repeated": ("line_id", "Another movement has the same line_id."),
    "kit_out_of_step": ("kit", "The components of a reservation's kit are not in lock-step."),
    **COUNT_RULES,
}
"""What can be wrong: the invariant that it breaks, and what it means."""

GUARDS = {
    "sqlite": {"movement_update", "movement_delete", "operation_update", "operation_delete"},
    "postgresql": {
        *("movement_never_changes", "movement_never_emptied"),
        *("operation_never_changes", "operation_never_emptied"),
    },
}
"""The triggers that protect the ledger, by kind of database."""


class Finding(NamedTuple):
    """One thing that does not add up, and where; what is not known of the place is None."""

    code: str
    seq: int | None = None
    sku: str | None = None
    location: str | None = None
    operation_id: str | None = None
    name: str | None = None

    def show(self) -> dict[str, Any]:
        """As a record: the rule, the sentence, and the known parts of the place."""
        rule, detail = RULES[self.code]
        place = {name: value for name, value in self._asdict().items() if value is not None}
        return {"rule": rule, **place, "detail": detail}
