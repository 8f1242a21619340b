"""Products of vectors, matrices and tensors: matmul, dot, einsum, 1-D convolution and related functions."""

import math
import operator
import string
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .._machine.fused import matmul, product
from .._registry import composite, differentiable, in_float32, primitive
from ..tensor import Array, as_array
from .cases import Case, each
from .elementwise import array_of, conjugate, keep
from .examples import EINSUM, LINEAR, MATMUL


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def _row(x: Any) -> Any:
    return np.expand_dims(x, -2)


def _transposed(x: Any) -> Any:
    return x.T if x.ndim == 2 else np.swapaxes(x, axis1=-1, axis2=-2)


# --- matmul and its special cases ------------------------------------------------------------------------------------


def _left(g: Any, a: Any, b: Any) -> Any:
    """The gradient of `a @ b` with respect to a; a vector is a row on the left and a column on the right."""
    if np.ndim(b) == 1:
        return _column(g) * b
    if np.ndim(a) == 1:
        return b @ g if np.ndim(b) == 2 else np.squeeze(b @ _column(g), -1)
    return matmul(g, _transposed(b))


def _right(g: Any, a: Any, b: Any) -> Any:
    """The gradient of `a @ b` with respect to b."""
    if np.ndim(a) == 1:
        return _column(a) * _row(g) if np.ndim(b) > 1 else g * a
    if np.ndim(b) == 1:
        return g @ a if np.ndim(a) == 2 else np.squeeze(_transposed(a) @ _column(g), -1)
    return product(_transposed(a), g)


def rows(x: Any) -> Any:
    """x as a matrix, with all axes but the last merged into one."""
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))  # -1 fails where size is 0


def _times(x: Any, matrix: Any) -> Any:
    """`x @ matrix` as one matrix product for any rank of x: 0.9 ms instead of 1.5 for 32 x 64 x 128 times 128 x 512."""
    return matmul(x, matrix) if x.ndim <= 2 else np.reshape(matmul(rows(x), matrix), (*x.shape[:-1], matrix.shape[-1]))


def _lefts(g: Any, y: Any, a: Any, b: Any) -> Any:
    """The gradients with respect to a for several stacked ones, as one product where b is a matrix."""
    return _times(g, _transposed(b)) if np.ndim(b) == 2 else _left(g, a, b)


def _rights(g: Any, y: Any, a: Any, b: Any) -> Any:
    return _column(g) * a if np.ndim(a) == np.ndim(b) == 1 else _right(g, a, b)


MATMULS = ("n k, k m", "k, k", "n k, k", "k, k m", "b n k, k m", "n k, b k m", "k, b k m", "b n k, k", "b n k, 1 k m")
primitive(
    np.matmul,
    lambda g, y, a, b: _left(g, a, b),
    lambda g, y, a, b: _right(g, a, b),
    reads=("b", "a"),
    wide=True,
    jvp="linear",
    rows=(_lefts, _rights),
    examples=MATMUL,
    cases=[Case(shapes) for shapes in (*MATMULS, "b 1 n k, c k m")],
    complex=True,
)
primitive(
    np.vecdot,
    lambda g, y, a, b: conjugate(_column(g) * b),
    lambda g, y, a, b: _column(g) * conjugate(a),
    wide=True,
    jvp="linear",
    cases=[Case("k, k"), Case("n k, k"), Case("n k, m 1 k")],
    complex=True,
)
primitive(
    np.matvec,
    lambda g, y, a, b: _column(g) * _row(b),
    lambda g, y, a, b: np.vecmat(conjugate(g), a),
    wide=True,
    jvp="linear",
    cases=[Case("n k, k"), Case("b n k, b k"), Case("n k, b k")],
    complex=True,
)
primitive(
    np.vecmat,
    lambda g, y, a, b: conjugate(np.matvec(b, g)),
    lambda g, y, a, b: _column(conjugate(a)) * _row(g),
    wide=True,
    jvp="linear",
    cases=[Case("k, k m"), Case("b k, b k m"), Case("b k, k m")],
    complex=True,
)


