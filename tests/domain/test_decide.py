"""What becomes of the lines of one command."""

from inventory_api.domain.commands import Mode
from inventory_api.domain.decide import Applied, Duplicate, Refused, decide
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import SKU
from tests.domain.decisions import kinds, on_hand
from tests.stock_factory import adjust, command, count, level, snapshot, transfer

INDEPENDENT = Mode.INDEPENDENT


def test_two_lines_for_the_last_unit_are_judged_one_after_the_other() -> None:
    stock = snapshot(level(1))

    decision = decide(command(adjust(-1), adjust(-1), mode=INDEPENDENT), stock)

    assert kinds(decision) == ["Applied", "insufficient_stock"]
    assert on_hand(stock) == 0


def test_a_line_may_take_what_an_earlier_one_brought() -> None:
    stock = snapshot(level(0))

    decision = decide(command(adjust(2), adjust(-2), adjust(1)), stock)

    assert [change.on_hand for change in decision.changes] == [2, 0, 1]
    assert [change.level_version for change in decision.changes] == [2, 3, 4]


def test_a_line_cannot_take_what_only_a_later_one_brings() -> None:
    decision = decide(command(adjust(-2), adjust(2), mode=INDEPENDENT), snapshot(level(0)))

    assert kinds(decision) == ["insufficient_stock", "Applied"]


def test_one_refused_line_keeps_an_atomic_command_from_changing_anything() -> None:
    stock = snapshot(level(10), level(3, "P002"))

    decision = decide(command(adjust(-1), adjust(-9, "P002"), adjust(-1)), stock)

    assert decision.refused
    assert decision.changes == ()
    assert stock.levels == snapshot(level(10), level(3, "P002")).levels


def test_an_atomic_refusal_names_every_line_on_the_balance_of_those_that_would_apply() -> None:
    stock = snapshot(level(5), level(0, "P002"))

    decision = decide(
        command(
            adjust(-4),
            adjust(-2),  # 1 is left for it
            adjust(-1),  # this one would apply: the refused line took nothing
            adjust(-1),
            adjust(-1, "P002"),
        ),
        stock,
    )

    assert kinds(decision) == [
        "Applied",
        "insufficient_stock",
        "Applied",
        "insufficient_stock",
        "insufficient_stock",
    ]
    second = decision.results[1]
    assert isinstance(second, Refused)
    assert (second.rejection.facts["available"], second.rejection.facts["shortage"]) == (1, 1)


def test_lines_that_are_independent_succeed_and_fail_for_themselves() -> None:
    stock = snapshot(level(5), level(0, "P002"))

    decision = decide(command(adjust(-1, "P002"), adjust(-3), adjust(-3), mode=INDEPENDENT), stock)

    assert not decision.refused
    assert kinds(decision) == ["insufficient_stock", "Applied", "insufficient_stock"]
    assert on_hand(stock) == 2


def test_lines_of_a_group_fail_together_and_leave_the_others_alone() -> None:
    stock = snapshot(level(5), level(0, "P002"))

    decision = decide(
        command(
            adjust(-3, group="order-1"),
            adjust(-4),
            adjust(-1, "P002", group="order-1"),
            adjust(-1),
            mode=INDEPENDENT,
        ),
        stock,
    )

    assert kinds(decision) == ["group_rejected", "Applied", "insufficient_stock", "Applied"]
    assert on_hand(stock) == 0


def test_lines_of_a_group_succeed_together_where_the_first_of_them_stands() -> None:
    stock = snapshot(level(5))

    decision = decide(
        command(
            adjust(-2, group="order-1"),
            adjust(-2),
            adjust(-2, group="order-1"),
            mode=INDEPENDENT,
        ),
        stock,
    )

    assert kinds(decision) == ["Applied", "insufficient_stock", "Applied"]
    assert on_hand(stock) == 1


def test_groups_mean_nothing_in_an_atomic_command() -> None:
    decision = decide(command(adjust(-2, group="a"), adjust(-9, group="b")), snapshot(level(5)))

    assert decision.refused
    assert kinds(decision) == ["Applied", "insufficient_stock"]


def test_a_line_id_that_the_ledger_knows_does_nothing() -> None:
    stock = snapshot(level(5), line_ids=["till-1"])

    decision = decide(command(adjust(-1, line_id="till-1"), adjust(-1, line_id="till-2")), stock)

    assert kinds(decision) == ["Duplicate", "Applied"]
    assert on_hand(stock) == 4


def test_a_known_line_id_is_looked_up_before_the_line_is_judged() -> None:
    stock = snapshot(level(0), line_ids=["till-1"])
    stock.barred_items[SKU("P001")] = Code.ITEM_ARCHIVED

    decision = decide(command(adjust(-1, line_id="till-1")), stock)

    assert kinds(decision) == ["Duplicate"]
    assert not decision.refused


def test_the_second_line_with_one_id_in_a_request_is_a_duplicate() -> None:
    stock = snapshot(level(5))

    decision = decide(
        command(adjust(-1, line_id="a"), count(9, line_id="a"), adjust(-1, line_id="b")), stock
    )

    assert kinds(decision) == ["Applied", "Duplicate", "Applied"]
    assert on_hand(stock) == 3


def test_the_id_of_a_refused_line_is_free_again() -> None:
    stock = snapshot(level(1))

    decision = decide(
        command(adjust(-2, line_id="a"), adjust(-1, line_id="a"), mode=INDEPENDENT), stock
    )

    assert kinds(decision) == ["insufficient_stock", "Applied"]


def test_the_ids_of_a_refused_command_are_free_again() -> None:
    stock = snapshot(level(1))
    decide(command(adjust(-1, line_id="a"), adjust(-1)), stock)

    decision = decide(command(adjust(-1, line_id="a")), stock)

    assert kinds(decision) == ["Applied"]


def test_no_line_of_a_refused_group_is_called_a_duplicate_of_another_one() -> None:
    stock = snapshot(level(5), level(0, "P002"))

    decision = decide(
        command(
            adjust(1, line_id="a", group="g"),
            adjust(1, line_id="a", group="g"),
            adjust(-1, "P002", group="g"),
            mode=INDEPENDENT,
        ),
        stock,
    )

    assert "Duplicate" not in kinds(decision)


def test_a_later_command_sees_what_an_earlier_one_did() -> None:
    stock = snapshot(level(1))

    first = decide(command(adjust(-1)), stock)
    second = decide(command(adjust(-1)), stock)

    assert (kinds(first), kinds(second)) == (["Applied"], ["insufficient_stock"])


def test_results_keep_the_order_of_the_lines() -> None:
    lines = (
        adjust(1, "P001", group="g"),
        adjust(1, "P002"),
        adjust(1, "P003", group="g"),
        adjust(1, "P004", line_id="known"),
    )

    decision = decide(command(*lines, mode=INDEPENDENT), snapshot(line_ids=["known"]))

    assert tuple(result.line for result in decision.results) == lines


def test_changes_are_those_of_the_applied_lines() -> None:
    decision = decide(
        command(adjust(1), transfer(1), adjust(-9), mode=INDEPENDENT), snapshot(level(2))
    )

    applied = [result for result in decision.results if isinstance(result, Applied)]
    assert [change for result in applied for change in result.changes] == list(decision.changes)
    assert not any(isinstance(result, Duplicate) for result in decision.results)
