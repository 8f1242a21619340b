"""SciPy as the oracle of `tinygrad_np.stats`: values, support, parameters out of range; gradients by differences."""

import math
from collections.abc import Iterator
from typing import Any

from tinygrad_np import Tensor, func, grad, stats
from tinygrad_np._registry import registry
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

theirs = pytest.importorskip("scipy.stats")
INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def leaf(data: Any, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


# --- values: those of SciPy ------------------------------------------------------------------------------------------

X = np.array([-2, -1e-3, 0, 0.2, 0.5, 1, 1.5, 3, 50, 1e3, -INF, NAN])
K = np.array([-1, 0, 1, 2, 3, 5, 7, 0.5, 2.5, 1000, -INF, NAN])
CONTINUOUS: list[tuple[str, tuple[Any, ...]]] = [
    ("norm", ()),
    ("norm", (0.3, 2.0)),
    ("norm", (0.0, -1.0)),
    ("norm", (0.0, 0.0)),
    ("t", (3.0, 0.5, 2.0)),
    ("t", (INF,)),
    ("t", (1e9,)),
    ("t", (-1.0,)),
    ("gamma", (2.0, 0.1, 2.0)),
    ("gamma", (1.0,)),
    ("gamma", (0.5,)),
    ("gamma", (-1.0,)),
    ("chi2", (3.0,)),
    ("chi2", (2, 0.5, 2.0)),
    ("chi2", (0.0,)),
    ("beta", (2.0, 3.0)),
    ("beta", (1.0, 1.0)),
    ("beta", (0.5, 0.5)),
    ("beta", (2.0, 3.0, -1.0, 2.0)),
    ("beta", (0.0, 1.0)),
]
DISCRETE: list[tuple[str, tuple[Any, ...]]] = [
    ("poisson", (2.0,)),
    ("poisson", (2.0, 1)),
    ("poisson", (0.0,)),
    ("poisson", (-1.0,)),
    ("binom", (5, 0.3)),
    ("binom", (5, 0.3, 2)),
    ("binom", (5, 0.0)),
    ("binom", (5, 1.0)),
    ("binom", (5, 1.2)),
    ("binom", (0, 0.5)),
    ("binom", (-1, 0.5)),
    ("nbinom", (3.0, 0.3)),
    ("nbinom", (2.5, 1.0)),
    ("nbinom", (2.5, 0.0)),
    ("nbinom", (0.0, 0.5)),
    ("bernoulli", (0.3,)),
    ("bernoulli", (0.0,)),
    ("bernoulli", (1.0,)),
    ("bernoulli", (2.0,)),
]
METHODS = [
    (name, method, x, parameters)
    for kinds, x in ((CONTINUOUS, X), (DISCRETE, K))
    for name, parameters in kinds
    for method in ("logpdf", "pdf", "logpmf", "pmf", "cdf", "sf", "logcdf", "logsf")
    if hasattr(getattr(stats, name), method)
]


@pytest.mark.parametrize(("name", "method", "x", "parameters"), METHODS)
def test_values_are_those_of_scipy(name: str, method: str, x: Any, parameters: tuple[Any, ...]) -> None:
    ours = getattr(getattr(stats, name), method)
    with np.errstate(all="ignore"):
        expected = getattr(getattr(theirs, name), method)(x, *parameters)
    for found in (
        ours(x, *parameters),
        ours(x.tolist(), *parameters),
        getattr(getattr(stats, name)(*parameters), method)(x),
    ):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=2e-12, atol=3e-16)
    for i, parameter in enumerate(parameters):
        if name == "binom" and i == 0:
            continue
        if isinstance(parameter, float):
            given = [*parameters[:i], Tensor(np.array(parameter)), *parameters[i + 1 :]]
            found = ours(x, *given)
            assert type(found) is Tensor
            np.testing.assert_allclose(found.data, expected, rtol=2e-12, atol=3e-16)


def test_tails_that_scipy_loses() -> None:
    assert stats.gamma.logpdf(INF, 2.0) == -INF  # NaN in SciPy
    assert stats.poisson.logpmf(INF, 2.0) == -INF
    np.testing.assert_allclose(stats.t.logpdf(1e200, 3.0), math.log(6 * math.sqrt(3) / math.pi) - 800 * math.log(10))


