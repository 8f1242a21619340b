"""How many multiply-adds the operations take that nearly all of a network's time goes into, for `nn.summary`.

They are those of the definition, a product and an addition each; an implementation may take fewer or more. Operations
that are not listed count as none: functions of each element, reductions, copies.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .attention import _with_one_batch_axis, attention
from .convolution import _correlate, _input_gradient, _weight_gradient
from .products import _convolve, _einsum, linear
from .recurrence import recurrence


def _of_products(y: Any, a: Any, b: Any) -> int:
    """Of the products of rows of a, or of a vector, with something: each result is a sum along the last axis of a."""
    return int(y.size * np.shape(a)[-1])


def _of_einsum(y: Any, *arrays: Any, terms: Sequence[str], **_: Any) -> int:
    """Of all combinations of indices, with one product less than there are arrays."""
    sizes = {letter: n for term, a in zip(terms, arrays, strict=True) for letter, n in zip(term, a.shape, strict=True)}
    return int(math.prod(sizes.values()) * (len(arrays) - 1))


def _of_attention(y: Any, *projected: Any, heads: int, **_: Any) -> int:
    """Of the scores, and of the sums of values."""
    q, k, v = _with_one_batch_axis(projected, heads)
    return int(math.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1]))


def _kernel(weight: Any) -> Any:
    """The products in each output of a convolution, or of each input of a transposed one."""
    return math.prod(weight.shape[1:])


FORMULAS: dict[Any, Callable[..., int]] = {
    np.matmul: _of_products,
    np.vecdot: _of_products,
    np.matvec: _of_products,
    np.vecmat: _of_products,
    linear: lambda y, x, weight, bias: y.size * len(weight),
    _einsum: _of_einsum,
    _convolve: lambda y, a, v: a.size * v.size,
    _correlate: lambda y, x, weight, bias, **_: y.size * _kernel(weight),
    _input_gradient: lambda y, x, weight, **_: x.size * _kernel(weight),
    _weight_gradient: lambda y, x, other, **_: other.size * _kernel(y),
    attention: _of_attention,
    recurrence: lambda y, a, initial, weight, bias, **_: a.size * len(weight),
}
_BY_FUNCTION = {getattr(function, "__wrapped__", function): formula for function, formula in FORMULAS.items()}


def multiply_adds(function: Any, y: Any, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> int:
    """Those of a call of an operation, whose inputs and result are arrays.

    >>> a, b = np.ones((2, 3)), np.ones((3, 4))
    >>> multiply_adds(np.matmul, a @ b, [a, b], {}), multiply_adds(np.exp, a, [a], {})
    (24, 0)
    """
    formula = _BY_FUNCTION.get(function)
    return 0 if formula is None else formula(y, *inputs, **{k: v for k, v in keywords.items() if k != "saved"})
