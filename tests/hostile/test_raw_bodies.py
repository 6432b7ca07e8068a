"""Bodies that nobody should send, over the wire: too long, of another kind, or no JSON."""

import gzip
import json

import pytest

from tests.hostile.raw_http import Answer, Connection, chunked, exchange, request
from tests.server import ServerProcess

CHECK = b'{"lines":[{"sku":"P001"}]}'
TWENTY_MEGABYTES = b'{"lines":[' + b" " * (20 << 20)


@pytest.mark.parametrize("target", ["/v1/items", "/v1/stock/adjust", "/v1/stock/check"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_twenty_megabytes_is_refused(
    server: ServerProcess, target: str, is_chunked: bool
) -> None:
    headers = {"Content_Type": "application/json"}
    if is_chunked:
        headers["Transfer_Encoding"] = "chunked"
    body = chunked(TWENTY_MEGABYTES, 1 << 20) if is_chunked else TWENTY_MEGABYTES
    before = server.rss_bytes

    answer = exchange(server.port, request(target, method="POST", body=body, **headers))

    assert (answer.status, answer.code) == (413, "body_too_large")
    assert server.rss_bytes - before < 24 << 20


@pytest.mark.parametrize(
    ("target", "limit"), [("/v1/items", 1 << 20), ("/v1/stock/check", 8 << 20)]
)
def test_a_body_may_be_exactly_as_long_as_allowed(
    server: ServerProcess, target: str, limit: int
) -> None:
    longest = b"[" + b" " * (limit - 2) + b"]"

    fits = post(server, target, longest)
    exceeds = post(server, target, longest + b" ")

    assert (fits.status, exceeds.status) == (422, 413)


def post(server: ServerProcess, target: str, body: bytes, **headers: str) -> Answer:
    given = {"Content_Type": "application/json", **headers}
    return exchange(server.port, request(target, method="POST", body=body, **given))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
        ({"Content_Type": "APPLICATION/JSON"}, 200),
        ({"Content_Type": ""}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/jsonx"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "identity, gzip"}, 415),
        ({"Content_Encoding": "identity"}, 200),
    ],
)
def test_only_plain_json_is_read(
    server: ServerProcess, headers: dict[str, str], status: int
) -> None:
    answer = post(server, "/v1/stock/check", CHECK, **headers)

    assert answer.status == status
    assert status == 200 or answer.code == "unsupported_media_type"


def test_a_body_without_a_media_type_is_refused(server: ServerProcess) -> None:
    answer = exchange(server.port, request("/v1/stock/check", method="POST", body=CHECK))

    assert answer.code == "unsupported_media_type"


def test_a_compressed_body_is_refused_and_not_unpacked(server: ServerProcess) -> None:
    bomb = gzip.compress(b" " * (50 << 20))
    before = server.rss_bytes

    answer = post(server, "/v1/stock/adjust", bomb, Content_Encoding="gzip")

    assert answer.status == 415
    assert server.rss_bytes - before < 10 << 20


MALFORMED = {
    "empty": b" ",
    "utf-16": CHECK.decode().encode("utf-16"),
    "utf-16-le": CHECK.decode().encode("utf-16-le"),
    "utf-32": CHECK.decode().encode("utf-32"),
    "byte-order-mark": b"\xef\xbb\xbf" + CHECK,
    "latin-1": b'{"lines":[{"sku":"\xe9"}]}',
    "overlong": b'{"lines":[{"sku":"\xc0\xaf"}]}',
    "cut": CHECK[:-1],
    "two-documents": CHECK + CHECK,
    "null-after": CHECK + b"\x00",
    "100000-arrays": b"[" * 100_000 + b"]" * 100_000,
    "100000-open-arrays": b"[" * 100_000,
    "100000-objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "33-arrays": b"[" * 33 + b"]" * 33,
    "million-digits": b"1" * 1_000_000,
    "million-digits-exponent": b"1e" + b"9" * 1_000_000,
    "million-zeros": b"0." + b"0" * 1_000_000,
    "trailing-comma": b'{"lines":[],}',
    "comment": b"/**/" + CHECK,
    "form": b"lines=1",
    "xml": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    "duplicate": b'{"lines":[],"lines":[{"sku":"P001"}]}',
    "duplicate-escaped": b'{"lines":[{"sku":"a","\\u0073ku":"P001"}]}',
}

NUMBERS = [body for label, body in MALFORMED.items() if label.startswith("million")]


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_not_one_document_of_json_is_refused(
    server: ServerProcess, body: bytes
) -> None:
    answer = post(server, "/v1/stock/check", body)

    # A number is JSON, however long it is; it is no object.
    assert (answer.status, answer.code) in ((400, "malformed_json"), (422, "validation_error"))
    assert (answer.status == 422) == (body in NUMBERS)


def test_a_body_with_100000_wrong_fields_names_the_first_hundred(server: ServerProcess) -> None:
    body = b"{" + b",".join(b'"f%d":1' % number for number in range(50_000)) + b"}"

    answer = post(server, "/v1/items", body)

    told = json.loads(answer.body)
    assert (answer.status, len(told["errors"])) == (422, 100)
    assert told["errors_omitted"] > 49_000
    assert len(answer.body) < 20_000


def test_a_body_in_chunks_of_one_byte_is_read(server: ServerProcess) -> None:
    headers = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
    body = chunked(CHECK, 1)

    answer = exchange(server.port, request("/v1/stock/check", method="POST", body=body, **headers))

    assert answer.status == 200


def test_a_client_that_expects_to_go_on_is_told_so(server: ServerProcess) -> None:
    headers = {"Content_Type": "application/json", "Content_Length": str(len(CHECK))}
    with Connection(server.port) as connection:
        head = request("/v1/stock/check", method="POST", Expect="100-continue", **headers)
        connection.send(head)
        assert connection.answer().status == 100

        connection.send(CHECK)
        assert connection.answer().status == 200
