"""float16 beside float64: whatever adds up, squares or multiplies numbers is right to the last places of float16."""

import math
import re
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad, no_grad
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops import elementwise, indexing, shapes
from tinygrad_np.ops.cases import Case, Domain

import numpy as np
import pytest

Operation = Primitive | Composite
OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
LONG = 100_000
# Their gradients take n * n numbers in general, or seconds.
NEVER_LONG = {"cumprod", "nancumprod", "cumulative_prod", "multiply.accumulate", "kron", "recurrence"}
NEVER_LONG |= {"linalg.matrix_norm", "quantile", "percentile", "nanquantile", "nanpercentile", "_mean_gradient"}
NEVER_LONG |= {
    f"{name}.{method}"
    for name in ("divide", "hypot", "logaddexp", "logaddexp2", "subtract")
    for method in ("accumulate", "reduce")
}
NEVER_LONG |= {"fft.ifft", "fft.ihfft"}  # NumPy divides by their number in float16
OVERFLOWS = {"logspace"}  # 10**200 has no number in float32


def module_of(entry: Operation) -> str:
    if isinstance(entry, Composite):
        return str(entry.implementation.__module__)
    return str((entry.joint or next(vjp for vjp in entry.vjps if vjp is not None)).__module__)


# The others work on each element by itself, and round as NumPy does in float16, or rearrange elements.
# How many coefficients NumPy keeps in the remainder of polydiv depends on its rounding errors.
SUMMING = [
    e
    for e in OPERATIONS
    if module_of(e) not in {m.__name__ for m in (elementwise, indexing, shapes)} and e.name != "polydiv"
]


# --- arguments of a case, in float16 and in float64 ------------------------------------------------------------------


def shapes_of(case: Case, long: str | None) -> list[tuple[int, ...]]:
    """The shapes of a case, with 3 for each letter; or, if one letter is long, LONG for it and 1 for the others."""
    size = dict.fromkeys(letters_of(case), 1 if long else 3)
    size |= {long: LONG} if long else {}
    parts = [part.split() for part in case.shapes.strip("[]").split(",")]
    return [(3,) if part == ["*"] else tuple(size[n] if n in size else int(n) for n in part) for part in parts]


def letters_of(case: Case) -> list[str]:
    return sorted(set(re.findall("[a-zA-Z]", case.shapes)))


def drawn(rng: np.random.Generator, shape: tuple[int, ...], domain: Domain, scale: float) -> np.ndarray:
    if domain.kind != "f":
        kind = {"i": np.int64, "b": np.bool_}[domain.kind]
        return rng.integers(int(domain.low), int(domain.high), shape).astype(kind)
    x = scale * rng.uniform(domain.low, domain.high, shape)
    return x * np.where(rng.random(shape) < 0.5, -1, 1) if domain.either_sign else x


def arguments(case: Case, shapes: list[tuple[int, ...]], scale: float) -> list[Any]:
    rng, last = np.random.default_rng(0), len(case.domains) - 1
    arrays = [drawn(rng, shape, case.domains[min(i, last)], scale) for i, shape in enumerate(shapes)]
    prepared = case.prepare(*arrays) if case.prepare else arrays
    prepared = list(prepared) if isinstance(prepared, tuple | list) else [prepared]
    return [prepared, *case.args] if case.shapes.startswith("[") else [*prepared, *case.args]


def in_dtype(value: Any, dtype: Any, leaves: list[Tensor]) -> Any:
    """The value with Tensors in the place of arrays: numbers of float16, in the dtype. They are noted as leaves."""
    if isinstance(value, list):
        return [in_dtype(part, dtype, leaves) for part in value]
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        leaves.append(Tensor(value.astype(np.float16).astype(dtype), requires_grad=True))
        return leaves[-1]
    return value


