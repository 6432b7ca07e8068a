"""The README's table of commands is the command line's."""

import re

import typer

from inventory_api.cli import app
from tests.docs.readme import section


def names(commands: typer.Typer) -> set[str]:
    """The commands, those of a group with its name before them."""
    own = {
        str(one.name or getattr(one.callback, "__name__", ""))
        for one in commands.registered_commands
    }
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        own |= {f"{group.name} {name}" for name in names(group.typer_instance)}
    return own


def test_every_command_is_in_the_table_and_no_other() -> None:
    rows = re.findall(
        r"^\| `inventory-api (\w+)( \w+)?", section("On the command line"), re.MULTILINE
    )
    groups = {str(group.name) for group in app.registered_groups}

    shown = {f"{name}{sub}" if name in groups else name for name, sub in rows}

    assert shown == names(app)
