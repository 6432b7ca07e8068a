"""One key, one effect, one answer: on every verb that writes."""

import asyncio
from typing import NamedTuple

import pytest

from tests.databases import Template
from tests.web.document import OPERATIONS, operation
from tests.web.shop import JSON, Shop, http_client, open_demo, problem, wrong_fields

ADMIN = {"name": "first", "scopes": ["admin"]}


class Write(NamedTuple):
    """A write by its operation id, its path, a body, and another body."""

    id: str
    path: str
    body: JSON
    other: JSON


WRITES = (
    Write(
        "adjust_stock",
        "/v1/stock/adjust",
        {"lines": [{"sku": "P001", "delta": -1}]},
        {"lines": [{"sku": "P001", "delta": -2}]},
    ),
    Write(
        "set_stock",
        "/v1/stock/set",
        {"lines": [{"sku": "P001", "on_hand": 40, "expected_on_hand": 50}]},
        {"lines": [{"sku": "P001", "on_hand": 40, "expected_on_hand": None}]},
    ),
    Write(
        "transfer_stock",
        "/v1/stock/transfer",
        {"lines": [{"sku": "P001", "to": "store-1", "quantity": 1}]},
        {"note": "other", "lines": [{"sku": "P001", "to": "store-1", "quantity": 1}]},
    ),
    Write(
        "change_a_policy",
        "/v1/stock/P001/main",
        {"safety_stock": 1},
        {"safety_stock": 1, "reorder_point": None},
    ),
    Write(
        "create_an_item",
        "/v1/items",
        {"sku": "P006", "name": "Webcam"},
        {"sku": "P006", "name": "Camera"},
    ),
    Write(
        "reserve",
        "/v1/reservations",
        {"reference": "cart:1", "lines": [{"sku": "P001", "quantity": 1}]},
        {"reference": "cart:1", "lines": [{"sku": "P001", "quantity": 2}]},
    ),
    Write(
        "declare_a_reservation",
        "/v1/reservations/by-reference/cart:1",
        {"lines": [{"sku": "P001", "quantity": 1}]},
        {"lines": [{"sku": "P001", "quantity": 2}]},
    ),
    Write("open_a_count", "/v1/counts", {"skus": ["P001"]}, {"skus": ["P001"], "blind": True}),
    Write(
        "expect_an_inbound",
        "/v1/inbounds",
        {"lines": [{"sku": "P001", "quantity": 1}]},
        {"lines": [{"sku": "P001", "quantity": 2}]},
    ),
    Write(
        "ship_a_transfer",
        "/v1/transfers",
        {"to": "store-1", "lines": [{"sku": "P001", "quantity": 1}]},
        {"to": "store-1", "lines": [{"sku": "P001", "quantity": 2}]},
    ),
    Write("change_an_item", "/v1/items/P001", {"name": "a"}, {"name": "b"}),
    Write("create_a_location", "/v1/locations", {"code": "north"}, {"code": "south"}),
    Write("change_a_location", "/v1/locations/store-1", {"priority": 1}, {"priority": 2}),
    Write(
        "create_a_supplier",
        "/v1/suppliers",
        {"code": "acme", "url": "https://feeds.example.com/stock", "format": "csv"},
        {"code": "acme", "url": "https://feeds.example.com/other", "format": "csv"},
    ),
)
IDS = [write.id for write in WRITES]
# They have no body, or one that is answered once: tested by themselves.
OTHERS = {"archive_an_item", "create_an_api_key", "revoke_an_api_key"}
# They need a reservation: test_reservations.py.
OTHERS |= {f"{verb}_a_reservation" for verb in ("confirm", "fulfill", "release", "extend")}
# They need a count: test_counts.py.
OTHERS |= {f"{verb}_a_count" for verb in ("record", "approve", "post", "cancel")}
# They need a shipment: test_inbounds.py and test_transfers.py.
OTHERS |= {f"{verb}_an_inbound" for verb in ("receive", "cancel", "reschedule")}
OTHERS |= {f"{verb}_a_transfer" for verb in ("receive", "cancel", "reschedule")}
# They show a secret once, or need a webhook: test_webhooks.py.
OTHERS |= {f"{verb}_a_webhook" for verb in ("create", "change", "delete")}
OTHERS |= {"rotate_the_secret", "replay_the_events", "send_a_test_event", "redeliver_an_event"}
# They need a supplier: test_suppliers.py.
OTHERS |= {f"{verb}_a_supplier" for verb in ("change", "archive", "pull")} | {"put_the_codes"}