@differentiable(
    lambda g, y, x, weight, bias: _times(g, weight.T),
    lambda g, y, x, weight, bias: product(rows(x).T, rows(g)),
    lambda g, y, x, weight, bias: g,  # the backward pass sums over the batch
    reads=("weight", "x"),
    wide=True,
    rows=(
        lambda g, y, x, weight, bias: _lefts(g, y, x, weight),
        lambda g, y, x, weight, bias: _rights(g, y, x, weight),
        lambda g, y, x, weight, bias: g,
    ),
    examples=LINEAR,
    cases=[*map(Case, ("N K, K M, M", "K, K M, M", "B N K, K M, M")), Case("B N K, K M", (None,))],
    complex=True,
)
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """`x @ weight + bias` as one operation; the bias is added in place.

    Args:
        x: shape (..., in_features).
        weight: shape (in_features, out_features).
        bias: shape (out_features,), or None.

    Raises:
        ValueError: shapes do not match.

    >>> from tinygrad_np import Tensor
    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[1.0], [1.0]]), Tensor([0.5]))
    Tensor([[3.5]], dtype=float32)
    """
    fits = weight.ndim == 2 and x.ndim > 0 and x.shape[-1] == weight.shape[0]
    if not fits or (bias is not None and bias.shape != weight.shape[1:]):
        hint = ""
        if weight.ndim == 2 and x.ndim > 1 and weight.shape[0] in (x.size, math.prod(x.shape[1:])):
            rows = "len(x)" if weight.shape[0] < x.size else "1"
            hint = f"; of images write x.reshape({rows}, -1), or nn.Flatten() before the layer"
        raise ValueError(f"expected x of shape (..., in), weight of shape (in, out) and bias of shape (out,){hint}")
    y: Array = _times(x, weight)
    if bias is None:
        return y
    return np.add(y, bias, out=y) if y.dtype == bias.dtype else y + bias


# --- sums of products over chosen axes -------------------------------------------------------------------------------


@composite(
    np.tensordot,
    cases=[
        Case("n k l, k l m"),
        Case("n k, k m", (1,)),
        Case("n k, m k", (((-1,), (1,)),)),
        Case("n k l, l n", (((2, 0), (0, 1)),)),
        Case("n, m", (0,)),
        Case("n k, k", ((1, 0),)),
    ],
    complex=True,
)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """`np.tensordot`."""
    a, b = as_array(a), as_array(b)
    if np.ndim(axes) == 0:
        if axes > min(a.ndim, b.ndim):
            raise IndexError(
                f"tensordot: axes={axes} needs {axes} dimensions of each, not shapes {a.shape} and {b.shape}"
            )
        left: list[int] = [*range(a.ndim - axes, a.ndim)]
        right: list[int] = [*range(axes)]
    else:
        left, right = (np.atleast_1d(np.asarray(axis, int)).tolist() for axis in axes)
    left, right = list(normalize_axis_tuple(left, a.ndim)), list(normalize_axis_tuple(right, b.ndim))
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise ValueError(f"tensordot: axes {axes} of shapes {a.shape} and {b.shape} have different lengths")
    free_left = [i for i in range(a.ndim) if i not in left]
    free_right = [i for i in range(b.ndim) if i not in right]
    rows, columns = [a.shape[i] for i in free_left], [b.shape[i] for i in free_right]
    summed = int(np.prod([a.shape[i] for i in left]))
    matrix = np.reshape(np.transpose(a, free_left + left), (int(np.prod(rows)), summed)) @ np.reshape(
        np.transpose(b, right + free_right), (summed, int(np.prod(columns)))
    )
    return np.reshape(matrix, rows + columns)


@composite(
    np.dot,
    cases=[Case(shapes) for shapes in ("k, k", "n k, k m", "n k, k", "n m k, l k j", ", n", "n, ")],
    complex=True,
)
def dot(a: Any, b: Any) -> Any:
    """`np.dot`, over the last axis of a and the second to last of b."""
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    if b.ndim <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, ((-1,), (-2,)))