MEAN, COV = np.array([0.5, -1.0, 2.0]), np.array([[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 1.5]])


@pytest.mark.parametrize(
    ("x", "parameters"),
    [
        (np.zeros(3), (MEAN, COV)),
        (np.arange(12.0).reshape(4, 3), (MEAN, COV)),
        (np.arange(24.0).reshape(2, 4, 3), (MEAN, COV)),
        (np.arange(12.0).reshape(4, 3), (None, COV)),
        (np.arange(12.0).reshape(4, 3), (MEAN, 2.0)),
        (np.arange(12.0).reshape(4, 3), (MEAN, np.array([1.0, 2.0, 3.0]))),
        (np.arange(4.0), ()),
        (1.5, (0.5, 2.0)),
    ],
)
def test_multivariate_normal(x: Any, parameters: tuple[Any, ...]) -> None:
    for method in ("logpdf", "pdf"):
        expected = getattr(theirs.multivariate_normal, method)(x, *parameters)
        found = getattr(stats.multivariate_normal, method)(x, *parameters)
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_multivariate_normal_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="must be equal, not of shapes"):
        stats.multivariate_normal.logpdf(np.zeros((4, 2)), MEAN, COV)
    with pytest.raises(np.linalg.LinAlgError):
        stats.multivariate_normal.logpdf(np.zeros(2), [0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])


ALPHA, SIMPLEX = np.array([0.5, 1.0, 2.5]), np.array([[0.2, 0.7], [0.3, 0.1], [0.5, 0.2]])


@pytest.mark.parametrize("x", [SIMPLEX, SIMPLEX[:, 0], SIMPLEX[:2], SIMPLEX[:2, 1]], ids=["3x2", "3", "2x2", "2"])
def test_dirichlet(x: Any) -> None:
    np.testing.assert_allclose(stats.dirichlet.logpdf(x, ALPHA), theirs.dirichlet.logpdf(x, ALPHA), rtol=1e-13)
    np.testing.assert_allclose(stats.dirichlet(ALPHA).pdf(x), theirs.dirichlet.pdf(x, ALPHA), rtol=1e-13)


def test_dirichlet_refuses_what_is_no_distribution() -> None:
    for x, alpha, message in (
        ([0.5, 0.6], [1.0, 2.0], "add up to 1"),
        ([-0.5, 1.5], [1.0, 2.0], "at least 0"),
        ([0.5, 0.5], [1.0, -2.0], "every alpha"),
        ([0.5, 0.5], [1.0, 2.0, 3.0, 4.0], "not the shapes"),
    ):
        with pytest.raises(ValueError, match=message):
            stats.dirichlet.logpdf(x, alpha)


def test_categorical() -> None:
    p = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
    expected = np.array([[math.log(0.2), -INF], [math.log(0.5), 0.0], [-INF, -INF], [-INF, -INF], [NAN, NAN]])
    k = np.array([0, 1, 3, 0.5, NAN])[:, None]
    np.testing.assert_allclose(stats.categorical.logpmf(k, p), expected)
    np.testing.assert_allclose(stats.categorical.pmf(k, p), np.exp(expected))
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(stats.categorical.logpmf(k, logits=np.log(p) + 3), expected)
    assert np.isnan(stats.categorical.logpmf(0, [1.5, -0.5]))
    assert stats.categorical.logpmf(2, logits=[0.0, 0.0, -1e4]) == pytest.approx(-1e4 - math.log(2))
    for wrong in ({}, {"p": p, "logits": p}):
        with pytest.raises(TypeError, match="takes probabilities, p, or logits="):
            stats.categorical.logpmf(0, **wrong)


# --- gradients: those of finite differences --------------------------------------------------------------------------

LOC, SCALE = (-0.5, 0.5), (0.5, 2.0)
SHAPE, PROBABILITY = (0.5, 4.0), (0.1, 0.9)
DENSITIES = {
    "norm": ((-3.0, 3.0), LOC, SCALE),
    "t": ((-3.0, 3.0), (0.7, 30.0), LOC, SCALE),
    "gamma": ((1.0, 4.0), SHAPE, LOC, SCALE),
    "chi2": ((1.0, 4.0), SHAPE, LOC, SCALE),
    "beta": ((0.55, 0.9), SHAPE, SHAPE, (0.0, 0.5), (1.0, 2.0)),
}
DISTRIBUTIONS = {  # what of the parameters is fixed stands first
    "norm": ((), ((-3.0, 3.0), LOC, SCALE)),
    "t": ((3.5,), ((-3.0, 3.0), LOC, SCALE)),
    "gamma": ((1.7,), ((1.0, 4.0), LOC, SCALE)),
    "chi2": ((3.0,), ((1.0, 4.0), LOC, SCALE)),
    "beta": ((1.7, 2.5), ((0.55, 0.9), (0.0, 0.5), (1.0, 2.0))),
}


