"""What endpoints are sent, and what becomes of them when they do not take it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from inventory_api.app import open_service
from inventory_api.clock import now as real_now
from inventory_api.domain.events import EVENT_TYPES
from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.domain.webhook import Delivery, Webhook
from inventory_api.service import RefusedError, Service
from inventory_api.settings import Settings
from inventory_api.store.database import Session
from inventory_api.store.webhooks import (
    change_webhook,
    delete_webhook,
    find_webhook,
    list_deliveries,
    replay,
    rotate_secret,
)
from inventory_api.webhook_call import new_secret
from tests.outbound.peer import Answer, Peer, endless, hang, raw, reply, reset
from tests.polling import until, until_told
from tests.settable_clock import SettableClock
from tests.stock_factory import open_shop
from tests.webhook_receiver import ALLOWED, add, received, sell, seqs, webhook, write

DAY_S = 86_400.0
GOOD = reply(200)


@pytest.fixture
def clock() -> SettableClock:
    """Near the time of the day: a receiver refuses what was signed long ago."""
    return SettableClock(real_now())


@pytest.fixture
def calling(settings: Settings) -> Settings:
    """May call this machine, and waits for an answer a moment only."""
    return settings.model_copy(update={**ALLOWED, "webhook_deadline_s": 0.3})


@pytest.fixture
async def service(calling: Settings, clock: SettableClock) -> AsyncIterator[Service]:
    async with open_service(calling, now=clock) as service:
        await open_shop(service)
        yield service


async def stored(service: Service, webhook_id: str = "a") -> Webhook:
    async with service.reading() as session:
        found = await find_webhook(session, webhook_id)
    assert found is not None
    return found


async def deliveries(service: Service, webhook_id: str = "a") -> list[Delivery]:
    """The oldest first."""
    async with service.reading() as session:
        found = await list_deliveries(session, webhook_id, before=2**62, status=None, limit=1_000)
    return found[::-1]


def followers(service: Service) -> float | None:
    """Endpoints that wait for news."""
    return service.metrics.registry.get_sample_value("inventory_feed_followers")


async def until_requests(peer: Peer, count: int) -> None:
    await until(lambda: len(peer.requests) >= count)


async def until_attempts(service: Service, count: int, webhook_id: str = "a") -> Webhook:
    """Wait until so many attempts for the next event are written."""

    async def are_written() -> bool:
        return (await stored(service, webhook_id)).attempts >= count

    await until_told(are_written)
    return await stored(service, webhook_id)


async def until_delivered(service: Service, seq: int, webhook_id: str = "a") -> Webhook:
    """Wait until it is written that all up to a movement is done."""

    async def is_written() -> bool:
        return (await stored(service, webhook_id)).cursor_seq >= seq

    await until_told(is_written)
    return await stored(service, webhook_id)


def later(service: Service, clock: SettableClock, seconds: float) -> None:
    clock.move(seconds)
    service.webhooks_changed.set()


async def test_each_movement_comes_once_in_order_and_signed(service: Service) -> None:
    hook = webhook("a", "")
    async with Peer(GOOD) as peer:
        await add(service, hook._replace(url=peer.url))
        await sell(service, 5)
        await until_delivered(service, 5)

        requests = received(peer)
    assert seqs(requests) == [1, 2, 3, 4, 5]
    assert len({one.id for one in requests}) == 5
    event = requests[1].verify(hook.secret)
    movement = event["data"]["movement"]
    assert event["type"] == "level.changed"
    assert event["timestamp"] == movement["recorded_at"]
    assert event["data"]["before"]["on_hand"] == 1
    assert (movement["after"]["on_hand"], movement["reason"]) == (2, "received")
    assert requests[1].headers["content-type"] == "application/json"


async def test_what_was_before_it_began_is_not_sent(service: Service) -> None:
    await sell(service, 3)
    async with Peer(GOOD) as peer:
        await add(service, webhook("a", peer.url, cursor_seq=2))
        await sell(service, 1)
        await until_delivered(service, 4)

    assert seqs(received(peer)) == [3, 4]


async def test_two_failures_and_a_success_are_the_same_event_three_times(
    service: Service, clock: SettableClock
) -> None:
    async with Peer(reply(500), reply(500), GOOD) as peer:
        await add(service, hook := webhook("a", peer.url))
        await sell(service, 2)
        for attempts in (1, 2):
            failing = await until_attempts(service, attempts)
            assert (failing.cursor_seq, len(peer.requests)) == (0, attempts)
            later(service, clock, 60)
        await until_delivered(service, 2)

    requests = received(peer)
    assert seqs(requests) == [1, 1, 1, 2]
    assert len({(one.id, one.body) for one in requests[:3]}) == 1
    assert len({one.headers["webhook-timestamp"] for one in requests[:3]}) == 3
    for one in requests:
        assert one.verify(hook.secret)
    done = await stored(service)
    assert (done.attempts, done.failing_since, done.next_attempt_at) == (0, None, None)
    assert [
        (one.number, one.status, one.attempts, one.code) for one in await deliveries(service)
    ] == [
        (1, "delivered", 3, 200),
        (2, "delivered", 1, 200),
    ]


@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        (reply(302, location="/elsewhere"), 302, None),
        (reply(404), 404, None),
        (reply(503), 503, None),
        (hang, None, "too_slow"),
        (reset, None, "unreachable"),
        (raw(b"SMTP 1.0\r\n\r\n", hangs_up=True), None, "bad_reply"),
    ],
    ids=["redirect", "not-found", "unavailable", "hangs", "resets", "no-http"],
)
async def test_whatever_is_not_2xx_is_a_failure_and_is_not_followed(
    service: Service, answer: Answer, code: int | None, error: str | None
) -> None:
    async with Peer(answer) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 1)
        failing = await until_attempts(service, 1)
        (delivery,) = await deliveries(service)

    assert len(peer.requests) == 1
    assert failing.is_active
    assert failing.failing_since == service.clock()
    assert (delivery.status, delivery.code, delivery.error) == ("pending", code, error)


async def test_an_endless_reply_is_cut_off_and_its_status_stands(service: Service) -> None:
    async with Peer(endless()) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 2)
        await until_delivered(service, 2)

    assert seqs(received(peer)) == [1, 2]
    assert peer.connections == 2, "the connection is closed and not read to its end"


async def test_a_receiver_that_is_gone_is_disabled_at_once(service: Service) -> None:
    async with Peer(reply(410)) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 2)
        await until_told(lambda: _is_disabled(service))
        (delivery,) = await deliveries(service)

    assert len(peer.requests) == 1
    assert (await stored(service)).disabled_reason == "gone"
    assert (delivery.status, delivery.code) == ("failed", 410)


async def _is_disabled(service: Service) -> bool:
    return not (await stored(service)).is_active


async def test_a_time_that_the_receiver_asks_for_is_waited(
    service: Service, clock: SettableClock
) -> None:
    async with Peer(reply(429, retry_after="120"), GOOD) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 1)
        failing = await until_attempts(service, 1)

    assert failing.next_attempt_at == clock.now + 120_000_000


async def test_no_receiver_can_ask_for_more_than_is_believed(
    calling: Settings, clock: SettableClock
) -> None:
    believed = calling.model_copy(update={"webhook_retry_after_max_s": 60.0})
    async with (
        open_service(believed, now=clock) as service,
        Peer(reply(503, retry_after="99999999")) as peer,
    ):
        await open_shop(service)
        await add(service, webhook("a", peer.url))
        await sell(service, 1)
        failing = await until_attempts(service, 1)

    assert failing.next_attempt_at == clock.now + 60_000_000


async def test_retries_go_on_for_days_and_then_the_endpoint_is_disabled(
    service: Service, clock: SettableClock
) -> None:
    pauses: list[float] = []
    async with Peer(reply(500)) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 1)
        since = clock.now
        while (failing := await until_attempts(service, len(pauses) + 1)).is_active:
            assert failing.next_attempt_at is not None
            pauses.append((failing.next_attempt_at - clock.now) / 1_000_000)
            later(service, clock, max(pauses[-1], 0.001) + 2 * 3_600)

    assert failing.disabled_reason == "failing"
    assert clock.now - since >= 3 * DAY_S * 1_000_000
    assert pauses[0] <= 5 * 2
    assert all(pause <= min(36_000, 5 * 2 ** (n + 1)) for n, pause in enumerate(pauses))
    assert max(pauses) > 600
    assert len({one.id for one in received(peer)}) == 1


async def test_an_endpoint_that_is_enabled_again_goes_on_where_it_stopped(
    service: Service,
) -> None:
    async with Peer(GOOD, reply(410), GOOD) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 3)
        await until_told(lambda: _is_disabled(service))

        async def enable(session: Session, now: Instant) -> Outcome:
            return await change_webhook(session, "a", {"status": "active"}, if_match=None, now=now)

        await write(service, enable)
        await until_delivered(service, 3)

    assert seqs(received(peer)) == [1, 2, 2, 3]


async def test_a_dead_endpoint_delays_no_other(service: Service) -> None:
    async with Peer(hang) as dead, Peer(GOOD) as good:
        await add(service, webhook("dead", dead.url), webhook("good", good.url))
        await sell(service, 20)
        await until_delivered(service, 20, "good")

    assert seqs(received(good)) == list(range(1, 21))
    assert set(seqs(received(dead))) == {1}


async def test_what_nobody_wants_any_more_leaves_no_failure_behind(
    service: Service, clock: SettableClock
) -> None:
    async with Peer(reply(500), GOOD) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 1)
        await until_attempts(service, 1)

        async def change(session: Session, now: Instant) -> Outcome:
            wanted = {"events": frozenset({"level.out"})}
            return await change_webhook(session, "a", wanted, if_match=None, now=now)

        await write(service, change)
        later(service, clock, 60)
        passed = await until_delivered(service, 1)
        await service.adjust([{"sku": "P001", "delta": -1}], reason="sale")
        await until_delivered(service, 2)

    assert (passed.attempts, passed.failing_since, passed.next_attempt_at) == (0, None, None)
    assert [(one.type, one.status) for one in await deliveries(service)] == [
        ("level.changed", "failed"),
        ("level.out", "delivered"),
    ]


async def test_a_secret_that_is_replaced_twice_still_signs_until_its_end(service: Service) -> None:
    """The answer to a rotation may be lost: what the receiver has is then the one before."""
    async with Peer(GOOD) as peer:
        await add(service, hook := webhook("a", peer.url))
        for secret in (new_secret(), last := new_secret()):

            async def rotate(session: Session, now: Instant, secret: str = secret) -> Outcome:
                ends_at = Instant(now + 100_000_000)
                return await rotate_secret(session, "a", secret, ends_at=ends_at, now=now)

            await write(service, rotate)
        await sell(service, 1)
        await until_delivered(service, 1)

    (request,) = received(peer)
    assert request.verify(hook.secret) == request.verify(last)


async def test_both_secrets_sign_until_the_old_ones_end(
    service: Service, clock: SettableClock
) -> None:
    new = new_secret()
    async with Peer(GOOD) as peer:
        await add(service, hook := webhook("a", peer.url))

        async def rotate(session: Session, now: Instant) -> Outcome:
            ends_at = Instant(now + 100_000_000)
            return await rotate_secret(session, "a", new, ends_at=ends_at, now=now)

        await write(service, rotate)
        await sell(service, 1)
        await until_delivered(service, 1)
        clock.move(seconds=100)
        await sell(service, 1)
        await until_delivered(service, 2)

    during, after = received(peer)
    assert during.verify(hook.secret) == during.verify(new)
    assert len(during.headers["webhook-signature"].split()) == 2
    assert after.verify(new)
    assert len(after.headers["webhook-signature"].split()) == 1


async def test_only_what_is_wanted_is_sent(service: Service) -> None:
    async with Peer(GOOD) as peer:
        wanted = {"skus": frozenset({"P002"}), "locations": frozenset({"main"})}
        await add(service, webhook("a", peer.url, **wanted))
        await service.adjust([{"sku": "P001", "delta": 9}, {"sku": "P002", "delta": 9}])
        await service.transfer([{"sku": "P002", "from": "main", "to": "store-1", "quantity": 1}])
        await until_delivered(service, 4)

    assert seqs(received(peer)) == [2, 3]


async def test_an_operation_is_one_event_before_those_of_its_levels(service: Service) -> None:
    async with Peer(GOOD) as peer:
        await add(service, webhook("a", peer.url, events=frozenset(EVENT_TYPES)))
        await service.adjust([{"sku": "P001", "delta": 9}, {"sku": "P002", "delta": 9}])
        lines = [
            {"sku": sku, "from": "main", "to": "store-1", "quantity": 9} for sku in ("P001", "P002")
        ]
        await service.transfer(lines, reference="order:7")
        await until_delivered(service, 6)

    ids = [one.id for one in received(peer)]
    # The first units at the store are no comeback: it never was out of them.
    assert ids == [
        "evt_1_level.changed",
        "evt_2_level.changed",
        "evt_3_transfer.completed",
        "evt_3_level.changed",
        "evt_3_level.out",
        "evt_4_level.changed",
        "evt_5_level.changed",
        "evt_5_level.out",
        "evt_6_level.changed",
    ]
    event = received(peer)[2].event
    assert event["data"]["reference"] == "order:7"
    assert event["data"]["line_count"] == 4
    assert [line["seq"] for line in event["data"]["lines"]] == [3, 4, 5, 6]


async def test_a_reader_that_begins_in_the_middle_of_an_operation_gets_no_event_of_it(
    service: Service,
) -> None:
    await service.adjust([{"sku": "P001", "delta": 9}])
    await service.transfer([{"sku": "P001", "from": "main", "to": "store-1", "quantity": 1}])
    async with Peer(GOOD) as peer:
        every = frozenset(EVENT_TYPES)
        await add(service, webhook("a", peer.url, events=every, cursor_seq=2))
        await until_delivered(service, 3)

    assert [one.id for one in received(peer)] == ["evt_3_level.changed"]


async def test_what_is_refused_has_no_event(service: Service) -> None:
    async with Peer(GOOD) as peer:
        await add(service, webhook("a", peer.url, events=frozenset(EVENT_TYPES)))
        with pytest.raises(RefusedError):
            await service.adjust([{"sku": "P001", "delta": -1}], reason="sale")
        await sell(service, 1)
        await until_delivered(service, 1)

    assert [one.id for one in received(peer)] == ["evt_1_level.changed"]


async def test_a_replay_sends_the_same_again(service: Service) -> None:
    async with Peer(GOOD) as peer:
        await add(service, webhook("a", peer.url))
        await sell(service, 3)
        await until_delivered(service, 3)

        async def again(session: Session, now: Instant) -> Outcome:
            return await replay(session, "a", 1, now=now)

        await write(service, again)
        await until_requests(peer, 5)

    requests = received(peer)
    assert seqs(requests) == [1, 2, 3, 2, 3]
    assert [one.body for one in requests[3:]] == [one.body for one in requests[1:3]]


async def test_a_deleted_endpoint_is_not_called_any_more(service: Service) -> None:
    async with Peer(GOOD) as peer:
        await add(service, webhook("a", peer.url), webhook("b", peer.url))
        await sell(service, 1)
        await until_delivered(service, 1, "a")
        await until_delivered(service, 1, "b")

        async def remove(session: Session, now: Instant) -> Outcome:
            return await delete_webhook(session, "a", now)

        await write(service, remove)
        await until(lambda: followers(service) == 1)
        await sell(service, 1)
        await until_delivered(service, 2, "b")

    assert seqs(received(peer)).count(2) == 1


async def test_a_service_that_starts_again_goes_on_and_repeats_nothing(
    calling: Settings, clock: SettableClock
) -> None:
    async with Peer(GOOD) as peer:
        async with open_service(calling, now=clock) as service:
            await open_shop(service)
            await add(service, webhook("a", peer.url))
            await sell(service, 3)
            await until_requests(peer, 3)
        async with open_service(calling, now=clock) as service:
            await sell(service, 2)
            await until_delivered(service, 5)

    assert seqs(received(peer)) == [1, 2, 3, 4, 5]


async def test_the_history_of_an_endpoint_is_bounded(
    calling: Settings, clock: SettableClock
) -> None:
    short = calling.model_copy(update={"webhook_deliveries_keep": 3})
    async with open_service(short, now=clock) as service, Peer(GOOD) as peer:
        await open_shop(service)
        await add(service, webhook("a", peer.url))
        await sell(service, 8)
        await until_delivered(service, 8)

        assert [one.number for one in await deliveries(service)] == [6, 7, 8]


async def test_nobody_asks_the_ledger_while_there_are_no_webhooks(service: Service) -> None:
    await sell(service, 3)
    await asyncio.sleep(0)

    assert service.feed.position == 0, "nobody follows it"
