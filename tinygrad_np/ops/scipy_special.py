"""SciPy's special functions of Tensors, where SciPy is installed.

SciPy is no dependency: the entries of this file are kept, and `register` puts them into the registry when a function of
SciPy first meets a Tensor. An entry is like those of the other files, with the name of a function in its place:

    unary("expit", lambda g, y, x: g * y * special.expit(-x))

SciPy's functions of Python, which turn what they are given into arrays, are here as functions of our own. They have
SciPy's names in `tinygrad_np.special`. Formulas are those of the Digital Library of Mathematical Functions
(https://dlmf.nist.gov), whose sections are named.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from importlib import import_module
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from .. import tensor
from .._functions import Parameters
from .._registry import Primitive, composite, constant, primitive
from ..tensor import Array, Function, apply
from .cases import NONZERO, POSITIVE, REAL, UNIT, Case, Domain, each
from .elementwise import array_of, keep, or_one, within


class _Library:
    """`scipy.special`, loaded when one of its functions is first needed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspect, doctest and copy ask any object for these; none is a function of SciPy
            raise AttributeError(name)
        try:
            found = getattr(import_module("scipy.special"), name)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{name} needs SciPy: python -m pip install scipy", name="scipy") from error
        setattr(self, name, found)
        return found


special: Any = _Library()


class Entry(NamedTuple):
    """An operation to be registered: its name, the function if it is our own, and what registers a function.

    Attributes:
        arguments: the names of the arguments, with None for one that has no gradient.
    """

    name: str
    own: Function | None
    arguments: Sequence[str | None]
    register: Callable[[Function], Any]

    @property
    def function(self) -> Function | None:
        """The function, SciPy's or our own; None if this version of SciPy does not have it."""
        if self.own is not None:
            return self.own
        private = getattr(special._ufuncs, f"_{self.name}", None)  # a ufunc that a function of Python calls
        found: Function | None = private or getattr(special, self.name, None)
        return found


ENTRIES: list[Entry] = []


_registering = Lock()  # two threads may meet SciPy at once


def register() -> None:
    """Register all functions of this file, apart from those that are registered already."""
    with _registering:
        for entry in ENTRIES:
            function = entry.function
            if function is not None and function not in tensor.registry:
                entry.register(function)


def _arguments(vjps: Sequence[Function | None]) -> list[str | None]:
    names = next(Parameters.of(vjp).positional[2:] for vjp in vjps if vjp is not None)
    return [vjp and name for name, vjp in zip(names, vjps, strict=True)]


_OF_INTEGERS = ("bdtr", "bdtrc")  # they warn of a number of trials in floating point, and give float64 for an integer


