"""Rows out of CSV and NDJSON, in pieces of any size."""

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from inventory_api.web.problems import Invalid
from inventory_api.web.rows import Columns, CSVRows, JSONRows, Row, csv_text

COLUMNS = Columns(
    names=("sku", "name", "note", "units"),
    required=frozenset({"sku", "units"}),
    whole=frozenset({"units"}),
)
ROW_BYTES_MAX = 200


def rows_of(data: bytes, *, piece: int = 1 << 20, row_bytes_max: int = ROW_BYTES_MAX) -> list[Row]:
    reader = CSVRows(COLUMNS, row_bytes_max)
    rows = [
        row
        for start in range(0, len(data), piece)
        for row in reader.feed(data[start : start + piece])
    ]
    return rows + reader.end()


def fields_of(data: bytes, *, piece: int = 1 << 20) -> list[dict[str, object]]:
    rows = rows_of(data, piece=piece)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.fault is None for row in rows), rows
    return [row.fields for row in rows if row.fields is not None]


def wrong_columns(data: bytes) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused:
        rows_of(data)
    return [(wrong.field, wrong.code) for wrong in refused.value.fields]


def faults_of(data: bytes) -> list[tuple[int, str]]:
    return [(row.number, row.fault.message) for row in rows_of(data) if row.fault is not None]


@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20], ids=["1", "2", "7", "whole"])
def test_the_network_s_pieces_make_no_difference(piece: int) -> None:
    data = b'units,sku,name\r\n1,"a ""b"", c",x\r\n\r\n2,"two\r\nlines",\r\n3,\xe7\xac\x94,"y"'

    assert fields_of(data, piece=piece) == [
        {"units": 1, "sku": 'a "b", c', "name": "x"},
        {"units": 2, "sku": "two\r\nlines", "name": None},
        {"units": 3, "sku": "笔", "name": "y"},
    ]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
cells = st.lists(texts | st.just('say "yes"\nor, "no"'), min_size=4, max_size=4)