def results(function: Callable[..., Any], given: list[Any], dtype: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The outputs of a function, and the gradients of its arguments for output gradients of either sign."""
    leaves: list[Tensor] = []
    y = function(*in_dtype(given, dtype, leaves))
    outputs = [y for y in (y if isinstance(y, tuple | list) else [y]) if type(y) is Tensor and y.requires_grad]
    rng = np.random.default_rng(1)
    seeds = [rng.uniform(-1, 1, y.shape).astype(np.float16).astype(y.dtype) for y in outputs]
    return [y.data for y in outputs], [g.data for g in grad(outputs, leaves, seeds)]


def assert_near(found: np.ndarray, right: np.ndarray) -> None:
    """Within 2 units in the last place, or 1e-5 of the largest number, wherever float16 has a number for the result."""
    assert found.shape == right.shape
    fits = np.abs(right) < 65504
    right, found = right[fits], found[fits].astype(np.result_type(found, np.float64))
    unit = np.spacing(np.abs(right).astype(np.float16)).astype(np.float64)
    wrong = ~(np.abs(found - right) <= 2 * unit + 1e-5 * np.max(np.abs(right), initial=0))
    assert not wrong.any(), f"{found[wrong][:3]} instead of {right[wrong][:3]}"


def compare(function: Callable[..., Any], given: list[Any]) -> None:
    with np.errstate(over="ignore"):  # where float16 has no number for the result
        outputs, gradients = results(function, given, np.float16)
        right, right_gradients = results(function, given, np.float64)
    assert {g.dtype for g in gradients} <= {np.dtype(np.float16)}
    for a, b in zip([*outputs, *gradients], [*right, *right_gradients], strict=True):
        assert_near(a, b)


# --- generated from the registry -------------------------------------------------------------------------------------


def compare_case(entry: Operation, case: Case, scale: float, long: str | None) -> None:
    given = arguments(case, shapes_of(case, long), scale)
    if isinstance(entry, Primitive) and entry.fixed:  # these are not Tensors
        fixed = {i: given[i] for i, vjp in enumerate(entry.vjps) if vjp is None}
        rest = [a for i, a in enumerate(given) if i not in fixed]

        def function(*tensors: Any) -> Any:
            others = iter(tensors)
            return entry(*(fixed[i] if i in fixed else next(others) for i in range(len(given))), **case.kwargs)

        return compare(function, rest)
    return compare(lambda *tensors: entry(*tensors, **case.kwargs), given)


def numpy_refuses(entry: Operation, case: Case) -> bool:
    """Decompositions and what is made of them: LAPACK has no float16, and NumPy says so."""
    try:
        compare_case(entry, case, 1.0, None)
    except TypeError as error:
        return "array type float16 is unsupported in linalg" in str(error)
    except AssertionError:
        pass
    return False


@pytest.mark.parametrize("entry", SUMMING, ids=lambda entry: entry.name)
def test_large_small_and_long_float16_are_right(entry: Operation) -> None:
    cases = [case for case in entry.cases if not numpy_refuses(entry, case)]
    if not cases:
        pytest.skip("NumPy refuses float16")
    for case in cases:
        long = [] if entry.name in NEVER_LONG or case.kwargs.get("keepdims") else letters_of(case)
        for scale, letter in [
            (1.0 if entry.name in OVERFLOWS else 100.0, None),
            (1e-4, None),
            *((1.0, letter) for letter in long),
        ]:
            if sum(map(math.prod, shapes_of(case, letter))) > 10 * LONG:
                continue
            try:
                compare_case(entry, case, scale, letter)
            except AssertionError as error:
                error.add_note(f"{entry.name}({case}), numbers of {scale}, {letter} long")
                raise


# --- the backward pass's own sums ------------------------------------------------------------------------------------


def test_the_gradient_of_what_was_broadcast() -> None:
    compare(lambda x, w: x + w, [np.ones((LONG, 2)), np.ones(2)])
    compare(lambda x, w: x * w, [np.full((LONG, 1), 0.01), np.ones((1, 3))])


def test_the_gradient_of_what_is_used_often() -> None:
    x = Tensor(np.ones(2, np.float16), requires_grad=True)
    for create_graph in (False, True):  # in float16, 2048 + 1 is 2048
        y = x * 0
        for _ in range(5000):
            y = y + x
        found = grad(y, x, np.ones(2), create_graph=create_graph)
        assert found.dtype == np.float16
        assert found.data.tolist() == [5000, 5000]
    y.backward(np.ones(2))
    assert x.grad.dtype == np.float16
    assert x.grad.data.tolist() == [5000, 5000]


def test_the_gradient_of_an_element_that_is_selected_often() -> None:
    index = np.arange(LONG) % 3
    compare(lambda x: x[index] * 0.5, [np.ones(3)])
    compare(lambda x: np.take(x, index), [np.ones(3)])


@pytest.mark.parametrize("extreme", [np.max, np.min, np.nanmax])
def test_the_gradient_of_more_equal_elements_than_float16_counts(extreme: Any) -> None:
    x = Tensor(np.ones(LONG, np.float16), requires_grad=True)
    assert_near(grad(extreme(x), x, 1000).data, np.full(LONG, 0.01))


# --- what is computed in float32 is float16 again, and says so -------------------------------------------------------


def test_other_dtypes_promote_as_in_numpy() -> None:
    half, single, small = (Tensor(np.ones((2, 2), dtype)) for dtype in (np.float16, np.float32, np.int16))
    assert (half @ half).dtype == np.float16
    assert (half @ single).dtype == (single @ half).dtype == (half @ small).dtype == np.float32
    assert np.average(half, weights=single.data).dtype == np.float32


def test_a_message_names_the_dtype_that_was_given() -> None:
    x = Tensor(np.ones(3, np.float16))
    for call in (lambda: x.sum(axis=5), lambda: np.trapezoid(x, axis=5)):
        with pytest.raises(np.exceptions.AxisError, match=r"of float16\[3\], axis=5: axis 5 is out of bounds"):
            call()


def test_without_a_gradient_nothing_is_recorded() -> None:
    x = Tensor(np.full(9, 1e4, np.float16), requires_grad=True)
    with no_grad():
        assert not np.mean(x).requires_grad
    assert np.mean(x).data == np.float16(1e4)


def test_gradients_of_divisions_and_powers_of_float16_do_not_overflow_on_the_way() -> None:
    for function, x, scale, expected in (
        (np.square, 0.1, 32768, 6552.0),
        (lambda x: x**3, 0.1, 32768, 982.5),
        (lambda x: np.float16(10_000) / x - np.float16(99), 100.0, 1000, -1000.0),
        (lambda x: 10_000.0 / x - 99.0, 100.0, 1000, -1000.0),  # a number decides nothing about the dtype
        (lambda x: np.array(127, np.int8) / x - np.float16(1.98), 64.0, 40000, -1240.2),
        (np.log10, 60000.0, 1, 7.2e-6),
    ):
        leaf = Tensor(np.array(x, np.float16), requires_grad=True)
        found = grad(function(leaf) * np.float16(scale), leaf)
        np.testing.assert_allclose(found.data, np.float16(expected), rtol=5e-3)
