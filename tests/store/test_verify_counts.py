"""Planted faults in counts: each kind has to be found, at its place, and nothing else."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from inventory_api.app import open_service
from inventory_api.domain.judge import Asked
from inventory_api.settings import Settings
from inventory_api.store.findings import COUNT_RULES
from tests.count_factory import opening, recording, settling, tally
from tests.settable_clock import SettableClock
from tests.stock_factory import adjust, command, open_shop
from tests.store.planting import findings_in, planted, url_of

# P001/main 10 - 2 sold and one missing, P002/main 5 and right, P003/main nothing and one found;
# seq 1 and 2 are the receipt, 3 the sale, 4 to 6 the posting.
FAULTS: dict[str, tuple[Sequence[str], set[tuple[str, str | None]]]] = {
    "operation-exchanged": (
        ["UPDATE count_sheet SET operation_id = (SELECT operation_id FROM movement WHERE seq = 3)"],
        {("count_operation", None)} | {("count_unbooked", f"P00{n}") for n in (1, 2, 3)},
    ),
    "operation-unknown": (
        ["UPDATE count_sheet SET operation_id = 'nowhere'"],
        {("count_operation", None)} | {("count_unbooked", f"P00{n}") for n in (1, 2, 3)},
    ),
    "line-removed": (
        [
            "DELETE FROM count_line WHERE sku = 'P002'",
            "UPDATE count_sheet SET counted_count = 2, line_count = 2",
        ],
        {("count_operation", None)},
    ),
    "counted-edited": (
        ["UPDATE count_line SET counted = 8 WHERE sku = 'P001'"],
        {("count_unbooked", "P001")},
    ),
    "expected-edited": (
        ["UPDATE count_line SET expected = 11, counted = 10 WHERE sku = 'P001'"],
        {("count_expected", "P001")},
    ),
    "expected-out-of-nothing": (
        ["UPDATE count_line SET expected = 1, counted = 2 WHERE sku = 'P003'"],
        {("count_expected", "P003")},
    ),
    "version-unknown": (
        ["UPDATE count_line SET level_version = 9 WHERE sku = 'P002'"],
        {("count_expected", "P002")},
    ),
    "booked-nowhere": (
        ["UPDATE count_line SET posted_version = NULL WHERE sku = 'P001'"],
        {("count_unbooked", "P001")},
    ),
    "booked-by-a-sale": (
        ["UPDATE count_line SET posted_version = 2 WHERE sku = 'P001'"],
        {("count_unbooked", "P001")},
    ),
}


@pytest.fixture(scope="module")
def counted_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counted") / "inventory.db"
    asyncio.run(_count(path))
    return path


async def test_a_sound_count_has_no_findings(counted_file: Path) -> None:
    assert await findings_in(counted_file) == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_is_found_where_it_is(
    counted_file: Path, tmp_path: Path, fault: str
) -> None:
    statements, expected = FAULTS[fault]

    findings = await findings_in(planted(counted_file, tmp_path, statements))

    assert {(one.code, one.sku) for one in findings} == expected
    assert all(one.name for one in findings)
    assert all(one.show()["detail"] for one in findings)


def test_every_rule_about_counts_is_broken_by_a_planted_fault() -> None:
    assert {code for _, expected in FAULTS.values() for code, _ in expected} == set(COUNT_RULES)


async def _count(path: Path) -> None:
    async with open_service(Settings(database_url=url_of(path)), now=SettableClock()) as service:

        async def ask(asked: Asked) -> str:
            outcome = await service.submit(asked, actor="test")
            assert outcome.refused is None
            name: str = orjson.loads(outcome.answer).get("id", "")
            return name

        await open_shop(service)
        await ask(command(adjust(10), adjust(5, "P002")))
        name = await ask(opening("P001", "P002"))
        await ask(command(adjust(-2)))
        await ask(recording(name, tally(9), tally(5, "P002"), tally(1, "P003")))
        await ask(settling("post", name))
