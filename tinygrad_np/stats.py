"""Densities and distribution functions of probability distributions, under the names of `scipy.stats`.

`norm.logpdf(x, loc, scale)` is written as in `scipy.stats`, with the same parameters in the same order, and takes
Tensors: it is differentiable in x and in every parameter. `norm(loc, scale).logpdf(x)` is the same. Arguments broadcast
together, and float32 stays float32.

- Outside of the support a density is 0 and its logarithm -inf, with a gradient of 0.
- Where a parameter is out of its range, as a scale that is not positive, the result is NaN.
- Numbers of events, k, have no gradient. Distribution functions have none in the parameters of shape, a, b, df and n:
  the functions of `scipy.special` that they are made of have none there. A Tensor that requires one is refused by name.

`norm.logpdf`, `multivariate_normal`, `bernoulli` and `categorical` need NumPy alone. The others need SciPy:
`python -m pip install scipy`.

>>> from tinygrad_np import Tensor, grad, stats
>>> x = np.array([1.0, 2.0, 6.0], np.float32)
>>> loc = Tensor(2.0, requires_grad=True)
>>> grad(-stats.norm.logpdf(x, loc, 1.0).sum(), loc)
Tensor(-3., dtype=float32)
"""

import math
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import numpy as np

from . import _html
from ._messages import as_call
from .ops.elementwise import array_of
from .ops.scipy_special import special
from .ops.special import log_softmax
from .tensor import Tensor, as_array

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "categorical",
    "chi2",
    "dirichlet",
    "gamma",
    "multivariate_normal",
    "nbinom",
    "norm",
    "poisson",
    "t",
]


# --- what distributions have in common -------------------------------------------------------------------------------


class Distribution:
    """What the distributions of this module derive from: with parameters given to it, it is frozen."""

    def __call__(self, *parameters: Any, **named: Any) -> "Frozen":
        return Frozen(self, parameters, named)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} distribution; its methods are those of scipy.stats>"


