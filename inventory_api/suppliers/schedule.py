"""When a supplier is pulled next."""

from inventory_api.domain.supplier import Supplier
from inventory_api.domain.types import Instant

# A twentieth earlier or later: suppliers of one schedule do not stay in step.
JITTER = 0.05
# A dead supplier is asked once an hour, or as seldom as its schedule says.
RETRY_MAX_S = 3600.0
DOUBLINGS_MAX = 16


def next_due(
    supplier: Supplier,
    now: Instant,
    *,
    failures: int,
    retry_s: float,
    retry_after_s: float | None,
    chance: float,
) -> Instant | None:
    """When the schedule pulls next; None without one.

    `failures` are those in a row, the last pull's included: after the first it is tried again in
    `retry_s`, and each one more doubles that. Before `retry_after_s` the supplier wants to be left
    alone. `chance` is from 0 to below 1.
    """
    if supplier.schedule_s is None:
        return None
    wait_s = float(supplier.schedule_s)
    if failures:
        longest_s = max(wait_s, RETRY_MAX_S)
        wait_s = min(longest_s, retry_s * 2.0 ** min(failures - 1, DOUBLINGS_MAX))
    wait_s *= 1 - JITTER + 2 * JITTER * chance
    return Instant(now + round(max(wait_s, retry_after_s or 0.0) * 1_000_000))
