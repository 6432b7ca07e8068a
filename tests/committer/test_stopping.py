"""Stopping: what was accepted is answered, the rest refused, and a death is seen."""

import asyncio
from typing import Any, cast

import pytest

from inventory_api.app import open_service
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import Draining, OutcomeUnknown
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from tests.committer.writer_gate import held, outcomes, queued, send
from tests.ledger_oracle import assert_sound, on_hand_of
from tests.log_records import events
from tests.stock_factory import adjust, command, open_shop


async def test_what_was_accepted_is_answered_and_what_comes_later_refused(
    service: Service,
) -> None:
    async with held(service):
        accepted = [send(service, command(adjust(1))) for _ in range(600)]
        await queued(service, 600)
        service.committer.drain()
        late = await outcomes([send(service, command(adjust(1))) for _ in range(5)])
    found = await asyncio.gather(*accepted)

    assert [type(one) for one in late] == [Draining] * 5
    assert all(one.refused is None for one in found)
    assert await on_hand_of(service.database) == {("P001", "main"): 600}


async def test_leaving_the_service_answers_what_was_accepted(settings: Settings) -> None:
    async with open_service(settings) as service:
        await open_shop(service)
        tasks = [send(service, command(adjust(1)), key=f"k{n}") for n in range(100)]
        await queued(service, 100)
    found = await asyncio.gather(*tasks)

    assert all(one.refused is None for one in found)
    async with open_service(settings) as service:
        assert await on_hand_of(service.database) == {("P001", "main"): 100}


async def test_an_idle_service_leaves_at_once(settings: Settings) -> None:
    async with asyncio.timeout(5):
        async with open_service(settings):
            pass


async def test_leaving_does_not_wait_longer_than_the_drain_deadline(settings: Settings) -> None:
    entered = asyncio.Event()

    async def stuck(session: Session, now: Instant) -> Outcome:
        entered.set()
        await asyncio.Event().wait()
        return Outcome(b"{}")

    async with asyncio.timeout(10):
        async with open_service(settings.model_copy(update={"drain_deadline_s": 0.1})) as service:
            taken = asyncio.create_task(
                service.committer.transact(stuck, actor="test", deadline_s=0.5)
            )
            await entered.wait()
            waiting = send(service, command(adjust(1)))
            await queued(service, 1)
        in_flight, unclaimed = await outcomes([taken, waiting])

    assert isinstance(in_flight, OutcomeUnknown)
    assert isinstance(unclaimed, Draining)


async def test_nothing_is_left_running_when_the_service_was_left(settings: Settings) -> None:
    before = asyncio.all_tasks()

    async with open_service(settings) as service:
        await open_shop(service)
        await asyncio.gather(*[send(service, command(adjust(1))) for _ in range(20)])

    assert asyncio.all_tasks() == before


async def test_the_death_of_the_writer_is_seen_and_nothing_is_taken_any_more(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    # No command has no lines at all: this stands for a defect outside of any command's fault.
    impossible = command(adjust(1))
    object.__setattr__(impossible, "lines", cast("Any", None))

    async with held(service):
        tasks = [send(service, impossible), send(service, command(adjust(1)))]
        await queued(service, 2)
    found = await outcomes(tasks)

    assert [one["event"] for one in events(caplog, "error")] == ["committer_died"]
    assert [type(one) for one in found] == [Draining, Draining]
    assert service.committer.failed.is_set()
    with pytest.raises(Draining):
        await send(service, command(adjust(1)))
    assert await assert_sound(service.database) == []


async def test_a_command_that_was_claimed_by_a_dying_writer_is_not_called_refused(
    service: Service,
) -> None:
    impossible = command(adjust(1))
    object.__setattr__(impossible, "lines", cast("Any", None))

    async with held(service):
        claimed = send(service, command(adjust(1)), deadline_s=0.5)
        await queued(service, 1)
        dying = send(service, impossible)
        await queued(service, 2)
    found = await outcomes([claimed, dying])

    assert [type(one) for one in found] == [OutcomeUnknown, Draining]
