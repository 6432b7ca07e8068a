"""Every request has an id, a limit, a count and an answer; no exception passes the gate."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as PlainRoute

from inventory_api import telemetry
from inventory_api.telemetry import Metrics
from inventory_api.web.middleware import GateLimits, Traffic
from tests.web.small_app import WAIT_S, Hold, client_of, small_app

HEAD = b"Host: x\r\nConnection: close\r\n"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app(metrics=metrics)) as client:
        yield client


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def code_of(response: httpx.Response) -> str:
    code: str = response.json()["code"]
    return code


# ---- the request's id


async def test_an_id_is_made_answered_and_told_in_the_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")

    request_id = response.headers["x-request-id"]
    assert response.json()["request_id"] == request_id
    assert response.json()["instance"].endswith(request_id)


async def test_ids_are_unique(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/livez")).headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20


async def test_two_applications_never_make_the_same_id() -> None:
    async with client_of(small_app()) as first, client_of(small_app()) as second:
        one = await first.get("/livez")
        other = await second.get("/livez")

    assert one.headers["x-request-id"] != other.headers["x-request-id"]


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        pytest.param(b"trace-1/2", True, id="plain"),
        pytest.param(b"~" * 64, True, id="longest"),
        pytest.param(b"~" * 65, False, id="too long"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"a b", False, id="space"),
        pytest.param(b"\xff", False, id="not ASCII"),
        pytest.param(b"a\x1b", False, id="control"),
    ],
)
async def test_a_sane_id_of_the_caller_is_kept(
    client: httpx.AsyncClient, given: bytes, is_kept: bool
) -> None:
    response = await client.get("/livez", headers=[(b"x-request-id", given)])

    assert (response.headers["x-request-id"].encode("latin-1") == given) is is_kept


async def test_the_id_is_known_to_the_log_only_during_the_request(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.post("/bug")

    assert telemetry.request_id.get() == ""


# ---- headers


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/openapi.json", "/refused"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


# ---- limits of the head


async def test_a_long_url_is_refused(client: httpx.AsyncClient) -> None:
    within = await client.get("/page?sku=" + "a" * (8192 - 10))
    beyond = await client.get("/page?sku=" + "a" * 8192)

    assert within.status_code == 200
    assert (beyond.status_code, code_of(beyond)) == (414, "url_too_long")
    assert beyond.json()["limit_bytes"] == 8192


async def test_a_large_header_is_refused(client: httpx.AsyncClient) -> None:
    within = await client.get("/livez", headers={"x-large": "a" * 16_000})
    beyond = await client.get("/livez", headers={"x-large": "a" * 16_384})

    assert within.status_code == 200
    assert (beyond.status_code, code_of(beyond)) == (431, "headers_too_large")


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Authorization",
        "X-API-Key",
        "Idempotency-Key",
        "If-Match",
        "Content-Type",
        "X-Request-ID",
    ],
)
async def test_a_header_that_decides_something_may_not_be_repeated(
    client: httpx.AsyncClient, name: str
) -> None:
    response = await client.get("/livez", headers=[(name, "a"), (name, "b")])

    assert (response.status_code, code_of(response)) == (400, "malformed_request")
    assert response.json()["repeated"] == [name.lower()]


async def test_other_headers_may_be_repeated(client: httpx.AsyncClient) -> None:
    response = await client.get("/livez", headers=[("x-trace", "a"), ("x-trace", "b")])

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("shop.test", 200, id="allowed"),
        pytest.param("SHOP.test:8000", 200, id="any case and port"),
        pytest.param("[::1]:8000", 200, id="IPv6"),
        pytest.param("evil.test", 421, id="other"),
        pytest.param("shop.test.evil.test", 421, id="longer"),
        pytest.param("[::1].evil.test", 200, id="rubbish behind the bracket is no name"),
        pytest.param("", 421, id="empty"),
    ],
)
async def test_only_allowed_hosts_are_answered(host: str, status: int) -> None:
    limits = GateLimits(allowed_hosts=("shop.test", "[::1]"))

    async with client_of(small_app(limits=limits)) as client:
        response = await client.get("/livez", headers={"Host": host})

    assert response.status_code == status


# ---- the last catch


async def test_a_bug_is_told_without_its_words_and_logged_once_with_them(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.post("/bug")

    body = response.json()
    assert (response.status_code, body["code"], body["applied"]) == (500, "internal", "unknown")
    assert "secret" not in response.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "secret words" in caplog.text


@pytest.mark.parametrize(
    ("path", "status", "code", "applied"),
    [("/overloaded", 503, "overloaded", "no"), ("/unknown", 504, "outcome_unknown", "unknown")],
)
async def test_what_cannot_be_served_now_is_counted_and_tells_when_to_retry(
    client: httpx.AsyncClient,
    metrics: Metrics,
    path: str,
    status: int,
    code: str,
    applied: str,
) -> None:
    response = await client.get(path)

    body = response.json()
    assert (response.status_code, body["code"], body["applied"]) == (status, code, applied)
    assert response.headers["retry-after"] == "1"
    assert counted(metrics, "inventory_unavailable_total", code=code) == 1


@pytest.mark.parametrize(
    ("raised", "status", "code", "headers"),
    [
        pytest.param(HTTPException(404), 404, "not_found", {}, id="not found"),
        pytest.param(
            HTTPException(405), 405, "method_not_allowed", {"allow": "GET, HEAD"}, id="no method"
        ),
        pytest.param(
            HTTPException(405, headers={"Allow": "POST"}),
            405,
            "method_not_allowed",
            {"allow": "POST"},
            id="another method",
        ),
        pytest.param(HTTPException(416), 416, "malformed_request", {}, id="another status"),
        pytest.param(HTTPException(503), 500, "internal", {}, id="a server error is a bug"),
    ],
)
async def test_what_static_pages_refuse_is_told_as_a_problem_too(
    raised: HTTPException, status: int, code: str, headers: dict[str, str]
) -> None:
    def page(request: Request) -> Response:
        raise raised

    app = small_app()
    app.add_public([PlainRoute("/static", page)])
    async with client_of(app) as client:
        response = await client.get("/static")

    assert (response.status_code, code_of(response)) == (status, code)
    assert headers.items() <= dict(response.headers).items()


# ---- counting


async def test_requests_are_counted_by_template_method_and_status(
    client: httpx.AsyncClient, metrics: Metrics
) -> None:
    for name in ("a", "b", "123456789"):
        await client.get(f"/change/{name}")
    await client.get("/nothing")
    await client.request("BREW", "/page")

    requests = "inventory_requests_total"
    route = "/change/{name}"
    assert counted(metrics, requests, method="GET", route=route, status="200") == 2
    assert counted(metrics, requests, method="GET", route=route, status="422") == 1
    assert counted(metrics, requests, method="GET", route="unmatched", status="404") == 1
    assert counted(metrics, requests, method="other", route="/page", status="405") == 1
    assert counted(metrics, "inventory_request_seconds_count", method="GET", route=route) == 3


async def test_each_request_is_logged_at_debug(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="inventory_api.web.middleware"):
        await client.get("/change/a", headers={"X-API-Key": "reader"})

    assert "/change/{name}" in caplog.text
    assert "k1" in caplog.text


async def test_refused_callers_are_logged_with_the_id_of_their_key(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="inventory_api.web.middleware"):
        await client.get("/keys", headers={"X-API-Key": "reader"})

    assert "request refused" in caplog.text
    assert "k1" in caplog.text
    assert "reader" not in caplog.text


# ---- stopping


@pytest.mark.parametrize(("path", "status"), [("/page", 503), ("/nothing", 503), ("/livez", 200)])
async def test_only_its_health_is_told_while_it_stops(path: str, status: int) -> None:
    traffic = Traffic()
    traffic.draining = True

    async with client_of(small_app(traffic=traffic)) as client:
        response = await client.get(path)

    assert response.status_code == status


async def test_a_refusal_while_it_stops_ends_the_connection() -> None:
    traffic = Traffic()
    traffic.draining = True

    async with client_of(small_app(traffic=traffic)) as client:
        response = await client.get("/page")

    assert (code_of(response), response.json()["applied"]) == ("draining", "no")
    assert response.headers["connection"] == "close"
    assert response.headers["retry-after"] == "5"


async def test_a_stop_can_wait_for_the_requests_in_flight() -> None:
    hold, traffic = Hold(), Traffic()
    async with client_of(small_app(hold, traffic=traffic)) as client:
        request = asyncio.create_task(client.get("/held"))
        await hold.begun.wait()

        traffic.draining = True
        idle = asyncio.create_task(traffic.idle())
        await client.get("/page")
        assert (traffic.in_flight, idle.done()) == (1, False)
        hold.answer.set()

        assert (await request).status_code == 200
        await asyncio.wait_for(idle, WAIT_S)
