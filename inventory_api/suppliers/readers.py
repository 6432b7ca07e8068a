"""Records out of a list that arrives in pieces of any size: JSON, NDJSON or CSV."""

import csv
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from inventory_api.domain.supplier import Shape
from inventory_api.suppliers.failure import Malformed, Truncated
from inventory_api.suppliers.json_list import JSONList
from inventory_api.suppliers.rows import Parts, at_path, path_of

BOM = b"\xef\xbb\xbf"


class Ending(NamedTuple):
    """What a document says about its list.

    Attributes:
        total: rows of the whole list; None if it does not say.
        next: the URL of the next page.
        is_proven: whether the document itself shows that it is whole.
    """

    total: int | None = None
    next: str | None = None
    is_proven: bool = False


class Reader(Protocol):
    """Reads one document."""

    def feed(self, data: bytes) -> list[Parts]:
        """The records that a piece completes."""
        ...

    def end(self) -> tuple[list[Parts], Ending]:
        """The last records, and what the document says about them."""
        ...


def reader_of(kind: str, shape: Shape, row_bytes_max: int) -> Reader:
    """What reads a document of a format, with a byte order mark before it or without."""
    match kind:
        case "json":
            return Unmarked(JSONReader(shape, row_bytes_max))
        case "ndjson":
            return Unmarked(NDJSONReader(shape, row_bytes_max))
        case _:
            return Unmarked(CSVReader(shape, row_bytes_max))


class Unmarked:
    """Leaves out the byte order mark that a document may begin with: one, and nowhere else."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        # What has come as long as it may be a mark that has not come whole.
        self._held: bytes | None = b""

    def feed(self, data: bytes) -> list[Parts]:
        if self._held is not None:
            data = self._held + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._held = data
                return []
            self._held = None
            data = data.removeprefix(BOM)
        return self._reader.feed(data)

    def end(self) -> tuple[list[Parts], Ending]:
        records = self._reader.feed(self._held) if self._held else []
        rest, ending = self._reader.end()
        return records + rest, ending


class JSONReader:
    """A document with a list in it."""

    def __init__(self, shape: Shape, row_bytes_max: int) -> None:
        self._shape = shape
        self._list = JSONList(path_of(shape.rows), row_bytes_max)

    def feed(self, data: bytes) -> list[Parts]:
        return [Parts(row) for row in self._list.feed(data)]

    def end(self) -> tuple[list[Parts], Ending]:
        document = self._list.end()
        total = _total(document, self._shape.total)
        following = at_path(document, path_of(self._shape.next or ""))
        if self._shape.next is None or following in (None, "", False):
            return [], Ending(total, None, is_proven=True)
        if not isinstance(following, str):
            raise Malformed("the link to the next page is no text")
        return [], Ending(total, following, is_proven=True)


class NDJSONReader:
    """One object per line; if the shape says so, the last of them ends the list."""

    def __init__(self, shape: Shape, row_bytes_max: int) -> None:
        self._shape = shape
        self._lines = Lines(row_bytes_max)
        self._last: Any = None  # Any: a JSON object

    def feed(self, data: bytes) -> list[Parts]:
        return self._records(self._lines.feed(data))

    def end(self) -> tuple[list[Parts], Ending]:
        records = self._records(self._lines.end())
        if self._shape.end is None:
            return records, Ending()
        if self._last is None:
            raise Truncated("the record that ends the list is missing")
        return records, Ending(_total(self._last, self._shape.total), is_proven=True)

    def _records(self, lines: Sequence[Parts]) -> list[Parts]:
        return [line for line in lines if not self._is_end(line)]

    def _is_end(self, line: Parts) -> bool:
        if self._last is not None:
            raise Malformed("something follows the record that ends the list")
        name = self._shape.end
        # Most lines do not even contain the name.
        if name is None or line.content is None or name.encode() not in line.content:
            return False
        assert isinstance(line.content, bytes)
        try:
            record = orjson.loads(line.content)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(record, dict) or name not in record:
            return False
        self._last = record
        return True


class CSVReader:
    """Lines with a header that names the columns; quotes may not hold line breaks."""

    def __init__(self, shape: Shape, row_bytes_max: int) -> None:
        self._shape = shape
        self._lines = Lines(row_bytes_max)
        self._header: list[str] = []

    def feed(self, data: bytes) -> list[Parts]:
        return self._records(self._lines.feed(data))

    def end(self) -> tuple[list[Parts], Ending]:
        records = self._records(self._lines.end())
        if not self._header:
            raise Truncated("there is no header")
        return records, Ending()

    def _records(self, lines: list[Parts]) -> list[Parts]:
        if lines and not self._header:
            self._header = self._read_header(lines.pop(0))
        return [self._record(line) for line in lines]

    def _read_header(self, line: Parts) -> list[str]:
        cells = self._cells(line)
        names = [cell.strip() for cell in cells] if isinstance(cells, list) else []
        for wanted in (self._shape.sku, self._shape.quantity):
            if names.count(wanted) != 1:
                raise Malformed("the header does not have each declared column once")
        return names

    def _record(self, line: Parts) -> Parts:
        cells = self._cells(line)
        if isinstance(cells, str):
            return Parts(None, cells)
        if len(cells) != len(self._header):
            return Parts(None, "cells")
        return Parts(dict(zip(self._header, cells, strict=True)))

    def _cells(self, line: Parts) -> list[str] | str:
        """The cells, or the fault."""
        if not isinstance(line.content, bytes):
            return line.fault or "row"
        try:
            text = line.content.decode()
            return next(csv.reader([text], strict=True, delimiter=self._shape.delimiter))
        except UnicodeDecodeError:
            return "not_utf8"
        except csv.Error:
            return "not_csv"


class Lines:
    """Cuts a stream at its line feeds; blank lines are left out."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = b""
        self._is_too_long = False

    def feed(self, data: bytes) -> list[Parts]:
        """The lines that a piece completes; of one that is too long a fault."""
        *lines, rest = (self._rest + data).split(b"\n")
        found = [parts for line in lines if (parts := self._parts(line)) is not None]
        if len(rest) > self._bytes_max:
            self._is_too_long, rest = True, b""
        self._rest = rest
        return found

    def end(self) -> list[Parts]:
        """What stands behind the last line feed."""
        parts = self._parts(self._rest)
        return [] if parts is None else [parts]

    def _parts(self, line: bytes) -> Parts | None:
        if self._is_too_long or len(line) > self._bytes_max:
            self._is_too_long = False
            return Parts(None, "too_long")
        # Not more than the line's end: cells may be empty, and tabs may be between them.
        line = line.strip(b"\r")
        return Parts(line) if line.strip() else None


def _total(document: Any, path: str | None) -> int | None:  # Any: JSON values
    if path is None:
        return None
    total = at_path(document, path_of(path))
    if type(total) is not int or total < 0:
        raise Malformed("the declared total is no whole number")
    return total
