"""The demo behind its HTTP application, in process, on a file of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inventory_api.app import create_app, open_service
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.preparation import load_demo
from inventory_api.service import Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from tests.databases import Store, Template, write_locked
from tests.polling import until
from tests.settable_clock import SettableClock
from tests.web.document import check_answer, operation_of

JSON = Any  # Any: the body of an answer
HOST = "http://127.0.0.1"
IDLE: dict[str, JSON] = {
    "housekeeping_interval_s": 3600,
    "expiry_sweep_s": 3600,
    "supplier_poll_s": 3600,
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A running demo: P001 to P005 at main, and an empty store-1."""

    service: Service
    http: httpx.AsyncClient
    clock: SettableClock

    async def make_key(self, **body: JSON) -> dict[str, str]:
        """The header of a new key, made by the owner's, which is the first."""
        first = await self.http.post("/v1/api-keys", json={"name": "owner", "scopes": ["admin"]})
        owner = {"Authorization": f"Bearer {first.json()['key']}"}
        made = await self.http.post("/v1/api-keys", json={"name": "till", **body}, headers=owner)
        return {"Authorization": f"Bearer {made.json()['key']}"}

    async def get(self, path: str, **query: str | int) -> JSON:
        """The body of a read that succeeds."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def walk(self, path: str, **query: str | int) -> list[JSON]:
        """The entries of a list, page by page, by its cursors."""
        entries: list[JSON] = []
        while True:
            page = await self.get(path, **query)
            entries += page["items"]
            if page["next_cursor"] is None:
                return entries
            query["cursor"] = page["next_cursor"]

    async def adjust(self, *lines: JSON, key: str | None = None, **fields: JSON) -> httpx.Response:
        return await self._change("adjust", lines, key, fields)

    async def set(self, *lines: JSON, key: str | None = None, **fields: JSON) -> httpx.Response:
        return await self._change("set", lines, key, fields)

    async def transfer(
        self, *lines: JSON, key: str | None = None, **fields: JSON
    ) -> httpx.Response:
        return await self._change("transfer", lines, key, fields)

    async def on_hand(self, sku: str = "P001", location: str = "main") -> int:
        level = await self.get(f"/v1/stock/{sku}/{location}")
        units: int = level["on_hand"]
        return units

    async def head(self) -> int:
        """The number of the ledger's last movement."""
        movements = await self.get("/v1/movements", limit=1)
        head: int = movements["head"]
        return head

    async def _change(
        self, kind: str, lines: tuple[JSON, ...], key: str | None, fields: JSON
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"lines": list(lines), **fields}
        return await self.http.post(f"/v1/stock/{kind}", json=body, headers=headers)


@contextmanager
def demo_in(store: Store, *, with_store: bool = True) -> Iterator[Template]:
    """A database with the demo and store-1; made once and copied for each test."""

    async def work(url: str) -> None:
        settings = Settings(database_url=url, migrate_at_start=True)
        async with open_service(settings, now=SettableClock()) as service:
            await load_demo(service)
            if with_store:
                async with http_client(service) as http:
                    await http.post("/v1/locations", json={"code": "store-1", "kind": "store"})

    with store.fresh() as url:
        asyncio.run(work(url))
        yield Template(store, url)


@asynccontextmanager
async def open_demo(
    demo: Template, folder: Path, environment: Mapping[str, str] | None = None, /, **settings: JSON
) -> AsyncIterator[Shop]:
    """A running copy of the demo, with settings of its own; nothing runs in the background."""
    clock = SettableClock()
    with demo.copied(folder) as url:
        chosen = Settings(database_url=url, **IDLE | settings)
        async with (
            open_service(chosen, now=clock, environment=environment or {}) as service,
            http_client(service) as http,
        ):
            await first_turns(service)
            yield Shop(service, http, clock)


async def first_turns(service: Service) -> None:
    """Wait until the background jobs have had the turn that they take at the start.

    A test that locks the tables would find one of them waiting in front of its own change.
    """

    async def nothing(session: Session, now: Instant) -> Outcome:
        return Outcome(b"{}")

    if service.database.is_shared:
        # Behind their leases, and behind what they do then.
        for _ in range(2):
            await service.transact(nothing, actor="test")
        await until(lambda: service.database.checked_out() == 0)


@asynccontextmanager
async def http_client(service: Service, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service's application; each answer has to be a documented one."""
    transport = httpx.ASGITransport(hanging_up(create_app(service)))
    hooks = {"response": [_check]}
    async with httpx.AsyncClient(
        transport=transport, base_url=HOST, headers=headers, event_hooks=hooks
    ) as http:
        yield http


def hanging_up(app: ASGIApp) -> ASGIApp:
    """An application whose client leaves an answer without an end after its first piece.

    The transport gives an answer to the test when it is whole, so here it becomes whole then.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        found = operation_of(scope["method"], scope["path"])
        if found is None or not found.is_endless:
            await app(scope, receive, send)
            return
        has_begun = asyncio.Event()

        async def received() -> Message:
            await has_begun.wait()
            return {"type": "http.disconnect"}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not has_begun.is_set():
                await send({**message, "more_body": True})
                has_begun.set()

        await app(scope, received, sent)
        await send({"type": "http.response.body"})

    return wrapped


def foreign_lock(shop: Shop) -> AbstractContextManager[None]:
    """Another program lets nobody else write to the database."""
    return write_locked(shop.service.database.options.url)


def problem(answer: httpx.Response, status: int) -> JSON:
    """The problem that an answer tells; it has to have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def wrong_fields(answer: httpx.Response) -> list[str]:
    """The fields that a refusal with 422 names."""
    told = problem(answer, 422)
    assert told["code"] == "validation_error"
    assert told["applied"] == "no"
    return [error["field"] for error in told["errors"]]


async def _check(answer: httpx.Response) -> None:
    await answer.aread()
    check_answer(answer)
