"""What the bench shows: tables for the terminal, Markdown for the documentation, JSON."""

import platform
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import fastapi
import pydantic
import uvicorn
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Judged, Round

FIGURE_HEADS = ("figure", "ratio", "bar", "verdict")
RUN_HEADS = (
    "run",
    "CPU µs per request",
    "per line",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "others on the core",
)
# Kernel threads that write the server's own pages take a few per cent.
DISTURBED = 0.2
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")

Rows = list[tuple[str, ...]]


def figure_rows(judged: Sequence[Judged]) -> Rows:
    """Figure, ratio, bar, verdict."""
    return [
        (
            one.figure.name,
            f"{one.value:.2f}",
            one.figure.bound(),
            one.figure.verdict(one.value),
        )
        for one in judged
    ]


def run_rows(rounds: Sequence[Round]) -> Rows:
    """The absolute numbers behind the ratios: medians over the rounds."""
    rows: Rows = []
    for name in rounds[0]:
        loads = [round_[name] for round_ in rounds]
        cost = (
            name,
            f"{median(load.cpu_us for load in loads):,.1f}",
            f"{median(load.cpu_us_per_line for load in loads):.2f}",
            f"{median(load.requests / load.seconds for load in loads):,.0f}",
        )
        wait = (
            f"{median(load.p50_ms for load in loads):.1f}",
            f"{median(load.p99_ms for load in loads):.1f}",
            f"{median(load.foreign for load in loads):.0%}",
        )
        rows.append((*cost, *(wait if loads[0].p50_ms else ("", "", ""))))
    return rows


def disturbance(rounds: Sequence[Round]) -> str:
    """What others did to the measurement; empty if it was little."""
    most = max(load.foreign for round_ in rounds for load in round_.values())
    if most < DISTURBED:
        return ""
    return (
        f"Others took up to {most:.0%} of the server's core during a run: the ratios are rough, "
        "and the latencies are those of a busy machine."
    )


def show(heading: str, judged: Sequence[Judged], rounds: Sequence[Round]) -> None:
    """Prints both tables; a missed bar is red."""
    console = Console()
    console.print(heading)
    console.print(table("Ratios", FIGURE_HEADS, figure_rows(judged)))
    console.print(table("Runs", RUN_HEADS, run_rows(rounds)))
    console.print(disturbance(rounds))


def table(title: str, heads: Sequence[str], rows: Rows) -> Table:
    """A table for the terminal."""
    shown = Table(title=title)
    shown.add_column(heads[0])
    for head in heads[1:]:
        shown.add_column(head, justify="right")
    for row in rows:
        shown.add_row(*row, style="red" if row[-1] == "MISSED" else None)
    return shown


def page(heading: str, judged: Sequence[Judged], rounds: Sequence[Round]) -> str:
    """Both tables in Markdown."""
    tables = (
        markdown(FIGURE_HEADS, figure_rows(judged)),
        markdown(RUN_HEADS, run_rows(rounds)),
    )
    note = disturbance(rounds)
    return "\n" + "\n".join((f"{heading}.\n", *tables, f"{note}\n" if note else ""))


def markdown(heads: Sequence[str], rows: Rows) -> str:
    """One table in Markdown."""
    ruler = ("---", *["---:"] * (len(heads) - 1))
    return "".join(f"| {' | '.join(row)} |\n" for row in (tuple(heads), ruler, *rows))


def write_into(page: Path, text: str) -> None:
    """Replaces what stands between the page's two marks."""
    begin, end = map(re.escape, MARKS)
    old = page.read_text()
    new, found = re.subn(f"{begin}.*{end}", lambda _: MARKS[0] + text + MARKS[1], old, flags=re.S)
    if not found:
        raise ValueError(f"{page} has no marks {MARKS}")
    page.write_text(new)


def as_json(judged: Sequence[Judged], rounds: Sequence[Round]) -> dict[str, object]:
    """Everything, for a machine to read."""
    figures = [
        {
            "figure": one.figure.name.strip(),
            "ratio": one.value,
            "rounds": [one.figure.ratio(round_) for round_ in rounds],
            "bar": one.figure.bar,
            "reach": one.figure.reach,
            "at_least": one.figure.is_floor,
            "verdict": one.figure.verdict(one.value) or None,
        }
        for one in judged
    ]
    runs = [{name: asdict(load) for name, load in round_.items()} for round_ in rounds]
    return {"machine": machine(), "figures": figures, "rounds": runs}


def machine() -> str:
    """What it ran on, in one line."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{models[0] if models else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"FastAPI {fastapi.__version__}, pydantic {pydantic.VERSION}, uvicorn {uvicorn.__version__}"
    )
