"""Complex numbers: every operation that takes them is proved, and every other one refuses them by name."""

from typing import Any

from tinygrad_np import Tensor, func, grad, optim, primitive
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops.cases import Case
from tinygrad_np.ops.special import logsumexp
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arguments, arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import numpy_is_before
from random_programs import as_used, call

OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
COMPLEX = [entry for entry in OPERATIONS if not entry.real_only and entry.name != "astype"]  # its cases are real
REAL_OPTIONS = {"dtype", "hermitian", "rcond", "rtol"}  # whose values are real, or which are refused
REAL_MODES = {"maximum", "minimum", "median", "linear_ramp"}  # of np.pad


def complex_cases(entry: Primitive | Composite) -> list[Case]:
    """The cases of an operation that complex numbers are for."""
    modes = [{*map(str, case.args), str(case.kwargs.get("mode"))} for case in entry.cases]
    return [
        case
        for case, words in zip(entry.cases, modes, strict=True)
        if not (REAL_OPTIONS & case.kwargs.keys() or REAL_MODES & words)
    ]


def may_be_complex(entry: Primitive | Composite, case: Case, n: int) -> list[bool]:
    """Which of n arrays may be complex: not the coordinates of np.gradient, nor weights, the last array of np.cov."""
    reals = range(1, n) if entry.name == "gradient" else [n - 1] if entry.name == "cov" and case.prepare else []
    return [i not in reals for i in range(n)]


def made_complex(entry: Any, arrays: list[Any], which: list[bool]) -> list[Any]:
    """The chosen arrays with an imaginary part: their own elements in another order, of alternating sign.

    For norms and angles the absolute values are those of the real numbers and a half, which are far apart, as the
    largest one must be, and far from 0, where the derivatives of higher order are huge. So they are of standard
    deviations where all numbers are close together, and these are not.
    """
    result = []
    for a, chosen in zip(arrays, which, strict=True):
        if chosen and a.dtype.kind == "f":
            signs = (-1.0) ** np.arange(a.size)
            apart = entry.name in ("std", "nanstd")
            z = a + 1j * (np.arange(a.size) if apart else a.ravel()[::-1] * signs).reshape(a.shape)
            away = entry.name.endswith("norm") or entry.name in ("absolute", "angle")
            a = z / np.abs(z) * (np.abs(a) + 0.5) if away else z
        result.append(a)
    return result


@pytest.mark.parametrize("entry", COMPLEX, ids=lambda entry: entry.name)
@given(data=st.data())
def test_derivatives_for_complex_arguments_are_those_of_finite_differences(
    entry: Primitive | Composite, data: st.DataObject
) -> None:
    for case in complex_cases(entry):
        drawn = data.draw(arguments(case), label=str(case))
        which = data.draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
        if not any(which) or entry.name in (
            "x.at[index].set",
            "ediff1d",
            "insert",
        ):  # real numbers are not set to complex ones
            which = [True] * len(drawn)
        which = [chosen and may for chosen, may in zip(which, may_be_complex(entry, case, len(drawn)), strict=True)]
        given = made_complex(entry, drawn, which)

        def function(*inputs: Any, case: Case = case) -> tuple[Tensor, ...]:
            return tuple(y for y in call(as_used(entry), case, list(inputs)) if type(y) is Tensor)

        try:
            check_gradients(function, *given, order=2, name=entry.name)
        except Exception as error:
            error.add_note(f"{entry.name}({case})")
            raise


