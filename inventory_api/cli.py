"""The command line."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import DBAPIError

from inventory_api import __version__
from inventory_api.app import NoKeyError, database_options, open_service
from inventory_api.client_cli import export_file, import_file
from inventory_api.domain.principal import Scope
from inventory_api.domain.unavailable import Unavailable
from inventory_api.preparation import add_key
from inventory_api.server import new_event_loop, serve as serve_until_stopped
from inventory_api.settings import Settings
from inventory_api.store.database import Database
from inventory_api.store.keys import PREFIX, new_id, new_secret
from inventory_api.store.lock import AlreadyServed
from inventory_api.store.options import DatabaseDamaged, DatabaseUnsafe
from inventory_api.store.schema import SchemaOutdated
from inventory_api.store.verify import Verification
from inventory_api.telemetry import configure_logging

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
keys = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(keys, name="keys")
app.command("import")(import_file)
app.command("export")(export_file)
START_ERRORS = (
    AlreadyServed,
    SchemaOutdated,
    DatabaseDamaged,
    DatabaseUnsafe,
    NoKeyError,
    Unavailable,
    OSError,
    ValueError,
)
DatabaseURL = Annotated[
    str | None, typer.Option("--database-url", help="Instead of INVENTORY_DATABASE_URL.")
]


def settings_with(**given: object) -> Settings:
    """The settings of the environment, with those options that were given."""
    options = {name: value for name, value in given.items() if value is not None}
    with _in_one_line():
        return Settings(**options)  # type: ignore[arg-type]  # options are named like settings


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port.")] = None,
    database_url: DatabaseURL = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Put five sample goods into an empty database.")
    ] = False,
) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT."""
    settings = settings_with(host=host, port=port, database_url=database_url)
    configure_logging(settings.log_level, json=settings.log_json)
    with _in_one_line():
        code = _run(serve_until_stopped(settings, demo=demo))
    raise typer.Exit(code)


@app.command()
def migrate(database_url: DatabaseURL = None) -> None:
    """Bring the database's schema up to date."""
    settings = settings_with(database_url=database_url)
    configure_logging("warning", json=settings.log_json)

    async def work() -> None:
        async with Database(database_options(settings, migrates=True)):
            pass

    with _in_one_line():
        _run(work())
    typer.echo("The schema is up to date.")


@app.command()
def verify(database_url: DatabaseURL = None) -> None:
    """Recompute everything from the ledger, also beside a running service; fails on a finding."""
    settings = settings_with(database_url=database_url)
    configure_logging("error", json=settings.log_json)

    async def work() -> dict[str, Any]:  # Any: JSON values
        async with Database(database_options(settings, read_only=True)) as database:
            verification = Verification(database.reader, page_rows=settings.export_page_rows)
            async for page in verification.pages():
                for finding in page:
                    typer.echo(json.dumps(finding.show(), ensure_ascii=False))
            return verification.summary()

    with _in_one_line():
        summary = _run(work())
    typer.echo(json.dumps(summary))
    raise typer.Exit(1 if summary["findings"] else 0)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What it is for.")] = "first key",
    scope: Annotated[Scope, typer.Option(help="What it may; each includes the ones before.")] = (
        Scope.ADMIN
    ),
    database_url: DatabaseURL = None,
) -> None:
    """Make an API key and show it, this once; a running service is asked by POST /v1/api-keys."""
    settings = settings_with(database_url=database_url)
    configure_logging("error", json=settings.log_json)
    presented = f"{PREFIX}_{new_id()}_{new_secret()}"

    async def work() -> None:
        async with open_service(settings) as service:
            await add_key(service, presented, name=name, scope=scope)

    with _in_one_line():
        _run(work())
    typer.echo(presented)


@app.command()
def version() -> None:
    """Tell the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line."""
    app()


def _run(coroutine: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine takes and yields
    """Run on the loop that uvicorn would choose: uvloop where there is one."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Tell why it can't be done in one line instead of a traceback, and fail."""
    try:
        yield
    except DBAPIError as error:
        # Without the statement and what it was to write.
        typer.secho(str(error).partition("\n")[0], err=True, fg="red")
        raise typer.Exit(1) from error
    except START_ERRORS as error:
        typer.secho(f"{error}{_cause(error)}", err=True, fg="red")
        raise typer.Exit(1) from error


def _cause(error: Exception) -> str:
    """What the storage said, in its own words; other errors say all themselves."""
    if not isinstance(error, Unavailable) or error.__cause__ is None:
        return ""
    return " " + str(error.__cause__).partition("\n")[0]
