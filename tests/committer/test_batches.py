"""Commands that come together share a transaction, and each has an answer of its own."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from inventory_api.app import open_service
from inventory_api.domain.commands import Mode
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import Overloaded
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from inventory_api.store.levels import head_seq
from tests.committer.writer_gate import held, outcomes, queued, sample, send
from tests.ledger_oracle import assert_sound, on_hand_of
from tests.stock_factory import adjust, command, open_shop

COMMITS = "inventory_batch_commands_count"
COMMANDS = "inventory_batch_commands_sum"


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Service]:
    """A service whose batches and queue are small."""
    limits = {"batch_commands_max": 10, "batch_lines_max": 30, "queue_commands_max": 25}
    async with open_service(settings.model_copy(update=limits)) as service:
        await open_shop(service)
        yield service


async def test_one_command_is_one_commit_at_once(service: Service) -> None:
    before = sample(service, COMMITS)

    await send(service, command(adjust(1)))

    assert sample(service, COMMITS) - before == 1


async def test_what_gathers_during_a_commit_shares_the_next_one(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(1))) for _ in range(100)]
        await queued(service, 100)
        commits, commands = sample(service, COMMITS), sample(service, COMMANDS)
        assert sample(service, "inventory_queue_depth") == 100
    await asyncio.gather(*tasks)

    assert sample(service, COMMITS) - commits == 2  # the work that held the writer, and the batch
    assert sample(service, COMMANDS) - commands == 101
    assert sample(service, "inventory_queue_depth") == 0
    assert await on_hand_of(service.database) == {("P001", "main"): 100}


async def test_each_command_is_answered_with_its_own_lines(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(number))) for number in range(1, 30)]
        await queued(service, 29)
    answers = [orjson.loads((await task).answer) for task in tasks]

    assert [one["results"][0]["delta"] for one in answers] == list(range(1, 30))
    assert len({one["operation_id"] for one in answers}) == 29
    movements = await assert_sound(service.database)
    told = {one["results"][0]["seq"]: one["operation_id"] for one in answers}
    assert told == {row["seq"]: row["operation_id"] for row in movements}


async def test_commands_are_judged_and_recorded_in_order_of_arrival(service: Service) -> None:
    async with held(service):
        tasks = []
        for number in range(50):
            tasks.append(send(service, command(adjust(1), reference=f"order:{number}")))
            await queued(service, number + 1)
    await asyncio.gather(*tasks)

    movements = await assert_sound(service.database)
    assert [row["reference"] for row in movements] == [f"order:{number}" for number in range(50)]


async def test_a_later_command_of_a_batch_sees_what_an_earlier_one_took(service: Service) -> None:
    await service.adjust([{"sku": "P001", "delta": 5}])
    async with held(service):
        tasks = [send(service, command(adjust(-2))) for _ in range(4)]
        await queued(service, 4)

    refused = [outcome.refused is not None for outcome in await asyncio.gather(*tasks)]

    assert refused == [False, False, True, True]


async def test_a_refused_command_does_not_disturb_its_batch(service: Service) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(1, sku))) for sku in ("P001", "nope", "P002")]
        await queued(service, 3)

    found = [outcome.refused for outcome in await asyncio.gather(*tasks)]

    assert found == [None, "unknown_sku", None]
    assert len(await assert_sound(service.database)) == 2


async def test_a_batch_has_so_many_commands_and_no_more(narrow: Service) -> None:
    async with held(narrow):
        tasks = [send(narrow, command(adjust(1))) for _ in range(25)]
        await queued(narrow, 25)
        commits = sample(narrow, COMMITS)
    await asyncio.gather(*tasks)

    assert sample(narrow, COMMITS) - commits == 1 + 3


async def test_a_batch_has_so_many_lines_and_no_more(narrow: Service) -> None:
    async with held(narrow):
        tasks = [send(narrow, command(*[adjust(1)] * 12)) for _ in range(6)]
        await queued(narrow, 6)
        commits = sample(narrow, COMMITS)
    await asyncio.gather(*tasks)

    assert sample(narrow, COMMITS) - commits == 1 + 3


async def test_a_command_larger_than_a_batch_runs_alone(narrow: Service) -> None:
    async with held(narrow):
        sizes = (1, 100, 1, 1)
        tasks = [send(narrow, command(*[adjust(1)] * size)) for size in sizes]
        await queued(narrow, 4)
        commits = sample(narrow, COMMITS)
    await asyncio.gather(*tasks)

    assert sample(narrow, COMMITS) - commits == 1 + 3
    assert await on_hand_of(narrow.database) == {("P001", "main"): 103}


async def test_a_full_queue_refuses_at_once_and_for_good(narrow: Service) -> None:
    async with held(narrow):
        accepted = [send(narrow, command(adjust(1))) for _ in range(25)]
        await queued(narrow, 25)
        late = [send(narrow, command(adjust(1000)), deadline_s=5) for _ in range(5)]
        refused = await outcomes(late)
        # The writer still stands: nothing but the length of the queue was looked at.
        assert not any(task.done() for task in accepted)
    await asyncio.gather(*accepted)

    assert [type(one) for one in refused] == [Overloaded] * 5
    assert await on_hand_of(narrow.database) == {("P001", "main"): 25}


async def test_a_queue_that_was_full_takes_more_when_it_was_served(narrow: Service) -> None:
    async with held(narrow):
        accepted = [send(narrow, command(adjust(1))) for _ in range(25)]
        await queued(narrow, 25)
    await asyncio.gather(*accepted)

    outcome = await send(narrow, command(adjust(1)))

    assert outcome.refused is None


async def test_other_work_keeps_its_place_among_the_commands(service: Service) -> None:
    seen: list[int] = []

    async def look(session: Session, now: Instant) -> Outcome:
        seen.append(await head_seq(session))
        return Outcome(b"{}")

    async with held(service):
        first = send(service, command(adjust(1)))
        await queued(service, 1)
        looking = asyncio.create_task(service.transact(look, actor="test"))
        await queued(service, 2)
        second = send(service, command(adjust(1)))
        await queued(service, 3)
    await asyncio.gather(first, looking, second)

    assert seen == [1]


async def test_a_dry_run_is_judged_after_what_came_before_and_changes_nothing(
    service: Service,
) -> None:
    async with held(service):
        tasks = [
            send(service, command(adjust(5))),
            send(service, command(adjust(-4, line_id="a"), dry_run=True)),
            send(service, command(adjust(-5, line_id="a"))),
        ]
        await queued(service, 3)
    received, judged, taken = await asyncio.gather(*tasks)

    answer = orjson.loads(judged.answer)
    assert (answer["operation_id"], answer["results"][0]["seq"]) == (None, None)
    assert answer["results"][0]["level"]["on_hand"] == 1
    assert (received.refused, taken.refused) == (None, None)
    assert await on_hand_of(service.database) == {("P001", "main"): 0}
    assert len(await assert_sound(service.database)) == 2


async def test_a_dry_run_that_would_be_refused_says_so(service: Service) -> None:
    outcome = await send(service, command(adjust(-4), dry_run=True))

    assert outcome.refused == "insufficient_stock"


async def test_levels_that_a_batch_opens_and_changes_again_are_written_once(
    service: Service,
) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(2, sku), adjust(-1, sku))) for sku in ("P001",) * 3]
        await queued(service, 3)
    await asyncio.gather(*tasks)

    assert await on_hand_of(service.database) == {("P001", "main"): 3}
    assert len(await assert_sound(service.database)) == 6


async def test_a_line_id_is_taken_once_across_the_commands_of_a_batch(service: Service) -> None:
    async with held(service):
        asked = command(adjust(1, line_id="till-1"))
        tasks = [send(service, asked) for _ in range(3)]
        await queued(service, 3)
    answers = [orjson.loads((await task).answer) for task in tasks]

    statuses = [one["results"][0]["status"] for one in answers]
    assert statuses == ["applied", "duplicate", "duplicate"]
    assert await on_hand_of(service.database) == {("P001", "main"): 1}


async def test_seqs_of_interleaved_groups_are_those_of_the_ledger(service: Service) -> None:
    asked = command(
        adjust(1, "P001", group="g"),
        adjust(2, "P002"),
        adjust(3, "P003", group="g"),
        mode=Mode.INDEPENDENT,
    )

    answer = orjson.loads((await send(service, asked)).answer)

    movements = await assert_sound(service.database)
    told = {one["seq"]: (one["sku"], one["delta"]) for one in answer["results"]}
    assert told == {row["seq"]: (row["sku"], row["d_on_hand"]) for row in movements}


async def test_refusals_are_counted_by_code(service: Service) -> None:
    await send(service, command(adjust(-1), adjust(1, "nope"), mode=Mode.INDEPENDENT))

    registry = service.metrics.registry
    for code in ("insufficient_stock", "unknown_sku"):
        assert registry.get_sample_value("inventory_refusals_total", {"code": code}) == 1