class _Ufunc(Primitive):
    """A ufunc of SciPy. A Python number takes the dtype of the Tensors; of some, SciPy itself would make float64."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(type(a) in (int, float) for a in args) and self.name not in _OF_INTEGERS:
            dtype = np.result_type(*(a.dtype for a in args if hasattr(a, "dtype")))
            if dtype.kind == "f":
                args = tuple(np.asarray(a, dtype) if type(a) in (int, float) else a for a in args)
        return super().__call__(*args, **kwargs)


def _entry(name: str, *vjps: Function | None, cases: Sequence[Case]) -> None:
    def register(function: Function) -> None:
        shown = None if function.__name__ == name else name  # of a private one, SciPy's public name
        tensor.registry[function] = _Ufunc(function, vjps, None, None, False, "elementwise", None, cases, shown)

    ENTRIES.append(Entry(name, None, _arguments(vjps), register))


def _own(*vjps: Function | None, cases: Sequence[Case]) -> Callable[[Function], Function]:
    """A decorator for a function of our own that calls SciPy: it is registered when it is first called."""

    def decorate(function: Function) -> Function:
        options: dict[str, Any] = {"jvp": "elementwise", "cases": cases}
        name = function.__name__
        ENTRIES.append(Entry(name, function, _arguments(vjps), lambda f: primitive(f, *vjps, **options)))

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if function not in tensor.registry:
                register()
            return apply(function, *args, **kwargs)

        return call

    return decorate


# Domains of arguments; a `prepare` puts fixed arguments in front.
INSIDE = Domain(0.1, 0.9)
ORDER = Domain(0, 4, "i")
unary = partial(_entry, cases=[Case("*")])
of_positive = partial(_entry, cases=[Case("*", domains=(POSITIVE,))])
of_nonzero = partial(_entry, cases=[Case("*", domains=(NONZERO,))])
of_probability = partial(_entry, cases=[Case("*", domains=(INSIDE,))])
of_two_positive = partial(_entry, cases=[Case("*, *", domains=(POSITIVE,))])
by_order = partial(_entry, cases=[Case("*, *", domains=(ORDER, POSITIVE))])


def _with(*fixed: Any, domains: tuple[Domain, ...] = (POSITIVE,)) -> list[Case]:
    """A case of a function whose first arguments are fixed."""
    return [Case("*", domains=domains, prepare=lambda x: (*(_of_dtype(a, x) for a in fixed), x))]


def _of_dtype(number: Any, x: Any) -> Any:
    return x.dtype.type(number) if type(number) is float else number


def _finite(x: Any, like: Any) -> Any:
    """x, with the largest number in place of infinity, where a density would be inf - inf."""
    return within(x, np.finfo(like.dtype).max)


# --- the gamma function and its relatives: DLMF 5 --------------------------------------------------------------------

AWAY_FROM_POLES = Domain(-0.8, -0.2)
_gamma = partial(_entry, cases=[Case("*", domains=(POSITIVE,)), Case("*", domains=(AWAY_FROM_POLES,))])


def _rgamma_slope(y: Any, x: Any) -> Any:
    """-psi(x) / gamma(x); below 1/2 by the reflection formula 1 / gamma(x) = gamma(1 - x) sin(pi x) / pi.

    psi has poles where 1 / gamma(x) is 0, and is finite in the other formula.
    """
    reflect = array_of(x) < 0.5
    right, left = np.where(reflect, 1, x), 1 - np.where(reflect, x, 0)
    angle = math.pi * np.where(reflect, x, 0)
    reflected = special.gamma(left) * (np.cos(angle) - special.psi(left) * np.sin(angle) / math.pi)
    return np.where(reflect, reflected, -y * special.psi(_finite(right, y)))


_gamma("gamma", lambda g, y, x: g * y * special.psi(x))
_gamma("gammaln", lambda g, y, x: g * special.psi(x))
of_positive("loggamma", lambda g, y, x: g * special.psi(x))
_gamma("rgamma", lambda g, y, x: g * _rgamma_slope(y, x))
_gamma("psi", lambda g, y, x: g * polygamma(1, x))
ENTRIES.append(Entry("gammasgn", None, (), constant))


# The coefficients of x**(-2 k) in log(x) - 1 / (2 x) - psi(x), the Bernoulli numbers B(2 k) / (2 k): DLMF 5.11.2.
_STIRLING = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132)
LARGE = 20  # from here on these have all digits of float64


def _psi_step(a: Any, b: Any) -> Any:
    """psi(a) - psi(a + b), without the cancellation where a is large."""
    is_large = array_of(a) > LARGE
    if not np.any(is_large):
        return special.psi(a) - special.psi(a + b)
    small, large = np.where(is_large, 1, a), np.where(is_large, a, LARGE)
    inverse, other = 1 / large, 1 / (large + b)
    step = b * inverse * other  # 1 / a - 1 / (a + b)
    u, v, powers, total = inverse * inverse, other * other, 1.0, 0.0
    for k, coefficient in enumerate(_STIRLING):  # u**(k + 1) - v**(k + 1) = (u - v) * powers
        total = total + coefficient * powers
        powers = powers * u + v ** (k + 1)
    series = -np.log1p(b * inverse) - step * (0.5 + (inverse + other) * total)
    return np.where(is_large, series, special.psi(small) - special.psi(small + b))


_beta = partial(
    _entry, cases=[Case("*, *", domains=(POSITIVE,)), Case("*, *", domains=(Domain(15, 30), Domain(0.5, 30)))]
)
_beta(
    "beta",
    lambda g, y, a, b: g * y * _psi_step(a, b),
    lambda g, y, a, b: g * y * _psi_step(b, a),
)
_beta("betaln", lambda g, y, a, b: g * _psi_step(a, b), lambda g, y, a, b: g * _psi_step(b, a))


@_own(
    None,
    lambda g, y, n, x: g * polygamma(n + 1, x),
    cases=[Case("*, *", domains=(ORDER, POSITIVE)), *_with(1, domains=(AWAY_FROM_POLES,))],
)
def polygamma(n: Any, x: Array) -> Array:
    """The derivative of order n of digamma(x), as `scipy.special.polygamma`; n is an integer or an array of them.

    >>> from tinygrad_np import Tensor
    >>> polygamma(1, Tensor([1.0]))
    Tensor([1.644934], dtype=float32)
    """
    return _as(special.polygamma(n, x), x)


def _as(y: Any, x: Any) -> Array:
    """A result in the dtype of x, where SciPy computes with float64 by itself."""
    return np.asarray(y, np.result_type(x) if np.result_type(x).kind == "f" else None)


# zeta(x, q), by Hurwitz: DLMF 25.11.17. `scipy.special.zeta` calls a ufunc for two arguments, and another for one.
_entry(
    "zeta",
    None,
    lambda g, y, x, q: -g * x * special.zeta(x + 1.0, q),
    cases=_with(2.5),
)

# --- integrals of the gamma and beta densities: DLMF 8 ---------------------------------------------------------------


def _gamma_density(a: Any, x: Any, like: Any) -> Any:
    """x**(a - 1) * exp(-x) / gamma(a)."""
    x = _finite(x, like)
    return np.exp(special.xlogy(a - 1.0, x) - x - special.gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """x**(a - 1) * (1 - x)**(b - 1) / beta(a, b)."""
    return np.exp(special.xlogy(a - 1.0, x) + special.xlog1py(b - 1.0, -x) - special.betaln(a, b))


def _t_density(df: Any, t: Any) -> Any:
    """The density of Student's t; beyond where its square overflows it is 0."""
    scale = special.betaln(df / 2, 0.5) + 0.5 * np.log(df)
    return np.exp(-scale - (df + 1.0) / 2 * np.log1p(np.square(t) / df))


