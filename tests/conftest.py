"""Hypothesis profiles, and a line at the end that says how to run the slow tests.

`dev` is the default profile, `ci` repeats the same examples, and `thorough` draws 50 times as many.
"""

import os
import sys
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings

common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=10, **common)
settings.register_profile("ci", max_examples=10, derandomize=True, print_blob=True, **common)
settings.register_profile("thorough", max_examples=500, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# Hypothesis chains the settings of a test's parametrizations, and without a database, as under derandomize, looks for
# one through the whole chain by recursion: a thousand cases would reach the usual limit.
sys.setrecursionlimit(10_000)

left_out = pytest.StashKey[int]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    if items and items[0].config.option.markexpr == "not slow":
        slow = sum(item.get_closest_marker("slow") is not None for item in items)
        items[0].config.stash[left_out] = items[0].config.stash.get(left_out, 0) + slow


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(left_out, 0):
        terminalreporter.write_line(f"{count} slow tests were left out; python -m pytest -m slow runs them")
