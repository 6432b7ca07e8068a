"""The receiving side of webhooks: what came, and a service that may call this machine."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import standardwebhooks

from inventory_api.domain.events import RANK_MAX
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Webhook
from inventory_api.service import Service
from inventory_api.store.database import Session
from inventory_api.store.webhooks import create_webhook
from inventory_api.webhook_call import new_secret
from tests.outbound.peer import Peer

JSON = Any  # Any: the body of an event
# This machine may be called, by http, as often as a test likes, however it behaves.
ALLOWED: dict[str, JSON] = {
    "outbound_private_hosts": ("127.0.0.1",),
    "outbound_http_hosts": ("127.0.0.1",),
    "outbound_host_rate_per_s": 100_000.0,
    "outbound_host_burst": 1_000,
    "outbound_breaker_failures": 1_000,
    "webhook_flush_s": 0.01,
}


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as a receiver sees it."""

    headers: dict[str, str]
    body: bytes

    @classmethod
    def parse(cls, request: bytes) -> "Received":
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines)
        return cls({name.lower(): value for name, value in pairs}, body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> JSON:
        return json.loads(self.body)

    @property
    def seq(self) -> int:
        """Of the movement that it tells of."""
        return int(self.id.split("_")[1])

    def verify(self, secret: str) -> JSON:
        """The event, if the package that receivers use accepts its signature."""
        return standardwebhooks.Webhook(secret).verify(self.body, self.headers)


def received(peer: Peer) -> list[Received]:
    return [Received.parse(request) for request in peer.requests]


def webhook(webhook_id: str, url: str, **fields: JSON) -> Webhook:
    """An endpoint that wants every movement, and nothing else, from the beginning."""
    values: dict[str, JSON] = {
        **dict.fromkeys(Webhook._fields),
        "id": webhook_id,
        "url": url,
        "events": frozenset({"level.changed"}),
        "status": "active",
        "secret": new_secret(),
        **dict.fromkeys(("cursor_seq", "attempts", "deliveries", "epoch"), 0),
        "cursor_rank": RANK_MAX,
        "version": 1,
        "created_at": Instant(1),
        "updated_at": Instant(1),
    }
    return Webhook(**values | fields)


async def add(service: Service, *webhooks: Webhook) -> None:
    """Make endpoints that begin where their cursors are, and tell the worker."""

    async def work(session: Session, now: Instant) -> Outcome:
        for one in webhooks:
            await create_webhook(session, one, after=one.cursor_seq, webhooks_max=1_000)
        return Outcome(b"{}")

    await write(service, work)


async def write(service: Service, work: Callable[[Session, Instant], Awaitable[Outcome]]) -> None:
    """Change something about webhooks, and tell the worker."""
    await service.transact(
        work, actor="test", after_commit=lambda _: service.webhooks_changed.set()
    )


async def sell(service: Service, count: int, sku: str = "P001") -> None:
    """Make so many movements, each an operation of its own."""
    for _ in range(count):
        await service.adjust([{"sku": sku, "delta": 1}], reason="received")


def seqs(requests: Sequence[Received]) -> list[int]:
    return [one.seq for one in requests]
