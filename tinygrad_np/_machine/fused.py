"""Update an array in place with another array, or with a matrix product, in one pass over memory.

    scale_and_add(weights, 0.99, gradient, -0.1)          # weights <- 0.99 weights - 0.1 gradient
    scale_and_add(weights, 0.99, Product(a, b), -0.1)     # weights <- 0.99 weights - 0.1 (a @ b)
    multiply(a, b, out)                                   # out <- a @ b, on one thread of OpenBLAS

Optimisers update weights with the first, and convolutions multiply with the second, on threads of their own. With
TINYGRAD_NP_TUNING=off in the environment both use NumPy alone.
"""

import ctypes
from typing import Any

import numpy as np

from .arrays import Array
from .openblas import OFF, find, has_threads_of_our_own, products_are_shared
from .threads import blocks, run


class Product:
    """The product of two matrices, not computed yet, so that `fused.scale_and_add` need not write it to memory.

    >>> Product(np.ones((2, 3)), np.ones((3, 2))).computed()
    array([[3., 3.],
           [3., 3.]])
    """

    __slots__ = ("a", "b", "dtype", "shape")

    def __init__(self, a: Array, b: Array) -> None:
        self.a, self.b, self.dtype, self.shape = a, b, a.dtype, (a.shape[0], b.shape[1])

    def computed(self) -> Array:
        """The product as an array."""
        return np.asarray(matmul(self.a, self.b))

    def __add__(self, other: "Array | Product") -> Array:
        return np.add(self.computed(), other)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.computed(), dtype)


def product(a: Any, b: Any) -> Any:
    """`a @ b`; for large matrices of one floating type a `Product`, which is computed only if needed."""
    large = _are_matrices(a, b) and a.dtype in _GEMM and len(a) * b.shape[1] >= FEW
    return Product(a, b) if large else a @ b


def _are_matrices(a: Any, b: Any) -> bool:
    return type(a) is type(b) is np.ndarray and a.ndim == b.ndim == 2 and a.dtype == b.dtype


LARGE = 1 << 24  # multiply-adds: 0.3 ms on one thread; waking another takes up to 0.05 ms


def matmul(a: Any, b: Any) -> Any:
    """`a @ b`; after `set_num_threads(n, shared=True)` large matrices are multiplied in parts, by threads of our own.

    The parts depend on the sizes alone, and so do the bits of the result.
    """
    if products_are_shared() and _are_matrices(a, b) and a.shape[1] == b.shape[0] and _has_parts(a, b):
        out = np.empty((len(a), b.shape[1]), a.dtype)
        _multiply_in_parts(a, b, out, 1, 0)
        return out
    return a @ b


def _has_parts(a: Array, b: Array) -> bool:
    return a.dtype in _GEMM_BATCH and a.size * b.shape[1] >= LARGE


