"""64 clients on ten hot goods: what they were told is one history, and the checker knows others."""

import asyncio
import copy
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.battery.checker import check
from tests.battery.fleet import Fleet, batch_retries
from tests.battery.holds import audit_stopped
from tests.battery.mixed import Call, Traffic, keys_of, lasting
from tests.databases import Template
from tests.ledger_oracle import Row

CLIENTS = 64
CALLS_MIN = 1_500  # each kind of answer is among them


class Recorded(NamedTuple):
    """What was noted, and the ledger that goes with it."""

    calls: list[Call]
    movements: list[Row]
    keys: dict[str, str]
    retries: dict[str, int]

    def find(self, is_wanted: Callable[[Call], bool]) -> int:
        """The place of the first such call of the second half, when all is in motion."""
        places = range(len(self.calls) // 2, len(self.calls))
        return next(place for place in places if is_wanted(self.calls[place]))

    def check(self) -> list[str]:
        return check(self.calls, self.movements, self.keys)


async def _record(fleet: Fleet, seconds: float, *, calls_min: int = 0) -> Recorded:
    traffic = Traffic(random.Random(int(seconds)))
    has_time = lasting(seconds)
    calls = await traffic.run(
        fleet.ports,
        clients=CLIENTS,
        goes_on=lambda: has_time() or len(traffic.calls) < calls_min,
    )
    retries = await batch_retries(fleet.ports)
    movements = await audit_stopped(fleet)
    return Recorded(calls, movements, await keys_of(fleet.database_url), retries)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "seconds",
    [pytest.param(2.0, id="sample"), pytest.param(20.0, id="full", marks=pytest.mark.slow)],
)
async def test_what_64_clients_were_told_is_one_history(
    fleet: Fleet, seconds: float, record_property: Callable[[str, object], None]
) -> None:
    recorded = await _record(fleet, seconds)

    findings = recorded.check()

    told = Counter(f"{one.verb} {one.status} {one.code or ''}".strip() for one in recorded.calls)
    record_property("answers", dict(sorted(told.items())))
    record_property("batches decided again", recorded.retries)
    assert findings == []


@pytest.fixture(scope="module")
def sound(demo: Template, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A history in which nothing is wrong."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    with demo.copied(folder) as url, Fleet(folder, url).running() as fleet:
        recorded = asyncio.run(_record(fleet, 3.0, calls_min=CALLS_MIN))
    assert recorded.check() == []
    return recorded


@pytest.fixture
def recorded(sound: Recorded) -> Recorded:
    """A copy of it, for a fault to be planted in."""
    return copy.deepcopy(sound)


def _is_done(verb: str) -> Callable[[Call], bool]:
    return lambda call: call.verb == verb and call.status < 300


def _is_refused(verb: str, code: str) -> Callable[[Call], bool]:
    return lambda call: call.verb == verb and call.code == code


def test_the_checker_sees_a_balance_that_was_never_booked(recorded: Recorded) -> None:
    place = recorded.find(_is_done("adjust"))
    recorded.calls[place].body["results"][0]["level"]["reserved"] += 1

    assert "the answer's balances are not the ledger's" in recorded.check()[0]


@pytest.mark.parametrize("verb", ["reserve", "declare", "confirm", "fulfill", "release"])
def test_the_checker_sees_units_that_no_movement_explains(recorded: Recorded, verb: str) -> None:
    line = recorded.calls[recorded.find(_is_done(verb))].body["lines"][0]
    line["expired"] += 1

    assert "the answer's units are not the ledger's" in recorded.check()[0]


def test_the_checker_sees_an_acknowledged_hold_that_is_lost(recorded: Recorded) -> None:
    place = recorded.find(_is_done("reserve"))
    key = recorded.calls[place].key
    lost = next(one for one, owner in recorded.keys.items() if owner == key)
    del recorded.keys[lost]

    assert any("acknowledged and not in the ledger" in one for one in recorded.check())


def test_the_checker_sees_a_change_that_nobody_asked_for(recorded: Recorded) -> None:
    del recorded.calls[recorded.find(_is_done("adjust"))]

    assert any("nobody asked for" in one for one in recorded.check())


def test_the_checker_sees_a_refusal_that_was_applied(recorded: Recorded) -> None:
    place = recorded.find(_is_done("reserve"))
    problem = {"code": "reservation_not_active"}
    call = recorded.calls[place]
    asked = {**call.asked, "id": call.body["id"]}
    recorded.calls[place] = call._replace(status=409, body=problem, asked=asked, verb="confirm")

    assert any("refused and yet applied" in one for one in recorded.check())


def test_the_checker_sees_an_answer_that_came_before_its_place(recorded: Recorded) -> None:
    place = recorded.find(_is_done("adjust"))
    call = recorded.calls[place]
    recorded.calls[place] = call._replace(sent_at=call.sent_at - 1, answered_at=call.sent_at - 0.9)

    assert any("before or after its place" in one for one in recorded.check())


def test_the_checker_sees_a_read_of_the_past(recorded: Recorded) -> None:
    place = recorded.find(lambda call: call.verb == "read" and call.status == 200)
    call = recorded.calls[place]
    recorded.calls[place] = call._replace(sent_at=call.sent_at + 1, answered_at=call.sent_at + 1.1)

    assert any("a level as it was at another time" in one for one in recorded.check())


@pytest.mark.parametrize(
    ("name", "more"), [("on_hand", 1), ("committed", 1), ("reserved", 99), ("available", -1)]
)
def test_the_checker_sees_a_read_of_what_never_was(
    recorded: Recorded, name: str, more: int
) -> None:
    place = recorded.find(lambda call: call.verb == "read" and call.status == 200)
    recorded.calls[place].body[name] += more

    assert len(recorded.check()) == 1


def test_the_checker_sees_a_hold_as_it_never_was(recorded: Recorded) -> None:
    place = recorded.find(lambda call: call.verb == "look" and call.status == 200)
    recorded.calls[place].body["lines"][0]["held"] += 1

    assert "a hold as it never was" in recorded.check()[0]


def test_the_checker_sees_a_shortage_that_was_none(recorded: Recorded) -> None:
    place = recorded.find(_is_refused("reserve", "insufficient_stock"))
    recorded.calls[place].asked["quantity"] = 0

    assert "refused without need" in recorded.check()[0]


def test_the_checker_sees_a_payment_refused_that_could_be_taken(recorded: Recorded) -> None:
    place = recorded.find(lambda call: call.verb == "extend" and call.status == 200)
    problem = {"code": "reservation_not_active"}
    call = recorded.calls[place]
    # A moment: nothing else may have happened to the hold meanwhile.
    recorded.calls[place] = call._replace(
        status=409, body=problem, verb="confirm", answered_at=call.sent_at
    )

    assert any("refused without need" in one for one in recorded.check())
