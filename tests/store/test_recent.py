"""What a memory of levels keeps, and when it has nothing."""

from inventory_api.store.recent import RecentLevels
from tests.stock_factory import key, level


def test_what_is_taken_is_forgotten_until_it_is_given_back() -> None:
    recent = RecentLevels(9)
    recent.give_back({key(): level(5)})

    taken, meanwhile = recent.take(), recent.take()
    recent.give_back(taken)

    assert (taken, meanwhile) == ({key(): level(5)}, {})
    assert recent.take() == {key(): level(5)}


def test_more_than_it_may_keep_are_dropped_the_longest_known_first() -> None:
    recent = RecentLevels(2)

    recent.give_back({key(sku): level(5, sku) for sku in ("P003", "P001", "P002")})

    assert list(recent.take()) == [key("P001"), key("P002")]


def test_a_memory_of_none_keeps_none() -> None:
    recent = RecentLevels(0)

    recent.give_back({key(): level(5)})

    assert recent.take() == {}