@composite(np.vdot, cases=[Case("k, k"), Case("n k, n k"), Case(", ")], complex=True)
def vdot(a: Any, b: Any, /) -> Any:
    """`np.vdot`."""
    return np.matmul(conjugate(np.ravel(a)), np.ravel(b))


@composite(np.inner, cases=[Case(shapes) for shapes in ("k, k", "n k, m k", "n m k, k", ", n", "n, ")], complex=True)
def inner(a: Any, b: Any, /) -> Any:
    """`np.inner`, over the last axes."""
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return np.tensordot(a, b, ((-1,), (-1,)))


@composite(np.outer, cases=[Case("n, m"), Case("n k, m"), Case(", m")], complex=True)
@in_float32
def outer(a: Any, b: Any) -> Any:
    """`np.outer`."""
    return np.multiply(_column(np.ravel(a)), np.ravel(b))


@composite(
    np.kron, cases=[Case(shapes) for shapes in ("n, m", "n k, m l", "n, m l", "n k l, m l", ", n m")], complex=True
)
@in_float32
def kron(a: Any, b: Any) -> Any:
    """`np.kron`."""
    rank = max(np.ndim(a), np.ndim(b))
    left, right = ([1] * (rank - np.ndim(x)) + list(np.shape(x)) for x in (a, b))
    wide = np.reshape(a, [size for n in left for size in (n, 1)]) * np.reshape(
        b, [size for n in right for size in (1, n)]
    )
    return np.reshape(wide, [n * m for n, m in zip(left, right, strict=True)])


@in_float32
def _cross(a: Any, b: Any, axisa: int, axisb: int, axisc: int) -> Any:
    a, b = np.moveaxis(a, axisa, 0), np.moveaxis(b, axisb, 0)
    if a.shape[0] != 3 or b.shape[0] != 3:
        raise ValueError(f"cross: expected vectors of 3 elements, not {a.shape[0]} and {b.shape[0]}")
    (a0, a1, a2), (b0, b1, b2) = a, b
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=axisc)


@composite(
    np.cross,
    cases=[
        Case("3, 3"),
        Case("n 3, 3"),
        Case("3 n, n 3", kwargs={"axisa": 0, "axisb": 1, "axisc": 0}),
        Case("3 n, 3 n", kwargs={"axis": 0}),
    ],
    complex=True,
)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """`np.cross`, of vectors of three elements."""
    return _cross(a, b, axisa, axisb, axisc) if axis is None else _cross(a, b, axis, axis, axis)


@composite(np.linalg.cross, cases=[Case("3, 3"), Case("3 n, 3 n", kwargs={"axis": 0})], complex=True)
def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """`np.linalg.cross`."""
    return _cross(x1, x2, axis, axis, axis)


composite(np.linalg.matmul, cases=[Case("n k, k m")], complex=True)(lambda x1, x2, /: np.matmul(x1, x2))


