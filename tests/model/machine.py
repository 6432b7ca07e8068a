"""How a model is run: so many examples of so many steps."""

from collections.abc import Callable

from hypothesis import HealthCheck, settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def size(*, examples: int, steps: int) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def run(machine: Callable[[], RuleBasedStateMachine], settings: hypothesis_settings) -> None:
    # It takes any callable, whatever its annotation says.
    run_state_machine_as_test(machine, settings=settings)  # type: ignore[arg-type]
