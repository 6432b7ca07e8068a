"""What is kept for a time only."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inventory_api.app import open_service
from inventory_api.domain.rejections import Code
from inventory_api.service import RefusedError, Service
from inventory_api.settings import Settings
from inventory_api.workers.housekeeping import forget_outcomes
from tests.ledger_oracle import on_hand_of, rows_of
from tests.settable_clock import SettableClock
from tests.stock_factory import open_shop

KEEP_S = 100


@pytest.fixture
async def forgetful(settings: Settings, clock: SettableClock) -> AsyncIterator[Service]:
    """A service that remembers for 100 s and forgets five outcomes per transaction."""
    limits = {"idempotency_keep_s": KEEP_S, "housekeeping_rows": 5}
    async with open_service(settings.model_copy(update=limits), now=clock) as service:
        await open_shop(service)
        yield service


async def book(service: Service, *keys: str) -> None:
    for key in keys:
        await service.adjust([{"sku": "P001", "delta": 1}], key=key)


async def keys_left(service: Service) -> list[str]:
    rows = await rows_of(service.database, "SELECT key FROM idempotency ORDER BY key")
    return [row["key"] for row in rows]


async def test_an_outcome_is_kept_for_its_time_and_not_longer(
    forgetful: Service, clock: SettableClock
) -> None:
    await book(forgetful, "k")
    clock.move(seconds=KEEP_S)
    assert not await forget_outcomes(forgetful)
    assert await keys_left(forgetful) == ["k"]

    clock.move(seconds=0.000001)
    assert not await forget_outcomes(forgetful)
    assert await keys_left(forgetful) == []


async def test_a_recent_outcome_is_kept(forgetful: Service, clock: SettableClock) -> None:
    await book(forgetful, "old")
    clock.move(seconds=KEEP_S)
    await book(forgetful, "new")
    clock.move(seconds=1)

    await forget_outcomes(forgetful)

    assert await keys_left(forgetful) == ["new"]


async def test_a_transaction_forgets_so_many_and_says_that_there_may_be_more(
    forgetful: Service, clock: SettableClock
) -> None:
    await book(forgetful, *[f"k{number:02}" for number in range(12)])
    clock.move(seconds=KEEP_S + 1)

    more = [await forget_outcomes(forgetful) for _ in range(3)]

    assert more == [True, True, False]
    assert await keys_left(forgetful) == []


async def test_a_key_that_was_forgotten_is_free_for_anything(
    forgetful: Service, clock: SettableClock
) -> None:
    await book(forgetful, "k")
    with pytest.raises(RefusedError) as refused:
        await forgetful.adjust([{"sku": "P001", "delta": 9}], key="k")
    clock.move(seconds=KEEP_S + 1)
    await forget_outcomes(forgetful)

    await forgetful.adjust([{"sku": "P001", "delta": 9}], key="k")

    assert refused.value.code is Code.IDEMPOTENCY_MISMATCH
    assert await on_hand_of(forgetful.database) == {("P001", "main"): 10}


async def test_the_ledger_is_never_tidied(forgetful: Service, clock: SettableClock) -> None:
    await book(forgetful, "k1", "k2")
    clock.move(seconds=10 * KEEP_S)

    await forget_outcomes(forgetful)

    assert len(await rows_of(forgetful.database, "SELECT seq FROM movement")) == 2
    assert len(await rows_of(forgetful.database, "SELECT id FROM operation")) == 2


async def test_a_running_service_tidies_by_itself(settings: Settings, clock: SettableClock) -> None:
    limits = {"idempotency_keep_s": KEEP_S, "housekeeping_interval_s": 0.01, "housekeeping_rows": 5}
    async with open_service(settings.model_copy(update=limits), now=clock) as service:
        await open_shop(service)
        await book(service, *[f"k{number:02}" for number in range(12)])
        clock.move(seconds=KEEP_S + 1)

        async with asyncio.timeout(30):
            while await keys_left(service):
                pass


async def test_a_clock_that_is_ahead_makes_nobody_forget(
    settings: Settings, clock: SettableClock
) -> None:
    """Not the machine's time of day counts, but the time that all processes share."""
    ahead = SettableClock()
    ahead.move(seconds=8 * 24 * 3_600)
    async with open_service(settings, now=clock, steady=clock) as service:
        await open_shop(service)
        await book(service, "k")

    async with open_service(settings, now=ahead, steady=clock) as service:
        await forget_outcomes(service)

        assert await keys_left(service) == ["k"]
