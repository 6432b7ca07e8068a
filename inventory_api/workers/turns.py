"""Whose turn a background job is: one process at a time does it."""

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Fence, Instant
from inventory_api.service import ACTOR, Service
from inventory_api.store.database import Session
from inventory_api.store.leases import give_back, take_lease


class Turn:
    """A job's lease, as far as this process has it.

    Args:
        holder: names this process; new with each start.
    """

    def __init__(self, service: Service, name: str, holder: str) -> None:
        self._service = service
        self._name = name
        self._holder = holder

    async def take(self) -> tuple[bool, Fence | None]:
        """Whether it is this process's turn, and under which fence; alone it needs none.

        The lease lasts `lease_s` from now: take it again before each piece of work.
        """
        if not self._service.database.is_shared:
            return True, None
        lease_us = round(self._service.settings.lease_s * 1_000_000)
        found: list[Fence | None] = []

        async def work(session: Session, now: Instant) -> Outcome:  # noqa: ARG001 - the server's time counts
            found.append(await take_lease(session, self._name, self._holder, lease_us=lease_us))
            return Outcome(b"{}")

        await self._service.transact(work, actor=ACTOR)
        return found[-1] is not None, found[-1]

    async def give_back(self) -> None:
        """At the end: another process need not wait until the lease is over."""
        if not self._service.database.is_shared:
            return

        async def work(session: Session, now: Instant) -> Outcome:  # noqa: ARG001 - as above
            await give_back(session, self._name, self._holder)
            return Outcome(b"{}")

        await self._service.transact(work, actor=ACTOR)
