"""A body means one thing, or it is refused with a reason that quotes nothing of it."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from inventory_api.web.strict_json import DEPTH_MAX, MalformedJSON, parse

ALLOWED = {
    "object": (b'{"a":[1,-2,"x",null,true]}', {"a": [1, -2, "x", None, True]}),
    "fraction": (b"1.5", 1.5),
    "white space around": (b" \r\n\t[] \n", []),
    "text outside ASCII": ('"笔记本"'.encode(), "笔记本"),
    "lone surrogate": (b'"\\ud800"', "\ud800"),
    "long integer": (b"9" * 4300, int("9" * 4300)),
    "brackets inside text": (b'{"a":"' + b"}{][" * 40 + b'"}', {"a": "}{][" * 40}),
    "deepest": (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
    "wide": (b"[" + b"{}," * 500 + b"{}]", [{}] * 501),
}
REFUSED = {
    "empty": (b"", "syntax"),
    "only white space": (b"  ", "syntax"),
    "byte order mark": (b"\xef\xbb\xbf{}", "syntax"),
    "UTF-16": ("{}".encode("utf-16"), "not_utf8"),
    "Latin-1": ('"é"'.encode("latin-1"), "not_utf8"),
    "encoded surrogate": (b'"\xed\xa0\x80"', "not_utf8"),
    "trailing text": (b"{} x", "syntax"),
    "two documents": (b"{}{}", "syntax"),
    "trailing comma": (b"[1,]", "syntax"),
    "single quotes": (b"{'a':1}", "syntax"),
    "raw control character": (b'"\x01"', "syntax"),
    "leading zero": (b"01", "syntax"),
    "plus sign": (b"+1", "syntax"),
    "comment": (b"{} // x", "syntax"),
    "duplicate name": (b'{"q":1,"q":2}', "duplicate_name"),
    "duplicate name by escape": (b'{"q":1,"\\u0071":2}', "duplicate_name"),
    "duplicate name behind a space": (b'{"q":1,"q" :2}', "duplicate_name"),
    "duplicate name as browsers write": (b'{"q": 1, "q": 1}', "duplicate_name"),
    "duplicate name with a comma in it": (b'{"a, b": 1, "a, b": 1}', "duplicate_name"),
    "duplicate name inside": (b'{"a":[{"q":1,"q":1}]}', "duplicate_name"),
    "one level too deep": (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "too_deep"),
    "deep objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
    "100,000 arrays": (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
    "deep behind brackets in text": (b'["]",' + b"[" * 32 + b"]" * 32 + b"]", "too_deep"),
}


@pytest.mark.parametrize(("body", "value"), ALLOWED.values(), ids=ALLOWED.keys())
def test_a_document_is_read(body: bytes, value: object) -> None:
    parsed = parse(body)

    assert value is None or parsed == value


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_one_clear_document_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedJSON) as refused:
        parse(body)

    assert refused.value.reason == reason


def test_a_refusal_tells_the_place_and_nothing_of_the_body() -> None:
    with pytest.raises(MalformedJSON) as refused:
        parse(b'{"secret": hunter2}')

    assert refused.value.position == 11
    assert str(refused.value) == "syntax"


def test_integers_stay_integers_and_booleans_booleans() -> None:
    value = parse(b'{"one":1,"yes":true,"real":1.0}')

    assert isinstance(value, dict)
    assert [type(member) for member in value.values()] == [int, bool, float]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1E400", "-1e999", "9" * 4301])
def test_a_number_that_is_none_is_left_to_the_field_that_can_name_itself(text: str) -> None:
    value = parse(b'{"q":%b}' % text.encode())

    assert isinstance(value, dict)
    assert not math.isfinite(value["q"])


def test_a_repeated_name_is_told() -> None:
    with pytest.raises(MalformedJSON) as refused:
        parse(b'{"sku":"P001","delta":1,"delta":2}')

    assert refused.value.field == "delta"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " :\t")])
@pytest.mark.parametrize("is_ascii", [True, False])
@given(value=VALUES)
def test_what_is_written_by_any_client_is_read_as_it_was_meant(
    separators: tuple[str, str],
    is_ascii: bool,
    value: object,
) -> None:
    body = json.dumps(value, separators=separators, ensure_ascii=is_ascii).encode()

    read = parse(body)

    # NaN equals nothing, and 1.0 equals 1: their texts are compared.
    assert repr(read) == repr(value)


@pytest.mark.parametrize("text", ["-0", "18446744073709551616", "-9223372036854775809"])
def test_whole_numbers_of_any_size_and_sign_are_whole(text: str) -> None:
    value = parse(b'{"q":%b}' % text.encode())

    assert isinstance(value, dict)
    assert type(value["q"]) is int
    assert value["q"] == int(text)
