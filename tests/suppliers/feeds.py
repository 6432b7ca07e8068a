"""A shop that pulls a supplier on this machine."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.types import Instant
from inventory_api.service import Service
from inventory_api.store.database import Session
from inventory_api.store.importing import Entry, import_items
from tests.suppliers.feed_server import FeedServer
from tests.web.shop import JSON, Shop

# What is on this machine may be called, by http too.
PRIVATE: dict[str, Any] = {
    "outbound_private_hosts": ("127.0.0.1",),
    "outbound_http_hosts": ("127.0.0.1",),
    "outbound_retry_pause_s": 0.01,
    "change_deadline_s": 60,
    "check_deadline_s": 60,
}
SHAPE = {"rows": "items", "sku": "sku", "quantity": "quantity"}
SECRET = "tell-nobody-4711"
ENVIRONMENT = {"INVENTORY_SUPPLIER_SECRET_ACME": SECRET, "PATH": "/bin"}


async def add_supplier(shop: Shop, server: FeedServer, **fields: JSON) -> JSON:
    """A supplier with the code `acme`, whose list is one JSON document."""
    body = {"code": "acme", "url": server.url, "format": "json", "shape": SHAPE}
    body |= {"limits": {"concurrency": 5, "rate_per_s": 1000}, **fields}
    answer = await shop.http.post("/v1/suppliers", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def change(shop: Shop, **fields: JSON) -> JSON:
    answer = await shop.http.patch("/v1/suppliers/acme", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pull(shop: Shop, *, force: bool = False) -> JSON:
    """The report of a pull."""
    return (await pull_lines(shop, force=force))[-1]


async def pull_lines(shop: Shop, *, force: bool = False) -> list[JSON]:
    answer = await shop.http.post(
        "/v1/suppliers/acme/pull", json={"force": force}, timeout=httpx.Timeout(300)
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def stock(shop: Shop, location: str = "acme") -> dict[str, int]:
    """What is on hand at a location, by SKU."""
    levels = await shop.walk("/v1/stock", location=location, limit=1000)
    return {level["sku"]: level["on_hand"] for level in levels}


async def add_items(service: Service, skus: Sequence[str]) -> None:
    for start in range(0, len(skus), 5_000):
        entries = [Entry({"sku": sku, "name": sku}) for sku in skus[start : start + 5_000]]

        async def work(session: Session, now: Instant, entries: list[Entry] = entries) -> Outcome:
            await import_items(session, entries, actor="test", default_currency="CNY", now=now)
            return Outcome(b"{}")

        await service.transact(work, actor="test")


def csv(levels: Mapping[str, JSON]) -> bytes:
    lines = ["sku,quantity", *(f"{sku},{units}" for sku, units in levels.items())]
    return "\n".join(lines).encode() + b"\n"


def ndjson(levels: Mapping[str, JSON], *rest: JSON) -> bytes:
    rows = [{"sku": sku, "quantity": units} for sku, units in levels.items()]
    return b"".join(json.dumps(row).encode() + b"\n" for row in [*rows, *rest])


async def with_peak(shop: Shop) -> tuple[int, JSON]:
    """A pull, and the most memory that the process had meanwhile."""
    seen = [rss_bytes()]

    async def watch() -> None:
        while True:
            seen.append(rss_bytes())
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    run = await pull(shop)
    watching.cancel()
    return max(seen), run


def rss_bytes() -> int:
    fields: Sequence[str] = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096
