"""What becomes of changes when the storage does not play along."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from inventory_api.app import open_service
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.unavailable import (
    Draining,
    OutcomeUnknown,
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
)
from inventory_api.service import Service
from inventory_api.settings import Settings
from tests.committer.broken_commit import fail_at_commit
from tests.committer.writer_gate import held, locked, outcomes, queued, send
from tests.ledger_oracle import assert_sound, on_hand_of, one_value, rows_of
from tests.other_program import break_pages
from tests.sqlite_driver import writer_of
from tests.stock_factory import adjust, command, open_items, open_shop

LARGE = [adjust(1, reason="received") for _ in range(2_000)]


@pytest.fixture
async def impatient(settings: Settings) -> AsyncIterator[Service]:
    """A service that waits 50 ms for a foreign lock."""
    async with open_service(settings.model_copy(update={"busy_timeout_s": 0.05})) as service:
        await open_shop(service)
        yield service


@contextmanager
def full(writer: sqlite3.Connection) -> Iterator[None]:
    """While inside, the database file cannot grow."""
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    yield
    writer.execute("PRAGMA max_page_count = 1000000000")


@pytest.mark.sqlite
async def test_a_full_disk_refuses_what_does_not_fit_and_loses_nothing(service: Service) -> None:
    await send(service, command(adjust(7)), key="before")
    writer = await writer_of(service.database)

    with full(writer):
        with pytest.raises(StorageFull) as raised:
            await send(service, command(*LARGE), key="large")
        reading = await service.check([{"sku": "P001", "location": "main"}])

    assert raised.value.applied == "no"
    assert reading["results"][0]["on_hand"] == 7
    assert await on_hand_of(service.database) == {("P001", "main"): 7}
    assert len(await assert_sound(service.database)) == 1


@pytest.mark.sqlite
async def test_the_service_works_again_when_there_is_space_again(service: Service) -> None:
    writer = await writer_of(service.database)
    with full(writer), pytest.raises(StorageFull):
        await send(service, command(*LARGE), key="large")

    outcome = await send(service, command(*LARGE), key="large")

    assert (outcome.refused, outcome.replayed) == (None, False)
    assert service.committer.is_open
    assert await on_hand_of(service.database) == {("P001", "main"): 2_000}
    await assert_sound(service.database)


@pytest.mark.sqlite
async def test_a_batch_on_a_full_disk_is_refused_whole(service: Service) -> None:
    writer = await writer_of(service.database)
    with full(writer):
        async with held(service):
            tasks = [send(service, command(*LARGE[:200])) for _ in range(10)]
            await queued(service, 10)
        found = await outcomes(tasks)

    assert {type(one) for one in found} == {StorageFull}
    assert await assert_sound(service.database) == []


@pytest.mark.sqlite
async def test_changes_fit_again_and_again_while_the_disk_fills(service: Service) -> None:
    writer = await writer_of(service.database)
    acknowledged = 0
    with full(writer):
        writer.execute("PRAGMA max_page_count = 120")
        found = await outcomes([send(service, command(adjust(1))) for _ in range(2_000)])
        acknowledged = sum(isinstance(one, Outcome) for one in found)

    assert {type(one) for one in found} == {Outcome, StorageFull}
    assert await on_hand_of(service.database) == {("P001", "main"): acknowledged}
    assert len(await assert_sound(service.database)) == acknowledged


async def test_a_foreign_lock_is_waited_for_and_then_said_to_be_busy(impatient: Service) -> None:
    with locked(impatient.database), pytest.raises(StorageBusy) as raised:
        await send(impatient, command(adjust(1)), key="k")

    assert raised.value.applied == "no"
    assert await assert_sound(impatient.database) == []


async def test_the_service_works_again_when_the_lock_is_gone(impatient: Service) -> None:
    with locked(impatient.database):
        found = await outcomes([send(impatient, command(adjust(1)), key=f"k{n}") for n in range(9)])

    retried = await asyncio.gather(
        *[send(impatient, command(adjust(1)), key=f"k{n}") for n in range(9)]
    )

    assert {type(one) for one in found} == {StorageBusy}
    assert not any(one.replayed for one in retried)
    assert await on_hand_of(impatient.database) == {("P001", "main"): 9}


@pytest.mark.sqlite
async def test_a_file_that_cannot_be_written_is_said_to_be_read_only(service: Service) -> None:
    writer = await writer_of(service.database)
    writer.execute("PRAGMA query_only = 1")
    with pytest.raises(StorageReadOnly) as raised:
        await send(service, command(adjust(1)))
    writer.execute("PRAGMA query_only = 0")

    outcome = await send(service, command(adjust(1)))

    assert raised.value.applied == "no"
    assert outcome.refused is None
    assert await on_hand_of(service.database) == {("P001", "main"): 1}


@pytest.mark.sqlite
async def test_a_commit_that_fails_leaves_the_outcome_unknown_and_stops_the_writer(
    service: Service,
) -> None:
    async with held(service):
        failing = asyncio.create_task(service.transact(fail_at_commit, actor="test"))
        await queued(service, 1)
        behind = send(service, command(adjust(1)))
        await queued(service, 2)
    failed, refused = await outcomes([failing, behind])

    assert isinstance(failed, OutcomeUnknown)
    assert isinstance(refused, Draining)
    assert service.committer.failed.is_set()
    assert not service.committer.is_open


@pytest.mark.sqlite
async def test_a_commit_that_failed_leaves_no_open_transaction_behind(service: Service) -> None:
    writer = await writer_of(service.database)

    with pytest.raises(OutcomeUnknown):
        await service.transact(fail_at_commit, actor="test")

    assert not writer.in_transaction


@pytest.mark.sqlite
async def test_nothing_is_taken_after_a_commit_failed(service: Service) -> None:
    with pytest.raises(OutcomeUnknown):
        await service.transact(fail_at_commit, actor="test")

    with pytest.raises(Draining):
        await send(service, command(adjust(1)))

    assert await assert_sound(service.database) == []


async def test_reads_go_on_after_a_commit_failed(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}])
    with pytest.raises(OutcomeUnknown):
        await service.transact(fail_at_commit, actor="test")

    answer = await service.check([{"sku": "P001"}])

    assert answer["results"][0]["available"] == 5


async def test_a_restart_after_a_failed_commit_finds_what_was_acknowledged(
    settings: Settings,
) -> None:
    async with open_service(settings) as service:
        await open_shop(service)
        await service.adjust([{"sku": "P001", "delta": 5}], key="k")
        with pytest.raises(OutcomeUnknown):
            await service.transact(fail_at_commit, actor="test")

    async with open_service(settings) as service:
        await service.adjust([{"sku": "P001", "delta": 1}])

        assert await on_hand_of(service.database) == {("P001", "main"): 6}
        await assert_sound(service.database)


@pytest.mark.sqlite
async def test_a_page_that_breaks_while_serving_stops_the_writer(settings: Settings) -> None:
    async with open_service(settings.model_copy(update={"cache_kib": 16})) as service:
        await open_shop(service)
        await open_items(service, [f"I{number:04}" for number in range(500)])
        writer = await writer_of(service.database)
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("PRAGMA shrink_memory")
        break_pages(service.database.path, "I0250")

        with pytest.raises(StorageFailed) as raised:
            await send(service, command(adjust(1, "I0250")))

        assert raised.value.applied == "unknown"
        assert service.committer.failed.is_set()
        with pytest.raises(Draining):
            await send(service, command(adjust(1)))


@pytest.mark.sqlite
async def test_the_log_stays_small_while_changes_go_on(settings: Settings) -> None:
    limits = {"wal_checkpoint_pages": 100}
    async with open_service(settings.model_copy(update=limits)) as service:
        await open_shop(service)
        for _ in range(20):
            await send(service, command(*LARGE[:500]))

        assert service.database.wal_bytes() < 4 << 20
        assert await one_value(service.database, "SELECT count(*) FROM movement") == 10_000
        assert await rows_of(service.database, "PRAGMA foreign_key_check") == []
