"""SciPy's special functions of Tensors: the proofs of `test_operations`, singular points, far out, and what is refused.

Nothing is registered when this file is collected, so that the tests of other operations find the registry without them.
"""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tinygrad_np import Tensor, func, grad, primitive, special
from tinygrad_np._registry import Constant, Primitive, registry
from tinygrad_np.ops import scipy_special
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
import random_programs as programs
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from test_operations import PROPERTIES, arguments

scipy = pytest.importorskip("scipy.special")
INF = np.inf

UFUNCS = sorted({f for f in vars(scipy).values() if isinstance(f, np.ufunc)}, key=lambda f: f.__name__)
ENTRIES = [entry for entry in scipy_special.ENTRIES if entry.name != "gammasgn"]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    before = dict(registry)
    scipy_special.register()
    yield
    registry.clear()
    registry.update(before)


def leaf(data: Any, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


# --- the proofs ------------------------------------------------------------------------------------------------------


def test_this_version_of_scipy_has_every_function() -> None:
    assert [entry.name for entry in scipy_special.ENTRIES if entry.function is None] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@given(data=st.data())
def test_all_properties_hold_for_every_case(entry: scipy_special.Entry, data: st.DataObject) -> None:
    operation = registry[entry.function]
    assert not isinstance(operation, Constant)
    assert operation.cases
    for case in operation.cases:
        arrays = data.draw(arguments(case), label=str(case))
        for holds in PROPERTIES:
            try:
                holds(operation, case, arrays)
            except Exception as error:
                error.add_note(f"{entry.name}({case}): it is not true that {holds.__name__.replace('_', ' ')}")
                raise


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_some_case_proves_each_argument_that_has_a_gradient(entry: scipy_special.Entry) -> None:
    operation = registry[entry.function]
    if not isinstance(operation, Primitive):
        return
    proved: set[int] = set()
    for case in operation.cases:
        domains = [case.domains[min(i, len(case.domains) - 1)] for i in range(case.shapes.count("*"))]
        arrays = [np.ones((), int) if d.kind == "i" else np.asarray((d.low + d.high) / 2) for d in domains]
        y = programs.call(operation, case, [leaf(a) if a.dtype.kind == "f" else a for a in arrays])[0]
        proved |= {i for i, a in enumerate(y._node[1]) if type(a) is Tensor}
    assert proved == {i for i, vjp in enumerate(operation.vjps) if vjp is not None}


def test_the_sign_of_gamma_is_a_plain_array() -> None:
    np.testing.assert_array_equal(scipy.gammasgn(leaf([0.5, -0.5])), [1, -1])


# --- which functions take Tensors ------------------------------------------------------------------------------------


def test_scipy_is_not_imported_before_it_is_used() -> None:
    code = (
        "import sys, tinygrad_np.special, tinygrad_np.stats as stats, numpy as np\n"
        "stats.norm.logpdf(np.ones(2)), tinygrad_np.special.logsumexp(np.ones(2))\n"
        "stats.multivariate_normal.logpdf(np.ones(2), np.ones(2)), stats.bernoulli.logpmf(1, 0.5)\n"
        "stats.categorical.logpmf(1, [0.5, 0.5])\n"
        "print('scipy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_function_of_scipy_is_registered_when_it_first_meets_a_tensor() -> None:
    code = (
        "import numpy as np, scipy.special\n"
        "from tinygrad_np import Tensor, grad\n"
        "from tinygrad_np.tensor import registry\n"
        "assert scipy.special.gammaln not in registry\n"
        "x = Tensor(np.ones(1), requires_grad=True)\n"
        "print(grad(scipy.special.gammaln(x), x).data)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[-0.57721566]\n"


def test_without_scipy_an_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from tinygrad_np import special, stats\n"
        "calls = [lambda: special.gammaln, lambda: special.polygamma(1, 2.0), lambda: stats.gamma.logpdf(1, 2)]\n"
        "for call in calls:\n"
        "    try:\n"
        "        call()\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.endswith("needs SciPy: python -m pip install scipy") for line in lines)


def test_without_scipy_modules_can_be_inspected() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "import doctest\n"
        "from tinygrad_np import special, stats\n"
        "from tinygrad_np.ops import scipy_functions\n"
        "doctest.DocTestFinder().find(special)\n"
        "print(*(len(doctest.DocTestFinder().find(module)) > 1 for module in (scipy_functions, stats)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True True\n"


def test_what_a_user_has_registered_stays() -> None:
    registry.pop(scipy.gammaln)
    mine = primitive(scipy.gammaln, lambda g, y, x: g * scipy.psi(x))
    entry = registry[scipy.gammaln]
    scipy_special.register()
    assert registry[scipy.gammaln] is entry
    assert mine(leaf(1.0)).data == 0


METHODS = ("reduce", "accumulate", "outer", "reduceat", "at")


def test_every_ufunc_of_a_tensor_has_a_gradient_or_is_refused_by_name() -> None:
    x = leaf([0.5, 0.25])
    assert len(UFUNCS) > 200
    for ufunc in UFUNCS:
        if ufunc in registry:
            continue
        with pytest.raises(TypeError, match=f"^{ufunc.__name__} of a Tensor is not supported"):
            ufunc(*[x] * ufunc.nin)
    for ufunc in UFUNCS:
        for method in METHODS if ufunc.nin == 2 and ufunc.nout == 1 else ():
            others = {"outer": (x,), "reduceat": ([0],), "at": ([0], x)}.get(method, ())
            with pytest.raises(TypeError, match=f"^{ufunc.__name__}.{method} of a Tensor is not supported"):
                getattr(ufunc, method)(x, *others)


@pytest.mark.filterwarnings("ignore")  # of SciPy, for numbers that should be integers
@pytest.mark.parametrize("ufunc", [f for f in UFUNCS if f.nin > 1], ids=lambda f: f.__name__)
def test_arguments_without_a_gradient_are_refused_by_name(ufunc: np.ufunc) -> None:
    operation = registry.get(ufunc)
    if operation is None:
        return
    for i, vjp in enumerate(operation.vjps):
        arguments = [np.array([0.5])] * ufunc.nin
        arguments[i] = leaf([0.5])
        if vjp is None:
            with pytest.raises(TypeError, match=f"not differentiable in argument {i}: pass the Tensor's .detach"):
                ufunc(*arguments)
        else:
            assert ufunc(*arguments).requires_grad


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_keyword_is_refused(entry: scipy_special.Entry) -> None:
    function: Any = entry.function
    if entry.own is None and function.nout == 1:
        for keyword in ({"out": np.zeros(1)}, {"where": np.array([True])}, {"casting": "no"}):
            with pytest.raises(TypeError, match="does not support"):
                function(*[leaf([0.5])] * function.nin, **keyword)


@pytest.mark.parametrize("ufunc", [f for f in UFUNCS if f.nin > 1 and f.nout == 1], ids=lambda f: f.__name__)
def test_a_python_number_leaves_float32_alone(ufunc: np.ufunc) -> None:
    if ufunc in registry and ufunc.__name__ not in ("bdtr", "bdtrc"):
        y = ufunc(*[2] * (ufunc.nin - 1), leaf([0.5], np.float32))
        assert y.dtype == np.float32
        assert ufunc(*[2.0] * (ufunc.nin - 1), leaf([0.5], np.float32)).dtype == np.float32


def test_a_python_number_beside_integers_is_scipys() -> None:
    for dtype in (np.int8, np.int64):
        k = np.array([1, 2], dtype)
        np.testing.assert_array_equal(scipy.xlogy(0.1, Tensor(k)).data, scipy.xlogy(0.1, k))
        assert scipy.xlogy(0.1, Tensor(k)).dtype == scipy.xlogy(0.1, k).dtype


# --- functions of Python ---------------------------------------------------------------------------------------------

PYTHONS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("polygamma", lambda module, x: module.polygamma(1, x)),
    ("multigammaln", lambda module, x: module.multigammaln(x + 2, 3)),
    ("logsumexp", lambda module, x: module.logsumexp(x, axis=0, b=x - 1)),
    ("softmax", lambda module, x: module.softmax(x)),
    ("softmax", lambda module, x: module.softmax(x, axis=0)),
    ("softmax", lambda module, x: module.softmax(x, axis=(0, 1))),
    ("softmax", lambda module, x: module.softmax(np.stack([x, x + 1]), axis=(0, 2))),
    ("log_softmax", lambda module, x: module.log_softmax(x)),
    ("log_softmax", lambda module, x: module.log_softmax(x, axis=1)),
    *(
        (name, lambda module, x, name=name, derivative=derivative: getattr(module, name)(2, x, derivative))
        for name in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn")
        for derivative in (False, True)
    ),
]


@pytest.mark.parametrize(("name", "call"), PYTHONS, ids=[name for name, _ in PYTHONS])
def test_functions_of_python_are_those_of_scipy(name: str, call: Callable[[Any, Any], Any]) -> None:
    x = np.array([[0.5, 1.7, 2.5], [3.0, 1.2, 1.9]])
    expected = call(scipy, x)
    np.testing.assert_allclose(call(special, x), expected, rtol=1e-13)
    np.testing.assert_allclose(call(special, leaf(x)).data, expected, rtol=1e-13)
    assert call(special, leaf(x, np.float32)).dtype == np.float32
    check_gradients(partial(call, special), x, order=2)
    with pytest.raises(TypeError, match=f"takes arrays only: .*tinygrad_np.special.*{name}.*, with the same arguments"):
        call(scipy, leaf(x))


def test_functions_that_have_no_gradient_say_so() -> None:
    with pytest.raises(
        TypeError, match="takes arrays only: tinygrad_np.special has lambertw, log_softmax, .* with the same"
    ):
        scipy.comb(leaf([3.0]), 2)
    with pytest.raises(TypeError, match="_lambertw of a Tensor .*tinygrad_np.special.lambertw is, of real numbers"):
        scipy.lambertw(leaf([3.0]))
    with pytest.raises(TypeError, match="_riemann_zeta of a Tensor .*zeta.x, q. is, in q"):
        scipy.zeta(leaf([3.0]))
    for name in ("wofz", "hankel1"):
        with pytest.raises(TypeError, match=f"{name} of a Tensor is not supported; it is complex"):
            getattr(scipy, name)(*[leaf([3.0])] * getattr(scipy, name).nin)
    with pytest.raises(AttributeError, match="tinygrad_np.special has no comb"):
        _ = special.comb


def test_the_module_has_scipys_functions() -> None:
    assert {"gammaln", "digamma", "jn", "xlogy", "zeta", "polygamma"} <= {*dir(special)}
    for name in dir(special):
        assert callable(getattr(special, name)), name
    assert special.gammaln is scipy.gammaln


LOGSUMEXP = [
    ([0.0, 1000.0, -1000.0], [1.0, 2.0, -3.0]),
    ([0.0, -1.0], [0.0, 2.0]),
    ([800.0, -800.0], [0.0, 1.0]),
    ([-INF, 0.0], [1.0, 1.0]),
    ([-INF, -INF], [1.0, 1.0]),
    ([0.0, 0.0], [1.0, -2.0]),
]


@pytest.mark.parametrize(("a", "b"), LOGSUMEXP)
@pytest.mark.parametrize("return_sign", [False, True])
def test_logsumexp_with_factors(a: list[float], b: list[float], return_sign: bool) -> None:
    found = special.logsumexp(leaf(a), b=leaf(b), return_sign=return_sign)
    with np.errstate(all="ignore"):
        expected = scipy.logsumexp(np.array(a), b=np.array(b), return_sign=return_sign)
    if return_sign:
        np.testing.assert_array_equal(found[1], expected[1])
        found, expected = found[0], expected[0]
    np.testing.assert_allclose(found.data, expected, rtol=1e-14)


def test_logsumexp_with_factors_is_differentiable_in_both() -> None:
    a, b = np.array([0.3, -1.2, 2.0]), np.array([0.0, 2.0, 0.5])
    check_gradients(lambda a, b: special.logsumexp(a, b=b), a, b, order=2)
    check_gradients(lambda a, b: special.logsumexp(a, b=-b, return_sign=True)[0], a, b, order=2)
    check_gradients(
        lambda a: special.logsumexp(a, axis=(0, 1), b=a - 3, keepdims=True, return_sign=True)[0], a[None], order=2
    )


def test_multigammaln_refuses_what_scipy_refuses() -> None:
    with pytest.raises(ValueError, match="d must be a positive integer, not 0"):
        special.multigammaln(3.0, 0)
    with pytest.raises(ValueError, match=r"a must be above \(d - 1\) / 2 = 1.0, not 1.0"):
        special.multigammaln(leaf([3.0, 1.0]), 3)


def test_lambertw_is_the_real_branch() -> None:
    x = np.array([-0.3, 0.0, 1.0, 50.0])
    np.testing.assert_allclose(special.lambertw(x), scipy.lambertw(x).real, rtol=1e-14)
    assert np.isnan(special.lambertw(np.array([-0.5, -10.0]))).all()
    for dtype in (np.float32, np.float64):
        edge = np.array([-1 / math.e], dtype)
        assert special.lambertw(edge) == -1
        assert np.isnan(special.lambertw(np.nextafter(edge, dtype(-1))))


# --- singular points -------------------------------------------------------------------------------------------------

SINGULAR: list[tuple[str, Callable[[Any], Any], float, float]] = [
    ("gammaln", lambda x: scipy.gammaln(x), 0, -INF),
    ("rgamma", lambda x: scipy.rgamma(x), 0, 1),
    ("rgamma", lambda x: scipy.rgamma(x), -1, -1),
    ("rgamma", lambda x: scipy.rgamma(x), -3, -6),
    ("rgamma", lambda x: scipy.rgamma(x), INF, 0),
    ("erf", lambda x: scipy.erf(x), INF, 0),
    ("erfcx", lambda x: scipy.erfcx(x), INF, 0),
    ("dawsn", lambda x: scipy.dawsn(x), -INF, 0),
    ("erfinv", lambda x: scipy.erfinv(x), 1, INF),
    ("ndtri", lambda x: scipy.ndtri(x), 0, INF),
    ("log_ndtr", lambda x: scipy.log_ndtr(x), -INF, INF),
    ("log_ndtr", lambda x: scipy.log_ndtr(x), -1e200, 1e200),
    ("log_ndtr", lambda x: scipy.log_ndtr(x), INF, 0),
    ("expit", lambda x: scipy.expit(x), 1000, 0),
    ("log_expit", lambda x: scipy.log_expit(x), -1000, 1),
    ("logit", lambda x: scipy.logit(x), 0, INF),
    ("exprel", lambda x: scipy.exprel(x), 0, 0.5),
    ("exprel", lambda x: scipy.exprel(x), -INF, 0),
    ("exprel", lambda x: scipy.exprel(x), 1e300, INF),
    ("entr", lambda x: scipy.entr(x), 0, INF),
    ("entr", lambda x: scipy.entr(x), -1, 0),
    ("xlogy in x", lambda x: scipy.xlogy(x, 0.0), 0, -INF),
    ("xlogy in y", lambda y: scipy.xlogy(0.0, y), 0, 0),
    ("xlog1py in y", lambda y: scipy.xlog1py(0.0, y), -1, 0),
    ("rel_entr in x", lambda x: scipy.rel_entr(x, 0.0), 0, 1),
    ("rel_entr in x", lambda x: scipy.rel_entr(x, 1.0), -1, 0),
    ("rel_entr in y", lambda y: scipy.rel_entr(0.0, y), 0, 0),
    ("kl_div in y", lambda y: scipy.kl_div(0.0, y), 0, 1),
    ("huber", lambda r: scipy.huber(2.0, r), INF, 2),
    ("huber in delta", lambda delta: scipy.huber(delta, 1.0), -1, 0),
    ("pseudo_huber", lambda r: scipy.pseudo_huber(2.0, r), -INF, -2),
    ("pseudo_huber in delta", lambda delta: scipy.pseudo_huber(delta, 3.0), 0, 3),
    ("boxcox in the power", lambda power: scipy.boxcox(math.e, power), 0, 0.5),
    ("gammainc", lambda x: scipy.gammainc(1.0, x), 0, 1),
    ("gammainc", lambda x: scipy.gammainc(0.5, x), 0, INF),
    ("gammainc", lambda x: scipy.gammainc(2.0, x), INF, 0),
    ("betainc", lambda x: scipy.betainc(1.0, 2.0, x), 0, 2),
    ("betainc", lambda x: scipy.betainc(1.0, 2.0, x), 1, 0),
    ("stdtr", lambda x: scipy.stdtr(3.0, x), INF, 0),
    ("pdtr", lambda m: scipy.pdtr(0.0, m), 0, -1),
    ("j0", lambda x: scipy.j0(x), 0, 0),
    ("j1", lambda x: scipy.j1(x), 0, 0.5),
    ("jv", lambda x: scipy.jv(1, x), 0, 0.5),
    ("jv", lambda x: scipy.jv(0.5, x), 0, INF),
    ("y0", lambda x: scipy.y0(x), 0, INF),
    ("y1", lambda x: scipy.y1(x), 0, INF),
    ("yn", lambda x: scipy.yn(2, x), 0, INF),
    ("k0", lambda x: scipy.k0(x), 0, -INF),
    ("kve", lambda x: scipy.kve(1, x), 0, -INF),
    ("i0e", lambda x: scipy.i0e(x), 0, 0),
    ("i0e", lambda x: scipy.i0e(x), INF, 0),
    ("beip", lambda x: scipy.beip(x), 0, 0.5),
    ("spherical_jn", lambda x: special.spherical_jn(1, x), 0, 1 / 3),
    ("spherical_yn", lambda x: special.spherical_yn(0, x), 0, INF),
    ("spherical_kn", lambda x: special.spherical_kn(0, x), 0, -INF),
    ("sici", lambda x: scipy.sici(x)[0], 0, 1),
    ("spence", lambda x: scipy.spence(x), 1, -1),
    ("ellipk", lambda m: scipy.ellipk(m), 0, math.pi / 8),
    ("lambertw", lambda x: special.lambertw(x), 0, 1),
    ("lambertw", lambda x: special.lambertw(x), -1 / math.e, INF),
    ("polygamma", lambda x: special.polygamma(1, x), INF, 0),
]


@pytest.mark.parametrize(
    ("name", "function", "x", "expected"), SINGULAR, ids=[f"{row[0]}({row[2]})" for row in SINGULAR]
)
def test_gradients_at_singular_points(name: str, function: Any, x: float, expected: float) -> None:
    t = leaf(x)
    np.testing.assert_allclose(grad(function(t), t).data, expected, rtol=1e-14)


# --- far out: mpmath -------------------------------------------------------------------------------------------------

FAR: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any], list[float]]] = [
    ("erfcx", lambda x: scipy.erfcx(x), lambda x: mp.exp(x * x) * mp.erfc(x), [-3, 0.1, 2, 7.5, 8.5, 11, 1e4, 1e20]),
    ("dawsn", lambda x: scipy.dawsn(x), lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), [-9, 0.1, 2, 20]),
    ("log_ndtr", lambda x: scipy.log_ndtr(x), lambda x: mp.log(mp.ncdf(x)), [-1e4, -40, -3.1, -2.9, 0, 5]),
    ("exprel", lambda x: scipy.exprel(x), lambda x: mp.expm1(x) / x, [-1e5, -41, -39, -1e-3, 1e-9, 1, 39, 41, 600]),
    ("betaln", lambda b: scipy.betaln(3.0, b), lambda b: mp.log(mp.beta(3, b)), [1e-6, 1, 19, 21, 100, 1e9]),
    ("boxcox", lambda p: scipy.boxcox(2.0, p), lambda p: (mpf(2) ** p - 1) / p, [-5, 1e-8, 0.5, 5]),
    ("inv_boxcox", lambda p: scipy.inv_boxcox(2.0, p), lambda p: (1 + 2 * p) ** (1 / p), [1e-8, 0.4, 0.6, 50]),
    ("pseudo_huber", lambda d: scipy.pseudo_huber(d, 1.0), lambda d: d * (mp.hypot(d, 1) - d), [1e-3, 1, 1e6]),
    ("spence", lambda x: scipy.spence(x), lambda x: mp.re(mp.polylog(2, 1 - x)), [0.01, 0.999, 1.001, 1.9, 2.1, 1e8]),
    ("ellipk", lambda m: scipy.ellipk(m), mp.ellipk, [-50, 1e-9, 0.5, 0.9999]),
    ("i0e", lambda x: scipy.i0e(x), lambda x: mp.besseli(0, x) * mp.exp(-x), [0.1, 5, 35, 300]),
    ("i1e", lambda x: scipy.i1e(x), lambda x: mp.besseli(1, x) * mp.exp(-x), [0.1, 5, 35, 300]),
    ("kve", lambda x: scipy.kve(2.5, x), lambda x: mp.besselk(2.5, x) * mp.exp(x), [0.1, 5, 42, 43, 300]),
    ("rgamma", lambda x: scipy.rgamma(x), mp.rgamma, [-3.3, -0.7, 0.3, 0.6, 50]),
]


