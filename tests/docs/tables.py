"""The README's tables of settings and of error codes, as the code has them.

`python -m tests.docs.tables` writes them into the README.
"""

import json
import re
from collections.abc import Sequence

from pydantic_core import PydanticUndefined

from inventory_api.domain.unavailable import Unavailable
from inventory_api.settings import Settings
from inventory_api.web.problem_kinds import KINDS, HTTPCode
from tests.docs.readme import README

# What depends on the machine is said in words.
_DEFAULTS = {"reader_connections": "one per core, at least 2"}


def settings_table() -> str:
    """One row per setting: variable, default, meaning with its unit."""
    rows = [
        (f"`INVENTORY_{name.upper()}`", _DEFAULTS.get(name) or _default(field.default), text)
        for name, field in Settings.model_fields.items()
        if (text := field.description) is not None
    ]
    return _table(("Variable", "Default", "Meaning"), rows)


def problems_table() -> str:
    """One row per code: status, what became of the change, whether to try again, meaning."""
    unavailable = {kind.code: kind.applied for kind in Unavailable.__subclasses__()}
    # A defect can strike before or after the commit.
    unavailable[HTTPCode.INTERNAL] = "unknown"
    rows = [
        (
            f"`{code}`",
            str(kind.status),
            unavailable.get(code, "no"),
            "yes" if kind.retryable else "no",
            kind.detail.format(fields="…"),
        )
        for code, kind in KINDS.items()
    ]
    return _table(("Code", "Status", "Applied", "Retryable", "Meaning"), rows)


def written(name: str) -> str:
    """A table as it stands in the README."""
    found = _between(name).search(README.read_text(encoding="utf-8"))
    assert found is not None, f"README.md has no place for the table of {name}"
    return found[2].strip()


def write(name: str, table: str) -> None:
    """Replace a table in the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(_between(name).sub(rf"\1\n{table}\n\3", text), encoding="utf-8")


def _between(name: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {name}: begin -->)(.*?)(<!-- {name}: end -->)", re.DOTALL)


def _default(value: object) -> str:
    assert value is not PydanticUndefined
    if value is None:
        return "not set"
    # As in the environment: lists and booleans are JSON there.
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("<", r"\<") for line in lines)


if __name__ == "__main__":
    write("settings", settings_table())
    write("problems", problems_table())
