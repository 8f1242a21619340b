"""Proofs generated from the registry: every operation has all properties, in each of its cases."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops.cases import Case
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import as_used, call

Operation = Primitive | Composite
OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
every_operation = pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)


def forward(entry: Operation) -> Any:
    """The function on arrays: of a primitive that saves something for its vjps, the result alone."""
    return entry if isinstance(entry, Primitive) and entry.saves else entry.function


def as_tensors(arrays: list[Any], dtype: type = np.float64) -> list[Any]:
    """The floating point arrays as Tensors over the same memory, with its strides; the others as they are."""
    return [Tensor(a.astype(dtype, copy=False), requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]


def tensors_in(values: list[Any]) -> list[Tensor]:
    return [value for value in values if type(value) is Tensor]


def gradients(outputs: list[Any], sources: list[Tensor], **options: Any) -> tuple[Tensor, ...]:
    outputs = tensors_in(outputs)
    return grad(outputs, sources, [np.ones(y.shape) for y in outputs], **options)


# --- the properties: functions of an operation, one of its cases, and arrays drawn for that case ---------------------


def forward_is_the_functions_own_and_inputs_are_left_alone(entry: Operation, case: Case, arrays: list[Any]) -> None:
    before = [a.copy() for a in arrays]
    tensors = as_tensors(arrays)
    found, expected = call(as_used(entry), case, tensors), call(forward(entry), case, arrays)
    assert tensors_in(found)
    for y, array in zip(found, expected, strict=True):
        if isinstance(entry, Primitive) and not case.prepare:
            np.testing.assert_array_equal(y.data if type(y) is Tensor else y, array)
        else:  # by another way than NumPy's
            np.testing.assert_allclose(y.data if type(y) is Tensor else y, array, rtol=1e-9, atol=1e-9)
        assert y.shape == array.shape
        assert y.dtype == array.dtype
    fast = gradients(found, tensors_in(tensors), retain_graph=True)
    again = gradients(found, tensors_in(tensors), retain_graph=True)
    for one, same, other in zip(fast, again, gradients(found, tensors_in(tensors), create_graph=True), strict=True):
        np.testing.assert_array_equal(one.data, same.data)
        np.testing.assert_allclose(one.data, other.data, rtol=1e-9, atol=1e-9)  # by what is saved, and without it
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def first_and_second_derivatives_are_those_of_finite_differences(
    entry: Operation, case: Case, arrays: list[Any]
) -> None:
    check_gradients(
        lambda *given: tuple(tensors_in(call(as_used(entry), case, list(given)))), *arrays, order=2, name=entry.name
    )


def dtypes_are_numpys_and_gradients_fit_their_arguments(entry: Operation, case: Case, arrays: list[Any]) -> None:
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    expected = call(forward(entry), case, arrays)
    tensors = as_tensors(arrays, np.float32)
    sources = tensors_in(tensors)
    outputs = call(as_used(entry), case, tensors)
    assert [y.dtype for y in outputs] == [y.dtype for y in expected]
    before = [t.data.copy() for t in sources]
    fast = gradients(outputs, sources, retain_graph=True)
    recorded = gradients(outputs, sources, create_graph=True)
    for t, *found in zip(sources, fast, recorded, strict=True):
        assert [(g.shape, g.dtype) for g in found] == [(t.shape, np.float32)] * 2
    for t, array in zip(sources, before, strict=True):
        np.testing.assert_array_equal(t.data, array)


def each_argument_may_be_a_plain_array(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """The gradient of one argument does not depend on whether the others are Tensors or arrays."""
    tensors = as_tensors(arrays)
    outputs = call(as_used(entry), case, tensors)
    for i, t in enumerate(tensors):
        if type(t) is Tensor:
            alone = call(as_used(entry), case, [*arrays[:i], t, *arrays[i + 1 :]])
            expected = gradients(outputs, [t], retain_graph=True)[0]
            if any(y.requires_grad for y in tensors_in(alone)):
                found = gradients([y for y in tensors_in(alone) if y.requires_grad], [t])[0]
                np.testing.assert_allclose(found.data, expected.data, rtol=1e-9, atol=1e-9)
            else:  # some output may not depend on this argument
                assert not expected.data.any()


def gradients_read_only_what_the_operation_declares(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Whatever `reads=` does not name for an argument may be overwritten before its gradient is computed."""
    if not isinstance(entry, Primitive) or entry.reads is None:
        return
    for i in range(len(arrays)):
        output = call(entry, case, as_tensors([np.array(a) for a in arrays]))[0]
        if output._node is None or output._node[0] is not entry:  # of what `finish` did
            return
        source = output._node[1][i]
        if type(source) is not Tensor or not source.requires_grad:
            continue
        expected = gradients([output], [source], retain_graph=True)[0].data
        reads = entry.reads[i] if i < len(entry.reads) else set()
        values = [output.data, *output._node[2]]
        read = [value for k, value in enumerate(values) if k in reads and isinstance(value, np.ndarray)]
        for k, value in enumerate(values):
            writeable = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.flags.writeable
            if k not in reads and writeable and not any(np.may_share_memory(value, other) for other in read):
                value[...] = np.nan
        np.testing.assert_array_equal(gradients([output], [source])[0].data, expected)


PROPERTIES: list[Callable[[Operation, Case, list[Any]], None]] = [
    forward_is_the_functions_own_and_inputs_are_left_alone,
    first_and_second_derivatives_are_those_of_finite_differences,
    dtypes_are_numpys_and_gradients_fit_their_arguments,
    each_argument_may_be_a_plain_array,
    gradients_read_only_what_the_operation_declares,
]


@every_operation
def test_has_cases(entry: Operation) -> None:
    assert entry.cases


@every_operation
@given(data=st.data())
def test_all_properties_hold_for_every_case(entry: Operation, data: st.DataObject) -> None:
    """All cases in one test: starting Hypothesis for each of them would take a third of the time."""
    for case in entry.cases:
        arrays = data.draw(arguments(case), label=str(case))
        for holds in PROPERTIES:
            try:
                holds(entry, case, arrays)
            except Exception as error:
                error.add_note(f"{entry.name}({case}): it is not true that {holds.__name__.replace('_', ' ')}")
                raise
