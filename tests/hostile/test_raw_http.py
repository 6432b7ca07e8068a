"""Bytes that are no good HTTP, against the real process: refused, and nothing is done."""

import json

import pytest

from tests.hostile.raw_http import Connection, chunked, exchange, request
from tests.server import ServerProcess

# Had it been booked, the ledger would be longer than the demo's.
SALE = b'{"lines":[{"sku":"P001","delta":-1}]}'
CHECK = b'{"lines":[{"sku":"P001"}]}'
HOST = b"Host: 127.0.0.1\r\n"
JSON_TYPE = b"Content-Type: application/json\r\n"
POST = b"POST /v1/stock/adjust HTTP/1.1\r\n" + HOST + JSON_TYPE
# Two ways to read one message are one too many.
SMUGGLED = SALE + b"0\r\n\r\nGET /v1/items HTTP/1.1\r\n" + HOST + b"\r\n"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


AMBIGUOUS = {
    "length-and-chunked": POST + b"Transfer-Encoding: chunked\r\n" + length(SMUGGLED),
    "chunked-and-length": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(SALE, 9),
    "two-lengths": POST + b"Content-Length: 3\r\n" + length(SALE),
    "equal-lengths": POST + b"Content-Length: %d\r\n" % len(SALE) + length(SALE),
    "list-of-lengths": POST + b"Content-Length: 37, 37\r\n\r\n" + SALE,
    "minus-length": POST + b"Content-Length: -1\r\n\r\n" + SALE,
    "plus-length": POST + b"Content-Length: +37\r\n\r\n" + SALE,
    "hexadecimal-length": POST + b"Content-Length: 0x25\r\n\r\n" + SALE,
    "length-and-text": POST + b"Content-Length: 37a\r\n\r\n" + SALE,
    "empty-length": POST + b"Content-Length: \r\n\r\n" + SALE,
    "endless-length": POST + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n" + SALE,
    "unknown-coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(SALE, 9),
    "chunked-twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(SALE, 9),
    "chunked-not-last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunked(SALE, 9),
    "space-before-colon": POST + b"Transfer-Encoding : chunked\r\n" + length(SMUGGLED),
    "vertical-tab": POST + b"Transfer-Encoding: \x0bchunked\r\n" + length(SMUGGLED),
    "folded": POST + b"Transfer-Encoding:\r\n chunked\r\n" + length(SMUGGLED),
    "underscore": POST + b"Transfer_Encoding: chunked\r\nContent_Length: 37\r\n\r\n" + SALE,
    "no-length": POST + b"\r\n" + SALE,
    "two-types": POST + JSON_TYPE + length(SALE),
    "no-host": b"POST /v1/stock/adjust HTTP/1.1\r\n" + JSON_TYPE + length(SALE),
    "two-hosts": POST + HOST + length(SALE),
    "two-keys": POST + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n" + length(SALE),
}  # fmt: skip
BROKEN = {
    "nothing-known": b"\x00\x01\x02\x03\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http-0.9": b"GET /livez\r\n\r\n",
    "http-9.9": b"GET /livez HTTP/9.9\r\n" + HOST + b"\r\n",
    "no-version": b"GET /livez HTTP\r\n" + HOST + b"\r\n",
    "after-version": b"GET /livez HTTP/1.1 x\r\n" + HOST + b"\r\n",
    "lower-case-method": b"get /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "odd-method": b"G@T /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "null-in-method": b"GE\x00T /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "long-method": b"G" * 10_000 + b" /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "space-in-target": b"GET /v1/items/a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "null-in-target": b"GET /v1/items/a\x00b HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-slash": b"GET livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "space-in-name": b"GET /livez HTTP/1.1\r\n" + HOST + b"X A: b\r\n\r\n",
    "null-in-header": b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: a\x00b\r\n\r\n",
    "bare-return": b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: a\rX-B: b\r\n\r\n",
    "empty-name": b"GET /livez HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "json": SALE + b"\r\n\r\n",
}  # fmt: skip
CHUNKS = {
    "no-number": b"zz\r\n",
    "minus": b"-1\r\n",
    "overflow": b"FFFFFFFFFFFFFFFFF\r\n",
    "space": b" 25\r\n" + SALE + b"\r\n0\r\n\r\n",
    "hexadecimal-mark": b"0x25\r\n" + SALE + b"\r\n0\r\n\r\n",
    "too-short": b"2\r\n" + SALE + b"\r\n0\r\n\r\n",
    "no-end-of-chunk": b"%x\r\n%s0\r\n\r\n" % (len(SALE), SALE),
    "bare-line-feed": b"%x\n%s\n0\n\n" % (len(SALE), SALE),
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_message_of_two_readings_is_refused_and_not_done(
    server: ServerProcess, data: bytes
) -> None:
    answer = exchange(server.port, data)

    assert answer.status in (400, 413, 415)
    assert answer.code


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_http_is_refused_and_the_connection_ends(
    server: ServerProcess, data: bytes
) -> None:
    with Connection(server.port) as connection:
        connection.send(data)
        answer = connection.answer()

        assert answer.status == 400
        assert answer.code == "malformed_request"
        assert answer.headers["connection"] == "close"
        assert connection.is_at_end()


@pytest.mark.parametrize("data", CHUNKS.values(), ids=CHUNKS.keys())
def test_a_broken_chunk_is_refused_and_the_connection_ends(
    server: ServerProcess, data: bytes
) -> None:
    with Connection(server.port) as connection:
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + data)

        assert connection.answer().code == "malformed_request"
        assert connection.is_at_end()


