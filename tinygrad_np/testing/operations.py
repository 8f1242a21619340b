"""All that the operations of this package are tested for, for an operation of your own: `check_operation`.

A property is a function of an operation, one of its cases, and arrays drawn for that case, which raises if it does not
hold. `PROPERTIES` hold for every case; `OF_SOME` hold where they say something, and pass elsewhere.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import hypothesis
import numpy as np
from hypothesis import strategies as st

from .. import _per_example, func
from .._passes import backward_of_each
from .._registry import Composite, Constant, Primitive, registry
from ..ops.cases import Case
from ..tensor import Tensor, grad
from .gradients import check_gradients
from .strategies import arguments

Operation: TypeAlias = Primitive | Composite
CALLED_BY_THEIR_NAMES = {"numpy", "scipy", "_operator"}  # packages whose functions take Tensors by themselves
FEW = 12  # elements of a result whose gradients are computed one by one


def check_operation(
    function: Callable[..., Any], cases: Iterable[Case | str] | None = None, *, examples: int = 20
) -> None:
    """Raise an AssertionError unless an operation does all that the operations of this package do.

    For arrays drawn at random, of every shape that a case stands for (axes of length 0 among them), in Fortran order
    and with negative and larger strides, it is checked that

    - values, shapes and dtypes are the function's own, the same gradient comes out twice, and no argument is changed,
    - first and second derivatives are those of finite differences,
    - of float16, float32 and longdouble, results have the function's dtype and gradients that of their argument, and
      both agree with float64 within their precision,
    - an argument may be a plain array, and the gradients of the others stay as they are,
    - gradients read nothing but what `reads=` declares,
    - derivatives along a direction, gradients of several results at once, and those of each example agree with single
      gradients, whatever `jvp=`, `rows=` and `examples=` declare,
    - derivatives for complex arguments are right if the operation takes them,
    - each keyword that the operation supports is given in one of the cases.

    It is one line of a test, needs Hypothesis, and draws the same arrays every time.

    Args:
        function: what `primitive`, `differentiable` or `composite` returned, a function that was registered, or any
            function of Tensors that is made of operations.
        cases: `tinygrad_np.ops.cases.Case` objects, or the shapes of one as text, as "n k, k m", where a lowercase
            letter is a length from 0, a capital one from 1. By default those that the operation was defined with.
        examples: how often arrays are drawn for each case.

    Raises:
        AssertionError: one of these is not so. A note names the case and the property.
        TypeError: the function cannot be differentiated, or is no function.
        ValueError: there are no cases.

    >>> from tinygrad_np import primitive
    >>> from tinygrad_np.ops.cases import POSITIVE, Case
    >>> cube = primitive(lambda x: x * x * x, lambda g, y, x: 3 * g * x * x, name="cube", jvp="elementwise")
    >>> check_operation(cube, ["*"], examples=5)
    >>> root = primitive(lambda x: np.sqrt(x), lambda g, y, x: g / y, name="root")
    >>> check_operation(root, [Case("n", domains=(POSITIVE,))], examples=5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: root: the gradient of argument 0 at index (0,) is ...
    """
    entry = _entry(function)
    known = [Case(case) if isinstance(case, str) else case for case in (entry.cases if cases is None else cases)]
    if wrong := [case for case in known if not isinstance(case, Case)]:
        raise TypeError(
            f"check_operation: a case of {entry.name} is a Case or its shapes as text, not {wrong[0]!r:.80}"
        )
    if not known:
        raise ValueError(f"check_operation: {entry.name} has no cases; give cases=['n m'], the shapes of its arrays")
    _check_that_keywords_are_given(entry, known)

    # What is drawn is small as it is, and to look for the smallest that fails takes seconds.
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.nested_given],
    )
    @hypothesis.given(st.data())
    def check(data: st.DataObject) -> None:
        for case in known:
            check_properties(entry, case, data.draw(arguments(case), label=str(case)), [*PROPERTIES, *OF_SOME])

    check()


def check_properties(entry: Operation, case: Case, arrays: list[Any], properties: "Iterable[Property]") -> None:
    """Check properties for one case and its arrays; a note on an error says which does not hold."""
    for holds in properties:
        try:
            holds(entry, case, arrays)
        except Exception as error:
            error.add_note(f"{entry.name}({case}): it is not true that {holds.__name__.replace('_', ' ')}")
            raise


def _entry(function: Any) -> Operation:
    """The operation that a function belongs to."""
    if not callable(function):
        raise TypeError(f"check_operation takes a function, not {type(function).__name__}")
    entries = registry.values()
    found = next((e for e in entries if function in (e, e.function, getattr(e, "implementation", None))), None)
    found = found or registry.get(getattr(function, "__wrapped__", function))
    if isinstance(found, Constant):
        raise TypeError(f"check_operation: {found.name} has nothing to differentiate")
    return found or Composite(function, function, ())


def _check_that_keywords_are_given(entry: Operation, cases: Sequence[Case]) -> None:
    if not isinstance(entry, Primitive):
        return
    given = {name for case in cases for name in case.kwargs}
    if entry.signature is not None:  # a keyword may be given by position
        names = list(entry.signature.parameters)
        given |= {name for case in cases for name in names[len(names) - len(case.args) :] if case.args}
    if missing := sorted(entry.keywords - given):
        raise AssertionError(
            f"{entry.name}: no case gives {', '.join(missing)}; add one, as Case('n m', kwargs={{{missing[0]!r}: ...}})"
        )


# --- calls -----------------------------------------------------------------------------------------------------------


def call(function: Any, case: Case, inputs: Sequence[Any], dtype: Any = None) -> list[Any]:
    """The outputs of a function for inputs that fit its case; what a case prepares is brought to a dtype, if given."""
    prepared = case.prepare(*inputs) if case.prepare else inputs
    prepared = list(prepared) if isinstance(prepared, tuple | list) else [prepared]
    if case.prepare and dtype is not None:
        prepared = [x.astype(dtype) if getattr(x, "dtype", None) == np.float64 else x for x in prepared]
    first = [prepared] if case.shapes.startswith("[") else prepared
    result = function(*first, *case.args, **case.kwargs)
    result = case.finish(result) if case.finish else result
    return list(result) if isinstance(result, tuple | list) else [result]


def as_used(entry: Operation) -> Any:
    """The operation as its users call it: NumPy's functions by NumPy's names, an indexing by its brackets."""
    function = entry.function
    home = (getattr(function, "__module__", None) or "").partition(".")[0]  # ufuncs of other libraries have none
    return function if home in CALLED_BY_THEIR_NAMES or isinstance(function, np.ufunc) else entry


def forward(entry: Operation) -> Any:
    """The function on arrays: of a primitive that saves something for its vjps, the result alone."""
    return entry if isinstance(entry, Primitive) and entry.saves else entry.function


def _expect(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{what}: found {found}, expected {expected}")


def as_tensors(arrays: Sequence[Any], dtype: Any = np.float64) -> list[Any]:
    """The floating point arrays as Tensors over the same memory, with its strides; the others as they are."""
    return [Tensor(a.astype(dtype, copy=False), requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The Tensors among values."""
    return [value for value in values if type(value) is Tensor]


def gradients(outputs: Iterable[Any], sources: Sequence[Tensor], **options: Any) -> tuple[Tensor, ...]:
    """The gradients of the sum of all outputs."""
    tensors = tensors_in(outputs)
    return grad(tensors, sources, [np.ones(y.shape) for y in tensors], **options)


def recorded(entry: Operation, case: Case, arrays: Sequence[Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs that depend on the arrays, and these as Tensors."""
    tensors = as_tensors(arrays)
    outputs = [y for y in tensors_in(call(as_used(entry), case, tensors)) if y.requires_grad]
    return outputs, tensors_in(tensors)


# --- the properties of every case ------------------------------------------------------------------------------------


def forward_is_the_functions_own_and_inputs_are_left_alone(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Values, shapes and dtypes; and the gradient is the same twice, by what is saved and without it."""
    before = [a.copy() for a in arrays]
    tensors = as_tensors(arrays)
    found, expected = call(as_used(entry), case, tensors), call(forward(entry), case, arrays)
    _expect("the number of results that are Tensors is at least 1", bool(tensors_in(found)), True)
    for y, array in zip(found, expected, strict=True):
        if isinstance(entry, Primitive) and not case.prepare:
            np.testing.assert_array_equal(y.data if type(y) is Tensor else y, array)
        else:  # by another way than NumPy's
            np.testing.assert_allclose(y.data if type(y) is Tensor else y, array, rtol=1e-9, atol=1e-9)
        _expect("the shape and the dtype of a result", (y.shape, y.dtype), (array.shape, array.dtype))
    fast = gradients(found, tensors_in(tensors), retain_graph=True)
    again = gradients(found, tensors_in(tensors), retain_graph=True)
    for one, same, other in zip(fast, again, gradients(found, tensors_in(tensors), create_graph=True), strict=True):
        np.testing.assert_array_equal(one.data, same.data)
        np.testing.assert_allclose(one.data, other.data, rtol=1e-9, atol=1e-9)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def first_and_second_derivatives_are_those_of_finite_differences(
    entry: Operation, case: Case, arrays: list[Any]
) -> None:
    """By `check_gradients`, which makes all arrays read-only."""
    check_gradients(
        lambda *given: tuple(tensors_in(call(as_used(entry), case, list(given)))), *arrays, order=2, name=entry.name
    )


def dtypes_are_numpys_and_gradients_fit_their_arguments(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """In float32, with a recorded backward pass and without."""
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    expected = call(forward(entry), case, arrays)
    tensors = as_tensors(arrays, np.float32)
    sources = tensors_in(tensors)
    outputs = call(as_used(entry), case, tensors)
    _expect("the dtypes of the results", [y.dtype for y in outputs], [y.dtype for y in expected])
    before = [t.data.copy() for t in sources]
    fast = gradients(outputs, sources, retain_graph=True)
    graph = gradients(outputs, sources, create_graph=True)
    for t, *found in zip(sources, fast, graph, strict=True):
        _expect("the gradients", [(g.shape, g.dtype) for g in found], [(t.shape, np.float32)] * 2)
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
                _expect("the gradient of an output that depends on nothing", bool(expected.data.any()), False)


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


# --- the properties that say something of some operations ------------------------------------------------------------


def the_layout_of_arguments_in_memory_does_not_matter(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Values and gradients are those of contiguous copies."""
    (found, sources), (expected, copies) = (
        recorded(entry, case, given) for given in (arrays, [np.array(a, order="C") for a in arrays])
    )
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_allclose(y.data, z.data, rtol=1e-9, atol=1e-9)
    for g, h in zip(gradients(found, sources), gradients(expected, copies), strict=True):
        np.testing.assert_allclose(g.data, h.data, rtol=1e-9, atol=1e-9)


def derivatives_along_a_direction_agree_with_gradients(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """sum(g * dy) is sum(vjp(g) * dx): forward and backward are each other's transpose."""
    moving = [i for i, a in enumerate(arrays) if a.dtype.kind in "fc"]

    def function(*inputs: Any) -> tuple[Tensor, ...]:
        given = list(arrays)
        for i, x in zip(moving, inputs, strict=True):
            given[i] = x
        return tuple(y for y in tensors_in(call(as_used(entry), case, given)) if y.dtype.kind in "fc")

    inputs = tuple(arrays[i] for i in moving)
    directions = tuple(map(_direction, inputs))
    values, along = func.jvp(function, inputs, directions)
    seeds = tuple(_direction(y, start=2.5) for y in values)
    back = func.vjp(function, *inputs)[1](seeds)
    back = back if isinstance(back, tuple) else (back,)
    found = sum(np.sum(s * dy).real for s, dy in zip(seeds, along, strict=True))
    expected = sum(np.sum(g * dx).real for g, dx in zip(back, directions, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def gradients_of_several_results_at_once_are_those_of_one_by_one(
    entry: Operation, case: Case, arrays: list[Any]
) -> None:
    """Whatever `rows=` and `jvp=` declare."""
    outputs, sources = recorded(entry, case, arrays)
    for y in outputs:
        if 1 < y.size <= FEW:
            found = backward_of_each(y, sources, False)
            for k, unit in enumerate(np.eye(y.size, dtype=y.dtype)):
                single = grad(y, sources, np.reshape(unit, y.shape), retain_graph=True)
                for rows, one in zip(found, single, strict=True):
                    np.testing.assert_allclose(rows[k], one.data, rtol=1e-9, atol=1e-9)


def gradients_of_each_example_are_rows_of_the_jacobian(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Whatever `examples=` declares."""
    outputs, sources = recorded(entry, case, arrays)
    if (losses := losses_of_examples(outputs)) is not None and _per_example._steps(losses, sources) is not None:
        found = _per_example.backward_of_examples(losses, sources, False)
        for ours, expected in zip(found, backward_of_each(losses, sources, False), strict=True):
            _expect("the dtype of the gradients", ours.dtype, expected.dtype)
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def losses_of_examples(outputs: Sequence[Tensor]) -> Any:
    """A loss for each example of the first output, by weights that differ; None if it is no batch."""
    if not outputs or outputs[0].ndim == 0 or len(outputs[0]) < 2 or outputs[0].size == 0:
        return None
    y = outputs[0]
    weights = 0.5 + np.remainder(np.arange(1, y.size + 1) * 0.618, 1).reshape(y.shape)
    return np.sum(np.reshape(y * weights, (len(y), -1)), axis=1)


def other_precisions_agree_with_float64(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Values and gradients; where NumPy refuses a dtype, as linear algebra does, so may the operation."""
    for dtype, rtol in ((np.float16, 2e-2), (np.float32, 1e-4), (np.longdouble, 1e-9)):
        arrays_of = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
        try:
            plain = call(forward(entry), case, arrays_of, dtype)
        except TypeError:
            continue
        tensors = as_tensors(arrays_of, dtype)
        found = call(as_used(entry), case, tensors, dtype)
        _expect(f"the dtypes of the results for {np.dtype(dtype)}", [y.dtype for y in found], [y.dtype for y in plain])
        wide = as_tensors([a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays_of])
        right = tensors_in(call(as_used(entry), case, wide))
        found = tensors_in(found)
        pairs = [(y.data, z.data) for y, z in zip(found, right, strict=True)]
        ours, theirs = (gradients(ys, tensors_in(xs)) for ys, xs in ((found, tensors), (right, wide)))
        _expect("the dtypes of the gradients", [g.dtype for g in ours], [dtype] * len(ours))
        for y, z in pairs + [(g.data, h.data) for g, h in zip(ours, theirs, strict=True)]:
            scale = float(np.max(np.abs(z), initial=1))
            np.testing.assert_allclose(y.astype(z.dtype), z, rtol=rtol, atol=rtol * scale)


def derivatives_for_complex_arguments_are_right(entry: Operation, case: Case, arrays: list[Any]) -> None:
    """Of an operation that takes complex numbers, by finite differences along both parts, and forward.

    Options that are for real numbers, such as dtype=, refuse them by a TypeError.
    """
    if not entry.real_only:
        given = with_imaginary_parts(arrays)
        try:
            call(as_used(entry), case, [Tensor(a) if a.dtype.kind == "c" else a for a in given])
        except TypeError:
            return
        first_and_second_derivatives_are_those_of_finite_differences(entry, case, given)
        derivatives_along_a_direction_agree_with_gradients(entry, case, given)


def with_imaginary_parts(arrays: Sequence[Any]) -> list[Any]:
    """Floating point arrays with an imaginary part: their own elements in another order, of alternating sign."""
    return [
        a + 1j * (a.ravel()[::-1] * (-1.0) ** np.arange(a.size)).reshape(a.shape) if a.dtype.kind == "f" else a
        for a in arrays
    ]


def _direction(like: Any, start: float = 1.0) -> Any:
    """Numbers of either sign, for an array of any shape and dtype; others from another start."""
    x = np.cos(start + 2.0 * np.arange(np.size(like))).reshape(np.shape(like))
    return x + 1j * np.sin(x) if np.iscomplexobj(like) else x


Property: TypeAlias = Callable[[Operation, Case, list[Any]], None]
PROPERTIES: list[Property] = [
    forward_is_the_functions_own_and_inputs_are_left_alone,
    first_and_second_derivatives_are_those_of_finite_differences,
    dtypes_are_numpys_and_gradients_fit_their_arguments,
    each_argument_may_be_a_plain_array,
    gradients_read_only_what_the_operation_declares,
]
OF_SOME: list[Property] = [
    the_layout_of_arguments_in_memory_does_not_matter,
    derivatives_along_a_direction_agree_with_gradients,
    gradients_of_several_results_at_once_are_those_of_one_by_one,
    gradients_of_each_example_are_rows_of_the_jacobian,
    other_precisions_agree_with_float64,
    derivatives_for_complex_arguments_are_right,
]
