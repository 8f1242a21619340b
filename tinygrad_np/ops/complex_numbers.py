"""Which operations take complex numbers, and those that only complex numbers need: `imag` and `angle`.

The derivative of a function f of z = x + iy, as the backward pass computes it, is df/dx - i df/dy: that of JAX and HIPS
autograd, and the conjugate of PyTorch's. A gradient g of y = f(z) stands for the change Re(sum(g * dy)), so the vjp of
a holomorphic f takes g to g * f'(z), without a conjugation, as it does for real numbers. Those operations only have to
be listed here, and the tests prove each with complex arguments; all others refuse complex numbers by name.
"""

from operator import getitem, iadd, setitem
from typing import Any

import numpy as np

from ..tensor import composite, primitive, takes_complex
from . import (
    creation,
    elementwise,
    indexing,
    linalg,
    padding,
    polynomials,
    products,
    reductions,
    shapes,
    special,
    ufunc_methods,
)
from .cases import REAL, Case

# Where the operations below are registered.
FAMILIES = (
    creation, elementwise, indexing, linalg, padding, polynomials, products, reductions, shapes, special, ufunc_methods
)  # fmt: skip

primitive(
    np.imag,
    lambda g, y, x: g * -1j if elementwise.is_complex(x) else np.zeros_like(g),
    reads=(),
    jvp="elementwise",
    cases=[Case("*")],
)


@composite(np.angle, cases=[Case("*, *", domains=(REAL,), prepare=lambda x, y: x + 1j * y), Case("*", (True,))])
def angle(z: Any, deg: bool = False) -> Any:
    """`np.angle`."""
    radians = np.arctan2(np.imag(z), np.real(z))
    return np.rad2deg(radians) if deg else radians


takes_complex(
    # elementwise
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.conjugate, np.real, np.imag, np.angle,
    np.square, np.reciprocal, np.absolute, np.power, np.float_power,
    np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt,
    np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan,
    np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.where,
    np.sign, np.sinc, special._sinc, np.nan_to_num,
    elementwise.zero_at, elementwise.keep, elementwise._one_minus_square,
    # shapes
    np.reshape, np.transpose, np.expand_dims, np.squeeze, np.ravel, np.swapaxes, np.broadcast_to, np.copy, np.moveaxis,
    np.matrix_transpose, np.linalg.matrix_transpose, np.rollaxis, np.atleast_1d, np.atleast_2d, np.atleast_3d,
    np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.append,
    np.array_split, np.split, np.vsplit, np.hsplit, np.dsplit, np.unstack, np.broadcast_arrays, np.meshgrid,
    np.repeat, np.tile, np.flip, np.flipud, np.fliplr, np.rot90, np.roll, np.pad, np.triu, np.tril,
    np.diagonal, np.linalg.diagonal, np.trace, np.linalg.trace, np.diag, np.diagflat, np.astype,
    shapes._concatenate, shapes._astype, shapes._pad_constant,
    getitem, setitem, iadd, indexing.scatter_add, indexing._overwrite, np.take, np.take_along_axis,
    np.compress, np.extract,
    # sums and products
    np.sum, np.add.reduce, np.mean, np.average, np.var, np.std, np.cumsum, np.cumulative_sum, np.diff, np.ediff1d,
    np.trapezoid, np.gradient, np.add.accumulate, np.add.outer, np.multiply.outer, np.linspace, np.nansum, np.nanmean,
    np.nanvar, np.nanstd, np.cross, np.linalg.cross, np.vander, np.convolve, np.correlate, products._convolve,
    np.select, np.delete, np.prod, np.nanprod, np.multiply.reduce, np.cumprod, np.nancumprod, np.cumulative_prod,
    np.multiply.accumulate, np.nancumsum,
    np.matmul, np.matvec, np.vecmat, np.vecdot, np.vdot, np.tensordot, np.dot, np.inner, np.outer,
    np.kron, np.einsum, np.polyval,
    np.linalg.matmul, np.linalg.outer, np.linalg.tensordot, np.linalg.multi_dot, np.linalg.vecdot,
    np.linalg.matrix_power,
    products.linear, products._einsum,
    # linear algebra
    np.linalg.inv, np.linalg.solve, np.linalg.det, np.linalg.slogdet, np.linalg.pinv, np.linalg.lstsq,
    np.linalg.cholesky, np.linalg.eigh, np.linalg.eigvalsh, np.linalg.svd, np.linalg.svdvals, np.linalg.qr,
    np.linalg.norm, np.linalg.vector_norm, np.linalg.matrix_norm, np.linalg.cond, np.linalg.matrix_rank,
    linalg._adjugate, linalg._adjugate_slope, linalg._slogdet, linalg._part, linalg._eigh, linalg._svd, linalg._qr,
    linalg._euclidean, linalg._p_norm, np.linalg.eig, np.linalg.eigvals, linalg._eig,
    # nothing to differentiate
    np.equal, np.not_equal, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal, np.array_equiv,
    np.iscomplex, np.isreal, np.iscomplexobj, np.isrealobj, np.zeros_like, np.ones_like, np.empty_like,
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iterable, np.isscalar, np.logical_not,
    np.round, np.rint, np.logical_and, np.logical_or, np.any, np.all, np.count_nonzero, np.nonzero,
)  # fmt: skip
