"""Bulk work against the real process: killed half-way, and at full size."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.seed import OPENING_UNITS, sku_of
from tests.databases import Template
from tests.seeded import fill
from tests.server import ServerProcess, wait_until

Record = dict[str, Any]  # Any: JSON values
SKUS = 100
# Every 100th row is bad, as the last two digits of its number say.
BAD = "99"
FLAT_BYTES = 50 << 20
WAL_BYTES_MAX = 64 << 20


def row_of(number: int) -> bytes:
    delta = "x" if str(number).endswith(BAD) else "1"
    return f"S{number % SKUS},{delta},po:{number}\n".encode()


def pieces(rows: int) -> Iterator[bytes]:
    """CSV of so many adjustments of one unit each, in pieces of 1,000 rows."""
    yield b"sku,delta,reference\n"
    for start in range(0, rows, 1000):
        yield b"".join(row_of(number) for number in range(start, min(start + 1000, rows)))


def send(url: str, rows: int) -> Iterator[Record]:
    """The results of the import, always under the same key."""
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "delivery-1"}
    with httpx.stream(
        "POST", f"{url}/v1/import/adjustments", content=pieces(rows), headers=headers, timeout=120
    ) as answer:
        assert answer.status_code == httpx.codes.OK
        for line in answer.iter_lines():
            yield json.loads(line)


def head(url: str) -> int:
    movements = httpx.get(f"{url}/v1/movements", params={"limit": 1}).json()
    number: int = movements["head"]
    return number


def make_items(url: str) -> None:
    text = "sku,name\n" + "".join(f"S{number},thing\n" for number in range(SKUS))
    headers = {"Content-Type": "text/csv"}
    assert httpx.post(f"{url}/v1/import/items", content=text, headers=headers).is_success


def is_sound(url: str) -> bool:
    *_, end = httpx.get(f"{url}/v1/verify", timeout=120).text.strip().split("\n")
    sound: bool = json.loads(end)["ok"]
    return sound


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(12_000, id="12,000-rows"),
        pytest.param(200_000, id="200,000-rows", marks=pytest.mark.slow),
    ],
)
def test_an_import_that_is_killed_half_way_and_sent_again_books_each_row_once(
    database_url: str, tmp_path: Path, rows: int
) -> None:
    good = rows - rows // 100
    with ServerProcess(tmp_path, demo=False, database_url=database_url) as server:
        make_items(server.url)
        broken = threading.Thread(target=_send_until_broken, args=(server.url, rows))
        broken.start()
        wait_until(lambda: head(server.url) > rows // 6, 120, "some of the rows are booked")
        server.kill()
        broken.join()

        server.restart()
        booked = head(server.url)
        results = {result.get("row"): result for result in send(server.url, rows)}
        end = results.pop(None)

        assert rows // 6 < booked < good
        assert list(results) == list(range(1, rows + 1))
        assert (end["applied"], end["rejected"], end["failed"]) == (good, rows // 100, 0)
        assert end["replayed"] == booked
        assert head(server.url) == good
        assert is_sound(server.url)


def _send_until_broken(url: str, rows: int) -> None:
    with pytest.raises(httpx.TransportError):
        for _ in send(url, rows):
            pass


@pytest.mark.slow
def test_an_import_of_200_000_rows_takes_no_more_memory_than_one_of_20_000(
    database_url: str, tmp_path: Path
) -> None:
    caches = {"INVENTORY_CACHE_KIB": "1024"}
    with ServerProcess(
        tmp_path, demo=False, database_url=database_url, environment=caches
    ) as server:
        make_items(server.url)
        for _ in send(server.url, 20_000):
            pass
        before = largest = server.rss_bytes

        # The first rows are known by their key; the others are new.
        for result in send(server.url, 200_000):
            if result.get("row", 0) % 10_000 == 0:
                largest = max(largest, server.rss_bytes)

        assert largest < before + FLAT_BYTES
        assert is_sound(server.url)


@pytest.fixture(scope="module")
def million(migrated: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("million")
    with migrated.copied(folder) as url:
        fill(url, folder, items=1_000_000, movements=1_000_000)
        yield url


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_levels_are_exported_at_one_position_while_20_000_changes_go_on(
    million: str, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path, demo=False, database_url=million) as server:
        # What the page caches hold is not what an export needs.
        for _ in export(server.url):
            pass
        change(server.url, 1_000_000, 10_000)
        began_at, before = head(server.url), server.rss_bytes

        rows = export(server.url)
        first = next(rows)
        changing = threading.Thread(target=change, args=(server.url, 1, 20_000))
        changing.start()
        count, largest, wal = 1, 0, 0
        for row in rows:
            count += 1
            if count % 10_000 == 0:
                largest, wal = max(largest, server.rss_bytes), max(wal, server.wal_bytes)
            if row["sku"] <= sku_of(20_000):
                assert (row["on_hand"], row["version"]) == (OPENING_UNITS, 1)
        changing.join()

        assert first["sku"] == sku_of(1)
        assert count == 1_000_000
        assert head(server.url) == began_at + 20_000
        assert largest < before + FLAT_BYTES
        assert wal < WAL_BYTES_MAX


def export(url: str) -> Iterator[Record]:
    """The levels of an export, which must be whole."""
    end: Record = {}
    with httpx.stream("GET", f"{url}/v1/export/levels", timeout=120) as answer:
        for line in answer.iter_lines():
            end = json.loads(line)
            if not end.get("end"):
                yield end
    assert end["rows"] == 1_000_000


def change(url: str, first: int, count: int) -> None:
    """One unit less of so many items, up from the first one or down from the last."""
    step = 1 if first == 1 else -1
    with httpx.Client(base_url=url, timeout=60) as http:
        for start in range(0, count, 50):
            skus = [sku_of(first + step * number) for number in range(start, start + 50)]
            body = {"reason": "sale", "lines": [{"sku": sku, "delta": -1} for sku in skus]}
            assert http.post("/v1/stock/adjust", json=body).is_success
