"""The schema's revision: which one this program expects and how to get there."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

_PACKAGE = Path(__file__).parent.parent


class SchemaOutdated(RuntimeError):
    """The database's schema is not this program's."""

    def __init__(self, *, found: str | None) -> None:
        if found is None or is_known(found):
            advice = "run `inventory-api migrate`"
        else:
            advice = (
                "`inventory-api migrate` does not know it, so it is a later release's, or another"
                " program's"
            )
        super().__init__(
            f"The schema is at revision {found or 'none'}, this program needs"
            f" {expected_revision()}: {advice}."
        )


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration; a wheel carries the migrations, a checkout has them beside it."""
    shipped = _PACKAGE / "migrations"
    config = Config()
    config.set_main_option(
        "script_location", str(shipped if shipped.is_dir() else _PACKAGE.parent / "migrations")
    )
    config.attributes["connection"] = connection
    return config


@cache
def expected_revision() -> str | None:
    """The newest revision of the migrations that came with this program."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def current_revision(connection: Connection) -> str | None:
    """The revision that a database is at; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def has_ledger(connection: Connection) -> bool:
    """Whether a database is one of this program's, at whatever revision."""
    return inspect(connection).has_table("ledger_head")


def is_known(revision: str) -> bool:
    """Whether this program's migrations lead through a revision."""
    scripts = ScriptDirectory.from_config(configuration())
    return revision in {script.revision for script in scripts.walk_revisions()}


def upgrade(connection: Connection) -> None:
    """Migrate to the expected revision, in the connection's transaction."""
    command.upgrade(configuration(connection), "head")
