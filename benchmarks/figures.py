"""The figures that are judged, each a ratio within one round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Load

Round = Mapping[str, Load]
"""What one round measured, by the name of the run."""

LARGE_SLOWER_MAX = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A ratio, and the bar it is held against; without a bar it is there for information."""

    name: str
    ratio: Callable[[Round], float]
    bar: float | None = None
    reach: float | None = None
    is_floor: bool = False

    def verdict(self, value: float) -> str:
        """Whether the value holds the bar."""
        if self.bar is None:
            return ""
        if self.is_floor:
            return "held" if value >= self.bar else "MISSED"
        if self.reach is not None and value <= self.reach:
            return "held, and the reach"
        return "held" if value <= self.bar else "MISSED"

    def bound(self) -> str:
        """The bar in words."""
        if self.bar is None:
            return ""
        sign = "≥" if self.is_floor else "≤"
        reach = "" if self.reach is None else f" (reach {self.reach:g})"
        return f"{sign} {self.bar:g}{reach}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure's median over the rounds."""

    figure: Figure
    value: float

    @property
    def is_missed(self) -> bool:
        """Whether a bar exists and is not held."""
        return self.figure.verdict(self.value) == "MISSED"


def _cheaper(round_: Round, scenario: str) -> float:
    """CPU of the cheaper of the two no-op servers, so that the bar is the harder one."""
    return min(round_[f"no-op model {scenario}"].cpu_us, round_[f"no-op plain {scenario}"].cpu_us)


def _to_noop(scenario: str, noop: str) -> Callable[[Round], float]:
    return lambda round_: round_[scenario].cpu_us / _cheaper(round_, noop)


def _naive_to(scenario: str) -> Callable[[Round], float]:
    return lambda round_: round_[f"naive {scenario}"].cpu_us / round_[scenario].cpu_us


def _to_bare(scenario: str, bare: str) -> Callable[[Round], float]:
    return lambda round_: round_[scenario].cpu_us_per_line / round_[bare].cpu_us_per_line


def _tail(scenario: str) -> Callable[[Round], float]:
    return lambda round_: round_[scenario].p99_ms / round_[scenario].p50_ms


def _growth(scenario: str) -> Callable[[Round], float]:
    return lambda round_: round_[f"large {scenario}"].cpu_us / round_[scenario].cpu_us


FIGURES = (
    Figure(
        name="one-line durable adjust / no-op POST",
        ratio=_to_noop("adjust", "adjust"),
        bar=2.0,
        reach=1.5,
    ),
    Figure(name="  the same on one hot SKU", ratio=_to_noop("hot", "adjust"), bar=2.0, reach=1.5),
    Figure(name="  the same with Idempotency-Key", ratio=_to_noop("keyed", "adjust")),
    Figure(
        name="naive session per request / one-line adjust",
        ratio=_naive_to("adjust"),
        bar=6.0,
        is_floor=True,
    ),
    Figure(
        name="  the same on one hot SKU",
        ratio=_naive_to("hot"),
        bar=6.0,
        is_floor=True,
    ),
    Figure(
        name="1,000-line adjust, per line / bare sqlite3",
        ratio=_to_bare("batch", "bare"),
        bar=6.0,
        reach=3.0,
    ),
    Figure(name="  the same / bare with a unique index", ratio=_to_bare("batch", "bare unique")),
    Figure(name="  eight calls at once / bare", ratio=_to_bare("batches", "bare")),
    Figure(name="one-line reserve / no-op POST", ratio=_to_noop("reserve", "reserve"), bar=2.5),
    Figure(name="level read / no-op GET", ratio=_to_noop("read", "read"), bar=1.6),
    Figure(name="fairness of changes, p99 / p50", ratio=_tail("adjust"), bar=4.0),
    Figure(name="  the same on one hot SKU", ratio=_tail("hot"), bar=4.0),
    Figure(name="fairness of reads, p99 / p50", ratio=_tail("read"), bar=4.0),
    Figure(name="large / small: one-line adjust", ratio=_growth("adjust"), bar=LARGE_SLOWER_MAX),
    Figure(name="large / small: one hot SKU", ratio=_growth("hot"), bar=LARGE_SLOWER_MAX),
    Figure(name="large / small: 1,000-line adjust", ratio=_growth("batch"), bar=LARGE_SLOWER_MAX),
    Figure(name="  the same of neighbouring goods", ratio=_growth("stretch")),
    Figure(name="  the same of bare sqlite3", ratio=_growth("bare")),
    Figure(name="large / small: level read", ratio=_growth("read"), bar=LARGE_SLOWER_MAX),
)


def judge(rounds: Sequence[Round]) -> list[Judged]:
    """Each figure's median over the rounds."""
    return [Judged(figure, median(figure.ratio(round_) for round_ in rounds)) for figure in FIGURES]