async def send(shop: Shop, write: Write, body: JSON, key: str) -> JSON:
    verb = operation(write.id).method
    return await shop.http.request(verb, write.path, json=body, headers={"Idempotency-Key": key})


def test_every_documented_write_is_tried_here() -> None:
    streams = {one.id for one in OPERATIONS if "application/x-ndjson" in one.consumes}
    writes = {one.id for one in OPERATIONS if one.writes}

    assert set(IDS) | OTHERS == writes - streams


@pytest.mark.parametrize("write", WRITES, ids=IDS)
async def test_a_retry_gets_the_same_bytes_and_has_no_second_effect(
    shop: Shop, write: Write
) -> None:
    first = await send(shop, write, write.body, "key")
    assert first.is_success, first.text
    head, items = await shop.head(), await shop.get("/v1/items")

    again = await send(shop, write, write.body, "key")

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    for name in ("etag", "location"):
        assert again.headers.get(name) == first.headers.get(name)
    assert (await shop.head(), await shop.get("/v1/items")) == (head, items)


@pytest.mark.parametrize("write", WRITES, ids=IDS)
async def test_another_body_under_the_same_key_is_refused(shop: Shop, write: Write) -> None:
    await send(shop, write, write.body, "key")
    head = await shop.head()

    other = await send(shop, write, write.other, "key")

    told = problem(other, 422)
    assert (told["code"], told["applied"]) == ("idempotency_mismatch", "no")
    assert await shop.head() == head
    retry = await send(shop, write, write.body, "key")
    assert retry.headers["idempotent-replayed"] == "true"


async def test_another_path_under_the_same_key_is_refused(shop: Shop) -> None:
    headers = {"Idempotency-Key": "key"}
    await shop.http.patch("/v1/items/P001", json={"name": "x"}, headers=headers)

    other = await shop.http.patch("/v1/items/P002", json={"name": "x"}, headers=headers)

    assert problem(other, 422)["code"] == "idempotency_mismatch"
    assert (await shop.get("/v1/items/P002"))["name"] == "无线鼠标"


async def test_a_body_that_says_the_same_in_other_words_is_the_same(shop: Shop) -> None:
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    first = await shop.http.post(
        "/v1/items", content=b'{"sku":"P006","name":"\\u6444"}', headers=headers
    )

    again = await shop.http.post(
        "/v1/items", content='{ "sku": "P006",\n "name": "摄" }'.encode(), headers=headers
    )

    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


async def test_other_keys_are_other_requests(shop: Shop) -> None:
    for key in ("a", "A", "b"):
        answer = await shop.adjust({"sku": "P001", "delta": -1}, key=key)
        assert "idempotent-replayed" not in answer.headers

    assert await shop.on_hand() == 47


async def test_an_archived_item_is_answered_the_same_again(shop: Shop) -> None:
    await shop.http.post("/v1/items", json={"sku": "P006", "name": "Webcam"})
    headers = {"Idempotency-Key": "key"}

    first = await shop.http.delete("/v1/items/P006", headers=headers)
    again = await shop.http.delete("/v1/items/P006", headers=headers)

    assert again.content == first.content
    assert again.json()["version"] == 2


