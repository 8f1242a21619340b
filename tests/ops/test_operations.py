"""Proofs generated from the registry: every operation has all properties, in each of its cases."""

from tinygrad_np._registry import Constant, registry
from tinygrad_np.testing.operations import (
    OF_SOME,
    PROPERTIES,
    Operation,
    check_properties,
    derivatives_for_complex_arguments_are_right,
)
from tinygrad_np.testing.strategies import arguments

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SOME = [
    holds for holds in OF_SOME if holds is not derivatives_for_complex_arguments_are_right
]  # which has a file of its own
# Where one of these does not say what it should.
ELSEWHERE = {
    "eig": "the phase of a vector is arbitrary, and forward it has a derivative",
    "partition": "the order on either side of what is asked for is arbitrary",
    "polydiv": "how many coefficients the remainder has depends on rounding errors",
    "i0": "NumPy's overflows in float16 beyond the numbers of its cases",
    "cov": "of nothing, NumPy's longdouble is float64",
}
OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
every_operation = pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)


@every_operation
def test_has_cases(entry: Operation) -> None:
    assert entry.cases


@every_operation
@given(data=st.data())
def test_all_properties_hold_for_every_case(entry: Operation, data: st.DataObject) -> None:
    """All cases in one test: starting Hypothesis for each of them would take a third of the time."""
    for case in entry.cases:
        check_properties(entry, case, data.draw(arguments(case), label=str(case)), PROPERTIES)


@pytest.mark.parametrize(
    "entry", [e for e in OPERATIONS if e.name.rpartition(".")[2] not in ELSEWHERE], ids=lambda e: e.name
)
@settings(max_examples=5)
@given(data=st.data())
def test_what_an_operation_declares_holds_and_so_do_other_precisions(entry: Operation, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(list(entry.cases)))
    check_properties(entry, case, data.draw(arguments(case), label=str(case)), SOME)
