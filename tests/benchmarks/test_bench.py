"""The bench measures what it says: real databases, all threads, honest references."""

import dataclasses
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import bare_sqlite, naive, report
from benchmarks.figures import FIGURES, Round, judge
from benchmarks.measure import CONNECTIONS, Cores, Load, MeasurementError, cpu_seconds, serving
from benchmarks.rounds import UVICORN, Bench, Size
from benchmarks.seed import ORDER_LINES, seed

BURN_IN_A_THREAD = """
import sys, threading, time
def burn():
    while time.thread_time() < 0.5:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print("burnt", flush=True)
sys.stdin.read()
"""
HERE = Cores(min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))
NO_OPS = [
    f"no-op {variant} {scenario}" for variant in ("model", "plain") for scenario in CONNECTIONS
]
NAMES = [*NO_OPS, *(f"{who}{scenario}" for who in ("", "large ") for scenario in CONNECTIONS)]


def load_of(cpu_s: float, *, lines: int = 1, p99_ms: float = 2.0) -> Load:
    return Load(requests=1_000, seconds=1.0, cpu_s=cpu_s, lines=lines, p50_ms=1.0, p99_ms=p99_ms)


def round_of(**changed: Load) -> Round:
    runs = dict.fromkeys(NAMES, load_of(0.1))
    naive_runs = {"naive adjust": load_of(1.0), "naive hot": load_of(1.0)}
    bare = dict.fromkeys(("bare", "bare unique", "large bare"), load_of(0.1))
    return runs | naive_runs | bare | changed


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("seeded") / "inventory.db"
    seed(path, items=1_200, movements=3_001)
    database = sqlite3.connect(path)
    yield database
    database.close()


