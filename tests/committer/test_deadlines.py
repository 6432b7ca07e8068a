"""Waiters that leave: before the writer took their command, and after."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inventory_api.app import open_service
from inventory_api.domain.unavailable import DeadlineExpired, OutcomeUnknown
from inventory_api.service import Service
from inventory_api.settings import Settings
from tests.committer.writer_gate import held, locked, outcomes, queued, send, taken
from tests.ledger_oracle import assert_sound, on_hand_of
from tests.stock_factory import adjust, command, open_shop


@pytest.fixture
async def patient(settings: Settings) -> AsyncIterator[Service]:
    """A service that waits long for a foreign lock."""
    async with open_service(settings.model_copy(update={"busy_timeout_s": 30})) as service:
        await open_shop(service)
        yield service


async def test_a_deadline_before_the_writer_took_the_command_is_a_promise_not_to_run_it(
    service: Service,
) -> None:
    async with held(service):
        with pytest.raises(DeadlineExpired) as raised:
            await send(service, command(adjust(1000)), deadline_s=0.01)
    await send(service, command(adjust(1)))

    assert raised.value.applied == "no"
    assert await on_hand_of(service.database) == {("P001", "main"): 1}


async def test_a_deadline_after_the_writer_took_the_command_leaves_the_outcome_unknown(
    patient: Service,
) -> None:
    with locked(patient.database), pytest.raises(OutcomeUnknown) as raised:
        await send(patient, command(adjust(7)), key="k", deadline_s=0.1)

    retried = await send(patient, command(adjust(7)), key="k")

    assert raised.value.applied == "unknown"
    assert retried.replayed
    assert retried.refused is None
    assert await on_hand_of(patient.database) == {("P001", "main"): 7}


async def test_the_writer_goes_on_after_all_waiters_have_left(patient: Service) -> None:
    with locked(patient.database):
        first = send(patient, command(adjust(1)), deadline_s=0.05)
        late = await outcomes([first])
        rest = await outcomes(
            [send(patient, command(adjust(10)), deadline_s=0.02) for _ in range(20)]
        )

    await send(patient, command(adjust(100)))

    assert [type(one) for one in late] == [OutcomeUnknown]
    assert {type(one) for one in rest} == {DeadlineExpired}
    assert await on_hand_of(patient.database) == {("P001", "main"): 101}


@pytest.mark.parametrize("which", [0, 25, 49], ids=["first", "middle", "last"])
async def test_one_of_fifty_that_leaves_does_not_touch_the_others(
    service: Service, which: int
) -> None:
    async with held(service):
        tasks = [send(service, command(adjust(1), reference=f"r:{n}")) for n in range(50)]
        await queued(service, 50)
        tasks[which].cancel()
        await asyncio.gather(tasks[which], return_exceptions=True)
    found = await outcomes(tasks)

    assert isinstance(found[which], asyncio.CancelledError)
    assert sum(not isinstance(one, BaseException) for one in found) == 49
    references = {row["reference"] for row in await assert_sound(service.database)}
    assert references == {f"r:{n}" for n in range(50)} - {f"r:{which}"}


async def test_one_that_leaves_after_the_writer_took_it_does_not_touch_the_others(
    patient: Service,
) -> None:
    with locked(patient.database):
        async with held(patient):
            tasks = [send(patient, command(adjust(1))) for _ in range(50)]
            await queued(patient, 50)
        await taken(patient)
        tasks[25].cancel()
        await asyncio.gather(tasks[25], return_exceptions=True)
    found = await outcomes(tasks)

    assert sum(not isinstance(one, BaseException) for one in found) == 49
    assert await on_hand_of(patient.database) == {("P001", "main"): 50}


async def test_a_queue_of_nothing_but_left_commands_is_passed_over(service: Service) -> None:
    async with held(service):
        found = await outcomes(
            [send(service, command(adjust(1)), deadline_s=0.01) for _ in range(30)]
        )

    await send(service, command(adjust(1)))

    assert {type(one) for one in found} == {DeadlineExpired}
    assert len(await assert_sound(service.database)) == 1


async def test_a_key_whose_command_never_ran_is_free(service: Service) -> None:
    async with held(service):
        with pytest.raises(DeadlineExpired):
            await send(service, command(adjust(1)), key="k", body=b"one", deadline_s=0.01)

    outcome = await send(service, command(adjust(2)), key="k", body=b"another")

    assert (outcome.refused, outcome.replayed) == (None, False)
