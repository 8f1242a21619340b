"""Integers, booleans, empty axes, NaN and infinities: values, dtypes and errors are NumPy's, gradients are right."""

import dataclasses
import inspect
import itertools
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tinygrad_np import Tensor, grad, nn, optim
from tinygrad_np._functions import name_of
from tinygrad_np._registry import Composite, Constant, registry
from tinygrad_np.ops import probabilities, regression
from tinygrad_np.ops.indexing import INDICES, set_at
from tinygrad_np.testing import check_gradients

import degenerate
import numpy as np
import pytest
from degenerate import CONSTANTS, FLOATS, INTEGERS, NUMPYS, OPERATIONS, Call, Operation, as_tensor, as_used, cast
from machine import numpy_is_before

DTYPES = ("bool", *INTEGERS, *FLOATS)
MIXTURES = (
    ("float32", "int8"),
    ("int8", "float32"),
    ("float32", "bool"),
    ("bool", "float32"),
    ("float16", "int64"),
    ("int64", "float16"),
    ("float32", "float64"),
    ("float64", "float32"),
    ("float32", "uint64"),
    ("uint8", "float64"),
)
SCALARS = (2, 1.5, True, np.float64(1.5), np.float32(1.5), np.int8(2), np.int64(2))
every_numpy_function = pytest.mark.parametrize("entry", NUMPYS, ids=lambda entry: entry.name)
quietly = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Difference(NamedTuple):
    """Where only NumPy, or only this package, raises an error, or where both do, but of different kinds."""

    who: str
    when: Callable[[Call, tuple[str, ...]], bool]
    why: str


def _empty(call: Call, dtypes: tuple[str, ...]) -> bool:
    return any(0 in shape for shape in call.shapes)


def _zero_dimensional(call: Call, dtypes: tuple[str, ...]) -> bool:
    return any(np.ndim(a) == 0 for a in call.arguments)


def _would_lose(call: Call, dtypes: tuple[str, ...]) -> bool:
    """Whether floating point may be written into integers or booleans."""
    return "f" in {np.dtype(dtype).kind for dtype in dtypes}


def _may_decrease(call: Call, dtypes: tuple[str, ...]) -> bool:
    return bool({"f", "u"} & {np.dtype(dtype).kind for dtype in dtypes})  # beside NaN, or absolute values


DIFFERENCES = {
    "linalg.svd": Difference("we", _empty, "not square, and so without full matrices; also in float16"),
    "linalg.qr": Difference("we", _empty, "more rows than columns without full matrices; also in float16"),
    "einsum": Difference("we", _empty, "NumPy takes the diagonal of a matrix of 0 x 2"),
    **{
        name: Difference("NumPy", _empty, "it reshapes an empty array with -1")
        for name in ("quantile", "percentile", "nanquantile", "nanpercentile", "nanmedian")
    },
    "average": Difference("NumPy", _empty, "it divides by the size of an empty result"),
    "linalg.tensorinv": Difference("NumPy", _empty, "it reshapes an empty array with -1"),
    "cov": Difference(
        "both",
        lambda call, dtypes: _empty(call, dtypes) or _zero_dimensional(call, dtypes),
        "of weights in another number NumPy raises RuntimeError, of one number IndexError",
    ),
    "trapezoid": Difference("both", _zero_dimensional, "NumPy's IndexError comes from a list"),
    "insert": Difference("we", _would_lose, "NumPy cuts fractions off, and a gradient would be lost"),
    "full_like": Difference("we", _would_lose, "NumPy cuts fractions off, and a gradient would be lost"),
    "interp": Difference("we", _may_decrease, "NumPy does not look whether xp increases"),
    "gradient": Difference("we", lambda call, dtypes: "bool" in dtypes, "booleans are no coordinates, nor have steps"),
}
NEWER = {  # what older versions of NumPy do otherwise
    **dict.fromkeys(("linalg.norm", "linalg.vector_norm", "linalg.matrix_norm"), ("2.3.0", "of nothing it raises")),
    "linalg.svd": ("2.3.0", "with hermitian=True singular vectors of 0 are NaN"),
    **dict.fromkeys(
        ("quantile", "percentile", "nanquantile", "nanpercentile"), ("2.4.0", "float32 and float64 are float32")
    ),
}
ANY_ORDER = {"partition"}  # on either side of the elements that are asked for