@pytest.mark.parametrize(("name", "function", "exact", "points"), FAR, ids=[row[0] for row in FAR])
def test_two_derivatives_have_their_digits_far_out(name: str, function: Any, exact: Any, points: list[float]) -> None:
    with mp.workdps(120):
        for x in points:
            t = leaf(x)
            first = grad(function(t), t, create_graph=True)
            found = [first.item(), grad(first, t).item()]
            expected = [float(mp.diff(exact, mpf(x), order)) for order in (1, 2)]
            np.testing.assert_allclose(found, expected, rtol=2e-12, err_msg=f"{name} at {x}")


def test_a_ufunc_can_be_registered_with_a_vjp_of_ones_own() -> None:
    for ufunc in (scipy.gammaln, scipy.psi, scipy.betaln):
        registry.pop(ufunc)
    trigamma = primitive(partial(scipy.polygamma, 1), lambda g, y, x: g * scipy.polygamma(2, x))
    gammaln = primitive(scipy.gammaln, lambda g, y, x: g * scipy.digamma(x))
    primitive(scipy.digamma, lambda g, y, x: g * trigamma(x))
    primitive(scipy.betaln, None, lambda g, y, a, b: g * (scipy.digamma(b) - scipy.digamma(a + b)))
    x = np.array([0.5, 1.5, 3.0])
    check_gradients(lambda x: gammaln(x) * scipy.digamma(x), x, order=2)
    check_gradients(lambda b: scipy.betaln(2.0, b), x, order=2)
    assert gammaln.__name__ == "gammaln"
    tangent = primitive(scipy.tandg, lambda g, y, x: g * (1 + 1 / scipy.cotdg(x) ** 2) * np.pi / 180)
    with pytest.raises(TypeError, match="cotdg of a Tensor .*register cotdg, with a vjp of its own"):
        check_gradients(tangent, x, order=2)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@given(data=st.data())
