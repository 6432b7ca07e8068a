"""Where a row ends, in CSV or NDJSON that arrives in pieces of any size."""

from enum import Enum
from typing import NamedTuple

from inventory_api.web.problem_kinds import HTTPCode


class Fault(NamedTuple):
    """Why a row can't be used: a code of the table of problems, and a field or `row`."""

    code: str
    field: str
    message: str
    message_zh: str


TOO_LONG = Fault(HTTPCode.VALIDATION_ERROR, "row", "is longer than accepted", "超过长度上限")
NOT_CLOSED = Fault(
    HTTPCode.VALIDATION_ERROR,
    "row",
    "opens a quote that nothing closes: all behind it belongs to this row",
    "引号未闭合, 其后的全部内容都属于本行",
)


class _In(Enum):
    """Where in a row of CSV the next character stands."""

    START = "at the start of a cell"
    PLAIN = "in a cell without quotes"
    QUOTED = "inside quotes"
    CLOSING = "behind a quote inside quotes: the second of two, or the end"


class Records:
    """Cuts a stream at the line feeds that end a row; inside quotes they are text."""

    def __init__(self, bytes_max: int, *, is_quoted: bool) -> None:
        self._bytes_max = bytes_max
        self._is_quoted = is_quoted
        self._parts: list[bytes] = []
        self._bytes = 0
        self._in = _In.START

    def feed(self, data: bytes) -> list[bytes | Fault]:
        """The rows that a piece completes; of one that is too long the fault."""
        *lines, rest = data.split(b"\n")
        records: list[bytes | Fault] = []
        for line in lines:
            self._keep(line)
            # Most rows have no quotes: then nothing has to be looked at.
            if self._is_quoted and (b'"' in line or self._in is _In.QUOTED):
                self._in = _behind(line, self._in)
            if self._in is _In.QUOTED:
                self._keep(b"\n")
            else:
                records.append(self._taken())
        self._keep(rest)
        if self._is_quoted:
            self._in = _behind(rest, self._in)
        return records

    def end(self) -> list[bytes | Fault]:
        """What stands behind the last line feed."""
        if self._in is _In.QUOTED:
            return [NOT_CLOSED]
        return [self._taken()] if self._bytes else []

    def _keep(self, part: bytes) -> None:
        self._bytes += len(part)
        if self._bytes <= self._bytes_max:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _taken(self) -> bytes | Fault:
        record = TOO_LONG if self._bytes > self._bytes_max else b"".join(self._parts)
        self._parts.clear()
        self._bytes = 0
        self._in = _In.START
        return record


def _behind(part: bytes, where: _In) -> _In:
    """Where the character behind a part of a row stands, as the csv module reads it."""
    position = 0
    while position < len(part):
        if where is _In.QUOTED or where is _In.PLAIN:
            sign, following = (b'"', _In.CLOSING) if where is _In.QUOTED else (b",", _In.START)
            position = part.find(sign, position) + 1
            if not position:
                return where
            where = following
            continue
        sign = part[position : position + 1]
        if sign == b'"':
            where, position = _In.QUOTED, position + 1
        elif sign == b",":
            where, position = _In.START, position + 1
        else:
            where = _In.PLAIN
    return where
