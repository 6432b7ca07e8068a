"""How often each rule of a model came to which end: what is never reached was never tested."""

from collections import Counter

from hypothesis import event

_REACHED: Counter[tuple[str, str]] = Counter()


def reach(rule: str, end: str) -> None:
    """Count one step."""
    _REACHED[rule, end] += 1
    event(f"{rule}: {end}")


def report() -> list[str]:
    """One line for each end of each rule; nothing if there was no step."""
    steps = _REACHED.total()
    return [
        f"{count:>9,}  {1_000 * count / steps:>8.2f} in 1,000  {rule}: {end}"
        for (rule, end), count in sorted(_REACHED.items())
    ]


def steps() -> int:
    """Steps in all, those of repeated examples included."""
    return _REACHED.total()
