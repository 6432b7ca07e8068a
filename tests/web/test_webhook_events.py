"""What is told of documents: one event for each thing that was done to one, as it was done."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inventory_api.domain.events import DOCUMENT_TYPES
from inventory_api.workers.expiry import expire_some
from tests.databases import Template
from tests.outbound.peer import Peer, reply
from tests.polling import until_told
from tests.web.shop import JSON, Shop, open_demo
from tests.webhook_receiver import ALLOWED, received


@pytest.fixture
async def calling(demo: Template, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_demo(demo, tmp_path, **ALLOWED) as shop:
        yield shop


class Listener:
    """A receiver of every event of documents."""

    def __init__(self, shop: Shop, peer: Peer) -> None:
        self._shop = shop
        self._peer = peer
        self._id = ""

    async def begin(self, **fields: JSON) -> None:
        body = {"url": self._peer.url, "events": list(DOCUMENT_TYPES), **fields}
        self._id = (await self._shop.http.post("/v1/webhooks", json=body)).json()["id"]

    async def events(self) -> list[JSON]:
        """All of them, once everything that happened so far was delivered."""
        head = await self._shop.head()

        async def is_done() -> bool:
            shown = await self._shop.get(f"/v1/webhooks/{self._id}")
            return bool(shown["position"] >= head)

        await until_told(is_done)
        return [one.event for one in received(self._peer)]


@pytest.fixture
async def listener(calling: Shop) -> AsyncIterator[Listener]:
    async with Peer(reply(200)) as peer:
        yield Listener(calling, peer)


async def post(shop: Shop, path: str, body: JSON = None) -> JSON:
    answer = await shop.http.post(path, json=body or {})
    assert answer.is_success, answer.text
    return answer.json()


def lines(*quantities: int) -> list[JSON]:
    return [{"sku": f"P00{n}", "quantity": units} for n, units in enumerate(quantities, 1)]


async def test_a_reservation_is_told_of_from_its_beginning_to_its_end(
    calling: Shop, listener: Listener
) -> None:
    await listener.begin()
    made = await post(calling, "/v1/reservations", {"reference": "cart:1", "lines": lines(2, 3)})
    path = "/v1/reservations/by-reference/cart:1"
    await calling.http.put(path, json={"lines": lines(1, 3)})
    for verb in ("confirm", "fulfill"):
        await post(calling, f"/v1/reservations/{made['id']}/{verb}")
    other = await post(calling, "/v1/reservations", {"lines": lines(1)})
    await post(calling, f"/v1/reservations/{other['id']}/release")
    await post(calling, "/v1/reservations", {"lines": lines(1, 1), "ttl_s": 10})
    calling.clock.move(seconds=11)
    await expire_some(calling.service)

    events = await listener.events()

    assert [one["type"].partition(".")[2] for one in events] == [
        "created",
        "changed",
        "confirmed",
        "fulfilled",
        "created",
        "released",
        "created",
        "expired",
    ]
    first = events[0]["data"]
    assert (first["reservation_id"], first["reference"]) == (made["id"], "cart:1")
    assert first["line_count"] == len(first["lines"]) == 2
    assert first["lines"][1]["delta"]["reserved"] == 3


async def test_a_cart_that_is_emptied_is_released(calling: Shop, listener: Listener) -> None:
    await listener.begin()
    path = "/v1/reservations/by-reference/cart:1"
    for wanted in (lines(2, 3), lines(1), []):
        assert (await calling.http.put(path, json={"lines": wanted})).is_success

    _, changed, released = await listener.events()

    assert changed["type"] == "reservation.changed"
    assert released["type"] == "reservation.released"
    assert released["data"]["reservation_id"] == changed["data"]["reservation_id"]
    assert [one["delta"]["reserved"] for one in released["data"]["lines"]] == [-1]


async def test_transfers_and_counts_are_told_of_and_inbounds_are_not(
    calling: Shop, listener: Listener
) -> None:
    await listener.begin()
    body = {"from": "main", "to": "store-1", "lines": lines(5)}
    shipped = await post(calling, "/v1/transfers", body)
    await post(calling, f"/v1/transfers/{shipped['id']}/receive", {"lines": lines(2)})
    await post(calling, f"/v1/transfers/{shipped['id']}/cancel")
    line = {"sku": "P001", "from": "main", "to": "store-1", "quantity": 1}
    await calling.transfer(line)
    expected = await post(
        calling, "/v1/inbounds", {"lines": [{"sku": "P001", "location": "main", "quantity": 1}]}
    )
    await post(calling, f"/v1/inbounds/{expected['id']}/receive")
    sheet = await post(calling, "/v1/counts", {"skus": ["P002"]})
    counted = {"lines": [{"sku": "P002", "counted": 199}]}
    await post(calling, f"/v1/counts/{sheet['id']}/lines", counted)
    await post(calling, f"/v1/counts/{sheet['id']}/post")

    events = await listener.events()

    assert [one["type"] for one in events] == [
        "transfer.shipped",
        "transfer.received",
        "transfer.cancelled",
        "transfer.completed",
        "count.posted",
    ]
    assert events[0]["data"]["operation_id"] == shipped["id"]
    assert {one["data"]["reference"] for one in events[:3]} == {f"transfer:{shipped['id']}"}
    assert events[-1]["data"]["reference"] == f"count:{sheet['id']}"


async def test_a_receipt_of_which_the_first_line_got_lost_is_a_receipt(
    calling: Shop, listener: Listener
) -> None:
    await listener.begin(events=["transfer.received"])
    body = {"from": "main", "to": "store-1", "lines": lines(2, 2)}
    shipped = await post(calling, "/v1/transfers", body)
    lost = {"sku": "P001", "quantity": 0, "missing": 2, "reason": "lost"}
    arrived = {"sku": "P002", "quantity": 2}
    await post(calling, f"/v1/transfers/{shipped['id']}/receive", {"lines": [lost, arrived]})

    (event,) = await listener.events()

    assert {line["sku"] for line in event["data"]["lines"]} == {"P001", "P002"}


async def test_a_filter_looks_behind_the_lines_that_an_event_shows(
    calling: Shop, listener: Listener
) -> None:
    await listener.begin(skus=["P003"])
    moved = [{"sku": "P002", "from": "main", "to": "store-1", "quantity": 1}] * 50
    await calling.transfer(*moved)
    last = {"sku": "P003", "from": "main", "to": "store-1", "quantity": 1}
    await calling.transfer(*moved, last)

    (event,) = await listener.events()

    assert event["data"]["line_count"] == 102
    assert {line["sku"] for line in event["data"]["lines"]} == {"P002"}
