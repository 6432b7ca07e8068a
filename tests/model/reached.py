"""How often each rule of a model came to which end: what is never reached was never tested."""

from collections import Counter

from hypothesis import event

_REACHED: Counter[tuple[str, str]] = Counter()
_NOTED: Counter[tuple[str, str]] = Counter()


def reach(rule: str, end: str) -> None:
    """Count one step."""
    _REACHED[rule, end] += 1
    event(f"{rule}: {end}")


def note(about: str, what: str) -> None:
    """Count something about a step that is counted by its rule."""
    _NOTED[about, what] += 1
    event(f"{about}: {what}")


def report() -> list[str]:
    """One line for each end of each rule; nothing if there was no step."""
    steps = _REACHED.total()
    return [
        f"{count:>9,}  {1_000 * count / steps:>8.2f} in 1,000  {rule}: {end}"
        for counted in (_REACHED, _NOTED)
        for (rule, end), count in sorted(counted.items())
    ]


def steps() -> int:
    """Steps in all, those of repeated examples included."""
    return _REACHED.total()