@composite(np.linalg.outer, cases=[Case("n, m")], complex=True)
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    """`np.linalg.outer`, of vectors."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"linalg.outer: expected two vectors, not shapes {np.shape(x1)} and {np.shape(x2)}")
    return np.outer(x1, x2)


composite(np.linalg.tensordot, cases=[Case("n k, k m", kwargs={"axes": 1})], complex=True)(
    lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes)
)
composite(np.linalg.vecdot, cases=[Case("n k, k"), Case("k n, k n", kwargs={"axis": 0})], complex=True)(
    lambda x1, x2, /, *, axis=-1: np.vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1))
)


@composite(
    np.linalg.multi_dot,
    cases=[
        *map(
            Case,
            (
                "[n k, k m, m l]",
                "[k, k m, m]",
                "[n k, k m]",
                "[b n k, c k m]",
                "[3 1, 1 3, 3 1, 1 3]",
                "[1 3, 3 1, 1 3, 3]",
            ),
        )
    ],
    complex=True,
)
def multi_dot(arrays: Any) -> Any:
    """`np.linalg.multi_dot`, in the order that needs the fewest multiplications."""
    ranks = [np.ndim(a) for a in arrays]
    if len(ranks) == 2:
        return np.dot(*arrays)
    if len(ranks) < 2 or not {ranks[0], ranks[-1]} <= {1, 2} or any(rank != 2 for rank in ranks[1:-1]):
        raise np.linalg.LinAlgError(
            f"multi_dot: expected matrices, or vectors at the ends, not arrays of {ranks} dimensions"
        )
    shapes = [np.shape(a) for a in arrays]
    sizes = [shapes[0][0] if ranks[0] == 2 else 1, *(shape[0] for shape in shapes[1:])]
    sizes.append(shapes[-1][1] if ranks[-1] == 2 else 1)
    return in_float32(lambda *arrays: _multiplied(arrays, tuple(sizes)))(*arrays)


def _multiplied(arrays: Any, sizes: tuple[int, ...]) -> Any:
    """The product of matrices; number i has sizes[i] rows and sizes[i + 1] columns."""
    if len(arrays) == 1:
        return arrays[0]
    k = _cheapest(sizes)[1]
    return np.matmul(_multiplied(arrays[:k], sizes[: k + 1]), _multiplied(arrays[k:], sizes[k:]))


@lru_cache(maxsize=10_000)
def _cheapest(sizes: tuple[int, ...]) -> tuple[int, int]:
    """The number of multiplications, and how many matrices are in the left factor."""
    if len(sizes) == 2:
        return 0, 0
    return min(
        (_cheapest(sizes[: k + 1])[0] + _cheapest(sizes[k:])[0] + sizes[0] * sizes[k] * sizes[-1], k)
        for k in range(1, len(sizes) - 1)
    )


@composite(
    np.linalg.matrix_power,
    cases=[
        *each("2 2", n=(0, 1, 2, 3, 5)),
        *each("2 2", n=(-1, -2), prepare=lambda a: a + 7 * np.eye(2)),
        Case("b 2 2", (3,)),
    ],
    complex=True,
)
def matrix_power(a: Any, n: int) -> Any:
    """`np.linalg.matrix_power`, by repeated squaring."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power: expected square matrices, not shape {a.shape}")
    n = operator.index(n)
    if n == 0:
        return keep(a, np.False_) + np.eye(a.shape[-1], dtype=a.dtype)
    return _power(np.linalg.inv(a) if n < 0 else a, abs(n))


@in_float32
def _power(power: Any, n: int) -> Any:
    if n == 3:  # in NumPy's order
        return power @ power @ power
    result: Any = None
    bits = bin(n)[2:]
    for i, bit in enumerate(reversed(bits)):
        if bit == "1":
            result = power if result is None else result @ power
        if i < len(bits) - 1:  # one square more could overflow
            power = power @ power
    return np.positive(result)


# --- einsum ----------------------------------------------------------------------------------------------------------


def _einsum_gradient(i: int, g: Any, arrays: Any, terms: tuple[str, ...], output: str, row: str = "") -> Any:
    """The gradient of an einsum with respect to array i: an einsum of g with the other array, if there are two.

    Along an axis whose letter occurs in array i alone the gradient is constant, so it is broadcast at the end. Several
    stacked gradients have `row` as the letter of their first axis.
    """
    others = [j for j in range(len(arrays)) if j != i]
    known = set(output).union(*(terms[j] for j in others))
    own = "".join(letter for letter in terms[i] if letter in known)
    inputs = (row + output, *(terms[j] for j in others))
    back = _einsum(g, *(arrays[j] for j in others), terms=inputs, output=row + own)
    missing = tuple(position for position, letter in enumerate(row + terms[i]) if letter not in row + own)
    back = np.expand_dims(back, missing) if missing else back
    shape = [n if m == 1 else m for n, m in zip(np.shape(arrays[i]), back.shape[len(row) :], strict=True)]
    return np.broadcast_to(back, back.shape[: len(row)] + tuple(shape))  # what is broadcast here, the engine sums


def _einsum_gradients(g: Any, arrays: Any, needed: Any, terms: tuple[str, ...], output: str, row: str = "") -> Any:
    return [_einsum_gradient(i, g, arrays, terms, output, row) if need else None for i, need in enumerate(needed)]


