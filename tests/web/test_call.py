"""A body and its conditions are read in one way, up to a limit, or refused by name."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.small_app import client_of, small_app

CHANGE: dict[str, Any] = {"lines": [{"sku": "P001", "delta": -2}]}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app()) as client:
        yield client


def fields(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [error["field"] for error in response.json()["errors"]]


# ---- the body


async def test_a_good_body_reaches_the_endpoint(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", json=CHANGE, headers={"Idempotency-Key": "k-1"})

    assert response.json() == {"body": CHANGE, "key": "k-1", "actor": "loopback"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"content-type": "application/json"}, 200, id="JSON"),
        pytest.param({"content-type": "Application/JSON; charset=utf-8"}, 200, id="with charset"),
        pytest.param({"content-type": "text/plain"}, 415, id="text"),
        pytest.param({"content-type": "application/jsonp"}, 415, id="similar"),
        pytest.param({"content-type": "application/x-www-form-urlencoded"}, 415, id="form"),
        pytest.param({}, 415, id="none"),
        pytest.param({**JSON, "content-encoding": "gzip"}, 415, id="compressed"),
        pytest.param({**JSON, "content-encoding": "identity"}, 200, id="not compressed"),
    ],
)
async def test_only_plain_json_is_read(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    body = json.dumps(CHANGE).encode()

    response = await client.post("/change", content=body, headers=headers)

    assert response.status_code == status, response.text


async def test_an_unread_media_type_is_told_which_are(client: httpx.AsyncClient) -> None:
    response = await client.post("/import", content=b"{}", headers=JSON)

    assert (response.status_code, response.headers["accept"]) == (415, "text/csv")


async def test_malformed_json_is_told_by_reason_and_place(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", content=b'{"lines":[}', headers=JSON)

    body = response.json()
    assert (response.status_code, body["code"]) == (400, "malformed_json")
    assert (body["reason"], body["position"]) == ("syntax", 10)


@pytest.mark.parametrize(
    "delta",
    [
        "true",
        '"1"',
        "1.0",
        "1e3",
        '"1_000"',
        '" 1 "',
        '"+1"',
        "null",
        "[]",
        "9" * 400,
        "10000000000001",
    ],
)
async def test_what_is_not_a_whole_number_in_range_is_named(
    client: httpx.AsyncClient, delta: str
) -> None:
    body = b'{"lines":[{"sku":"P001","delta":%s}]}' % delta.encode()

    response = await client.post("/change", content=body, headers=JSON)

    assert fields(response) == ["lines[0].delta"]


@pytest.mark.parametrize("sku", ['"\\ud800"', '""', "1", "null"])
async def test_what_is_not_a_text_is_named(client: httpx.AsyncClient, sku: str) -> None:
    body = b'{"lines":[{"sku":%s,"delta":1}]}' % sku.encode()

    response = await client.post("/change", content=body, headers=JSON)

    assert fields(response) == ["lines[0].sku"]


async def test_an_unknown_field_is_named(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", json={**CHANGE, "dryrun": True})

    assert fields(response) == ["dryrun"]


async def test_an_optional_body_may_be_left_out(client: httpx.AsyncClient) -> None:
    without = await client.post("/confirm")
    with_one = await client.post("/confirm", json=CHANGE)

    assert without.json() == {"body": None}
    assert with_one.json() == {"body": CHANGE}


async def test_an_optional_body_is_checked_when_it_is_there(client: httpx.AsyncClient) -> None:
    response = await client.post("/confirm", json={"lines": []})

    assert fields(response) == ["lines"]


async def chunks(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 100):
        yield b" " * 100


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        pytest.param("/change", 1_900, 200, id="below the limit"),
        pytest.param("/change", 2_100, 413, id="above the limit"),
        pytest.param("/batch", 2_100, 200, id="a batch may be longer"),
        pytest.param("/batch", 4_100, 413, id="above the limit of a batch"),
    ],
)
async def test_a_body_ends_at_the_limit_of_its_route(
    client: httpx.AsyncClient, path: str, size: int, status: int
) -> None:
    body = json.dumps(CHANGE).ljust(size).encode()

    response = await client.post(path, content=body, headers=JSON)

    assert response.status_code == status, response.text


async def test_a_body_of_unknown_length_ends_at_the_limit_too(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", content=chunks(1_000_000), headers=JSON)

    body = response.json()
    assert (response.status_code, body["code"], body["limit_bytes"]) == (
        413,
        "body_too_large",
        2000,
    )


async def test_a_streamed_body_has_no_end(client: httpx.AsyncClient) -> None:
    csv = {"content-type": "text/csv; charset=utf-8"}

    response = await client.post("/import", content=chunks(1_000_000), headers=csv)

    assert response.json() == {"bytes": 1_000_000}


# ---- conditions


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param("!", 200, id="shortest"),
        pytest.param("~" * 255, 200, id="longest"),
        pytest.param("~" * 256, 422, id="too long"),
        pytest.param("", 422, id="empty"),
        pytest.param("a b", 422, id="space"),
        pytest.param("ключ", 422, id="not ASCII"),
    ],
)
async def test_an_idempotency_key_is_visible_ascii(
    client: httpx.AsyncClient, key: str, status: int
) -> None:
    headers = [(b"idempotency-key", key.encode())]

    response = await client.post("/change", json=CHANGE, headers=headers)

    assert response.status_code == status, response.text


async def test_a_wrong_idempotency_key_is_named(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", json=CHANGE, headers={"Idempotency-Key": "a b"})

    assert fields(response) == ["Idempotency-Key"]


async def test_a_key_can_be_made_mandatory_for_writes() -> None:
    async with client_of(small_app(key_required=True)) as client:
        write = await client.post("/change", json=CHANGE)
        read = await client.get("/page")

    assert (write.status_code, write.json()["code"]) == (428, "idempotency_key_required")
    assert read.status_code == 200


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        pytest.param('"3"', ["3"], id="one"),
        pytest.param('"3", "4"', ["3", "4"], id="two"),
        pytest.param('W/"3","4"', ["4"], id="weak ones match nothing"),
        pytest.param("*", [], id="any"),
        pytest.param('""', [""], id="empty tag"),
    ],
)
async def test_if_match_is_read_as_strong_tags(
    client: httpx.AsyncClient, value: str, tags: list[str]
) -> None:
    response = await client.patch("/change/a", json=CHANGE, headers={"If-Match": value})

    assert response.json() == {"if_match": tags}


@pytest.mark.parametrize("value", ["3", '"3', "", '"3" "4"', '"\x80"'])
async def test_a_malformed_if_match_is_named(client: httpx.AsyncClient, value: str) -> None:
    headers = [(b"if-match", value.encode("latin-1"))]

    response = await client.patch("/change/a", json=CHANGE, headers=headers)

    assert fields(response) == ["If-Match"]


async def test_a_condition_that_is_not_obeyed_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/change", json=CHANGE, headers={"If-Match": '"3"'})

    assert fields(response) == ["If-Match"]
