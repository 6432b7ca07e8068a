"""A route runs only for callers it declares, and only on what it can read in one way."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi.params import Query
from pydantic import BaseModel
from starlette.responses import PlainTextResponse
from starlette.routing import Route as PlainRoute

from inventory_api.web.call import Call
from inventory_api.web.reply import Reply, empty_reply, json_reply
from inventory_api.web.routing import Router
from tests.web.small_app import Change, client_of, small_app

CHANGE: dict[str, Any] = {"lines": [{"sku": "P001", "delta": -2}]}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app()) as client:
        yield client


# ---- who may


async def none(call: Call) -> Reply:
    return empty_reply()


def test_a_route_that_does_not_declare_who_may_call_it_cannot_be_made() -> None:
    add = Router("Small").get("/x", needs="anyone")  # type: ignore[arg-type]  # the mistake

    with pytest.raises(ValueError, match="GET /x does not declare"):
        add(none)


def test_an_application_with_an_undeclared_route_does_not_start() -> None:
    app = small_app()
    app.router.routes.append(PlainRoute("/open", lambda request: PlainTextResponse("")))

    with pytest.raises(RuntimeError, match="/open"):
        app.build_middleware_stack()


async def test_routes_may_be_public_without_a_declaration_when_added_as_such() -> None:
    app = small_app()
    app.add_public([PlainRoute("/open", lambda request: PlainTextResponse("hello"))])

    async with client_of(app) as client:
        response = await client.get("/open")

    assert response.text == "hello"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", "/page", {"X-API-Key": "reader"}, 200, id="read with read"),
        pytest.param("GET", "/page", {"Authorization": "Bearer reader"}, 200, id="bearer"),
        pytest.param("GET", "/page", {"Authorization": "bEARER  writer"}, 200, id="any case"),
        pytest.param("POST", "/change", {"X-API-Key": "writer"}, 200, id="write with write"),
        pytest.param("POST", "/change", {"X-API-Key": "reader"}, 403, id="write with read"),
        pytest.param("GET", "/keys", {"X-API-Key": "writer"}, 403, id="admin with write"),
        pytest.param("GET", "/page", {"X-API-Key": "other"}, 401, id="unknown"),
        pytest.param("GET", "/page", {"Authorization": "Basic reader"}, 401, id="other scheme"),
        pytest.param("GET", "/page", {"Authorization": "reader"}, 401, id="no scheme"),
        pytest.param("GET", "/page", {"Authorization": ""}, 401, id="empty"),
        pytest.param("GET", "/page", {"X-API-Key": b"\xff\xfe"}, 401, id="not ASCII"),
        pytest.param("GET", "/livez", {"X-API-Key": "other"}, 200, id="public with any key"),
    ],
)
async def test_only_a_key_with_the_scope_is_let_in(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    headers: dict[str, str | bytes],
    status: int,
) -> None:
    raw = [
        (name.encode(), v if isinstance(v, bytes) else v.encode()) for name, v in headers.items()
    ]

    response = await client.request(method, path, json=CHANGE, headers=raw)

    assert response.status_code == status, response.text


async def test_two_credentials_are_one_too_many(client: httpx.AsyncClient) -> None:
    headers = {"X-API-Key": "reader", "Authorization": "Bearer reader"}

    response = await client.get("/page", headers=headers)

    assert response.json()["code"] == "unauthorized"


async def test_a_refused_caller_learns_nothing_about_its_request(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", content=b"{", headers={"X-API-Key": "other", **JSON})

    assert response.status_code == 401


async def test_a_forbidden_caller_learns_the_scope(client: httpx.AsyncClient) -> None:
    response = await client.get("/keys", headers={"X-API-Key": "reader"})

    assert (response.status_code, response.json()["needs"]) == (403, "admin")


# ---- paths and methods


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/page/",
        "/page%0A",
        "/change/a/b",
        "/change/",
        "/change%2Fa",
        "/change/a%2fb",
    ],
)
async def test_another_path_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        pytest.param("DELETE", "/change/a", "GET, HEAD, PATCH", id="all routes of the path"),
        pytest.param("GET", "/change", "POST", id="fixed path"),
        pytest.param("TRACE", "/page", "GET, HEAD", id="trace"),
        pytest.param("OPTIONS", "/page", "GET, HEAD", id="options"),
        pytest.param("BREW", "/page", "GET, HEAD", id="made up"),
    ],
)
async def test_another_method_is_told_the_allowed_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)

    assert (response.status_code, response.headers["allow"]) == (405, allowed)


async def test_what_can_be_read_has_a_head(client: httpx.AsyncClient) -> None:
    response = await client.head("/page")

    assert response.status_code == 200


# ---- what comes back


async def test_a_returned_refusal_is_told_like_a_raised_one(client: httpx.AsyncClient) -> None:
    response = await client.get("/refused", headers={"accept-language": "zh"})

    body = response.json()
    assert (response.status_code, body["title"]) == (409, "库存不足")
    assert body["lines"] == [{"shortage": 5}]
    assert response.headers["content-language"] == "zh"


async def test_an_endpoint_chooses_its_status(client: httpx.AsyncClient) -> None:
    put = await client.put("/keys", json=CHANGE)
    deleted = await client.delete("/keys")

    assert (put.status_code, put.json()) == (201, CHANGE)
    assert (deleted.status_code, deleted.content) == (204, b"")


# ---- mistakes of an author are found when the route is made


class Lenient(BaseModel):
    limit: int = 1


async def lenient_query(call: Call, query: Annotated[Lenient, Query()]) -> Reply:
    return json_reply(query)


async def two_bodies(call: Call, first: Change, second: Change) -> Reply:
    return json_reply([first, second])


async def without_call(name: str) -> Reply:
    return json_reply(name)


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        pytest.param(lenient_query, "/a", id="a query that takes unknown names"),
        pytest.param(two_bodies, "/a", id="two bodies"),
        pytest.param(without_call, "/{name}", id="no call"),
    ],
)
def test_an_endpoint_that_cannot_be_read_strictly_is_refused(endpoint: Any, path: str) -> None:
    add = Router("Small").post(path, needs="read")

    with pytest.raises(AssertionError):
        add(endpoint)