def skip_where_numpy_is_older(entry: Operation) -> None:
    version, what = NEWER.get(entry.name, ("0.0.0", ""))
    if numpy_is_before(version):
        pytest.skip(f"before NumPy {version}: {what}")


def compare(entry: Operation, call: Call, arguments: list[Any], given: list[Any], dtypes: tuple[str, ...]) -> str:
    """How the results for the `given` arguments, some of them Tensors, differ from NumPy's for arrays."""
    expected, found = call.outcome(entry.function, arguments), call.outcome(entry, given)
    if entry.name in ANY_ORDER and isinstance(found, list) and isinstance(expected, list):
        found, expected = ([np.sort(np.asarray(y), axis=None)] for y in (found[0].data, expected[0]))
    text = degenerate.difference(found, expected, degenerate.tolerance(*dtypes))
    known = DIFFERENCES.get(entry.name)
    if text and known and known.when(call, dtypes):
        refused = [who for who, results in (("NumPy", expected), ("we", found)) if isinstance(results, Exception)]
        clear = isinstance(found, list) or type(found) in (TypeError, ValueError)
        if clear and (known.who in refused if len(refused) == 1 else refused):
            return ""
    return text and f"{entry.name}({call.case}) of {call.shapes}, {dtypes}: {text}"


@quietly
@every_numpy_function
def test_values_dtypes_and_errors_are_numpys(entry: Operation) -> None:
    skip_where_numpy_is_older(entry)
    for case in entry.cases:
        for i, call in enumerate(degenerate.calls(case)):
            for dtype in DTYPES if i == 0 else ("bool", "int32", "float32"):
                for special in degenerate.specials(dtype) if i == 0 else (None,):
                    arguments = [cast(value, dtype, special) for value in call.arguments]
                    text = compare(entry, call, arguments, [as_tensor(value) for value in arguments], (dtype,))
                    assert not text, text


# Parameters without a case: `rcond` raises.
NO_CASE: set[tuple[str, str]] = set()


@pytest.mark.parametrize("entry", NUMPYS, ids=lambda entry: entry.name)
def test_every_keyword_of_numpys_functions_has_a_case(entry: Operation) -> None:
    """So that all tests made from the cases reach it."""
    supported = set(entry.keywords)
    if isinstance(entry, Composite):
        parameters = inspect.signature(entry.implementation).parameters.values()
        supported = {p.name for p in parameters if p.default is not p.empty and p.name != "ufunc"}
    signature = inspect.signature(entry.implementation) if isinstance(entry, Composite) else entry.signature
    given: set[str] = set()
    for case in entry.cases:
        call = next(degenerate.calls(case, full_only=True))
        arguments = [call.arguments] if case.shapes.startswith("[") else call.arguments
        given |= set(signature.bind(*arguments, *case.args, **case.kwargs).arguments if signature else case.kwargs)
    assert {(entry.name, name) for name in supported - given} <= NO_CASE


def floating_places(call: Call) -> list[int]:
    return [i for i, value in enumerate(call.arguments) if degenerate.floating(value)]


@quietly
@every_numpy_function
def test_dtypes_are_promoted_as_numpy_promotes_them(entry: Operation) -> None:
    """Of arrays of two dtypes, and of arrays with numbers, NumPy's scalars and lists, whichever is the Tensor."""
    skip_where_numpy_is_older(entry)
    for case in entry.cases:
        for call in degenerate.calls(case, full_only=True):
            places = floating_places(call)
            if len(places) < 2:
                continue
            for first, others in MIXTURES:
                arguments = [cast(a, first if i == places[0] else others) for i, a in enumerate(call.arguments)]
                for tensors in (places, places[:1], places[-1:]):
                    given = [as_tensor(a, True) if i in tensors else a for i, a in enumerate(arguments)]
                    text = compare(entry, call, arguments, given, (first, others))
                    assert not text, text
            for dtype in ("float32", "float16", "int8"):
                arrays = [cast(a, dtype) for a in call.arguments]
                for place in {places[0], places[-1]}:
                    for other in (*SCALARS, arrays[place].tolist()):
                        arguments = [*arrays[:place], other, *arrays[place + 1 :]]
                        changed = Call(case, call.shapes, arguments)
                        text = compare(entry, changed, arguments, [as_tensor(a, True) for a in arguments], (dtype,))
                        assert not text, text


