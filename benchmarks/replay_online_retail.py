"""Replays a year of a real shop through the HTTP interface and accounts for every unit.

The data is *Online Retail II* (D. Chen, UCI Machine Learning Repository, doi 10.24432/C5CG6D,
CC BY 4.0): 525,461 lines of 28,816 invoices of a British gift shop, 2009-12-01 to 2010-12-09. It
is not part of this repository: download it, save its first sheet as CSV in UTF-8, and start a
service on an empty database:

    python -m inventory_api serve --port 8000 --database-url sqlite+aiosqlite:///shop.db
    python benchmarks/replay_online_retail.py --csv online_retail.csv --url http://127.0.0.1:8000

What the file's oddities are taken to mean is decided in `benchmarks/replay/shop.py` and told in
docs/replay-report.md:

- codes are SKUs byte for byte, whatever their letter case; one blank at a code's end is cut off;
- postage, fees, discounts, vouchers and tests are counted at a location that is not for sale;
- a code that stands twice on an invoice is two lines, judged one after the other;
- `C…` brings units back (`cancelled_sale`); its one positive line takes one off like any other;
- a single line at price 0 without a customer is a stock keeper's: minus is a write-off, a fact;
  plus is found stock;
- other lines at price 0 are `sample`s, and the bad debts at a negative price are `other`;
- an empty description leaves the item the name of another line, or its code.

With `--checkout`, every sale is a cart: reserved, confirmed and fulfilled, or, one in ten, abandoned
(docs/replay-checkout-report.md).

Every request has a key of its own, so an interrupted replay is simply started again. The exit
status is 0 when the service agrees with the file in everything, 1 when it does not, 2 when the
replay could not be done.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated, TypeVar

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.replay.audit import Differences, LedgerAudit, audit_items, audit_levels
from benchmarks.replay.checkout import CheckoutService, abandoned, foresee_checkout
from benchmarks.replay.checkout_audit import CheckoutAudit, audit_reservations
from benchmarks.replay.forecast import Forecast, Opening, foresee, opening_stock
from benchmarks.replay.report import Carts, Replay, render
from benchmarks.replay.run import Run, send
from benchmarks.replay.service import ReplayError, Service
from benchmarks.replay.shop import Shop, read_shop

# Longer than any deadline of the service, so that its own answer comes first.
TIMEOUT_S = 30.0

S = TypeVar("S", bound=Service)

console = Console(stderr=True)


def main(
    csv: Annotated[Path, typer.Option(help="the file, plain or gzipped", exists=True)],
    url: Annotated[str, typer.Option(help="the service")] = "http://127.0.0.1:8000",
    opening: Annotated[
        Opening, typer.Option(help="ample: no refusals; exact: none in order; short: foreseen ones")
    ] = Opening.AMPLE,
    in_flight: Annotated[int, typer.Option(min=1, max=1000, help="invoices at a time")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="lines of the file to use")] = None,
    resend: Annotated[bool, typer.Option(help="send everything twice")] = False,
    checkout: Annotated[
        bool, typer.Option(help="hold, pay and ship each sale; one cart in ten is abandoned")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="write the report to this file")] = None,
) -> None:
    """Replay a year of a real shop and account for every unit."""
    try:
        shop = read_shop(csv, limit)
        play = replay_checkout if checkout else replay_shop
        replay = asyncio.run(play(shop, url, opening=opening, in_flight=in_flight, resend=resend))
    except (ValueError, httpx.HTTPError, ReplayError) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}")
        raise typer.Exit(2) from error
    text = render(replay)
    print(text)
    if report is not None:
        report.write_text(text, encoding="utf-8")
    raise typer.Exit(1 if replay.differences.total else 0)


async def replay_shop(
    shop: Shop, url: str, *, opening: Opening, in_flight: int, resend: bool = False
) -> Replay:
    """Fill the service, send every invoice, and compare."""
    forecast = foresee(shop, opening_stock(shop, opening))
    differences = Differences()
    async with connect(url, in_flight, Service) as service:
        version = await _fill(shop, service, forecast)
        run, resent = await _send_all(shop, service, opening, in_flight, resend, differences)
        started_at = perf_counter()
        await audit_items(service.export("items"), shop.items, differences)
        await audit_levels(service.export("levels"), forecast, differences)
        audit = LedgerAudit(shop, forecast, run.outcomes, differences, ordered=opening.is_ordered)
        await audit.read(service.export("movements"))
        audit_s = perf_counter() - started_at
    return Replay(shop, forecast, opening, in_flight, version, run, resent, differences, audit_s)


async def replay_checkout(
    shop: Shop, url: str, *, opening: Opening, in_flight: int, resend: bool = False
) -> Replay:
    """Fill the service, check every cart out or abandon it, wait for the ends, and compare."""
    checkout = foresee_checkout(shop, opening_stock(shop, opening, abandoned(shop)))
    differences = Differences()
    async with connect(url, in_flight, CheckoutService) as service:
        version = await _fill(shop, service, checkout.forecast)
        run, resent = await _send_all(shop, service, opening, in_flight, resend, differences)
        await service.reach(checkout.head)
        started_at = perf_counter()
        await audit_items(service.export("items"), shop.items, differences)
        await audit_levels(service.export("levels"), checkout.forecast, differences)
        audit = CheckoutAudit(shop, checkout, run.outcomes, differences)
        await audit.read(service.export("movements"))
        held = service.reservations()
        await audit_reservations(held, shop, checkout, run.outcomes, differences)
        audit_s = perf_counter() - started_at
    carts = Carts(checkout, audit.sums, audit.late_s)
    return Replay(
        shop,
        checkout.forecast,
        opening,
        in_flight,
        version,
        run,
        resent,
        differences,
        audit_s,
        carts,
    )


async def _fill(shop: Shop, service: Service, forecast: Forecast) -> str:
    """Items and opening stock; the version of the service."""
    version = await service.version()
    if head := await service.head():
        console.print(f"The ledger already has {head:,} movements: this must be a second try.")
    await service.create_location()
    await service.create_items(shop.items.values())
    await service.set_opening(forecast.opening)
    return version


async def _send_all(
    shop: Shop,
    service: Service,
    opening: Opening,
    in_flight: int,
    resend: bool,
    differences: Differences,
) -> tuple[Run, Run | None]:
    """Send everything once, or twice: then the second answers must be the first ones."""
    run = await _send("Sending", shop, service, in_flight=in_flight, opening=opening)
    if not resend:
        return run, None
    resent = await _send("Sending again", shop, service, in_flight=in_flight, opening=opening)
    _compare_answers(run, resent, differences)
    return run, resent


@asynccontextmanager
async def connect(url: str, connections: int, kind: type[S]) -> AsyncIterator[S]:
    """A client per request under way; a key in `INVENTORY_API_KEY` is sent along."""
    key = os.environ.get("INVENTORY_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # Made once: reading the certificates takes longer than a hundred requests.
    tls = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=url, headers=headers, timeout=TIMEOUT_S, verify=tls, trust_env=False
                )
            )
            for _ in range(connections)
        ]
        yield kind(clients)


async def _send(
    label: str, shop: Shop, service: Service, *, in_flight: int, opening: Opening
) -> Run:
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("lines", total=shop.rows)
        return await send(
            shop.invoices,
            service,
            in_flight=in_flight,
            ordered=opening.is_ordered,
            advance=lambda lines: progress.advance(bar, lines),
        )


def _compare_answers(first: Run, again: Run, differences: Differences) -> None:
    """The second answer is the first one, given from memory."""
    for number, outcome in first.outcomes.items():
        found = again.outcomes[number]
        differences.check("second answer is the first", found == outcome, (number, found, outcome))
    count = len(again.outcomes)
    differences.check(
        "second answers come from memory", again.replayed == count, (again.replayed, count)
    )


if __name__ == "__main__":
    typer.run(main)