def drawn(data: st.DataObject, domains: Any) -> list[Any]:
    """Arrays that broadcast together, one in each domain."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shapes = [data.draw(st.sampled_from([(), (3,), (2, 1), (2, 3)])) for _ in domains]
    return [rng.uniform(*domain, shape) for domain, shape in zip(domains, shapes, strict=True)]


@pytest.mark.parametrize("name", DENSITIES)
@given(data=st.data())
def test_gradients_of_log_densities(name: str, data: st.DataObject) -> None:
    check_gradients(getattr(stats, name).logpdf, *drawn(data, DENSITIES[name]), order=2)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("method", ["pdf", "cdf", "sf", "logcdf", "logsf"])
@given(data=st.data())
def test_gradients_of_distribution_functions(name: str, method: str, data: st.DataObject) -> None:
    function = getattr(getattr(stats, name), method, None)
    fixed, domains = DISTRIBUTIONS[name]
    if function is not None:
        check_gradients(lambda x, *others: function(x, *fixed, *others), *drawn(data, domains), order=2)


COUNTS = np.array([[0.0, 1.0, 2.0], [5.0, 3.0, 4.0]])


@pytest.mark.parametrize("method", ["logpmf", "pmf", "cdf", "sf"])
@given(data=st.data())
def test_gradients_of_discrete_distributions(method: str, data: st.DataObject) -> None:
    mu, p, n = drawn(data, (SHAPE, PROBABILITY, SHAPE))
    check_gradients(lambda mu: getattr(stats.poisson, method)(COUNTS, mu), mu, order=2)
    check_gradients(lambda p: getattr(stats.binom, method)(COUNTS, 6, p), p, order=2)
    if method in ("cdf", "sf"):
        check_gradients(lambda p: getattr(stats.nbinom, method)(COUNTS, 1.7, p), p, order=2)
    else:
        check_gradients(lambda n, p: getattr(stats.nbinom, method)(COUNTS, n, p), n, p, order=2)
        check_gradients(lambda p: getattr(stats.bernoulli, method)(COUNTS < 2, p), p, order=2)
        rows = np.stack([p, p / 2, p / 3], axis=-1)
        check_gradients(lambda p: getattr(stats.categorical, method)(COUNTS % 3, p), rows, order=2)
        check_gradients(lambda z: getattr(stats.categorical, method)(COUNTS % 3, logits=z), rows, order=2)


@pytest.mark.parametrize("cov", [COV, np.array([1.0, 2.0, 0.5]), 1.7], ids=["matrix", "diagonal", "number"])
def test_gradients_of_the_multivariate_normal_distribution(cov: Any) -> None:
    def logpdf(x: Any, mean: Any, cov: Any) -> Any:
        cov = (cov + np.swapaxes(cov, 0, 1)) / 2 if cov.ndim == 2 else cov
        return stats.multivariate_normal.logpdf(x, mean, cov)

    x = np.random.default_rng(0).normal(size=(4, 3))
    check_gradients(logpdf, x, MEAN, np.asarray(cov), order=2)
    check_gradients(logpdf, x[0], MEAN, np.asarray(cov), order=2)


def test_gradients_of_the_dirichlet_distribution() -> None:
    check_gradients(stats.dirichlet.logpdf, SIMPLEX[:2], ALPHA, order=2)
    logits = np.log(SIMPLEX[:, 0])

    def of_logits(z: Any, alpha: Any) -> Any:
        e = np.exp(z)
        return stats.dirichlet.logpdf(e / np.sum(e), alpha)

    check_gradients(of_logits, logits, ALPHA, order=2)


# --- outside of the support, bad parameters, dtypes, refusals --------------------------------------------------------

OUTSIDE = [
    ("gamma", "logpdf", -1.0, (2.0, 0.0, 1.0)),
    ("gamma", "cdf", -1.0, (2.0,)),
    ("gamma", "sf", -1.0, (2.0,)),
    ("chi2", "logpdf", -1.0, (3.0,)),
    ("beta", "logpdf", 1.5, (2.0, 3.0, 0.0, 1.0)),
    ("beta", "logpdf", -0.5, (0.5, 0.5)),
    ("beta", "cdf", 1.5, (2.0, 3.0)),
]


@pytest.mark.parametrize(("name", "method", "x", "parameters"), OUTSIDE)
def test_outside_of_the_support_gradients_are_zero(name: str, method: str, x: float, parameters: Any) -> None:
    is_density = method == "logpdf"
    given = [leaf(x), *(leaf(p) if is_density else p for p in parameters)]
    y = getattr(getattr(stats, name), method)(*given)
    assert y.data == {"logpdf": -INF, "cdf": float(x > 0), "sf": float(x < 0)}[method]
    leaves = [t for t in given if type(t) is Tensor]
    for g in grad(y, leaves, create_graph=True):
        assert g.data == 0
    densities = getattr(stats, name).pdf(*given) if is_density else y
    assert all(g.data == 0 for g in grad(densities, leaves))


def test_an_element_outside_leaves_the_others_alone() -> None:
    a, alone = leaf(2.0), leaf(2.0)
    inside = np.array([1.0, 3.0])
    both = grad(stats.gamma.logpdf(np.array([-1.0, 1.0, 3.0]), a)[1:].sum(), a, create_graph=True)
    assert both.data == grad(stats.gamma.logpdf(inside, alone).sum(), alone).data
    k, p = np.array([0.5, 1.0, 9.0]), leaf(0.3)
    assert grad(stats.binom.logpmf(k, 5, p)[1:2].sum(), p).data == grad(stats.binom.logpmf([1.0], 5, p).sum(), p).data


@pytest.mark.parametrize(
    ("name", "k", "p", "slope"),
    [
        ("bernoulli", 0, 0.0, -1.0),
        ("bernoulli", 1, 1.0, 1.0),
        ("bernoulli", 1, 0.0, INF),
        ("poisson", 0, 0.0, -1.0),
        ("nbinom", 0, 1.0, 3.0),
        ("binom", 0, 0.0, -3.0),
        ("binom", 3, 1.0, 3.0),
        ("binom", 9, 1.0, 0.0),
        ("binom", -1, 0.0, 0.0),
        ("poisson", -1, 0.0, 0.0),
        ("nbinom", -1, 1.0, 0.0),
        ("bernoulli", 2, 0.0, 0.0),
    ],
)
def test_gradients_at_the_ends_of_a_parameter(name: str, k: int, p: float, slope: float) -> None:
    parameter = leaf(p)
    numbers = (3,) if name in ("binom", "nbinom") else ()
    y = getattr(stats, name).logpmf(k, *numbers, parameter)
    np.testing.assert_allclose(grad(y, parameter).data, slope)


def test_categorical_probabilities_of_zero_have_finite_gradients() -> None:
    p = leaf([0.0, 1.0])
    np.testing.assert_array_equal(grad(stats.categorical.logpmf(1, p), p).data, [0, 1])


SINGLE = [
    (stats.norm.logpdf, (1.0, 0.5, 2.0)),
    (stats.norm.logcdf, (1.0, 0.5, 2.0)),
    (stats.t.logpdf, (1.0, 3.0)),
    (stats.t.cdf, (1.0, 3.0)),
    (stats.gamma.logpdf, (1, 2)),
    (stats.gamma.cdf, (1.0, 2.0)),
    (stats.chi2.logpdf, (1.0, 3)),
    (stats.beta.logpdf, (0.5, 2, 3)),
    (stats.beta.sf, (0.5, 2.0, 3.0)),
    (stats.poisson.logpmf, (3, 2.0)),
    (stats.poisson.cdf, (3, 2.0)),
    (stats.binom.logpmf, (3, 5, 0.5)),
    (stats.binom.cdf, (3, 5, 0.5)),
    (stats.nbinom.logpmf, (3, 5, 0.5)),
    (stats.bernoulli.logpmf, (1, 0.5)),
]


@pytest.mark.parametrize(("function", "arguments"), SINGLE, ids=lambda value: getattr(value, "__qualname__", ""))
def test_float32_stays_float32(function: Any, arguments: tuple[Any, ...]) -> None:
    discrete = isinstance(function.__self__, stats.Discrete)
    i = len(arguments) - 1 if discrete else 0  # the argument that is a Tensor
    others = [np.array([1, 0, 3]) if discrete and k == 0 else a for k, a in enumerate(arguments)]
    t = leaf(np.full(3, arguments[i]), np.float32)
    y = function(*others[:i], t, *others[i + 1 :])
    assert y.dtype == np.float32
    assert grad(y.sum(), t).dtype == np.float32
    wide = function(*others[:i], t.data.astype(np.float64), *others[i + 1 :])
    np.testing.assert_allclose(y.data, wide, rtol=1e-5)


def test_float32_stays_float32_in_several_dimensions() -> None:
    x = leaf(np.zeros((4, 2)), np.float32)
    assert stats.multivariate_normal.logpdf(x, [0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]]).dtype == np.float32
    assert stats.dirichlet.logpdf([0.25, 0.75], leaf([1.0, 2.0], np.float32)).dtype == np.float32
    assert stats.categorical.logpmf([0, 1], leaf([0.25, 0.75], np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", ["poisson", "binom", "nbinom", "bernoulli"])
def test_counts_have_no_gradient(name: str) -> None:
    numbers = (5,) if name in ("binom", "nbinom") else ()
    distribution = getattr(stats, name)
    with pytest.raises(TypeError, match=rf"{name}.logpmf is not differentiable in k, an integer: .*\.detach"):
        distribution.logpmf(leaf(1.0), *numbers, 0.5)
    with pytest.raises(TypeError, match="not differentiable in loc"):
        distribution.logpmf(1, *numbers, 0.5, leaf(0.0))
    assert distribution.logpmf(Tensor(np.array(1)), *numbers, 0.5).ndim == 0


def test_shapes_without_a_gradient_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="binom.cdf is not differentiable in n"):
        stats.binom.cdf(1, leaf(5.0), 0.5)
    for call in (
        lambda a: stats.gamma.cdf(1.0, a),
        lambda a: stats.beta.sf(0.5, a, 2.0),
        lambda a: stats.t.cdf(0.5, a),
        lambda a: stats.nbinom.cdf(1, a, 0.5),
    ):
        with pytest.raises(TypeError, match="is not differentiable in argument 0: pass the Tensor's .detach"):
            call(leaf(2.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: theirs.norm.logpdf(t),
        lambda t: theirs.norm(t, 1.0).pdf(0.5),
        lambda t: theirs.poisson.logpmf(1, t),
        lambda t: theirs.multivariate_normal.logpdf(t, np.zeros(2)),
        lambda t: theirs.dirichlet.logpdf([0.5, 0.5], t),
    ],
)
def test_scipys_own_refuse_tensors_and_say_what_to_write(call: Any) -> None:
    with pytest.raises(TypeError, match="this function of scipy.stats takes arrays only: tinygrad_np.stats has bern"):
        call(leaf([0.5, 0.7]))


def test_a_frozen_distribution_has_the_methods_of_the_other() -> None:
    frozen = stats.gamma(2.0, scale=0.5)
    assert frozen.logpdf(1.0) == stats.gamma.logpdf(1.0, 2.0, scale=0.5)
    with pytest.raises(AttributeError, match="ppf"):
        _ = frozen.ppf
    assert repr(stats.norm) == "<Normal distribution; its methods are those of scipy.stats>"


def test_maximum_likelihood_by_newtons_method() -> None:
    x = theirs.gamma.rvs(2.5, scale=0.7, size=200, random_state=0)

    def loss(parameters: Any) -> Any:
        return -stats.gamma.logpdf(x, np.exp(parameters[0]), scale=np.exp(parameters[1])).mean()

    parameters = np.log([np.square(x.mean()) / x.var(), x.var() / x.mean()])  # by the moments
    for _ in range(5):
        parameters = parameters - np.linalg.solve(func.hessian(loss)(parameters), func.grad(loss)(parameters))
    a, _, scale = theirs.gamma.fit(x, floc=0)
    np.testing.assert_allclose(np.exp(parameters), [a, scale], rtol=1e-6)
