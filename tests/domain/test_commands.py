"""What can be asked, and what it can be called."""

import pytest

from inventory_api.domain.commands import (
    FACT_REASONS,
    REASONS,
    Command,
    Line,
    check,
    is_reason,
)
from inventory_api.domain.types import UNITS_MAX
from tests.stock_factory import adjust, command, count, transfer


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_the_list_is_one(reason: str) -> None:
    assert is_reason(reason)


@pytest.mark.parametrize("reason", ["custom:gift", "custom:a", "custom:0", "custom:" + "x" * 56])
def test_a_slug_of_one_s_own_is_a_reason(reason: str) -> None:
    assert is_reason(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "Sale",
        "gift",
        "custom:",
        "custom:Gift",
        "custom:-a",
        "custom:a b",
        "custom:a\n",
        "custom:é",
        "xcustom:a",
        "custom:" + "x" * 57,
    ],
    ids=repr,
)
def test_anything_else_is_no_reason(reason: str) -> None:
    assert not is_reason(reason)


def test_facts_are_reasons() -> None:
    assert FACT_REASONS < REASONS


@pytest.mark.parametrize(
    "line",
    [
        adjust(0),
        adjust(UNITS_MAX, "x" * 64, "笔记本", reason="custom:gift", line_id="x" * 128, group="g"),
        adjust(-UNITS_MAX),
        count(0, expected=0),
        count(UNITS_MAX, expected=None),
        transfer(1),
        transfer(UNITS_MAX),
    ],
    ids=["nothing", "most", "least", "count_of_none", "count_of_most", "one_unit", "all_units"],
)
def test_what_the_rules_allow_is_let_through(line: Line) -> None:
    check(command(line, reference="order:1001/a b"))


@pytest.mark.parametrize(
    ("line", "field"),
    [
        pytest.param(adjust(UNITS_MAX + 1), "delta", id="too_many"),
        pytest.param(adjust(-UNITS_MAX - 1), "delta", id="too_few"),
        pytest.param(adjust(True), "delta", id="a_truth"),
        pytest.param(adjust(1, ""), "sku", id="no_sku"),
        pytest.param(adjust(1, "x" * 65), "sku", id="long_sku"),
        pytest.param(adjust(1, "a/b"), "sku", id="slash_in_a_sku"),
        pytest.param(adjust(1, location="a\n"), "location", id="line_feed_in_a_location"),
        pytest.param(adjust(1, reason="because"), "reason", id="unknown_reason"),
        pytest.param(adjust(1, line_id=""), "line_id", id="empty_line_id"),
        pytest.param(adjust(1, line_id="x" * 129), "line_id", id="long_line_id"),
        pytest.param(adjust(1, line_id="\u200b"), "line_id", id="invisible_line_id"),
        pytest.param(adjust(1, group=""), "group", id="empty_group"),
        pytest.param(count(-1), "on_hand", id="negative_count"),
        pytest.param(count(UNITS_MAX + 1), "on_hand", id="too_high_a_count"),
        pytest.param(count(1, expected=-1), "expected_on_hand", id="negative_expectation"),
        pytest.param(transfer(0), "quantity", id="nothing_to_transfer"),
        pytest.param(transfer(-1), "quantity", id="transfer_backwards"),
        pytest.param(transfer(1, source=" "), "source", id="blank_source"),
        pytest.param(transfer(1, target="\ud800"), "target", id="half_a_character_in_a_target"),
    ],
)
def test_what_they_do_not_allow_is_named(line: Line, field: str) -> None:
    with pytest.raises(ValueError, match=rf"lines\[1\]\.{field} is not valid"):
        check(command(adjust(1), line))


@pytest.mark.parametrize("reference", ["", "x" * 256, "a\x00b", "\ud800"], ids=repr)
def test_a_reference_is_visible_text_of_a_bounded_length(reference: str) -> None:
    with pytest.raises(ValueError, match="reference is not valid"):
        check(command(adjust(1), reference=reference))


def test_a_command_may_go_without_a_reference() -> None:
    check(Command("adjust", (adjust(1),)))
