"""The figures that are judged, each a ratio within one round, and the tables of what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from benchmarks.postgres.load import Run
from benchmarks.postgres.rounds import LANES_TRIED, Round

NAIVE_MIN = 5.0
BARE_MIN = 0.5
TWO_MIN = 1.6

Rows = list[tuple[str, ...]]
FIGURE_HEADS = ("figure", "ratio", "lowest … highest", "bar", "verdict")
RUN_HEADS = ("run", "lines/s", "lines per batch", "p50 ms", "p99 ms", "server µs", "database µs",
             "load µs", "cores used")  # fmt: skip
HEAD_HEADS = ("connections", "lines per batch", "way ms", "batches/s", "lines/s", "ms per batch")
WAIT_HEADS = ("run", "before head", "waits for head", "holds head", "commit", "held ms per batch",
              "what the database waited for")  # fmt: skip


class Ratio(Protocol):
    """What a figure takes of a round."""

    def __call__(self, round_: Round, /) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A ratio and the bar that it must reach; without a bar it is there for information."""

    name: str
    ratio: Ratio
    bar: float | None = None

    def row(self, rounds: Sequence[Round]) -> tuple[str, ...]:
        """Its median over the rounds, their extremes, and the verdict."""
        values = [self.ratio(one) for one in rounds]
        value = median(values)
        told = (self.name, f"{value:.2f}", f"{min(values):.2f} … {max(values):.2f}")
        if self.bar is None:
            return (*told, "", "")
        return (*told, f"≥ {self.bar:g}", "held" if value >= self.bar else "MISSED")


def _rate(one: str, other: str) -> Ratio:
    return lambda round_: round_[one].lines_per_s / round_[other].lines_per_s


def _cost(one: str, other: str, *who: str) -> Ratio:
    return lambda round_: round_[one].cpu_us(*who) / round_[other].cpu_us(*who)


FIGURES = (
    Figure(name="one-line adjusts/s, service / naive session per request",
           ratio=_rate("adjust", "naive adjust"), bar=NAIVE_MIN),
    Figure(name="  CPU of the server process, naive / service",
           ratio=_cost("naive adjust", "adjust", "server")),
    Figure(name="  CPU of server and database, naive / service",
           ratio=_cost("naive adjust", "adjust", "server", "database"), bar=NAIVE_MIN),
    Figure(name="  the same on one hot SKU, adjusts/s", ratio=_rate("hot", "naive hot"),
           bar=NAIVE_MIN),
    Figure(name="one-line adjusts, lines/s, service / bare loop",
           ratio=_rate("adjust", "bare adjust"), bar=BARE_MIN),
    Figure(name="  CPU of the process, bare / service",
           ratio=_cost("bare adjust", "adjust", "server")),
    Figure(name="  the committer without HTTP / bare loop",
           ratio=_rate("committer adjust", "bare adjust")),
    Figure(name="1,000-line adjusts, lines/s, service / bare loop",
           ratio=_rate("batch", "bare batch"), bar=BARE_MIN),
    Figure(name="  CPU of the process, bare / service",
           ratio=_cost("bare batch", "batch", "server")),
    Figure(name="  the committer without HTTP / bare loop",
           ratio=_rate("committer batch", "bare batch")),
    Figure(name="two processes / one, adjusts/s", ratio=_rate("two processes", "adjust"),
           bar=TWO_MIN),
    Figure(name="  CPU per adjust of all, one / two",
           ratio=_cost("adjust", "two processes", "server", "database")),
    Figure(name="  the same on one hot SKU, adjusts/s", ratio=_rate("two processes hot", "hot")),
    *(Figure(name=f"{lanes} lanes / 1 lane in one process, adjusts/s",
             ratio=_rate(f"lanes {lanes}", "lanes 1")) for lanes in LANES_TRIED[1:]),
)  # fmt: skip


def figure_rows(rounds: Sequence[Round]) -> Rows:
    """Figure, ratio, bar, verdict."""
    return [figure.row(rounds) for figure in FIGURES]


def run_rows(rounds: Sequence[Round]) -> Rows:
    """The absolute numbers behind the ratios: medians over the rounds."""
    return [_run_row(name, [one[name] for one in rounds]) for name in rounds[0]]


def _run_row(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    cost = [
        f"{median(run.cpu_us(who) for run in runs):,.0f}" if who in runs[0].cpu_s else ""
        for who in ("server", "database", "load")
    ]
    is_counted = runs[0].batches > 0
    return (
        name,
        f"{median(run.lines_per_s for run in runs):,.0f}",
        f"{median(run.lines_per_batch for run in runs):,.0f}" if is_counted else "1",
        *(
            f"{median(getattr(run, at) for run in runs):.1f}" if runs[0].p50_ms else ""
            for at in ("p50_ms", "p99_ms")
        ),
        *cost,
        f"{median(sum(run.cpu_s.values()) / run.seconds for run in runs):.2f}",
    )


def wait_rows(rounds: Sequence[Round]) -> Rows:
    """What the service's writers were seen to do in the database, of all looks at it."""
    names = [name for name, run in rounds[0].items() if run.batches and run.waits.looks]
    return [_wait_row(name, [one[name] for one in rounds]) for name in names]


def _wait_row(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    stages = ("before head", "waits for head", "holds head", "commit")
    held_ms = median(
        (run.waits.share("holds head") + run.waits.share("commit"))
        * run.seconds
        / run.batches
        * 1_000
        for run in runs
    )
    last = runs[-1].waits
    events = [one for one in last.found.most_common() if ": " in one[0]][:3]
    return (
        name,
        *(f"{median(run.waits.share(stage) for run in runs):.0%}" for stage in stages),
        f"{held_ms:.2f}",
        ", ".join(f"{event} {count / last.looks:.0%}" for event, count in events),
    )


def head_rows(heads: Sequence[Sequence[dict[str, float]]]) -> Rows:
    """What passed through the head: medians over the rounds."""
    rows: Rows = []
    for seen in zip(*heads, strict=True):
        one = seen[0]
        batches = median(each["batches_per_s"] for each in seen)
        rows.append(
            (
                f"{one['connections']:.0f}",
                f"{one['lines']:.0f}",
                f"{one['pause_ms']:g}",
                f"{batches:,.0f}",
                f"{batches * one['lines']:,.0f}",
                f"{1_000 / batches:.2f}",
            )
        )
    return rows