def _einsum_rows(joint: Any) -> Any:
    def of_rows(g: Any, y: Any, *arrays: Any, needed: Any, terms: tuple[str, ...], output: str) -> Any:
        row = next(letter for letter in string.ascii_letters if letter not in "".join(terms))
        return _einsum_gradients(g, arrays, needed, terms, output, row)

    return of_rows


@differentiable(
    joint=lambda g, y, *arrays, needed, terms, output: _einsum_gradients(g, arrays, needed, terms, output),
    wide=True,
    jvp="linear",
    rows=_einsum_rows,
    examples=EINSUM,
    cases=[Case("n k, k m", kwargs={"terms": ("ab", "bc"), "output": "ac"})],
    name="einsum",
    complex=True,
)
def _einsum(*arrays: Array, terms: tuple[str, ...], output: str) -> Array:
    """The einsum of arrays in whose terms no letter is twice."""
    if len(arrays) == 2:
        return _of_two(arrays[0], arrays[1], terms[0], terms[1], output)
    return np.asarray(np.einsum(f"{','.join(terms)}->{output}", *arrays))


def _of_two(a: Array, b: Array, of_a: str, of_b: str, output: str) -> Array:
    """The einsum of two arrays by products of matrices."""
    y = _by_matrices(a, b, of_a, of_b, output)
    is_summed_first = not (set(of_a) <= set(of_b + output) and set(of_b) <= set(of_a + output))
    if is_summed_first and not np.all(np.isfinite(y)):  # (inf - 1) * inf is inf, but inf * inf - 1 * inf is NaN
        return np.asarray(np.einsum(f"{of_a},{of_b}->{output}", a, b))
    return y


def _by_matrices(a: Array, b: Array, of_a: str, of_b: str, output: str) -> Array:
    """The einsum of two arrays as a product, or stacks of products, of matrices."""
    a, b = np.asarray(a), np.asarray(b)  # a number counts as float64, as in np.einsum
    dtype = np.result_type(a, b)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    lengths: dict[str, int] = {}
    for letter, n in [*zip(of_a, a.shape, strict=True), *zip(of_b, b.shape, strict=True)]:
        lengths[letter] = n if lengths.get(letter, 1) == 1 else lengths[letter]
    (a, of_a), (b, of_b) = _unbroadcast(a, of_a, lengths), _unbroadcast(b, of_b, lengths)
    (a, of_a), (b, of_b) = _own(a, of_a, of_b + output), _own(b, of_b, of_a + output)
    inner = [letter for letter in of_a if letter in of_b and letter not in output]
    if not inner:
        return np.multiply(_in_order(a, of_a, output), _in_order(b, of_b, output))
    stacks = [letter for letter in output if letter in of_a and letter in of_b]
    left = [letter for letter in output if letter in of_a and letter not in of_b]
    right = [letter for letter in output if letter in of_b and letter not in of_a]
    if right and left and output.index(right[0]) < output.index(left[0]):  # the rows of the result are those of b
        a, b, of_a, of_b, left, right = b, a, of_b, of_a, right, left
    n, k, m = (math.prod(lengths[letter] for letter in letters) for letters in (left, inner, right))
    if stacks and n * k * m < SMALL:
        return np.asarray(np.einsum(f"{of_a},{of_b}->{output}", a, b))
    stack = [lengths[letter] for letter in stacks]
    a = _as_matrices(np.transpose(a, [of_a.index(letter) for letter in stacks + left + inner]), (*stack, n, k))
    b = _as_matrices(np.transpose(b, [of_b.index(letter) for letter in stacks + inner + right]), (*stack, k, m))
    y = np.asarray(np.matmul(a, b) if stacks else matmul(a, b))
    found = stacks + left + right
    shape = [lengths[letter] for letter in found]
    y = y if y.shape == tuple(shape) else y.reshape(shape)
    return y if "".join(found) == output else np.transpose(y, [found.index(letter) for letter in output])


SMALL = 64  # multiplications in each product of a stack