def _multiply_in_parts(a: Array, b: Array, out: Array, alpha: float, beta: float) -> None:
    """out <- alpha * a @ b + beta * out, in parts along the longer axis of about twice `LARGE`; at least two."""
    (rows, columns), every = out.shape, slice(None)
    longer = max(rows, columns)
    count = max(2, a.size * columns // LARGE // 2)
    along = blocks(longer, 1, -(-longer // count))
    parts = [(part, every) if rows >= columns else (every, part) for part in along]
    run(lambda part: _multiply_by_openblas(a[part[0]], b[:, part[1]], out[part], alpha, beta), parts)


BLOCK = 65536  # elements: 256 KB of float32, so that two blocks fit into a level-2 cache
FEW = 8192  # below this many elements NumPy's three passes are faster than a call through ctypes: 1.6 against 4 us


def scale_and_add(y: Array, beta: float, x: "Array | Product", alpha: float) -> None:
    """y <- beta * y + alpha * x, in place, for arrays of the same shape, or for a product that does not read y.

    OpenBLAS does it in one pass over memory: 0.22 ms for 784 x 1024 float32 and 0.010 ms for 784 x 64, where NumPy,
    block by block, takes 0.39 and 0.018 ms. A product is added while it is computed: 0.56 ms for 784 x 64 x 1024 on two
    threads, where computing it takes 0.59 ms and adding it 0.27 ms. NumPy is used if beta or alpha is 0, because
    OpenBLAS would then ignore y or x even if they are NaN.

    >>> y = np.array([1.0, 2.0])
    >>> scale_and_add(y, 0.5, np.array([10.0, 10.0]), 0.1)
    >>> y
    array([1.5, 2. ])
    """
    if isinstance(x, Product):
        if _add_by_openblas(y, beta, x, alpha):
            return
        x = x.computed()
    if y.size < FEW or not (
        x.dtype == y.dtype and x.shape == y.shape and y.flags.c_contiguous and x.flags.c_contiguous
    ):
        _scale_and_add(y, beta, x, alpha)
        return
    function = _AXPBY.get(y.dtype)
    if function is not None and alpha and beta and y.flags.writeable and y.flags.aligned and x.flags.aligned:
        function(y.size, alpha, x.ctypes.data, 1, beta, y.ctypes.data, 1)
        return
    y, x = y.reshape(-1), x.reshape(-1)
    for start in range(0, y.size, BLOCK):
        _scale_and_add(y[start : start + BLOCK], beta, x[start : start + BLOCK], alpha)


def _scale_and_add(y: Array, beta: float, x: Array, alpha: float) -> None:
    scaled = x * alpha
    if beta != 1:
        y *= beta
    y += scaled


def _add_by_openblas(y: Array, beta: float, x: Product, alpha: float) -> bool:
    """Add the product in OpenBLAS if possible, and return whether it was."""
    function = _GEMM.get(y.dtype)
    layouts = _layout(x.a), _layout(x.b)
    possible = y.shape == x.shape and y.dtype == x.dtype and y.flags.c_contiguous and y.flags.writeable
    if function is None or None in layouts or not (possible and y.flags.aligned and alpha and beta):
        return False
    if products_are_shared() and _has_parts(x.a, x.b):
        _multiply_in_parts(x.a, x.b, y, alpha, beta)
    else:
        function(ROW_MAJOR, *_arguments(x.a, x.b, y, alpha, beta))
    return True


# OpenBLAS's own limits for float32 and float64, in multiply-adds. Up to ONE_THREAD a product of matrices uses one
# thread, and up to ONE_THREAD_VECTOR one with a vector. In OpenBLAS 0.3.28 to 0.3.33, gemm_batch calls an invalid
# address for products up to SMALL_MATRIX (OpenMathLib/OpenBLAS#5980).
ONE_THREAD, ONE_THREAD_VECTOR, SMALL_MATRIX = 4 * 65536, 4 * 2304, 100**3


def multiply(a: Array, b: Array, out: Array, *, add: bool = False) -> None:
    """out <- a @ b, or out + a @ b if `add`, on one thread of OpenBLAS, however many it has.

    For matrices of one dtype, or stacks of as many; the rows of out are contiguous.

    OpenBLAS's number of threads is one for the whole process, also where openblas_set_num_threads_local sets it. To
    switch it here would change the last bits of the products that other threads compute meanwhile. A call of gemm_batch
    with one product runs in the calling thread, with the bits and in the time of a product on one thread.

    Without gemm_batch, in another BLAS or with TINYGRAD_NP_TUNING=off, it is NumPy's product on any number of threads.

    >>> out = np.ones((2, 2))
    >>> multiply(np.ones((2, 3)), np.ones((3, 2)), out, add=True)
    >>> out
    array([[4., 4.],
           [4., 4.]])
    """
    *_, rows, columns = out.shape
    inner = a.shape[-1]
    size = rows * inner * columns
    function = _GEMM_BATCH.get(out.dtype)
    if function is None or size <= (ONE_THREAD if rows > 1 < columns else ONE_THREAD_VECTOR):
        if add:
            out += a @ b
        else:
            np.matmul(a, b, out=out)
    elif out.ndim > 2:
        for matrices in zip(a, b, out, strict=True):
            multiply(*matrices, add=add)
    elif size > SMALL_MATRIX:
        _multiply_by_openblas(a, b, out, 1, int(add))
    elif inner > max(rows, columns):
        half = inner // 2
        multiply(a[:, :half], b[:half], out, add=add)
        multiply(a[:, half:], b[half:], out, add=True)
    elif rows >= columns:
        half = rows // 2
        multiply(a[:half], b, out[:half], add=add)
        multiply(a[half:], b, out[half:], add=add)
    else:
        half = columns // 2
        multiply(a, b[:, :half], out[:, :half], add=add)
        multiply(a, b[:, half:], out[:, half:], add=add)


def _multiply_by_openblas(a: Array, b: Array, out: Array, alpha: float, beta: float) -> None:
    """out <- alpha * a @ b + beta * out, on one thread of OpenBLAS; for products larger than SMALL_MATRIX."""
    if _layout(a) is None or _layout(b) is None:
        a, b = a.copy(), b.copy()
    function = _GEMM_BATCH[out.dtype]
    values = function.batch(*_arguments(a, b, out, alpha, beta), 1)
    places = [ctypes.byref(values, offset) for offset in function.offsets]
    function(ROW_MAJOR, *places[:-1], 1, places[-1])


def _arguments(a: Array, b: Array, out: Array, alpha: float, beta: float) -> tuple[float, ...]:
    """The arguments of gemm from the second on, for matrices that BLAS can read."""
    layout_a, layout_b = _layout(a), _layout(b)
    assert layout_a is not None
    assert layout_b is not None
    leading = out.strides[0] // out.itemsize if len(out) > 1 else out.shape[1]
    return (
        layout_a[0], layout_b[0], *out.shape, a.shape[1], alpha, a.ctypes.data, layout_a[1], b.ctypes.data, layout_b[1],
        beta, out.ctypes.data, leading,
    )  # fmt: skip


ROW_MAJOR, NOT_TRANSPOSED, TRANSPOSED = 101, 111, 112  # from cblas.h


def _layout(matrix: Array) -> tuple[int, int] | None:
    """The BLAS transpose flag and leading dimension of a matrix; None if BLAS cannot read it."""
    if not matrix.flags.aligned:
        return None
    if matrix.flags.c_contiguous:
        return NOT_TRANSPOSED, matrix.shape[1]
    if matrix.flags.f_contiguous:
        return TRANSPOSED, matrix.shape[0]
    (by_row, by_column), size = matrix.strides, matrix.itemsize
    if by_column == size and by_row >= size * matrix.shape[1] and by_row % size == 0:
        return NOT_TRANSPOSED, by_row // size
    if by_row == size and by_column >= size * matrix.shape[0] and by_column % size == 0:
        return TRANSPOSED, by_column // size
    return None


def _find_typed(name: str, parameters: str) -> "dict[np.dtype[Any], Any]":
    """A BLAS function by dtype; `parameters` are e(numerations), i(ntegers), r(eal numbers) and p(ointers)."""
    found: dict[np.dtype[Any], Any] = {}
    for prefix, dtype, real in (("s", np.float32, ctypes.c_float), ("d", np.float64, ctypes.c_double)):
        function = None if OFF else find(f"cblas_{prefix}{name}")
        if function is not None:
            kinds = {"e": ctypes.c_int, "i": function.integer, "r": real, "p": ctypes.c_void_p}
            function.argtypes, function.restype = [kinds[p] for p in parameters], None
            found[np.dtype(dtype)] = function
    return found


_AXPBY = _find_typed("axpby", "irpirpi")
_GEMM = _find_typed("gemm", "eeeiiirpipirpi")
_GEMM_BATCH = _find_typed("gemm_batch", "e" + 13 * "p" + "ip") if has_threads_of_our_own() else {}
for _dtype, _function in _GEMM_BATCH.items():  # takes pointers to what gemm takes, and the number of such products
    _kinds = [*_GEMM[_dtype].argtypes[1:], _function.integer]
    _fields = [(f"argument_{i}", kind) for i, kind in enumerate(_kinds)]
    _function.batch = type("Batch", (ctypes.Structure,), {"_fields_": _fields})
    _function.offsets = [getattr(_function.batch, name).offset for name, _ in _fields]
