"""Webhooks over HTTP: made, changed, tested, and what was sent to them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.databases import Template
from tests.outbound.peer import Peer, hang, reply
from tests.polling import until_told
from tests.web.shop import JSON, Shop, open_demo, problem, wrong_fields
from tests.webhook_receiver import ALLOWED, received

URL = "https://hooks.example.com/stock"
PATH = "/v1/webhooks"
KEY = {"Idempotency-Key": "k"}
DEMO_HEAD = 5


@pytest.fixture
async def calling(demo: Template, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop that may call this machine, and waits for an answer a moment only."""
    async with open_demo(demo, tmp_path, **ALLOWED, webhook_deadline_s=0.5) as shop:
        yield shop


async def make(shop: Shop, url: str = URL, **fields: JSON) -> JSON:
    answer = await shop.http.post(PATH, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def until_delivered(shop: Shop, webhook: JSON, seq: int) -> None:
    async def is_written() -> bool:
        shown = await shop.get(f"{PATH}/{webhook['id']}")
        return bool(shown["position"] >= seq)

    await until_told(is_written)


async def test_a_new_webhook_begins_at_the_head_and_shows_its_secret_this_once(shop: Shop) -> None:
    made = await make(shop, events=["level.low"], skus=["P002", "P001"], description="ERP")

    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == await shop.get(f"{PATH}/{made['id']}")
    assert (await shop.get(PATH))["items"] == [made]
    assert made["position"] == DEMO_HEAD
    assert (made["events"], made["skus"], made["locations"]) == (
        ["level.low"],
        ["P001", "P002"],
        None,
    )
    assert (made["status"], made["version"], made["old_secret_ends_at"]) == ("active", 1, None)


async def test_a_retry_makes_no_second_webhook_and_gets_no_secret(shop: Shop) -> None:
    answers = [
        await shop.http.post(PATH, json={"url": URL}, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]

    first, second = (answer.json() for answer in answers)
    assert first.pop("secret")
    assert second.pop("secret") is None
    assert first == second
    assert len((await shop.get(PATH))["items"]) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://localhost/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/#part",
        "ftp://hooks.example.com/",
        "hooks.example.com",
    ],
)
async def test_a_url_that_must_not_be_called_is_refused_with_the_reason(
    shop: Shop, url: str
) -> None:
    made = await make(shop)

    for answer in (
        await shop.http.post(PATH, json={"url": url}),
        await shop.http.patch(f"{PATH}/{made['id']}", json={"url": url}),
    ):
        assert wrong_fields(answer) == ["url"]
        (error,) = answer.json()["errors"]
        assert error["code"] == "forbidden_address"
        assert error["message"].startswith("is not allowed: ")
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("events", []),
        ("events", ["level.gone"]),
        ("skus", [""]),
        ("locations", "main"),
        ("after", -1),
        ("after", DEMO_HEAD + 1),
        ("secret", "whsec_mine"),
    ],
)
async def test_a_wrong_field_is_named(shop: Shop, field: str, value: JSON) -> None:
    answer = await shop.http.post(PATH, json={"url": URL, field: value})

    assert [name.partition("[")[0] for name in wrong_fields(answer)] == [field]


async def test_there_are_so_many_webhooks_and_no_more(demo: Template, tmp_path: Path) -> None:
    async with open_demo(demo, tmp_path, webhooks_max=2) as shop:
        first = await make(shop)
        await make(shop)

        told = problem(await shop.http.post(PATH, json={"url": URL}), 409)
        assert (told["code"], told["maximum"]) == ("too_many_webhooks", 2)

        await shop.http.delete(f"{PATH}/{first['id']}")
        await make(shop)


async def test_only_an_admin_may(shop: Shop) -> None:
    made = await make(shop)
    writer = await shop.make_key(scopes=["write"])

    for method, path in (
        ("GET", PATH),
        ("POST", PATH),
        ("GET", f"{PATH}/{made['id']}"),
        ("PATCH", f"{PATH}/{made['id']}"),
        ("DELETE", f"{PATH}/{made['id']}"),
        ("POST", f"{PATH}/{made['id']}/rotate-secret"),
        ("POST", f"{PATH}/{made['id']}/test"),
        ("POST", f"{PATH}/{made['id']}/replay"),
        ("GET", f"{PATH}/{made['id']}/deliveries"),
        ("POST", f"{PATH}/{made['id']}/deliveries/1/redeliver"),
    ):
        assert problem(await shop.http.request(method, path, headers=writer), 403)


