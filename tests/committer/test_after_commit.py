"""What is told of a commit, whether somebody still waits for it or not."""

import asyncio

import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.domain.unavailable import OutcomeUnknown
from inventory_api.service import Service
from inventory_api.store.catalog import create_item
from inventory_api.store.database import Session
from tests.committer.broken_commit import fail_at_commit
from tests.ledger_oracle import rows_of
from tests.polling import until
from tests.stock_factory import item


async def create(session: Session, now: Instant) -> Outcome:
    return await create_item(session, item("new"))


async def test_a_commit_is_told_before_its_request_is_answered(service: Service) -> None:
    told: list[Outcome] = []

    outcome = await service.transact(create, actor="test", after_commit=told.append)

    assert told == [outcome]


async def test_a_commit_is_told_though_its_request_has_left(service: Service) -> None:
    told: list[Outcome] = []
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slowly(session: Session, now: Instant) -> Outcome:
        entered.set()
        await leave.wait()
        return await create(session, now)

    asking = asyncio.create_task(service.transact(slowly, actor="test", after_commit=told.append))
    await entered.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    leave.set()
    await until(lambda: bool(told))

    assert await rows_of(service.database, "SELECT sku FROM item WHERE sku = 'new'") != []


async def test_what_was_refused_or_failed_is_not_told(service: Service) -> None:
    told: list[Outcome] = []

    async def refuse(session: Session, now: Instant) -> Outcome:
        return Outcome(b"{}", Code.ITEM_IN_USE)

    async def fail(session: Session, now: Instant) -> Outcome:
        raise ValueError("broken")

    await service.transact(refuse, actor="test", after_commit=told.append)
    with pytest.raises(ValueError, match="broken"):
        await service.transact(fail, actor="test", after_commit=told.append)

    assert told == []


async def test_a_commit_that_failed_is_not_told(service: Service) -> None:
    told: list[Outcome] = []

    with pytest.raises(OutcomeUnknown):
        await service.transact(fail_at_commit, actor="test", after_commit=told.append)

    assert told == []
