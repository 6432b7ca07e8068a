"""`make bench`: what a request costs the server, as ratios to honest references.

Each round starts every server anew, all on the same core, and asks them for the same things, one
after the other. A figure is a ratio within one round; its median over the rounds is judged.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.figures import judge
from benchmarks.measure import MeasurementError, cores
from benchmarks.rounds import Bench, Size

LARGE = Size(100_000, 500_000)
FULL = Size(1_000_000, 5_000_000)


def main(
    *,
    full: Annotated[
        bool, typer.Option(help="a million items and five million movements, not a tenth")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="the median of these is judged")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="per run, after a third of it")] = 4.0,
    folder: Annotated[
        Path, typer.Option(help="for the databases; on a disk, not in memory")
    ] = Path("/var/tmp"),  # noqa: S108 - a folder of our own is made in it
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables")] = False,
    strict: Annotated[bool, typer.Option(help="exit with 1 if a bar is missed")] = False,
    write: Annotated[
        Path | None, typer.Option(help="a page whose measured part is replaced")
    ] = None,
) -> None:
    """Measure, print the ratios and their bars."""
    progress = Console(stderr=True)
    size = FULL if full else LARGE
    try:
        with tempfile.TemporaryDirectory(prefix="inventory-bench-", dir=folder) as made:
            bench = Bench(
                folder=Path(made), large=size, seconds=seconds, cores=cores(), say=progress.print
            )
            bench.prepare()
            measured = []
            for number in range(1, rounds + 1):
                progress.print(f"round {number} of {rounds}")
                measured.append(bench.round(number))
            bench.verify()
    except MeasurementError as error:
        progress.print(f"[red]Not measured:[/red] {error}")
        raise typer.Exit(2) from error
    judged = judge(measured)
    heading = (
        f"{report.machine()}; small: 1,000 items, large: {size.items:,} items and "
        f"{size.movements:,} movements; median of {rounds} rounds of {seconds:g} s per run"
    )
    if write is not None:
        report.write_into(write, report.page(heading, judged, measured))
    if as_json:
        json.dump(report.as_json(judged, measured), sys.stdout, indent=1)
    else:
        report.show(heading, judged, measured)
    if strict and any(one.is_missed for one in judged):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
