"""What a slow, endless or malformed request gets, and that others are not held up by it."""

import asyncio
import json
from typing import Any

import pytest

from inventory_api.web.protocol import ConnectionLimits
from tests.web.small_app import WAIT_S, Hold, answered, served, small_app

HURRY = ConnectionLimits(head_s=0.1, body_s=0.2)
JSON_HEAD = b"POST /change HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET_AND_CLOSE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def problem(raw: bytes) -> tuple[int, str]:
    head, _, body = raw.partition(b"\r\n\r\n")
    told: dict[str, Any] = json.loads(body)
    lines = head.decode().lower().split("\r\n")
    assert "content-type: application/problem+json" in lines
    assert "connection: close" in lines
    assert f"x-request-id: {told['request_id']}" in lines
    assert "cache-control: no-store" in lines
    return int(head.split()[1]), told["code"]


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        pytest.param(
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            (414, "url_too_long"),
            id="a URL of 100 kB",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\nConnection: close\r\n\r\n",
            (431, "headers_too_large"),
            id="a header of 100 kB",
        ),
        pytest.param(b"GET /" + b"a" * 5_000_000, (414, "url_too_long"), id="an endless URL"),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000_000,
            (431, "headers_too_large"),
            id="an endless header",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1_000_000,
            (431, "headers_too_large"),
            id="endless headers",
        ),
        pytest.param(b"rubbish\r\n\r\n", (400, "malformed_request"), id="no HTTP"),
        pytest.param(
            JSON_HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            (400, "malformed_request"),
            id="two lengths",
        ),
        pytest.param(
            JSON_HEAD + b"Content-Length: -1\r\n\r\n",
            (400, "malformed_request"),
            id="less than none",
        ),
        pytest.param(
            JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            (400, "malformed_request"),
            id="a chunk without a length",
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "malformed_request"), id="HTTP/2"),
    ],
)
async def test_what_cannot_be_read_is_told_as_a_problem(
    request_head: bytes, expected: tuple[int, str]
) -> None:
    async with served(small_app()) as port:
        raw = await answered(port, request_head)

    assert problem(raw) == expected


@pytest.mark.parametrize(
    "request_part",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", id="head"),
        pytest.param(JSON_HEAD + b"Content-Length: 9\r\n\r\n{", id="body"),
        pytest.param(GET_AND_CLOSE.replace(b"close", b"keep-alive") + b"GET", id="second head"),
    ],
)
async def test_a_request_that_is_not_finished_in_time_is_ended(request_part: bytes) -> None:
    async with served(small_app(), HURRY) as port:
        raw = await answered(port, request_part)

    assert problem(raw[raw.rindex(b"HTTP/1.1 ") :]) == (408, "request_timeout")


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with served(small_app(), HURRY) as port:
        assert await answered(port, b"") == b""


async def drip(port: int, head: bytes, pieces: int) -> bytes:
    """The answer to a body that comes byte by byte, each in less than the time for a head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    answer = asyncio.create_task(reader.read())
    for _ in range(pieces):
        if answer.done():
            break
        writer.write(b"1\r\na\r\n")
        await asyncio.wait({answer}, timeout=0.04)
    if not answer.done():
        writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        raw = await answer
    writer.transport.abort()
    return raw


async def test_a_body_that_drips_is_ended() -> None:
    async with served(small_app(), HURRY) as port:
        raw = await drip(port, JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 1000)

    assert problem(raw) == (408, "request_timeout")


async def test_a_streamed_body_may_take_its_time_while_it_moves() -> None:
    head = b"POST /import HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nConnection: close\r\n"

    async with served(small_app(), HURRY) as port:
        raw = await drip(port, head + b"Transfer-Encoding: chunked\r\n\r\n", 15)

    assert raw.endswith(b'{"bytes":15}')


async def test_a_slow_answer_is_not_the_clients_fault() -> None:
    hold = Hold()
    async with served(small_app(hold), HURRY) as port:
        request = b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = asyncio.create_task(answered(port, request))
        await hold.begun.wait()
        await asyncio.wait({answer}, timeout=4 * HURRY.body_s)
        hold.answer.set()

        assert (await answer).endswith(b'{"held":true}')


async def test_one_connection_too_many_is_refused() -> None:
    async with served(small_app(), ConnectionLimits(connections_max=1)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET_AND_CLOSE.replace(b"close", b"keep-alive"))
        raw = await answered(port, GET_AND_CLOSE)
        writer.close()
        await writer.wait_closed()

    assert problem(raw) == (503, "overloaded")
    assert b"retry-after: 1" in raw


async def test_rubbish_behind_a_request_does_not_take_its_answer() -> None:
    hold = Hold()
    async with served(small_app(hold)) as port:
        request = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = asyncio.create_task(answered(port, request + b"rubbish\r\n\r\n"))
        await hold.begun.wait()
        hold.answer.set()
        raw = await answer

    assert raw.count(b"HTTP/1.1 ") == 1
    assert raw.endswith(b'{"held":true}')


async def test_a_wish_for_another_protocol_is_answered_in_this_one() -> None:
    upgrade = (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    )

    async with served(small_app()) as port:
        raw = await answered(port, upgrade)

    assert raw.endswith(b'{"status":"ok"}')
