"""What a vjp may return, read and take, what may be registered, and what is said about functions that are not."""

import copy
import functools
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_np import Tensor, _passes, constant, differentiable, func, grad, nn, no_grad, optim, primitive, tensor
from tinygrad_np._functions import name_of
from tinygrad_np._machine.scatter import Part, Parts
from tinygrad_np._registry import Primitive, registry
from tinygrad_np.ops.cases import Case
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PRIMITIVES = [entry for entry in dict.fromkeys(registry.values()) if isinstance(entry, Primitive)]


def leaf(data: object, dtype: object = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


@pytest.fixture(autouse=True)
def _registry_as_it_was() -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


# --- what a vjp returns, for every operation -------------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "a Tensor": (lambda part, x: Tensor(part), "returned a Tensor where it was given arrays"),
    "None": (lambda part, x: None, "returned None, expected an array of shape"),
    "a number": (lambda part, x: 1.0, "returned float, expected an array of shape"),
    "a list": (lambda part, x: part.tolist() if part.ndim else [part], "returned list, expected an array of shape"),
    "a masked array": (lambda part, x: np.ma.masked_array(part), "returned MaskedArray, expected an array"),
    "a NumPy scalar of text": (lambda part, x: np.str_("1"), r"returned <U1\[\], expected floating point"),
    "integers": (lambda part, x: np.zeros(x.shape, np.int64), r"returned int64\[.*\], expected floating point"),
    "booleans": (lambda part, x: np.zeros(x.shape, bool), r"returned bool\[.*\], expected floating point"),
    "complex numbers": (lambda part, x: part * 1j, r"returned complex\d*\[.*\], though argument and result"),
    "objects": (lambda part, x: part.astype(object), r"returned object\[.*\], expected floating point"),
    "lower precision": (lambda part, x: part.astype(np.float16), r"returned float16\[.*\], of lower precision than"),
    "another shape": (lambda part, x: np.zeros(x.shape[:-1]), r"returned shape \(.*\), expected \("),
}


