"""Whole replies from servers of every kind."""

import asyncio
import gzip
import logging

import pytest
from prometheus_client import CollectorRegistry

from inventory_api.outbound.errors import (
    BadReply,
    BreakerOpen,
    Busy,
    ForbiddenAddress,
    OutboundError,
    TooLarge,
    TooSlow,
    Unreachable,
)
from inventory_api.outbound.limits import HostLimits
from tests.log_records import events
from tests.outbound.peer import (
    Answer,
    Peer,
    Still,
    calling,
    endless,
    get,
    hang,
    limited,
    post,
    raw,
    reply,
    reset,
)
from tests.polling import until

HERE = "127.0.0.1"
SHORT = limited(deadline_s=0.2, read_timeout_s=5)


async def test_a_reply_comes_back_with_its_status_headers_and_body() -> None:
    async with (
        Peer(reply(201, b"made", x_one="1", set_cookie="a=b")) as peer,
        calling(HERE) as outbound,
    ):
        answer = await outbound.send(post(peer.url + "?q=1", headers={"X-Sig": "s"}))
        again = await outbound.send(post(peer.url))

    assert (answer.status, answer.body, answer.headers["x-one"]) == (201, b"made", "1")
    assert (answer.retry_after_s, answer.is_cut) == (None, False)
    first, second = peer.requests
    assert first.startswith(b"POST /hook?q=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{peer.port}\r\n".encode() in first.lower()
    assert b"x-sig: s\r\n" in first.lower()
    assert b"accept-encoding: identity\r\n" in first.lower()
    assert first.endswith(b"\r\n\r\n{}")
    assert b"cookie" not in second.lower()
    assert again.status == 201
    assert peer.connections == 1, "the connection was used again"


@pytest.mark.parametrize("status", [204, 302, 400, 404, 410, 500])
async def test_a_status_is_the_callers_business_and_is_not_tried_again(status: int) -> None:
    time = Still()
    async with Peer(reply(status, b"")) as peer, calling(HERE, pace=time.pace) as outbound:
        answer = await outbound.send(get(peer.url))

    assert (answer.status, len(peer.requests), time.slept) == (status, 1, [])


async def test_a_redirect_is_never_followed() -> None:
    async with Peer(reply()) as inside:
        async with Peer(reply(302, b"", location=inside.url)) as peer, calling(HERE) as outbound:
            answer = await outbound.send(get(peer.url))

        assert (answer.status, answer.headers["location"]) == (302, inside.url)
        assert inside.connections == 0


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_call_that_may_be_repeated_is_tried_until_it_succeeds(status: int) -> None:
    time = Still(chance=0.5)
    answers = [reply(status), reply(status), reply(200)]
    async with Peer(*answers) as peer, calling(HERE, pace=time.pace) as outbound:
        answer = await outbound.send(get(peer.url))

    assert (answer.status, len(peer.requests)) == (200, 3)
    assert time.slept == [0.25, 0.5], "half of 0.5 s, then half of 1 s"


async def test_after_the_last_retry_the_caller_gets_what_came() -> None:
    async with Peer(reply(503)) as peer, calling(HERE, pace=Still().pace) as outbound:
        answer = await outbound.send(get(peer.url, retries=2))

    assert (answer.status, len(peer.requests)) == (503, 3)


async def test_no_call_is_tried_again_for_longer_than_it_may() -> None:
    time = Still(chance=0.9)
    limits = limited(retries=10, retry_pause_s=10, retry_total_s=25, breaker_failures=99)
    async with Peer(reply(503)) as peer, calling(HERE, pace=time.pace, limits=limits) as outbound:
        await outbound.send(get(peer.url))

    assert time.slept == [9, 9]


async def test_a_post_is_sent_once_unless_it_says_that_it_may_be_repeated() -> None:
    async with Peer(reset) as peer, calling(HERE, pace=Still().pace) as outbound:
        with pytest.raises(Unreachable):
            await outbound.send(post(peer.url, retries=3))
        once = len(peer.requests)
        with pytest.raises(Unreachable):
            await outbound.send(post(peer.url, idempotent=True, retries=1))

    assert (once, len(peer.requests)) == (1, 3)


async def test_a_broken_connection_is_tried_again() -> None:
    async with Peer(reset, reply()) as peer, calling(HERE, pace=Still().pace) as outbound:
        answer = await outbound.send(get(peer.url))

    assert (answer.status, peer.connections) == (200, 2)


async def test_retry_after_holds_every_call_to_this_host_and_none_to_another() -> None:
    time = Still(chance=0)
    async with (
        Peer(reply(429, retry_after="7"), reply(200)) as peer,
        Peer(reply(200)) as other,
        calling(HERE, pace=time.pace) as outbound,
    ):
        answer = await outbound.send(post(peer.url))
        started_s = time.now_s
        await outbound.send(post(other.url))
        not_held = time.now_s == started_s
        later = await outbound.send(post(peer.url))

    assert (answer.status, answer.retry_after_s) == (429, 7)
    assert not_held
    assert (later.status, time.now_s - started_s) == (200, 7)


async def test_a_long_retry_after_refuses_the_next_calls_with_the_time_that_is_left() -> None:
    time = Still()
    async with (
        Peer(reply(503, retry_after="120")) as peer,
        calling(HERE, pace=time.pace) as outbound,
    ):
        await outbound.send(post(peer.url))
        with pytest.raises(Busy) as refused:
            await outbound.send(post(peer.url))

    assert refused.value.retry_after_s == 120
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang, TooSlow),
        (endless(b"x", every_s=0.005), TooSlow),
        (endless(b"x", start=b"HTTP/1.1 200 OK\r\nX-Slow: ", every_s=0.005), TooSlow),
        (endless(b"HTTP/1.1 100 Continue\r\n\r\n", start=b""), TooSlow),
        (endless(), TooLarge),
        (endless(b"X-H: " + b"1" * 8_192 + b"\r\n", start=b"HTTP/1.1 200 OK\r\n"), BadReply),
        (reply(200, b"x" * 65_537), TooLarge),
        (reset, Unreachable),
        (raw(b"", hangs_up=True), Unreachable),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hangs_up=True), Unreachable),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", hangs_up=True),
            Unreachable,
        ),
        (raw(b"SSH-2.0-server\r\n\r\n"), BadReply),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), BadReply),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), BadReply),
        (reply(200, gzip.compress(bytes(10_000_000)), content_encoding="gzip"), BadReply),
    ],
    ids=[
        "hangs",
        "trickles its body",
        "trickles its header",
        "says 100 Continue for ever",
        "never ends",
        "sends headers for ever",
        "sends one byte too much",
        "resets",
        "hangs up",
        "hangs up within a length",
        "hangs up within a chunk",
        "speaks another protocol",
        "gives two lengths",
        "gives a wrong chunk",
        "sends a gzip bomb",
    ],
)
async def test_a_server_that(answer: Answer, error: type[OutboundError]) -> None:
    async with Peer(answer) as peer, calling(HERE, limits=SHORT) as outbound:
        with pytest.raises(error) as refused:
            await outbound.send(post(peer.url))

    assert type(refused.value) is error
    assert "127.0.0.1" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        endless(),
        endless(b"x", every_s=0.005),
        reply(200, gzip.compress(b"thanks"), content_encoding="gzip"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hangs_up=True),
    ],
    ids=["never ends", "trickles", "compresses", "hangs up"],
)
async def test_where_only_the_status_counts_a_bad_body_is_cut_off(answer: Answer) -> None:
    registry = CollectorRegistry()
    async with Peer(answer) as peer, calling(HERE, limits=SHORT, registry=registry) as outbound:
        received = await outbound.send(post(peer.url, only_status=True))

    assert (received.status, received.is_cut) == (200, True)
    assert len(received.body) <= SHORT.reply_bytes_max
    assert _attempts(registry, "2xx") == 1


