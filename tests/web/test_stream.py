"""The live stream over HTTP: where it begins, what it sends, and why it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from inventory_api.app import create_app
from inventory_api.domain.principal import Principal
from inventory_api.domain.unavailable import StorageUnreachable
from tests.databases import Template
from tests.event_stream import Event, EventReader
from tests.polling import until
from tests.web.served import Dialogue, Served, served
from tests.web.shop import HOST, JSON, Shop, open_demo, problem, wrong_fields

PATH = "/v1/movements/stream"
HEAD = 5


class Reader:
    """An open stream of server-sent events."""

    def __init__(self, dialogue: Dialogue, head: bytes) -> None:
        self.head = head
        self.events = EventReader()
        self._dialogue = dialogue
        self._unread: list[Event] = []

    async def next(self) -> Event:
        while not self._unread:
            chunk = await self._dialogue.chunk()
            assert chunk, "it has ended"
            self._unread = self.events.feed(chunk)
        return self._unread.pop(0)

    async def movement(self) -> JSON:
        """The next movement, whatever heartbeats come before it."""
        while (event := await self.next()).name == "position":
            pass
        assert event.name == "movement", event
        assert event.id == str(event.data["seq"])
        return event.data

    async def numbers(self, count: int) -> list[int]:
        return [(await self.movement())["seq"] for _ in range(count)]

    async def last(self) -> Event:
        """The last event; the stream has to end properly behind it."""
        rest = await self._dialogue.rest()
        return [*self._unread, *self.events.feed(rest)][-1]


@asynccontextmanager
async def reading(server: Served, query: str = "", *headers: str) -> AsyncIterator[Reader]:
    """A stream that has begun."""
    async with server.request("GET", PATH + query, *headers) as dialogue:
        head = await dialogue.head()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        yield Reader(dialogue, head)


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[Served]:
    async with served(shop.service) as server:
        yield server


@asynccontextmanager
async def hasty(
    demo: Template, folder: Path, **settings: JSON
) -> AsyncIterator[tuple[Shop, Served]]:
    """A server whose streams beat often, or have other settings."""
    chosen = {"stream_heartbeat_s": 0.05, **settings}
    async with open_demo(demo, folder, **chosen) as shop, served(shop.service) as server:
        yield shop, server


async def receive(shop: Shop, sku: str = "P001", location: str = "main", count: int = 1) -> None:
    line = {"sku": sku, "location": location, "delta": 1}
    answer = await shop.adjust(*[line] * count)
    assert answer.status_code == 200, answer.text


async def test_a_stream_begins_at_the_head_and_sends_what_the_list_shows(
    shop: Shop, server: Served
) -> None:
    async with reading(server) as reader:
        start = await reader.next()
        await receive(shop)
        movement = await reader.movement()

    assert start == Event("position", str(HEAD), {"position": HEAD})
    assert reader.events.retry_ms == 1_000
    assert movement == (await shop.get("/v1/movements", after=HEAD))["items"][0]
    assert b"content-type: text/event-stream\r\n" in reader.head
    assert b"cache-control: no-store\r\n" in reader.head
    assert b"x-accel-buffering: no\r\n" in reader.head


@pytest.mark.parametrize(
    ("query", "header"),
    [
        ("?after=2", None),
        ("", "Last-Event-ID: 2"),
        # A browser comes back with the old address.
        ("?after=4", "Last-Event-ID: 2"),
        ("?after=0&format=sse", "last-event-id:2"),
    ],
)
async def test_a_stream_goes_on_behind_a_position_and_the_header_counts_first(
    shop: Shop, server: Served, query: str, header: str | None
) -> None:
    async with reading(server, query, *([header] if header else [])) as reader:
        past = await reader.numbers(3)
        await receive(shop)
        new = await reader.numbers(1)

    assert (past, new) == ([3, 4, 5], [6])


@pytest.mark.parametrize("how", ["?format=ndjson", "Accept: application/x-ndjson"])
async def test_a_script_gets_a_line_for_each_movement(shop: Shop, server: Served, how: str) -> None:
    query, headers = (how, ()) if how.startswith("?") else ("", (how,))
    async with server.request("GET", PATH + query, *headers) as dialogue:
        head = await dialogue.head()
        start = json.loads(await dialogue.chunk())
        await receive(shop)
        line = await dialogue.chunk()

    assert b"content-type: application/x-ndjson\r\n" in head
    assert start == {"event": "position", "position": HEAD}
    assert line.endswith(b"\n")
    assert json.loads(line) == (await shop.get("/v1/movements", after=HEAD))["items"][0]


@pytest.mark.parametrize(
    "value",
    ["", "-1", "1.0", "+1", "1 2", "x", "5x", "0x5", "1" * 19, "9" * 5_000, "null", "٣", "6"],
)
async def test_an_id_that_no_event_of_this_ledger_had_is_refused_by_its_header(
    shop: Shop, value: str
) -> None:
    headers = {b"Last-Event-ID": value.encode()}
    answer = await shop.http.get(PATH, headers=headers)

    assert wrong_fields(answer) == ["Last-Event-ID"]


@pytest.mark.parametrize("after", ["6", str(2**63 - 1), str(2**63), "-1", "x"])
async def test_a_position_beyond_the_head_is_another_ledger_s_and_refused(
    shop: Shop, after: str
) -> None:
    answer = await shop.http.get(PATH, params={"after": after})

    assert wrong_fields(answer) == ["after"]


async def test_two_ids_are_refused(shop: Shop) -> None:
    headers = [("Last-Event-ID", "1"), ("Last-Event-ID", "2")]

    assert problem(await shop.http.get(PATH, headers=headers), 400)["code"] == "malformed_request"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sku=P002", [2, 7]),
        ("location=store-1", [8]),
        ("type=set", [9]),
        ("sku=P001&location=main&type=adjust", [1, 6]),
    ],
)
async def test_a_stream_has_only_what_is_wanted(
    shop: Shop, server: Served, query: str, expected: list[int]
) -> None:
    async with reading(server, f"?after=0&{query}") as reader:
        await reader.next()
        await receive(shop, "P001")
        await receive(shop, "P002")
        await receive(shop, "P001", "store-1")
        await shop.set({"sku": "P001", "on_hand": 9, "expected_on_hand": None})

        assert await reader.numbers(len(expected)) == expected


async def test_a_limited_key_sees_its_locations_only(shop: Shop, server: Served) -> None:
    header = await shop.make_key(scopes=["write"], locations=["store-1"])
    key = f"Authorization: {header['Authorization']}"
    async with reading(server, "?after=0", key) as reader:
        await reader.next()
        line = {"sku": "P001", "location": "store-1", "delta": 1}
        await shop.service.adjust([{"sku": "P001", "delta": 1}])
        await shop.service.adjust([line])
        seen = await reader.movement()
    refused = await shop.http.get(PATH, params={"location": "main"}, headers=header)

    assert (seen["seq"], seen["location"]) == (7, "store-1")
    assert problem(refused, 403)["code"] == "forbidden"


async def test_a_heartbeat_tells_how_far_a_stream_is_though_nothing_was_for_it(
    demo: Template, tmp_path: Path
) -> None:
    async with hasty(demo, tmp_path) as (shop, server), reading(server, "?sku=P005") as reader:
        await receive(shop, "P001", count=3)
        async with asyncio.timeout(30):
            while (event := await reader.next()).id != "8":
                assert event.name == "position"

    assert event == Event("position", "8", {"position": 8})
    assert reader.events.last_id == "8"


async def test_a_key_that_is_revoked_ends_its_stream_with_the_next_heartbeat(
    demo: Template, tmp_path: Path
) -> None:
    async with hasty(demo, tmp_path) as (shop, server):
        first = await shop.http.post("/v1/api-keys", json={"name": "owner", "scopes": ["admin"]})
        owner = {"Authorization": f"Bearer {first.json()['key']}"}
        body = {"name": "till", "scopes": ["read"]}
        till = (await shop.http.post("/v1/api-keys", json=body, headers=owner)).json()
        async with (
            reading(server, "", f"X-API-Key: {till['key']}") as revoked,
            reading(server, "", f"Authorization: {owner['Authorization']}") as other,
        ):
            await revoked.next()
            await shop.http.delete(f"/v1/api-keys/{till['id']}", headers=owner)

            ended = await revoked.last()
            await shop.service.adjust([{"sku": "P001", "delta": 1}])
            seen = await other.numbers(1)

    assert ended.name == "closing"
    assert ended.data == {"position": HEAD, "code": "unauthorized"}
    assert seen == [HEAD + 1]


async def test_a_key_that_can_not_be_asked_about_now_is_asked_about_again(
    demo: Template, tmp_path: Path
) -> None:
    async with hasty(demo, tmp_path) as (shop, _):
        app = create_app(shop.service)
        told = [StorageUnreachable(), StorageUnreachable()]

        async def owner(_: bytes | None) -> Principal | None:
            if told:
                raise told.pop()
            return None

        app.state.edge = replace(app.state.edge, owner=owner)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as http:
            answer = await http.get(PATH)

    events = EventReader().feed(answer.content)
    assert [one.name for one in events] == ["position"] * 3 + ["closing"]


async def test_a_key_that_expires_ends_its_stream(demo: Template, tmp_path: Path) -> None:
    async with hasty(demo, tmp_path) as (shop, server):
        header = await shop.make_key(scopes=["read"], expires_at="2023-11-14T23:00:00Z")
        async with reading(server, "", f"Authorization: {header['Authorization']}") as reader:
            await reader.next()
            shop.clock.move(3600)

            assert (await reader.last()).data["code"] == "unauthorized"


async def test_a_stream_without_a_key_ends_when_the_first_key_closes_the_service(
    demo: Template, tmp_path: Path
) -> None:
    async with hasty(demo, tmp_path) as (shop, server), reading(server) as reader:
        await shop.make_key(scopes=["read"])

        assert (await reader.last()).data["code"] == "unauthorized"


async def test_a_reader_that_is_too_slow_is_told_and_the_others_notice_nothing(
    demo: Template, tmp_path: Path
) -> None:
    count, batch = 2_000, 100
    settings = {"stream_buffer_movements": 2 * batch, "stream_heartbeat_s": 60}
    async with (
        hasty(demo, tmp_path, **settings) as (shop, server),
        reading(server) as slow,
        reading(server) as quick,
    ):
        seen = []
        for _ in range(count // batch):
            await receive(shop, count=batch)
            seen += await quick.numbers(batch)

        await slow.next()
        taken = 0
        while (event := await slow.next()).name == "movement":
            taken += 1
            assert event.id == str(HEAD + taken)
        # It goes on from where it was told that it was.
        async with reading(server, "", f"Last-Event-ID: {slow.events.last_id}") as again:
            rest = await again.numbers(count - taken)

    assert seen == list(range(HEAD + 1, HEAD + count + 1))
    assert event.name == "lagging"
    assert event.data == {"position": HEAD + taken, "code": "too_slow"}
    assert rest == list(range(HEAD + taken + 1, HEAD + count + 1))


async def test_a_reader_that_takes_nothing_is_given_up(demo: Template, tmp_path: Path) -> None:
    async with hasty(demo, tmp_path) as (shop, server):
        idle = await server.at_rest()
        async with reading(server):
            await receive(shop, count=2_000)

            await server.until_in_use(idle)


async def test_readers_that_hang_up_leave_nothing_behind(shop: Shop, server: Served) -> None:
    idle = await server.at_rest()

    async def open_and_leave(number: int) -> None:
        async with server.request("GET", f"{PATH}?after={number % HEAD}") as dialogue:
            if number % 3:
                await dialogue.head()
            if number % 3 == 2:
                await receive(shop)
                await dialogue.chunk()

    for start in range(0, 100, 20):
        await asyncio.gather(*(open_and_leave(start + number) for number in range(20)))

    await server.until_in_use(idle)
    registry = shop.service.metrics.registry
    assert registry.get_sample_value("inventory_feed_followers") == 0


async def test_the_end_of_the_service_is_told_and_readers_that_take_nothing_are_cut_off(
    shop: Shop, server: Served
) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as exits:
        readers = [await exits.enter_async_context(reading(server)) for _ in range(20)]
        stuck = await exits.enter_async_context(server.request("GET", PATH))
        await receive(shop, count=1_000)
        await readers[0].numbers(1_000)

        began = loop.time()
        server.streams.cut()
        ended = await asyncio.gather(*(one.last() for one in readers))
        await until(lambda: server.streams.count() == 0)
        seconds = loop.time() - began
        await stuck.head()
        with pytest.raises(asyncio.IncompleteReadError):
            await stuck.rest()

    assert {one.name for one in ended} == {"closing"}
    assert {one.data["code"] for one in ended} == {"draining"}
    assert seconds < 3  # one second, and what the machine needs besides


async def test_more_streams_than_a_key_may_have_are_refused_for_now(
    demo: Template, tmp_path: Path
) -> None:
    async with (
        hasty(demo, tmp_path, streams_per_key_max=1) as (_, server),
        reading(server),
        server.client() as client,
    ):
        refused = await client.get(PATH)

    assert problem(refused, 503)["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"


async def test_head_tells_what_get_would(shop: Shop, server: Served) -> None:
    async with server.client() as client:
        answer = await client.head(PATH)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert server.streams.count() == 0