def call(entry: Primitive, case: Case, arrays: list[Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The Tensors that an operation is given and those that it returns, for the arguments of a case."""
    sources = [Tensor(a, requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]
    prepared = case.prepare(*sources) if case.prepare else sources
    prepared = list(prepared) if isinstance(prepared, tuple | list) else [prepared]
    result = entry(*([prepared] if case.shapes.startswith("[") else prepared), *case.args, **case.kwargs)
    result = case.finish(result) if case.finish else result
    outputs = list(result) if isinstance(result, tuple | list) else [result]
    return [t for t in sources if type(t) is Tensor], [y for y in outputs if type(y) is Tensor and y.requires_grad]


def patched(entry: Primitive, change: Callable[..., Any]) -> dict[str, Any]:
    """The vjps of an operation, whose gradients go through `change(part, argument, g, y, inputs)`."""
    if entry.joint is not None:
        joint = entry.joint

        def changed(g: Any, y: Any, *inputs: Any, **keywords: Any) -> Any:
            parts = joint(g, y, *inputs, **keywords)
            return [part if part is None else change(part, x, g, y, inputs) for part, x in zip(parts, inputs)]  # noqa: B905

        return {"joint": changed}

    def of(i: int, vjp: Any) -> Any:
        return vjp and (lambda g, y, *inputs, **kw: change(vjp(g, y, *inputs, **kw), inputs[i], g, y, inputs))

    return {"vjps": [of(i, vjp) for i, vjp in enumerate(entry.vjps)]}


def refuses(entry: Primitive, case: Case, arrays: list[Any], change: Any, create_graph: bool, message: str) -> None:
    """A backward pass over the operation with changed vjps raises, and says which operation it is."""
    sources, outputs = call(entry, case, arrays)
    changed = patched(entry, change)
    before = {name: getattr(entry, name) for name in changed}
    vars(entry).update(changed)
    try:
        with pytest.raises((TypeError, ValueError, RuntimeError), match=message) as caught:
            grad(outputs, sources, [np.ones(y.shape) for y in outputs], create_graph=create_graph)
        assert f"vjp of {entry.name} " in str(caught.value)
        assert "in the backward pass of" in caught.value.__notes__[0]
    finally:
        vars(entry).update(before)


@pytest.mark.parametrize("entry", PRIMITIVES, ids=lambda entry: entry.name)
@settings(max_examples=1)
@given(data=st.data())
def test_what_is_no_gradient_is_refused_in_the_backward_pass_of_every_operation(
    entry: Primitive, data: st.DataObject
) -> None:
    case = entry.cases[0]
    arrays = data.draw(arguments(case), label=str(case))
    for kind, (make, message) in WRONG.items():
        for create_graph in (False, True):
            if kind == "a Tensor" and create_graph:
                continue
            unfinished = replace(case, finish=None)  # eig of NumPy 2.5 is complex, its eigenvectors' squares are not
            is_complex = any(y.dtype.kind == "c" for y in call(entry, unfinished, arrays)[1])
            if is_complex and kind in ("complex numbers", "lower precision"):
                continue  # of a complex result the backward pass takes the real part

            def change(part: Any, x: Any, *_: Any, make: Any = make, kind: str = kind) -> Any:
                part = part.computed() if type(part) in (Part, Parts) else part
                x, part = (np.asarray(tensor._arrays(value)) for value in (x, part))
                return part if kind == "another shape" and x.ndim == 0 else make(part, x)

            if kind != "another shape" or all(np.ndim(x) for x in arrays):
                refuses(entry, case, arrays, change, create_graph, message)


@pytest.mark.parametrize("entry", PRIMITIVES, ids=lambda entry: entry.name)
@given(data=st.data())
def test_jvp_goes_forward_as_the_vjp_of_the_vjp_does(entry: Primitive, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(entry.cases))
    sources, outputs = call(entry, case, data.draw(arguments(case), label=str(case)))
    if not outputs:
        return
    directions = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate(sources)]
    if data.draw(st.booleans()):  # some arguments do not move
        sources, directions = sources[:1], directions[:1]
    by_vjps = _passes.by_two_vjps(outputs, sources, directions, record=False)
    forward = _passes.forward(tensor._ancestors(outputs, None), outputs, sources, directions)
    for found, expected, y in zip(forward, by_vjps, outputs, strict=True):
        assert (found.shape, found.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("entry", PRIMITIVES, ids=lambda entry: entry.name)
@settings(max_examples=2)
@given(data=st.data())
def test_gradients_of_each_element_at_once_are_those_one_by_one(entry: Primitive, data: st.DataObject) -> None:
    for case, record in itertools.product(entry.cases, (False, True)):
        sources, outputs = call(entry, case, data.draw(arguments(case), label=str(case)))
        for y in outputs:
            units = np.eye(y.size).reshape(y.size, *y.shape)
            one_by_one = [_passes.backward([y], sources, [unit], False) for unit in units]
            together = _passes.backward_of_each(y, sources, record)
            for k, (x, found) in enumerate(zip(sources, together, strict=True)):
                expected = np.reshape([row[k].data for row in one_by_one], (y.size, *x.shape))
                assert found.dtype == x.dtype
                np.testing.assert_allclose(tensor._arrays(found), expected, rtol=1e-12, atol=1e-12)


LEAVING: dict[str, Callable[[Tensor], Any]] = {
    ".data": lambda t: t.data,
    ".detach()": Tensor.detach,
    ".item()": Tensor.item,
    "a Tensor as an array or number": np.asarray,
    "a Tensor as an array or number ": float,
    "no_grad()": lambda t: no_grad().__enter__(),
    "grad() without create_graph=True": lambda t: grad(t, t, np.ones(t.shape)),
    "backward() without create_graph=True": lambda t: t.backward(np.ones(t.shape)),
}


@pytest.mark.parametrize("entry", PRIMITIVES, ids=lambda entry: entry.name)
@settings(max_examples=1)
@given(data=st.data())
def test_a_vjp_that_leaves_the_recorded_graph_is_refused_for_every_operation(
    entry: Primitive, data: st.DataObject
) -> None:
    case = entry.cases[0]
    arrays = data.draw(arguments(case), label=str(case))
    for what, leave in LEAVING.items():

        def change(part: Any, x: Any, g: Any, y: Any, inputs: Any, leave: Any = leave) -> Any:
            leave(y)
            return part

        refuses(entry, case, arrays, change, True, f"uses {re.escape(what.strip())}.* under create_graph")


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_every_way_to_second_derivatives_finds_a_vjp_that_leaves_the_graph(leave: Callable[[Tensor], Any]) -> None:
    def back(g: Any, y: Any, x: Any) -> Any:
        if type(x) is Tensor:
            leave(x)
        return g * np.cos(x)

    sine = primitive(lambda x: np.sin(x), back)
    x = leaf(0.3)
    check_gradients(sine, x)
    for find in (
        lambda: sine(x).backward(create_graph=True),
        lambda: grad(sine(x), x, create_graph=True),
        lambda: check_gradients(sine, x, order=2),
        lambda: func.grad(func.grad(sine))(0.3),
        lambda: func.hessian(sine)(0.3),
        lambda: func.jvp(sine, [0.3], [1.0]),
        lambda: func.hvp(sine, [0.3], [1.0]),
    ):
        with pytest.raises(RuntimeError, match="the vjp of <lambda> uses .* under create_graph"):
            find()
    assert (x.data, x.detach().data, x.item(), copy.copy(x).data) == (0.3,) * 4  # all are allowed again
    with no_grad():
        assert not (x * 2).requires_grad


def test_a_keyword_may_be_a_function_and_be_called_so() -> None:
    def back(g: Any, y: Any, x: Any, *, function: Any) -> Any:
        return func.vjp(function, x)[1](g)[0]

    called = differentiable(back)(lambda x, *, function: function(x))
    assert func.grad(lambda x: called(x, function=np.square))(3.0) == 6


def test_a_vjp_reads_constants_of_a_recorded_graph() -> None:
    """What does not require a gradient may be read: nothing is lost."""
    weight = Tensor(np.array(3.0))
    scale = primitive(lambda x: x**2 * 3, lambda g, y, x: g * x * (2 * weight.data))
    check_gradients(scale, np.array([1.0, 2.0]), order=2)


def test_a_vjp_may_use_derivatives_of_functions_in_both_kinds_of_backward_pass() -> None:
    sine = primitive(lambda x: np.sin(x), lambda g, y, x: g * func.jvp(np.sin, [x], [np.ones(np.shape(x))])[1])
    cosine = primitive(lambda x: np.cos(x), lambda g, y, x: -func.vjp(np.sin, x)[0] * g)
    for f in (sine, cosine):
        check_gradients(lambda x, f=f: f(x) + x * 2 + x * 3, np.array([0.3, 0.5]), order=2)
        np.testing.assert_allclose(
            func.grad(lambda x, f=f: func.grad(lambda y: f(y).sum())(x).sum())(np.array([0.3])),
            [-math.sin(0.3) if f is sine else -math.cos(0.3)],
        )
        # Nothing is recorded in the inner backward pass, although it runs inside a function that is differentiated.
        np.testing.assert_allclose(func.grad(lambda w, f=f: func.grad(f)(0.3) * w)(2.0), func.grad(f)(0.3))


def test_a_vjp_with_a_tensor_of_its_own_is_refused_with_one_use_or_several() -> None:
    weight = leaf([2.0])
    scale = primitive(lambda x: x * 2, lambda g, y, x: g * weight)
    for f in (lambda x: scale(x), lambda x: scale(x) + x, lambda x: x + scale(x) + scale(x)):
        with pytest.raises(TypeError, match="vjp of <lambda> for argument 0 returned a Tensor.*must be an argument"):
            f(leaf([1.0])).sum().backward()


def test_scalars_of_numpy_are_gradients_of_0d_arguments_only() -> None:
    double = primitive(lambda x: x * 2, lambda g, y, x: np.float64(2))
    x = leaf(1.0)
    assert grad(double(x), x).data == 2
    for shape in ((3,), (1,)):
        with pytest.raises(ValueError, match=r"returned shape \(\), expected"):
            double(leaf(np.ones(shape))).sum().backward()


@pytest.mark.parametrize("backward", ["backward", "grad", "create_graph"])
def test_a_gradient_is_an_array_of_its_own_also_where_a_vjp_returns_a_weight(backward: str) -> None:
    dot = primitive(lambda a, b: np.asarray(a @ b), lambda g, y, a, b: b, lambda g, y, a, b: a)  # right where g is 1
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    if backward == "backward":
        dot(a, b).backward()
        gradients = [a.grad, b.grad]
    else:
        gradients = list(grad(dot(a, b), [a, b], create_graph=backward == "create_graph"))
    for gradient, other in zip(gradients, (b, a), strict=True):
        assert gradient is not other
        np.testing.assert_array_equal(gradient.data, other.data)
        assert not np.shares_memory(gradient.data, other.data)
    c, d = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    optim.SGD([c, d], lr=1.0).minimize(dot(c, d))
    np.testing.assert_array_equal([c.data, d.data], [[-2, -2], [2, 2]])


@pytest.mark.parametrize("dtype", [np.int64, bool, object])
@pytest.mark.parametrize("after", [lambda y: y, lambda y: (y * 2.0).sum(), lambda y: np.reshape(y, (2, 1))])
def test_a_forward_that_returns_no_floating_point_is_blamed_for_it(dtype: Any, after: Callable[[Any], Any]) -> None:
    counts = primitive(lambda x: x.astype(dtype), lambda g, y, x: g * x, name="counts")
    y = after(counts(leaf([1.0, 2.0])))
    with pytest.raises(TypeError, match=r"counts returned \w+\[2\]; a differentiable operation returns floating point"):
        y.backward(np.ones(y.shape))


# --- definitions -----------------------------------------------------------------------------------------------------

DEFAULTS = st.sampled_from([None, True, False, 0, 1, 2.0, -1, "full", (0, 1), np.float64])


@given(DEFAULTS, DEFAULTS)
def test_a_vjp_has_the_defaults_of_its_function(ours: Any, theirs: Any) -> None:
    def f(x: Any, *, option: Any = ours) -> Any:
        return x

    def vjp(g: Any, y: Any, x: Any, *, option: Any = theirs) -> Any:
        return g

    def joint(g: Any, y: Any, x: Any, *, needed: Any, option: Any = theirs) -> Any:
        return (g,)

    for define in (lambda: primitive(f, vjp), lambda: primitive(f, joint=joint)):
        registry.pop(f, None)
        if ours == theirs:
            define()
        else:
            with pytest.raises(TypeError, match="f has the default option=.*, and its vjp .*write"):
                define()


def test_definitions_that_do_not_fit_are_refused() -> None:
    vjp = lambda g, y, a: g  # noqa: E731
    two = r"takes 2 positional arguments \(a, b\), but has vjps for 1"
    for define, message in (
        (lambda: primitive(lambda a, b: a * b, vjp), two),
        (lambda: primitive(lambda a, b: a * b, joint=lambda g, y, a, *, needed: (g,)), two),
        (lambda: primitive(lambda a: a, vjp := lambda g, y, a, b: g, vjp), r"takes 1 positional arguments \(a\)"),
        (
            lambda: primitive(lambda a, *, b=2.0: a, lambda g, y, a, *, b: g),
            r"default b=2.0, and its vjp none: write \*, b=2.0",
        ),
        (lambda: primitive(lambda a, b=2.0: a, lambda g, y, a, *, b=1.0: g), r"default b=2.0, and its vjp 1.0: write"),
        (lambda: primitive(lambda a: a, lambda g, y, a, *, k=1: g), "take a keyword k, which <lambda> does not have"),
        (
            lambda: primitive(functools.partial(lambda a, k=1: a, k=2), lambda g, y, a, *, k=1: g),
            "default k=2, and its vjp 1: write",
        ),
        (lambda: primitive(np.nextafter, vjp), "nextafter takes 2 arguments, its vjps 1"),
        (lambda: primitive(np.frexp, vjp), "frexp returns 2 arrays"),
    ):
        count = len(registry)
        with pytest.raises(TypeError, match=message):
            define()
        assert len(registry) == count
    primitive(lambda a, shape: a, lambda g, y, a, *, shape: g)  # given by keyword
    primitive(lambda a, b=2.0: a, vjp)  # b is not supported
    primitive(lambda *a: a[0], vjp)
    primitive(lambda a, **k: a, lambda g, y, a, *, k=1: g)


def test_a_default_reaches_the_vjp() -> None:
    @differentiable(lambda g, y, a, *, k=2.0: g * k)
    def scaled(a: Any, *, k: float = 2.0) -> Any:
        return a * k

    x = leaf(3.0)
    assert [float(grad(y, x).data) for y in (scaled(x), scaled(x, k=2.0), scaled(x, k=5.0))] == [2, 2, 5]


# --- what may be registered ------------------------------------------------------------------------------------------


class Scale:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return x * self.factor

    def method(self, x: Any) -> Any:
        return x * self.factor

    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x * 3.0

    @staticmethod
    def static(x: Any) -> Any:
        return x * 3.0


@dataclass
class Unhashable:
    factor: float

    def __call__(self, x: Any) -> Any:
        return x * self.factor


def triple(x: Any) -> Any:
    return x * 3.0


CALLABLES: dict[str, Any] = {
    "Scale": Scale(3.0),
    "Scale.method": Scale(3.0).method,
    "Scale.of_class": Scale.of_class,
    "static": Scale.static,
    "partial(mul)": functools.partial(operator.mul, 3.0),
    "partial(Scale.method)": functools.partial(Scale(3.0).method),
    "triple": np.vectorize(triple, otypes=[float]),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_every_kind_of_callable_may_be_registered_and_has_a_name(name: str) -> None:
    function = CALLABLES[name]
    assert name_of(function) == name
    operation = primitive(function, lambda g, y, x: g * 3.0)
    assert operation.__name__ == getattr(function, "__name__", name)
    check_gradients(operation, np.array([1.0, 2.0]), order=2)
    with pytest.raises(TypeError, match=re.escape(f"{name} of a Tensor")):
        operation(leaf([1.0]), leaf([1.0]))


def test_builtins_may_be_registered() -> None:
    for function, vjps, inputs in (
        (operator.mul, (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a), (2.0, 3.0)),
        (abs, (lambda g, y, x: g * np.sign(x),), (-2.0,)),
        (math.sin, (lambda g, y, x: g * np.cos(x),), (0.3,)),
        (pow, (lambda g, y, a, b: g * b * a ** (b - 1), lambda g, y, a, b: g * y * np.log(a)), (2.0, 3.0)),
    ):
        operation = primitive(function, *vjps)
        assert operation.__name__ == function.__name__
        check_gradients(operation, *map(np.array, inputs), order=2)


def test_what_is_not_hashable_is_not_registered() -> None:
    with pytest.raises(TypeError, match="Unhashable cannot be registered, since it is not hashable"):
        primitive(Unhashable(2.0), lambda g, y, x: g * 2)
    with pytest.raises(TypeError, match="Unhashable cannot be registered"):
        constant(Unhashable(2.0))


def test_an_operation_takes_as_many_arguments_as_it_has_vjps() -> None:
    out = np.zeros(1)
    with pytest.raises(TypeError, match="nextafter of a Tensor takes 2 positional arguments, not 3"):
        primitive(np.nextafter, lambda g, y, a, b: g, None)(leaf([1.0]), np.ones(1), out)
    assert out == 0


# --- what is not registered ------------------------------------------------------------------------------------------

METHODS: dict[str, Callable[[np.ufunc, Tensor], Any]] = {
    "": lambda f, x: f(x, x),
    ".reduce": lambda f, x: f.reduce(x),
    ".accumulate": lambda f, x: f.accumulate(x),
    ".outer": lambda f, x: f.outer(x, x),
    ".reduceat": lambda f, x: f.reduceat(x, [0]),
    ".at": lambda f, x: f.at(x, [0], x),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ufunc", [np.nextafter, np.frompyfunc(operator.add, 2, 1)], ids=["nextafter", "add"])
def test_methods_of_unknown_ufuncs_are_refused_by_name(ufunc: np.ufunc, method: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{ufunc.__name__}{method} of a Tensor is not supported")):
        METHODS[method](ufunc, leaf([1.0, 2.0]))


def test_a_function_of_another_library_is_refused_by_name() -> None:
    x = leaf([1.0])
    for function, name in (
        (functools.partial(max), "partial(max)"),
        (Scale(2.0), "Scale"),
        (len, "len"),
        (lambda x: x, "<lambda>"),
    ):
        with pytest.raises(TypeError, match=re.escape(f"{name} of a Tensor is not supported")):
            x.__array_function__(function, (Tensor,), (x,), {})


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda x: np.put(x, [0], 1.0), "put of a Tensor is not supported; .*x.at"),
        (lambda x: np.put_along_axis(x, np.array([0]), 1.0, 0), "x.at"),
        (lambda x: np.add.at(x, [0], 1.0), "add.at of a Tensor is not supported; .*x.at"),
        (lambda x: np.apply_along_axis(np.sum, 0, x), "functions of whole arrays are"),
        (lambda x: np.histogram2d(x, x), r"histogram2d of a Tensor is not supported\. For the bare array"),
        (lambda x: np.unique(x), r"unique of a Tensor is not supported; .*np.sort has\. For the bare array"),
        (lambda x: np.roots(x), r"roots of a Tensor is not supported\. .*pass the Tensor's .data; .*primitive"),
    ],
)
def test_a_suggestion_is_near_in_name_or_in_meaning(use: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        use(leaf([1.0, 2.0]))
    assert "shift of" not in str(caught.value).partition("nearest")[2]


def test_an_unknown_function_in_a_recorded_vjp_is_to_be_registered() -> None:
    log = primitive(lambda x: np.log(x), lambda g, y, x: g / np.nextafter(x, x))
    check_gradients(log, np.array([1.0, 2.0]))
    message = (
        r"nextafter of a Tensor is not supported; .*\. A vjp is written in registered functions: register nextafter"
    )
    with pytest.raises(TypeError, match=message):
        check_gradients(log, np.array([1.0, 2.0]), order=2)


# --- .grad -----------------------------------------------------------------------------------------------------------


SHAPES, FLOATS = [(), (1,), (2,), (2, 1), (0,)], [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtypes", [*itertools.product(FLOATS, FLOATS)])
@pytest.mark.parametrize(("shape", "other"), [*itertools.product(SHAPES, SHAPES)])
def test_grad_takes_a_tensor_of_the_same_shape_and_dtype(shape: Any, other: Any, dtypes: Any) -> None:
    w, g = leaf(np.ones(shape), dtypes[0]), Tensor(np.ones(other, dtypes[1]))
    w.grad = before = Tensor(np.zeros(shape, dtypes[0]))
    if shape != other:
        with pytest.raises(ValueError, match=re.escape(f"grad must have the shape {shape}, not {other}")):
            w.grad = g
    elif dtypes[0] != dtypes[1]:
        with pytest.raises(TypeError, match=f"grad must have the dtype {w.dtype}, not {g.dtype}; use .astype"):
            w.grad = g
    else:
        w.grad = before = g
    assert w.grad is before
    for wrong in (np.ones(shape, dtypes[0]), np.ones(shape, dtypes[0])[()], 1.0, [1.0], "text", False):
        with pytest.raises(TypeError, match=f"must be a Tensor or None, not {type(wrong).__name__}: write w.grad ="):
            w.grad = wrong
    assert w.grad is before
    w.grad = None
    assert w.grad is None


def test_grad_is_used_as_before() -> None:
    w = leaf([1.0, 2.0], np.float32)
    (w * w).sum().backward()
    w.grad *= 0.5
    w.grad += w.grad
    assert w.grad.data.tolist() == [2, 4]
    (w * w).sum().backward()
    optim.SGD([w], lr=1.0).step()
    assert w.data.tolist() == [-3, -6]
    layer = nn.Linear(1, 1, rng=np.random.default_rng(0))
    layer(np.ones((1, 1), np.float32)).sum().backward()
    layer.zero_grad()
    assert layer.weight.grad is None


def test_memory_is_shared_by_dlpack() -> None:
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.from_dlpack(t)
    assert np.shares_memory(array, t.data)
    np.testing.assert_array_equal(np.from_dlpack(t.T), t.data.T)
    copy = np.from_dlpack(t, copy=True)
    assert not np.shares_memory(copy, t.data)
    with pytest.raises(BufferError, match="requires a gradient is not shared: write from_dlpack\\(t.detach"):
        np.from_dlpack(Tensor([1.0], requires_grad=True))