async def test_a_refusal_is_remembered_when_the_reason_has_gone(shop: Shop) -> None:
    line = {"sku": "P001", "delta": -60}
    first = await shop.adjust(line, key="key")
    await shop.adjust({"sku": "P001", "delta": 100}, reason="received")

    again = await shop.adjust(line, key="key")
    fresh = await shop.adjust(line, key="another")

    assert problem(first, 409)["code"] == "insufficient_stock"
    assert problem(again, 409)["lines"] == first.json()["lines"]
    assert again.headers["idempotent-replayed"] == "true"
    assert fresh.status_code == 200


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "/v1/items", {"sku": "P001", "name": "x"}, 409),
        ("DELETE", "/v1/items/P001", None, 409),
        ("PATCH", "/v1/items/P006", {"name": "x"}, 404),
        ("POST", "/v1/locations", {"code": "main"}, 409),
        ("PATCH", "/v1/stock/P006/main", {"safety_stock": 1}, 404),
        ("DELETE", "/v1/api-keys/nobody", None, 404),
    ],
)
async def test_a_refused_write_of_the_catalogue_is_remembered(
    shop: Shop, verb: str, path: str, body: JSON, status: int
) -> None:
    headers = {"Idempotency-Key": "key"}
    first = await shop.http.request(verb, path, json=body, headers=headers)
    await shop.set({"sku": "P001", "on_hand": 0, "expected_on_hand": 50})
    await shop.http.post("/v1/items", json={"sku": "P006", "name": "Webcam"})

    again = await shop.http.request(verb, path, json=body, headers=headers)

    assert problem(first, status)["code"] == problem(again, status)["code"]
    assert again.headers["idempotent-replayed"] == "true"


async def test_an_invalid_request_does_not_use_its_key_up(shop: Shop) -> None:
    invalid = await shop.adjust({"sku": "P001", "delta": "-1"}, key="key")

    valid = await shop.adjust({"sku": "P001", "delta": -1}, key="key")

    assert wrong_fields(invalid) == ["lines[0].delta"]
    assert valid.status_code == 200


async def test_one_key_sent_at_once_by_many_has_one_effect_and_one_answer(shop: Shop) -> None:
    line = {"sku": "P001", "delta": -1}

    answers = await asyncio.gather(*(shop.adjust(line, key="key") for _ in range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer for answer in answers if "idempotent-replayed" in answer.headers]
    assert len(replayed) == 49
    assert await shop.on_hand() == 49


async def test_a_key_belongs_to_the_caller_who_sent_it(shop: Shop) -> None:
    admin = (await shop.http.post("/v1/api-keys", json=ADMIN)).json()["key"]
    async with http_client(shop.service, **{"X-API-Key": admin}) as http:
        made = await http.post("/v1/api-keys", json={"name": "till", "scopes": ["write"]})
        both = Shop(shop.service, http, shop.clock)
        line = {"sku": "P001", "delta": -1}
        await both.adjust(line, key="key")

        async with http_client(shop.service, **{"X-API-Key": made.json()["key"]}) as other:
            answer = await Shop(shop.service, other, shop.clock).adjust(line, key="key")

        assert "idempotent-replayed" not in answer.headers
        assert await both.on_hand() == 48


async def test_a_setting_makes_the_key_mandatory_for_writes_only(
    demo: Template, tmp_path: JSON
) -> None:
    async with open_demo(demo, tmp_path, idempotency_key_required=True) as shop:
        without = await shop.adjust({"sku": "P001", "delta": -1})
        given = await shop.adjust({"sku": "P001", "delta": -1}, key="key")
        check = await shop.http.post("/v1/stock/check", json={"lines": [{"sku": "P001"}]})

    told = problem(without, 428)
    assert (told["code"], told["applied"]) == ("idempotency_key_required", "no")
    assert (given.status_code, check.status_code) == (200, 200)


@pytest.mark.parametrize(
    "key", [b"", b"a b", b"x" * 256, "键".encode(), b"a\tb", b"\xff"],
    ids=["empty", "space", "long", "chinese", "tab", "byte"],
)  # fmt: skip
async def test_a_key_that_is_none_is_refused_by_name(shop: Shop, key: bytes) -> None:
    body = {"lines": [{"sku": "P001", "delta": -1}]}

    answer = await shop.http.post("/v1/stock/adjust", json=body, headers={b"Idempotency-Key": key})

    assert wrong_fields(answer) == ["Idempotency-Key"]
    assert await shop.head() == 5