async def test_nobody_listens() -> None:
    async with Peer(reply()) as peer:
        pass

    async with calling(HERE) as outbound:
        with pytest.raises(Unreachable, match="nobody accepts"):
            await outbound.send(post(peer.url))


async def test_after_failures_in_a_row_the_host_is_left_alone_until_a_probe_succeeds() -> None:
    time = Still()
    registry = CollectorRegistry()
    limits = limited(breaker_failures=2, breaker_open_s=30)
    async with (
        Peer(reset, reset, reply()) as peer,
        calling(HERE, pace=time.pace, limits=limits, registry=registry) as outbound,
    ):
        for _ in range(2):
            with pytest.raises(Unreachable):
                await outbound.send(post(peer.url))
        with pytest.raises(BreakerOpen) as refused:
            await outbound.send(post(peer.url))
        time.now_s += 30
        statuses = [(await outbound.send(post(peer.url))).status for _ in range(2)]

    assert refused.value.retry_after_s == 30
    assert (statuses, len(peer.requests)) == ([200, 200], 4)
    assert _attempts(registry, "breaker_open") == 1
    assert registry.get_sample_value(
        "inventory_outbound_breaker_opened_total", {"purpose": "webhook"}
    )


async def test_a_probe_that_is_given_up_lets_the_next_call_probe() -> None:
    time = Still()
    limits = limited(breaker_failures=1, breaker_open_s=30)
    async with (
        Peer(reset, hang, reply()) as peer,
        calling(HERE, pace=time.pace, limits=limits) as outbound,
    ):
        with pytest.raises(Unreachable):
            await outbound.send(post(peer.url))
        time.now_s += 30
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await outbound.send(post(peer.url))

        assert (await outbound.send(post(peer.url))).status == 200


async def test_of_two_owners_on_one_host_each_is_judged_by_itself() -> None:
    time = Still()
    limits = limited(breaker_failures=1, breaker_open_s=30)
    async with (
        Peer(reset, reply(), reply(429, retry_after="7"), reply()) as peer,
        calling(HERE, pace=time.pace, limits=limits) as outbound,
    ):
        with pytest.raises(Unreachable):
            await outbound.send(post(peer.url, owner="dead"))
        with pytest.raises(BreakerOpen):
            await outbound.send(post(peer.url, owner="dead"))
        well = [(await outbound.send(post(peer.url, owner="well"))).status for _ in range(3)]

    assert well == [200, 429, 200]
    assert time.slept == []


