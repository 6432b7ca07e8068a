"""When a level runs low, is out, or is back: once for each crossing, decided with the movement.

A level remembers what it has told. `low` is told when what is available falls to the reorder point,
and again only after it was above it by a margin: a thousand sales below the point are one alert.
"""

from typing import Final

LOW: Final = 1
OUT: Final = 2
BACK: Final = 4
OVERSOLD: Final = 8
_NAMES = {LOW: "low", OUT: "out", BACK: "back", OVERSOLD: "oversold"}
STATE_SHIFT: Final = 4
"""A movement's `alerts` are its crossings, and above these bits the state after it, of `LOW` and `OUT`."""
STATES: Final = LOW | OUT
REARMED: Final = 64
"""Above both: `low` may be told again. It is nobody's alert, but without it such a movement is 0."""


def cross(
    state: int,
    was: int,
    was_oversold: bool,
    available: int,
    oversold_by: int,
    reorder_point: int | None,
    rearm_at: int | None,
) -> int:
    """The `alerts` of a movement: what it crosses, and the state that it leaves.

    Args:
        state: `LOW` and `OUT` as the movement before left them.
        was: available before it.
        was_oversold: whether the movement before left less than the backorder limit allows.
        available: after it, like all that follows.
        oversold_by: units by which less is left than the backorder limit allows.
        reorder_point: `low` at or below it; None: never.
        rearm_at: what must be available before `low` can be told again.
    """
    low, out, crossed = state & LOW, state & OUT, 0
    if reorder_point is None:
        low = 0
    elif available <= reorder_point:
        crossed, low = LOW ^ low, LOW
    elif available >= max(rearm_at or 0, reorder_point + 1):
        # A process of the version before sets a reorder point without the margin's end.
        low = 0
    if low < state & LOW:
        crossed |= REARMED
    if available > 0:
        crossed |= BACK if out else 0
        out = 0
    elif was > 0 and not out:
        # What never was available does not run out, and is not back when it comes.
        crossed |= OUT
        out = OUT
    if oversold_by and not was_oversold:
        crossed |= OVERSOLD
    return crossed | (low | out) << STATE_SHIFT


def state_of(alerts: int) -> int:
    """The state that a movement left."""
    return alerts >> STATE_SHIFT & STATES


def rearm_point(reorder_point: int | None, margin_percent: int) -> int | None:
    """How much must be available before `low` can be told again: a share above the point, rounded up."""
    if reorder_point is None:
        return None
    return reorder_point + max(1, -(-reorder_point * margin_percent // 100))


def state_after(alerts: int | None, available: int, reorder_point: int | None) -> int:
    """The state that a movement left; one from before alerts were recorded is told by its balance."""
    if alerts is not None:
        return state_of(alerts)
    low = LOW if reorder_point is not None and available <= reorder_point else 0
    return low | (0 if available > 0 else OUT)


def show_state(state: int) -> str:
    """A level's state in one word; the graver one, if it is low and out."""
    return "out" if state & OUT else "low" if state & LOW else "ok"


def show_crossings(alerts: int | None) -> list[str]:
    """The names of a movement's crossings; none where they were not recorded yet."""
    return [] if not alerts else [name for bit, name in _NAMES.items() if alerts & bit]
