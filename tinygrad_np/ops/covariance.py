"""Covariances and correlations."""

from typing import Any

import numpy as np

from .._machine.arrays import power_of_two
from .._registry import composite, floating
from ..tensor import Tensor, as_array
from .cases import Case, Domain, each
from .elementwise import array_of, conjugate, is_complex

COUNTS = np.array([2, 0, 1, 3])
POSITIVE_WEIGHTS = Domain(0.2, 2)


def _variables(x: Any, rowvar: bool, is_first: bool) -> Any:
    """The variables as rows. One variable may be given as a vector, and a second array as a row in any case."""
    if x.ndim > 2:
        raise ValueError(f"expected at most 2 dimensions, not shape {x.shape}")
    rows = np.atleast_2d(x)
    is_one = x.ndim == 1 if is_first else len(rows) == 1
    return rows if rowvar or is_one else rows.T


def _weights(name: str, weights: Any, n: int) -> Any:
    weights = floating(weights, np.float64, name)
    if weights.shape != (n,):
        raise ValueError(f"{name} of shape {weights.shape} for {n} observations")
    if np.any(weights < 0):
        raise ValueError(f"{name} must not be negative")
    return weights


@composite(
    np.cov,
    cases=[
        Case("2 3"),
        Case("0 n"),
        *each("3 4", rowvar=(False,), bias=(False, True)),
        Case("3", kwargs={"ddof": 0}),
        Case("2 3, 3", kwargs={"dtype": np.float64}),
        Case("3 2, 3 1", kwargs={"rowvar": False}),
        *each("2 4", fweights=(COUNTS,), ddof=(None, 0)),
        *each(
            "2 4, 4",
            domains=(Domain(-3, 3), POSITIVE_WEIGHTS),
            prepare=lambda m, w: (m, None, True, False, None, None, w),
        ),
        *each(
            "2 4, 4",
            domains=(Domain(-3, 3), POSITIVE_WEIGHTS),
            prepare=lambda m, w: (m, None, True, True, None, COUNTS, w),
        ),
        *each(
            "2 4, 4, 4",
            domains=(Domain(-3, 3), Domain(-3, 3), POSITIVE_WEIGHTS),
            prepare=lambda m, y, w: (m, y, True, False, 1, COUNTS, w),
        ),
    ],
    complex=True,
)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """`np.cov` of the rows (or columns) of one or two matrices, differentiable in `aweights` too."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"cov: ddof must be an integer, not {ddof!r}")
    given = [as_array(x) for x in (m, y) if x is not None]
    if dtype is None:  # np.cov computes in at least float64
        dtype = np.result_type(*given, np.float64)
        given = [np.astype(x, dtype, copy=False) for x in given]
    else:
        given = [floating(x, dtype, "cov") for x in given]
    parts = [_variables(x, rowvar, i == 0) for i, x in enumerate(given)]
    if not len(parts[0]):  # of no variables there is no mean; NumPy, too, gives real numbers
        return np.real(parts[0] @ parts[0].T)
    x = np.concatenate(parts, axis=0) if len(parts) > 1 else parts[0]
    if type(fweights) is Tensor and fweights.requires_grad:
        raise TypeError("cov is not differentiable in fweights, which count observations: pass fweights.data")
    counts, weights = (
        None if w is None else _weights(name, w, x.shape[1])
        for name, w in (("fweights", fweights), ("aweights", aweights))
    )
    if counts is not None and np.any(counts != np.rint(counts)):
        raise TypeError("cov: fweights must be whole numbers")
    ddof = (0 if bias else 1) if ddof is None else ddof
    if counts is None and weights is None:
        centred = x - np.mean(x, axis=1, keepdims=True)
        return np.squeeze(centred @ conjugate(centred).T / max(x.shape[1] - ddof, 0))
    w: Any = weights if counts is None else counts if weights is None else counts * weights
    centred = np.astype(x - np.average(x, axis=1, weights=w, keepdims=True), dtype, copy=False)
    degrees = total = np.sum(w)
    if ddof:
        degrees = total - (ddof if weights is None else ddof * np.sum(w * weights) / total)
    return np.squeeze((centred * w) @ conjugate(centred).T / (degrees if degrees > 0 else 0))


SCATTERED = np.array([[1, 5, 2, 0], [4, 0, -3, 6], [-2, 7, 1, 3]])  # far from constant rows and columns


@composite(
    np.corrcoef,
    cases=[
        Case("2 3", prepare=lambda x: x / 9 + SCATTERED[:2, :3]),
        Case("3 4", kwargs={"rowvar": False}, prepare=lambda x: x / 9 + SCATTERED),
        Case(
            "2 4, 4",
            prepare=lambda x, y: (x / 9 + SCATTERED[:2], y / 9 + SCATTERED[2]),
            kwargs={"dtype": np.float64},
        ),
    ],
    complex=True,
)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """`np.corrcoef` of the rows (or columns) of one or two matrices."""
    parts = [_in_own_units(as_array(part), rowvar, i == 0, dtype) for i, part in enumerate((x, y)) if part is not None]
    covariance = cov(*parts, rowvar=rowvar, dtype=dtype)
    if covariance.ndim == 0:
        return covariance / covariance
    deviations = np.sqrt(np.real(np.diagonal(covariance)))
    correlation = covariance / deviations[:, np.newaxis] / deviations
    # It is beyond 1 by rounding only, so the derivatives, of any order, are those of what is not clipped.
    return correlation + _beyond_one(array_of(correlation))


def _beyond_one(x: Any) -> Any:
    """What is to be added to bring each part of each number to between -1 and 1, as NumPy does."""
    return _beyond_one(x.real) + 1j * _beyond_one(x.imag) if is_complex(x) else np.clip(x, -1, 1) - x


def _in_own_units(x: Any, rowvar: bool, is_first: bool, dtype: Any) -> Any:
    """The variables in units near their largest number, whose squares neither overflow nor underflow."""
    x = x if dtype is None else floating(x, dtype, "corrcoef")
    is_one = x.ndim < 2 or (not is_first and len(x) == 1)
    along = -1 if rowvar or is_one else 0
    return x / power_of_two(np.max(np.abs(array_of(x)), axis=along, keepdims=True, initial=0) * 1.0)
