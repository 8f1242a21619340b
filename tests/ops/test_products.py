"""Einsum by products of matrices: the values and dtypes of NumPy's, gradients, and what is refused."""

from typing import Any

from tinygrad_np import Tensor, grad

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

LETTERS = "abcd"


@st.composite
def contractions(draw: st.DrawFn) -> tuple[str, list[np.ndarray]]:
    """Subscripts with repeated letters and axes that are broadcast, and arrays for them."""
    lengths = {letter: draw(st.integers(0, 3)) for letter in LETTERS}
    terms = draw(st.lists(st.text(LETTERS, max_size=3), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    dtypes = st.sampled_from([np.float32, np.float64, np.complex64, np.complex128])
    arrays = []
    for term in terms:
        ones = {letter: draw(st.booleans()) and draw(st.booleans()) for letter in set(term)}
        shape = [1 if ones[letter] else lengths[letter] for letter in term]
        x, dtype = rng.uniform(-2, 2, shape), draw(dtypes)
        x = np.asarray(x + 1j * rng.uniform(-2, 2, shape) if dtype in (np.complex64, np.complex128) else x, dtype)
        arrays.append(np.asfortranarray(x) if draw(st.booleans()) else x)
    used = sorted(set("".join(terms)))
    output = "".join(draw(st.permutations(used))[: draw(st.integers(0, len(used)))])
    return f"{','.join(terms)}->{output}", arrays


def _has_uneven_diagonal(subscripts: str, arrays: list[np.ndarray]) -> bool:
    """Whether a letter is twice in a term, for axes of lengths 1 and n, which NumPy broadcasts and we refuse."""
    for term, x in zip(subscripts.partition("->")[0].split(","), arrays, strict=True):
        if any(x.shape[term.index(letter)] != n for letter, n in zip(term, x.shape, strict=True)):
            return True
    return False


@given(drawn=contractions())
@example(("ab,ab->", [np.ones((3, 2)), np.ones((1, 2))]))  # an axis that is broadcast and summed over
@example(("ab,ab->a", [np.ones((3, 1)), np.ones((3, 2))]))
@example(("ab,ab->", [np.ones((0, 0)), np.ones((1, 0))]))
def test_einsum_is_numpys_and_its_gradients_add_up(drawn: tuple[str, list[np.ndarray]]) -> None:
    subscripts, arrays = drawn
    try:
        expected = np.einsum(subscripts, *arrays)
    except ValueError:  # NumPy refuses the diagonal of axes of lengths 1 and n, or lengths 0 and 1
        return
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    if _has_uneven_diagonal(subscripts, arrays):
        with pytest.raises(ValueError, match="labels axes of different lengths"):
            np.einsum(subscripts, *tensors)
        return
    y = np.einsum(subscripts, *tensors)
    single = np.dtype(expected.dtype).itemsize // (2 if expected.dtype.kind == "c" else 1) == 4
    tolerance = 1e-4 if single else 1e-10
    if any(x.dtype in (np.float32, np.complex64) for x in arrays):
        tolerance = 1e-4  # of a part that is computed in float32 there or here
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.data, expected, tolerance, tolerance)
    g = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
    total = np.sum(g * expected)
    for x, gradient in zip(tensors, grad(y, tensors, g), strict=True):  # it is linear in each array
        assert (gradient.shape, gradient.dtype) == (x.shape, x.dtype)
        found = np.sum(gradient.data * x.data)
        if gradient.dtype.kind == y.dtype.kind:
            np.testing.assert_allclose(found, total, 1e-3 if tolerance == 1e-4 else 1e-9, 100 * tolerance)


SHAPES = {"ij,jk->ikk": ((2, 3), (3, 4)), "ij,jk->iz": ((2, 3), (3, 4)), "ij,jk->ik": ((2, 3), (4, 3))}


@pytest.mark.parametrize(
    ("subscripts", "text"),
    [("ij,jk->ikk", "twice in the output"), ("ij,jk->iz", "in no input"), ("ij,jk->ik", "different lengths")],
)
def test_subscripts_that_do_not_fit_are_refused(subscripts: str, text: str) -> None:
    arrays = [Tensor(np.ones(shape)) for shape in SHAPES[subscripts]]
    with pytest.raises(ValueError, match=text):
        np.einsum(subscripts, *arrays)
    with pytest.raises(ValueError, match="labels axes"):
        np.einsum("ij,jk,kl", Tensor(np.ones((2, 3))), np.ones((3, 2)), np.ones((3, 2)))


@pytest.mark.parametrize("optimize", ["unknown", ["einsum_path", (0, 5)], ["einsum_path", (0, 1)], 3.5])
def test_a_path_that_does_not_exist_is_refused(optimize: Any) -> None:
    arrays = [Tensor(np.ones((2, 2)))] * 3
    with pytest.raises((KeyError, ValueError, TypeError, RuntimeError, IndexError)):
        np.einsum("ij,jk,kl", *arrays, optimize=optimize)


def test_three_arrays_are_contracted_two_after_two() -> None:
    """NumPy's loop over all letters would take 10^12 steps."""
    a, b, c = (Tensor(np.ones((1000, 1000), np.float32), requires_grad=True) for _ in range(3))
    y = np.einsum("ij,jk,kl->il", a, b, c[:, :1])
    assert (y.data == 1e6).all()
