"""An import that is killed half-way and sent again: each row exactly once."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.battery.bulk import Record, send_rows
from tests.battery.oracle import audit
from tests.server import ServerProcess

ROWS = 200_000
ROWS_SAMPLED = 4_000
BAD_EVERY = 100
RSS_GROWTH_BYTES_MAX = 30 << 20
RSS_EVERY = 1_000
PATH = "/v1/import/adjustments"
HEADER = "sku,delta,reason,reference,line_id"
BAD_ROWS = ("P999,1,sale,,", "P001,one,sale,,", "P001,,sale,,", "P001,1,no such reason,,")

sizes = pytest.mark.parametrize(
    "rows",
    [
        pytest.param(ROWS_SAMPLED, id="sample"),
        pytest.param(ROWS, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)


@sizes
@pytest.mark.parametrize("safe_by", ["key", "line_id"])
async def test_an_import_killed_half_way_and_sent_again_books_each_row_once(
    stopped: ServerProcess,
    rows: int,
    safe_by: str,
    record_property: Callable[[str, object], None],
) -> None:
    key = "import-1" if safe_by == "key" else None
    sheet = [HEADER, *_rows(rows, with_line_ids=safe_by == "line_id")]
    # What is left is the import's own memory, not the pages that the database may keep.
    stopped.environment["INVENTORY_CACHE_KIB"] = "4096"
    with stopped:
        before = await _import_until_killed(stopped, sheet, key=key, results=rows // 2)
        stopped.wait()
        stopped.start()
        memory = _Memory(stopped)
        after = await send_rows(stopped.port, PATH, sheet, key=key, on_result=memory.look)

        *results, summary = after
        assert [one["row"] for one in results] == list(range(1, rows + 1))
        assert summary["end"] is True
        _assert_alike(before, results)
        _assert_judged(results, rows)
        assert memory.growth < RSS_GROWTH_BYTES_MAX
        movements = await audit(stopped)
    booked = Counter(row["reference"] for row in movements if row["reference"] != "demo")
    assert booked == {f"row:{number}": 1 for number in range(1, rows + 1) if number % BAD_EVERY}
    record_property("results before the kill", len(before))
    record_property("statuses", dict(Counter(one["status"] for one in results)))
    record_property("memory grew by, MiB", round(memory.growth / (1 << 20), 1))


def _rows(count: int, *, with_line_ids: bool) -> Iterator[str]:
    """Receipts of 1 to 9 units; every hundredth row is bad, in one of four ways."""
    for number in range(1, count + 1):
        if number % BAD_EVERY == 0:
            yield BAD_ROWS[number // BAD_EVERY % len(BAD_ROWS)]
        else:
            line_id = f"line-{number}" if with_line_ids else ""
            delta = number % 9 + 1
            yield f"P00{number % 5 + 1},{delta},received,row:{number},{line_id}"


async def _import_until_killed(
    server: ServerProcess, sheet: Sequence[str], *, key: str | None, results: int
) -> list[Record]:
    """The results that arrived before and after the kill at the n-th.

    A quarter of the rows is never sent: however far the server runs ahead, it is not done.
    """
    left = iter(range(results - 1))

    def kill_at_last(_: Record) -> None:
        if next(left, None) is None and server.is_running:
            server.signal(signal.SIGKILL)

    sent = sheet[: len(sheet) * 3 // 4]
    found = await send_rows(server.port, PATH, sent, key=key, on_result=kill_at_last, whole=False)
    assert results <= len(found) < len(sheet)
    return found


def _assert_alike(before: Sequence[Record], after: Sequence[Record]) -> None:
    """What was told before the kill was true: told again under a key, a duplicate by its id."""
    for one, again in zip(before, after, strict=False):
        if again["status"] == "duplicate":
            assert one["status"] == "applied"
        else:
            assert one == {name: told for name, told in again.items() if name != "replayed"}


def _assert_judged(results: Sequence[Record], rows: int) -> None:
    """Good rows are booked, now or before; bad ones are refused and their field is named."""
    for result in results:
        if result["row"] % BAD_EVERY:
            assert result["status"] in ("applied", "duplicate"), result
        else:
            error = result["error"]
            assert result["status"] == "rejected"
            assert error["code"] == "unknown_sku" or error["field"] in ("delta", "reason"), result
    statuses = Counter(result["status"] for result in results)
    assert statuses["rejected"] == rows // BAD_EVERY


class _Memory:
    """How far the server's memory grew while results came in, behind the first of them."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._seen: list[int] = []
        self._count = 0

    def look(self, _: Record) -> None:
        self._count += 1
        if self._count % RSS_EVERY == 0:
            self._seen.append(self._server.rss_bytes)

    @property
    def growth(self) -> int:
        return max(self._seen) - self._seen[0]
