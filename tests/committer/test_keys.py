"""Idempotency keys: one key, one effect, one answer."""

import asyncio

import orjson
import pytest

from inventory_api.app import open_service
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.catalog import create_item
from inventory_api.store.database import Session
from tests.committer.writer_gate import held, outcomes, queued, send
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.stock_factory import adjust, command, item, open_shop


async def test_a_retry_is_answered_like_the_first_try_and_does_nothing(service: Service) -> None:
    first = await send(service, command(adjust(5)), key="k")
    await send(service, command(adjust(1)))

    second = await send(service, command(adjust(5)), key="k")

    assert (first.replayed, second.replayed) == (False, True)
    assert second.answer == first.answer
    assert await on_hand_of(service.database) == {("P001", "main"): 6}


async def test_a_key_used_for_something_else_is_refused_and_nothing_changes(
    service: Service,
) -> None:
    first = await send(service, command(adjust(5)), key="k", body=b"one")

    other = await send(service, command(adjust(9)), key="k", body=b"another")
    again = await send(service, command(adjust(5)), key="k", body=b"one")

    assert other.refused is Code.IDEMPOTENCY_MISMATCH
    assert again.answer == first.answer
    assert await on_hand_of(service.database) == {("P001", "main"): 5}


async def test_a_refusal_is_remembered_even_if_it_would_be_accepted_now(
    service: Service,
) -> None:
    first = await send(service, command(adjust(-1)), key="k")
    await send(service, command(adjust(10)))

    second = await send(service, command(adjust(-1)), key="k")

    assert first.refused is Code.INSUFFICIENT_STOCK
    assert (second.refused, second.answer, second.replayed) == (first.refused, first.answer, True)
    assert await on_hand_of(service.database) == {("P001", "main"): 10}


async def test_callers_do_not_share_their_keys(service: Service) -> None:
    one = await send(service, command(adjust(1)), key="k", actor="a")
    other = await send(service, command(adjust(2)), key="k", actor="b", body=b"another")

    assert (one.replayed, other.replayed, other.refused) == (False, False, None)
    assert await on_hand_of(service.database) == {("P001", "main"): 3}


async def test_two_hundred_parallel_sends_have_one_effect_and_one_answer(
    service: Service,
) -> None:
    tasks = [send(service, command(adjust(1)), key="k") for _ in range(200)]

    found = await asyncio.gather(*tasks)

    assert len({one.answer for one in found}) == 1
    assert sum(not one.replayed for one in found) == 1
    assert len(await assert_sound(service.database)) == 1


async def test_sends_that_meet_in_one_batch_have_one_effect(service: Service) -> None:
    async with held(service):
        tasks = [
            send(service, command(adjust(1)), key="k"),
            send(service, command(adjust(1)), key="k"),
            send(service, command(adjust(9)), key="k", body=b"another"),
            send(service, command(adjust(3)), key="other"),
        ]
        await queued(service, 4)
    first, second, mismatch, other = await asyncio.gather(*tasks)

    assert first.answer == second.answer
    assert mismatch.refused is Code.IDEMPOTENCY_MISMATCH
    assert (other.refused, other.replayed) == (None, False)
    assert await on_hand_of(service.database) == {("P001", "main"): 4}


async def test_every_key_of_a_batch_is_remembered(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(1)), key=f"k{number}") for number in range(20)]
        await queued(service, 20)
    first = await asyncio.gather(*tasks)

    again = [await send(service, command(adjust(1)), key=f"k{number}") for number in range(20)]

    assert [one.answer for one in again] == [one.answer for one in first]
    assert all(one.replayed for one in again)
    assert await on_hand_of(service.database) == {("P001", "main"): 20}


async def test_refusals_that_meet_in_one_batch_are_one_refusal(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(-1)), key="k") for _ in range(3)]
        await queued(service, 3)
    found = await asyncio.gather(*tasks)

    assert {(one.refused, one.answer) for one in found} == {(found[0].refused, found[0].answer)}
    assert [one.replayed for one in found] == [False, True, True]
    assert len(await rows_of(service.database, "SELECT key FROM idempotency")) == 1


async def test_outcomes_outlive_the_process(settings: Settings) -> None:
    async with open_service(settings) as service:
        await open_shop(service)
        first = await send(service, command(adjust(5)), key="k")

    async with open_service(settings) as service:
        second = await send(service, command(adjust(5)), key="k")

        assert second.replayed
        assert second.answer == first.answer
        assert await on_hand_of(service.database) == {("P001", "main"): 5}


async def test_a_dry_run_is_no_use_of_its_key(service: Service) -> None:
    dry = await send(service, command(adjust(5), dry_run=True), key="k", body=b"dry")
    wet = await send(service, command(adjust(5)), key="k", body=b"wet")

    assert (dry.replayed, wet.replayed, wet.refused) == (False, False, None)
    assert await on_hand_of(service.database) == {("P001", "main"): 5}


async def test_the_operation_names_the_key_and_the_caller(service: Service) -> None:
    outcome = await send(service, command(adjust(5)), key="k", actor="till-3")

    (row,) = await rows_of(service.database, "SELECT * FROM operation")
    assert (row["key"], row["actor"]) == ("k", "till-3")
    assert row["id"] == orjson.loads(outcome.answer)["operation_id"]


async def create(service: Service, sku: str, *, body: bytes = b"body") -> Outcome:
    async def work(session: Session, now: Instant) -> Outcome:
        return await create_item(session, item(sku))

    return await service.transact(work, actor="test", key=IdempotencyKey("k", body))


async def test_other_work_has_its_keys_too(service: Service) -> None:
    first = await create(service, "new")
    second = await create(service, "new")
    mismatch = await create(service, "newer", body=b"another")

    assert (first.refused, first.replayed) == (None, False)
    assert (second.refused, second.replayed, second.etag) == (None, True, first.etag)
    assert second.answer == first.answer
    assert mismatch.refused is Code.IDEMPOTENCY_MISMATCH


async def test_refused_work_is_remembered_without_what_it_wrote(service: Service) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await create_item(session, item("new"))
        return Outcome(b'{"why":"because"}', Code.ITEM_IN_USE)

    key = IdempotencyKey("k", b"body")
    first = await service.transact(work, actor="test", key=key)
    second = await service.transact(work, actor="test", key=key)

    assert second == first._replace(replayed=True)
    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") == []


async def test_work_that_failed_may_be_tried_again_under_its_key(service: Service) -> None:
    failures = [ValueError("first try")]

    async def work(session: Session, now: Instant) -> Outcome:
        if failures:
            raise failures.pop()
        return await create_item(session, item("new"))

    key = IdempotencyKey("k", b"body")
    with pytest.raises(ValueError, match="first try"):
        await service.transact(work, actor="test", key=key)

    outcome = await service.transact(work, actor="test", key=key)

    assert (outcome.refused, outcome.replayed) == (None, False)


async def test_keys_and_line_ids_together_apply_each_line_once(service: Service) -> None:
    async with held(service):
        asked = command(adjust(1, line_id="a"), adjust(1, line_id="b"))
        tasks = [send(service, asked, key=key) for key in ("k1", "k1", "k2")]
        await queued(service, 3)
    found = [one for one in await outcomes(tasks) if isinstance(one, Outcome)]

    statuses = [[line["status"] for line in orjson.loads(one.answer)["results"]] for one in found]
    assert statuses == [["applied"] * 2, ["applied"] * 2, ["duplicate"] * 2]
    assert len(await assert_sound(service.database)) == 2
