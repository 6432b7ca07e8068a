"""A command or work that brings a defect along fails alone."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from inventory_api.domain.commands import Command
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import Draining, OutcomeUnknown
from inventory_api.service import Service
from inventory_api.store.catalog import create_item
from inventory_api.store.database import Session
from inventory_api.store.faults import fault_of
from tests.committer.broken_commit import break_commits_about
from tests.committer.writer_gate import held, outcomes, queued, sample, send
from tests.ledger_oracle import assert_sound, on_hand_of, rows_of
from tests.log_records import events
from tests.stock_factory import adjust, command, item

# What the edge would never let through; here it stands for a defect of ours.
POISONS = {
    "half_a_character_in_a_sku": command(adjust(1, "\ud800")),
    "half_a_character_in_a_reference": command(adjust(1), reference="\ud800"),
    "a_time_beyond_64_bits": command(adjust(1), occurred_at=Instant(2**70)),
    "half_a_character_in_a_line_id": command(adjust(1, line_id="\ud800")),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
@pytest.mark.parametrize("place", [0, 10, 20], ids=["first", "middle", "last"])
async def test_a_guilty_command_fails_and_its_batch_is_applied(
    service: Service, poison: Command, place: int
) -> None:
    commands = [command(adjust(1, reason="received")) for _ in range(20)]
    commands.insert(place, poison)
    async with held(service):
        tasks = [send(service, one) for one in commands]
        await queued(service, 21)
    found = await outcomes(tasks)

    errors = [one for one in found if not isinstance(one, Outcome)]
    assert errors == [found[place]]
    assert isinstance(errors[0], ValueError | OverflowError | TypeError | DBAPIError)
    assert fault_of(errors[0]) is None
    assert await on_hand_of(service.database) == {("P001", "main"): 20}
    assert len(await assert_sound(service.database)) == 20


async def test_a_guilty_command_alone_fails_and_the_next_is_applied(service: Service) -> None:
    with pytest.raises((TypeError, DBAPIError), match="surrogates"):
        await send(service, POISONS["half_a_character_in_a_sku"])

    await send(service, command(adjust(1)))

    assert service.committer.is_open
    assert not service.committer.failed.is_set()
    assert await on_hand_of(service.database) == {("P001", "main"): 1}


async def test_a_guilty_key_fails_alone(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(1)), key=key) for key in ("a", "\ud800", "b")]
        await queued(service, 3)
    found = await outcomes(tasks)

    assert [isinstance(one, Outcome) for one in found] == [True, False, True]
    assert await on_hand_of(service.database) == {("P001", "main"): 2}


async def test_keys_of_an_isolated_batch_are_remembered(service: Service) -> None:
    async with held(service):
        tasks = [
            send(service, command(adjust(1)), key="k"),
            send(service, POISONS["half_a_character_in_a_sku"], key="p"),
            send(service, command(adjust(1)), key="k"),
        ]
        await queued(service, 3)
    await outcomes(tasks)

    again = await send(service, command(adjust(1)), key="k")

    assert again.replayed
    assert await on_hand_of(service.database) == {("P001", "main"): 1}
    assert [row["key"] for row in await rows_of(service.database, "SELECT * FROM idempotency")] == [
        "k"
    ]


async def test_a_batch_that_was_isolated_is_told_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with held(service):
        tasks = [send(service, one) for one in (command(adjust(1)), *POISONS.values())]
        await queued(service, 5)
    await outcomes(tasks)

    (event,) = events(caplog, "error")
    assert (event["event"], event["commands"]) == ("batch_isolated", 5)


async def test_a_refusal_in_an_isolated_batch_is_counted_once(service: Service) -> None:
    async with held(service):
        asked = (command(adjust(-1)), POISONS["a_time_beyond_64_bits"])
        tasks = [send(service, one) for one in asked]
        await queued(service, 2)
    await outcomes(tasks)

    found = service.metrics.registry.get_sample_value(
        "inventory_refusals_total", {"code": "insufficient_stock"}
    )
    assert found == 1


async def test_work_that_raises_is_rolled_back_and_told_its_error(service: Service) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await create_item(session, item("new"))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await service.transact(work, actor="test")

    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") == []
    assert (await send(service, command(adjust(1)))).refused is None


async def test_work_that_is_refused_is_rolled_back(service: Service) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await create_item(session, item("new"))
        return Outcome(b"{}", Code.ITEM_IN_USE)

    outcome = await service.transact(work, actor="test")

    assert outcome.refused is Code.ITEM_IN_USE
    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") == []


async def test_work_that_breaks_a_constraint_is_rolled_back(service: Service) -> None:
    async def work(session: Session, now: Instant) -> Outcome:
        await create_item(session, item("new"))
        await session.execute(text("INSERT INTO ledger_head VALUES (2, 0, 0)"))
        return Outcome(b"{}")

    with pytest.raises(IntegrityError):
        await service.transact(work, actor="test")

    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") == []
    assert service.committer.is_open


async def test_work_reads_what_it_wrote_and_others_only_what_was_committed(
    service: Service,
) -> None:
    seen: list[int] = []

    async def work(session: Session, now: Instant) -> Outcome:
        await create_item(session, item("new"))
        own = await session.execute(text("SELECT sku FROM item WHERE sku = 'new'"))
        seen.append(len(own.all()))
        seen.append(len(await rows_of(service.database, "SELECT 1 FROM item WHERE sku = 'new'")))
        return Outcome(b"{}")

    await service.transact(work, actor="test")

    assert seen == [1, 0]


async def break_commits(session: Session, now: Instant) -> Outcome:
    await break_commits_about(session, "broken")
    return Outcome(b"{}")


@pytest.mark.sqlite  # after a failed COMMIT a file needs a new process
async def test_nothing_is_written_after_a_commit_failed_even_while_isolating(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await service.transact(break_commits, actor="test")
    async with held(service):
        tasks = [
            send(service, command(adjust(1), reference="before")),
            send(service, command(adjust(2), reference="broken")),
            send(service, POISONS["half_a_character_in_a_sku"]),
            send(service, command(adjust(4), reference="after")),
        ]
        await queued(service, 4)
    before, broken, _, after = await outcomes(tasks)

    assert isinstance(before, Outcome)
    assert isinstance(broken, OutcomeUnknown)
    assert isinstance(after, Draining)
    assert service.committer.failed.is_set()
    assert [one["event"] for one in events(caplog, "error")] == ["batch_isolated", "batch_failed"]
    rows = await rows_of(service.database, "SELECT reference FROM operation")
    assert [row["reference"] for row in rows] == ["before"]


async def test_work_of_many_in_turn_is_one_transaction_each(service: Service) -> None:
    commits = sample(service, "inventory_batch_commands_count")

    async def create(sku: str) -> Outcome:
        async def work(session: Session, now: Instant) -> Outcome:
            return await create_item(session, item(sku))

        return await service.transact(work, actor="test", key=IdempotencyKey(sku, b""))

    found = await asyncio.gather(*[create(f"new-{number}") for number in range(20)])

    assert [one.refused for one in found] == [None] * 20
    assert sample(service, "inventory_batch_commands_count") - commits == 20
