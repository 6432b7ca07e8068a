"""Holds the writer inside a transaction, so that a test says when it goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from inventory_api.domain.judge import Asked
from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.database import Database, Session
from tests.databases import write_locked
from tests.polling import until

T = TypeVar("T")


@asynccontextmanager
async def held(service: Service) -> AsyncIterator[None]:
    """While inside, the writer is busy with other work and everything else queues."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work(session: Session, now: Instant) -> Outcome:
        entered.set()
        await leave.wait()
        return Outcome(b"{}")

    busy = asyncio.create_task(service.committer.transact(work, actor="gate", deadline_s=60))
    await entered.wait()
    try:
        yield
    finally:
        leave.set()
        await busy


def locked(database: Database) -> AbstractContextManager[None]:
    """While inside, another connection lets nobody else write."""
    return write_locked(database.options.url)


def send(
    service: Service,
    asked: Asked,
    *,
    key: str | None = None,
    body: bytes = b"body",
    actor: str = "test",
    deadline_s: float = 60,
) -> asyncio.Task[Outcome]:
    """A request of its own; it is in the queue after the next `await`."""
    known = None if key is None else IdempotencyKey(key, body)
    return asyncio.create_task(
        service.committer.submit(asked, actor=actor, key=known, deadline_s=deadline_s)
    )


async def queued(service: Service, count: int) -> None:
    """Return when so many commands wait."""
    await until(lambda: len(service.committer._queue) >= count)


async def taken(service: Service) -> None:
    """Return when the writer has claimed all that waited."""
    await until(lambda: not service.committer._queue)


async def outcomes(tasks: Sequence[Awaitable[T]]) -> list[T | BaseException]:
    """What became of each request."""
    return await asyncio.gather(*tasks, return_exceptions=True)


def sample(service: Service, name: str) -> float:
    """A number that the metrics show."""
    found = service.metrics.registry.get_sample_value(name)
    assert found is not None, name
    return found
