"""Rows out of CSV or NDJSON that arrives in pieces of any size, and CSV out of rows.

A row that can't be read is a fault of its own number; the rows around it are read all the same.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Invalid, InvalidField, field_path
from inventory_api.web.records import Fault, Records
from inventory_api.web.strict_json import MalformedJSON, parse

BOM = b"\xef\xbb\xbf"
BLANK = (b"", b"\r")
# A spreadsheet takes a text that begins like this for a formula and runs it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
# More digits than any quantity has stay text, which no number is.
_WHOLE = re.compile(r"-?[0-9]{1,30}")

Fields = dict[str, object]


class Row(NamedTuple):
    """A row by its number, from 1, without the header and blank lines; fields or a fault."""

    number: int
    fields: Fields | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row may have; `whole` are whole numbers and the others text."""

    names: Sequence[str]
    required: frozenset[str]
    whole: frozenset[str]


NOT_UTF8 = Fault(HTTPCode.VALIDATION_ERROR, "row", "is not UTF-8", "不是 UTF-8")
NOT_CSV = Fault(
    HTTPCode.VALIDATION_ERROR, "row", "has a misplaced quote or line break", "引号或换行位置错误"
)
NOT_AN_OBJECT = Fault(HTTPCode.VALIDATION_ERROR, "row", "must be an object", "必须是对象")


class JSONRows:
    """The rows of NDJSON: one object per line, and so no header to wait for."""

    has_header = True

    def __init__(self, row_bytes_max: int) -> None:
        self._records = Records(row_bytes_max, is_quoted=False)
        self._number = 0

    def feed(self, data: bytes) -> list[Row]:
        """The rows that a piece completes."""
        return self._rows(self._records.feed(data))

    def end(self) -> list[Row]:
        """The row that ends without a line feed, if there is one."""
        return self._rows(self._records.end())

    def _rows(self, records: Sequence[bytes | Fault]) -> list[Row]:
        return [self._row(record) for record in records if record not in BLANK]

    def _row(self, record: bytes | Fault) -> Row:
        self._number += 1
        if isinstance(record, Fault):
            return Row(self._number, None, record)
        try:
            value = parse(record)
        except MalformedJSON as error:
            message = f"is not one JSON object ({error.reason})"
            message_zh = f"不是单个 JSON 对象 ({error.reason})"
            fault = Fault(HTTPCode.MALFORMED_JSON, "row", message, message_zh)
            return Row(self._number, None, fault)
        if not isinstance(value, dict):
            return Row(self._number, None, NOT_AN_OBJECT)
        return Row(self._number, value)


class CSVRows:
    """The rows of CSV as RFC 4180 has it, with a header that names the columns in any order.

    A cell that is empty is None. A byte order mark is skipped, and a `'` that guards a text from
    being run as a formula is taken off.
    """

    def __init__(self, columns: Columns, row_bytes_max: int) -> None:
        self._columns = columns
        self._records = Records(row_bytes_max, is_quoted=True)
        self._header: Sequence[str] = ()
        self._number = 0

    def feed(self, data: bytes) -> list[Row]:
        """The rows that a piece completes.

        Raises:
            Invalid: the header names unknown columns, or lacks needed ones.
        """
        return self._rows(self._records.feed(data))

    def end(self) -> list[Row]:
        """The row that ends without a line feed, if there is one.

        Raises:
            Invalid: there was no header.
        """
        rows = self._rows(self._records.end())
        if not self._header:
            raise Invalid([_missing(name) for name in self._columns.names if self._needs(name)])
        return rows

    @property
    def has_header(self) -> bool:
        """Whether the header has been read."""
        return bool(self._header)

    def _rows(self, records: Sequence[bytes | Fault]) -> list[Row]:
        if not self._header and records:
            self._header = self._read_header(records[0])
            records = records[1:]
        return [self._row(record) for record in records if record not in BLANK]

    def _needs(self, name: str) -> bool:
        return name in self._columns.required

    def _read_header(self, record: bytes | Fault) -> Sequence[str]:
        cells = record if isinstance(record, Fault) else _cells(record.removeprefix(BOM))
        if isinstance(cells, Fault):
            raise Invalid([InvalidField("header", "csv", cells.message, cells.message_zh)])
        unknown = [name for name in cells if name not in self._columns.names]
        repeated = [name for name in dict.fromkeys(cells) if cells.count(name) > 1]
        missing = [name for name in self._columns.names if self._needs(name) and name not in cells]
        wrong = [
            *(
                _wrong_column(name, "extra_forbidden", "unknown column", "未知列")
                for name in unknown
            ),
            *(_wrong_column(name, "repeated", "repeated column", "重复的列") for name in repeated),
            *(_missing(name) for name in missing),
        ]
        if wrong:
            raise Invalid(wrong)
        return cells

    def _row(self, record: bytes | Fault) -> Row:
        self._number += 1
        cells = record if isinstance(record, Fault) else _cells(record)
        if isinstance(cells, Fault):
            return Row(self._number, None, cells)
        if len(cells) != len(self._header):
            count = len(self._header)
            message = f"must have {count} cells, like the header"
            message_zh = f"必须与表头一致, 有 {count} 个单元格"
            fault = Fault(HTTPCode.VALIDATION_ERROR, "row", message, message_zh)
            return Row(self._number, None, fault)
        return Row(self._number, self._fields(cells))

    def _fields(self, cells: Sequence[str]) -> Fields:
        fields: Fields = {}
        for name, cell in zip(self._header, cells, strict=True):
            if cell == "":
                # A cell that must not be empty is told like a field that is not there.
                if not self._needs(name):
                    fields[name] = None
            elif name in self._columns.whole:
                fields[name] = int(cell) if _WHOLE.fullmatch(cell) else cell
            else:
                fields[name] = cell[1:] if _GUARDED.match(cell) else cell
        return fields


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV; None is an empty cell, and no text can be run as a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(
        [f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for cell in row]
        for row in rows
    )
    return text.getvalue().encode()


def fault_of(wrong: InvalidField) -> Fault:
    """A wrong field of a row."""
    return Fault(HTTPCode.VALIDATION_ERROR, wrong.field, wrong.message, wrong.message_zh)


def _cells(record: bytes) -> list[str] | Fault:
    try:
        return next(csv.reader([record.decode()], strict=True))
    except UnicodeDecodeError:
        return NOT_UTF8
    except csv.Error:
        return NOT_CSV


def _wrong_column(name: str, code: str, message: str, message_zh: str) -> InvalidField:
    return InvalidField(field_path((name,)), code, message, message_zh)


def _missing(name: str) -> InvalidField:
    return InvalidField(name, "missing", "missing column", "缺少此列")