async def test_a_change_is_of_what_is_named_and_needs_the_version(shop: Shop) -> None:
    made = await make(shop, events=["level.low"])
    path = f"{PATH}/{made['id']}"

    changed = await shop.http.patch(
        path, json={"events": None, "skus": ["P001"]}, headers={"If-Match": '"1"'}
    )
    stale = await shop.http.patch(path, json={"description": "x"}, headers={"If-Match": '"1"'})

    assert changed.headers["etag"] == '"2"'
    shown = changed.json()
    assert (shown["events"], shown["skus"], shown["url"]) == (None, ["P001"], URL)
    assert problem(stale, 412)["current_version"] == 2
    assert wrong_fields(await shop.http.patch(path, json={})) == ["body"]


async def test_disabling_says_who_did_and_enabling_takes_it_back(shop: Shop) -> None:
    path = f"{PATH}/{(await make(shop))['id']}"

    off = (await shop.http.patch(path, json={"status": "disabled"})).json()
    on = (await shop.http.patch(path, json={"status": "active"})).json()

    assert (off["status"], off["disabled_reason"]) == ("disabled", "asked")
    assert off["disabled_at"] is not None
    assert (on["status"], on["disabled_reason"], on["disabled_at"]) == ("active", None, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate-secret"),
        ("POST", "/test"),
        ("POST", "/replay"),
        ("GET", "/deliveries"),
        ("POST", "/deliveries/1/redeliver"),
    ],
)
async def test_an_unknown_webhook_is_404(http: httpx.AsyncClient, method: str, path: str) -> None:
    bodies = {"PATCH": {"description": "x"}, "POST": {"after": 0} if path == "/replay" else None}

    answer = await http.request(method, f"{PATH}/none{path}", json=bodies.get(method))

    assert problem(answer, 404)["code"] == "unknown_id"


async def test_a_rotation_shows_the_new_secret_once_and_when_the_old_one_ends(shop: Shop) -> None:
    made = await make(shop)
    path = f"{PATH}/{made['id']}/rotate-secret"

    first, second = [
        (await shop.http.post(path, headers={"Idempotency-Key": "k"})).json() for _ in range(2)
    ]

    assert first["secret"] not in (None, made["secret"])
    assert second["secret"] is None
    assert first["old_secret_ends_at"] == "2023-11-15T22:13:20.000000Z", "a day later"
    shop.clock.move(seconds=86_400)
    assert (await shop.get(f"{PATH}/{made['id']}"))["old_secret_ends_at"] is None


async def test_a_test_event_is_sent_now_and_its_end_is_told(calling: Shop) -> None:
    async with Peer(reply(204, b""), reply(500, b"a secret of the receiver"), hang) as peer:
        made = await make(calling, peer.url)
        path = f"{PATH}/{made['id']}/test"
        taken, refused, hung = [await calling.http.post(path) for _ in range(3)]

        (event, *_) = received(peer)
    assert event.event["type"] == "webhook.test"
    assert event.event["data"] == {"webhook_id": made["id"]}
    told = taken.json()
    assert (told["delivered"], told["status_code"], told["error"]) == (True, 204, None)
    assert told["event_id"] == event.id
    assert (refused.json()["delivered"], refused.json()["status_code"]) == (False, 500)
    assert "receiver" not in refused.text
    assert (hung.json()["status_code"], hung.json()["error"]) == (None, "too_slow")
    assert (await calling.get(f"{PATH}/{made['id']}"))["attempts"] == 0, "it counts for nothing"


async def test_deliveries_are_listed_the_newest_first(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url, events=["level.changed"], after=0)
        await until_delivered(calling, made, DEMO_HEAD)

        path = f"{PATH}/{made['id']}/deliveries"
        listed = await calling.walk(path, limit=2)
        failed = await calling.get(path, status="failed")

    assert [one["seq"] for one in listed] == [5, 4, 3, 2, 1]
    newest = listed[0]
    assert newest["event_id"] == "evt_5_level.changed"
    assert (newest["status"], newest["attempts"], newest["last_status_code"]) == (
        "delivered",
        1,
        200,
    )
    assert failed["items"] == []


async def test_a_delivery_can_be_repeated_beside_the_order(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url, after=0)
        await until_delivered(calling, made, DEMO_HEAD)
        path = f"{PATH}/{made['id']}/deliveries"
        second = (await calling.get(path))["items"][-2]

        answer = await calling.http.post(f"{path}/{second['id']}/redeliver")
        unknown = await calling.http.post(f"{path}/999/redeliver")

        requests = received(peer)
    assert answer.json()["delivered"]
    assert (requests[-1].id, requests[-1].body) == (requests[1].id, requests[1].body)
    assert problem(unknown, 404)["code"] == "unknown_id"


