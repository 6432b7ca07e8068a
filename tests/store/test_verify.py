"""Planted faults: each kind has to be found, at its place, and nothing else."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from inventory_api.app import open_service
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.findings import COUNT_RULES, RULES, Finding
from inventory_api.store.options import DatabaseOptions
from inventory_api.store.verify import Verification
from tests.databases import Template, is_file, run_aside
from tests.polling import until
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, count, open_shop, transfer

# The file's movements, one line per operation:
#   1 P001/main +10, 2 P002/main +5      3 P001/main -3      4 P001/main -4, 5 P001/store-1 +4
#   6 P002/main = 7                      7 P001/main +1      and P003/main has a policy only
OPERATION_OF = "(SELECT operation_id FROM movement WHERE seq = {})"
COPIED = (
    "recorded_at, operation_id, actor, reference, occurred_at, type, sku, location, d_on_hand,"
    " d_reserved, d_committed, d_incoming, on_hand, reserved, committed, incoming, available,"
    " reason, oversold_by, reservation_id, alerts"
)
WITHOUT_BOUNDS = (
    "UPDATE sqlite_master SET sql ="
    " replace(replace(sql, ' >= 0', ' IS NOT NULL'), 'BETWEEN 0 AND 1000000000000', 'IS NOT NULL')"
)
BOUNDS = (
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)"
    " FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
)
EMPTYING = "movement_never_emptied"

FAULTS: dict[str, tuple[Sequence[str], set[tuple[str, int | str | None]]]] = {
    "movement-removed": (
        ["DELETE FROM movement WHERE seq = 3"],
        {("seq_gap", 4), ("version_gap", 4), ("operation_unfounded", 3)},
    ),
    "last-movement-removed": (
        ["DELETE FROM movement WHERE seq = 7"],
        {("head_ahead", 7), ("level_differs", "P001/main"), ("operation_unfounded", 7)},
    ),
    "movement-beyond-the-head": (
        [
            f"INSERT INTO movement (seq, level_version, {COPIED})"
            f" SELECT 8, 5, {COPIED} FROM movement WHERE seq = 7"
        ],
        {("head_behind", 8), ("level_behind", "P001/main"), ("operation_range", 7)},
    ),
    "head-set-back-in-time": (
        ["UPDATE ledger_head SET recorded_at = 1"],
        {("head_time", 7)},
    ),
    "recorded-before-the-one-before": (
        [
            "UPDATE movement SET recorded_at = recorded_at - 2000000 WHERE seq = 3",
            f"UPDATE operation SET recorded_at = recorded_at - 2000000 WHERE id = {OPERATION_OF.format(3)}",
        ],
        {("time_backwards", 3)},
    ),
    "delta-edited": (
        ["UPDATE movement SET d_on_hand = -2 WHERE seq = 3"],
        {("balance_differs", 3)},
    ),
    "balance-edited": (
        ["UPDATE movement SET on_hand = 8 WHERE seq = 3"],
        {("balance_differs", 3), ("balance_differs", 4)},
    ),
    "reserved-edited": (
        ["UPDATE movement SET reserved = 1, available = available - 1 WHERE seq = 7"],
        {("balance_differs", 7), ("level_differs", "P001/main")},
    ),
    "promise-to-nobody": (
        [
            "UPDATE movement SET reserved = 1, d_reserved = 1, available = available - 1"
            " WHERE seq = 7",
            "UPDATE level SET reserved = 1 WHERE sku = 'P001' AND location = 'main'",
        ],
        {("promises_differ", "P001/main")},
    ),
    "hold-without-an-end": (
        [
            "UPDATE movement SET reserved = 1, d_reserved = 1, available = available - 1"
            " WHERE seq = 7",
            "UPDATE level SET reserved = 1 WHERE sku = 'P001' AND location = 'main'",
            "INSERT INTO reservation VALUES ('r', NULL, 'test', 'active', 1, 2, 1)",
            "INSERT INTO allocation VALUES ('P001', 'main', 'r', 0, 1, 2, 1, 0, 0, 0, 0, '', 1)",
        ],
        {("expiry_forgotten", "P001/main")},
    ),
    "expected-from-nobody": (
        [
            "UPDATE movement SET incoming = 1, d_incoming = 1 WHERE seq = 7",
            "UPDATE level SET incoming = 1 WHERE sku = 'P001' AND location = 'main'",
        ],
        {("incoming_differs", "P001/main")},
    ),
    "less-in-transit-than-under-way": (
        [
            "INSERT INTO shipment VALUES ('s', 'transfer', 'transfer:s', 'test', 'open', 'store-1',"
            " 'main', NULL, 1, 1)",
            "INSERT INTO shipment_line VALUES ('s', 0, 'P002', 'store-1', 8, 0, 0, 0, 8, NULL)",
        ],
        {("transit_short", "P002/main")},
    ),
    "kit-without-one-of-its-parts": (
        [
            "INSERT INTO reservation VALUES ('r', NULL, 'test', 'released', 1, 2, 1)",
            "INSERT INTO allocation VALUES ('P001', 'main', 'r', 0, 2, 2, 0, 0, 0, 4, 0, 'K', 2)",
            "INSERT INTO allocation VALUES ('P002', 'main', 'r', 0, 2, 2, 0, 0, 0, 1, 0, 'K', 1)",
            "INSERT INTO allocation VALUES ('P001', 'main', 'r', 1, 1, 2, 0, 0, 0, 2, 0, 'K', 2)",
            "INSERT INTO allocation VALUES ('P002', 'main', 'r', 1, 1, 2, 0, 0, 0, 1, 0, 'K', 1)",
        ],
        {("kit_out_of_step", "r")},
    ),
    "half-a-kit": (
        [
            "INSERT INTO reservation VALUES ('r', NULL, 'test', 'released', 1, 2, 1)",
            "INSERT INTO allocation VALUES ('P001', 'main', 'r', 0, 1, 2, 0, 0, 0, 1, 0, 'K', 2)",
        ],
        {("kit_out_of_step", "r")},
    ),
    "negative-balance": (
        ["UPDATE movement SET incoming = -1, d_incoming = -1 WHERE seq = 5"],
        {("out_of_bounds", 5), ("level_differs", "P001/store-1")},
    ),
    "too-large-a-balance": (
        [
            "UPDATE movement SET on_hand = 1000000000001, d_on_hand = 1000000000001,"
            " available = 0 WHERE seq = 5"
        ],
        {("out_of_bounds", 5), ("level_differs", "P001/store-1")},
    ),
    "more-available-than-there": (
        ["UPDATE movement SET available = 100 WHERE seq = 3"],
        {("available_differs", 3)},
    ),
    "version-skipped": (
        ["UPDATE movement SET level_version = 9 WHERE seq = 7"],
        {("version_gap", 7), ("level_differs", "P001/main")},
    ),
    "versions-exchanged": (
        [
            "UPDATE movement SET level_version = 99 WHERE seq = 3",
            "UPDATE movement SET level_version = 2 WHERE seq = 4",
            "UPDATE movement SET level_version = 3 WHERE seq = 3",
        ],
        {("version_order", 3), ("balance_differs", 4), ("balance_differs", 7)},
    ),
    "level-removed": (
        ["DELETE FROM level WHERE location = 'store-1'"],
        {("level_missing", 5)},
    ),
    "level-edited": (
        ["UPDATE level SET on_hand = 99 WHERE sku = 'P002'"],
        {("level_differs", "P002/main")},
    ),
    "level-of-another-movement": (
        ["UPDATE level SET seq = 5 WHERE sku = 'P002'"],
        {("level_differs", "P002/main")},
    ),
    "level-out-of-bounds": (
        ["UPDATE level SET safety_stock = -1 WHERE sku = 'P002'"],
        {("out_of_bounds", "P002/main")},
    ),
    "level-set-back": (
        ["UPDATE level SET version = 3, on_hand = 3, seq = 4 WHERE sku = 'P001' AND version = 4"],
        {("level_behind", "P001/main")},
    ),
    "level-forgotten": (
        ["UPDATE level SET version = 0, on_hand = 0, seq = 0 WHERE location = 'store-1'"],
        {("level_behind", "P001/store-1")},
    ),
    "stock-out-of-nothing": (
        [
            "INSERT INTO level VALUES ('P003', 'main', 1, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, NULL)"
        ],
        {("level_unfounded", "P003/main")},
    ),
    "alert-that-was-none": (
        ["UPDATE movement SET alerts = 1 WHERE seq = 3"],
        {("alerts_differ", 3)},
    ),
    "alert-not-told": (
        [
            "UPDATE movement SET available = 0 WHERE seq = 7",
            "UPDATE level SET safety_stock = on_hand WHERE sku = 'P001' AND location = 'main'",
        ],
        {("alerts_differ", 7)},
    ),
    "back-from-nowhere": (
        ["UPDATE movement SET alerts = 4 WHERE seq = 1"],
        {("alerts_differ", 1)},
    ),
    "out-with-stock": (
        [
            "UPDATE movement SET alerts = 32 WHERE seq = 7",
            "UPDATE level SET alert = 2 WHERE sku = 'P001' AND location = 'main'",
        ],
        {("alerts_differ", 7)},
    ),
    "alert-of-a-level-edited": (
        ["UPDATE level SET alert = 2 WHERE sku = 'P001' AND location = 'main'"],
        {("alert_differs", "P001/main")},
    ),
    "low-without-an-alert": (
        ["UPDATE level SET reorder_point = 100 WHERE sku = 'P001' AND location = 'main'"],
        {("alert_differs", "P001/main")},
    ),
    "operation-removed": (
        [f"DELETE FROM operation WHERE id = {OPERATION_OF.format(3)}"],
        {("operation_missing", 3)},
    ),
    "actor-edited": (
        ["UPDATE movement SET actor = 'nobody' WHERE seq = 5"],
        {("operation_differs", 5)},
    ),
    "reference-removed": (
        ["UPDATE movement SET reference = NULL WHERE seq = 2"],
        {("operation_differs", 2)},
    ),
    "range-too-long": (
        [f"UPDATE operation SET last_seq = 3 WHERE id = {OPERATION_OF.format(1)}"],
        {("operation_range", 2)},
    ),
    "range-too-short": (
        [f"UPDATE operation SET last_seq = 1 WHERE id = {OPERATION_OF.format(1)}"],
        {("operation_range", 1), ("operation_range", 2)},
    ),
    "movement-given-to-another-operation": (
        [f"UPDATE movement SET operation_id = {OPERATION_OF.format(7)} WHERE seq = 6"],
        {("operation_differs", 6), ("operation_range", 7), ("operation_unfounded", 6)},
    ),
    "operation-without-movements": (
        [
            "INSERT INTO operation SELECT 'zzz', recorded_at, actor, key, type, mode, reason,"
            " reference, note, occurred_at, first_seq, last_seq, applied, rejected"
            " FROM operation WHERE first_seq = 3"
        ],
        {("operation_unfounded", 3)},
    ),
    "line-id-used-twice": (
        ["DROP INDEX ix_movement_line_id", "UPDATE movement SET line_id = 'a' WHERE seq = 7"],
        {("line_id_repeated", 7), ("guard_missing", "ix_movement_line_id")},
    ),
}


@pytest.fixture(scope="module")
def sound(migrated: Template) -> Iterator[Template]:
    """A ledger whose tables have no bounds: copies of it take any fault."""
    with migrated.copied() as url:
        asyncio.run(_book(url))
        _lift_bounds(url)
        yield Template(migrated.store, url)


@pytest.mark.parametrize("page_rows", [1, 3, 1000], ids=["page-1", "page-3", "page-1000"])
async def test_a_sound_ledger_has_no_findings(sound: Template, page_rows: int) -> None:
    async with Database(DatabaseOptions(url=sound.url, read_only=True)) as database:
        verification = Verification(database.reader, page_rows=page_rows)
        findings = [finding async for page in verification.pages() for finding in page]

    assert findings == []
    assert verification.summary() == {
        "end": True,
        "ok": True,
        "movements": 7,
        "levels": 3,
        "operations": 5,
        "findings": 0,
        "as_of_seq": 7,
    }


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_is_found_where_it_is(sound: Template, fault: str) -> None:
    statements, expected = FAULTS[fault]
    with sound.copied() as url:
        _plant(url, statements)

        findings = await _findings(url)

    assert {(finding.code, _place(finding)) for finding in findings} == expected
    assert all(finding.show()["detail"] for finding in findings)


async def test_a_missing_trigger_is_found_although_nothing_was_changed(sound: Template) -> None:
    guard, table = ("movement_update", "") if is_file(sound.url) else (EMPTYING, " ON movement")
    with sound.copied() as url:
        run_aside(url, f"DROP TRIGGER {guard}{table}")

        (finding,) = await _findings(url)

    assert finding.show() == {
        "rule": "I7",
        "code": "guard_missing",
        "name": guard,
        "detail": "A trigger or an index that protects the ledger is missing.",
    }


def test_every_rule_is_broken_by_a_planted_fault() -> None:
    assert {code for _, expected in FAULTS.values() for code, _ in expected} == (
        set(RULES) - set(COUNT_RULES)
    )


async def test_an_empty_ledger_is_sound(database: Database) -> None:
    verification = Verification(database.reader, page_rows=10)

    findings = [finding async for page in verification.pages() for finding in page]

    assert findings == []
    assert verification.summary()["ok"]


async def test_changes_that_go_on_meanwhile_are_no_findings(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}, {"sku": "P002", "delta": 5}])
    verification = Verification(service.reading, page_rows=1)

    findings: list[Finding] = []
    async for page in verification.pages():
        await until(lambda: service.database.checked_out() == 0)
        findings += page
        await service.adjust([{"sku": "P001", "delta": 1}, {"sku": "P003", "delta": 1}])

    assert findings == []
    assert verification.as_of_seq == verification.movements == 2


async def _book(url: str) -> None:
    clock = SettableClock()
    async with open_service(Settings(database_url=url), now=clock) as service:
        await open_shop(service)
        for one in (
            command(adjust(10, line_id="a"), adjust(5, "P002"), reference="order:1"),
            command(adjust(-3)),
            command(transfer(4)),
            command(count(7, "P002")),
            command(adjust(1, line_id="b"), reference="order:2"),
        ):
            clock.move(1)
            await service.submit(one, actor="test")


def _place(finding: Finding) -> int | str | None:
    return finding.seq or finding.name or f"{finding.sku}/{finding.location}"


async def _findings(url: str) -> list[Finding]:
    """What is found in pages of one row, which must be what is found in one page."""
    found = []
    async with Database(DatabaseOptions(url=url, read_only=True)) as database:
        for page_rows in (1, 1000):
            pages = Verification(database.reader, page_rows=page_rows).pages()
            found.append([finding async for page in pages for finding in page])
    assert found[0] == found[1]
    return found[0]


def _lift_bounds(url: str) -> None:
    if is_file(url):
        # Not only ignored: opening the file would find a row that breaks a constraint.
        run_aside(url, "PRAGMA writable_schema = ON", WITHOUT_BOUNDS)
        return
    run_aside(url, *(drop for (drop,) in run_aside(url, BOUNDS)))


def _plant(url: str, statements: Sequence[str]) -> None:
    """Faults that the schema would have refused; afterwards it is guarded as before."""
    if not is_file(url):
        # Neither triggers nor references see what happens.
        run_aside(url, "SET session_replication_role = replica", *statements)
        return
    triggers = run_aside(url, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    lifted = [f"DROP TRIGGER {name}" for name, _ in triggers]
    run_aside(url, *lifted, *statements, *(sql for _, sql in triggers))