def _unbroadcast(x: Array, term: str, lengths: dict[str, int]) -> tuple[Array, str]:
    """x without the axes of length 1 that are broadcast."""
    axes = [axis for axis, letter in enumerate(term) if x.shape[axis] == 1 != lengths[letter]]
    return np.squeeze(x, tuple(axes)), "".join(letter for axis, letter in enumerate(term) if axis not in axes)


def _own(x: Array, term: str, others: str) -> tuple[Array, str]:
    """x, summed over the axes that no other term has."""
    axes = [axis for axis, letter in enumerate(term) if letter not in others]
    if axes:
        x, term = np.add.reduce(x, tuple(axes)), "".join(letter for letter in term if letter in others)
    return np.asarray(x), term


def _in_order(x: Array, term: str, output: str) -> Array:
    """x with an axis for each letter of the output, of length 1 where x has none."""
    x = np.transpose(x, [term.index(letter) for letter in output if letter in term])
    return x[tuple(slice(None) if letter in term else np.newaxis for letter in output)]


def _as_matrices(x: Array, shape: tuple[int, ...]) -> Array:
    """x as a stack of matrices that BLAS can read: NumPy multiplies others by a loop of its own."""
    x = x.reshape(shape)
    (*_, by_row, by_column), size = x.strides, x.itemsize
    readable = (by_column == size and by_row >= size * shape[-1]) or (by_row == size and by_column >= size * shape[-2])
    return x if readable else np.ascontiguousarray(x)


EINSUMS = {
    "ij,jk->ik": "n k, k m",
    "ij,jk": "n k, k m",
    "ba": "n m",
    "ij->": "n m",
    "ij->j": "n m",
    "i,j->ij": "n, m",
    "i,i": "1, 3",
    "ij,j": "3 1, 3",
    "ii->i": "n n",
    "ii": "n n",
    "iij->j": "n n m",
    "iji,j": "n m n, m",
    "...ij,...jk->...ik": "b n k, b k m",
    "...ij,jk": "b c n k, k m",
    "i...->...": "n m k",
    "...,...": "b n, n",
    "...i,i...->...": "n k, k n",
    "ij,jk,kl->il": "2 3, 3 2, 2 2",
    "ij,kj,l->ik": "2 3, 2 3, 2",
    "i,ij,j->": "n, n m, m",
    "ijk,jil->kl": "2 3 k, 3 2 l",
    " i j , j k -> k i ": "n k, k m",
}