@quietly
@pytest.mark.parametrize("entry", CONSTANTS, ids=lambda entry: entry.name)
def test_functions_without_a_gradient_are_numpys(entry: Constant) -> None:
    for dtype in DTYPES:
        for shape, special in itertools.product(((2, 3), (0, 3), ()), degenerate.specials(dtype)):
            numbers = np.linspace(-2, 2, int(np.prod(shape))).reshape(shape)
            x, y = (cast(numbers + end, dtype, special) for end in (0, 0.5))
            for arguments in ([x], [x, y], [x, 1], [[x, y]]):
                call = Call(degenerate.Case(""), [shape], arguments)
                given = [[*map(Tensor, a)] if isinstance(a, list) else as_tensor(a) for a in arguments]
                expected, found = call.outcome(entry.function, arguments), call.outcome(entry, given)
                if entry.name == "empty_like" and isinstance(found, list) and isinstance(expected, list):
                    found, expected = ([(y.shape, y.dtype) for y in results] for results in (found, expected))
                    assert found == expected
                elif entry.name in ("result_type", "min_scalar_type"):
                    assert isinstance(found, Exception) or found == expected
                else:
                    assert not (text := degenerate.difference(found, expected, 0.0)), (dtype, arguments, text)


UNARY = (operator.neg, operator.pos, operator.abs, operator.invert)
POWERS = () if numpy_is_before("2.3.0") else (operator.pow, operator.ipow)  # which had shortcuts beside np.power
BINARY = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, divmod,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.matmul,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, *POWERS,
)  # fmt: skip


@quietly
@pytest.mark.parametrize("dtype", DTYPES)
def test_operators_are_those_of_arrays(dtype: str) -> None:
    x = cast(np.array([3.0, -1.0, 0.0, 2.5]), dtype)
    others = [-2, -1, 0, 0.5, 2, 2.0, 3, 300, True, *SCALARS, x, x[::-1], cast(x * 1.0, "float32"), x > 0]
    pairs = [(x, None, function) for function in UNARY]
    for function in BINARY:
        out_of_place = getattr(operator, function.__name__.removeprefix("i"), function)  # a Tensor becomes a new one
        function = out_of_place if function.__name__.startswith("i") else function
        pairs += [(x, other, function) for other in others]
        pairs += [(other, x, function) for other in others]
    for a, b, function in pairs:
        arguments = [a] if b is None else [a, b]
        call = Call(degenerate.Case(""), [x.shape], arguments)
        expected = call.outcome(function, arguments)
        for tensors in ([0], [1], [0, 1]):
            given = [
                Tensor(value) if i in tensors and isinstance(value, np.ndarray) else value
                for i, value in enumerate(arguments)
            ]
            text = degenerate.difference(call.outcome(function, given), expected, degenerate.tolerance(dtype))
            assert not text, (function, arguments, text)


CHECKED_BEFORE = {"_correlate", "_transposed", "_weight_gradient"}  # by conv2d: see test_empty.py


@quietly
@pytest.mark.parametrize(
    "entry",
    [e for e in OPERATIONS if name_of(e.function) not in CHECKED_BEFORE],
    ids=lambda entry: entry.name,
)
def test_gradients_of_empty_arrays_have_their_shape(entry: Operation) -> None:
    """To second order; where an argument is not empty, finite differences say what its gradient is."""
    for case in entry.cases:
        for call in degenerate.calls(case):
            places = floating_places(call)
            if not any(0 in shape for shape in call.shapes) or not places:
                continue
            if entry in NUMPYS and isinstance(call.outcome(entry.function, call.arguments), Exception):
                continue
            tensors = [as_tensor(a, requires_grad=True) for a in call.arguments]
            try:
                found = [y for y in call.outputs(as_used(entry), *tensors) if y.requires_grad]
            except (ValueError, IndexError, TypeError):
                continue  # what is refused is compared with NumPy above
            sources = [tensors[i] for i in places]
            if any(x.size for x in sources) and all(np.isfinite(y.data).all() for y in found):
                if found:
                    label = f"{entry.name}({case}) of {call.shapes}"
                    outputs = partial(call.outputs, as_used(entry))
                    check_gradients(outputs, *call.arguments, order=2, rtol=1e-5, name=label)
                continue
            slopes = grad(found, sources, [np.ones(y.shape) for y in found], create_graph=True)
            assert [g.shape for g in slopes] == [x.shape for x in sources]
            grad(slopes, sources, [np.ones(g.shape) for g in slopes])


