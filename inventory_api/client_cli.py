"""The commands that move files in and out of a running service; no other module has a client."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# As long as the service itself waits for somebody who does not move.
STALL_S = 120.0
PIECE_BYTES = 64 << 10
SHOWN_ROWS_MAX = 10

Record = dict[str, Any]  # Any: JSON values


class Importable(StrEnum):
    """What can be imported."""

    ITEMS = "items"
    LEVELS = "levels"
    ADJUSTMENTS = "adjustments"


class Exportable(StrEnum):
    """What can be exported."""

    LEVELS = "levels"
    ITEMS = "items"
    MOVEMENTS = "movements"
    RESERVATIONS = "reservations"


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"


MEDIA_TYPES = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}

URL = Annotated[str, typer.Option("--url", envvar="INVENTORY_URL", help="Where the service is.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="A file with the API key; or set INVENTORY_API_KEY."),
]
RowFormat = Annotated[
    Format | None, typer.Option("--format", help="Instead of by the file's name.")
]


class TransferError(Exception):
    """The transfer did not come to its end; the message is for the person at the terminal."""


class NotBegunError(TransferError):
    """The service refused to begin."""


def import_file(
    kind: Importable,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    url: URL = "http://127.0.0.1:8000",
    key_file: KeyFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge each row and change nothing.")
    ] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Of an import that broke off: finish that one.")
    ] = None,
    row_format: RowFormat = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the rows that were not applied to this file.")
    ] = None,
) -> None:
    """Send a CSV or NDJSON file to a running service."""
    key = idempotency_key or str(uuid.uuid4())
    headers = {
        "content-type": MEDIA_TYPES[row_format or _format_of(file)],
        "idempotency-key": key,
        **_credentials(key_file),
    }
    path = f"{url.rstrip('/')}/v1/import/{kind.value}"
    try:
        with _reported(report) as refused, file.open("rb") as source, _progress() as progress:
            content = _pieces(source, progress, file.stat().st_size)
            summary = _import(path, headers, content, refused, dry_run=dry_run)
    except NotBegunError as error:
        _end(str(error))
    except TransferError as error:
        _end(f"{error}\nTo finish: the same command with --idempotency-key {key}")
    _show_summary(summary)
    if summary["rejected"] or summary["failed"]:
        raise typer.Exit(1)


def export_file(
    kind: Exportable,
    file: Path,
    url: URL = "http://127.0.0.1:8000",
    key_file: KeyFile = None,
    row_format: RowFormat = None,
) -> None:
    """Fetch everything from a running service into a file, whole or not at all."""
    wanted = row_format or _format_of(file)
    path = f"{url.rstrip('/')}/v1/export/{kind.value}?format={wanted.value}"
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as target, _progress() as progress:
            lines = _export(path, _credentials(key_file), target, progress, wanted)
        os.replace(part, file)
    except (TransferError, OSError) as error:
        _end(str(error))
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{lines} rows in {file}")


def _import(
    path: str,
    headers: dict[str, str],
    content: Iterable[bytes],
    refused: "Refused",
    *,
    dry_run: bool,
) -> Record:
    """Send the rows, keep those that were not applied, and give the summary."""
    query = {"dry_run": "true"} if dry_run else {}
    with _answer("POST", path, headers=headers, content=content, params=query) as response:
        for line in _lines(response):
            record: Record = json.loads(line)
            if record.get("end"):
                return record
            if record["status"] in {"rejected", "failed"}:
                refused.add(line, record)
    raise TransferError("The service broke the import off.")


def _export(
    path: str, headers: dict[str, str], target: IO[bytes], progress: Progress, wanted: Format
) -> int:
    """Write what comes, and give the number of rows; a part is not taken for the whole."""
    task = progress.add_task("receiving", total=None)
    count, last = 0, b""
    with _answer("GET", path, headers=headers) as response:
        for line in _lines(response):
            target.write(line)
            progress.advance(task, len(line))
            count, last = count + 1, line
    if wanted is Format.CSV:
        return count - 1
    end = json.loads(last) if last else {}
    if not end.get("end") or end["rows"] != count - 1:
        raise TransferError("The service broke the export off.")
    return count - 1


@contextmanager
def _answer(method: str, path: str, **request: Any) -> Iterator[httpx.Response]:  # Any: httpx's
    """A streamed answer with status 200.

    Raises:
        TransferError: there is none, or it broke off.
    """
    try:
        with httpx.stream(method, path, timeout=STALL_S, trust_env=False, **request) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise NotBegunError(_problem(response))
            yield response
    except httpx.HTTPError as error:
        raise TransferError(f"{path}: {str(error) or type(error).__name__}") from error
    except httpx.InvalidURL as error:
        raise TransferError(f"{path}: {error}") from error


def _problem(response: httpx.Response) -> str:
    try:
        problem: Record = response.json()
        errors = [f"{wrong['field']}: {wrong['message']}" for wrong in problem.get("errors", [])]
        return "\n".join(
            [f"{response.status_code} {problem['code']}: {problem['detail']}", *errors]
        )
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """The answer's lines with their line feeds; other line breaks may stand in a name."""
    rest = b""
    for piece in response.iter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        raise TransferError("The service broke off inside a line.")


def _pieces(source: IO[bytes], progress: Progress, size: int) -> Iterator[bytes]:
    task = progress.add_task("sending", total=size)
    while piece := source.read(PIECE_BYTES):
        yield piece
        progress.advance(task, len(piece))


class Refused:
    """The rows that were not applied: the first ones for the terminal, all for the report."""

    def __init__(self, report: IO[bytes] | None) -> None:
        self._report = report
        self._count = 0

    def add(self, line: bytes, record: Record) -> None:
        """One more."""
        self._count += 1
        if self._report is not None:
            self._report.write(line)
        if self._count <= SHOWN_ROWS_MAX:
            error = record["error"]
            field = f" {error['field']}" if "field" in error else ""
            told = f"row {record['row']}: {error['code']}{field}: {error['detail']}"
            typer.secho(told, err=True, fg="yellow")


@contextmanager
def _reported(report: Path | None) -> Iterator[Refused]:
    if report is None:
        yield Refused(None)
        return
    with report.open("wb") as target:
        yield Refused(target)


def _progress() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


def _show_summary(summary: Record) -> None:
    table = Table("", "rows")
    for name, count in summary.items():
        if name not in {"end", "dry_run"}:
            table.add_row(name, f"{count:,}")
    Console().print(table)


def _format_of(file: Path) -> Format:
    """By the name's ending.

    Raises:
        BadParameter: it tells nothing.
    """
    if file.suffix.lower() == ".csv":
        return Format.CSV
    if file.suffix.lower() in {".ndjson", ".jsonl"}:
        return Format.NDJSON
    raise typer.BadParameter(f"{file.name}: say --format csv or --format ndjson")


def _credentials(key_file: Path | None) -> dict[str, str]:
    """The header with the API key; a key is never an argument, which everybody can list."""
    key = os.environ.get("INVENTORY_API_KEY") if key_file is None else key_file.read_text().strip()
    if key and not key.isascii():
        raise typer.BadParameter("an API key has ASCII characters only")
    return {"authorization": f"Bearer {key}"} if key else {}


def _end(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(1)