class Frozen:
    """A distribution whose parameters are given: `norm(0, 1).logpdf(x)` is `norm.logpdf(x, 0, 1)`.

    >>> norm(0, scale=2)
    Normal(0, scale=2)
    """

    def __init__(self, distribution: Distribution, parameters: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.distribution, self.parameters, self.named = distribution, parameters, named

    def __repr__(self) -> str:
        return as_call(self.distribution, *self.parameters, **self.named)

    def _repr_html_(self) -> str:
        method = "logpdf" if isinstance(self.distribution, Continuous) else "logpmf"
        _, *names = signature(getattr(self.distribution, method)).parameters
        given = dict(zip(names, self.parameters, strict=False)) | self.named
        return _html.of_settings(type(self.distribution).__name__, given)

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        method = getattr(self.distribution, name)

        def of_these_parameters(x: Any) -> Any:
            return method(x, *self.parameters, **self.named)

        return of_these_parameters


class Continuous(Distribution):
    """A distribution with a density."""

    def logpdf(self, x: Any, *parameters: Any, **named: Any) -> Any:
        """The logarithm of the density at x."""
        raise NotImplementedError

    def pdf(self, x: Any, *parameters: Any, **named: Any) -> Any:
        """The density at x; the arguments are those of `logpdf`."""
        return np.exp(self.logpdf(x, *parameters, **named))


class Discrete(Distribution):
    """A distribution of integers."""

    def logpmf(self, k: Any, *parameters: Any, **named: Any) -> Any:
        """The logarithm of the probability of k."""
        raise NotImplementedError

    def pmf(self, k: Any, *parameters: Any, **named: Any) -> Any:
        """The probability of k; the arguments are those of `logpmf`."""
        return np.exp(self.logpmf(k, *parameters, **named))


def _quiet(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: infinities and NaN are answers here, not accidents."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return method(*args, **kwargs)

    return call


def _arguments(*values: Any) -> list[Any]:
    """Numbers, lists, arrays and Tensors as arrays and Tensors of floating point.

    Python's numbers, lists of them, and integers take the dtype of the others; without others, it is float64.
    """
    given = [as_array(value) for value in values]
    own = [hasattr(value, "dtype") and array.dtype.kind == "f" for value, array in zip(values, given, strict=True)]
    dtypes = [array.dtype for array, is_own in zip(given, own, strict=True) if is_own]
    dtype = np.result_type(*dtypes) if dtypes else np.float64
    return [array if is_own else array.astype(dtype) for array, is_own in zip(given, own, strict=True)]


def _counts(name: str, k: Any, loc: Any, *parameters: Any) -> list[Any]:
    """k - loc, as an array, and the parameters."""
    for argument, value in (("k", k), ("loc", loc)):
        if type(value) is Tensor and value.requires_grad:
            raise TypeError(f"{name} is not differentiable in {argument}, an integer: pass the Tensor's .detach()")
    k, loc, *others = _arguments(_plain_numbers(k), _plain_numbers(loc), *parameters)
    return [k - loc, *others]


def _plain_numbers(value: Any) -> Any:
    return value.data if type(value) is Tensor else value


def _supported(value: Any, inside: Any, valid: Any, outside: float = -math.inf) -> Any:
    """The value inside of the support, NaN for parameters that are out of range."""
    return np.where(array_of(valid), np.where(array_of(inside), value, outside), math.nan)


def _within(z: Any, inside: Any, instead: float) -> Any:
    """z, and outside of the support a number of it, so that no gradient is NaN there."""
    return np.where(array_of(inside), z, instead)


def _standardized(x: Any, loc: Any, scale: Any) -> Any:
    return (x - loc) / scale


# --- continuous distributions ----------------------------------------------------------------------------------------

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class Normal(Continuous):
    """The normal distribution of mean loc and standard deviation scale; as `scipy.stats.norm`.

    >>> norm.logpdf(Tensor([0.0, 1.0]))
    Tensor([-0.9189385, -1.4189385], dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density at x."""
        x, loc, scale = _arguments(x, loc, scale)
        z = _standardized(x, loc, scale)
        return _supported(-0.5 * np.square(z) - np.log(scale) - HALF_LOG_2_PI, True, scale > 0)

    @_quiet
    def cdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of at most x."""
        x, loc, scale = _arguments(x, loc, scale)
        return _supported(special.ndtr(_standardized(x, loc, scale)), True, scale > 0)

    @_quiet
    def sf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of more than x."""
        x, loc, scale = _arguments(x, loc, scale)
        return _supported(special.ndtr(-_standardized(x, loc, scale)), True, scale > 0)

    @_quiet
    def logcdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of `cdf`, without underflow."""
        x, loc, scale = _arguments(x, loc, scale)
        return _supported(special.log_ndtr(_standardized(x, loc, scale)), True, scale > 0)

    @_quiet
    def logsf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of `sf`, without underflow."""
        x, loc, scale = _arguments(x, loc, scale)
        return _supported(special.log_ndtr(-_standardized(x, loc, scale)), True, scale > 0)


class MultivariateNormal(Continuous):
    """The normal distribution of vectors; as `scipy.stats.multivariate_normal`.

    >>> multivariate_normal.logpdf(Tensor([0.0, 1.0]), mean=[0.0, 0.0], cov=[[1.0, 0.5], [0.5, 1.0]])
    Tensor(-2.3607025, dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1) -> Any:
        """The logarithm of the density at x, in the shape of x without its last axis.

        Args:
            x: vectors along the last axis. Of one dimension, x may be of any number of numbers.
            mean: a vector; by default 0.
            cov: the covariance: a matrix, of which the lower triangle is read; a vector, its diagonal; or a number, for
                that times the identity.

        Raises:
            numpy.linalg.LinAlgError: the covariance is not positive definite. SciPy's allow_singular= does not exist.
            ValueError: shapes do not fit.
        """
        x, mean, cov = _arguments(x, 0 if mean is None else mean, cov)
        size = mean.shape[-1] if mean.ndim else cov.shape[-1] if cov.ndim else 1
        if size == 1 and x.ndim < 2:
            x = np.expand_dims(x, -1)
        if cov.ndim == 0:
            cov = cov * np.eye(size, dtype=cov.dtype)
        elif cov.ndim == 1:
            cov = np.diag(cov)
        if not x.ndim or x.shape[-1] != size or cov.shape != (size, size):
            raise ValueError(
                f"multivariate_normal: the last axes of x, mean and cov must be equal, not of shapes {x.shape},"
                f" {mean.shape} and {cov.shape}"
            )
        deviations = x - mean
        triangle = np.linalg.cholesky(cov)
        whitened = np.linalg.solve(triangle, np.reshape(deviations, (-1, size)).T)
        distances = np.reshape(np.sum(np.square(whitened), axis=0), deviations.shape[:-1])
        return -0.5 * distances - np.sum(np.log(np.diagonal(triangle))) - size * HALF_LOG_2_PI


class StudentT(Continuous):
    """Student's distribution of df degrees of freedom; as `scipy.stats.t`. With infinitely many it is the normal one.

    >>> t.logpdf(Tensor([0.0, 1e6]), 3.0)
    Tensor([ -1.0008888, -54.06571  ], dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density at x."""
        x, df, loc, scale = _arguments(x, df, loc, scale)
        z = _standardized(x, loc, scale)
        is_normal = np.isinf(df)
        finite = np.where(is_normal, 1, df)
        kernel = 0.5 * np.log(finite) + special.betaln(0.5 * finite, finite.dtype.type(0.5))
        value = -kernel - 0.5 * (finite + 1) * _log_of_one_plus_square(z / np.sqrt(finite))
        if np.any(is_normal):
            value = np.where(is_normal, -0.5 * np.square(z) - HALF_LOG_2_PI, value)
        return _supported(value - np.log(scale), True, (scale > 0) & (df > 0))

    @_quiet
    def cdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of at most x; it has no gradient in df."""
        x, df, loc, scale = _arguments(x, df, loc, scale)
        return _supported(special.stdtr(df, _standardized(x, loc, scale)), True, (scale > 0) & (df > 0))

    @_quiet
    def sf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of more than x; it has no gradient in df."""
        x, df, loc, scale = _arguments(x, df, loc, scale)
        return _supported(special.stdtr(df, -_standardized(x, loc, scale)), True, (scale > 0) & (df > 0))


def _log_of_one_plus_square(u: Any) -> Any:
    """log(1 + u * u), also where the square overflows."""
    is_large = np.abs(array_of(u)) > 1
    small, large = np.where(is_large, 0, u), np.where(is_large, u, 1)
    return np.where(is_large, 2 * np.log(np.abs(large)) + np.log1p(np.square(1 / large)), np.log1p(np.square(small)))


class Gamma(Continuous):
    """The gamma distribution of shape a; as `scipy.stats.gamma`. Its rate is 1 / scale.

    >>> gamma.logpdf(Tensor([1.0, -1.0]), 2.0, scale=0.5)
    Tensor([-0.61370564,        -inf], dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density at x."""
        x, a, loc, scale = _arguments(x, a, loc, scale)
        z = _standardized(x, loc, scale)
        inside = ~(z < 0)
        z = _within(z, inside, 1.0)
        value = special.xlogy(a - 1, z) - z - special.gammaln(a) - np.log(scale)
        return _supported(value, inside & ~np.isposinf(z), (scale > 0) & (a > 0))

    @_quiet
    def cdf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of at most x; it has no gradient in a."""
        x, a, loc, scale = _arguments(x, a, loc, scale)
        z = _standardized(x, loc, scale)
        inside = ~(z < 0)
        return _supported(special.gammainc(a, _within(z, inside, 1.0)), inside, (scale > 0) & (a > 0), 0.0)

    @_quiet
    def sf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of more than x; it has no gradient in a."""
        x, a, loc, scale = _arguments(x, a, loc, scale)
        z = _standardized(x, loc, scale)
        inside = ~(z < 0)
        return _supported(special.gammaincc(a, _within(z, inside, 1.0)), inside, (scale > 0) & (a > 0), 1.0)


class ChiSquared(Continuous):
    """The chi-squared distribution of df degrees of freedom; as `scipy.stats.chi2`.

    >>> chi2.logpdf(Tensor([1.0, 2.0]), 3)
    Tensor([-1.4189385, -1.5723649], dtype=float32)
    """

    def logpdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density at x."""
        return gamma.logpdf(x, *self._as_gamma(df, loc, scale))

    def cdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of at most x; it has no gradient in df."""
        return gamma.cdf(x, *self._as_gamma(df, loc, scale))

    def sf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of more than x; it has no gradient in df."""
        return gamma.sf(x, *self._as_gamma(df, loc, scale))

    @staticmethod
    def _as_gamma(df: Any, loc: Any, scale: Any) -> tuple[Any, Any, Any]:
        df, scale = (v if isinstance(v, int | float) else as_array(v) for v in (df, scale))
        return df / 2, loc, 2 * scale


class Beta(Continuous):
    """The beta distribution of shapes a and b; as `scipy.stats.beta`.

    >>> beta.logpdf(Tensor([0.5, 2.0]), 2.0, 3.0)
    Tensor([0.40546513,       -inf], dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density at x."""
        x, a, b, loc, scale = _arguments(x, a, b, loc, scale)
        z = _standardized(x, loc, scale)
        inside = ~((z < 0) | (z > 1))
        z = _within(z, inside, 0.5)
        value = special.xlogy(a - 1, z) + special.xlog1py(b - 1, -z) - special.betaln(a, b) - np.log(scale)
        return _supported(value, inside, (scale > 0) & (a > 0) & (b > 0))

    @_quiet
    def cdf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of at most x; it has no gradient in a and b."""
        x, a, b, loc, scale = _arguments(x, a, b, loc, scale)
        z = np.clip(_standardized(x, loc, scale), 0, 1)
        return _supported(special.betainc(a, b, z), True, (scale > 0) & (a > 0) & (b > 0))

    @_quiet
    def sf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of more than x; it has no gradient in a and b."""
        x, a, b, loc, scale = _arguments(x, a, b, loc, scale)
        z = np.clip(_standardized(x, loc, scale), 0, 1)
        return _supported(special.betaincc(a, b, z), True, (scale > 0) & (a > 0) & (b > 0))


class Dirichlet(Continuous):
    """The Dirichlet distribution of concentrations alpha; as `scipy.stats.dirichlet`.

    >>> dirichlet.logpdf(Tensor([0.25, 0.75]), [2.0, 3.0])
    Tensor(0.5232482, dtype=float32)
    """

    @_quiet
    def logpdf(self, x: Any, alpha: Any) -> Any:
        """The logarithm of the density at x.

        Args:
            x: probabilities along the first axis, in the shape (K,) or (K, n) as in SciPy. The last of them may be left
                out, and is then what remains to 1. A gradient in x is that of the formula, without the constraint that
                the probabilities add up to 1.
            alpha: K positive numbers.

        Raises:
            ValueError: an alpha is not positive, an x is negative or does not add up to 1, or shapes do not fit.
        """
        x, alpha = _arguments(x, alpha)
        if alpha.ndim != 1 or not x.ndim or x.shape[0] not in (alpha.size, alpha.size - 1):
            raise ValueError(
                "dirichlet: x has K or K - 1 probabilities along its first axis and alpha K numbers, not the shapes"
                f" {x.shape} and {alpha.shape}"
            )
        if not np.all(alpha > 0):
            raise ValueError("dirichlet: every alpha must be above 0")
        if x.shape[0] < alpha.size:
            x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
        tolerance = 1e-9 if x.dtype.itemsize > 4 else 1e-5
        if not (np.all(x >= 0) and np.all(np.abs(np.sum(array_of(x), axis=0) - 1) <= tolerance)):
            raise ValueError("dirichlet: the probabilities x must be at least 0 and add up to 1 along the first axis")
        powers = np.reshape(alpha - 1, (-1, *[1] * (x.ndim - 1)))
        normalizer = np.sum(special.gammaln(alpha)) - special.gammaln(np.sum(alpha))
        return np.sum(special.xlogy(powers, x), axis=0) - normalizer


# --- discrete distributions ------------------------------------------------------------------------------------------


def _is_integer(k: Any) -> Any:
    """Whether k is an integer; also where it is NaN, which the results then are."""
    return ((np.floor(k) == k) & np.isfinite(k)) | np.isnan(k)


class Poisson(Discrete):
    """The Poisson distribution of mean mu; as `scipy.stats.poisson`.

    >>> poisson.logpmf([0, 1, 2], Tensor(2.0))
    Tensor([-2.       , -1.3068528, -1.3068528], dtype=float32)
    """

    @_quiet
    def logpmf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k; -inf where k is no integer."""
        k, mu = _counts("poisson.logpmf", k, loc, mu)
        inside = ~(k < 0) & _is_integer(k)
        k = _within(k, inside, 0.0)
        return _supported(special.xlogy(k, mu) - special.gammaln(k + 1) - mu, inside, mu >= 0)

    @_quiet
    def cdf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of at most k."""
        k, mu = _counts("poisson.cdf", k, loc, mu)
        return _supported(special.gammaincc(np.floor(np.maximum(k, 0)) + 1, mu), ~(k < 0), mu >= 0, 0.0)

    @_quiet
    def sf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of more than k."""
        k, mu = _counts("poisson.sf", k, loc, mu)
        return _supported(special.gammainc(np.floor(np.maximum(k, 0)) + 1, mu), ~(k < 0), mu >= 0, 1.0)


class Binomial(Discrete):
    """The binomial distribution of n trials, each of probability p; as `scipy.stats.binom`.

    >>> binom.logpmf([0, 1, 3], 2, Tensor(0.5))
    Tensor([-1.3862944, -0.6931472,       -inf], dtype=float32)
    """

    @_quiet
    def logpmf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k; -inf where k is no integer. It has no gradient in n."""
        k, n, p, valid = self._checked("binom.logpmf", k, n, p, loc)
        inside = ~((k < 0) | (k > n)) & _is_integer(k)
        k, rest, p = _within(k, inside, 0.0), _within(n - k, inside, 1.0), _within(p, inside, 0.5)
        ways = -np.log1p(n) - special.betaln(rest + 1, k + 1)
        return _supported(ways + special.xlogy(k, p) + special.xlog1py(rest, -p), inside, valid)

    @_quiet
    def cdf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The probability of at most k. It has no gradient in n."""
        k, n, p, valid = self._checked("binom.cdf", k, n, p, loc)
        k = np.floor(k)
        inside = ~((k < 0) | (k >= n))
        value = special.betaincc(_within(k + 1, inside, 1.0), _within(n - k, inside, 1.0), p)
        return _supported(np.where(inside, value, k >= n), True, valid)

    @_quiet
    def sf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The probability of more than k. It has no gradient in n."""
        k, n, p, valid = self._checked("binom.sf", k, n, p, loc)
        k = np.floor(k)
        inside = ~((k < 0) | (k >= n))
        value = special.betainc(_within(k + 1, inside, 1.0), _within(n - k, inside, 1.0), p)
        return _supported(np.where(inside, value, k < 0), True, valid)

    @staticmethod
    def _checked(name: str, k: Any, n: Any, p: Any, loc: Any) -> tuple[Any, Any, Any, Any]:
        if type(n) is Tensor and n.requires_grad:
            raise TypeError(f"{name} is not differentiable in n, an integer: pass the Tensor's .detach()")
        k, n, p = _counts(name, k, loc, _plain_numbers(n), p)
        return k, n, p, (n >= 0) & _is_integer(n) & (p >= 0) & (p <= 1)


class NegativeBinomial(Discrete):
    """The number k of failures before n successes, each of probability p; as `scipy.stats.nbinom`. n may be any number.

    >>> nbinom.logpmf([0, 1], 2.0, Tensor(0.5))
    Tensor([-1.3862944, -1.3862944], dtype=float32)
    """

    @_quiet
    def logpmf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k; -inf where k is no integer."""
        k, n, p = _counts("nbinom.logpmf", k, loc, n, p)
        inside = ~(k < 0) & _is_integer(k)
        k = _within(k, inside, 0.0)
        ways = -np.log(n + k) - special.betaln(n, k + 1)
        return _supported(ways + n * np.log(p) + special.xlog1py(k, -p), inside, (n > 0) & (p > 0) & (p <= 1))

    @_quiet
    def cdf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The probability of at most k. It has no gradient in n."""
        k, n, p = _counts("nbinom.cdf", k, loc, n, p)
        value = special.betainc(n, np.floor(np.maximum(k, 0)) + 1, p)
        return _supported(value, ~(k < 0), (n > 0) & (p > 0) & (p <= 1), 0.0)

    @_quiet
    def sf(self, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The probability of more than k. It has no gradient in n."""
        k, n, p = _counts("nbinom.sf", k, loc, n, p)
        value = special.betaincc(n, np.floor(np.maximum(k, 0)) + 1, p)
        return _supported(value, ~(k < 0), (n > 0) & (p > 0) & (p <= 1), 1.0)


class Bernoulli(Discrete):
    """1 with probability p, else 0; as `scipy.stats.bernoulli`.

    For logits write `-binary_cross_entropy_with_logits(logits, k)`, which loses nothing where p is close to 0 or 1.

    >>> bernoulli.logpmf([0, 1, 2], Tensor(0.25))
    Tensor([-0.28768206, -1.3862944 ,        -inf], dtype=float32)
    """

    @_quiet
    def logpmf(self, k: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k."""
        k, p = _counts("bernoulli.logpmf", k, loc, p)
        success = k == 1
        value = np.where(success, np.log(np.where(success, p, 1)), np.log1p(-np.where(success, 0, p)))
        return _supported(value, (k == 0) | success, (p >= 0) & (p <= 1) & ~np.isnan(k))


class Categorical(Discrete):
    """One of K classes, from 0 on, with probabilities p or logits. SciPy does not have it.

    >>> categorical.logpmf([2, 0], Tensor([0.5, 0.25, 0.25]))
    Tensor([-1.3862944, -0.6931472], dtype=float32)
    """

    @_quiet
    def logpmf(self, k: Any, p: Any = None, *, logits: Any = None) -> Any:
        """The logarithm of the probability of k; -inf where k is none of 0, ..., K - 1.

        Args:
            k: classes, in a shape that broadcasts with that of p without its last axis.
            p: probabilities along the last axis; what they add up to is not checked.
            logits: in place of p, numbers whose softmax is p.

        Raises:
            TypeError: neither or both of p and logits are given.
        """
        if (p is None) == (logits is None):
            raise TypeError("categorical.logpmf takes probabilities, p, or logits=")
        k, values = _counts("categorical.logpmf", k, 0, p if logits is None else logits)
        if not values.ndim or not values.shape[-1]:
            raise ValueError(f"categorical.logpmf: there must be classes along the last axis, not shape {values.shape}")
        inside = (k >= 0) & (k < values.shape[-1]) & _is_integer(k)
        shape = np.broadcast_shapes(k.shape, values.shape[:-1])
        index = np.broadcast_to(np.where(inside, k, 0).astype(np.intp), shape)[..., np.newaxis]
        if logits is not None:
            return _supported(_chosen(log_softmax(values), index), inside, ~np.isnan(k))
        valid = np.all((values >= 0) & (values <= 1), axis=-1) & ~np.isnan(k)
        return _supported(np.log(_chosen(values, index)), inside, valid)


def _chosen(values: Any, index: Any) -> Any:
    """The values at an index along the last axis, without that axis."""
    rows = np.broadcast_to(values, (*index.shape[:-1], values.shape[-1]))
    return np.squeeze(np.take_along_axis(rows, index, axis=-1), axis=-1)


bernoulli, beta, binom, categorical = Bernoulli(), Beta(), Binomial(), Categorical()
chi2, dirichlet, gamma, multivariate_normal = ChiSquared(), Dirichlet(), Gamma(), MultivariateNormal()
nbinom, norm, poisson, t = NegativeBinomial(), Normal(), Poisson(), StudentT()