# What takes one floating point type only, or has internal arguments that are always of one.
ONE_DTYPE = {
    "_correlate", "_transposed", "_weight_gradient", "_mean", "_mean_gradient", "_to_largest",
    "_mean_of_largest", "_binary_cross_entropy", "_overwrite",
    "standardize", "recurrence", "linear",
}  # fmt: skip
REFUSE_INTEGERS = [  # as predictions or as what floats are written to; gradient: as values at uneven places
    *map(registry.get, (regression.mse_loss, regression.l1_loss, regression.huber_loss, probabilities.kl_div, set_at)),
    registry[probabilities.binary_cross_entropy_with_logits],
    np.gradient,
    np.insert,
    np.full_like,
]


@quietly
@pytest.mark.parametrize(
    "entry", [entry for entry in OPERATIONS if name_of(entry.function) not in ONE_DTYPE], ids=lambda entry: entry.name
)
@pytest.mark.parametrize(("others", "as_tensors"), [("int8", False), ("bool", True)])
def test_gradients_beside_integers(entry: Operation, others: str, as_tensors: bool) -> None:
    """One argument is floating point; its gradient is right, and has its dtype, whatever the others are."""
    for case in entry.cases:
        for call in degenerate.calls(case, full_only=True):
            places = floating_places(call)
            for place in places if len(places) > 1 else []:
                arguments = [a if i == place else cast(a, others) for i, a in enumerate(call.arguments)]
                if entry is registry[np.trapezoid]:  # differences of unsigned coordinates wrap around unless they rise
                    arguments = [np.sort(a, axis=None).reshape(a.shape) if np.ndim(a) else a for a in arguments]
                if isinstance(call.outcome(entry.function, arguments), Exception):
                    continue
                given = [Tensor(a) if as_tensors and i in places else a for i, a in enumerate(arguments)]
                given[place] = arguments[place]
                label = f"{entry.name}({case}), argument {place} beside {others}"
                _check_beside_integers(as_used(entry), call, given, place, label)


def _check_beside_integers(function: Callable[..., Any], call: Call, given: list[Any], place: int, label: str) -> None:
    def outputs(x: Any) -> tuple[Tensor, ...]:
        return call.outputs(function, *given[:place], x, *given[place + 1 :])

    x = Tensor(given[place], requires_grad=True)
    try:
        found = [y for y in outputs(x) if y.requires_grad]
    except TypeError:
        if function in REFUSE_INTEGERS:
            return
        raise
    if not found or not all(np.isfinite(y.data).all() for y in found):
        return
    check_gradients(outputs, x, order=2, rtol=1e-4, atol=1e-6, name=label)
    x = x.astype(np.float32).detach()
    x.requires_grad = True
    found = [y for y in outputs(x) if y.requires_grad]
    slope = grad(found, x, [np.ones(y.shape) for y in found])
    assert (slope.shape, slope.dtype) == (x.shape, np.float32), label


VALUES = {"number": 7, "list": [7.5], "0-d": np.array(7.0), "1": np.full(1, 7.0), "1 1 1": np.full((1, 1, 1), 7.0)}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_are_set_as_numpy_sets_them(value: Any, dtype: str) -> None:
    """At every index of the registry's cases, to values that broadcast; also to a value of the selection's shape."""
    for index in (index for index in INDICES if not _selects_twice(index)):
        expected, start = (np.arange(20, dtype=dtype).reshape(4, 5) for _ in range(2))
        full = np.arange(start[index].size, dtype=dtype).reshape(1, *start[index].shape)
        for new in (value, full, full[0]):
            try:
                expected[index] = new
            except (ValueError, TypeError) as error:
                with pytest.raises(type(error), match=r"x\.at\[index\]\.set"):
                    Tensor(start).at[index].set(new)
                continue
            x = Tensor(start, requires_grad=True)
            v = Tensor(np.array(new, dtype), requires_grad=True) if isinstance(new, np.ndarray) else new
            y = x.at[index].set(v)
            np.testing.assert_array_equal(y.data, expected)
            assert y.dtype == expected.dtype
            slope = grad(y, x, np.ones(y.shape), retain_graph=True).data
            np.testing.assert_array_equal(slope[index], 0)
            assert slope.sum() == 20 - start[index].size
            if type(v) is Tensor:
                g = grad(y, v, np.ones(y.shape)).data
                np.testing.assert_array_equal(g, np.full(v.shape, start[index].size / max(1, v.size)))


