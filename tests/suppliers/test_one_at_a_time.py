"""One pull of a supplier at a time, and none that stays under way for ever."""

import asyncio
import json
import logging

import pytest

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session
from inventory_api.store.leases import give_back
from inventory_api.store.supplier_runs import lease_of, list_runs
from inventory_api.store.suppliers import find_supplier
from inventory_api.suppliers.pull import pull as pull_begun
from inventory_api.suppliers.runs import begin, tidy
from tests.polling import until_told
from tests.suppliers.feed_server import Asked, FeedServer, Told, listed
from tests.suppliers.feeds import add_supplier, pull, stock
from tests.web.served import served
from tests.web.shop import JSON, Shop, http_client, problem


class Gate:
    """Answers when it is opened."""

    def __init__(self, told: Told) -> None:
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        self._told = told

    async def __call__(self, _: Asked) -> Told:
        self.reached.set()
        await self.opened.wait()
        return self._told


async def test_a_second_pull_is_refused_while_one_is_under_way(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    server.answer = gate = Gate(listed({"P001": 1}))
    first = asyncio.create_task(pull(shop))
    await gate.reached.wait()

    second = await shop.http.post("/v1/suppliers/acme/pull")
    gate.opened.set()

    assert problem(second, 409)["code"] == "pull_running"
    assert (await first)["status"] == "complete"
    assert (await pull(shop))["status"] == "complete"


async def test_a_retry_under_the_same_key_pulls_nothing_and_tells_the_report(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    headers = {"Idempotency-Key": "once"}

    first = await shop.http.post("/v1/suppliers/acme/pull", headers=headers)
    again = await shop.http.post("/v1/suppliers/acme/pull", headers=headers)

    assert again.headers["idempotent-replayed"] == "true"
    assert json.loads(again.text) == json.loads(first.text.splitlines()[-1])
    assert len(server.asked) == 1


async def test_who_hangs_up_ends_the_pull_and_nothing_is_booked(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    server.answer = gate = Gate(listed({"P001": 1}))
    first = asyncio.create_task(pull(shop))
    await gate.reached.wait()

    first.cancel()
    await asyncio.wait([first])

    (run,) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
    assert (run["status"], run["error"], run["applied"]) == ("failed", "cancelled", False)
    server.answer = lambda _: listed({"P001": 2})
    assert (await pull(shop))["status"] == "complete"


async def test_a_connection_that_is_closed_ends_the_pull(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    server.answer = gate = Gate(listed({"P001": 1}))
    async with served(shop.service) as it:
        async with it.request("POST", "/v1/suppliers/acme/pull", "Content-Length: 0"):
            await gate.reached.wait()

        async def has_ended() -> bool:
            (run,) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
            return bool(run["status"] != "running")

        await until_told(has_ended)

    (run,) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
    assert (run["status"], run["error"], run["applied"]) == ("failed", "cancelled", False)
    assert await stock(shop) == {}


async def test_a_stop_ends_the_pull_and_its_answer_which_tells_why(
    shop: Shop, server: FeedServer, caplog: pytest.LogCaptureFixture
) -> None:
    await add_supplier(shop, server, schedule_s=3600)
    server.answer = gate = Gate(listed({"P001": 1}))
    async with (
        served(shop.service) as it,
        it.request("POST", "/v1/suppliers/acme/pull", "Content-Length: 0") as pulling,
    ):
        await gate.reached.wait()

        it.streams.cut()
        shop.service.stopping_since = asyncio.get_running_loop().time()
        await pulling.head()
        last = json.loads((await pulling.rest()).splitlines()[-1])

    assert (last["end"], last["status"], last["error"]) == (True, "failed", "draining")
    assert [one.levelname for one in caplog.records if one.levelno >= logging.ERROR] == []
    async with shop.service.reading() as session:
        supplier = await find_supplier(session, "acme")
    assert supplier is not None
    assert (supplier.failures, supplier.due_at) == (0, shop.service.clock())


async def test_a_pull_that_ends_while_it_books_is_done_again_and_each_level_is_set_once(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    server.answer = lambda _: listed({f"P00{number}": number for number in range(1, 6)})
    shop.service.settings = shop.service.settings.model_copy(update={"supplier_chunk_rows": 1})
    begun = await begin(shop.service, "acme", actor="test")

    def hang_up(progress: JSON) -> None:
        if progress["changed"] == 2:
            first.cancel()

    first = asyncio.create_task(pull_begun(shop.service, begun, is_forced=False, tell=hang_up))
    await asyncio.wait([first])
    booked = len(await stock(shop))
    run = await pull(shop)

    assert 2 <= booked < 5
    assert (run["changed"], run["unchanged"]) == (5 - booked, booked)
    levels = await shop.walk("/v1/stock", location="acme")
    assert [(one["sku"], one["on_hand"]) for one in levels] == [
        (f"P00{number}", number) for number in range(1, 6)
    ]
    assert {one["version"] for one in levels} == {1}


async def test_a_caller_with_too_many_streams_leaves_no_pull_behind(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server)
    streams = shop.service.settings.streams_per_key_max
    edge_is_full = shop.service.settings.model_copy(update={"streams_per_key_max": 0})
    shop.service.settings = edge_is_full
    async with http_client(shop.service) as http:
        answer = await http.post("/v1/suppliers/acme/pull")
    shop.service.settings = edge_is_full.model_copy(update={"streams_per_key_max": streams})

    assert problem(answer, 503)["code"] == "overloaded"
    assert (await pull(shop))["status"] == "complete"


async def test_what_a_process_left_under_way_is_written_off_by_the_next_one(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, schedule_s=3600)
    begun = await begin(shop.service, "acme", actor="test")
    assert begun.run is not None
    if shop.service.database.is_shared:
        await forget_lease(shop, begun.run.id)

    await tidy(shop.service)

    (run,) = (await shop.get("/v1/suppliers/acme/runs"))["items"]
    assert (run["status"], run["error"]) == ("failed", "interrupted")
    assert (await pull(shop))["status"] == "complete"


async def test_who_was_overtaken_by_another_process_books_nothing(
    shop: Shop, server: FeedServer
) -> None:
    if not shop.service.database.is_shared:
        return
    await add_supplier(shop, server)
    server.answer = gate = Gate(listed({"P001": 1}))
    begun = await begin(shop.service, "acme", actor="slow")
    slow = asyncio.create_task(
        pull_begun(shop.service, begun, is_forced=False, tell=lambda _: None)
    )
    await gate.reached.wait()
    assert begun.run is not None
    await forget_lease(shop, begun.run.id)
    server.answer = lambda _: listed({"P001": 2})
    assert (await pull(shop))["status"] == "complete"

    gate.opened.set()
    await slow

    assert await stock(shop) == {"P001": 2}
    async with shop.service.reading() as session:
        runs = await list_runs(session, "acme", before=None, limit=10)
    assert sorted((run.status, run.error) for run in runs) == [
        ("complete", None),
        ("failed", "interrupted"),
    ]


async def forget_lease(shop: Shop, run_id: str) -> None:
    """As if its time were over."""

    async def work(session: Session, now: Instant) -> Outcome:
        await give_back(session, lease_of("acme"), run_id)
        return Outcome(b"{}")

    await shop.service.transact(work, actor="test")


async def test_reports_are_kept_so_many(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server)
    shop.service.settings = shop.service.settings.model_copy(update={"supplier_runs_kept": 2})

    ids = [(await pull(shop))["id"] for _ in range(4)]

    runs = await shop.walk("/v1/suppliers/acme/runs", limit=1)
    assert [run["id"] for run in runs] == [ids[3], ids[2]]
