"""Where rows end, compared with the csv module, which sees the whole text at once."""

import csv
import io

from hypothesis import given, strategies as st

from inventory_api.web.records import NOT_CLOSED, TOO_LONG, Fault, Records


def records_of(data: bytes, *, piece: int, bytes_max: int = 1000) -> list[bytes | Fault]:
    records = Records(bytes_max, is_quoted=True)
    found = [
        record
        for start in range(0, len(data), piece)
        for record in records.feed(data[start : start + piece])
    ]
    return found + records.end()


@given(st.text(st.sampled_from('ab,"\n'), max_size=40), st.integers(1, 9))
def test_a_row_ends_where_the_csv_module_ends_it(text: str, piece: int) -> None:
    found = records_of(text.encode(), piece=piece)

    expected = list(csv.reader(io.StringIO(text, newline="")))
    if found and found[-1] is NOT_CLOSED:
        found, expected = found[:-1], expected[:-1]
    assert [_cells(record) for record in found] == expected


@given(st.text(st.sampled_from('ab,"\n'), max_size=60), st.integers(1, 9))
def test_the_limit_cuts_out_long_rows_and_moves_no_other_row_s_end(text: str, piece: int) -> None:
    whole = records_of(text.encode(), piece=piece)

    limited = records_of(text.encode(), piece=piece, bytes_max=5)

    assert limited == [
        TOO_LONG if isinstance(record, bytes) and len(record) > 5 else record for record in whole
    ]


def test_of_a_long_row_nothing_is_kept() -> None:
    records = Records(1000, is_quoted=True)

    for _ in range(100):
        assert records.feed(b"x" * 900) == []
        assert sum(len(part) for part in records._parts) <= 1000

    assert records.feed(b"\n") == [TOO_LONG]


def test_lines_of_json_end_at_line_feeds_whatever_stands_in_quotes() -> None:
    records = Records(1000, is_quoted=False)

    assert records.feed(b'"a\n"b"\nc') == [b'"a', b'"b"']
    assert records.end() == [b"c"]


def _cells(record: bytes | Fault) -> list[str]:
    assert isinstance(record, bytes)
    return next(csv.reader([record.decode()]), [])
