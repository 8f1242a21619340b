"""Gradients that are a convention or easy to get wrong, as a table for the tests and for OPERATIONS.md.

Each gradient holds exactly, in float64, for an output gradient of ones, and is computed without a warning.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..ops.elementwise import relu
from ..ops.losses import cross_entropy
from ..ops.special import sigmoid, softmax

INF = np.inf


class Convention(NamedTuple):
    """A function, its inputs, and their required gradients; `peers_disagree` if another framework gives others."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradients: tuple[Any, ...]
    peers_disagree: bool = False


CONVENTIONS = [
    Convention("x * x * x at 2", lambda x: x * x * x, (2.0,), (12.0,)),
    Convention("b = a + a, c = b + b", lambda a: (lambda b: b + b)(a + a), (1.0,), (4.0,)),
    Convention("(3,1) + (1,4)", np.add, (np.ones((3, 1)), np.ones((1, 4))), ([[4.0]] * 3, [[3.0] * 4])),
    Convention("(3,) * (1,3)", np.multiply, (np.ones(3), np.ones((1, 3))), ([1, 1, 1], [[1, 1, 1]])),
    Convention("a * b, 0-d", np.multiply, (2.0, 3.0), (3.0, 2.0)),
    Convention("sum of shape (0,3)", np.sum, (np.ones((0, 3)),), (np.ones((0, 3)),)),
    Convention("maximum at a tie", np.maximum, ([1, 2], [1, 1]), ([0.5, 1], [0.5, 0]), True),
    Convention("minimum at a tie", np.minimum, ([1, 2], [1, 1]), ([0.5, 0], [0.5, 1]), True),
    Convention("max of [1,3,3]", np.max, ([1, 3, 3],), ([0, 0.5, 0.5],), True),
    Convention(
        "max along an axis",
        lambda x: np.max(x, axis=1),
        ([[1, 3, 3], [2, 2, 0]],),
        ([[0, 0.5, 0.5], [0.5, 0.5, 0]],),
        True,
    ),
    Convention("min of [1,1,3]", np.min, ([1, 1, 3],), ([0.5, 0.5, 0],), True),
    Convention("clip to [0,1]", lambda x: np.clip(x, 0, 1), ([-1, 0, 0.5, 1, 2],), ([0, 1, 1, 1, 0],), True),
    Convention("relu at 0", relu, ([-1, 0, 1],), ([0, 0, 1],)),
    Convention("abs at 0", np.abs, ([-1, 0, 1],), ([-1, 0, 1],)),
    Convention("sign", np.sign, ([-1, 0, 1],), ([0, 0, 0],)),
    Convention("sqrt at 0", np.sqrt, ([0, 4],), ([INF, 0.25],)),
    Convention("sinc at 0", np.sinc, ([0.0],), ([0.0],)),
    Convention("x**0 at 0", lambda x: x**0, ([0, 2],), ([0, 0],)),
    Convention("x**y at x = 0, y = 0, 1, 2", np.power, ([0, 0, 0], [0, 1, 2]), ([0, 1, 0], [0, 0, 0])),
    Convention("(-2)**2", lambda x: x**2, (-2.0,), (-4.0,)),
    Convention("prod of [0,2,3]", np.prod, ([0, 2, 3],), ([6, 0, 0],)),
    Convention("prod of [0,0,3]", np.prod, ([0, 0, 3],), ([0, 0, 0],)),
    Convention("cumprod of [2,0,3,0,4]", np.cumprod, ([2, 0, 3, 0, 4],), ([1, 8, 0, 0, 0],)),
    Convention("cumsum of [1,2,3]", np.cumsum, ([1, 2, 3],), ([3, 2, 1],)),
    Convention("var of [1,2,4], ddof=1", lambda x: np.var(x, ddof=1), ([1, 2, 4],), ([-4 / 3, -1 / 3, 5 / 3],)),
    Convention("std of [2,2]", np.std, ([2, 2],), ([0, 0],), True),
    Convention("norm of zeros", np.linalg.norm, ([0.0, 0.0],), ([0, 0],), True),
    Convention("arctan2(0, 0)", np.arctan2, (0.0, 0.0), (0.0, 0.0), True),
    Convention("logaddexp(-inf, -inf)", np.logaddexp, (-INF, -INF), (0.5, 0.5), True),
    Convention(
        "cross_entropy, logits [[1e4,-1e4]] twice, labels 0 and 1",
        lambda x: cross_entropy(x, [0, 1]),
        ([[1e4, -1e4]] * 2,),
        ([[0, 0], [0.5, -0.5]],),
    ),
    Convention("sigmoid at -1000 and 1000", sigmoid, ([-1000, 1000],), ([0, 0],)),
    Convention("tanh at -1000 and 1000", np.tanh, ([-1000, 1000],), ([0, 0],)),
    Convention("softmax of [-1000,1000]", softmax, ([-1000, 1000],), ([0, 0],)),
    Convention("x[[0,0,1]] of three", lambda x: x[[0, 0, 1]], ([5, 6, 7],), ([2, 1, 0],)),
    Convention(
        "sort of [3,1,1], times [1,2,3]", lambda x: np.sort(x) * np.array([1, 2, 3]), ([3, 1, 1],), ([3, 1, 2],), True
    ),
    Convention(
        "where(x > 0, sqrt(where(x > 0, x, 1)), 0)",
        lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0),
        ([-1, 0, 4],),
        ([0, 0, 0.25],),
    ),
    Convention("where(x > 0, sqrt(x), 0)", lambda x: np.where(x > 0, np.sqrt(x), 0), ([0, 4],), ([0, 0.25],), True),
    Convention("sqrt(relu(x))", lambda x: np.sqrt(relu(x)), ([-1, 4],), ([0, 0.25],)),
    Convention("sqrt(maximum(x, 0))", lambda x: np.sqrt(np.maximum(x, 0)), ([-1, 4],), ([0, 0.25],)),
    Convention("sqrt(clip(x, 0, 9))", lambda x: np.sqrt(np.clip(x, 0, 9)), ([-1, 4],), ([0, 0.25],)),
    Convention("det of [[1,2],[2,4]]", np.linalg.det, ([[1, 2], [2, 4]],), ([[4, -2], [-2, 1]],), True),
    Convention(
        "eigenvalues of the identity, their sum", lambda x: np.sum(np.linalg.eigvalsh(x)), (np.eye(2),), (np.eye(2),)
    ),
    Convention("sum of a 0-d Tensor, axis 0", lambda x: np.sum(x, axis=0), (2.0,), (1.0,)),
    Convention(
        "norm, keepdims", lambda x: np.linalg.norm(x, axis=1, keepdims=True), ([[3, 4]],), ([[0.6, 0.8]],), True
    ),
    Convention("diag of 2 x 3", np.diag, ([[1, 2, 3], [4, 5, 6]],), ([[1, 0, 0], [0, 1, 0]],), True),
    Convention("repeat, axis -1", lambda x: np.repeat(x, 2, axis=-1), ([[1, 2]],), ([[2, 2]],), True),
    Convention("tile of rank 3", lambda x: np.tile(x, (2, 1, 3)), ([[[1, 2]]],), ([[[6, 6]]],), True),
    Convention(
        "einsum 'i,i' with a broadcast 1", lambda a, b: np.einsum("i,i", a, b), ([2], [1, 3, 5]), ([9], [2, 2, 2]), True
    ),
    Convention(
        "where with (3,1) and 0-d",
        lambda a, b: np.where([[True], [False], [True]], a, b),
        ([[1], [2], [3]], 4.0),
        ([[1], [0], [1]], 1.0),
        True,
    ),
]