async def test_a_retry_of_a_test_sends_nothing_and_is_told_how_the_first_ended(
    calling: Shop,
) -> None:
    async with Peer(reply(500), reply(204, b"")) as peer:
        made = await make(calling, peer.url)
        path = f"{PATH}/{made['id']}/test"

        first, again = [await calling.http.post(path, headers=KEY) for _ in range(2)]
        other = await calling.http.post(path, headers={"Idempotency-Key": "another"})

        assert len(received(peer)) == 2
    assert (first.json()["status_code"], first.headers.get("idempotent-replayed")) == (500, None)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["status_code"] == 204


async def test_a_retry_of_a_redelivery_sends_nothing(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url, after=DEMO_HEAD - 1, events=["level.changed"])
        await until_delivered(calling, made, DEMO_HEAD)
        path = f"{PATH}/{made['id']}/deliveries/1/redeliver"

        first, again = [await calling.http.post(path, headers=KEY) for _ in range(2)]

        assert [one.seq for one in received(peer)] == [DEMO_HEAD, DEMO_HEAD]
    assert first.json()["delivered"]
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_key_of_another_request_sends_nothing(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url)
        unknown = await calling.http.post(f"{PATH}/none/test", headers=KEY)

        other = await calling.http.post(f"{PATH}/{made['id']}/test", headers=KEY)
        again = await calling.http.post(f"{PATH}/none/test", headers=KEY)

        assert received(peer) == []
    assert problem(other, 422)["code"] == "idempotency_mismatch"
    assert problem(unknown, 404)["code"] == problem(again, 404)["code"] == "unknown_id"
    assert again.headers["idempotent-replayed"] == "true"


async def test_two_tests_at_once_under_one_key_are_told_the_same(calling: Shop) -> None:
    async with Peer(hang, hang) as peer:
        made = await make(calling, peer.url)
        path = f"{PATH}/{made['id']}/test"

        both = await asyncio.gather(*[calling.http.post(path, headers=KEY) for _ in range(2)])

    assert both[0].content == both[1].content
    assert len([one for one in both if "idempotent-replayed" in one.headers]) == 1


async def test_what_could_not_be_remembered_is_no_success(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url)
        calling.service.committer.drain()

        answer = await calling.http.post(f"{PATH}/{made['id']}/test", headers=KEY)

        assert len(received(peer)) == 1
    assert problem(answer, 503)["code"] == "draining"


async def test_a_replay_goes_on_behind_a_movement(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url, events=["level.changed"], after=3)
        await until_delivered(calling, made, DEMO_HEAD)
        path = f"{PATH}/{made['id']}/replay"

        moved = await calling.http.post(path, json={"after": 4})
        await until_told(lambda: _has(peer, 3))
        beyond = await calling.http.post(path, json={"after": DEMO_HEAD + 1})

    assert moved.json()["position"] == 4
    assert [one.seq for one in received(peer)] == [4, 5, 5]
    assert wrong_fields(beyond) == ["after"]


async def _has(peer: Peer, count: int) -> bool:
    return len(peer.requests) >= count


async def test_metrics_tell_how_many_were_delivered(calling: Shop) -> None:
    async with Peer(reply(200)) as peer:
        made = await make(calling, peer.url, events=["level.changed"], after=0)
        await until_delivered(calling, made, DEMO_HEAD)
        text = (await calling.http.get("/metrics")).text

    assert "inventory_webhook_delivered_total 5.0" in text
    assert "inventory_webhook_lag_seconds_count 5.0" in text
    assert "inventory_webhooks_failing 0.0" in text


async def test_secrets_are_in_no_list_and_in_no_remembered_answer(shop: Shop) -> None:
    secret = (await make(shop))["secret"]

    assert secret not in (await shop.http.get(PATH)).text
    async with shop.service.reading() as session:
        rows = (await session.connection()).exec_driver_sql("SELECT answer FROM idempotency")
        assert secret not in repr((await rows).all())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"description": "once"}),
        ("POST", "/replay", {"after": 1}),
        ("DELETE", "", None),
    ],
    ids=["change", "replay", "delete"],
)
async def test_a_retry_of_a_change_gets_the_same_answer_and_does_nothing(
    shop: Shop, method: str, path: str, body: JSON
) -> None:
    made = await make(shop)

    first, second = [
        await shop.http.request(
            method, f"{PATH}/{made['id']}{path}", json=body, headers={"Idempotency-Key": "k"}
        )
        for _ in range(2)
    ]

    assert first.is_success
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["idempotent-replayed"] == "true"
