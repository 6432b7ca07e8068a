"""The inventory without HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inventory_api.app import open_service
from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import DeadlineExpired, StorageFailed
from inventory_api.service import RefusedError, Service
from inventory_api.settings import Settings
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.other_program import break_pages
from tests.polling import until
from tests.sqlite_driver import sqlite_of, writer_of
from tests.stock_factory import adjust, command, open_items, open_shop

# Long names, so that few fit a page of the file.
MANY = [f"I{number:04}-{'x' * 50}" for number in range(600)]


async def fill(service: Service, skus: list[str]) -> None:
    await open_items(service, skus)
    await service.adjust([{"sku": sku, "delta": 5} for sku in skus])


@pytest.fixture
async def chunked(settings: Settings) -> AsyncIterator[Service]:
    """A service that checks ten lines per query."""
    async with open_service(settings.model_copy(update={"check_chunk_lines": 10})) as service:
        await open_shop(service)
        yield service


async def test_a_check_answers_each_line_in_its_place(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 50}])

    answer = await service.check(
        [{"sku": "P001", "quantity": 3, "location": "main"}, {"sku": "P999"}, {"sku": "P002"}]
    )

    assert answer == {
        "as_of_seq": 1,
        "results": [
            {
                "index": 0,
                "sku": "P001",
                "location": "main",
                "name": "item P001",
                "on_hand": 50,
                "available": 50,
                "requested": 3,
                "sufficient": True,
            },
            {"index": 1, "sku": "P999", "error": {"code": "unknown_sku"}},
            {
                "index": 2,
                "sku": "P002",
                "location": None,
                "name": "item P002",
                "on_hand": 0,
                "available": 0,
                "requested": 1,
                "sufficient": False,
            },
        ],
    }


async def test_a_check_of_many_lines_keeps_their_order(chunked: Service) -> None:
    await fill(chunked, MANY[:95])
    quantities = [number % 8 for number in range(95)]

    answer = await chunked.check(
        [
            {"sku": sku, "quantity": quantity}
            for sku, quantity in zip(MANY[:95], quantities, strict=True)
        ]
    )

    assert [one["index"] for one in answer["results"]] == list(range(95))
    assert [one["sku"] for one in answer["results"]] == MANY[:95]
    assert [one["sufficient"] for one in answer["results"]] == [
        quantity <= 5 for quantity in quantities
    ]
    assert answer["as_of_seq"] == 95


async def test_a_check_of_nothing_is_an_empty_answer(service: Service) -> None:
    assert (await service.check([]))["results"] == []


@pytest.mark.sqlite
async def test_a_chunk_that_cannot_be_read_is_an_error_of_its_lines_only(
    settings: Settings,
) -> None:
    limits = {"check_chunk_lines": 200, "cache_kib": 16}
    async with open_service(settings.model_copy(update=limits)) as service:
        await fill(service, MANY)
        (await writer_of(service.database)).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        async with service.database.reader() as one, service.database.reader() as other:
            for session in (one, other):
                (await sqlite_of(session)).execute("PRAGMA shrink_memory")
        break_pages(service.database.path, MANY[300])

        answer = await service.check([{"sku": sku} for sku in MANY])

    codes = [one.get("error", {}).get("code") for one in answer["results"]]
    assert codes == [None] * 200 + ["storage_failed"] * 200 + [None] * 200
    assert [one["sku"] for one in answer["results"]] == MANY


async def test_a_check_has_a_deadline(settings: Settings) -> None:
    async with open_service(settings.model_copy(update={"check_deadline_s": 0.2})) as service:
        readers = settings.reader_connections
        sessions = [service.database.reader() for _ in range(readers)]
        for session in sessions:
            _ = await (await session.__aenter__()).connection()

        with pytest.raises(DeadlineExpired):
            await service.check([{"sku": "P001"}])

        for session in sessions:
            await session.__aexit__(None, None, None)
        await until(lambda: service.database.checked_out() == 0)


async def test_an_adjustment_is_answered_with_the_level_after_it(service: Service) -> None:
    answer = await service.adjust(
        [{"sku": "P001", "delta": 50}, {"sku": "P001", "location": "store-1", "delta": 2}],
        reason="received",
        reference="delivery:7",
    )

    assert (answer["applied"], answer["rejected"]) == (2, 0)
    assert [one["level"]["on_hand"] for one in answer["results"]] == [50, 2]
    (operation,) = await rows_of(service.database, "SELECT * FROM operation")
    assert operation["id"] == answer["operation_id"]
    assert (operation["reason"], operation["reference"]) == ("received", "delivery:7")


async def test_a_line_may_have_a_reason_an_id_and_a_group_of_its_own(service: Service) -> None:
    line = {"sku": "P001", "delta": 5, "reason": "returned", "line_id": "a", "group": "g"}

    first = await service.adjust([line], reason="received", mode="independent")
    again = await service.adjust([line], reason="received", mode="independent")

    assert first["results"][0]["status"] == "applied"
    assert again["results"][0]["status"] == "duplicate"
    (movement,) = await assert_sound(service.database)
    assert (movement["reason"], movement["line_id"]) == ("returned", "a")


async def test_a_refused_change_raises_its_code_and_facts_and_changes_nothing(
    service: Service,
) -> None:
    await service.adjust([{"sku": "P001", "delta": 4}])

    with pytest.raises(RefusedError) as refused:
        await service.adjust([{"sku": "P001", "delta": -9}, {"sku": "P002", "delta": 1}])

    assert refused.value.code is Code.INSUFFICIENT_STOCK
    (line,) = refused.value.facts["lines"]
    assert (line["index"], line["error"]["shortage"]) == (0, 5)
    assert await on_hand_of(service.database) == {("P001", "main"): 4}


async def test_independent_lines_are_answered_one_by_one(service: Service) -> None:
    answer = await service.adjust(
        [{"sku": "P001", "delta": -1}, {"sku": "P001", "delta": 1}], mode="independent"
    )

    assert [one["status"] for one in answer["results"]] == ["rejected", "applied"]


async def test_a_count_is_booked_if_it_expects_what_is_there(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 50}])

    answer = await service.set([{"sku": "P001", "on_hand": 40, "expected_on_hand": 50}])
    with pytest.raises(RefusedError) as stale:
        await service.set([{"sku": "P001", "on_hand": 30, "expected_on_hand": 50}])

    assert answer["results"][0]["delta"] == -10
    assert stale.value.facts["lines"][0]["error"] == {
        "code": "stale_quantity",
        "expected_on_hand": 50,
        "on_hand": 40,
    }


async def test_a_count_has_to_say_what_it_expects(service: Service) -> None:
    with pytest.raises(KeyError, match="expected_on_hand"):
        await service.set([{"sku": "P001", "on_hand": 40}])


async def test_a_transfer_moves_from_the_default_location_unless_told(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 50}])

    answer = await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 20}])
    await service.transfer([{"sku": "P001", "from": "store-1", "quantity": 5}])

    assert answer["results"][0]["seqs"] == [2, 3]
    assert await on_hand_of(service.database) == {
        ("P001", "main"): 35,
        ("P001", "store-1"): 15,
    }


async def test_a_key_makes_a_change_safe_to_repeat(service: Service) -> None:
    first = await service.adjust([{"sku": "P001", "delta": 5}], key="k")
    again = await service.adjust([{"sku": "P001", "delta": 5}], key="k")

    assert again == first
    with pytest.raises(RefusedError) as mismatch:
        await service.adjust([{"sku": "P001", "delta": 6}], key="k")
    assert mismatch.value.code is Code.IDEMPOTENCY_MISMATCH
    assert await on_hand_of(service.database) == {("P001", "main"): 5}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"sku": "P001", "delta": 1.5}, "delta"),
        ({"sku": "P001", "delta": True}, "delta"),
        ({"sku": "P001", "delta": "1"}, "delta"),
        ({"sku": "P001", "delta": 10**12 + 1}, "delta"),
        ({"sku": "P/1", "delta": 1}, "sku"),
        ({"sku": 1, "delta": 1}, "sku"),
        ({"sku": "x" * 65, "delta": 1}, "sku"),
        ({"sku": "\ud800", "delta": 1}, "sku"),
        ({"sku": "P001", "location": " ", "delta": 1}, "location"),
        ({"sku": "P001", "delta": 1, "line_id": ""}, "line_id"),
        ({"sku": "P001", "delta": 1, "line_id": "x" * 129}, "line_id"),
        ({"sku": "P001", "delta": 1, "reason": "because"}, "reason"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_line_that_is_not_valid_is_named_and_nothing_is_sent(
    service: Service, line: dict[str, object], field: str
) -> None:
    with pytest.raises(ValueError, match=rf"lines\[1\]\.{field}"):
        await service.adjust([{"sku": "P001", "delta": 1}, line])

    assert await on_hand_of(service.database) == {}


async def test_counts_and_transfers_are_checked_like_adjustments(service: Service) -> None:
    with pytest.raises(ValueError, match="on_hand"):
        await service.set([{"sku": "P001", "on_hand": -1, "expected_on_hand": None}])
    with pytest.raises(ValueError, match="expected_on_hand"):
        await service.set([{"sku": "P001", "on_hand": 1, "expected_on_hand": -1}])
    with pytest.raises(ValueError, match="quantity"):
        await service.transfer([{"sku": "P001", "to": "store-1", "quantity": 0}])
    with pytest.raises(ValueError, match="reference"):
        await service.adjust([{"sku": "P001", "delta": 1}], reference="\x00")


async def test_every_level_comes_once_in_order_however_many_pages_it_takes(
    settings: Settings,
) -> None:
    async with open_service(settings.model_copy(update={"export_page_rows": 7})) as service:
        await fill(service, MANY[:100])

        found = [level async for level in service.levels()]

    assert [level["sku"] for level in found] == MANY[:100]
    assert {level["on_hand"] for level in found} == {5}


async def test_no_connection_is_held_while_the_levels_are_consumed(settings: Settings) -> None:
    async with open_service(settings.model_copy(update={"export_page_rows": 7})) as service:
        await fill(service, MANY[:20])

        async for _ in service.levels():
            assert service.database.checked_out() == 0


async def test_a_read_sees_the_write_that_was_acknowledged_before_it(service: Service) -> None:
    for expected in range(1, 51):
        await service.adjust([{"sku": "P001", "delta": 1}])

        one = await service.level("P001", "main")
        stock = await service.stock("P001")

        assert one is not None
        assert stock is not None
        assert (one.on_hand, stock.levels[0].on_hand) == (expected, expected)


async def test_single_reads_that_come_together_share_a_query(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 1}, {"sku": "P002", "delta": 2}])

    found = await asyncio.gather(
        *[service.level(sku, "main") for sku in ("P001", "P002", "P009") * 50]
    )

    assert [one and one.on_hand for one in found] == [1, 2, None] * 50
    registry = service.metrics.registry
    assert registry.get_sample_value("inventory_shared_read_keys_count") == 1
    assert registry.get_sample_value("inventory_shared_read_keys_sum") == 150


async def test_an_unknown_level_or_item_is_none(service: Service) -> None:
    assert await service.level("P001", "main") is None
    assert await service.stock("nope") is None


async def test_readers_that_leave_at_any_moment_leave_no_old_state_behind(
    service: Service,
) -> None:
    tasks: list[asyncio.Task[object]] = []
    for round_number in range(60):
        tasks += [
            asyncio.create_task(service.check([{"sku": "P001"}])),
            asyncio.create_task(service.stock("P001")),
        ]
        for _ in range(round_number):
            await asyncio.sleep(0)
        for task in tasks[-2:]:
            task.cancel()
        await service.adjust([{"sku": "P001", "delta": 1}])

        answer = await service.check([{"sku": "P001", "location": "main"}])

        assert answer["results"][0]["on_hand"] == round_number + 1
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: service.database.checked_out() == 0)


async def test_a_script_gets_the_whole_inventory_without_a_server(database_url: str) -> None:
    async with open_service(Settings(database_url=database_url)) as service:
        await open_shop(service)
        await service.adjust([{"sku": "P001", "delta": 5}], reason="received")

    async with open_service(Settings(database_url=database_url)) as service:
        found = {level["sku"]: level["on_hand"] async for level in service.levels()}

    assert found == {"P001": 5}


@pytest.mark.sqlite
async def test_storage_that_fails_a_read_is_named(settings: Settings) -> None:
    async with open_service(settings.model_copy(update={"cache_kib": 16})) as service:
        await fill(service, MANY[:500])
        (await writer_of(service.database)).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        break_pages(service.database.path, MANY[250])

        with pytest.raises(StorageFailed):
            await service.level(MANY[250], "main")


async def test_a_change_and_a_command_are_the_same_thing(service: Service) -> None:
    await service.submit(command(adjust(3)), actor="test")
    await service.adjust([{"sku": "P001", "delta": 4}])

    assert await on_hand_of(service.database) == {("P001", "main"): 7}