def _f_density(m: Any, n: Any, x: Any) -> Any:
    """The density of F with m and n degrees of freedom, by that of beta at m x / (m x + n)."""
    part = m * x / (m * x + n)
    return _beta_density(m / 2, n / 2, part) * (1 - part) * m / (m * x + n)


_entry("gammainc", None, lambda g, y, a, x: g * _gamma_density(a, x, y), cases=_with(1.7))
_entry("gammaincc", None, lambda g, y, a, x: -g * _gamma_density(a, x, y), cases=_with(1.7))
_entry("gammaincinv", None, lambda g, y, a, p: g / _gamma_density(a, y, y), cases=_with(1.7, domains=(INSIDE,)))
_entry("gammainccinv", None, lambda g, y, a, p: -g / _gamma_density(a, y, y), cases=_with(1.7, domains=(INSIDE,)))
_of_beta = partial(_entry, cases=_with(1.7, 2.5, domains=(INSIDE,)))
_of_beta("betainc", None, None, lambda g, y, a, b, x: g * _beta_density(a, b, x))
_of_beta("betaincc", None, None, lambda g, y, a, b, x: -g * _beta_density(a, b, x))
_of_beta("betaincinv", None, None, lambda g, y, a, b, p: g / _beta_density(a, b, y))
_of_beta("betainccinv", None, None, lambda g, y, a, b, p: -g / _beta_density(a, b, y))

_entry("chdtr", None, lambda g, y, v, x: g * _gamma_density(v / 2, x / 2, y) / 2, cases=_with(3.0))
_entry("chdtrc", None, lambda g, y, v, x: -g * _gamma_density(v / 2, x / 2, y) / 2, cases=_with(3.0))
_entry("chdtri", None, lambda g, y, v, p: -2 * g / _gamma_density(v / 2, y / 2, y), cases=_with(3.0, domains=(INSIDE,)))
_of_gamma = partial(_entry, cases=[Case("*, *", domains=(POSITIVE,), prepare=lambda a, x: (a, _of_dtype(1.7, x), x))])
_of_gamma(
    "gdtr",
    lambda g, y, a, b, x: g * x * _gamma_density(b, a * x, y),
    None,
    lambda g, y, a, b, x: g * a * _gamma_density(b, a * x, y),
)
_of_gamma(
    "gdtrc",
    lambda g, y, a, b, x: -g * x * _gamma_density(b, a * x, y),
    None,
    lambda g, y, a, b, x: -g * a * _gamma_density(b, a * x, y),
)
_entry("pdtr", None, lambda g, y, k, m: -g * _gamma_density(np.floor(k) + 1, m, y), cases=_with(2.0))
_entry("pdtrc", None, lambda g, y, k, m: g * _gamma_density(np.floor(k) + 1, m, y), cases=_with(2.0))
_of_trials = partial(_entry, cases=_with(2, np.array(5), domains=(INSIDE,)))  # of floating point it warns
_of_trials("bdtr", None, None, lambda g, y, k, n, p: -g * _beta_density(np.floor(k) + 1, n - np.floor(k), p))
_of_trials("bdtrc", None, None, lambda g, y, k, n, p: g * _beta_density(np.floor(k) + 1, n - np.floor(k), p))
_of_trials("nbdtr", None, None, lambda g, y, k, n, p: g * _beta_density(n, k + 1.0, p))
_of_trials("nbdtrc", None, None, lambda g, y, k, n, p: -g * _beta_density(n, k + 1.0, p))
_entry("fdtr", None, None, lambda g, y, m, n, x: g * _f_density(m, n, x), cases=_with(3.0, 5.0))
_entry("fdtrc", None, None, lambda g, y, m, n, x: -g * _f_density(m, n, x), cases=_with(3.0, 5.0))
_entry("stdtr", None, lambda g, y, df, t: g * _t_density(df, t), cases=_with(3.0, domains=(REAL,)))
_entry("stdtrit", None, lambda g, y, df, p: g / _t_density(df, y), cases=_with(3.0, domains=(INSIDE,)))

# --- the error function and the normal distribution: DLMF 7 ----------------------------------------------------------

ROOT_PI = math.sqrt(math.pi)


def _bounded(x: Any) -> Any:
    """x within the numbers whose square is finite."""
    return within(x, np.sqrt(np.finfo(x.dtype).max))


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * np.square(_bounded(x))) / math.sqrt(2 * math.pi)


