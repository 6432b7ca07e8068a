"""What is installed is what was tested, and all of it."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (_.split("==") for _ in lines)}


def closure(requirement: str) -> set[str]:
    """The names of everything that a requirement brings, installed here."""
    found: set[tuple[str, str]] = set()
    todo = [Requirement(requirement)]
    while todo:
        one = todo.pop()
        for extra in {"", *one.extras}:
            if (key := (canonicalize_name(one.name), extra)) in found:
                continue
            found.add(key)
            todo += [
                needed
                for needed in map(Requirement, distribution(one.name).requires or ())
                if needed.marker is None or needed.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in found}


def test_constraints_hold_exact_versions_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9a-z.]+", line)] == []


def test_everything_that_the_project_brings_is_pinned() -> None:
    brought = closure("inventory_api[test]") - {"inventory-api"}

    assert brought - pinned().keys() == set()


def test_the_wheel_holds_the_migrations_and_the_docs_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )

    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    revisions = (ROOT / "migrations" / "versions").glob("*.py")
    expected = {f"inventory_api/migrations/versions/{one.name}" for one in revisions}
    expected |= {"inventory_api/migrations/env.py", "inventory_api/web/docs_page.js"}
    assert expected - held == set()
    assert not [name for name in held if name.startswith("tests/")]
