"""The stable functions beside exact arithmetic, over the whole range; `python -m benchmarks.accuracy` prints more."""

import math

import pytest

from benchmarks import accuracy

# In units in the last place, of float32 and of float64. Softmax takes exp of a difference, whose rounding it multiplies
# by as much as the difference is; silu gives 0 for results of 1e-38 to 6e-38 in float32.
BOUNDS = {
    "sigmoid": (3, 3),
    "softplus": (3, 2),
    "silu": (math.inf, 3),
    "erf": (8, 1),
    "gelu": (8, 2),
    "binary_cross_entropy_with_logits": (3, 2),
    "softmax": (80, 700),
    "logsumexp": (2, 2),
    "log_softmax": (3, 3),
    "cross_entropy": (2, 2),
}
ERRORS = accuracy.largest_errors(1200)


@pytest.mark.parametrize("name", accuracy.ELEMENTWISE | accuracy.OF_SEVERAL)
@pytest.mark.parametrize("kind", accuracy.DTYPES)
def test_errors_are_within_their_bounds(name: str, kind: str) -> None:
    bound = BOUNDS[name][list(accuracy.DTYPES).index(kind)]
    assert 0 < ERRORS[name, kind].ulps <= bound, ERRORS[name, kind]


def test_a_function_that_overflows_is_noticed() -> None:
    naive = {"softplus": lambda x: accuracy.np.log1p(accuracy.np.exp(x))}
    assert accuracy.largest_errors(80, naive)["softplus", "float32"].ulps == math.inf