def test_a_seeded_database_passes_the_services_own_verification(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    seed(path, items=50, movements=333)

    verified = subprocess.run(
        [sys.executable, "-m", "inventory_api", "verify"],
        env={"INVENTORY_DATABASE_URL": f"sqlite+aiosqlite:///{path}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_seeded_database_has_the_size_that_was_asked_for(seeded: sqlite3.Connection) -> None:
    counts = [
        seeded.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("item", "level", "movement")
    ]
    orders = -(-(3_001 - 1_200) // ORDER_LINES)

    assert counts == [1_200, 1_200, 3_001]
    assert seeded.execute("SELECT count(*) FROM operation").fetchone() == (2 + orders,)


def test_a_seeded_level_is_the_balance_after_its_last_movement(seeded: sqlite3.Connection) -> None:
    strays = """
        SELECT count(*) FROM level LEFT JOIN movement USING (seq)
        WHERE movement.sku IS NOT level.sku OR movement.level_version IS NOT level.version
           OR movement.on_hand IS NOT level.on_hand
    """
    sums = """
        SELECT count(*) FROM level WHERE (on_hand, version) IS NOT (
            SELECT sum(d_on_hand), count(*) FROM movement WHERE movement.sku = level.sku)
    """

    assert seeded.execute(strays).fetchone() == (0,)
    assert seeded.execute(sums).fetchone() == (0,)


def test_a_seeded_ledger_is_numbered_without_a_gap(seeded: sqlite3.Connection) -> None:
    numbers = seeded.execute("SELECT min(seq), max(seq), count(*) FROM movement").fetchone()
    covered = seeded.execute(
        "SELECT sum(last_seq - first_seq + 1), sum(applied) FROM operation"
    ).fetchone()

    assert numbers == (1, 3_001, 3_001)
    assert covered == (3_001, 3_001)
    assert seeded.execute("SELECT seq FROM ledger_head").fetchone() == (3_001,)


def test_the_time_of_a_thread_that_has_ended_is_counted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BURN_IN_A_THREAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = cpu_seconds(process.pid)
        process.communicate()

    assert 0.5 <= seconds < 2.0


def test_a_ratio_is_taken_within_its_round_before_the_median() -> None:
    rounds = [
        round_of(adjust=load_of(0.2)),
        {name: load_of(10 * load.cpu_s) for name, load in round_of(adjust=load_of(0.3)).items()},
        round_of(adjust=load_of(0.15)),
    ]

    first = judge(rounds)[0]

    assert first.value == pytest.approx(2.0)


def test_the_service_is_held_against_the_cheaper_no_op() -> None:
    cheap = {"no-op plain adjust": load_of(0.05)}

    first = judge([round_of(**cheap)])[0]

    assert first.value == pytest.approx(2.0)


def test_a_missed_bar_is_named_and_everything_is_shown() -> None:
    rounds = [round_of(read=load_of(0.17, p99_ms=3.9))]
    judged = judge(rounds)
    console = Console(file=io.StringIO(), width=160, record=True)

    console.print(report.table("Ratios", report.FIGURE_HEADS, report.figure_rows(judged)))
    console.print(report.table("Runs", report.RUN_HEADS, report.run_rows(rounds)))

    shown = console.export_text()
    assert [one.figure.name for one in judged if one.is_missed] == ["level read / no-op GET"]
    assert "1.70" in shown
    assert "≤ 1.6" in shown
    assert "MISSED" in shown
    assert all(figure.name.strip() in shown for figure in FIGURES)
    assert all(name in shown for name in rounds[0])


def test_a_page_keeps_what_is_outside_of_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n" + "old\n".join(report.MARKS) + "after\n")
    rounds = [round_of()]

    report.write_into(page, report.page("A machine", judge(rounds), rounds))

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| level read / no-op GET | 1.00 | ≤ 1.6 | held |" in text


def test_a_disturbed_measurement_says_so() -> None:
    disturbed = dataclasses.replace(load_of(0.1), foreign_s=0.4)

    assert report.disturbance([round_of()]) == ""
    assert "up to 40%" in report.disturbance([round_of(), round_of(hot=disturbed)])


def test_json_holds_every_rounds_ratio() -> None:
    rounds = [round_of(), round_of(hot=load_of(0.3))]

    shown = report.as_json(judge(rounds), rounds)

    figures = shown["figures"]
    assert isinstance(figures, list)
    assert figures[1]["rounds"] == pytest.approx([1.0, 3.0])


@pytest.mark.parametrize("unique", [False, True], ids=["lean", "unique"])
def test_the_bare_loop_books_what_it_counts(tmp_path: Path, unique: bool) -> None:
    path = tmp_path / "bare.db"

    booked = bare_sqlite.book(path, items=1_000, seconds=0.1, unique=unique)

    with sqlite3.connect(path) as database:
        levels = database.execute("SELECT sum(1000000000 - on_hand) FROM level").fetchone()[0]
    database.close()
    assert booked["lines"] == levels > 0
    assert booked["cpu_s"] > 0


def test_the_service_and_its_no_ops_answer_alike(tmp_path: Path) -> None:
    """Else the bench measures nothing: it ends before the first round."""
    bench = Bench(folder=tmp_path, large=Size(10, 20), seconds=0.1, cores=HERE, say=lambda _: None)

    bench.prepare()


def test_a_refused_request_is_no_measurement(tmp_path: Path) -> None:
    naive.create(tmp_path / "naive.db", skus=["another"], on_hand=1)
    arguments = ("uvicorn", "--factory", "benchmarks.naive:application", *UVICORN)
    starting = serving(
        arguments,
        on=HERE,
        log=tmp_path / "log",
        ready="/openapi.json",
        environment={naive.DATABASE: str(tmp_path / "naive.db")},
    )

    with starting as server, pytest.raises(MeasurementError, match="not every answer was 2xx"):
        server.load("adjust", items=1, seconds=1, seed=1)


def test_a_server_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    starting = serving(
        ("uvicorn", "benchmarks.noop:nothing_of_the_kind"),
        on=HERE,
        log=tmp_path / "log",
        ready="/",
        environment={},
    )

    with pytest.raises(MeasurementError, match="nothing_of_the_kind"), starting:
        pass
