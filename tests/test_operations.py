"""The proofs that are generated from the registry: each property, for every operation and every case beside it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_np import Tensor, grad
from tinygrad_np.ops.cases import Case
from tinygrad_np.tensor import Composite, Constant, Primitive, registry
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arguments

Operation = Primitive | Composite
OPERATIONS = [entry for entry in registry.values() if not isinstance(entry, Constant)]
every_operation = pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
every_case = pytest.mark.parametrize(
    ("entry", "case"),
    [pytest.param(entry, case, id=f"{entry.name}({case})") for entry in OPERATIONS for case in entry.cases],
)


def call(entry: Operation, case: Case, arrays: list[Any]) -> Any:
    """The operation as its users call it: a NumPy function by NumPy's name, an indexing by its brackets."""
    function = entry.function if entry.function.__module__ in ("numpy", "_operator") else entry
    first = [arrays] if case.shapes.startswith("[") else arrays
    return function(*first, *case.args, **case.kwargs)


def as_tensors(arrays: list[Any], dtype: type = np.float64) -> list[Any]:
    """The floating point arrays as Tensors over the same memory, with its strides; the others as they are."""
    return [Tensor(a.astype(dtype, copy=False), requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]


@every_operation
def test_has_cases(entry: Operation) -> None:
    assert entry.cases


@every_case
@given(data=st.data())
def test_forward_is_the_functions_own_and_leaves_its_inputs_alone(
    entry: Operation, case: Case, data: st.DataObject
) -> None:
    arrays = data.draw(arguments(case))
    before = [a.copy() for a in arrays]
    first = [arrays] if case.shapes.startswith("[") else arrays
    expected = entry.function(*first, *case.args, **case.kwargs)
    tensors = as_tensors(arrays)
    y = call(entry, case, tensors)
    assert type(y) is Tensor
    np.testing.assert_array_equal(y.data, expected)
    assert y.dtype == expected.dtype
    grad(y, [t for t in tensors if type(t) is Tensor], np.ones(y.shape))
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
@given(data=st.data())
def test_first_and_second_derivatives_are_those_of_finite_differences(
    entry: Operation, case: Case, data: st.DataObject
) -> None:
    arrays = data.draw(arguments(case))
    check_gradients(lambda *given: call(entry, case, list(given)), *arrays, order=2, name=entry.name)


@every_case
@given(data=st.data())
def test_float32_stays_float32_and_gradients_fit_their_arguments(
    entry: Operation, case: Case, data: st.DataObject
) -> None:
    arrays = data.draw(arguments(case))
    tensors = as_tensors(arrays, np.float32)
    sources = [t for t in tensors if type(t) is Tensor]
    y = call(entry, case, tensors)
    if "astype" not in entry.name:
        assert y.dtype == np.float32
    before = [t.data.copy() for t in sources]
    for create_graph in (False, True):
        gradients = grad(y, sources, np.ones(y.shape), create_graph=create_graph, retain_graph=True)
        assert [(g.shape, g.dtype) for g in gradients] == [(t.shape, np.float32) for t in sources]
    for t, copy in zip(sources, before, strict=True):
        np.testing.assert_array_equal(t.data, copy)


@every_case
@given(data=st.data())
def test_each_argument_may_be_a_plain_array(entry: Operation, case: Case, data: st.DataObject) -> None:
    """The gradient of one argument does not depend on whether the others are Tensors or arrays."""
    arrays = data.draw(arguments(case))
    tensors = as_tensors(arrays)
    y = call(entry, case, tensors)
    for i, t in enumerate(tensors):
        if type(t) is Tensor:
            alone = call(entry, case, [*arrays[:i], t, *arrays[i + 1 :]])
            np.testing.assert_array_equal(alone.data, y.data)
            expected = grad(y, t, np.ones(y.shape), retain_graph=True)
            np.testing.assert_array_equal(grad(alone, t, np.ones(y.shape)).data, expected.data)
