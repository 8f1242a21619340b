"""Random programs of complex and real numbers: values are NumPy's, derivatives those of differences and of `jvp`."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, func
from tinygrad_np._registry import Primitive, registry
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

Function = Callable[..., Any]
POLES_AND_CUTS = ("reciprocal", "log", "log2", "log10", "log1p", "sqrt", "arcsin", "arccos", "arctan", "arcsinh")
POLES_AND_CUTS += ("arccosh", "arctanh", "tan", "tanh", "sign", "absolute")
# Functions of one number; those that are not entire are given numbers away from their poles and cuts.
ONE = [
    entry.function
    for entry in dict.fromkeys(registry.values())
    if isinstance(entry, Primitive) and entry.jvp == "elementwise" and entry.arity == 1 and not entry.real_only
    if isinstance(entry.function, np.ufunc)
]
AWAY = {function for function in ONE if function.__name__ in POLES_AND_CUTS}
TWO: list[Function] = [np.add, np.subtract, np.multiply]
LINEAR: list[Function] = [
    np.real, np.imag, lambda z: z.T, lambda z: z[::-1], lambda z: np.roll(z, 1), lambda z: z.reshape(-1, 2),
    lambda z: np.sum(z, axis=0, keepdims=True), lambda z: np.cumsum(z, axis=-1), np.fft.fft, np.fft.ifft,
    lambda z: np.fft.fft2(z, norm="ortho"), lambda z: np.concatenate([z, np.conj(z)]), lambda z: np.diff(z, axis=-1),
    lambda z: np.outer(z, np.array([1j, 2.0])), lambda z: z @ np.conj(z.T), lambda z: np.einsum("ij,kj->ik", z, z),
]  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> tuple[Function, list[Any]]:
    """A function of a few real and complex arrays of shape (2, 3), and such arrays."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    leaves = []
    for is_complex in draw(st.lists(st.booleans(), min_size=1, max_size=3)):
        x = rng.uniform(0.5, 1.5, (2, 3))
        leaves.append(x + 1j * rng.uniform(0.5, 1.5, (2, 3)) if is_complex else x)
    steps = draw(st.lists(st.tuples(st.sampled_from(ONE + TWO + LINEAR), st.integers(0, 9)), min_size=2, max_size=8))

    def program(*inputs: Any) -> Any:
        values = [*inputs]
        for function, i in steps:
            z, other = values[-1], values[i % len(values)]
            if function in TWO:
                values.append(function(z, other if other.shape == z.shape else 1 + 2j))
            elif function in LINEAR:
                values.append(function(z) if z.size <= 8 and z.ndim == 2 else np.conj(z))
            else:
                # Of absolute values below 1/2, and for poles and cuts around 2 + 2i, so that no power overflows.
                small = z / (2 + np.sum(np.real(z * np.conj(z))))
                values.append(function(small + (2 + 2j) if function in AWAY else small))
        return values[-1]

    return program, leaves


def require_right(drawn: tuple[Function, list[Any]]) -> None:
    program, leaves = drawn
    expected = program(*leaves)
    y = program(*map(Tensor, leaves))
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.data, expected, rtol=1e-10, atol=1e-10)
    check_gradients(program, *leaves, order=2)
    directions = tuple(np.cos(np.arange(x.size)).reshape(x.shape) * (1j if x.dtype.kind == "c" else 1) for x in leaves)
    value, along = func.jvp(program, tuple(leaves), directions)
    seed = np.sin(1 + np.arange(value.size)).reshape(value.shape) * (1 - 2j if value.dtype.kind == "c" else 1)
    _, pull = func.vjp(program, *leaves)
    back = pull(seed)
    back = back if isinstance(back, tuple) else (back,)
    expected_product = sum(np.sum(g * dz).real for g, dz in zip(back, directions, strict=True))
    np.testing.assert_allclose(np.sum(seed * along).real, expected_product, rtol=1e-8, atol=1e-8)


@given(programs())
def test_random_programs(drawn: tuple[Function, list[Any]]) -> None:
    require_right(drawn)


def test_the_programs_draw_functions_of_every_kind() -> None:
    assert {np.exp, np.log, np.conjugate, np.absolute, np.sqrt} <= set(ONE)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (np.conjugate, lambda g, y, x: g),
        (np.absolute, lambda g, y, x: g * x / y),
        (np.fft.fft, lambda g, y, x, n=None, axis=-1, norm=None: np.conj(np.fft.fft(np.conj(g), None, axis, norm))),
    ],
)
def test_a_missing_conjugation_is_found(function: Any, wrong: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry[function], "vjps", (wrong,))
    with pytest.raises(AssertionError):
        settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])(
            given(programs())(require_right)
        )()