def test_derivatives_forward_and_of_many_outputs_are_those_of_one(entry: Any, data: st.DataObject) -> None:
    operation = registry[entry.function]
    for case in operation.cases:
        arrays = data.draw(arguments(case), label=str(case))
        floating = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]

        def call(*given: Any, case: Any = case, arrays: Any = arrays, floating: Any = floating) -> Any:
            inputs = [*arrays]
            for i, a in zip(floating, given, strict=True):
                inputs[i] = a
            return as_one(programs.call(programs.as_used(operation), case, inputs))

        given = [arrays[i] for i in floating]
        directions = [np.linspace(0.5, 1, a.size).reshape(a.shape) for a in given]
        _, forward = func.jvp(call, given, directions)
        numbers = tuple(range(len(given)))
        matrices = func.jacobian(call, numbers)(*given)
        total = sum(np.tensordot(m, d, d.ndim) for m, d in zip(matrices, directions, strict=True))
        np.testing.assert_allclose(forward, total, rtol=1e-9, atol=1e-9)
        weights = np.linspace(1, 2, forward.size).reshape(forward.shape)
        slopes = func.grad(lambda *given, w=weights: np.sum(call(*given) * w), numbers)(*given)
        for matrix, slope in zip(matrices, slopes, strict=True):
            np.testing.assert_allclose(np.tensordot(weights, matrix, weights.ndim), slope, rtol=1e-9, atol=1e-9)


def as_one(results: list[Any]) -> Any:
    return np.stack(results) if len(results) > 1 else results[0]


def test_derivatives_of_functions() -> None:
    x = np.array([0.5, 1.5, 3.0])
    np.testing.assert_allclose(func.hessian(lambda x: scipy.gammaln(x).sum())(x), np.diag(scipy.polygamma(1, x)))
    value, slope = func.jvp(scipy.xlogy, [x, x], [np.ones(3), np.zeros(3)])
    np.testing.assert_allclose(slope, np.log(x))
    assert value.dtype == np.float64