def _letters(labels: Any) -> str:
    """Subscripts that are given as numbers, or an ellipsis, in letters."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase
    labels = [label if label is ... else operator.index(label) for label in labels]
    if not all(label is ... or 0 <= label < len(alphabet) for label in labels):
        raise ValueError(f"einsum: subscripts must be ... or from 0 to {len(alphabet) - 1}, not {labels}")
    return "".join("..." if label is ... else alphabet[label] for label in labels)


def _as_string(*operands: Any) -> tuple[str, tuple[Any, ...]]:
    """The subscripts of `einsum(a, [0, 1], b, [1, 2], [0, 2])` as a string, in the order that NumPy gives them."""

    pairs, result = len(operands) // 2, operands[-1:] if len(operands) % 2 else ()
    try:
        terms = ",".join(map(_letters, operands[1 : 2 * pairs : 2]))
        arrow = "".join(f"->{_letters(labels)}" for labels in result)
    except TypeError:
        raise TypeError(
            "einsum of a Tensor needs subscripts, as in einsum('ij,jk->ik', a, b) or einsum(a, [0, 1], b, [1, 2])"
        ) from None
    return terms + arrow, operands[: 2 * pairs : 2]


@composite(
    np.einsum,
    cases=[
        Case(shapes, prepare=lambda *arrays, subscripts=subscripts: (subscripts, *arrays))
        for subscripts, shapes in EINSUMS.items()
    ]
    + [
        Case("2 3, 3 2, 2 2", kwargs={"optimize": optimize}, prepare=lambda *arrays: ("ij,jk,kl", *arrays))
        for optimize in (True, "optimal", ("greedy", 9), ["einsum_path", (1, 2), (0, 1)], ["einsum_path", (0, 1, 2)])
    ]
    + [
        Case("n k, k m", prepare=lambda a, b: (a, [30, 7], b, [7, 2], [2, 30])),
        Case("n k, k m", prepare=lambda a, b: (a, [30, 7], b, [7, 2])),
        Case("b n n", prepare=lambda a: (a, [..., 0, 0], [...])),
    ],
    complex=True,
)
def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:
    """`np.einsum`, with implicit outputs, ellipses and repeated letters.

    Subscripts are a string, or lists of numbers from 0 to 51, one after each operand and one for the result. Two
    operands are contracted by products of matrices. More are contracted two after two: in the order that needs the
    fewest multiplications, or in that of optimize=, which is NumPy's.
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _as_string(subscripts, *operands)
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms, but there are {len(operands)} operands")
    spare = [letter for letter in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if letter not in subscripts]
    ranks = [np.ndim(a) - len(term.replace("...", "")) for term, a in zip(terms, operands, strict=True)]
    if min(ranks, default=0) < 0:
        raise ValueError(f"einsum: {subscripts!r} has more subscripts than an operand has dimensions")
    longest = max([rank for rank, term in zip(ranks, terms, strict=True) if "..." in term], default=0)
    broadcast = "".join(reversed(spare[:longest]))
    terms = [
        term.replace("...", broadcast[len(broadcast) - rank :]) if "..." in term else term
        for term, rank in zip(terms, ranks, strict=True)
    ]
    if not arrow:  # NumPy's implicit output: the axes of the ellipses, then letters that occur once, alphabetically
        letters = "".join(terms)
        once = sorted(letter for letter in set(letters) - set(broadcast) if letters.count(letter) == 1)
        output = broadcast + "".join(once)
    elif broadcast and "..." not in output:
        raise ValueError(f"einsum: {subscripts!r} has an ellipsis in its inputs but not in its output")
    output = output.replace("...", broadcast)
    arrays = list(operands)
    for i, term in enumerate(terms):
        for letter in sorted(set(term)):
            while terms[i].count(letter) > 1:  # take the diagonal, which becomes the last axis
                first = terms[i].index(letter)
                second = terms[i].index(letter, first + 1)
                lengths = np.shape(arrays[i])[first], np.shape(arrays[i])[second]
                if lengths[0] != lengths[1]:
                    raise ValueError(f"einsum: {letter!r} in {subscripts!r} labels axes of different lengths {lengths}")
                arrays[i] = np.diagonal(arrays[i], 0, first, second)
                rest = [other for position, other in enumerate(terms[i]) if position not in (first, second)]
                terms[i] = "".join([*rest, letter])
    _check_letters(subscripts, terms, output, arrays)
    if len(arrays) < 3 and optimize in (False, True, None):
        return _einsum(*arrays, terms=tuple(terms), output=output)
    at_once = not optimize or (isinstance(optimize, list) and len(optimize) == 2)  # a path of one step

    @in_float32
    def several(*arrays: Any) -> Any:
        y = _along_path([*arrays], [*terms], output, optimize)
        if at_once and not np.all(np.isfinite(array_of(y))):  # infinities may cancel in another order
            return _einsum(*arrays, terms=tuple(terms), output=output)
        return y

    return several(*arrays)


def _check_letters(subscripts: str, terms: list[str], output: str, arrays: list[Any]) -> None:
    """Raise if a letter labels axes of different lengths, unless one is 1, or if the output does not fit the inputs."""
    lengths: dict[str, int] = {}
    for term, a in zip(terms, arrays, strict=True):
        if len(term) != np.ndim(a):
            raise ValueError(f"einsum: {subscripts!r} has {len(term)} subscripts for an operand of shape {np.shape(a)}")
        for letter, n in zip(term, np.shape(a), strict=True):
            known = lengths.get(letter, 1)
            if n != 1 != known != n:
                raise ValueError(f"einsum: {letter!r} in {subscripts!r} labels axes of different lengths {(known, n)}")
            lengths[letter] = n if known == 1 else known
    for letter in output:
        if letter not in lengths or output.count(letter) > 1:
            where = "in no input" if letter not in lengths else "twice in the output"
            raise ValueError(f"einsum: {letter!r} of {subscripts!r} is {where}")