async def test_a_dead_host_does_not_delay_another() -> None:
    limits = limited(host_concurrency=2, in_flight_max=4)
    async with Peer(hang) as dead, Peer(reply()) as well, calling(HERE, limits=limits) as outbound:
        stuck = [asyncio.create_task(outbound.send(post(dead.url))) for _ in range(5)]
        for _ in range(20):
            assert (await outbound.send(post(well.url))).status == 200
        for task in stuck:
            task.cancel()
        ended = await asyncio.gather(*stuck, return_exceptions=True)

    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    assert dead.connections == 2


async def test_two_purposes_have_a_budget_each() -> None:
    time = Still()
    limits = HostLimits(1, 1)
    async with Peer(reply()) as peer, calling(HERE, pace=time.pace) as outbound:
        await outbound.send(get(peer.url, limits=limits))
        await outbound.send(post(peer.url, limits=limits))
        at_once = time.slept == []
        await outbound.send(get(peer.url, limits=limits))

    assert at_once
    assert time.slept == [1]


async def test_so_many_hosts_are_remembered_and_no_more() -> None:
    limits = limited(hosts_max=2)
    async with (
        Peer(reply()) as one,
        Peer(reply()) as two,
        Peer(reply()) as three,
        calling(HERE, limits=limits) as outbound,
    ):
        for peer in (one, two, three, one):
            assert (await outbound.send(post(peer.url))).status == 200

    assert [one.connections, two.connections, three.connections] == [2, 1, 1]


async def test_with_every_place_taken_another_host_is_refused() -> None:
    limits = limited(hosts_max=1)
    async with Peer(hang) as busy, Peer(reply()) as other, calling(HERE, limits=limits) as outbound:
        stuck = asyncio.create_task(outbound.send(post(busy.url)))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="1 hosts"):
            await outbound.send(post(other.url))
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)

    assert other.connections == 0


async def test_idle_connections_are_closed_and_opened_again_when_needed() -> None:
    time = Still()
    async with Peer(reply()) as peer, calling(HERE, pace=time.pace) as outbound:
        await outbound.send(post(peer.url))
        tidying = asyncio.create_task(outbound.tidy())
        await until(lambda: len(time.slept) == 3)
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await outbound.send(post(peer.url))

    assert peer.connections == 2


async def test_an_old_connection_is_replaced_even_if_it_is_busy_all_the_time() -> None:
    time = Still()
    limits = limited(connection_age_max_s=60)
    async with Peer(reply()) as peer, calling(HERE, pace=time.pace, limits=limits) as outbound:
        for _ in range(13):
            await outbound.send(post(peer.url))
            time.now_s += 10

    assert peer.connections == 2


async def test_what_is_logged_has_no_path_no_query_and_no_header(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    limits = limited(breaker_failures=1)
    async with Peer(reset) as peer, calling(HERE, limits=limits) as outbound:
        with pytest.raises(Unreachable):
            await outbound.send(post(peer.url + "/t0ken?key=s3cret", headers={"X-Key": "pr1vate"}))

    assert [event["event"] for event in events(caplog, "info")] == ["outbound_failed"]
    assert [event["event"] for event in events(caplog, "warning")] == ["outbound_breaker_opened"]
    ours = [record.getMessage() for record in caplog.records if "inventory" in record.name]
    assert not [text for text in ours for word in ("t0ken", "s3cret", "pr1vate") if word in text]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Key", "a\r\nHost: evil"),
        ("X-Key", "a\nb"),
        ("X-Key", "ü"),
        ("X-Key", " a"),
        ("X-Key\r\nHost", "evil"),
        ("", "a"),
        ("Host", "evil"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Accept-Encoding", "gzip"),
    ],
)
def test_a_header_that_would_be_something_else_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"header|X-Key"):
        get("https://hooks.example/", headers={name: value})


async def test_every_attempt_is_counted_by_what_came_of_it() -> None:
    registry = CollectorRegistry()
    async with (
        Peer(reply(), reply(404), reset, reply(503), reply()) as peer,
        calling(HERE, pace=Still().pace, registry=registry) as outbound,
    ):
        await outbound.send(get(peer.url))
        await outbound.send(get(peer.url))
        await outbound.send(get(peer.url))
        with pytest.raises(ForbiddenAddress):
            await outbound.send(get("https://10.0.0.1/"))

    told = {
        outcome: registry.get_sample_value(
            "inventory_outbound_attempts_total", {"purpose": "supplier", "outcome": outcome}
        )
        for outcome in ("2xx", "4xx", "5xx", "unreachable", "forbidden_address")
    }
    assert told == {"2xx": 2, "4xx": 1, "5xx": 1, "unreachable": 1, "forbidden_address": 1}
    assert registry.get_sample_value("inventory_outbound_retries_total", {"purpose": "supplier"})
    assert not registry.get_sample_value("inventory_outbound_in_flight", {"purpose": "supplier"})


def _attempts(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value(
        "inventory_outbound_attempts_total", {"purpose": "webhook", "outcome": outcome}
    )
