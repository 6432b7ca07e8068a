"""Long lists, piece by piece, within a supplier's limits."""

import asyncio
import time as real_time

import pytest
from prometheus_client import CollectorRegistry

from inventory_api.outbound.errors import BadReply, TooLarge, TooSlow, Unreachable
from inventory_api.outbound.limits import HostLimits
from tests.outbound.peer import (
    Peer,
    Still,
    calling,
    endless,
    get,
    hang,
    limited,
    raw,
    reply,
    reset,
)
from tests.polling import until

HERE = "127.0.0.1"
MB = 1 << 20


async def test_a_long_list_comes_in_pieces_and_never_as_a_whole() -> None:
    async with Peer(reply(200, bytes(8 * MB))) as peer, calling(HERE) as outbound:
        async with outbound.stream(get(peer.url, body_bytes_max=8 * MB)) as stream:
            sizes = [len(piece) async for piece in stream]
        async with outbound.stream(get(peer.url, body_bytes_max=8 * MB)) as stream:
            assert len(await stream.read()) == 8 * MB

    assert sum(sizes) == 8 * MB
    assert max(sizes) <= 128 << 10
    assert peer.connections == 1


async def test_a_list_that_is_longer_than_it_may_ends_in_an_error_and_not_silently() -> None:
    async with (
        Peer(endless()) as peer,
        calling(HERE) as outbound,
        outbound.stream(get(peer.url, body_bytes_max=MB)) as stream,
    ):
        with pytest.raises(TooLarge):
            await stream.read()

        with pytest.raises(TooLarge):
            await anext(stream)

    assert not stream.is_framed


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 1000", b"Transfer-Encoding: chunked"],
    ids=["length", "chunks"],
)
async def test_a_list_that_breaks_off_is_told_apart_from_one_that_ends(head: bytes) -> None:
    half = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n8\r\nabcdefgh\r\n"
    async with Peer(raw(half, hangs_up=True)) as peer, calling(HERE) as outbound:
        with pytest.raises(Unreachable, match="ended before"):
            async with outbound.stream(get(peer.url)) as stream:
                await stream.read()

    assert stream.is_framed
    assert len(peer.requests) == 1, "what was given to the caller can't be taken back"


async def test_until_the_header_has_come_an_attempt_is_made_again() -> None:
    time = Still()
    answers = [reset, reply(503), reply(429, retry_after="3"), reply(200, b"list")]
    async with (
        Peer(*answers) as peer,
        calling(HERE, pace=time.pace) as outbound,
        outbound.stream(get(peer.url)) as stream,
    ):
        body = await stream.read()

    assert (body, len(peer.requests)) == (b"list", 4)
    assert sum(time.slept) >= 3


async def test_an_error_of_the_caller_is_not_tried_again() -> None:
    async with Peer(reply()) as peer, calling(HERE, pace=Still().pace) as outbound:
        with pytest.raises(Unreachable, match="mine"):
            async with outbound.stream(get(peer.url)):
                raise Unreachable("mine")

    assert len(peer.requests) == 1


async def test_a_caller_that_thinks_long_between_two_pieces_uses_up_no_deadline() -> None:
    limits = limited(deadline_s=0.2)
    async with (
        Peer(reply(200, bytes(4 * MB))) as peer,
        calling(HERE, limits=limits) as outbound,
        outbound.stream(get(peer.url, body_bytes_max=4 * MB)) as stream,
    ):
        first = await anext(stream)
        await asyncio.sleep(0.3)  # the time that passes is the point
        rest = await stream.read()

    assert len(first) + len(rest) == 4 * MB


async def test_a_list_that_trickles_ends_at_its_own_deadline() -> None:
    async with Peer(endless(b"x", every_s=0.005)) as peer, calling(HERE) as outbound:
        with pytest.raises(TooSlow):
            async with outbound.stream(get(peer.url, deadline_s=0.1)) as stream:
                await stream.read()


