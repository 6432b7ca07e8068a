"""`make bench-postgres`: the service on PostgreSQL, as ratios to honest references.

Each round runs every server anew on the same PostgreSQL, one after the other, each on a copy of the
same database. A figure is a ratio within one round; its median over the rounds is judged. Every
core is everybody's: the load, the service and the database share the machine.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.engine import URL, make_url

from benchmarks.measure import MeasurementError
from benchmarks.postgres import figures
from benchmarks.postgres.naive import create
from benchmarks.postgres.rounds import ITEMS, Bench, Round
from benchmarks.postgres.seed import seed
from benchmarks.report import machine, markdown, table, write_into
from benchmarks.seed import OPENING_UNITS
from tests.postgres import Databases, PostgresServer

NAMED = "INVENTORY_TEST_DATABASE_URL"


@contextmanager
def server() -> Iterator[tuple[URL, int | None]]:
    """The server that the environment names, or a durable one of our own and its process."""
    named = os.environ.get(NAMED)
    if named is not None:
        yield make_url(named).set(drivername="postgresql+asyncpg"), None
        return
    own = PostgresServer(is_durable=True)
    try:
        file = own.folder / "data" / "postmaster.pid"
        yield own.url, int(file.read_text().splitlines()[0])
    finally:
        own.remove()


@contextmanager
def prepared(seconds: float, progress: Console) -> Iterator[Bench]:
    """The databases that each run gets a copy of."""
    with ExitStack() as exits:
        url, postmaster = exits.enter_context(server())
        databases = Databases(url)
        exits.callback(databases.close)
        template, naive = (exits.enter_context(databases.lent()) for _ in range(2))
        progress.print(f"filling {ITEMS:,} items")
        asyncio.run(seed(template, items=ITEMS))
        asyncio.run(create(naive, items=ITEMS, on_hand=OPENING_UNITS))
        folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="inventory-bench-"))
        yield Bench(
            databases=databases,
            template=template,
            naive_template=naive,
            postmaster=postmaster,
            folder=Path(folder),
            seconds=seconds,
            say=progress.print,
        )


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="the median of these is judged")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="per run, after a third of it")] = 4.0,
    strict: Annotated[bool, typer.Option(help="exit with 1 if a bar is missed")] = False,
    write: Annotated[
        Path | None, typer.Option(help="a page whose measured part is replaced")
    ] = None,
) -> None:
    """Measure, print the ratios and their bars."""
    progress = Console(stderr=True)
    measured: list[Round] = []
    try:
        with prepared(seconds, progress) as bench:
            for number in range(1, rounds + 1):
                progress.print(f"round {number} of {rounds}")
                measured.append(bench.round(number))
    except MeasurementError as error:
        progress.print(f"[red]Not measured:[/red] {error}")
        raise typer.Exit(2) from error
    loads = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    heading = (
        f"{machine()}, PostgreSQL; {os.cpu_count()} cores for everything, load averages at the end "
        f"{loads}; median of {rounds} rounds of {seconds:g} s per run"
    )
    tables = (
        ("Ratios", figures.FIGURE_HEADS, figures.figure_rows(measured)),
        ("Runs", figures.RUN_HEADS, figures.run_rows(measured)),
        ("The writers in the database", figures.WAIT_HEADS, figures.wait_rows(measured)),
        ("Through the ledger's head", figures.HEAD_HEADS, figures.head_rows(bench.heads)),
    )
    console = Console()
    console.print(heading)
    for title, heads, rows in tables:
        console.print(table(title, heads, rows))
    if write is not None:
        parts = (f"### {title}\n\n{markdown(heads, rows)}" for title, heads, rows in tables)
        write_into(write, "\n" + "\n".join((f"{heading}.\n", *parts)) + "\n")
    if strict and any("MISSED" in row for row in figures.figure_rows(measured)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