def _along_path(arrays: list[Any], terms: list[str], output: str, optimize: Any) -> Any:
    """The einsum of several arrays, two after two; each step of a path takes arrays out and appends their einsum."""
    if optimize in (False, True, None):
        optimize = "optimal" if len(arrays) <= OPTIMAL else "greedy"
    shapes = tuple(map(np.shape, arrays))
    for step in _path(f"{','.join(terms)}->{output}", shapes, tuple(optimize) if type(optimize) is list else optimize):
        chosen = [(arrays.pop(i), terms.pop(i)) for i in sorted(step, reverse=True)]
        y, term = chosen.pop()
        while chosen:
            b, other = chosen.pop()
            needed = set(output).union(*terms, *(later for _, later in chosen))
            letters = [letter for letter in term if letter in other] + [*term, *other]  # those of stacks come first
            both = "".join(letter for letter in dict.fromkeys(letters) if letter in needed)
            both = both if chosen or arrays else output
            y, term = _einsum(y, b, terms=(term, other), output=both), both
        arrays.append(y)
        terms.append(term)
    return arrays[0] if terms[0] == output else _einsum(arrays[0], terms=(terms[0],), output=output)


@lru_cache(maxsize=1000)
def _path(subscripts: str, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> Any:
    """The steps of `np.einsum_path`, which takes 34 us for three arrays."""
    optimize = [*optimize] if isinstance(optimize, tuple) and optimize[:1] == ("einsum_path",) else optimize
    arrays = [np.broadcast_to(0.0, shape) for shape in shapes]
    return np.einsum_path(subscripts, *arrays, optimize=optimize)[0][1:]


OPTIMAL = 5  # arrays up to which all orders are compared


# --- 1-D convolution -------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, a, v: np.correlate(g, conjugate(v), "valid"),
    lambda g, y, a, v: np.correlate(g, conjugate(a), "valid"),
    wide=True,
    cases=[Case("N, M")],
    name="convolve",
    complex=True,
)
def _convolve(a: Array, v: Array) -> Array:
    return np.convolve(a, v)


def _refuse_empty(name: str, a: Any, v: Any) -> None:
    if empty := [argument for argument, x in (("a", a), ("v", v)) if not np.size(x)]:
        raise ValueError(f"{name}: {' and '.join(empty)} cannot be empty")


@composite(
    np.convolve,
    cases=[*each("4, 2", mode=("full", "same", "valid")), *each("2, 5", mode=("full", "same", "valid"))],
    complex=True,
)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """`np.convolve`, of two vectors."""
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve: mode must be 'full', 'same' or 'valid', not {mode!r}")
    a, v = np.atleast_1d(a), np.atleast_1d(v)
    _refuse_empty("convolve", a, v)
    short, long = sorted((np.size(a), np.size(v)))
    begin, length = {
        "full": (0, short + long - 1),
        "same": ((short - 1) // 2, long),
        "valid": (short - 1, long - short + 1),
    }[mode]
    return _convolve(a, v)[begin : begin + length]


@composite(
    np.correlate,
    cases=[*each("4, 2", mode=("full", "same", "valid")), *each("2, 5", mode=("full", "same", "valid"))],
    complex=True,
)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """`np.correlate`, of two vectors: a convolution with the second reversed, and conjugated."""
    if np.ndim(a) != 1 or np.ndim(v) != 1:
        raise ValueError(f"correlate: expected two vectors, not shapes {np.shape(a)} and {np.shape(v)}")
    _refuse_empty("correlate", a, v)
    v = conjugate(v)
    if np.size(a) >= np.size(v) or mode == "full":
        return np.convolve(a, np.flip(v), mode)
    return np.flip(np.convolve(v, np.flip(a), mode))
