"""The floor: `sqlite3` alone books 1,000 lines per durable transaction, deciding nothing.

Run as a program it prints one JSON object: lines booked, the CPU seconds they took, and seconds.
With `unique` the movement also has the ledger's guard against lost updates, a unique version per
level; most of what that costs is one more page of the file that each line changes.
"""

import json
import random
import sqlite3
import sys
import time
from pathlib import Path

from benchmarks.seed import LOCATION, OPENING_UNITS, sku_of

BATCH_LINES = 1_000

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE level (sku TEXT, location TEXT, on_hand INTEGER NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (sku, location)) STRICT, WITHOUT ROWID;
CREATE TABLE movement (seq INTEGER PRIMARY KEY, sku TEXT NOT NULL, location TEXT NOT NULL,
    version INTEGER NOT NULL, delta INTEGER NOT NULL) STRICT;
"""
UNIQUE = "CREATE UNIQUE INDEX movement_version ON movement (sku, location, version)"
UPDATE = (
    "UPDATE level SET on_hand = on_hand + ?, version = version + 1 WHERE sku = ? AND location = ?"
)
INSERT = "INSERT INTO movement (sku, location, version, delta) VALUES (?, ?, ?, ?)"


def book(path: Path, *, items: int, seconds: float, unique: bool) -> dict[str, float]:
    """Books on a new file for about `seconds`; lines, CPU seconds, seconds."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(SCHEMA)
    if unique:
        database.execute(UNIQUE)
    skus = [sku_of(number) for number in range(1, items + 1)]
    opening = ((sku, LOCATION, OPENING_UNITS, 1) for sku in skus)
    database.execute("BEGIN")
    database.executemany("INSERT INTO level VALUES (?, ?, ?, ?)", opening)
    database.execute("COMMIT")
    draws = _draws(skus)
    lines, cpu_s, began, now = 0, 0.0, time.monotonic(), time.monotonic()
    while now < began + seconds:
        version = lines // BATCH_LINES + 2
        drawn = draws[version % len(draws)]
        updates = [(-1, sku, LOCATION) for sku in drawn]
        inserts = [(sku, LOCATION, version, -1) for sku in drawn]
        cpu_s -= time.process_time()
        database.execute("BEGIN IMMEDIATE")
        database.executemany(UPDATE, updates)
        database.executemany(INSERT, inserts)
        database.execute("COMMIT")
        cpu_s += time.process_time()
        lines += BATCH_LINES
        now = time.monotonic()
    _check(database, lines)
    database.close()
    return {"lines": lines, "cpu_s": cpu_s, "seconds": now - began}


def _draws(skus: list[str]) -> list[list[str]]:
    chance = random.Random(1)  # noqa: S311 - a reproducible draw, not a secret
    return [chance.sample(skus, BATCH_LINES) for _ in range(20)]


def _check(database: sqlite3.Connection, lines: int) -> None:
    (booked,) = database.execute("SELECT count(*) FROM movement").fetchone()
    (versions,) = database.execute("SELECT sum(version - 1) FROM level").fetchone()
    assert booked == versions == lines, (booked, versions, lines)


def main() -> None:
    """`python -m benchmarks.bare_sqlite FILE ITEMS SECONDS [unique]`."""
    path, items, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    booked = book(path, items=items, seconds=seconds, unique="unique" in sys.argv[4:])
    sys.stdout.write(json.dumps(booked) + "\n")


if __name__ == "__main__":
    main()
