"""Hypothesis profiles: `dev` is the default, `ci` repeats the same examples, `thorough` draws 50 times as many."""

import os
import sys

from hypothesis import HealthCheck, settings

common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=10, **common)
settings.register_profile("ci", max_examples=10, derandomize=True, print_blob=True, **common)
settings.register_profile("thorough", max_examples=500, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# hypothesis chains the settings of a test's parametrizations, and without a database, as under derandomize, looks for
# one through the whole chain by recursion: a thousand cases would reach the usual limit.
sys.setrecursionlimit(10_000)