async def test_a_compressed_list_is_refused_instead_of_decoded() -> None:
    async with Peer(reply(200, b"x", content_encoding="br")) as peer, calling(HERE) as outbound:
        with pytest.raises(BadReply, match="compressed"):
            async with outbound.stream(get(peer.url)) as stream:
                await stream.read()


async def test_a_failed_body_counts_against_the_host_and_in_the_metrics() -> None:
    registry = CollectorRegistry()
    half = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hangs_up=True)
    limits = limited(breaker_failures=2)
    async with Peer(half) as peer, calling(HERE, limits=limits, registry=registry) as outbound:
        for _ in range(2):
            with pytest.raises(Unreachable):
                await outbound.send(get(peer.url, retries=0))

    labels = {"purpose": "supplier", "outcome": "unreachable"}
    assert registry.get_sample_value("inventory_outbound_attempts_total", labels) == 2
    assert registry.get_sample_value(
        "inventory_outbound_breaker_opened_total", {"purpose": "supplier"}
    )


async def test_a_caller_that_leaves_early_gives_its_slot_back() -> None:
    limits = HostLimits(1, 1000, 100)
    async with Peer(endless(), reply()) as peer, calling(HERE) as outbound:
        async with outbound.stream(get(peer.url, limits=limits)) as stream:
            await anext(stream)

        assert (await outbound.send(get(peer.url, limits=limits))).status == 200


async def test_a_cancelled_call_gives_its_slot_and_its_connection_back() -> None:
    limits = HostLimits(1, 1000, 100)
    async with Peer(hang, reply()) as peer, calling(HERE) as outbound:
        call = asyncio.create_task(outbound.send(get(peer.url, limits=limits)))
        await until(lambda: bool(peer.requests))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        assert (await outbound.send(get(peer.url, limits=limits))).status == 200


class Counting:
    """A server that answers a little later, and tells how many calls were open and when they came.

    Args:
        every: each so-manieth call is answered with 429; 0 is none.
    """

    def __init__(self, *, every: int = 0) -> None:
        self._every = every
        self._is_open = 0
        self.most_open = 0
        self.came: list[float] = []
        self.refused = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(real_time.monotonic())
        self._is_open += 1
        self.most_open = max(self.most_open, self._is_open)
        await asyncio.sleep(0.01)  # so that calls overlap
        self._is_open -= 1
        if self._every and len(self.came) % self._every == 0:
            self.refused += 1
            await reply(429, retry_after="1")(reader, writer)
        else:
            await reply(200)(reader, writer)

    def most_within(self, seconds: float) -> int:
        """The most calls that came within any such time."""
        return max(
            sum(first <= other < first + seconds for other in self.came) for first in self.came
        )


async def test_a_server_sees_no_more_calls_at_once_and_per_second_than_it_can_bear() -> None:
    server = Counting()
    limits = HostLimits(concurrency=5, rate_per_s=100, burst=5)
    async with Peer(server) as peer, calling(HERE) as outbound:
        started_s = real_time.monotonic()
        await asyncio.gather(*(outbound.send(get(peer.url, limits=limits)) for _ in range(60)))
        took_s = real_time.monotonic() - started_s

    assert server.most_open <= 5
    # Of the calls that the server sees late, on a busy machine, there are at most the open ones.
    assert server.most_within(0.2) <= 5 + 100 * 0.2 + 5
    assert took_s >= (60 - 5) / 100 - 0.01


@pytest.mark.slow
async def test_twenty_a_second_and_five_at_once_with_refusals_in_between() -> None:
    server = Counting(every=17)
    limits = HostLimits(concurrency=5, rate_per_s=20)
    async with Peer(server) as peer, calling(HERE) as outbound:
        replies = await asyncio.gather(
            *(outbound.send(get(peer.url, limits=limits)) for _ in range(120))
        )

    assert {one.status for one in replies} == {200}
    assert server.refused > 5
    assert server.most_open <= 5
    assert server.most_within(1) <= 20 + 1
