"""The README's tour does what it says, command by command, against a real server."""

import subprocess
from pathlib import Path

from tests.docs.readme import ADDRESS, Step, is_shown, section, tour
from tests.server import ServerProcess


def check(step: Step, address: str) -> None:
    """Run a command of the tour against `address` and compare what it prints with the README."""
    output = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step.command.replace(ADDRESS, address)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.replace("\r\n", "\n")
    assert is_shown(step.shown, output), f"{step.command}\nprinted\n{output}"


def test_every_command_of_the_tour_prints_what_the_readme_shows(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for step in tour():
            check(step, server.url)


def test_every_command_in_the_tour_shows_its_output() -> None:
    assert section("Five-minute tour").count("```bash") == len(tour()) >= 12


def test_setting_up_takes_two_commands_with_make_and_two_without() -> None:
    with_make, _, without_make = section("Set up").partition("Without make")

    assert with_make.count("```bash") == 2
    assert without_make.count("```bash") == 2
