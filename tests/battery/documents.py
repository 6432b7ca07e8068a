"""What must hold of shipments, counts and kits in the file, computed from plain rows."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TypeVar

from inventory_api.store.database import Database
from inventory_api.store.options import DatabaseOptions
from tests.battery.holds import UNITS, audit_running
from tests.ledger_oracle import Row, rows_of
from tests.server import Serving

Key = tuple[str, str]
K = TypeVar("K")


async def audit_documents(server: Serving) -> tuple[list[Row], list[Row], list[Row]]:
    """Raise unless the documents of a quiet server agree with its ledger.

    Returns:
        The movements, the operations that have a key, and the levels.
    """
    movements = await audit_running(server)
    options = DatabaseOptions(url=server.database_url, read_only=True)
    async with Database(options) as database:
        shipments = await rows_of(database, "SELECT * FROM shipment")
        lines = await rows_of(database, "SELECT * FROM shipment_line")
        sheets = await rows_of(database, "SELECT * FROM count_sheet")
        counted = await rows_of(database, "SELECT * FROM count_line")
        allocations = await rows_of(database, "SELECT * FROM allocation WHERE kit <> ''")
        recipes = await rows_of(database, "SELECT * FROM kit_component")
        operations = await rows_of(database, "SELECT * FROM operation WHERE key IS NOT NULL")
        levels = await rows_of(database, "SELECT * FROM level")
    _assert_shipments(movements, shipments, lines, levels)
    _assert_counts(movements, sheets, counted)
    _assert_kits(allocations, recipes)
    return movements, operations, levels


def _assert_shipments(
    movements: list[Row], shipments: list[Row], lines: list[Row], levels: list[Row]
) -> None:
    """What is open is expected and in transit, and each unit of a shipment is somewhere."""
    by_reference = _grouped(movements, lambda row: row["reference"])
    by_shipment = _grouped(lines, lambda row: row["shipment_id"])
    expected: Counter[Key] = Counter()
    under_way: Counter[Key] = Counter()
    for shipment in shipments:
        own = by_shipment.pop(shipment["id"])
        for line in own:
            expected[line["sku"], line["location"]] += line["open"]
            if shipment["transit"] is not None:
                under_way[line["sku"], shipment["transit"]] += line["open"]
        _assert_status(shipment, own)
        _assert_booked(shipment, own, by_reference[shipment["reference"]])
    assert not by_shipment
    for level in levels:
        key = (level["sku"], level["location"])
        assert level["incoming"] == expected[key], level
        if level["location"] == "transit":
            assert level["on_hand"] == under_way[key], level


def _assert_status(shipment: Row, lines: list[Row]) -> None:
    is_open = any(line["open"] for line in lines)
    has_come = any(line["received"] or line["missing"] for line in lines)
    status = "open" if is_open else "received" if has_come else "cancelled"
    assert shipment["status"] == status, (shipment, lines)


def _assert_booked(shipment: Row, lines: list[Row], movements: list[Row]) -> None:
    """The movements of a shipment have brought its units to where its lines say they are."""
    booked: Counter[tuple[str, str, str]] = Counter()
    for row in movements:
        for name in ("on_hand", "incoming"):
            booked[row["sku"], row["location"], name] += row[f"d_{name}"]
    where: Counter[tuple[str, str, str]] = Counter()
    for line in lines:
        sku, target = line["sku"], line["location"]
        where[sku, target, "on_hand"] += line["received"]
        where[sku, target, "incoming"] += line["open"]
        if shipment["kind"] == "transfer":
            where[sku, shipment["source"], "on_hand"] += line["cancelled"] - line["quantity"]
            where[sku, shipment["transit"], "on_hand"] += line["open"]
            ended = line["received"] + line["cancelled"] + line["missing"]
            assert line["open"] + ended == line["quantity"], line
    assert booked == where, (shipment, lines)


def _assert_counts(movements: list[Row], sheets: list[Row], lines: list[Row]) -> None:
    """A posted count is one operation of one movement for each counted line; others have none."""
    by_step = {(row["sku"], row["location"], row["level_version"]): row for row in movements}
    by_reference = _grouped(movements, lambda row: row["reference"])
    by_sheet = _grouped(lines, lambda row: row["count_id"])
    for sheet in sheets:
        booked = by_reference[f"count:{sheet['id']}"]
        own = [line for line in by_sheet[sheet["id"]] if line["counted"] is not None]
        if sheet["status"] != "posted":
            assert booked == [], sheet
            continue
        assert {row["operation_id"] for row in booked} == {sheet["operation_id"]}, sheet
        assert len(booked) == len(own) == sheet["counted_count"], sheet
        for line in own:
            seen = by_step.get((line["sku"], sheet["location"], line["level_version"]))
            assert line["expected"] == (0 if seen is None else seen["on_hand"]), (line, seen)
            row = by_step[line["sku"], sheet["location"], line["posted_version"]]
            assert row in booked, (line, row)
            assert row["d_on_hand"] == line["counted"] - line["expected"], (line, row)
            assert (row["type"], row["reason"]) == ("set", "cycle_count"), row


def _assert_kits(allocations: list[Row], recipes: list[Row]) -> None:
    """All components of a kit's line are in the same states, each as often as it is in the kit."""
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in recipes:
        parts[row["kit"]][row["component"]] = row["quantity"]
    name = ("reservation_id", "line", "location", "kit")
    bundles = _grouped(allocations, lambda row: tuple(row[one] for one in name))
    for (*_, kit), bundle in bundles.items():
        assert {row["sku"]: row["per_kit"] for row in bundle} == parts[kit], bundle
        kits = [[row[state] / row["per_kit"] for state in UNITS] for row in bundle]
        assert all(row == kits[0] for row in kits), bundle
        assert all(number.is_integer() for number in kits[0]), bundle


def _grouped(rows: list[Row], key: Callable[[Row], K]) -> defaultdict[K, list[Row]]:
    found: defaultdict[K, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
