"""What must hold of every database, whatever happened to it: the invariants of the ledger.

Computed from plain rows, without a word of the program that wrote them.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy import text

from inventory_api.store.database import Database

Row = dict[str, Any]  # Any: the columns of a table
ALERTS = {1: "low", 2: "out", 4: "back", 8: "oversold"}
BALANCES = ("on_hand", "reserved", "committed", "incoming")


async def rows_of(database: Database, statement: str, **parameters: object) -> list[Row]:
    async with database.reader() as session:
        result = await session.execute(text(statement), parameters)
        return [dict(row._mapping) for row in result]


async def one_value(database: Database, statement: str) -> Any:  # Any: whatever SQL gives
    async with database.reader() as session:
        return await session.scalar(text(statement))


async def head_of(database: Database) -> int:
    head: int = await one_value(database, "SELECT seq FROM ledger_head")
    return head


async def on_hand_of(database: Database) -> dict[tuple[str, str], int]:
    """Units by SKU and location, as the levels say."""
    levels = await rows_of(database, "SELECT sku, location, on_hand FROM level WHERE version > 0")
    return {(row["sku"], row["location"]): row["on_hand"] for row in levels}


async def assert_sound(database: Database) -> list[Row]:
    """Raise unless I1, I2, I4 and I7 hold and a file is whole; the movements, by `seq`."""
    if not database.is_shared:
        assert await one_value(database, "PRAGMA integrity_check") == "ok"
        assert await rows_of(database, "PRAGMA foreign_key_check") == []
    movements = await rows_of(database, "SELECT * FROM movement ORDER BY seq")
    assert [row["seq"] for row in movements] == list(range(1, await head_of(database) + 1))
    times = [row["recorded_at"] for row in movements]
    assert times == sorted(times)
    _assert_operations(movements, await rows_of(database, "SELECT * FROM operation"))
    _assert_levels(movements, await rows_of(database, "SELECT * FROM level"))
    return movements


def _assert_operations(movements: list[Row], operations: list[Row]) -> None:
    """Each movement belongs to exactly the operation whose numbers include its own."""
    owners: dict[int, str] = {}
    for operation in operations:
        for seq in range(operation["first_seq"], operation["last_seq"] + 1):
            assert owners.setdefault(seq, operation["id"]) == operation["id"], seq
    assert owners == {row["seq"]: row["operation_id"] for row in movements}


def _assert_levels(movements: list[Row], levels: list[Row]) -> None:
    """Each level is what its movements add up to, one version after the other."""
    histories: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in movements:
        histories[row["sku"], row["location"]].append(row)
    by_key = {(row["sku"], row["location"]): row for row in levels}
    moved = {at for at, row in by_key.items() if row["version"]}
    assert set(histories) == moved
    for at, history in histories.items():
        _assert_history(history)
        last, row = history[-1], by_key[at]
        assert {name: row[name] for name in BALANCES} == {name: last[name] for name in BALANCES}
        assert (row["version"], row["seq"]) == (last["level_version"], last["seq"])
        assert row["alert"] == last["alerts"] >> 4 & 3
        _assert_alerts(history)


def _assert_history(history: list[Row]) -> None:
    balance = dict.fromkeys(BALANCES, 0)
    for version, row in enumerate(history, start=1):
        assert row["level_version"] == version, row
        for name in BALANCES:
            balance[name] += row[f"d_{name}"]
            assert row[name] == balance[name] >= 0, row
        safety_stock = row["on_hand"] - row["reserved"] - row["committed"] - row["available"]
        assert safety_stock >= 0, row


def _assert_alerts(history: list[Row]) -> None:
    """Out, back and oversold as the balances have them; low once, until it is over."""
    was = short = 0
    is_low = is_out = False
    for row in history:
        told = {name for bit, name in ALERTS.items() if row["alerts"] & bit}
        low, out = bool(row["alerts"] & 16), bool(row["alerts"] & 32)
        assert ("out" in told) == (was > 0 >= row["available"]), row
        assert ("back" in told) == (is_out and row["available"] > 0), row
        assert ("oversold" in told) == (row["oversold_by"] > 0 and not short), row
        assert ("low" in told) == (low and not is_low), row
        is_out = row["available"] <= 0 and (is_out or was > 0)
        assert out == is_out, row
        is_low, was, short = low, row["available"], row["oversold_by"]
