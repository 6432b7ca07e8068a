"""Pauses between attempts, and what a server says about them."""

import pytest
from hypothesis import given, strategies as st

from inventory_api.outbound.retrying import pause_s, retry_after_s

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def test_the_bound_of_a_pause_doubles_up_to_its_maximum() -> None:
    pauses = [pause_s(retry, chance=1, first_s=0.5, max_s=3) for retry in range(5)]

    assert pauses == [0.5, 1, 2, 3, 3]


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_anything_up_to_its_bound(retry: int, chance: float) -> None:
    assert 0 <= pause_s(retry, chance=chance, first_s=0.5, max_s=10) <= 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("99999999999999999999", 3600),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30),
        ("Tue Nov 14 22:13:50 2023", 30),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Tue, 14 Nov 2033 22:13:50 GMT", 3600),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("\u0667", None),
        ("Tue, 99 Nov 2023 22:13:50 GMT", None),
        ("Tue, 14 Nov 2023 22:13:50 +9999", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, now_s=NOW_S, max_s=3600) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_does_harm(text: str) -> None:
    found = retry_after_s({"retry-after": text}, now_s=NOW_S, max_s=3600)

    assert found is None or 0 <= found <= 3600


def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after_s({}, now_s=NOW_S, max_s=3600) is None