@given(st.lists(cells, max_size=5), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back(
    table: list[list[str]], piece: int, line_end: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([["name", "note", "sku", "units"], *table])

    rows = rows_of(text.getvalue().encode(), piece=piece, row_bytes_max=1000)

    assert len(rows) == len(table)
    for row, written in zip(rows, table, strict=True):
        assert row.fields is not None
        assert [row.fields.get(name) for name in ("name", "note")] == [
            _read_back(cell) for cell in written[:2]
        ]


def _read_back(cell: str) -> str | None:
    is_guarded = cell.startswith("'") and cell.lstrip("'")[:1] in ("=", "+", "-", "@", "\t")
    return (cell[1:] if is_guarded and cell.lstrip("'") else cell) or None


visible = st.text(st.sampled_from("'=+-@\tab,\" "), min_size=1, max_size=8)


@given(visible, visible)
def test_a_text_is_never_a_formula_in_a_spreadsheet_and_comes_back_as_it_was(
    sku: str, name: str
) -> None:
    exported = csv_text([["sku", "name", "units"], [sku, name, -5]])

    (cells,) = list(csv.reader(io.StringIO(exported.decode(), newline="")))[1:]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells[:2])
    assert cells[2] == "-5"
    assert fields_of(exported) == [{"sku": sku, "name": name, "units": -5}]


def test_a_byte_order_mark_is_skipped() -> None:
    assert fields_of(b"\xef\xbb\xbfsku,units\na,1\n") == [{"sku": "a", "units": 1}]


def test_an_empty_cell_is_nothing_and_where_it_must_not_be_it_is_missing() -> None:
    assert fields_of(b"sku,name,units\n,,\n") == [{"name": None}]


@pytest.mark.parametrize(
    "cell",
    ["1.0", "+1", " 1", "1 ", "1_000", "1e3", "0x1", "--1", "\u0661", "true", "1,0"],
    ids=[
        "fraction",
        "plus",
        "space-before",
        "space-behind",
        "underscore",
        "exponent",
        "hexadecimal",
        "two-signs",
        "arabic-digit",
        "word",
        "decimal-comma",
    ],
)
def test_a_number_has_one_spelling_and_all_else_stays_text(cell: str) -> None:
    assert fields_of(f'sku,units\na,"{cell}"\n'.encode()) == [{"sku": "a", "units": cell}]


@pytest.mark.parametrize("cell", ["0", "-7", "1000000000000"], ids=["zero", "minus", "large"])
def test_a_whole_number_is_a_number(cell: str) -> None:
    assert fields_of(f"sku,units\na,{cell}\n".encode()) == [{"sku": "a", "units": int(cell)}]


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        (b"sku,units,colour\n", [("colour", "extra_forbidden")]),
        (b"SKU,units\n", [("SKU", "extra_forbidden"), ("sku", "missing")]),
        (
            b"sku;units\n",
            [("(unknown)", "extra_forbidden"), *((n, "missing") for n in ("sku", "units"))],
        ),
        (b"sku,units,sku\n", [("sku", "repeated")]),
        (b"name\n", [("sku", "missing"), ("units", "missing")]),
        (b"", [("sku", "missing"), ("units", "missing")]),
        (b"sku,\xff\n", [("header", "csv")]),
        (b'sku,"units\n', [("header", "csv")]),
        (b"s" * 300 + b"\n", [("header", "csv")]),
    ],
    ids=[
        "unknown",
        "other-case",
        "semicolons",
        "repeated",
        "missing",
        "empty-body",
        "not-utf-8",
        "open-quote",
        "too-long",
    ],
)
def test_a_wrong_header_is_refused_and_the_column_named(
    header: bytes, wrong: Sequence[tuple[str, str]]
) -> None:
    assert wrong_columns(header) == list(wrong)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"a", "must have 3 cells, like the header"),
        (b"a,b,1,2", "must have 3 cells, like the header"),
        (b"a,\xff,1", "is not UTF-8"),
        (b'a,"b"c,1', "has a misplaced quote"),
        (b"a,b\rc,1", "has a misplaced quote or line break"),
        (b"a," + b"b" * 300 + b",1", "is longer than accepted"),
        (b'a,"' + b"b,\n" * 100 + b'",1', "is longer than accepted"),
    ],
    ids=[
        "too-few-cells",
        "too-many-cells",
        "not-utf-8",
        "misplaced-quote",
        "lone-carriage-return",
        "too-long",
        "too-long-in-quotes",
    ],
)
def test_a_row_that_can_not_be_read_is_told_by_its_number_and_the_next_one_is_read(
    row: bytes, message: str
) -> None:
    rows = rows_of(b"sku,name,units\nx,,1\n" + row + b"\ny,,2\n", piece=10)

    assert [one.fields for one in rows] == [
        {"sku": "x", "name": None, "units": 1},
        None,
        {"sku": "y", "name": None, "units": 2},
    ]
    assert rows[1].number == 2
    assert rows[1].fault is not None
    assert rows[1].fault.message.startswith(message)


def test_a_quote_inside_a_plain_cell_is_a_character_like_any_other() -> None:
    assert fields_of(b'sku,name,units\na,5" disk,1\nb,6",2\n') == [
        {"sku": "a", "name": '5" disk', "units": 1},
        {"sku": "b", "name": '6"', "units": 2},
    ]


def test_nothing_behind_a_quote_that_is_never_closed_is_taken_for_a_row() -> None:
    ((number, message),) = faults_of(b'sku,units\n"a,1\nb,2\nc,3\n')

    assert number == 1
    assert message.startswith("opens a quote")


@pytest.mark.parametrize("piece", [1, 5, 1000], ids=["1", "5", "whole"])
def test_lines_of_json_are_rows_and_blank_ones_are_not(piece: int) -> None:
    data = b'{"sku":"a","units":1}\r\n\n{"sku":"b"}\n[1]\nnope\n{"a":1,"a":2}\n{"sku":"c"}'
    reader = JSONRows(ROW_BYTES_MAX)

    rows = [
        row
        for start in range(0, len(data), piece)
        for row in reader.feed(data[start : start + piece])
    ]
    rows += reader.end()

    assert [(row.number, row.fields, row.fault and row.fault.code) for row in rows] == [
        (1, {"sku": "a", "units": 1}, None),
        (2, {"sku": "b"}, None),
        (3, None, "validation_error"),
        (4, None, "malformed_json"),
        (5, None, "malformed_json"),
        (6, {"sku": "c"}, None),
    ]


def test_a_line_of_json_that_is_too_long_is_one_row_and_never_kept() -> None:
    reader = JSONRows(row_bytes_max=50)

    rows = [*reader.feed(b'{"a":"' + b"x" * 100), *reader.feed(b"x" * 100 + b'"}\n{"b":1}\n')]

    assert [(row.fields, row.fault and row.fault.message) for row in rows] == [
        (None, "is longer than accepted"),
        ({"b": 1}, None),
    ]
