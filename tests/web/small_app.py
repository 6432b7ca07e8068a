"""The smallest application behind the real edge, in memory and on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, NotRequired

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.params import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse
from typing_extensions import TypedDict

from inventory_api.domain.principal import Principal, Scope
from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import OutcomeUnknown, Overloaded
from inventory_api.telemetry import Metrics
from inventory_api.web.application import Application
from inventory_api.web.call import Call, Edge
from inventory_api.web.middleware import GateLimits, Traffic
from inventory_api.web.problems import Problem, from_outcome, unauthorized
from inventory_api.web.protocol import ConnectionLimits, guarded
from inventory_api.web.reply import Reply, empty_reply, json_reply
from inventory_api.web.routing import Router

WAIT_S = 10.0


class Line(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's way

    sku: Annotated[str, Field(min_length=1, max_length=64)]
    delta: Annotated[int, Field(ge=-(10**12), le=10**12)]


class Change(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's way

    lines: Annotated[list[Line], Field(min_length=1, max_length=3)]
    note: NotRequired[str | None]


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    dry_run: bool = False
    sku: str | None = None


Name = Annotated[str, Field(max_length=8)]


class Hold:
    """An endpoint that says when it has begun and answers when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answer = asyncio.Event()


router = Router("Small")


@router.post("/change", needs="write", answer=Change, errors=(Code.INSUFFICIENT_STOCK,))
async def change(call: Call, body: Change) -> Reply:
    """Changes. Shows what was understood."""
    return json_reply({"body": body, "key": call.key, "actor": call.principal.id})


@router.post("/batch", needs="write", batch=True)
async def batch(call: Call, body: Change) -> Reply:
    return json_reply(body)


@router.post("/confirm", needs="write")
async def confirm(call: Call, body: Change | None = None) -> Reply:
    return json_reply({"body": body})


@router.patch("/change/{name}", needs="write", if_match=True)
async def patch(call: Call, name: Name, body: Change) -> Reply:
    return json_reply({"if_match": sorted(call.if_match or ())})


@router.post("/import", needs="write", consumes={"text/csv": "sku\nP001\n"}, produces=("text/csv",))
async def take_in(call: Call) -> Reply:
    call.service.begun.set()
    return json_reply({"bytes": sum([len(chunk) async for chunk in call.stream()])})


@router.get("/change/{name}", needs="read")
async def read(call: Call, name: Name) -> Reply:
    return json_reply({"name": name, "language": call.language})


@router.get("/page", needs="read")
async def page(call: Call, query: Annotated[Page, Query()]) -> Reply:
    return json_reply(query.model_dump())


@router.get("/keys", needs="admin")
async def keys(call: Call) -> Reply:
    return json_reply([])


@router.put("/keys", needs="admin", answer=Change, also={503: Change})
async def put_keys(call: Call, body: Change) -> Reply:
    return json_reply(body, status=201)


@router.delete("/keys", needs="admin")
async def delete_keys(call: Call) -> Reply:
    return empty_reply()


@router.get("/livez", needs="public")
async def livez(call: Call) -> Reply:
    return json_reply({"status": "ok"})


@router.get("/held", needs="public")
async def held(call: Call) -> Reply:
    call.service.begun.set()
    await call.service.answer.wait()
    return json_reply({"held": True})


@router.get("/refused", needs="public")
async def refused(call: Call) -> Problem:
    return from_outcome(Code.INSUFFICIENT_STOCK, b'{"lines":[{"shortage":5}]}', status=409)


@router.post("/bug", needs="public")
async def bug(call: Call) -> Reply:
    raise RuntimeError("secret words of the database")


@router.get("/overloaded", needs="public")
async def overloaded(call: Call) -> Reply:
    raise Overloaded


@router.get("/unknown", needs="public")
async def unknown(call: Call) -> Reply:
    raise OutcomeUnknown


@router.get("/broken-stream", needs="public")
async def broken_stream(call: Call) -> StreamingResponse:
    return StreamingResponse(broken_rows(), media_type="application/x-ndjson")


async def broken_rows() -> AsyncIterator[bytes]:
    yield b"1\n"
    raise RuntimeError("row 2 is broken")


OPEN = Principal("loopback", frozenset(Scope))
READER = Principal("k1", frozenset((Scope.READ,)))


def authenticate(credential: bytes | None, client: str) -> Principal | Awaitable[Principal]:
    """Anyone may do all; the key `reader` may read; another key is found only after a wait."""
    if credential is None:
        return OPEN
    if credential == b"reader":
        return READER
    return find_key(credential)


async def find_key(credential: bytes) -> Principal:
    await asyncio.sleep(0)
    if credential == b"writer":
        return Principal("k2", frozenset((Scope.READ, Scope.WRITE)))
    raise unauthorized()


def small_app(
    hold: Hold | None = None,
    *,
    metrics: Metrics | None = None,
    traffic: Traffic | None = None,
    limits: GateLimits | None = None,
    key_required: bool = False,
    more: Iterable[Router] = (),
) -> Application:
    """The application of one small router."""
    counted = metrics or Metrics()
    edge = Edge(
        service=hold or Hold(),
        authenticate=authenticate,
        metrics=counted,
        key_required=key_required,
        body_bytes_max=2_000,
        batch_bytes_max=4_000,
        open_to_any_name=True,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.edge = edge
        yield

    app = Application(
        title="Small",
        version="1",
        description="",
        tags=[("Small", "")],
        lifespan=lifespan,
        metrics=counted,
        traffic=traffic or Traffic(),
        limits=limits or GateLimits(),
    )
    app.state.edge = edge
    app.add([router, *more])
    app.add_schema("/openapi.json")
    return app


@asynccontextmanager
async def client_of(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application in memory."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


@asynccontextmanager
async def served(
    app: Callable[..., object], limits: ConnectionLimits | None = None
) -> AsyncIterator[int]:
    """The port of a real server around the application."""
    listener = socket.create_server(("127.0.0.1", 0))
    protocol = guarded(limits or ConnectionLimits())
    config = uvicorn.Config(
        app, http=protocol, ws="none", log_config=None, access_log=False, server_header=False
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    port: int = listener.getsockname()[1]
    await answered(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        yield port
    finally:
        server.should_exit = True
        await task


async def answered(port: int, request: bytes) -> bytes:
    """All that comes back on a new connection until the server closes it."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