def _selects_twice(index: Any) -> bool:
    chosen = np.arange(20).reshape(4, 5)[index]
    return np.unique(chosen).size != chosen.size


@pytest.mark.parametrize("value", [0.5, [0.5], np.array(0.5), np.float32(0.5), Tensor([0.5], requires_grad=True)])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_are_not_set_to_fractions(value: Any, dtype: str) -> None:
    x = Tensor(np.ones(3, dtype))
    with pytest.raises(TypeError, match=f"elements of {dtype} cannot be set to float"):
        x.at[[0]].set(value)
    assert x.at[[0, 0]].add(value).data.tolist() == [2, 1, 1]


def test_an_empty_list_selects_nothing() -> None:
    x = Tensor(np.ones((3, 2)), requires_grad=True)
    assert x[[]].shape == (0, 2)
    for y in (x.at[[]].set(5.0), x.at[[]].add(5.0)):
        assert (y.data == 1).all()
        assert (grad(y, x, np.ones((3, 2)), retain_graph=True).data == 1).all()


MASKED = np.ma.masked_array([1.0, 1.0, 1.0], [False, True, False])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: (x * 2).backward(MASKED),
        lambda x: grad(x * 2, x, MASKED),
        lambda x: np.average(x, weights=MASKED),
        lambda x: np.dot(x, MASKED),
        lambda x: np.average(Tensor(np.ones(3, int)), weights=MASKED),
        lambda x: np.append(Tensor(np.ones(3, int)), MASKED),
        lambda x: np.kron(Tensor(np.ones(3, int)), MASKED),
        lambda x: x.at[:].set(MASKED),
        lambda x: (x * 2).backward(np.ones(3, complex)),
    ],
)
def test_masks_and_complex_numbers_are_not_dropped(call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match="MaskedArray|a complex one was given"):
        call(Tensor(np.ones(3), requires_grad=True))


@pytest.mark.filterwarnings("ignore:.* computes in float64")
def test_a_layer_in_float32_learns_from_float64() -> None:
    """The gradient of its weight, which the optimiser takes as a product to be computed, is float32 as well."""
    model = nn.Linear(100, 100, rng=np.random.default_rng(0))
    before = model.weight.data.copy()
    optim.SGD(model.parameters(), lr=0.1).minimize(model(np.ones((8, 100))).sum())
    assert model.weight.dtype == np.float32
    np.testing.assert_allclose(model.weight.data, before - 0.8, rtol=1e-5, atol=1e-6)


