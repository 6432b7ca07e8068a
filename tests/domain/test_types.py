"""Names, texts and the arithmetic of a level."""

import pytest

from inventory_api.domain.types import is_name, is_visible
from tests.stock_factory import level


@pytest.mark.parametrize(
    "text",
    ["P001", "a", "a b", "笔记本-13", "é", "ñ.x:y_z", "=1+1", "'; DROP TABLE item", "😀"],
)
def test_a_name_may_be_any_visible_text(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a/b", id="slash"),
        pytest.param(" a", id="leading_space"),
        pytest.param("a ", id="trailing_space"),
        pytest.param("\u3000a", id="leading_ideographic_space"),
        pytest.param("a\u00a0", id="trailing_no_break_space"),
        pytest.param("a\nb", id="line_feed"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("a\x7f", id="delete"),
        pytest.param("a\x85b", id="next_line"),
        pytest.param("e\u0301", id="not_nfc"),
        pytest.param("a\u200bb", id="zero_width_space"),
        pytest.param("a\u202eb", id="right_to_left_override"),
        pytest.param("\ufeffa", id="byte_order_mark"),
        pytest.param("a\ud800", id="lone_surrogate"),
        pytest.param("a\ue000", id="private_use"),
        pytest.param("a\U0010ffff", id="unassigned"),
        pytest.param("a\u2028b", id="line_separator"),
        pytest.param("a\u2029b", id="paragraph_separator"),
    ],
)
def test_a_name_is_not_what_reads_alike_and_differs(text: str) -> None:
    assert not is_name(text)


def test_visible_text_may_have_slashes_and_any_normal_form() -> None:
    assert is_visible("order:1001/a")
    assert is_visible("e\u0301")
    assert is_visible("")


@pytest.mark.parametrize("text", ["a\tb", "a\u200b", "\ud800"], ids=["tab", "zero_width", "half"])
def test_text_that_nobody_sees_is_not_visible(text: str) -> None:
    assert not is_visible(text)


def test_available_is_what_nobody_holds_or_was_promised_and_no_buffer_keeps() -> None:
    assert level(10, reserved=1, committed=2, safety_stock=3).available == 4
    assert level(1, reserved=3).available == -2