unary("erf", lambda g, y, x: g * (2 / ROOT_PI) * np.exp(-np.square(_bounded(x))))
unary("erfc", lambda g, y, x: -g * (2 / ROOT_PI) * np.exp(-np.square(_bounded(x))))
unary("erfi", lambda g, y, x: g * (2 / ROOT_PI) * np.exp(np.square(x)))
unary("erfcx", lambda g, y, x: g * erfcx_derivative(x, order=1))
unary("dawsn", lambda g, y, x: g * dawsn_derivative(x, order=1))
_entry("erfinv", lambda g, y, x: g * (ROOT_PI / 2) * np.exp(np.square(y)), cases=[Case("*", domains=(UNIT,))])
_entry(
    "erfcinv", lambda g, y, x: -g * (ROOT_PI / 2) * np.exp(np.square(y)), cases=[Case("*", domains=(Domain(0.1, 1.9),))]
)
unary("ndtr", lambda g, y, x: g * _normal_density(x))
of_probability("ndtri", lambda g, y, p: g * math.sqrt(2 * math.pi) * np.exp(0.5 * np.square(y)))
unary("log_ndtr", lambda g, y, x: g * normal_hazard(x))
_entry(
    "ndtri_exp",
    lambda g, y, x: g / normal_hazard(y),
    cases=[Case("*", domains=(Domain(-4, -0.2),))],
)
unary(
    "owens_t",
    lambda g, y, h, a: -0.5 * g * _normal_density(h) * special.erf(a * h / math.sqrt(2)),
    lambda g, y, h, a: g * np.exp(-0.5 * np.square(h) * (1 + np.square(a))) / (2 * math.pi * (1 + np.square(a))),
    cases=[Case("*, *")],
)


def _hazard_slope(y: Any, x: Any) -> Any:
    """-y (x + y), in which x + y has no digits left far below 0: there it is written by the derivative of erfcx."""
    is_low = array_of(x) < -3
    right, left = np.where(is_low, 0, x), np.where(is_low, within(x, 1e15), -3)
    u = -left / math.sqrt(2)
    hazard = math.sqrt(2 / math.pi) / special.erfcx(u)
    low = math.sqrt(math.pi) / 2 * hazard * (hazard * erfcx_derivative(u, order=1))
    return np.where(is_low, low, -y * (_finite(right, y) + y))


