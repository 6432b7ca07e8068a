"""A host that keeps failing is left alone, and comes back through one probe."""

import pytest

from inventory_api.outbound.breaker import Breaker
from inventory_api.outbound.errors import BreakerOpen
from tests.outbound.peer import Still


@pytest.fixture
def time() -> Still:
    return Still()


@pytest.fixture
def breaker(time: Still) -> Breaker:
    return Breaker(failures_max=3, open_s=30, ticks=time.pace.ticks)


def fail(breaker: Breaker, times: int) -> list[bool]:
    return [breaker.failed() for _ in range(times)]


def test_it_opens_at_the_last_of_so_many_failures_in_a_row(breaker: Breaker) -> None:
    assert fail(breaker, 3) == [False, False, True]

    with pytest.raises(BreakerOpen) as refused:
        breaker.admit()

    assert refused.value.retry_after_s == 30


def test_a_success_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()

    assert fail(breaker, 2) == [False, False]
    assert breaker.admit() is False


def test_after_a_while_there_is_one_probe_and_no_second(breaker: Breaker, time: Still) -> None:
    fail(breaker, 3)
    time.now_s += 30

    assert breaker.admit() is True
    with pytest.raises(BreakerOpen):
        breaker.admit()


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, time: Still) -> None:
    fail(breaker, 3)
    time.now_s += 30
    breaker.admit()

    breaker.succeeded()

    assert not breaker.is_open
    assert [breaker.admit(), breaker.admit()] == [False, False]


def test_a_probe_that_fails_opens_it_for_as_long_again(breaker: Breaker, time: Still) -> None:
    fail(breaker, 3)
    time.now_s += 30
    breaker.admit()

    assert fail(breaker, 1) == [False], "it was open before"

    time.now_s += 29
    with pytest.raises(BreakerOpen):
        breaker.admit()
    time.now_s += 1
    assert breaker.admit() is True


def test_a_probe_without_a_verdict_makes_room_for_the_next(breaker: Breaker, time: Still) -> None:
    fail(breaker, 3)
    time.now_s += 30
    breaker.admit()

    breaker.abandoned()

    assert breaker.admit() is True
