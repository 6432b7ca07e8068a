"""Tests the replenishment report on a year of a real shop, against a plain fixed rule.

The first nine months of *Online Retail II* (benchmarks/replay_online_retail.py tells where it is
from) are sent to a running service. Its report says when to reorder what; then the last hundred days
are lived through with that, and with a plain rule. Start a service on an empty database:

    python -m inventory_api serve --port 8000 --database-url sqlite+aiosqlite:///shop.db
    python -m benchmarks.replay_replenishment --csv online_retail.csv --url http://127.0.0.1:8000

Once the rules of the first day stay in force; once each month's sales are sent too, and both are
made anew on its first day. What came out is in docs/replenishment-report.md.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console

from benchmarks.replay.forecast import Opening, opening_stock
from benchmarks.replay.restock import Result, Rule, Rules, plain_rules, sales_of, simulate, table
from benchmarks.replay.run import send
from benchmarks.replay.service import ReplayError, Service, ndjson
from benchmarks.replay.shop import GOODS, Invoice, Line, Shop, read_shop
from benchmarks.replay_online_retail import connect

BOUNDARIES = tuple(datetime(2010, month, 1, tzinfo=UTC) for month in (9, 10, 11, 12))
LAST_DAY = date(2010, 12, 9)
REVIEW_DAYS = 7
SERVICE_LEVELS = ("0.80", "0.90", "0.95", "0.98")
PLAIN_DAYS = (14, 21, 28, 42)

console = Console(stderr=True)


def main(
    csv: Annotated[Path, typer.Option(help="the file, plain or gzipped", exists=True)],
    url: Annotated[str, typer.Option(help="the service")] = "http://127.0.0.1:8000",
    in_flight: Annotated[int, typer.Option(min=1, max=1000, help="invoices at a time")] = 64,
    lead_time_days: Annotated[int, typer.Option(min=1, help="from order to shelf")] = 14,
    days: Annotated[int, typer.Option(min=1, help="that the report looks at")] = 90,
) -> None:
    """Fill, ask, live through the days, compare."""
    try:
        shop = read_shop(csv)
        reports = asyncio.run(fill_and_ask(shop, url, in_flight, lead_time_days, days))
    except (ValueError, httpx.HTTPError, ReplayError) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}")
        raise typer.Exit(2) from error
    print(compare(shop, reports, lead_time_days))


async def fill_and_ask(
    shop: Shop, url: str, in_flight: int, lead_time_days: int, days: int
) -> dict[date, dict[str, Rules]]:
    """The report's rules on each boundary, by service level, from what was sold before it."""
    reports: dict[date, dict[str, Rules]] = {}
    async with connect(url, in_flight, Service) as service:
        await service.create_location()
        await service.create_items(shop.items.values())
        for invoice in openings(shop):
            await service.book(invoice)
        since = datetime.min.replace(tzinfo=UTC)
        for until in BOUNDARIES:
            sent = [one for one in shop.invoices if since <= one.occurred_at < until]
            console.print(f"{len(sent):,} invoices before {until:%Y-%m-%d}")
            await send(sent, service, in_flight=in_flight, ordered=False, advance=lambda _: None)
            since = until
            reports[until.date()] = {
                level: await ask(service, until, level, lead_time_days, days)
                for level in SERVICE_LEVELS
            }
    return reports


def openings(shop: Shop) -> list[Invoice]:
    """All that ever leaves, put on the shelf on the day of the good's first line.

    So the ledger knows how long each good has been there, and refuses no sale.
    """
    first: dict[tuple[str, str], datetime] = {}
    for invoice in shop.invoices:
        for line in invoice.lines:
            known = first.get((line.sku, line.location), invoice.occurred_at)
            first[line.sku, line.location] = min(known, invoice.occurred_at)
    by_day: dict[date, list[Line]] = {}
    for (sku, location), units in opening_stock(shop, Opening.AMPLE).items():
        line = Line(sku, location, units, "opening_balance")
        by_day.setdefault(first[sku, location].date(), []).append(line)
    midnight = datetime.min.time().replace(tzinfo=UTC)
    return [
        Invoice(f"opening:{day}", datetime.combine(day, midnight), lines)
        for day, lines in sorted(by_day.items())
    ]


async def ask(
    service: Service, until: datetime, level: str, lead_time_days: int, days: int
) -> dict[str, Rule]:
    """The report, as rules."""
    query: dict[str, str | int] = {
        "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        "days": days,
        "service_level": level,
        "lead_time_days": lead_time_days,
        "review_days": REVIEW_DAYS,
        "location": GOODS,
        "classes": "none",
        "format": "ndjson",
    }
    rules = {}
    with service.client() as http:
        async with http.stream("GET", "/v1/reports/replenishment", params=query) as response:
            if response.status_code != httpx.codes.OK:
                raise ReplayError(f"{response.status_code} {(await response.aread()).decode()}")
            async for row in ndjson(response.aiter_bytes()):
                if "sku" in row:
                    rules[row["sku"]] = Rule(row["reorder_point"], row["order_up_to"])
    return rules


def compare(shop: Shop, reports: dict[date, dict[str, Rules]], lead_time_days: int) -> str:
    """Both tables: the rules of the first day all the time, and made anew each month."""
    sales = sales_of(shop)
    start = BOUNDARIES[0].date()
    days = [start + timedelta(days=n) for n in range((LAST_DAY - start).days + 1)]
    skus = sorted(sku for sku, sold in sales.items() if min(sold) < start)

    def tried(rules: dict[date, Rules]) -> Result:
        return simulate(sales, rules, skus, days, lead_time_days=lead_time_days)

    lately = BOUNDARIES[0].date() - timedelta(days=90)
    running = sum(any(lately <= day < start for day in sales[sku]) for sku in skus)
    parts = [
        f"{len(skus):,} goods sold before {start}, {running:,} of them in the 90 days before it;"
        f" {len(days)} days; lead time {lead_time_days} days."
    ]
    for title, boundaries in (
        (f"Rules of {start} all the time", BOUNDARIES[:1]),
        ("Rules made anew on the first of each month", BOUNDARIES),
    ):
        found: list[tuple[str, Result]] = []
        for plain in PLAIN_DAYS:
            rules: dict[date, Rules] = {
                at.date(): plain_rules(sales, skus, at, days=plain, review_days=REVIEW_DAYS)
                for at in boundaries
            }
            found.append((f"plain, {plain} days", tried(rules)))
        for level in SERVICE_LEVELS:
            rules = {at.date(): reports[at.date()][level] for at in boundaries}
            found.append((f"report, {level}", tried(rules)))
        parts.append(f"### {title}\n\n{table(found)}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    typer.run(main)
