"""Where a list waits until it is known to be whole: in a file, and sorted by SKU.

Rows are sorted in memory, so many at a time, and each of these runs is written behind the one
before it. Reading merges the runs, so that what is in memory is bounded however long the list is,
and all that is said of one SKU stands together.
"""

import heapq
import tempfile
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO, NamedTuple

import orjson

from inventory_api.domain.types import SKU
from inventory_api.suppliers.failure import PullFailed

RUN_ROWS = 10_000
# One line of a run is some 30 bytes: a hundred runs are merged with a small buffer each.
READ_BYTES = 8 << 10

Entry = tuple[str, int, int | None, str | None]
"""SKU, line, units, code. Units None: the list names the SKU, and the quantity can't be used.
Code None: the supplier calls it as we do, which most do; nothing is written twice."""


class Named(NamedTuple):
    """What a list says of one SKU.

    Attributes:
        units: None if it says nothing that can be used.
        lines: the first of those that say it, and of those that contradict it.
        code: how the supplier calls it in the last of these lines.
        is_contradicted: whether two lines say different things.
    """

    sku: SKU
    units: int | None
    lines: tuple[int, ...]
    code: str
    is_contradicted: bool


class Spool:
    """A list in a file without a name; a context manager.

    Args:
        bytes_max: of the file.
    """

    def __init__(self, bytes_max: int, *, run_rows: int = RUN_ROWS) -> None:
        self._bytes_max = bytes_max
        self._run_rows = run_rows
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        self._rows: list[Entry] = []
        self._runs: list[tuple[int, int]] = []
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, sku: SKU, line: int, units: int | None, *, code: str) -> None:
        """Keep a row.

        Raises:
            PullFailed: there is no more room.
        """
        self._rows.append((sku, line, units, None if code == sku else code))
        if len(self._rows) >= self._run_rows:
            self._write()

    def named(self) -> Iterator[Named]:
        """What the list says of each SKU, by SKU; can be read again and again."""
        self._write()
        merged = heapq.merge(*(self._read(start, end) for start, end in self._runs))
        for sku, entries in groupby(merged, key=lambda entry: entry[0]):
            yield _named(sku, entries)

    def _write(self) -> None:
        if not self._rows:
            return
        # By SKU and line: units are not compared, for they may be None.
        self._rows.sort(key=lambda entry: entry[:2])
        run = b"".join([orjson.dumps(entry) + b"\n" for entry in self._rows])
        if self._end + len(run) > self._bytes_max:
            raise PullFailed("too_large", f"the list takes more than {self._bytes_max} bytes")
        self._file.seek(self._end)
        self._file.write(run)
        self._runs.append((self._end, self._end + len(run)))
        self._end += len(run)
        self._rows.clear()

    def _read(self, start: int, end: int) -> Iterator[Entry]:
        """The entries of a run; lines are unique, so that nothing behind them is ever compared."""
        rest = b""
        while start < end:
            self._file.seek(start)
            piece = self._file.read(min(READ_BYTES, end - start))
            start += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                sku, number, units, code = orjson.loads(line)
                yield sku, number, units, code


def _named(sku: str, entries: Iterator[Entry]) -> Named:
    """One meaning for a SKU: equal lines say it once, contradicting ones say nothing."""
    _, line, units, code = next(entries)
    for _, other, said, called in entries:
        if said != units:
            return Named(SKU(sku), None, (line, other), called or sku, is_contradicted=True)
    return Named(SKU(sku), units, (line,), code or sku, is_contradicted=False)
