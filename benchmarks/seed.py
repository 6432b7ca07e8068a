"""A database file of any size, as if the service had booked every movement in it.

`python -m benchmarks.seed FILE ITEMS MOVEMENTS`. The file is migrated by the service and filled
through `sqlite3`, with the journal off: it is worthless until `seed` returns. Each item is opened
with the same stock, then loses one unit per movement, five items to an order, in random order.
"""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

LOCATION = "main"
OPENING_UNITS = 1_000_000_000
OPENING_LINES = 1_000
ORDER_LINES = 5
OPERATIONS_AT_ONCE = 2_000
# 2025-01-01 UTC; then one operation every 20 ms, which puts five million movements on one day.
BEGAN_AT = 1_735_689_600_000_000
OPERATION_US = 20_000
ACTOR = "seed"

Row = tuple[object, ...]


def sku_of(number: int) -> str:
    """The SKU of the n-th item, from 1; load.lua spells them the same."""
    return f"SKU-{number:07d}"


def seed(path: Path, *, items: int, movements: int) -> None:
    """Makes the file with `items` levels and `movements` movements, at least one per item."""
    assert movements >= items, "every item has an opening movement"
    migrate(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;"
    )
    database.execute("BEGIN EXCLUSIVE")
    _insert(database, "item", _items(items))
    place = (LOCATION, LOCATION, "warehouse", 1, 0, "active", 1, BEGAN_AT, BEGAN_AT)
    _insert(database, "location", [place], or_ignore=True)
    _book(database, items=items, movements=movements)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


def migrate(path: Path) -> None:
    """Makes an empty database of the service's own schema."""
    url = f"sqlite+aiosqlite:///{path.absolute()}"
    subprocess.run(
        [sys.executable, "-m", "inventory_api", "migrate"],
        env={**os.environ, "INVENTORY_DATABASE_URL": url},
        check=True,
        capture_output=True,
    )


def _items(items: int) -> Iterator[Row]:
    for number in range(1, items + 1):
        goods = f"Goods number {number}"
        yield (sku_of(number), goods, None, "9.99", "CNY", "{}", "active", 1, BEGAN_AT, BEGAN_AT)


def _book(database: sqlite3.Connection, *, items: int, movements: int) -> None:
    versions = [0] * items
    last_seqs = [0] * items
    head, number = 0, 0
    operations = _operations(items, movements)
    while chunk := list(islice(operations, OPERATIONS_AT_ONCE)):
        operation_rows: list[Row] = []
        movement_rows: list[Row] = []
        for drawn in chunk:
            number += 1
            heading = _heading(number, is_opening=versions[drawn[0]] == 0)
            operation_rows.append(heading.operation(first=head + 1, lines=len(drawn)))
            for item in drawn:
                head += 1
                versions[item] += 1
                last_seqs[item] = head
                movement_rows.append(heading.movement(head, item, versions[item]))
        _insert(database, "operation", operation_rows)
        _insert(database, "movement", movement_rows)
    _insert(database, "level", _levels(versions, last_seqs))
    at = BEGAN_AT + number * OPERATION_US
    database.execute("UPDATE ledger_head SET seq = ?, recorded_at = ?", (head, at))


def _operations(items: int, movements: int) -> Iterator[list[int]]:
    """Items, from 0, of each operation: all openings first, then orders of random items."""
    opened = iter(range(items))
    while lines := list(islice(opened, OPENING_LINES)):
        yield lines
    chance = random.Random(items)  # noqa: S311 - a reproducible draw, not a secret
    left = movements - items
    while left > 0:
        lines = chance.sample(range(items), min(ORDER_LINES, left, items))
        left -= len(lines)
        yield lines


class _Heading(NamedTuple):
    """What the movements of one operation have in common."""

    identity: str
    recorded_at: int
    reason: str
    reference: str | None

    def operation(self, *, first: int, lines: int) -> Row:
        asked = (self.identity, self.recorded_at, ACTOR, None, "adjust", "atomic")
        why = (self.reason, self.reference, None, self.recorded_at)
        return (*asked, *why, first, first + lines - 1, lines, 0)

    def movement(self, seq: int, item: int, version: int) -> Row:
        head = (seq, self.recorded_at, self.identity, ACTOR, self.reference, self.recorded_at)
        delta = OPENING_UNITS if version == 1 else -1
        on_hand = OPENING_UNITS + 1 - version
        where = ("adjust", sku_of(item + 1), LOCATION, version)
        after = (on_hand, 0, 0, 0, on_hand)
        return (*head, *where, delta, 0, 0, 0, *after, self.reason, 0, None, None, 0)


def _heading(number: int, *, is_opening: bool) -> _Heading:
    """The n-th operation; its identity is a UUID of version 7, as the service makes them."""
    recorded_at = BEGAN_AT + number * OPERATION_US
    identity = UUID(int=(recorded_at // 1_000) << 80 | 7 << 76 | 2 << 62 | number)
    if is_opening:
        return _Heading(str(identity), recorded_at, "opening_balance", None)
    return _Heading(str(identity), recorded_at, "sale", f"order:{number}")


def _levels(versions: list[int], last_seqs: list[int]) -> Iterator[Row]:
    for item, (version, seq) in enumerate(zip(versions, last_seqs, strict=True)):
        on_hand = OPENING_UNITS + 1 - version
        policy = (0, 0, None, None, None, 0, None)
        yield (sku_of(item + 1), LOCATION, on_hand, 0, 0, 0, version, seq, *policy)


def _insert(
    database: sqlite3.Connection, table: str, rows: Iterable[Row], *, or_ignore: bool = False
) -> None:
    columns = len(database.execute(f"PRAGMA table_info({table})").fetchall())
    places = ", ".join("?" * columns)
    verb = "INSERT OR IGNORE" if or_ignore else "INSERT"
    database.executemany(f"{verb} INTO {table} VALUES ({places})", rows)


def main() -> None:
    """`python -m benchmarks.seed FILE ITEMS MOVEMENTS`."""
    seed(Path(sys.argv[1]), items=int(sys.argv[2]), movements=int(sys.argv[3]))


if __name__ == "__main__":
    main()