@pytest.mark.parametrize("target", ["http://127.0.0.1/v1/items", "http://else.example/v1/items"])
def test_a_whole_address_as_target_is_its_path_or_refused(
    server: ServerProcess, target: str
) -> None:
    answer = exchange(server.port, request(target))

    assert answer.status in (200, 400, 421)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/items/a%2Fb", 404),
        ("/v1/items/%00", 422),
        ("/v1/items/%0d%0aX-Evil:%201", 422),
        ("/v1/items/%ff", 422),
        ("/v1/items/P001%20", 422),
        ("/v1/items/%e2%80%8b", 422),
        ("/v1/items/%E9%94%AE%E7%9B%98", 404),
        ("/v1/items/%", 404),
        ("/v1/items/%zz", 404),
        ("/v1/items/P001%", 404),
        ("/v1/items?limit=1&limit=2", 422),
        ("/v1/items?limits=1", 422),
        ("/v1/items?limit=1;q=2", 422),
        ("/v1/items?q=%ff", 422),
        ("/v1/items?q=a+b", 200),
        ("/v1/items#fragment", 200),
        ("/./v1/items", 404),
        ("/v1/../v1/items", 404),
        ("/v1/%2e%2e/livez", 404),
        ("*", 404),
    ],
)
def test_an_odd_target_is_read_in_one_way(server: ServerProcess, target: str, status: int) -> None:
    answer = exchange(server.port, request(target))

    assert answer.status == status
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize("raw", [b"\xe9\x94\xae", b"\xff", b"a\x7fb", b'"', b"<", b"\\"])
def test_a_byte_that_needs_encoding_is_refused_or_not_found(
    server: ServerProcess, raw: bytes
) -> None:
    answer = exchange(server.port, b"GET /v1/items/" + raw + b" HTTP/1.1\r\n" + HOST + b"\r\n")

    assert answer.status in (400, 404, 422)
    assert answer.code


@pytest.mark.parametrize(
    ("size", "status"), [(7_000, 404), (9_000, 414), (70_000, 414), (100_000, 414)]
)
def test_a_long_address_is_refused(server: ServerProcess, size: int, status: int) -> None:
    answer = exchange(server.port, request("/" + "a" * size))

    assert answer.status == status
    assert answer.code == ("not_found" if status == 404 else "url_too_long")


