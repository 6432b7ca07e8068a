"""Rows are cut out of a document the same way, however it arrives."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from inventory_api.suppliers.failure import Malformed, Truncated
from inventory_api.suppliers.json_list import JSONList

JSON = Any  # Any: JSON values
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def read(text: bytes, *, path: tuple[str, ...] = ("items",), piece: int = 7) -> tuple[JSON, JSON]:
    """The rows and the document, fed so many bytes at a time."""
    reader = JSONList(path, row_bytes_max=10_000)
    rows: list[bytes] = []
    for start in range(0, len(text), piece):
        rows += reader.feed(text[start : start + piece])
    document = reader.end()
    return [orjson.loads(row) for row in rows], document


@given(
    rows=st.lists(values, max_size=5),
    before=values,
    behind=values,
    piece=st.integers(1, 40),
    indent=st.sampled_from([None, 2]),
    is_ascii=st.booleans(),
)
def test_rows_and_what_is_around_them_are_those_of_the_document(
    rows: list[JSON], before: JSON, behind: JSON, piece: int, indent: int | None, is_ascii: bool
) -> None:
    document = {"a": before, "items": rows, "z": behind}
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii).encode()

    found, around = read(text, piece=piece)

    assert found == rows
    assert around == {**document, "items": []}


@given(rows=st.lists(values, max_size=5), piece=st.integers(1, 40), data=st.data())
def test_a_document_that_is_cut_anywhere_is_noticed(
    rows: list[JSON], piece: int, data: st.DataObject
) -> None:
    text = json.dumps({"items": rows, "n": 1}).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    with pytest.raises((Truncated, Malformed)):
        read(cut, piece=piece)


@given(text=st.binary(max_size=60) | st.text('{}[]",:\\ a1', max_size=60).map(str.encode))
def test_anything_is_a_list_or_refused(text: bytes) -> None:
    try:
        rows, document = read(b'{"items":' + text + b"}")
    except (Truncated, Malformed, orjson.JSONDecodeError):
        return

    assert json.loads(b'{"items":' + text + b"}") == {**document, "items": rows}


def test_a_list_of_the_same_name_elsewhere_is_not_meant() -> None:
    text = b'{"x":{"items":[1]},"y":[{"items":[2]}],"items":[3,"]"],"z":{"items":[]}}'

    assert read(text)[0] == [3, "]"]


def test_a_row_has_a_limit_and_so_has_what_is_around() -> None:
    with pytest.raises(Malformed):
        read(b'{"items":["' + b"x" * 20_000 + b'"]}', piece=1_000)
    with pytest.raises(Malformed):
        read(b'{"n":"' + b"x" * 100_000 + b'","items":[]}', piece=1_000)
