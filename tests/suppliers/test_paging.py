"""Lists in pages, within the limits of the supplier's server."""

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.databases import Template
from tests.suppliers.feed_server import (
    Asked,
    FeedServer,
    Limited,
    Told,
    listed,
    quantity,
    sku,
)
from tests.suppliers.feeds import (
    ENVIRONMENT,
    PRIVATE,
    SHAPE,
    add_items,
    add_supplier,
    change,
    pull,
    rss_bytes,
    stock,
    with_peak,
)
from tests.web.shop import Shop, open_demo

SKUS = ("P001", "P002", "P003", "P004", "P005")
TOTAL = {**SHAPE, "total": "total"}


def pages(asked: Asked, *, by: str, total: int | None = None) -> Told:
    """Two of the five items for each page, by number or by offset."""
    first = int(asked.query["offset"]) if by == "offset" else 2 * (int(asked.query["page"]) - 1)
    return listed(dict.fromkeys(SKUS[first : first + 2], 3), total=total)


@pytest.mark.parametrize("total", [None, 5], ids=["until-empty", "declared"])
@pytest.mark.parametrize("by", ["page", "offset"])
async def test_numbered_pages_are_pulled_to_their_end(
    shop: Shop, server: FeedServer, by: str, total: int | None
) -> None:
    paging = {"kind": by, "parameter": by, "size": 2, "size_parameter": "limit"}
    await add_supplier(shop, server, paging=paging, shape=TOTAL if total else SHAPE)
    server.answer = lambda asked: pages(asked, by=by, total=total)

    run = await pull(shop)

    assert (run["status"], run["rows"]) == ("complete", 5)
    assert await stock(shop) == dict.fromkeys(SKUS, 3)
    assert {asked.query["limit"] for asked in server.asked} == {"2"}
    if total:
        assert len(server.asked) == 3


def linked(*names: str) -> "dict[str, Told]":
    """Pages of one item each; each names the next by a link of another kind."""
    links = {name: f"/stock?at={following}" for name, following in pairwise(names)}
    return {
        name: Told(
            json.dumps(
                {
                    "items": [{"sku": name, "quantity": 3}],
                    "links": {"next": links.get(name)},
                }
            ).encode()
        )
        for name in names
    }


async def test_linked_pages_are_pulled_to_their_end(shop: Shop, server: FeedServer) -> None:
    shape = {**SHAPE, "next": "links.next"}
    await add_supplier(shop, server, paging={"kind": "next"}, shape=shape)
    told = linked("P001", "P002", "P003")
    server.answer = lambda asked: told[asked.query.get("at", "P001")]

    assert (await pull(shop))["pages"] == 3
    assert await stock(shop) == {"P001": 3, "P002": 3, "P003": 3}


async def test_links_that_go_round_in_a_circle_are_refused(shop: Shop, server: FeedServer) -> None:
    shape = {**SHAPE, "next": "links.next"}
    await add_supplier(shop, server, paging={"kind": "next"}, shape=shape)
    body = {"items": [], "links": {"next": "/stock?a"}}
    server.answer = lambda _: Told(json.dumps(body).encode())

    assert (await pull(shop))["error"] == "malformed"
    assert len(server.asked) == 2


async def test_a_total_that_changes_meanwhile_refuses_the_list(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, paging={"kind": "page", "size": 2}, shape=TOTAL)
    server.answer = lambda asked: pages(asked, by="page", total=4 + int(asked.query["page"]))

    assert (await pull(shop))["error"] == "changed"
    assert await stock(shop) == {}


async def test_rows_behind_a_page_that_is_not_full_refuse_a_list_by_offset(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, paging={"kind": "offset", "parameter": "offset", "size": 3})
    server.answer = lambda asked: pages(asked, by="offset")

    assert (await pull(shop))["error"] == "malformed"
    assert await stock(shop) == {}


async def test_a_list_of_more_pages_than_allowed_is_refused(
    demo: Template, tmp_path: Path, server: FeedServer
) -> None:
    async with open_demo(demo, tmp_path, ENVIRONMENT, **PRIVATE, supplier_pages_max=3) as shop:
        await add_supplier(shop, server, paging={"kind": "page", "size": 2})

        assert (await pull(shop))["error"] == "too_large"


async def test_a_supplier_is_called_within_its_limits_whatever_it_answers(shop: Shop) -> None:
    await stays_within(shop, rows=5_000, size=500, refuses_every=6)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_100_000_rows_are_pulled_within_5_calls_at_once_and_20_a_second(
    shop: Shop,
) -> None:
    await stays_within(shop, rows=100_000, size=500, refuses_every=40)


async def stays_within(shop: Shop, *, rows: int, size: int, refuses_every: int) -> None:
    """Pull so many rows from a server that counts, and refuses now and then without a reason."""
    limited = Limited(rows, size=size, refuses_every=refuses_every, work_s=0.3)
    await add_items(shop.service, [sku(number) for number in range(rows)])
    async with FeedServer(limited) as server:
        paging = {"kind": "page", "size": size}
        limits = {"concurrency": 5, "rate_per_s": 20}
        await add_supplier(shop, server, paging=paging, shape=TOTAL, limits=limits)
        before, started = rss_bytes(), time.perf_counter()

        peak, run = await with_peak(shop)

        seconds = time.perf_counter() - started
    print(  # noqa: T201 - the figures are the point
        f"{rows} rows, {len(limited.arrivals_s)} calls in {seconds:.1f} s,"
        f" {limited.violations} violations, {limited.refused} refused,"
        f" at once {limited.open_max}, in a second {limited.busiest_second},"
        f" calls took {limited.arrivals_s[-1] - limited.arrivals_s[0]:.1f} s,"
        f" memory {before >> 20} to {peak >> 20} MiB"
    )
    assert (run["status"], run["rows"], run["changed"]) == ("complete", rows, rows)
    assert limited.violations == 0
    assert limited.refused > 0
    assert limited.open_max <= 5
    # As fast as the rate allows, but for the pauses that the server asked for, and no faster.
    calling_s = limited.arrivals_s[-1] - limited.arrivals_s[0]
    assert calling_s >= (len(limited.arrivals_s) - 1) / 20 * 0.99
    # The driver's and the committer's buffers grow with the chunk, not with the list.
    assert peak - before < 60 << 20
    levels = await stock(shop)
    assert levels == {sku(number): quantity(number) for number in range(rows)}


async def test_pages_of_a_moving_list_that_overlap_count_once(
    shop: Shop, server: FeedServer
) -> None:
    await add_supplier(shop, server, paging={"kind": "page", "size": 3})
    parts = {"1": {"P001": 1, "P002": 2}, "2": {"P002": 2, "P003": 3}}
    server.answer = lambda asked: listed(parts.get(asked.query["page"], {}))

    assert (await pull(shop))["bad"] == 0
    assert await stock(shop) == {"P001": 1, "P002": 2, "P003": 3}


async def test_a_page_may_name_its_size_in_the_url_already(shop: Shop, server: FeedServer) -> None:
    await add_supplier(shop, server, url=f"{server.url}?per=2", paging={"kind": "page", "size": 2})
    server.answer = lambda asked: pages(asked, by="page")
    await change(shop, limits={"concurrency": 1})

    assert (await pull(shop))["rows"] == 5
    assert {asked.query["per"] for asked in server.asked} == {"2"}