@_own(lambda g, y, x: g * _hazard_slope(y, x), cases=[Case("*"), Case("*", domains=(Domain(-9, -1),))])
def normal_hazard(x: Array) -> Array:
    """The density of the normal distribution over its distribution function: the derivative of log_ndtr."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(math.sqrt(2 / math.pi) / special.erfcx(-x / math.sqrt(2)))


FAR = 7  # from here on the asymptotic series has all digits of float64


def _asymptotic(x: Array, order: int, sign: int) -> Array:
    """The derivative of the given order of the sum over k of sign**k (2 k - 1)!! / (2**k x**(2 k + 1)): DLMF 7.12.1."""
    inverse_square, total = 1 / np.square(x), np.zeros_like(x)
    for k in range(25, -1, -1):
        odd = math.prod(range(1, 2 * k, 2)) / 2**k
        total = total * inverse_square + sign**k * odd * math.perm(2 * k + order, order)
    result: Array = (-1) ** order * total / x ** (order + 1)
    return result


@_own(lambda g, y, x, *, order: g * erfcx_derivative(x, order=order + 1), cases=each("*", order=(1, 2, 4)))
def erfcx_derivative(x: Array, order: int) -> Array:
    """The derivative of the given order, at least 1, of erfcx(x) = exp(x**2) erfc(x).

    The first is 2 x erfcx(x) - 2 / sqrt(pi), and more of them by a recursion, DLMF 7.10. Where x is large its terms
    cancel, and the asymptotic series is used.
    """
    x64 = np.asarray(x, np.float64)
    far = x64 > FAR + order
    near = np.where(far, 0, x64)
    with np.errstate(invalid="ignore", over="ignore"):
        before = special.erfcx(near)
        derivative = 2 * near * before - 2 / ROOT_PI
        for n in range(2, order + 1):
            before, derivative = derivative, 2 * near * derivative + 2 * (n - 1) * before
        series = _asymptotic(np.where(far, x64, np.inf), order, -1) / ROOT_PI
    return np.asarray(np.where(far, series, derivative), x.dtype)


@_own(lambda g, y, x, *, order: g * dawsn_derivative(x, order=order + 1), cases=each("*", order=(1, 2, 4)))
def dawsn_derivative(x: Array, order: int) -> Array:
    """The derivative of the given order, at least 1, of Dawson's integral F: F' = 1 - 2 x F, DLMF 7.10."""
    x64 = np.asarray(x, np.float64)
    far = np.abs(x64) > FAR + order
    near = np.where(far, 0, x64)
    before = special.dawsn(near)
    derivative = 1 - 2 * near * before
    for n in range(2, order + 1):
        before, derivative = derivative, -2 * near * derivative - 2 * (n - 1) * before
    series = _asymptotic(np.where(far, x64, np.inf), order, 1) / 2
    return np.asarray(np.where(far, series, derivative), x.dtype)


# --- logarithms, exponentials, entropies -----------------------------------------------------------------------------


def _over(x: Any, y: Any) -> Any:
    """x / y, but 0 where both are 0."""
    both = (array_of(x) == 0) & (array_of(y) == 0)
    return x / (y + both)


unary("expit", lambda g, y, x: g * y * special.expit(-x))
of_probability("logit", lambda g, y, p: g / (p * (1 - p)))
unary("log_expit", lambda g, y, x: g * special.expit(-x))
unary("expm1", lambda g, y, x: g * np.exp(x))
of_positive("log1p", lambda g, y, x: g / (1 + x))
unary("exp2", lambda g, y, x: g * y * math.log(2))
unary("exp10", lambda g, y, x: g * y * math.log(10))
of_nonzero("cbrt", lambda g, y, x: g / (3 * np.square(y)))
unary("cosm1", lambda g, y, x: -g * np.sin(x))
unary("exprel", lambda g, y, x: g * _exprel_slope(x))
unary("sindg", lambda g, y, x: g * special.cosdg(x) * (math.pi / 180))
unary("cosdg", lambda g, y, x: -g * special.sindg(x) * (math.pi / 180))
of_two_positive("xlogy", lambda g, y, a, b: g * np.log(b), lambda g, y, a, b: g * _over(a, b))
_entry(
    "xlog1py",
    lambda g, y, a, b: g * np.log1p(b),
    lambda g, y, a, b: g * _over(a, 1 + b),
    cases=[Case("*, *", domains=(REAL, UNIT))],
)


def _log_within(inside: Any, x: Any) -> Any:
    """log(x) inside of a domain, and 0 elsewhere."""
    return np.log(np.where(array_of(inside), x, 1))


def _are_measures(a: Any, b: Any) -> Any:
    """Where the relative entropy of a and b is finite: elsewhere it does not change, and has a gradient of 0."""
    return ((a > 0) & (b > 0)) | ((a == 0) & (b >= 0))


def _log_ratio(a: Any, b: Any) -> Any:
    """log(a / b) where both are measures, 0 elsewhere and where both are 0."""
    both = (array_of(a) == 0) & (array_of(b) == 0)
    return _log_within(_are_measures(a, b), (a + both) / (b + both))


of_positive("entr", lambda g, y, x: keep(g, x >= 0) * (-1 - _log_within(x >= 0, x)))
of_two_positive(
    "rel_entr",
    lambda g, y, a, b: keep(g, _are_measures(a, b)) * (1 + _log_ratio(a, b)),
    lambda g, y, a, b: -keep(g, _are_measures(a, b)) * _over(a, b),
)
of_two_positive(
    "kl_div",
    lambda g, y, a, b: keep(g, _are_measures(a, b)) * _log_ratio(a, b),
    lambda g, y, a, b: keep(g, _are_measures(a, b)) * (1 - _over(a, b)),
)


def _exprel_slope(u: Any) -> Any:
    """The derivative of (exp(u) - 1) / u, which is the integral of t exp(u t) for t from 0 to 1: DLMF 13.4.1.

    Where u is large it is (exp(u) (u - 1) + 1) / u**2; hyp1f1 takes a time that grows with u.
    """
    is_large = np.abs(array_of(u)) > 40
    small, large = np.where(is_large, 0, u), np.where(is_large, u, 1)
    bounded = np.minimum(large, 800)  # exp(800) is infinite
    far = np.exp(bounded) / bounded * (1 - 1 / large) + np.square(1 / large)
    return np.where(is_large, far, special.hyp1f1(2.0, 3.0, small) / 2)


def _root_slope(u: Any) -> Any:
    """The derivative of log(1 + u) / u: DLMF 15.4.1, of which hyp2f1 has no digits where u is very large."""
    is_large = array_of(u) > 1
    small, large = np.where(is_large, 0, u), np.where(is_large, u, 1)
    far = (1 / (1 + large) - np.log1p(large) / large) / large
    return np.where(is_large, far, -special.hyp2f1(2.0, 2.0, 3.0, -small) / 2)


of_two_positive(
    "boxcox",
    lambda g, y, x, power: g * np.power(x, power - 1.0),
    lambda g, y, x, power: g * np.square(np.log(x)) * _exprel_slope(power * np.log(x)),
)
of_two_positive(
    "boxcox1p",
    lambda g, y, x, power: g * np.exp((power - 1.0) * np.log1p(x)),
    lambda g, y, x, power: g * np.square(np.log1p(x)) * _exprel_slope(power * np.log1p(x)),
)
_of_roots = partial(_entry, cases=[Case("*, *", domains=(INSIDE,))])
_of_roots(
    "inv_boxcox",
    lambda g, y, x, power: g * y / (1 + power * x),
    lambda g, y, x, power: g * y * np.square(x) * _root_slope(power * x),
)
_of_roots(
    "inv_boxcox1p",
    lambda g, y, x, power: g * (1 + y) / (1 + power * x),
    lambda g, y, x, power: g * (1 + y) * np.square(x) * _root_slope(power * x),
)

# delta is positive, and the residuals are on either side of it.
_of_residuals = partial(
    _entry, cases=[Case("*, *", domains=(POSITIVE, Domain(5, 7, either_sign=True))), *_with(4.0, domains=(REAL,))]
)
_of_residuals(
    "huber",
    lambda g, y, delta, r: keep(g, delta >= 0) * np.maximum(np.abs(r) - delta, 0),
    lambda g, y, delta, r: keep(g, delta >= 0) * np.clip(r, -delta, delta),
)
_of_residuals(
    "pseudo_huber",
    lambda g, y, delta, r: keep(g, delta >= 0) * _pseudo_huber_slope(delta, r),
    lambda g, y, delta, r: keep(g, delta >= 0) * delta * _over_hypot(r, delta, y),
)


def _over_hypot(r: Any, delta: Any, like: Any) -> Any:
    """r / hypot(delta, r), also where r is infinite."""
    r = _finite(r, like)
    return r / or_one(np.hypot(delta, r))


def _pseudo_huber_slope(delta: Any, r: Any) -> Any:
    """(h - delta)**2 / h for h = hypot(delta, r), without the cancellation where r is small."""
    h = np.hypot(delta, r)
    return np.square(r * (r / or_one(h + delta))) / or_one(h)


# --- Bessel functions: DLMF 10.6, 10.29 and 10.51 --------------------------------------------------------------------


def _at_pole(x: Any, limit: float, slope: Any) -> Any:
    """The slope, and its limit at 0, where terms of it are infinite."""
    return np.where(array_of(x) == 0, limit, slope)


unary("j0", lambda g, y, x: -g * special.j1(x))
unary("j1", lambda g, y, x: g * (special.j0(x) - special.jv(2.0, x)) / 2)
of_positive("y0", lambda g, y, x: -g * special.y1(x))
of_positive("y1", lambda g, y, x: g * _at_pole(x, math.inf, (special.y0(x) - special.yv(2.0, x)) / 2))
unary("i0", lambda g, y, x: g * special.i1(x))
unary("i1", lambda g, y, x: g * (special.i0(x) + special.iv(2.0, x)) / 2)
of_positive("k0", lambda g, y, x: -g * special.k1(x))
of_positive("k1", lambda g, y, x: -g * (special.k0(x) + special.kv(2.0, x)) / 2)


def _mean_of_neighbours(function: Any, v: Any, x: Any, sign: int = 1) -> Any:
    """Half the sum, or difference, of a function of the orders v - 1 and v + 1. Orders become floating point."""
    below, above = function(v - 1.0, x), function(v + 1.0, x)
    return (below + above if sign > 0 else below - above) / 2


def _scaled_slope(v: Any, x: Any, is_k: bool) -> Any:
    """The slope of exp(-abs(x)) I(v, x), or of exp(x) K(v, x).

    It is the difference of two numbers which grow alike, in which no digits are left where x is large: there it is that
    of the asymptotic series, DLMF 10.40.1 and 10.40.2.
    """
    v = np.asarray(v)
    is_large = array_of(x) > 30 + 2 * np.square(v)
    near, inverse = np.where(is_large, 1, x), 1 / np.where(is_large, x, 1)
    if is_k:
        direct = _at_pole(near, -math.inf, special.kve(v, near) - _mean_of_neighbours(special.kve, v, near))
    else:
        direct = _mean_of_neighbours(special.ive, v, near) - np.sign(near) * special.ive(v, near)
    if not np.any(is_large):
        return direct
    total: Any = 0.0
    coefficients: list[Any] = [math.sqrt(math.pi / 2) if is_k else math.sqrt(0.5 / math.pi)]
    for k in range(1, 16):
        step = (4 * np.square(v) - (2 * k - 1) ** 2) / (8 * k)
        coefficients.append(coefficients[-1] * (step if is_k else -step))
    for k in range(15, -1, -1):
        total = total * inverse - (k + 0.5) * coefficients[k]
    return np.where(is_large, total * inverse * np.sqrt(inverse), direct)


_FAR = [Case("*", domains=(POSITIVE,)), Case("*", domains=(Domain(28, 60),))]
_of_scaled = partial(_entry, cases=[Case("*", domains=(NONZERO,)), *_FAR])
_of_scaled("i0e", lambda g, y, x: g * _scaled_slope(0.0, x, is_k=False))
_of_scaled("i1e", lambda g, y, x: g * _scaled_slope(1.0, x, is_k=False))
_entry("k0e", lambda g, y, x: g * _scaled_slope(0.0, x, is_k=True), cases=_FAR)
_entry("k1e", lambda g, y, x: g * _scaled_slope(1.0, x, is_k=True), cases=_FAR)
_of_bessel = partial(_entry, cases=[*_with(0.0), *_with(1.0), *_with(2.5), *_with(1.0, domains=(Domain(28, 60),))])
_of_bessel("jv", None, lambda g, y, v, x: g * _mean_of_neighbours(special.jv, v, x, -1))
_of_bessel("jve", None, lambda g, y, v, x: g * _mean_of_neighbours(special.jve, v, x, -1))
_of_bessel("yv", None, lambda g, y, v, x: g * _at_pole(x, math.inf, _mean_of_neighbours(special.yv, v, x, -1)))
_of_bessel("yve", None, lambda g, y, v, x: g * _at_pole(x, math.inf, _mean_of_neighbours(special.yve, v, x, -1)))
_of_bessel("iv", None, lambda g, y, v, x: g * _mean_of_neighbours(special.iv, v, x))
_of_bessel("ive", None, lambda g, y, v, x: g * _scaled_slope(v, x, is_k=False))
_of_bessel("kv", None, lambda g, y, v, x: -g * _mean_of_neighbours(special.kv, v, x))
_of_bessel("kve", None, lambda g, y, v, x: g * _scaled_slope(v, x, is_k=True))
by_order("yn", None, lambda g, y, n, x: g * _at_pole(x, math.inf, _mean_of_neighbours(special.yv, n, x, -1)))
by_order("kn", None, lambda g, y, n, x: -g * _mean_of_neighbours(special.kv, n, x))


def _spherical(function: Any, n: Any, x: Any, derivative: bool, below: int, above: int) -> Any:
    """(below n f(n - 1, x) + above (n + 1) f(n + 1, x)) / (2 n + 1), of a spherical Bessel function or of its slope."""
    n = np.asarray(n)
    before, after = (function(order, x, derivative=derivative) for order in (np.maximum(n - 1, 0), n + 1))
    return (below * np.where(n > 0, n * before, 0) + above * (n + 1) * after) / (2 * n + 1)


_SPHERICAL = each("*, *", domains=(ORDER, POSITIVE), derivative=(False, True))


@_own(
    None,
    lambda g, y, n, x, *, derivative=False: g * _spherical(spherical_jn, n, x, derivative, 1, -1),
    cases=_SPHERICAL,
)
def spherical_jn(n: Any, x: Array, derivative: bool = False) -> Array:
    """The spherical Bessel function of the first kind and the integer order n, or its slope.

    >>> from tinygrad_np import Tensor
    >>> spherical_jn(0, Tensor([1.0]))  # sin(x) / x
    Tensor([0.84147096], dtype=float32)
    """
    return _as(special.spherical_jn(n, x, derivative), x)


@_own(
    None,
    lambda g, y, n, x, *, derivative=False: (
        g * _at_pole(x, -math.inf if derivative else math.inf, _spherical(spherical_yn, n, x, derivative, 1, -1))
    ),
    cases=_SPHERICAL,
)
def spherical_yn(n: Any, x: Array, derivative: bool = False) -> Array:
    """The spherical Bessel function of the second kind and the integer order n, or its slope.

    >>> from tinygrad_np import Tensor
    >>> spherical_yn(0, Tensor([1.0]))  # -cos(x) / x
    Tensor([-0.5403023], dtype=float32)
    """
    return _as(special.spherical_yn(n, x, derivative), x)


@_own(
    None,
    lambda g, y, n, x, *, derivative=False: g * _spherical(spherical_in, n, x, derivative, 1, 1),
    cases=_SPHERICAL,
)
def spherical_in(n: Any, x: Array, derivative: bool = False) -> Array:
    """The modified spherical Bessel function of the first kind and the integer order n, or its slope.

    >>> from tinygrad_np import Tensor
    >>> spherical_in(0, Tensor([1.0]))  # sinh(x) / x
    Tensor([1.1752012], dtype=float32)
    """
    return _as(special.spherical_in(n, x, derivative), x)


@_own(
    None,
    lambda g, y, n, x, *, derivative=False: g * _spherical(spherical_kn, n, x, derivative, -1, -1),
    cases=_SPHERICAL,
)
def spherical_kn(n: Any, x: Array, derivative: bool = False) -> Array:
    """The modified spherical Bessel function of the second kind and the integer order n, or its slope.

    >>> from tinygrad_np import Tensor
    >>> spherical_kn(0, Tensor([1.0]))  # pi / 2 * exp(-x) / x
    Tensor([0.5778637], dtype=float32)
    """
    return _as(special.spherical_kn(n, x, derivative), x)


def _struve_term(v: Any, x: Any) -> Any:
    """(x / 2)**v / (2 sqrt(pi) gamma(v + 3 / 2)): DLMF 11.4.23."""
    return np.power(x / 2, v) * (special.rgamma(v + 1.5) / (2 * ROOT_PI))


_of_struve = partial(_entry, cases=[*_with(0.5), *_with(2.0)])
_of_struve("struve", None, lambda g, y, v, x: g * (_mean_of_neighbours(special.struve, v, x, -1) + _struve_term(v, x)))
_of_struve(
    "modstruve", None, lambda g, y, v, x: g * (_mean_of_neighbours(special.modstruve, v, x) + _struve_term(v, x))
)

# Kelvin functions: x f'' + f' = -x (of the other), DLMF 10.61.3; their slopes at 0 are 0, and those of beip 1 / 2.
of_nonzero("ber", lambda g, y, x: g * special.berp(x))
of_nonzero("bei", lambda g, y, x: g * special.beip(x))
of_positive("ker", lambda g, y, x: g * special.kerp(x))
of_positive("kei", lambda g, y, x: g * special.keip(x))
of_nonzero("berp", lambda g, y, x: -g * (special.bei(x) + y / or_one(x)))
of_nonzero("beip", lambda g, y, x: g * (special.ber(x) - _at_pole(x, 0.5, y / or_one(x))))
of_positive("kerp", lambda g, y, x: -g * (special.kei(x) + y / x))
of_positive("keip", lambda g, y, x: g * (special.ker(x) - y / x))

# --- functions with several results ----------------------------------------------------------------------------------


def _part(ufunc: str, i: int, vjp: Function, cases: Sequence[Case]) -> Function:
    """A result of a ufunc that has several, as an operation of its own."""

    def part(x: Array) -> Array:
        result: Array = getattr(special, ufunc)(x)[i]
        return result

    part.__name__ = part.__qualname__ = f"{ufunc}_{i}"
    return _own(vjp, cases=cases)(part)


def _several(ufunc: str, *vjps: Function, domain: Domain) -> tuple[Function, ...]:
    """Register a ufunc of several results, each with a vjp, and return the operations that give one each."""
    cases = [Case("*", domains=(domain,))]
    parts = tuple(_part(ufunc, i, vjp, cases) for i, vjp in enumerate(vjps))

    def all_parts(x: Any) -> Any:
        return tuple(part(x) for part in parts)

    ENTRIES.append(Entry(ufunc, None, ["x"], lambda f: composite(f, cases=cases)(all_parts)))
    return parts


def _sinc(x: Any) -> Any:
    """sin(x) / x."""
    return np.sinc(x / math.pi)


_AIRY: tuple[Function, ...] = _several(
    "airy",
    lambda g, y, x: g * _AIRY[1](x),
    lambda g, y, x: g * x * _AIRY[0](x),
    lambda g, y, x: g * _AIRY[3](x),
    lambda g, y, x: g * x * _AIRY[2](x),
    domain=REAL,
)
_AIRYE: tuple[Function, ...] = _several(
    "airye",
    lambda g, y, x: g * (_AIRYE[1](x) + np.sqrt(x) * y),
    lambda g, y, x: g * (x * _AIRYE[0](x) + np.sqrt(x) * y),
    lambda g, y, x: g * (_AIRYE[3](x) - np.sqrt(x) * y),
    lambda g, y, x: g * (x * _AIRYE[2](x) - np.sqrt(x) * y),
    domain=POSITIVE,
)
_several("sici", lambda g, y, x: g * _sinc(x), lambda g, y, x: g * np.cos(x) / x, domain=NONZERO)
_several("shichi", lambda g, y, x: g * spherical_in(0, x), lambda g, y, x: g * np.cosh(x) / x, domain=NONZERO)
_several(
    "fresnel",
    lambda g, y, x: g * np.sin(math.pi / 2 * np.square(x)),
    lambda g, y, x: g * np.cos(math.pi / 2 * np.square(x)),
    domain=REAL,
)

# --- exponential integrals, hypergeometric functions, and others -----------------------------------------------------

of_nonzero("expi", lambda g, y, x: g * np.exp(x) / x)
of_positive("exp1", lambda g, y, x: -g * np.exp(-x) / x)
by_order("expn", None, lambda g, y, n, x: -g * _expn_before(y, n, x))


def _expn_before(y: Any, n: Any, x: Any) -> Any:
    """The exponential integral of order n - 1, from y, that of order n: DLMF 8.19.12 and 8.19.13."""
    n = np.asarray(n)
    return np.where(n > 0, special.expn(np.maximum(n - 1, 0), x), y * (1 + 1 / x))


_entry("hyp0f1", None, lambda g, y, v, x: g * special.hyp0f1(v + 1.0, x) / v, cases=_with(1.5, domains=(REAL,)))
_entry(
    "hyp1f1",
    None,
    None,
    lambda g, y, a, b, x: g * (a / b) * special.hyp1f1(a + 1.0, b + 1.0, x),
    cases=_with(0.5, 1.5, domains=(REAL,)),
)
_entry(
    "hyp2f1",
    None,
    None,
    None,
    lambda g, y, a, b, c, x: g * (a * b / c) * special.hyp2f1(a + 1.0, b + 1.0, c + 1.0, x),
    cases=_with(0.5, 1.2, 1.7, domains=(UNIT,)),
)
_entry(
    "hyperu",
    None,
    None,
    lambda g, y, a, b, x: -g * a * special.hyperu(a + 1.0, b + 1.0, x),
    cases=_with(0.5, 1.5),
)
_of_parameter = partial(_entry, cases=[Case("*", domains=(Domain(-2, 0.9),))])
_of_parameter("ellipk", lambda g, y, m: g * (math.pi / 8) * special.hyp2f1(1.5, 1.5, 2.0, m))
_of_parameter("ellipe", lambda g, y, m: -g * (math.pi / 8) * special.hyp2f1(0.5, 1.5, 2.0, m))


def _spence_slope(x: Any) -> Any:
    """log(x) / (1 - x), also at 1."""
    is_large = array_of(x) > 2
    small, large = np.where(is_large, 1, x), np.where(is_large, x, 2)
    return np.where(is_large, np.log(large) / (1 - large), -special.hyp2f1(1.0, 1.0, 2.0, 1 - small))


of_positive("spence", lambda g, y, x: g * _spence_slope(x))
unary("wrightomega", lambda g, y, x: g * y / (1 + y))


@_own(
    lambda g, y, x: g * np.exp(-y) / (1 + y),
    cases=[Case("*", domains=(Domain(-0.3, 3),))],
)
def lambertw(x: Array) -> Array:
    """The real principal branch w >= -1 of w exp(w) = x; NaN below -1 / e, where `scipy.special.lambertw` is complex.

    >>> from tinygrad_np import Tensor
    >>> lambertw(Tensor([0.0, 1.0]))
    Tensor([0.        , 0.56714326], dtype=float32)
    """
    w, floating = special.lambertw(x), np.asarray(_as(x, x))
    w = np.where((w.imag == 0) & (w.real >= -1), w.real, np.nan)
    branch = np.abs(floating + math.exp(-1)) <= np.finfo(floating.dtype).eps / 8  # -1 / e itself, which is rounded
    return _as(np.where(branch, -1, w), x)
