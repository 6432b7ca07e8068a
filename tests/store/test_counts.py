"""Counts in the database: what a batch reads for them, and what is left of them."""

import asyncio

import orjson
import pytest

from inventory_api.domain.count_sheet import Counts
from inventory_api.domain.judge import Asked
from inventory_api.service import Service
from inventory_api.store.counts import counts_named, find_counts, lines_of, measure, sheets_of
from inventory_api.store.database import Session
from tests.committer.writer_gate import held, queued, sample, send
from tests.count_factory import opening, recording, settling, tally
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.sqlite_driver import writer_of
from tests.stock_factory import MAIN, adjust, command, count, key, transfer


async def ask(service: Service, asked: Asked) -> str:
    """The id of the count that came of it."""
    outcome = await service.submit(asked, actor="test")
    assert outcome.refused is None, outcome
    name: str = orjson.loads(outcome.answer).get("id", "")
    return name


async def known(session: Session, commands: list[Asked]) -> Counts:
    """What a batch knows about counts, before and after its levels are locked."""
    counts = await counts_named(session, commands)
    await measure(session, counts, commands)
    return counts


async def test_a_count_is_kept_as_it_has_become(service: Service) -> None:
    await ask(service, command(adjust(10), adjust(5, "P002")))
    name = await ask(service, opening(blind=True, threshold=3, reference="r"))
    await ask(service, command(adjust(-1)))
    await ask(service, recording(name, tally(8), tally(1, "P003")))
    await ask(service, settling("post", name))

    async with service.database.reader() as session:
        sheet = (await sheets_of(session, [name]))[name]
        lines = await lines_of(session, name)

    assert sheet[1:7] == ("r", "main", "posted", 1, 3, None)
    assert (sheet.version, sheet.line_count, sheet.counted_count) == (3, 3, 2)
    assert [line[1:] for line in lines] == [
        ("P001", 0, 1, 10, 1, 10, 8, 3),
        ("P002", 1, 1, 5, 1, 5, None, None),
        ("P003", 2, 0, 0, 0, 0, 1, 1),
    ]
    (operation,) = await rows_of(
        service.database, "SELECT * FROM operation WHERE id = :id", id=sheet.operation_id
    )
    assert (operation["type"], operation["reference"]) == ("count", "r")
    await assert_sound(service.database)


async def test_a_recording_reads_the_lines_that_it_names_and_a_posting_reads_all(
    service: Service,
) -> None:
    await ask(service, command(adjust(10), adjust(5, "P002")))
    name = await ask(service, opening())

    async with service.database.writer() as session:
        named = await known(session, [recording(name, tally(1, "P002"), tally(1, "P003"))])
        whole = await known(session, [settling("post", name)])
        both = await known(session, [recording(name, tally(1, "P003")), settling("post", name)])

    assert named.lines[name].keys() == {"P002"}
    assert named.named == {key("P002"), key("P003")}
    assert not named.last_sets
    assert whole.lines[name].keys() == {"P001", "P002"}
    assert whole.last_sets == {key("P001"): 0, key("P002"): 0}
    assert both.last_sets.keys() == {key("P001"), key("P002"), key("P003")}


async def test_a_posting_knows_the_last_count_of_each_level(service: Service) -> None:
    for one in (
        command(adjust(10), adjust(5, "P002")),
        command(count(9)),
        command(count(8)),
        command(adjust(1)),
        command(transfer(1)),
        command(count(3, "P001", "store-1")),
    ):
        await ask(service, one)
    name = await ask(service, opening("P001", "P002"))

    async with service.database.writer() as session:
        found = await known(session, [settling("post", name)])

    assert found.last_sets == {key("P001"): 3, key("P002"): 0}


async def test_a_location_is_read_up_to_one_level_more_than_a_count_takes(
    service: Service,
) -> None:
    await ask(service, command(*[adjust(1, f"P00{n}") for n in range(1, 6)]))

    async with service.database.reader() as session:
        found = await known(session, [opening(lines_max=2)])

    assert found.skus_at == {MAIN: ["P001", "P002", "P003"]}


async def test_what_was_on_hand_at_a_version_comes_from_the_ledger(service: Service) -> None:
    for delta in (10, -3, -2):
        await ask(service, command(adjust(delta)))
    name = await ask(service, opening("P001"))

    async with service.database.writer() as session:
        found = await known(session, [recording(name, tally(1, version=2))])
        none = await known(session, [recording(name, tally(1, version=9))])

    assert found.on_hand_at == {(2, *key()): 7}
    assert none.on_hand_at == {}


@pytest.mark.sqlite
async def test_a_batch_without_counts_sends_no_statement_about_them(service: Service) -> None:
    writer = await writer_of(service.database)
    statements: list[str] = []
    writer.set_trace_callback(statements.append)

    await service.adjust([{"sku": "P001", "delta": 9}])
    await service.set([{"sku": "P001", "on_hand": 5, "expected_on_hand": 9}])
    writer.set_trace_callback(None)

    assert statements
    assert not [one for one in statements if "count_" in one or "'set'" in one.split("VALUES")[0]]


async def test_one_transaction_may_have_a_sale_a_recording_and_two_postings(
    service: Service,
) -> None:
    """Judged one after the other on the same snapshot, as if each had been alone."""
    await ask(service, command(adjust(10)))
    names = [await ask(service, opening("P001")) for _ in range(2)]
    commits = sample(service, "inventory_batch_commands_count")

    async with held(service):
        tasks = [
            send(service, one)
            for one in (
                command(adjust(-4)),
                recording(names[0], tally(9, version=2), tally(2, "P002")),
                recording(names[0], tally(9)),
                recording(names[1], tally(9)),
                settling("post", names[0]),
                settling("post", names[1]),
            )
        ]
        await queued(service, 6)
    found = await asyncio.gather(*tasks)

    assert sample(service, "inventory_batch_commands_count") - commits == 2
    refused = [outcome.refused for outcome in found]
    assert refused == [None, None, None, None, None, "stale_quantity"]
    assert await on_hand_of(service.database) == {("P001", "main"): 5, ("P002", "main"): 2}
    await assert_sound(service.database)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [0, 1, 2]),
        ({"status": "open"}, [0, 2]),
        ({"location": "store-1"}, [2]),
        ({"reference": "r"}, [1]),
        ({"status": "open", "locations": {"main"}}, [0]),
        ({"locations": set()}, []),
        ({"limit": 1}, [0]),
    ],
    ids=["all", "status", "location", "reference", "allowed", "none-allowed", "limit"],
)
async def test_counts_are_found_by_what_is_asked(
    service: Service, query: dict[str, object], found: list[int]
) -> None:
    names = [
        await ask(service, opening("P001")),
        await ask(service, opening("P001", reference="r")),
        await ask(service, opening("P001", location="store-1")),
    ]
    await ask(service, settling("cancel", names[1]))

    async with service.database.reader() as session:
        wanted = {"after": "", "limit": 9, **query}
        sheets = await find_counts(session, **wanted)  # type: ignore[arg-type]  # a test's words
        after = await find_counts(session, after=names[1], limit=9)

    assert [sheet.id for sheet in sheets] == [names[index] for index in found]
    assert [sheet.id for sheet in after] == names[2:]