# A scalar s, vectors v of 5 elements and e of none, a matrix m of 3 x 4, and t of 2 x 3 x 4; T makes Tensors of them.
CORNERS: dict[str, Callable[..., Any]] = {
    "percentile of whole numbers": lambda T, s, v, e, m, t: np.percentile(T(v), [0, 10, 30, 100]),
    "percentile by a number": lambda T, s, v, e, m, t: np.percentile(T(v), 30),
    "percentile in float16": lambda T, s, v, e, m, t: np.percentile(T(v), np.float16(30)),
    "quantile by whole numbers": lambda T, s, v, e, m, t: np.quantile(T(v), [0, 1]),
    "quantile in float32": lambda T, s, v, e, m, t: np.quantile(T(m), np.float32(0.3), axis=0),
    "no quantiles": lambda T, s, v, e, m, t: np.quantile(T(v), []),
    "quantile of nothing": lambda T, s, v, e, m, t: np.quantile(T(e), 0.5),
    "quantile above 1": lambda T, s, v, e, m, t: np.quantile(T(v), 1.5),
    "average by whole weights": lambda T, s, v, e, m, t: np.average(T(v), weights=[1, 2, 3, 4, 5]),
    "average over two axes": lambda T, s, v, e, m, t: np.average(T(t), (2, 0), weights=np.arange(8.0).reshape(4, 2)),
    "average over an axis": lambda T, s, v, e, m, t: np.average(T(m), axis=-1, weights=np.arange(1, 5)),
    "too many differences": lambda T, s, v, e, m, t: np.diff(T(v), n=7),
    "differences from a number": lambda T, s, v, e, m, t: np.diff(T(v), prepend=0.5),
    "differences of nothing": lambda T, s, v, e, m, t: np.diff(T(e)),
    "gradient by a NumPy number": lambda T, s, v, e, m, t: np.gradient(T(v), np.float32(2)),
    "gradient at whole numbers": lambda T, s, v, e, m, t: np.gradient(T(v), [0, 1, 3, 4, 6]),
    "gradient of third order": lambda T, s, v, e, m, t: np.gradient(T(v), edge_order=3),
    "gradient of one element": lambda T, s, v, e, m, t: np.gradient(T(v[:1])),
    "trapezoid at whole numbers": lambda T, s, v, e, m, t: np.trapezoid(T(v), [0, 1, 2, 4, 8]),
    "trapezoid of nothing": lambda T, s, v, e, m, t: np.trapezoid(T(e)),
    "median of nothing": lambda T, s, v, e, m, t: np.median(T(e)),
    "ptp of nothing": lambda T, s, v, e, m, t: np.ptp(T(e)),
    "maximum of nothing, from 0": lambda T, s, v, e, m, t: np.max(T(e), initial=0),
    "variance of too few": lambda T, s, v, e, m, t: np.var(T(v), ddof=7),
    "covariance of a number": lambda T, s, v, e, m, t: np.cov(T(s)),
    "covariance of one column": lambda T, s, v, e, m, t: np.cov(T(m[:, :1])),
    "covariance, too large ddof": lambda T, s, v, e, m, t: np.cov(T(m), ddof=5),
    "cumulative sum from 0": lambda T, s, v, e, m, t: np.cumulative_sum(T(m), axis=0, include_initial=True),
    "clip by fractions": lambda T, s, v, e, m, t: np.clip(T(v), -0.5, 1.5),
    "clip by no bounds": lambda T, s, v, e, m, t: np.clip(T(v), None, None),
    "clip by small integers": lambda T, s, v, e, m, t: np.clip(T(v), np.zeros(5, np.int8), np.ones(5, np.int8)),
    "clip by float64": lambda T, s, v, e, m, t: np.clip(T(v), np.float64(-1), np.float64(1)),
    "linspace to a number": lambda T, s, v, e, m, t: np.linspace(T(s), 5, 3),
    "linspace to float64": lambda T, s, v, e, m, t: np.linspace(T(s), np.float64(2), 4),
    "linspace of no points": lambda T, s, v, e, m, t: np.linspace(T(s), 5, 0),
    "linspace from an array": lambda T, s, v, e, m, t: np.linspace(T(v), np.arange(5), 3, axis=-1),
    "convolve by nothing": lambda T, s, v, e, m, t: np.convolve(T(v), T(e)),
    "convolve by a list": lambda T, s, v, e, m, t: np.convolve(T(v), [1, 2]),
    "convolve a matrix": lambda T, s, v, e, m, t: np.convolve(T(m), T(v)),
    "correlate in the middle": lambda T, s, v, e, m, t: np.correlate(T(v), [1, 2, 0.5], "same"),
    "kron by a number": lambda T, s, v, e, m, t: np.kron(2.0, T(m)),
    "dot by a number": lambda T, s, v, e, m, t: np.dot(T(m), 2),
    "einsum with a number": lambda T, s, v, e, m, t: np.einsum("i,->i", T(v), 2.0),
    "einsum with an unknown letter": lambda T, s, v, e, m, t: np.einsum("ij->k", T(m)),
    "polynomial at a number": lambda T, s, v, e, m, t: np.polyval(T(v), 2),
    "polynomial of no degree": lambda T, s, v, e, m, t: np.polyval(T(e), [1.0]),
    "vander of nothing": lambda T, s, v, e, m, t: np.vander(T(e)),
    "power of a matrix that is not square": lambda T, s, v, e, m, t: np.linalg.matrix_power(T(m), 2),
    "power of a matrix by a fraction": lambda T, s, v, e, m, t: np.linalg.matrix_power(T(m[:, :3]), 2.0),
    "norm of order -2": lambda T, s, v, e, m, t: np.linalg.norm(T(v), -2),
    "norm of order 0": lambda T, s, v, e, m, t: np.linalg.norm(T(v), 0),
    "Frobenius norm of a vector": lambda T, s, v, e, m, t: np.linalg.norm(T(v), "fro"),
    "third norm of a matrix": lambda T, s, v, e, m, t: np.linalg.norm(T(m), 3),
    "norm over one axis twice": lambda T, s, v, e, m, t: np.linalg.norm(T(t), axis=(0, 0)),
    "take nothing of a number": lambda T, s, v, e, m, t: np.take(T(s), np.zeros(0, int), axis=0),
    "take of a number": lambda T, s, v, e, m, t: np.take(T(s), [0, 0], axis=-1),
    "polynomial of no degree at a number": lambda T, s, v, e, m, t: np.polyval(T(e), 2.0),
    "product over too many axes": lambda T, s, v, e, m, t: np.tensordot(T(v), T(v)),
    "correlate nothing": lambda T, s, v, e, m, t: np.correlate(T(e), [1.0]),
    **{
        f"condition in norm {p} of {name}": lambda T, s, v, e, m, t, p=p, a=a: np.linalg.cond(T(a.astype(v.dtype)), p)
        for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro")
        for name, a in {
            "ones": np.ones((2, 2)), "zeros": np.zeros((2, 2)), "both": np.stack([np.eye(2), np.ones((2, 2))]),
        }.items()
    },
    "take nothing": lambda T, s, v, e, m, t: np.take(T(v), []),
    "take what is not there": lambda T, s, v, e, m, t: np.take(T(v), 9),
    "compress by numbers": lambda T, s, v, e, m, t: np.compress([1, 0, 1], T(m), axis=0),
    "compress by a matrix": lambda T, s, v, e, m, t: np.compress([[1, 0]], T(v)),
    "compress beyond the end": lambda T, s, v, e, m, t: np.compress([0, 0, 0, 0, 0, 1], T(v)),
    "select by numbers": lambda T, s, v, e, m, t: np.select([np.ones(5, int)], [T(v)]),
    "select with a fraction": lambda T, s, v, e, m, t: np.select([v > 0], [T(v)], 0.5),
    "delete by booleans": lambda T, s, v, e, m, t: np.delete(T(v), [True, False, True, False, False]),
    "delete nothing": lambda T, s, v, e, m, t: np.delete(T(v), []),
    "sort a number": lambda T, s, v, e, m, t: np.sort(T(s)),
    "partition beyond the end": lambda T, s, v, e, m, t: np.partition(T(v), 9),
    "append a number": lambda T, s, v, e, m, t: np.append(T(v), 2),
    "concatenate lists": lambda T, s, v, e, m, t: np.concatenate([[1], T(v), [2.5]]),
    "concatenate nothing": lambda T, s, v, e, m, t: np.concatenate([T(v), []]),
    "concatenate ranks": lambda T, s, v, e, m, t: np.concatenate([T(v), T(m)]),
    "concatenate with a number": lambda T, s, v, e, m, t: np.concatenate([T(v), 2], axis=None),
    "concatenate rows": lambda T, s, v, e, m, t: np.concatenate(T(m)),
    "hstack of a list and numbers": lambda T, s, v, e, m, t: np.hstack([[1, 2], T(s), 2, T(v)]),
    "stack with a list": lambda T, s, v, e, m, t: np.stack([T(v), [1, 2, 3, 4, 5]]),
    "columns of numbers": lambda T, s, v, e, m, t: np.column_stack([T(s), 1]),
    "tile by nothing": lambda T, s, v, e, m, t: np.tile(T(v), ()),
    "tile by less than nothing": lambda T, s, v, e, m, t: np.tile(T(v), -1),
    "repeat by a fraction": lambda T, s, v, e, m, t: np.repeat(T(v), 2.0),
    "repeat a number": lambda T, s, v, e, m, t: np.repeat(T(s), 2, axis=0),
    "split at indices out of order": lambda T, s, v, e, m, t: np.split(T(v), [3, 1]),
    "split into too many": lambda T, s, v, e, m, t: np.array_split(T(v), 7),
    "vsplit of a vector": lambda T, s, v, e, m, t: np.vsplit(T(v), 5),
    "pad nothing": lambda T, s, v, e, m, t: np.pad(T(e), 1),
    "pad nothing by its edge": lambda T, s, v, e, m, t: np.pad(T(e), 1, "edge"),
    "pad a number": lambda T, s, v, e, m, t: np.pad(T(s), 2),
    "pad by a fraction": lambda T, s, v, e, m, t: np.pad(T(v), 1, constant_values=2.5),
    "diagonal of three axes": lambda T, s, v, e, m, t: np.diag(T(t)),
    "diagonal of nothing": lambda T, s, v, e, m, t: np.diag(T(e)),
    "trace of a vector": lambda T, s, v, e, m, t: np.trace(T(v)),
    "rollaxis out of bounds": lambda T, s, v, e, m, t: np.rollaxis(T(t), 2, 9),
    "rollaxis below": lambda T, s, v, e, m, t: np.rollaxis(T(t), 2, -4),
    "meshgrid of numbers": lambda T, s, v, e, m, t: np.meshgrid(T(s), T(v), 2),
    "broadcast to nothing": lambda T, s, v, e, m, t: np.broadcast_arrays(T(v), np.ones((0, 5))),
    "divmod by 0": lambda T, s, v, e, m, t: np.divmod(T(v), 0),
    "modf": lambda T, s, v, e, m, t: np.modf(T(v)),
    "reduce a number": lambda T, s, v, e, m, t: np.add.reduce(T(s)),
    "where by numbers": lambda T, s, v, e, m, t: np.where(np.arange(5), T(v), np.float64(1)),
}  # fmt: skip


