"""A supplier with codes of its own, and very many of them."""

import time

import pytest

from tests.suppliers.feed_server import FeedServer, Told, quantity, sku
from tests.suppliers.feeds import add_items, add_supplier, csv, rss_bytes, stock, with_peak
from tests.web.shop import Shop


async def test_two_thousand_codes_are_mapped(shop: Shop, server: FeedServer) -> None:
    await maps(shop, server, rows=2_000)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_codes_are_mapped_in_flat_memory(
    shop: Shop, server: FeedServer
) -> None:
    await maps(shop, server, rows=100_000)


async def maps(shop: Shop, server: FeedServer, *, rows: int) -> None:
    """Map so many codes, and pull a list in one document that uses them."""
    await add_items(shop.service, [sku(number) for number in range(rows)])
    await add_supplier(shop, server, format="csv", unmapped="unknown")
    started = time.perf_counter()
    for first in range(0, rows, 10_000):
        last = min(first + 10_000, rows)
        codes = [{"code": f"A/{n}", "sku": sku(n)} for n in range(first, last)]
        put = await shop.http.put("/v1/suppliers/acme/codes", json={"codes": codes})
        assert put.json()["codes"] == last
    mapped = time.perf_counter()
    server.answer = lambda _: Told(csv({f"A/{n}": quantity(n) for n in range(rows)}))
    before = rss_bytes()

    peak, run = await with_peak(shop)

    print(  # noqa: T201 - the figures are the point
        f"{rows} codes set in {mapped - started:.1f} s, pulled in {time.perf_counter() - mapped:.1f}"
        f" s, memory {before >> 20} to {peak >> 20} MiB"
    )
    assert (run["status"], run["changed"], run["unknown"]) == ("complete", rows, 0)
    assert peak - before < 60 << 20
    assert await stock(shop) == {sku(number): quantity(number) for number in range(rows)}
