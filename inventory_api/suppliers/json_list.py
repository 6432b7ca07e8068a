"""The rows of a JSON document of any length, as they arrive, and what stands around them.

Only strings, brackets and commas are looked at: enough to know where a row begins and ends. Each
row, and at last the document without its rows, is parsed by orjson, which knows what JSON is.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from inventory_api.suppliers.failure import Malformed, Truncated

DEPTH_MAX = 64
# What surrounds the rows: totals, links. A list elsewhere in the document is not what is wanted.
AROUND_BYTES_MAX = 64 << 10
# The quote that ends a string is missing as long as the string has not arrived whole.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[{}\[\],]', re.DOTALL)
_OPENING, _CLOSING = b"{[", {b"}": b"{", b"]": b"["}


class _Open:
    """An object or a list that is not closed yet; `key` is the member that is being read."""

    __slots__ = ("at_key", "bracket", "key")

    def __init__(self, bracket: bytes) -> None:
        self.bracket = bracket
        self.key = ""
        self.at_key = bracket == b"{"


class JSONList:
    """Cuts the list at `path` into its rows.

    Args:
        path: names from the document's top to the list; none if the document is the list.
        row_bytes_max: of one row.
    """

    def __init__(self, path: Sequence[str], row_bytes_max: int) -> None:
        self._path = tuple(path)
        self._row_bytes_max = row_bytes_max
        self._buffer = b""
        self._scanned = 0
        self._open: list[_Open] = []
        self._around = bytearray()
        # Where the row, or what stands around the rows, begins in the buffer.
        self._start = 0
        self._is_found = False
        self._has_rows = False
        self._depth_of_rows = 0

    @property
    def is_in_rows(self) -> bool:
        return self._depth_of_rows > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The rows that a piece completes.

        Raises:
            Malformed: brackets do not match, or a row or what is around them is too long.
        """
        self._buffer += data
        rows: list[bytes] = []
        for token in _TOKEN.finditer(self._buffer, self._scanned):
            if token[0][:1] == b'"':
                if not token[1]:
                    break
                self._string(token[0])
            else:
                self._sign(token[0], token.start(), token.end(), rows)
            self._scanned = token.end()
        self._cut()
        return rows

    def end(self) -> Any:  # Any: a JSON document
        """The document, with an empty list where the rows were.

        Raises:
            Truncated: it is not closed.
            Malformed: it is no JSON, or the list is not where it should be.
        """
        if self._open or not (self._around or self._buffer.strip()):
            raise Truncated("the document ends before it is closed")
        text = bytes(self._around) + self._buffer
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Malformed("the document is no JSON") from error
        if not self._is_found:
            raise Malformed("the document has no list where the rows should be")
        return document

    def _string(self, text: bytes) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and top.at_key and not self.is_in_rows:
            top.at_key = False
            try:
                top.key = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise Malformed("the document is no JSON") from error

    def _sign(self, sign: bytes, start: int, end: int, rows: list[bytes]) -> None:
        if sign in _OPENING:
            self._opened(sign, end)
        elif sign == b",":
            self._comma(start, end, rows)
        else:
            self._closed(sign, start, rows)

    def _opened(self, bracket: bytes, end: int) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise Malformed(f"the document is more than {DEPTH_MAX} levels deep")
        is_list = bracket == b"[" and not self.is_in_rows and self._here() == self._path
        self._open.append(_Open(bracket))
        if not is_list:
            return
        if self._is_found:
            raise Malformed("the document has the list of rows twice")
        self._is_found = True
        self._depth_of_rows = len(self._open)
        self._has_rows = False
        self._keep_around(end)

    def _comma(self, start: int, end: int, rows: list[bytes]) -> None:
        if not self._open:
            raise Malformed("the document has a comma outside of it")
        if len(self._open) == self._depth_of_rows:
            rows.append(self._row(start))
            self._has_rows = True
            self._start = end
        elif not self.is_in_rows:
            self._open[-1].at_key = self._open[-1].bracket == b"{"

    def _closed(self, bracket: bytes, start: int, rows: list[bytes]) -> None:
        if not self._open or self._open[-1].bracket != _CLOSING[bracket]:
            raise Malformed("the brackets of the document do not match")
        if len(self._open) == self._depth_of_rows:
            if row := self._row(start):
                rows.append(row)
            elif self._has_rows:
                raise Malformed("the list of rows ends with a comma")
            self._depth_of_rows = 0
            self._start = start
        self._open.pop()

    def _here(self) -> tuple[str, ...] | None:
        """The path of what is opened now; None inside a list, where nothing has a name."""
        if any(one.bracket == b"[" for one in self._open):
            return None
        return tuple(one.key for one in self._open)

    def _row(self, end: int) -> bytes:
        return self._buffer[self._start : end].strip(b" \t\r\n")

    def _cut(self) -> None:
        """Forget what is done with, and see that the rest does not grow without a limit."""
        if not self.is_in_rows:
            self._keep_around(self._scanned)
        self._buffer = self._buffer[self._start :]
        self._scanned -= self._start
        self._start = 0
        limit = self._row_bytes_max if self.is_in_rows else AROUND_BYTES_MAX
        if len(self._buffer) > limit:
            raise Malformed(f"a row, or a text around the rows, is longer than {limit} bytes")

    def _keep_around(self, end: int) -> None:
        self._around += self._buffer[self._start : end]
        self._start = end
        if len(self._around) > AROUND_BYTES_MAX:
            raise Malformed(f"the document has more than {AROUND_BYTES_MAX} bytes around its rows")