@quietly
@pytest.mark.parametrize("name", CORNERS)
def test_corners_beyond_the_cases_of_the_registry(name: str) -> None:
    if name == "percentile in float16" and numpy_is_before("2.4.0"):
        pytest.skip("before NumPy 2.4 percents are divided in the precision of the numbers")
    for dtype in DTYPES:
        arrays = [cast(np.array(np.sin(np.arange(np.prod(n)) * 7 + 1) * 4).reshape(n), dtype) for n in SHAPES]
        call = Call(degenerate.Case(""), [], [])
        expected = call.outcome(CORNERS[name], [lambda x: x, *arrays])
        for requires_grad in (False, True):
            found = call.outcome(CORNERS[name], [partial(as_tensor, requires_grad=requires_grad), *arrays])
            text = degenerate.difference(found, expected, degenerate.tolerance(dtype))
            assert not text, (dtype, text)


SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (0,), (3, 4), (2, 3, 4))


@quietly
@pytest.mark.parametrize("function", [np.var, np.std, np.nanvar, np.nanstd, np.cov])
def test_more_degrees_of_freedom_than_numbers_do_not_wrap_around(function: Any) -> None:
    found = []
    for ddof in (4, np.uint8(4)):
        x = Tensor(np.array([1.0, 2.0, 4.0]), requires_grad=True)
        y = function(x, ddof=ddof)
        found.append([y.data, grad(y, x).data])
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def _narrowed(value: Any) -> Any:
    """Integers, also in tuples and lists, as NumPy's smallest that hold them; anything else as it is."""
    if type(value) is int:
        return np.uint8(value) if value >= 0 else np.int8(value)
    return type(value)(map(_narrowed, value)) if type(value) in (tuple, list) else value


@quietly
@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_integers_of_any_width_are_integers(entry: Operation) -> None:
    """As keywords and beside the arrays, such as an axis or ddof: arithmetic in uint8 would wrap around."""
    for case in entry.cases:
        narrow = dataclasses.replace(
            case, args=_narrowed(case.args), kwargs={k: _narrowed(v) for k, v in case.kwargs.items()}
        )
        if repr((narrow.args, narrow.kwargs)) == repr((case.args, case.kwargs)):
            continue
        found = []
        for call in (*degenerate.calls(case, full_only=True), *degenerate.calls(narrow, full_only=True)):
            sources = [as_tensor(a, requires_grad=True) for a in call.arguments]
            outputs = call.outputs(as_used(entry), *sources)
            tensors = [t for t in sources if type(t) is Tensor and t.requires_grad]
            slopes = grad(outputs, tensors, [np.ones(y.shape) for y in outputs], create_graph=True)
            seconds = grad(slopes, tensors, [np.ones(g.shape) for g in slopes])
            found.append([t.data for t in (*outputs, *slopes, *seconds)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(narrow))