@pytest.mark.parametrize("entry", [e for e in COMPLEX if as_used(e) is e.function], ids=lambda entry: entry.name)
@given(data=st.data())
def test_values_for_complex_arguments_are_numpys(entry: Primitive | Composite, data: st.DataObject) -> None:
    if entry.name == "linalg.cond" and numpy_is_before("2.3.0"):
        pytest.skip("before NumPy 2.3 condition numbers of complex numbers are complex")
    case = data.draw(st.sampled_from(complex_cases(entry)))
    drawn = data.draw(arguments(case))
    given = made_complex(entry, drawn, may_be_complex(entry, case, len(drawn)))
    found = call(entry.function, case, [Tensor(a) if a.dtype.kind in "fc" else a for a in given])
    for ours, theirs in zip(found, call(entry.function, case, given), strict=True):
        ours = ours.data if type(ours) is Tensor else np.asarray(ours)
        assert (ours.shape, ours.dtype) == (np.shape(theirs), np.asarray(theirs).dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


PHASES = {
    "linalg.eig",
    "linalg.eigh",
    "linalg.svd",
}  # forward, the phase of a vector has a derivative, which is arbitrary


@pytest.mark.parametrize("entry", [e for e in COMPLEX if e.name not in PHASES], ids=lambda entry: entry.name)
@given(data=st.data())
def test_forward_derivatives_are_the_transpose_of_the_gradients(
    entry: Primitive | Composite, data: st.DataObject
) -> None:
    """Re(sum(g * dy)) is Re(sum(vjp(g) * dz)), also of functions that are not holomorphic."""
    case = data.draw(st.sampled_from(complex_cases(entry)))
    drawn = data.draw(arguments(case))
    given = made_complex(entry, drawn, may_be_complex(entry, case, len(drawn)))
    rng = np.random.default_rng(0)

    def random(like: Any) -> Any:
        x = rng.normal(size=np.shape(like))
        return x + 1j * rng.normal(size=x.shape) if like.dtype.kind == "c" else x

    moving = [i for i, a in enumerate(given) if a.dtype.kind in "fc"]

    def function(*inputs: Any) -> tuple[Tensor, ...]:
        arrays = [*given]
        for i, x in zip(moving, inputs, strict=True):
            arrays[i] = x
        return tuple(y for y in call(as_used(entry), case, arrays) if type(y) is Tensor)

    inputs = tuple(given[i] for i in moving)
    directions = tuple(map(random, inputs))
    values, along = func.jvp(function, inputs, directions)
    _, pull = func.vjp(function, *inputs)
    seeds = tuple(map(random, values))
    back = pull(seeds)
    back = back if isinstance(back, tuple) else (back,)
    found = sum(np.sum(s * dy).real for s, dy in zip(seeds, along, strict=True))
    expected = sum(np.sum(g * dz).real for g, dz in zip(back, directions, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


# --- what does not take complex numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry", [entry for entry in dict.fromkeys(registry.values()) if entry.real_only], ids=lambda entry: entry.name
)
def test_every_other_operation_refuses_complex_numbers_by_name(entry: Primitive | Composite | Constant) -> None:
    z = Tensor(np.array([[1j]]), requires_grad=True)
    arity = entry.arity if isinstance(entry, Primitive) else 1
    given = [z] * (arity or 1)
    with pytest.raises(TypeError, match=f"{entry.name} of a Tensor takes real numbers, not complex ones"):
        entry(given[0]) if arity == 1 else entry(*given)


def test_a_complex_argument_beside_a_real_tensor_is_refused_too() -> None:
    for other in (1j, np.array([1j]), Tensor([1j])):
        for refuse in (np.maximum, np.less, np.hypot):
            with pytest.raises(TypeError, match=f"{refuse.__name__} of a Tensor takes real numbers"):
                refuse(Tensor([1.0]), other)
            with pytest.raises(TypeError, match=f"{refuse.__name__} of a Tensor takes real numbers"):
                refuse(other, Tensor([1.0]))


def test_complex_numbers_do_not_become_real_unnoticed() -> None:
    z = Tensor([1j], requires_grad=True)
    for attempt, message in [
        (lambda: z.astype(np.float32), r"astype: complex64 does not become float32: take the \.real part"),
        (lambda: Tensor([1.0]).at[0].set(1j), "cannot be set to complex128"),
        (lambda: func.jvp(lambda x: x, np.ones(1), np.array([1j])), "tangents: expected real numbers"),
        (lambda: func.vjp(lambda x: x, np.ones(1))[1](np.array([1j])), "gradients: expected real numbers"),
        (lambda: grad(np.abs(z), z, np.array([1j])), "the output is real, and so is its gradient"),
        (lambda: optim.SGD([z], lr=0.1), "parameter 0 is complex64; optimise its real and imaginary parts"),
        (lambda: func.jacobian(lambda x: x)(np.array([1j])), r"return its \.real and its \.imag"),
    ]:
        with pytest.raises(TypeError, match=message):
            attempt()


def test_a_primitive_that_takes_real_numbers_has_no_complex_gradient() -> None:
    wrong = primitive(lambda x: x * 2, lambda g, y, x: g * 2j)
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="though argument and result are real; take its .real"):
        wrong(x).sum().backward()


@pytest.mark.parametrize("function", [np.sinc, np.sign, np.nan_to_num, np.prod, np.cumprod, np.linalg.norm])
def test_single_precision_stays(function: Any) -> None:
    z = Tensor(np.array([[1 + 1j, 2j], [3, 1 - 1j]], np.complex64), requires_grad=True)
    y = function(z)
    assert y.dtype in (np.complex64, np.float32)
    assert grad(y, z, np.ones(y.shape, y.dtype)).dtype == np.complex64


def test_what_of_complex_numbers_stays_refused() -> None:
    z = Tensor([1j, 2], requires_grad=True)
    with pytest.raises(TypeError, match="real_if_close"):
        np.real_if_close(z)
    with pytest.raises(TypeError, match="takes real numbers"):
        logsumexp(z)


# --- gradients at singular points ------------------------------------------------------------------------------------


def test_the_sign_of_complex_zero_has_a_gradient_of_zero() -> None:
    z = Tensor(np.array([0j, 3 + 4j]), requires_grad=True)
    np.testing.assert_array_equal(np.sign(z).data, [0, 0.6 + 0.8j])
    found = grad(np.sum(np.sign(z).real), z).data
    # the real part x / |z| moves by y**2 / |z|**3 along x and by -x * y / |z|**3 along y
    np.testing.assert_allclose(found, [0, (16 + 12j) / 125], rtol=1e-14)
    slope = grad(np.sum(np.sign(z).real), z, create_graph=True)
    np.testing.assert_array_equal(np.isnan(grad(np.sum(slope.imag), z).data), [True, False])


def test_each_part_of_a_complex_number_is_replaced_by_itself() -> None:
    z = Tensor(np.array([complex(np.nan, 1), complex(1, np.inf), 2 + 3j]), requires_grad=True)
    y = np.nan_to_num(z, nan=5.0)
    np.testing.assert_array_equal(y.data, np.nan_to_num(z.data, nan=5.0))
    np.testing.assert_array_equal(grad(np.sum(y.real + y.imag * 0.5), z).data, [-0.5j, 1, 1 - 0.5j])


@pytest.mark.parametrize("zeros", [[], [1], [0, 2], [0, 1, 2, 3]])
def test_products_of_complex_numbers_with_zeros(zeros: list[int]) -> None:
    z = np.array([1 + 2j, -1j, 3 - 1j, 0.5 + 0.5j])
    z[zeros] = 0
    tensor = Tensor(z, requires_grad=True)
    others = [np.prod(np.delete(z, i)) for i in range(4)]
    np.testing.assert_allclose(func.holomorphic_grad(np.prod)(z), others, rtol=1e-15)
    for function in (np.prod, np.cumprod, np.multiply.accumulate, np.multiply.reduce, np.cumulative_prod):
        check_gradients(function, z, order=3, name=function.__name__)
    assert np.isfinite(grad(np.abs(np.prod(tensor)), tensor).data).all()


def test_products_of_complex_numbers_that_overflow_before_the_result_does() -> None:
    """The product of all but one is representable in a different order only: inf or NaN, and never a wrong number."""
    z = Tensor(np.array([1e200, 1e200j, 1e-200, 1e-200, 2]), requires_grad=True)
    with np.errstate(all="ignore"):
        found = grad(np.abs(np.prod(z)), z).data
    assert not np.isfinite(found).all()


# --- gradients and derivatives ---------------------------------------------------------------------------------------


def test_the_gradient_of_a_real_function_needs_a_real_result() -> None:
    z = Tensor(np.array([1 + 2j, -1j]), requires_grad=True)
    loss = np.sum(np.abs(z) ** 2)
    np.testing.assert_allclose(grad(loss, z).data, 2 * np.conj(z.data))
    with pytest.raises(TypeError, match=r"the output is complex128.* write loss\.real or np\.abs\(loss\)"):
        np.sum(z).backward()
    with pytest.raises(TypeError, match=r"func\.holomorphic_grad"):
        func.grad(np.sum)(z)


def test_a_real_argument_gets_the_real_part() -> None:
    x = Tensor(np.array([0.5, 2.0]), requires_grad=True)
    wave = np.exp(1j * x)
    np.testing.assert_allclose(grad(wave.real.sum(), x, retain_graph=True).data, -np.sin(x.data))
    np.testing.assert_allclose(grad(wave.imag.sum(), x).data, np.cos(x.data))


def test_the_derivative_of_a_holomorphic_function_is_complex() -> None:
    z = 0.3 - 1.2j
    for function, slope in [(np.exp, np.exp), (np.sin, np.cos), (lambda z: z**3 / (1 + z), None)]:
        expected = slope(z) if slope else (3 * z**2 * (1 + z) - z**3) / (1 + z) ** 2
        np.testing.assert_allclose(func.holomorphic_grad(function)(z), expected, rtol=1e-14)
    np.testing.assert_allclose(func.holomorphic_grad(func.holomorphic_grad(np.sin))(z), -np.sin(z), rtol=1e-14)
    for function in (np.conj, lambda z: z * np.conj(z), lambda z: np.abs(z) + 0j):
        with pytest.raises(ValueError, match="is not holomorphic here: its derivative is"):
            func.holomorphic_grad(function)(z)
    for function, argument in ((np.exp, 2.0), (np.abs, z)):
        with pytest.raises(TypeError, match="is float64, not complex; see grad"):
            func.holomorphic_grad(function)(argument)


@given(data=st.data())
def test_directional_derivatives_agree_with_gradients(data: st.DataObject) -> None:
    """Forward, backward, and the product with the Hessian, which is symmetric in the real sense."""
    z, direction, other = (
        x + 1j * y for x, y in data.draw(st.lists(st.tuples(arrays((3,)), arrays((3,))), min_size=3, max_size=3))
    )

    def function(z: Any) -> Any:
        return np.sum(np.abs(np.sin(z) * np.conj(z)) ** 2) + np.sum(z.real * z.imag)

    gradient = func.grad(function)(z)
    _, along = func.jvp(function, z, direction)
    np.testing.assert_allclose(along, np.sum(gradient * direction).real, rtol=1e-9, atol=1e-9)
    one, two = (func.hvp(function, z, d) for d in (direction, other))
    _, forward = func.jvp(func.grad(function), z, direction)
    np.testing.assert_allclose(one, forward, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.sum(one * other).real, np.sum(two * direction).real, rtol=1e-8, atol=1e-8)


def test_complex64_stays_and_so_does_float32() -> None:
    z = Tensor([1 + 1j], requires_grad=True)
    assert z.dtype == np.complex64
    loss = np.abs(np.fft.fft(np.exp(z * 1j) / (1 + z))).sum()
    assert loss.dtype == np.float32
    loss.backward()
    assert z.grad is not None
    assert z.grad.dtype == np.complex64


def test_transforms_of_several_axes_need_to_know_which() -> None:
    z = Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"s=\(2, 2\) needs axes="):
        np.fft.fftn(z, s=(2, 2))
    with pytest.raises(ValueError, match="must have the same length"):
        np.fft.fftn(z, s=(2,), axes=(0, 1))
    with pytest.raises(TypeError, match="takes real numbers"):
        np.fft.rfft(Tensor([1j]))