@pytest.mark.parametrize(
    ("size", "status"), [(15_000, 200), (17_000, 431), (70_000, 431), (100_000, 431)]
)
def test_a_long_header_is_refused(server: ServerProcess, size: int, status: int) -> None:
    answer = exchange(server.port, request(X_Long="a" * size))

    assert answer.status == status
    assert status == 200 or answer.code == "headers_too_large"


def test_ten_thousand_headers_are_refused(server: ServerProcess) -> None:
    many = {f"X_{number}": "a" for number in range(10_000)}

    assert exchange(server.port, request(**many)).status == 431


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/nowhere"), 404),
        (request("/v1/items", method="DELETE"), 405),
        (request("/v1/items?x=1"), 422),
        (request("/v1/items/P999"), 404),
        (request("/v1/stock/check", method="POST", body=CHECK, Content_Type="text/plain"), 415),
        (request("/v1/stock/check", method="POST", body=b"{", Content_Type="application/json"), 400),
        (request("/v1/stock/check", method="POST", body=b"[]", Content_Type="application/json"), 422),
        (request(X_Long="a" * 17_000), 431),
        (request("/" + "a" * 9_000), 414),
        (request("/v1/items", Authorization="Basic x"), 401),
    ],
    ids=[
        "not-found", "method", "query", "unknown", "media-type", "json", "fields", "header",
        "address", "credential",
    ],
)  # fmt: skip
def test_a_connection_stays_usable_after_a_refusal(
    server: ServerProcess, data: bytes, status: int
) -> None:
    with Connection(server.port) as connection:
        for _ in range(3):
            connection.send(data)
            assert connection.answer().status == status
        connection.send(request("/livez"))
        assert connection.answer().status == 200


def test_requests_that_come_together_are_answered_in_order(server: ServerProcess) -> None:
    with Connection(server.port) as connection:
        connection.send(
            request("/v1/items/P001")
            + request("/nowhere")
            + request("/v1/stock/check", method="POST", body=CHECK, Content_Type="application/json")
            + request("/v1/items/P002", method="HEAD")
            + request("/livez")
        )

        first, second, third = connection.answer(), connection.answer(), connection.answer()
        assert json.loads(first.body)["sku"] == "P001"
        assert second.status == 404
        assert json.loads(third.body)["results"][0]["sku"] == "P001"
        head = connection.answer(of_head=True)
        assert (head.status, int(head.headers["content-length"]) > 0) == (200, True)
        assert json.loads(connection.answer().body) == {"status": "alive"}


def test_an_upgrade_is_not_taken(server: ServerProcess) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}

    answer = exchange(server.port, request("/v1/items", Sec_WebSocket_Key="eA==", **headers))

    assert answer.status == 200


def test_nothing_that_a_caller_sends_becomes_a_header(server: ServerProcess) -> None:
    sent = {"X_Request_ID": "a b\tc", "Accept_Language": "zh\tX: 1", "Accept": "x/y"}

    answer = exchange(server.port, request("/v1/items/P999%0d%0aSet-Cookie:%20a", **sent))

    known = {
        "content-type", "content-length", "content-language", "cache-control", "date",
        "content-security-policy", "x-content-type-options", "x-request-id",
    }  # fmt: skip
    assert answer.headers.keys() <= known
    assert " " not in answer.headers["x-request-id"]


def test_the_server_does_not_tell_what_it_is_made_of(server: ServerProcess) -> None:
    for data in (request(), request("/nowhere"), b"nonsense\r\n\r\n"):
        answer = exchange(server.port, data)
        assert "server" not in answer.headers
        assert b"uvicorn" not in answer.body.lower()


def test_clients_that_vanish_in_the_middle_leave_nothing_behind(server: ServerProcess) -> None:
    before = server.descriptors

    for cut in range(1, 120, 7):
        connection = Connection(server.port)
        connection.send((POST + length(SALE[:-1] + b"x"))[:cut])
        connection.reset()

    assert exchange(server.port, request()).status == 200
    assert server.descriptors <= before + 3
