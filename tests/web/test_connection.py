"""What a client sees on a real connection when a request or an answer goes wrong."""

import asyncio
import json
import logging
from typing import Any

import pytest

from inventory_api.web.middleware import Traffic
from tests.web.small_app import WAIT_S, Hold, answered, served, small_app

HEAD = b"Host: x\r\nConnection: close\r\n"


def status_and_body(raw: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), raw
    return int(head.split()[1]), json.loads(body)


async def test_a_request_without_a_host_is_refused() -> None:
    async with served(small_app()) as port:
        modern = await answered(port, b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")
        ancient = await answered(port, b"GET /livez HTTP/1.0\r\n\r\n")

    status, body = status_and_body(modern)
    assert (status, body["missing"]) == (400, "Host")
    assert ancient.startswith(b"HTTP/1.1 200")


async def test_a_connection_survives_a_bug() -> None:
    request = b"POST /bug HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

    async with served(small_app()) as port:
        raw = await answered(port, request + b"GET /livez HTTP/1.1\r\n" + HEAD + b"\r\n")

    first, _, second = raw.partition(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 500" in first
    assert b'{"status":"ok"}' in second


async def test_a_stream_that_fails_is_cut_off_and_not_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(small_app()) as port:
        raw = await answered(port, b"GET /broken-stream HTTP/1.1\r\n" + HEAD + b"\r\n")

    assert raw.startswith(b"HTTP/1.1 200")
    assert raw.endswith(b"2\r\n1\n\r\n")
    assert not [record for record in caplog.records if record.exc_info]
    assert caplog.text.count("row 2 is broken") == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Content-Length: 20000000\r\n\r\n" + b" " * 20_000_000, id="of known length"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n"
            + (b"186a0\r\n" + b" " * 100_000 + b"\r\n") * 200
            + b"0\r\n\r\n",
            id="chunked",
        ),
    ],
)
async def test_twenty_megabytes_are_refused_with_an_answer_and_the_connection_goes_on(
    body: bytes,
) -> None:
    head = b"POST /change HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

    async with served(small_app()) as port:
        alone = await answered(port, head + b"Connection: close\r\n" + body)
        first = await answered(port, head + body + b"GET /livez HTTP/1.1\r\n" + HEAD + b"\r\n")

    assert status_and_body(alone)[0] == 413
    assert first.startswith(b"HTTP/1.1 413")
    assert first.endswith(b'{"status":"ok"}')


async def test_a_body_that_is_refused_before_it_comes_ends_the_connection() -> None:
    head = b"POST /change HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

    async with served(small_app()) as port:
        raw = await answered(port, head + b"Content-Length: 9999\r\nExpect: 100-continue\r\n\r\n")

    assert raw.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in raw


async def test_a_client_that_goes_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    hold, traffic = Hold(), Traffic()
    head = (
        b"POST /import HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 99\r\n\r\n"
    )

    async with served(small_app(hold, traffic=traffic)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await hold.begun.wait()
        writer.transport.abort()
        await asyncio.wait_for(traffic.idle(), WAIT_S)

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
