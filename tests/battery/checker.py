"""Checks noted calls against the ledger, which is the order in which they claim to have happened.

It knows nothing of the program: rows of the ledger, the rules of the contract, and times.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from tests.battery.client import JSON
from tests.battery.holds import UNITS, Sums, book
from tests.battery.mixed import Call, ends_at
from tests.ledger_oracle import Row

State = TypeVar("State")
LevelKey = tuple[str, str]
BALANCES = ("on_hand", "reserved", "committed", "available")
NO_LEVEL: Row = {"level_version": 0, **dict.fromkeys(BALANCES, 0)}
NO_UNITS = dict.fromkeys(UNITS, 0)
ENDLESS = 1 << 62
# The server's clock and the clients' are read one after the other.
SLACK_S = 0.05
# What a verb needs; it is refused if there is none of it.
NEEDED = {
    "confirm": ("held",),
    "fulfill": ("committed",),
    "release": ("held", "committed"),
    "extend": ("held",),
}


class Window(NamedTuple):
    """Positions of the ledger at which a call may have been judged: from `low`, below `high`."""

    low: int
    high: int


class Steps(Generic[State]):
    """What something was after each of its changes, found by a position of the ledger."""

    def __init__(self, nothing: State) -> None:
        self.seqs: list[int] = []
        self.states: list[State] = [nothing]

    def add(self, seq: int, state: State) -> None:
        self.seqs.append(seq)
        self.states.append(state)

    def at(self, seq: int) -> State:
        """The state after everything up to `seq`."""
        return self.states[bisect_right(self.seqs, seq)]

    def during(self, window: Window) -> Sequence[State]:
        """Every state at some position of a window."""
        first, last = bisect_right(self.seqs, window.low), bisect_left(self.seqs, window.high)
        return self.states[first : max(first, last) + 1]


class History:
    """The ledger replayed, and the windows of the calls in it."""

    def __init__(self, calls: Sequence[Call], movements: Iterable[Row], keys: dict[str, str]):
        self.levels: dict[LevelKey, Steps[Row]] = defaultdict(lambda: Steps(NO_LEVEL))
        self.holds: dict[str, Steps[Sums]] = defaultdict(lambda: Steps(NO_UNITS))
        self.carts: dict[str, set[str]] = defaultdict(set)
        self.declared: set[str] = set()
        self.by_key: dict[str, list[Row]] = defaultdict(list)
        for row in movements:
            self._replay(row, keys)
        changes = [call for call in calls if call.key in self.by_key and call.status < 300]
        by_answer = sorted((one.answered_at, self.by_key[one.key][-1]["seq"]) for one in changes)
        by_sending = sorted((one.sent_at, self.by_key[one.key][0]["seq"]) for one in changes)
        self._answered_at, self._newest = _running(by_answer, max)
        sent_at, oldest = _running(by_sending[::-1], min)
        self._sent_at, self._oldest = sent_at[::-1], oldest[::-1]
        self.ends = {
            call.body["id"]: ends_at(call.body)
            for call in calls
            if call.verb == "reserve" and call.status == 201
        }
        self.short: dict[LevelKey, list[str]] = defaultdict(list)
        for call in calls:
            if call.asked.get("ttl_s") == 1 and call.status == 201:
                self.short[call.asked["sku"], call.asked["location"]].append(call.body["id"])

    def _replay(self, row: Row, keys: dict[str, str]) -> None:
        self.levels[row["sku"], row["location"]].add(row["seq"], row)
        if (key := keys.get(row["operation_id"])) is not None:
            self.by_key[key].append(row)
        if (hold := row["reservation_id"]) is not None:
            sums = dict(self.holds[hold].states[-1])
            book(sums, row)
            self.holds[hold].add(row["seq"], sums)
            self.carts[row["reference"]].add(hold)
            if row["reference"] is not None:
                self.declared.add(hold)

    def shows(self, hold: str, told: Sums, states: Iterable[Sums]) -> bool:
        """Whether a hold that is shown so was in one of some states.

        What a line has given back starts anew when its reference declares it again, and the ledger
        has no movement for that: there, the ledger is an upper bound.
        """
        if hold not in self.declared:
            return told in states
        return any(
            all(told[name] == state[name] for name in ("held", "committed", "fulfilled"))
            and all(0 <= told[name] <= state[name] for name in ("released", "expired"))
            for state in states
        )

    def window(self, call: Call) -> Window:
        """Behind all that was answered before it was sent; before all that was sent after it."""
        before = bisect_left(self._answered_at, call.sent_at)
        after = bisect_right(self._sent_at, call.answered_at)
        low = self._newest[before - 1] if before else 0
        high = self._oldest[after] if after < len(self._oldest) else ENDLESS
        return Window(low, high)

    def due(self, key: LevelKey, seq: int, moment: float) -> int:
        """Units that a level seems to hold at a position although their time was over."""
        return sum(
            self.holds[hold].at(seq)["held"]
            for hold in self.short[key]
            if self.ends[hold] <= moment
        )


def check(calls: Sequence[Call], movements: Iterable[Row], keys: dict[str, str]) -> list[str]:
    """What is wrong with the calls, each in a sentence; `keys` are those of the operations, by id."""
    history = History(calls, movements, keys)
    findings = [
        f"{what}: {call}" for call in calls for what in _about(call, history) if what is not None
    ]
    asked = {call.key for call in calls}
    return findings + [f"nobody asked for {key}" for key in history.by_key.keys() - asked]


def _about(call: Call, history: History) -> Iterable[str | None]:
    if call.verb == "read":
        return [_read(call, history)]
    if call.verb == "look":
        return [_look(call, history)]
    rows = history.by_key.get(call.key, [])
    if call.status >= 300:
        return ["refused and yet applied" if rows else None, _refusal(call, history)]
    if call.verb in ("adjust", "transfer"):
        return [_out_of_order(rows, call, history), _levels(call, rows)]
    return [_out_of_order(rows, call, history), _hold(call, rows, history)]


def _out_of_order(rows: list[Row], call: Call, history: History) -> str | None:
    low, high = history.window(call)
    # Its own first movement may be the oldest that is left behind its window: that is no overlap.
    is_in_order = all(low < row["seq"] < high for row in rows)
    return None if is_in_order else "answered before or after its place in the ledger"


def _levels(call: Call, rows: list[Row]) -> str | None:
    """The balances of the answer are those of the movements."""
    (result,) = call.body["results"]
    told = result["levels"] if call.verb == "transfer" else [result["level"]]
    booked = sorted(_balances(row, row["level_version"], row["location"]) for row in rows)
    answered = sorted(_balances(one, one["version"], one["location"]) for one in told)
    return None if booked == answered else "the answer's balances are not the ledger's"


def _balances(one: JSON, version: int, location: str) -> tuple[str, int, *tuple[int, ...]]:
    return (location, version, *(one[name] for name in BALANCES))


def _hold(call: Call, rows: list[Row], history: History) -> str | None:
    """The units of the answer are those of the hold after the movements."""
    steps = history.holds[call.body["id"]]
    told = _units(call.body)
    states = [steps.at(rows[-1]["seq"])] if rows else steps.during(history.window(call))
    if not rows and call.verb not in ("extend", "declare"):
        return "acknowledged and not in the ledger"
    if call.verb in ("reserve", "declare") and told["held"] != call.asked["quantity"]:
        return "another quantity than was asked for"
    is_shown = history.shows(call.body["id"], told, states)
    return None if is_shown else "the answer's units are not the ledger's"


def _look(call: Call, history: History) -> str | None:
    """A hold that is read is as it was at some moment, and over when its time is."""
    if call.status == 404:
        return None if call.asked["id"] == "none" else "a hold is gone"
    hold, told = call.body["id"], _units(call.body)
    states = list(history.holds[hold].during(history.window(call)))
    end = history.ends.get(hold, float("inf"))
    over = [_ended(state) for state in states]
    if end < call.sent_at - SLACK_S:
        states = over
    elif end < call.answered_at + SLACK_S:
        states += over
    return None if history.shows(hold, told, states) else "a hold as it never was"


def _read(call: Call, history: History) -> str | None:
    """A level that is read is as it was at some moment, less what was due and not yet tidied up."""
    if call.status == 404:
        return None if call.asked["location"] == "annex" else "a level is gone"
    key = (call.asked["sku"], call.asked["location"])
    for row in history.levels[key].during(history.window(call)):
        if row["level_version"] == call.body["version"]:
            break
    else:
        return "a level as it was at another time"
    seq = row.get("seq", 0)
    least = history.due(key, seq, call.sent_at - SLACK_S)
    most = history.due(key, seq, call.answered_at + SLACK_S)
    told, due = call.body, row["reserved"] - call.body["reserved"]
    if not least <= due <= most:
        return "an expired hold was counted, or a living one was not"
    same = all(told[name] == row[name] for name in ("on_hand", "committed"))
    is_sum = told["available"] == told["on_hand"] - told["reserved"] - told["committed"]
    return None if same and is_sum else "a level as it never was"


def _refusal(call: Call, history: History) -> str | None:
    """At some moment of the call it could not be met."""
    judges: dict[str | None, Callable[[Call, History], bool]] = {
        "insufficient_stock": _was_short,
        "reservation_not_active": _had_none,
        "reservation_expired": _was_over,
        "unknown_id": lambda one, _: one.asked.get("id") == "none",
    }
    judge = judges.get(call.code)
    if judge is None:
        return f"refused with {call.code}"
    return None if judge(call, history) else "refused without need"


def _was_short(call: Call, history: History) -> bool:
    steps = history.levels[call.asked["sku"], call.asked["location"]]
    wanted = call.asked.get("quantity", -call.asked.get("delta", 0))
    told = call.body["lines"][0]["error"]["available"]
    window = history.window(call)
    if call.verb == "declare":
        # Its own hold does not stand in its way.
        own = [history.holds[hold] for hold in history.carts[call.asked["reference"]]]
        return any(
            row["available"] + sum(one.at(row.get("seq", 0))["held"] for one in own) < wanted
            for row in steps.during(window)
        )
    return any(row["available"] == told < wanted for row in steps.during(window))


def _had_none(call: Call, history: History) -> bool:
    window = history.window(call)
    if call.verb == "declare":
        # A cart that is paid is not declared anew.
        own = [history.holds[hold] for hold in history.carts[call.asked["reference"]]]
        return any(state["committed"] for one in own for state in one.during(window))
    states = history.holds[call.asked["id"]].during(window)
    return any(not any(state[name] for name in NEEDED[call.verb]) for state in states)


def _was_over(call: Call, history: History) -> bool:
    hold = call.asked["id"]
    states = history.holds[hold].during(history.window(call))
    is_due = history.ends.get(hold, float("inf")) < call.answered_at + SLACK_S
    return is_due and any(state["expired"] for state in states)


def _units(shown: JSON) -> Sums:
    return {name: sum(line[name] for line in shown["lines"]) for name in UNITS}


def _ended(state: Sums) -> Sums:
    return {**state, "held": 0, "expired": state["expired"] + state["held"]}


def _running(
    pairs: Sequence[tuple[float, int]], better: Callable[[int, int], int]
) -> tuple[list[float], list[int]]:
    """Times, and the best number up to each."""
    best: list[int] = []
    for _, number in pairs:
        best.append(better(number, best[-1]) if best else number)
    return [moment for moment, _ in pairs], best
