"""What the README says, in a form that can be compared with what is."""

import re
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:8000"
ANYTHING = "…"
PYTHON = "From Python, without HTTP"

_STEP = re.compile(
    r"^```bash\n(.*?)^```\n\n^```(?:json|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


class Step(NamedTuple):
    """One command of the tour and what the README shows below it."""

    command: str
    shown: str


def section(title: str) -> str:
    """The text below a heading of the second level."""
    _, _, rest = README.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert rest, f"README.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def tour() -> list[Step]:
    """The commands of the five-minute tour, in order."""
    return [Step(*found) for found in _STEP.findall(section("Five-minute tour"))]


def python_example() -> str:
    """The script of the section on Python."""
    found = re.search(r"^```python\n(.*?)^```$", section(PYTHON), re.DOTALL | re.MULTILINE)
    assert found is not None, f"README.md has no script in {PYTHON!r}"
    return found[1]


def is_shown(shown: str, output: str) -> bool:
    """Whether the output has the shown pieces, in order; `…` between them is anything."""
    pieces = [re.escape(piece) for piece in shown.strip().split(ANYTHING)]
    return re.fullmatch(".*?".join(pieces), output.strip(), re.DOTALL) is not None
