"""The writer remembers what it wrote last, and never anything that is not so."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from inventory_api.app import open_service
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import StorageFull
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from tests.committer.test_storage_faults import LARGE, full
from tests.committer.writer_gate import held, outcomes, queued, send
from tests.ledger_oracle import assert_sound, on_hand_of
from tests.memory_oracle import assert_memory_is_true
from tests.sqlite_driver import writer_of
from tests.stock_factory import adjust, command, key, open_shop, set_item_status, set_policy

# Where other processes write too there is no memory.
pytestmark = pytest.mark.sqlite

RECEIVED = command(adjust(5, reason="received"))
POISON = command(adjust(3, reason="received"), reference="\ud800")


async def test_a_level_that_moved_last_is_not_asked_for_again(service: Service) -> None:
    await send(service, RECEIVED)
    writer, asked = await writer_of(service.database), list[str]()
    writer.set_trace_callback(asked.append)

    await send(service, command(adjust(-1)))

    assert [one for one in asked if one.startswith("SELECT")] == []
    assert await on_hand_of(service.database) == {key(): 4}


async def test_without_a_memory_each_batch_asks(settings: Settings) -> None:
    async with open_service(settings.model_copy(update={"recent_levels_max": 0})) as service:
        await open_shop(service)
        await send(service, RECEIVED)
        writer, asked = await writer_of(service.database), list[str]()
        writer.set_trace_callback(asked.append)

        await send(service, command(adjust(-1)))

    assert [one for one in asked if one.startswith("SELECT level")] != []


async def test_a_batch_that_was_rolled_back_is_not_remembered(service: Service) -> None:
    await send(service, RECEIVED)
    async with held(service):
        tasks = [send(service, one) for one in (RECEIVED, POISON, RECEIVED)]
        await queued(service, 3)
    await outcomes(tasks)

    await assert_memory_is_true(service)
    assert await on_hand_of(service.database) == {key(): 15}
    assert len(await assert_sound(service.database)) == 3


async def test_a_guilty_command_alone_is_not_remembered(service: Service) -> None:
    await send(service, RECEIVED)
    await outcomes([send(service, POISON)])

    await send(service, RECEIVED)

    await assert_memory_is_true(service)
    assert await on_hand_of(service.database) == {key(): 10}
    assert len(await assert_sound(service.database)) == 2


async def test_levels_that_were_written_and_rolled_back_are_not_remembered(
    service: Service,
) -> None:
    await send(service, RECEIVED)
    # Text is no fingerprint: everything of the batch is written before the database refuses that.
    guilty = send(service, RECEIVED, key="k", body="text")  # type: ignore[arg-type]
    assert [type(one) for one in await outcomes([guilty])] == [IntegrityError]

    await send(service, RECEIVED)

    await assert_memory_is_true(service)
    assert await on_hand_of(service.database) == {key(): 10}
    assert len(await assert_sound(service.database)) == 2


async def test_what_the_storage_refused_is_not_remembered(service: Service) -> None:
    await send(service, RECEIVED)
    with full(await writer_of(service.database)), pytest.raises(StorageFull):
        await send(service, command(*LARGE))

    await send(service, RECEIVED)

    await assert_memory_is_true(service)
    assert await on_hand_of(service.database) == {key(): 10}
    assert len(await assert_sound(service.database)) == 2


async def test_a_change_of_policy_counts_from_the_next_command_on(service: Service) -> None:
    await send(service, RECEIVED)
    await set_policy(service, {"safety_stock": 5})

    refused = await send(service, command(adjust(-1)))

    assert refused.refused is Code.INSUFFICIENT_STOCK
    await assert_memory_is_true(service)


async def test_whatever_else_writes_is_seen_by_the_next_command(service: Service) -> None:
    await send(service, RECEIVED)

    async def work(session: Session, now: Instant) -> Outcome:
        await session.execute(text("UPDATE level SET reserved = 5, reorder_point = 7"))
        return Outcome(b"{}")

    await service.transact(work, actor="test")

    assert (await send(service, command(adjust(-1)))).refused is Code.INSUFFICIENT_STOCK


async def test_a_sold_out_item_may_be_archived_behind_the_memory(service: Service) -> None:
    await send(service, RECEIVED)
    await send(service, command(adjust(-5)))
    await set_item_status(service, "P001", "archived")

    assert (await send(service, RECEIVED)).refused is Code.ITEM_ARCHIVED


async def test_a_refusal_and_a_dry_run_leave_the_memory_as_it_is(service: Service) -> None:
    await send(service, RECEIVED)

    await send(service, command(adjust(-1), adjust(-9)))
    await send(service, command(adjust(-1), dry_run=True))

    await assert_memory_is_true(service)
    assert await on_hand_of(service.database) == {key(): 5}
