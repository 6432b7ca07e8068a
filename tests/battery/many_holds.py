"""Holds by the ten thousand, written the way the service would have written them."""

import time
from collections.abc import Sequence

from inventory_api.domain.alerts import OUT, STATE_SHIFT
from tests.databases import other_connection, run_aside
from tests.postgres import Run

ACTOR = "local"
ROWS_AT_ONCE = 500
Rows = list[tuple[object, ...]]


def write_holds(url: str, skus: Sequence[str], *, each: int, ends_at_us: int) -> None:
    """Hold `each` times one unit of every SKU at main, in a database that nobody serves.

    Every hold is an operation of its own, with one movement; the levels must have enough units.
    """
    now = time.time_ns() // 1_000
    with other_connection(url) as run:
        run("BEGIN")
        ((seq,),) = run("SELECT seq FROM ledger_head")
        for sku in skus:
            seq = _hold(run, sku, each, seq, now, ends_at_us)
        run(f"UPDATE ledger_head SET seq = {seq}, recorded_at = {now}")
        run("COMMIT")


def end_holds(url: str, ends_at_us: int) -> None:
    """Have every hold of a database that nobody serves end at another time."""
    run_aside(
        url,
        f"UPDATE reservation SET expires_at = {ends_at_us}",
        f"UPDATE allocation SET expires_at = {ends_at_us}",
        f"UPDATE level SET next_expiry_at = {ends_at_us} WHERE next_expiry_at IS NOT NULL",
    )


def _hold(run: Run, sku: str, each: int, seq: int, now: int, ends_at_us: int) -> int:
    ((on_hand, reserved, version),) = run(
        f"SELECT on_hand, reserved, version FROM level WHERE sku = '{sku}' AND location = 'main'"
    )
    operations: Rows = []
    movements: Rows = []
    reservations: Rows = []
    allocations: Rows = []
    for _ in range(each):
        seq, reserved, version = seq + 1, reserved + 1, version + 1
        one = f"{seq:08x}-0000-7000-8000-{seq:012x}"
        asked = (one, now, ACTOR, None, "reserve", "atomic", "sale", None, None, now)
        operations.append((*asked, seq, seq, 1, 0))
        head = (seq, now, one, ACTOR, None, now, "reserve", sku, "main", version)
        after = (on_hand, reserved, 0, 0, on_hand - reserved)
        # The last unit is its level's alert.
        alerts = OUT | OUT << STATE_SHIFT if on_hand == reserved else 0
        movements.append((*head, 0, 1, 0, 0, *after, "sale", 0, None, one, alerts))
        reservations.append((one, None, ACTOR, "active", now, ends_at_us, 1))
        allocations.append((sku, "main", one, 0, 1, ends_at_us, 1, 0, 0, 0, 0, "", 1))
    _insert(run, "operation", operations)
    _insert(run, "movement", movements)
    _insert(run, "reservation", reservations)
    _insert(run, "allocation", allocations)
    run(
        f"UPDATE level SET reserved = {reserved}, version = {version}, seq = {seq},"
        f" alert = {OUT if on_hand == reserved else 0}, next_expiry_at = {ends_at_us} WHERE sku = '{sku}' AND location = 'main'"
    )
    return seq


def _insert(run: Run, table: str, rows: Rows) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        values = ", ".join(map(_literal, rows[start : start + ROWS_AT_ONCE]))
        run(f"INSERT INTO {table} VALUES {values}")


def _literal(row: tuple[object, ...]) -> str:
    """A row as SQL; no text of these has a quote."""
    return f"({', '.join('NULL' if value is None else repr(value) for value in row)})"
