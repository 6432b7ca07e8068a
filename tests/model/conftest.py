"""Tells behind the tests what the models reached."""

import pytest

from tests.model.reached import report, steps


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With several processes each has a count of its own, and none is told."""
    if lines := report():
        terminalreporter.section(f"the model of carts: {steps():,} steps")
        for line in lines:
            terminalreporter.write_line(line)
