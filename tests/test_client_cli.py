"""`import` and `export` at a terminal, against a running service."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from inventory_api.cli import app
from tests.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        yield server


def run(*arguments: str | Path, key: str | None = None) -> Result:
    environment = {"INVENTORY_API_KEY": key, "COLUMNS": "200"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def file_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def on_hand(server: ServerProcess, sku: str) -> int:
    level = httpx.get(f"{server.url}/v1/stock/{sku}/main").json()
    units: int = level["on_hand"]
    return units


def test_a_file_is_imported_and_summed_up(server: ServerProcess, tmp_path: Path) -> None:
    file = file_of(tmp_path, "new.csv", "sku,name\nA1,one\nA2,two\n")

    result = run("import", "items", file, "--url", server.url)

    assert result.exit_code == 0, result.output
    assert "created" in result.stdout
    assert httpx.get(f"{server.url}/v1/items/A2").json()["name"] == "two"


def test_rows_that_are_not_applied_are_shown_reported_and_a_failure(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = file_of(tmp_path, "stock.csv", "sku,delta\nP001,1\nP001,x\nP999,1\n")
    report = tmp_path / "rejected.ndjson"

    result = run("import", "adjustments", file, "--url", server.url, "--report", report)

    assert result.exit_code == 1
    assert "row 2: validation_error delta: " in result.stderr
    assert "row 3: unknown_sku: " in result.stderr
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [row["row"] for row in told] == [2, 3]


def test_the_same_key_finishes_an_import_instead_of_doing_it_again(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = file_of(tmp_path, "stock.ndjson", '{"sku":"P002","delta":1}\n')
    command = ("import", "adjustments", file, "--url", server.url, "--idempotency-key", "cli")

    results = [run(*command) for _ in range(2)]

    assert [result.exit_code for result in results] == [0, 0]
    assert on_hand(server, "P002") == 201


def test_a_dry_run_changes_nothing(server: ServerProcess, tmp_path: Path) -> None:
    file = file_of(tmp_path, "stock.csv", "sku,on_hand\nP003,1\n")

    result = run("import", "levels", file, "--url", server.url, "--dry-run")

    assert result.exit_code == 0
    assert on_hand(server, "P003") == 150


def test_a_wrong_header_is_told_column_by_column(server: ServerProcess, tmp_path: Path) -> None:
    file = file_of(tmp_path, "stock.csv", "sku,colour\n")

    result = run("import", "levels", file, "--url", server.url)

    assert result.exit_code == 1
    assert "colour: unknown column" in result.stderr
    assert "on_hand: missing column" in result.stderr


def test_a_file_whose_name_tells_no_format_needs_one(server: ServerProcess, tmp_path: Path) -> None:
    file = file_of(tmp_path, "new.txt", "sku,name\nA3,three\n")

    told = run("import", "items", file, "--url", server.url, "--format", "csv")
    untold = run("import", "items", file, "--url", server.url)

    assert told.exit_code == 0
    assert untold.exit_code == 2
    assert "--format" in untold.stderr


@pytest.mark.parametrize("kind", ["levels", "items", "movements", "reservations"])
@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_an_export_is_a_whole_file(
    server: ServerProcess, tmp_path: Path, kind: str, ending: str
) -> None:
    file = tmp_path / f"out.{ending}"

    result = run("export", kind, file, "--url", server.url)

    assert result.exit_code == 0, result.output
    lines = file.read_text().splitlines()
    assert f"{len(lines) - 1} rows in " in result.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    file = file_of(tmp_path, "out.ndjson", "the old one")
    answers = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{}\n\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" + b'{"a":"b"}',
        b'HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{"end":true,"rows":1000}',
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"",
    )
    for answer in answers:
        with broken_service(answer) as url:
            result = run("export", "levels", file, "--url", url)

        assert result.exit_code == 1, answer
        assert file.read_text() == "the old one"
        assert list(tmp_path.iterdir()) == [file]


def test_an_import_that_breaks_off_tells_how_to_finish_it(tmp_path: Path) -> None:
    file = file_of(tmp_path, "stock.csv", "sku,delta\nP001,1\n")
    answer = b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"row":1,"status":"applied"}\n'

    with broken_service(answer) as url:
        result = run("import", "adjustments", file, "--url", url, "--idempotency-key", "k-1")

    assert result.exit_code == 1
    assert "The service broke the import off." in result.stderr
    assert "--idempotency-key k-1" in result.stderr


def test_nobody_there_is_told_in_one_line(tmp_path: Path) -> None:
    result = run("export", "levels", tmp_path / "out.csv", "--url", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "127.0.0.1:1" in result.stderr


def test_a_key_comes_from_a_file_or_the_environment_and_never_as_an_argument(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path) as server:
        body = {"name": "owner", "scopes": ["admin"]}
        key = httpx.post(f"{server.url}/v1/api-keys", json=body).json()["key"]
        key_file = file_of(tmp_path, "key", f"{key}\n")
        command = ("export", "levels", tmp_path / "out.csv", "--url", server.url)

        without = run(*command)
        by_file = run(*command, "--key-file", key_file)
        by_environment = run(*command, key=key)
        foreign = run(*command, key="inv_ключ")

    assert (without.exit_code, by_file.exit_code, by_environment.exit_code) == (1, 0, 0)
    assert "401 unauthorized" in without.stderr
    assert foreign.exit_code == 2


@contextmanager
def broken_service(answer: bytes) -> Iterator[str]:
    """The address of something that answers one request with these bytes and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_one, args=(listener, answer))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _answer_one(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
