"""Holds by the ten thousand, written into the file the way the service would have written them."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

ACTOR = "local"
Rows = list[tuple[object, ...]]


def write_holds(path: Path, skus: Sequence[str], *, each: int, ends_at_us: int) -> None:
    """Hold `each` times one unit of every SKU at main, in a file that nobody serves.

    Every hold is an operation of its own, with one movement; the levels must have enough units.
    """
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    (seq,) = database.execute("SELECT seq FROM ledger_head").fetchone()
    now = time.time_ns() // 1_000
    for sku in skus:
        seq = _hold(database, sku, each, seq, now, ends_at_us)
    database.execute("UPDATE ledger_head SET seq = ?, recorded_at = ?", (seq, now))
    database.execute("COMMIT")
    database.close()


def end_holds(path: Path, ends_at_us: int) -> None:
    """Have every hold of a file that nobody serves end at another time."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    database.execute("UPDATE reservation SET expires_at = ?", (ends_at_us,))
    database.execute("UPDATE allocation SET expires_at = ?", (ends_at_us,))
    database.execute(
        "UPDATE level SET next_expiry_at = ? WHERE next_expiry_at IS NOT NULL", (ends_at_us,)
    )
    database.execute("COMMIT")
    database.close()


def _hold(
    database: sqlite3.Connection, sku: str, each: int, seq: int, now: int, ends_at_us: int
) -> int:
    on_hand, reserved, version = database.execute(
        "SELECT on_hand, reserved, version FROM level WHERE sku = ? AND location = 'main'", (sku,)
    ).fetchone()
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
        movements.append((*head, 0, 1, 0, 0, *after, "sale", 0, None, one))
        reservations.append((one, None, ACTOR, "active", now, ends_at_us, 1))
        allocations.append((sku, "main", one, 0, 1, ends_at_us, 1, 0, 0, 0, 0, "", 1))
    _insert(database, "operation", operations)
    _insert(database, "movement", movements)
    _insert(database, "reservation", reservations)
    _insert(database, "allocation", allocations)
    database.execute(
        "UPDATE level SET reserved = ?, version = ?, seq = ?, next_expiry_at = ?"
        " WHERE sku = ? AND location = 'main'",
        (reserved, version, seq, ends_at_us, sku),
    )
    return seq


def _insert(database: sqlite3.Connection, table: str, rows: Rows) -> None:
    places = ", ".join("?" * len(rows[0]))
    database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
