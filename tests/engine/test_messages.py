"""What error messages say: the user's own errors, public names, and what to write instead."""

import contextlib
import gc
import inspect
import json
import math
import operator
import re
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any

import tinygrad_np
from tinygrad_np import (
    Tensor,
    _messages,
    composite,
    cross_entropy,
    data,
    differentiable,
    grad,
    nn,
    no_grad,
    optim,
    schedules,
    serialization,
)
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader
from tinygrad_np.ops.cases import Case
from tinygrad_np.testing import reference
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ENTRIES = list(dict.fromkeys(registry.values()))
OPERATIONS = [entry for entry in ENTRIES if not isinstance(entry, Constant)]
RNG = np.random.default_rng(0)
INTERNAL = re.compile(r"(?<![\w.])_[a-z]\w*")  # a private name


def leaf(value: Any) -> Tensor:
    return Tensor(np.array(value, np.float64), requires_grad=True)


# --- hints: each is data, and the code in it runs --------------------------------------------------------------------

MODEL, OPTIMIZER = nn.Linear(2, 2, rng=np.random.default_rng(0)), optim.SGD([leaf([1.0])], lr=0.1)
OBJECTS: dict[str, Any] = {"Tensor": leaf([[1.0, 2.0]]), "Module": MODEL, "Optimizer": OPTIMIZER}
OBJECTS["At"] = OBJECTS["Tensor"].at[0]
OBJECTS["Scheduler"] = schedules.CosineScheduler(0.1, steps=5)
OBJECTS["PlateauScheduler"] = schedules.PlateauScheduler(0.1)
ABSENT = [name for name, value in vars(Tensor).items() if isinstance(value, _messages._Absent)]
ROWS = [(OBJECTS["Tensor"], name, hint) for name, hint in _messages.ATTRIBUTES.items()]
ROWS += [(OBJECTS[kind], name, hint) for kind, rows in _messages.CLASSES.items() for name, hint in rows.items()]
PACKAGES = {name: tinygrad_np if name == "tinygrad_np" else attrgetter(name)(tinygrad_np) for name in _messages.MODULES}
ROWS += [(PACKAGES[module], name, hint) for module, rows in _messages.MODULES.items() for name, hint in rows.items()]


def run_code_of(hint: str) -> int:
    """Run each piece of code in a hint, and call it with a Tensor if it is a lambda; return how many there are."""
    pieces = re.findall("`(.*?)`", hint)
    for code in pieces:
        names = {module: getattr(tinygrad_np, module) for module in tinygrad_np._MODULES} | {"tinygrad_np": tinygrad_np}
        names |= {"np": np, "Tensor": Tensor, "x": Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)}
        names |= {"y": Tensor([[0.5, 0.5], [0.5, 0.5]]), "model": nn.Linear(2, 2, rng=RNG)}
        names["optimizer"] = optim.SGD(names["model"].parameters(), lr=0.1)
        names["model"](names["x"]).sum().backward()
        try:
            compiled = compile(code, code, "eval")
        except SyntaxError:
            exec(compile(code, code, "exec"), names)
            continue
        value = eval(compiled, names)
        if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
            value(names["x"])
    return len(pieces)


@pytest.mark.parametrize(("owner", "name", "hint"), ROWS, ids=[f"{name}-{i}" for i, (_, name, _) in enumerate(ROWS)])
def test_a_hint_for_a_name_that_does_not_exist_is_given_and_runs(owner: Any, name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no (attribute ')?{name}\b.*{re.escape(hint)}") as caught:
        getattr(owner, name)
    assert caught.value.name == name
    run_code_of(hint)


@pytest.mark.parametrize("hint", sorted({*_messages.WITHOUT.values()}))
def test_what_to_do_without_a_keyword_runs(hint: str) -> None:
    assert run_code_of(hint) or "leave it out" in hint or "give it by" in hint


def test_the_mask_of_pytorchs_attention_has_the_other_meaning() -> None:
    with pytest.raises(TypeError, match="'attn_mask'; give it by the name mask, with True where attention is not al"):
        nn.scaled_dot_product_attention(leaf([[1.0]]), leaf([[1.0]]), leaf([[1.0]]), attn_mask=np.array([[True]]))


PUBLIC = {
    (place, name)
    for place in (*PACKAGES, *_messages._OTHERS)
    for name in _messages._public(place)
    if not name.startswith("_") and name not in tinygrad_np._MODULES
}


@pytest.mark.parametrize("module", PACKAGES)
def test_what_another_module_has_is_found_there(module: str) -> None:
    own = PACKAGES[module]
    for _, name in sorted(PUBLIC):
        for written in {name, name.lower(), f"{name}_"} - {*vars(own), *getattr(own, "__all__", ())}:
            with pytest.raises(AttributeError, match=f"has no attribute '{written}'; ") as caught:
                getattr(own, written)
            run_code_of(str(caught.value))
    assert not hasattr(own, "__wrapped__")
    with pytest.raises(AttributeError, match="'nothing_like_it'$"):
        own.nothing_like_it  # noqa: B018


def test_a_module_that_is_called_names_the_class() -> None:
    found = 0
    for owner in (tinygrad_np, optim, nn):
        for name, thing in vars(owner).items():
            meant = [other for other in owner.__all__ if other.lower() == name] if isinstance(thing, ModuleType) else []
            if meant and meant != [name]:
                found += 1
                with pytest.raises(TypeError, match=rf"is a module: write {meant[0]}\(...\)"):
                    thing([1.0])
    assert found == 8


CALLABLES = [thing for place, name in sorted(PUBLIC) if callable(thing := getattr(PACKAGES.get(place), name, None))]
HINTED = [
    thing
    for thing in CALLABLES
    if thing.__module__.startswith(("tinygrad_np.nn", "tinygrad_np.optim", "tinygrad_np.schedules"))
    and thing not in (nn.Module, optim.Optimizer, nn.transpose_weights, nn.init.fans, nn.init.zeros)
    and thing not in (optim.minimize, optim.Minimum)  # hands keywords over to an optimiser, which answers; is a result
    and thing not in (nn.Checkpoint, nn.summary)  # a module without options; hands keywords over to the model
] + [nn.scaled_dot_product_attention, Tensor]
LAYERS = [t for t in HINTED if inspect.isclass(t) and issubclass(t, nn.Module)]


@pytest.mark.parametrize("thing", HINTED, ids=lambda thing: thing.__name__)
def test_keywords_of_other_libraries_are_answered_with_our_own(thing: Any) -> None:
    parameters, args = inspect.signature(thing).parameters, [1.0] if thing is Tensor else []
    at_call = inspect.signature(thing.forward).parameters if hasattr(thing, "forward") else {}
    for given_name, meant in _messages.KEYWORDS.items():
        ours = [name for name in meant if name in parameters]
        if given_name not in {*parameters, *at_call} and ours:
            with pytest.raises(TypeError, match=f"{thing.__name__}.*'{given_name}'; write {ours[0]}="):
                thing(*args, **{given_name: 0})
    for name in parameters:
        if len(name) > 5 and name != "unknown" and parameters[name].kind is not inspect.Parameter.VAR_POSITIONAL:
            with pytest.raises(TypeError, match=f"'{name}x'; did you mean {name}="):
                thing(*args, **{f"{name}x": 0})


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_keywords_of_a_call_are_answered_too(layer: type[nn.Module]) -> None:
    parameters = inspect.signature(layer.forward).parameters
    for given_name, meant in _messages.KEYWORDS.items():
        ours = [name for name in meant if name in parameters]
        if given_name not in parameters and ours and "args" not in parameters:
            with pytest.raises(TypeError) as caught:
                object.__new__(layer)(**{given_name: 0})
            assert f"write {ours[0]}=" in caught.value.__notes__


def test_every_keyword_of_another_library_is_one_of_something_here() -> None:
    signatures = [{*inspect.signature(thing).parameters} for thing in HINTED]
    signatures += [{*inspect.signature(t.forward).parameters} for t in HINTED if hasattr(t, "forward")]
    signatures += [{*entry.keywords} for entry in OPERATIONS]
    known = set().union(*signatures, inspect.signature(np.swapaxes).parameters)
    assert {given for given, meant in _messages.KEYWORDS.items() if not known & {*meant}} == set()


def test_every_attribute_of_an_array_and_function_of_numpy_exists_or_has_a_hint() -> None:
    x = Tensor([[1.0, 2.0]])
    for name in [*dir(np.ndarray), *(n for n, f in vars(np).items() if isinstance(f, np.ufunc | type(np.sum)))]:
        if name.startswith("_"):
            continue
        if name in ABSENT:
            for owner in (x, Tensor):
                assert not hasattr(owner, name)
            with pytest.raises(AttributeError, match=r"write|leave it out|see") as caught:
                getattr(x, name)
            assert caught.value.name == name
        else:
            getattr(x, name)
    assert not set(dir(x)) & set(ABSENT)  # completion offers what exists


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_keywords_of_pytorch_are_answered_with_numpys(entry: Primitive | Composite) -> None:
    for given_name, meant in _messages.KEYWORDS.items():
        ours = [name for name in meant if name in entry.keywords]
        if ours and given_name not in entry.keywords:
            with pytest.raises(TypeError, match=f"{re.escape(entry.name)} of a Tensor.*{given_name}.*write {ours[0]}="):
                entry(leaf([1.0]), **{given_name: 0})


def test_arrays_methods_that_were_missing() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert leaf(3.0).tolist() == 3.0
    (x.flatten() * np.arange(4.0)).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert x.flatten("F").tolist() == [1.0, 3.0, 2.0, 4.0]


# --- errors keep their class, name operations publicly, and once -----------------------------------------------------


def test_every_name_that_a_message_can_contain_is_public() -> None:
    own = set(re.findall("`(.*?)`", re.search(r"\*\*Functions of this package\*\*: (.*)\.", reference.text())[1]))
    others = {"x.at[index].set", "x.at[index].add", "getitem", "scaled_dot_product_attention"}
    for entry in ENTRIES:
        owner: Any = np
        if entry.name not in own | others | set(tinygrad_np.__all__):
            for part in entry.name.split("."):
                owner = getattr(owner, part)
            assert callable(owner)


def refused(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
@settings(max_examples=2)
@given(data=st.data())
def test_messages_name_the_operation_once_and_publicly(entry: Primitive | Composite, data: st.DataObject) -> None:
    case: Case = data.draw(st.sampled_from(entry.cases))
    arrays = data.draw(arguments(case))
    tensors = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    args: list[Any] = [tensors, *case.args] if case.shapes.startswith("[") else [*tensors, *case.args]
    wrong = np.ones((2, 0, 3, 1, 5, 2))
    calls: list[tuple[list[Any], dict[str, Any]]] = [
        ([*args[:i], other, *args[i + 1 :]], dict(case.kwargs))
        for i in range(len(args))
        for other in (Tensor(wrong), np.array(["a"]), "a")
    ]
    calls += [(args, {**case.kwargs, name: value}) for name in sorted(entry.keywords) for value in ("a", 99)]
    if not (isinstance(entry, Primitive) and entry.is_internal):  # those are called by this package only
        calls += [(args, {**case.kwargs, "unknown": 1}), ([*args, *range(9)], {}), ([], {})]
    last = re.escape(entry.name.rpartition(".")[2])
    for given_args, kwargs in calls:
        error = refused(lambda a=given_args, k=kwargs: entry(*a, **k))
        if error is None:
            continue
        assert type(error).__module__.partition(".")[0] in ("builtins", "numpy"), repr(error)
        for text in (str(error), *getattr(error, "__notes__", ())):
            assert not INTERNAL.search(text), text
            assert not re.search(rf"\b{last} of .*\b{last}(: | of )", text), text


SPELLINGS = {name for entry in ENTRIES for name in (entry.name, entry.name.rpartition(".")[2])}
CALLED_BY_USERS = [entry for entry in OPERATIONS if not (isinstance(entry, Primitive) and entry.is_internal)]


def named_as_the_call(entry: Primitive | Composite, text: str) -> bool:
    """Whether a message begins with the operation that was called, and speaks of no other and of no private name."""
    own = {entry.name, entry.name.rpartition(".")[2]}
    begins = re.match(r"([\w.\[\]]+)(?:: | of | takes | is | needs | does )", text)
    subjects = re.findall(r"(?:^|: )([\w.]+)(?:: | of | takes | is not | needs | does not )", text)
    others = {name for name in subjects if name in SPELLINGS} - own
    return bool(begins) and begins[1] in own and not others and not INTERNAL.search(text)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
@pytest.mark.parametrize("entry", CALLED_BY_USERS, ids=lambda entry: entry.name)
def test_wrong_arguments_are_answered_in_the_name_of_the_operation_called(entry: Primitive | Composite) -> None:
    """Arrays of every rank and dtype, and options that are Tensors; errors are of NumPy's class or a class below."""
    is_numpys = reference.is_numpys(entry.function)
    for case in entry.cases:
        count, options = case.shapes.count(",") + 1, dict(case.kwargs)
        for shape in ((), (3,), (0,), (2, 3), (2, 0), (2, 3, 4), (1, 2, 3, 2), (2, 1, 2, 1, 2)):
            for dtype in ("float64", "float32", "uint8", "bool"):
                arrays = [np.ones(shape, dtype)] * count
                given: list[Any] = [Tensor(a) for a in arrays]
                if case.shapes.startswith("["):
                    arrays, given = [arrays], [given]  # type: ignore[list-item]
                error = refused(lambda a=given, o=options, c=case: entry(*a, *c.args, **o))
                if error is None:
                    continue
                if isinstance(error, DeprecationWarning):  # NumPy's own, of what a later NumPy refuses
                    continue
                assert type(error) not in (RecursionError, AttributeError, AssertionError), (case, shape, dtype)
                assert named_as_the_call(entry, str(error)), (str(error), case, shape, dtype)
                expected = refused(lambda a=arrays, o=options, c=case: entry.function(*a, *c.args, **o))
                if is_numpys and isinstance(expected, np.linalg.LinAlgError | np.exceptions.AxisError):
                    assert isinstance(error, type(expected)), (case, shape, dtype, expected)
        for i, value in enumerate(case.args):
            if isinstance(value, int | list | float):
                args = [*case.args[:i], Tensor(np.asarray(value)), *case.args[i + 1 :]]
                arrays = [Tensor(np.ones((4, 4)))] * count
                error = refused(lambda a=[*arrays, *args], o=options: entry(*a, **o))
                assert type(error) is not RecursionError, case
                assert error is None or named_as_the_call(entry, str(error)), str(error)


LAYERS = [
    kind
    for kind in vars(nn).values()
    if isinstance(kind, type)
    and issubclass(kind, nn.Module)
    and kind.forward is not nn.Module.forward
    and kind not in (nn.Checkpoint, nn.TransformerEncoder, nn.TransformerDecoder)  # whose layers answer
]
REQUIRED = {
    "in_features": 3, "out_features": 2, "in_channels": 2, "out_channels": 3, "kernel_size": 2, "num_features": 3,
    "normalized_shape": 3, "input_size": 3, "hidden_size": 2, "embed_dim": 4, "num_heads": 2, "num_embeddings": 5,
    "embedding_dim": 3, "max_length": 8, "in1_features": 3, "in2_features": 3, "num_groups": 1, "num_channels": 3,
    "output_size": 3, "upscale_factor": 2, "downscale_factor": 2, "d_model": 4, "nhead": 2,
}  # fmt: skip
OPTIONS: dict[Any, dict[str, Any]] = {nn.Upsample: {"scale_factor": 2}}  # without which there is no layer


def build(kind: type[nn.Module]) -> nn.Module:
    """A small layer of this class."""
    required = [
        p for p in inspect.signature(kind).parameters.values() if p.default is p.empty and p.kind != p.VAR_POSITIONAL
    ]
    rng = np.random.default_rng(0)
    return kind(**{p.name: rng if p.name == "rng" else REQUIRED[p.name] for p in required}, **OPTIONS.get(kind, {}))


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*computes in float64")
@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_wrong_inputs_are_answered_in_the_name_of_the_layer(kind: type[nn.Module]) -> None:
    """Or in that of the public function of which it is the layer; and none speaks of images that are sequences."""
    layer = build(kind)
    needed = [p for p in inspect.signature(layer.forward).parameters.values() if p.default is p.empty]
    shapes = [(), (3,), (0,), (2, 3), (2, 5), (2, 0), (2, 3, 4), (2, 2, 3), (2, 3, 0), (2, 2, 0), (2, 2, 1)]
    shapes += [(1, 2, 4, 4), (1, 3, 4, 4), (2, 2, 0, 3), (2, 1, 2, 1, 2)]
    dtypes = ("float32", "float64", "uint8", "bool", "int64")
    for x in [*(Tensor(np.ones(shape, dtype)) for shape in shapes for dtype in dtypes), 3, 2.0, True, (1.0, 2.0)]:
        error = refused(lambda x=x: layer(*[x] * len(needed)))
        if error is None:
            continue
        text = str(error)
        first = re.match(r"(\w+)(?:: | of | takes )", text)
        assert first, text
        assert first[1] in {kind.__name__, kind.__name__.lower(), *tinygrad_np.__all__}, text
        assert not INTERNAL.search(text), text
        assert any(f"in {kind.__name__}(" in note for note in error.__notes__), text
        assert not (kind.__name__.endswith("1d") and re.search("image|height|one or two", text)), text


def test_the_results_of_a_layer_that_returns_several_are_told_from_an_array() -> None:
    x = Tensor(np.ones((1, 2, 4), np.float32))
    attention = nn.MultiheadAttention(4, 2, rng=np.random.default_rng(0))
    for call in (lambda: x + attention(x, x, x), lambda: np.multiply(attention(x, x, x), x)):
        with pytest.raises(TypeError, match=r"not a tuple of Tensors; .*, y, weights = layer\(x, x, x\)"):
            call()


class WidthError(ValueError):
    def __init__(self, message: str, layer: str) -> None:
        super().__init__(message)
        self.layer = layer


class FrozenError(RuntimeError):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set")


class FrozenNotesError(ValueError):
    __notes__ = ("only this",)  # type: ignore[assignment]


class SlottedError(Exception):
    __slots__ = ("layer",)


OWN_ERRORS: list[Exception] = [
    WidthError("too wide", "conv1"),
    FrozenError("frozen"),
    FrozenNotesError("notes"),
    SlottedError("slots"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "reason"),
    KeyError("key"),
    MemoryError("memory"),
    StopIteration(3),
    RecursionError("deep"),
]


@pytest.mark.parametrize("own", OWN_ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_ones_own_is_raised_itself(own: Exception) -> None:
    @differentiable(lambda g, y, x: 1 / 0)
    def broken(x: np.ndarray) -> np.ndarray:
        if len(x) == 1:
            raise own
        return x

    class Block(nn.Module):
        def forward(self, x: Any) -> Any:
            return broken(x)

    before = str(own)
    with pytest.raises(type(own)) as caught:
        nn.Sequential(Block())(leaf([1.0]))
    assert caught.value is own
    assert str(own) == before
    composite(Block)(lambda x: broken(x) * 2)
    with pytest.raises(type(own)) as caught:
        registry.pop(Block)(leaf([1.0]))
    assert caught.value is own
    assert str(own) == before
    with pytest.raises(ZeroDivisionError, match="^division by zero\n"):
        broken(leaf([1.0, 2.0])).backward(np.ones(2))


@pytest.mark.parametrize("kind", sorted(_messages.MESSAGE_ONLY, key=lambda kind: kind.__name__))
def test_an_error_that_is_only_a_message_names_the_operation_and_keeps_its_class(kind: type[Exception]) -> None:
    @differentiable(lambda g, y, x, *, times=1: g)
    def broken(x: np.ndarray, times: int = 1) -> np.ndarray:
        error = kind("broken: the reason")
        error.add_note("a note")
        raise error

    with pytest.raises(kind) as caught:
        broken(leaf([1.0]), times=2)
    assert type(caught.value) is kind
    assert str(caught.value) == "broken of float64[1], times=2: the reason"
    assert caught.value.__notes__ == ["a note"]


def test_an_attribute_error_of_ones_own_is_not_taken_for_a_wrong_argument() -> None:
    @differentiable(lambda g, y, x, scale: g, None)
    def failing(x: Any, scale: Any) -> Any:
        raise AttributeError("the real reason")

    with pytest.raises(AttributeError, match="^the real reason"):
        failing(leaf([1.0]), None)


def test_a_repr_that_fails_does_not_take_the_place_of_an_error() -> None:
    class Option:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    @differentiable(lambda g, y, x, *, option=None: g)
    def broken(x: np.ndarray, option: Any = None) -> np.ndarray:
        raise ValueError("the reason")

    with pytest.raises(ValueError, match=r"^broken of float64\[1\], option=a Option: the reason$"):
        broken(leaf([1.0]), option=Option())


def test_errors_of_numpy_keep_their_class() -> None:
    with pytest.raises(np.linalg.LinAlgError, match=r"linalg.cholesky of float64\[2, 2\]: Matrix is not positive"):
        np.linalg.cholesky(leaf([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(np.linalg.LinAlgError, match=r"linalg.solve of .*Singular"):
        np.linalg.solve(leaf(np.zeros((2, 2))), np.ones(2))
    with pytest.raises(np.exceptions.AxisError, match=r"sum of float64\[1\], axis=3: axis 3 is out of bounds"):
        leaf([1.0]).sum(axis=3)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=r"log of float64\[1\]: divide by zero"):
        np.log(leaf([0.0]))
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    with no_grad(), pytest.raises(TypeError, match=r"bitwise_and|add in place of float32\[2\]"):
        w += np.ones(2, complex)


# --- the first mistakes of a newcomer --------------------------------------------------------------------------------

X, W = leaf(np.ones((2, 3))), leaf(np.ones(3))
LINEAR = nn.Linear(3, 2, rng=np.random.default_rng(0))
IMAGES = np.ones((2, 2, 2), np.float32)
ADD = r"add rng=np.random.default_rng\(0\)"


def add_in_place(array: Any, value: Any) -> None:
    array += value


def subtract_from_data() -> None:
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    w.data -= 0.1 * w.grad


MISTAKES: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("dim", lambda: X.sum(dim=0), TypeError, "write axis="),
    ("keepdim", lambda: X.sum(axis=0, keepdim=True), TypeError, "write keepdims="),
    ("dim of a softmax", lambda: tinygrad_np.softmax(X, dim=0), TypeError, "write axis="),
    ("dim of a layer", lambda: nn.Softmax(dim=1), TypeError, r"Softmax\(\) .*write axis="),
    ("an axis that is none", lambda: nn.Softmax("a"), ValueError, "axis must be an integer, not 'a'"),
    ("no rng", lambda: nn.Linear(3, 2), TypeError, rf"Linear\(\) missing .*'rng'; {ADD}"),
    ("no rng, no arguments", lambda: nn.Dropout(), TypeError, ADD),
    ("a seed", lambda: nn.Linear(3, 2, rng=7), TypeError, r"write rng=np.random.default_rng\(7\)"),
    ("rng=None", lambda: nn.Linear(3, 2, rng=None), TypeError, r"write rng=np.random.default_rng\(0\)"),
    ("inplace", lambda: nn.ReLU(inplace=True), TypeError, "leave it out"),
    ("a layer as a function", lambda: nn.ReLU(X), TypeError, r"layer = nn.ReLU\(...\), y = layer\(x\)"),
    ("Linear as a function", lambda: nn.Linear(X, W, rng=RNG), ValueError, r"not float64\[2, 3\]; a layer is made"),
    ("a loss as a function", lambda: nn.CrossEntropyLoss(X, [0, 1]), TypeError, "a layer is made first"),
    ("layers in a list", lambda: nn.Sequential([nn.ReLU()]), TypeError, r"write Sequential\(\*layers\)"),
    ("layers in a dict", lambda: nn.Sequential({"a": 1}), TypeError, r"write Sequential\(\*layers.values\(\)\)"),
    ("nothing to a layer", lambda: LINEAR(), TypeError, "missing 1 required positional argument: 'x'"),
    ("images", lambda: nn.Linear(4, 2, rng=RNG)(IMAGES), ValueError, r"x.reshape\(len\(x\), -1\), or nn.Flatten"),
    ("one image", lambda: nn.Linear(4, 2, rng=RNG)(IMAGES[0]), ValueError, r"x.reshape\(1, -1\)"),
    ("one-hot", lambda: tinygrad_np.nll_loss(X, np.eye(3)[:2]), ValueError, r"labels.argmax\(axis=1\)"),
    ("one-hot integers", lambda: cross_entropy(X, np.eye(3, dtype=int)[:2]), ValueError, r"labels.argmax\(axis=1\)"),
    ("float labels", lambda: cross_entropy(X, np.array([0.0, 1.0])), ValueError, r"labels.astype\(int\)"),
    ("a column of labels", lambda: cross_entropy(X, [[0], [1]]), ValueError, r"labels.ravel\(\)"),
    ("swapped", lambda: cross_entropy(np.array([0, 1]), X), TypeError, r"write cross_entropy\(logits, labels\)"),
    ("labels of text", lambda: cross_entropy(X, "ab"), TypeError, "as labels, but no str"),
    ("a module", lambda: optim.SGD(LINEAR, lr=0.1), TypeError, r"model.parameters\(\)"),
    ("no call", lambda: optim.SGD(LINEAR.parameters, lr=0.1), TypeError, r"with the call: model.parameters\(\)"),
    ("a rate alone", lambda: optim.Adam(0.1), TypeError, r"as model.parameters\(\) gives them, not 0.1"),
    ("lr alone", lambda: optim.Adam(lr=0.1), TypeError, r"'parameters'; add model.parameters\(\)"),
    (
        "a state dict",
        lambda: optim.SGD(LINEAR.state_dict(), lr=0.1),
        TypeError,
        r"one dict: write model.parameters\(\)",
    ),
    ("Tensors in a dict", lambda: optim.SGD({"w": W}, lr=0.1), TypeError, r"write list\(parameters.values\(\)\)"),
    ("one group", lambda: optim.SGD({"parameters": [W]}, lr=0.1), TypeError, r"a list, not one dict: write \[...\]"),
    ("named", lambda: optim.SGD(LINEAR.named_tensors(), lr=0.1), TypeError, r"; write model.parameters\(\)"),
    ("an empty tuple", lambda: optim.SGD([()], lr=0.1), TypeError, r"with requires_grad=True: \(\)$"),
    ("no lr", lambda: optim.SGD([W]), TypeError, "missing .*'lr'; add lr=0.1"),
    (
        "betas in an array",
        lambda: optim.Adam([W], betas=np.array([0.9, 0.99])),
        ValueError,
        r"write betas=\(0.9, 0.99\)",
    ),
    ("a class as lr", lambda: optim.SGD([W], lr=schedules.CosineScheduler), TypeError, r"write CosineScheduler\(...\)"),
    (
        "a factory as lr",
        lambda: optim.SGD([W], lr=lambda step: abs).lr,
        ValueError,
        "but a function; call it",
    ),
    ("lr of no step", lambda: optim.SGD([W], lr=lambda: 0.1), TypeError, "lr must be a function of the step"),
    ("a huge lr", lambda: optim.SGD([W], lr=10**400), ValueError, "which is not finite"),
    (
        "lr = of a schedule",
        lambda: setattr(optim.SGD([W], lr=schedules.CosineScheduler(0.1, steps=5)), "lr", 0.1),
        AttributeError,
        r'write optimizer.groups\[0\]\["lr"\] = ...',
    ),
    ("set_to_none", lambda: OPTIMIZER.zero_grad(set_to_none=True), TypeError, "'set_to_none'; leave it out"),
    ("set_to_none of a layer", lambda: LINEAR.zero_grad(set_to_none=True), TypeError, "'set_to_none'; leave it out"),
    ("one feature", lambda: nn.Linear(4), TypeError, r"Linear\(\) missing .*'out_features'$"),
    (
        "mask=",
        lambda: nn.MultiheadAttention(4, 2, mask=0, rng=RNG),
        TypeError,
        "give attn_mask= to the call of the layer",
    ),
    ("key=", lambda: nn.MultiheadAttention(4, 2, key=X), TypeError, "give key= to the call of the layer"),
    ("input= of a layer", lambda: nn.ReLU(input=X), TypeError, "give x= to the call of the layer"),
    ("modules", lambda: nn.ModuleList(nn.ReLU(), nn.ReLU()), TypeError, r"one list: ModuleList\(\[...\]\)"),
    ("a module as a list", lambda: nn.ModuleList(nn.ReLU()), TypeError, r"write \[...\] around it"),
    ("a class in a list", lambda: nn.ModuleList([nn.ReLU]), TypeError, r"ModuleList: layer 0 .*; write ReLU\(...\)"),
    ("a class is appended", lambda: nn.Sequential().append(nn.ReLU), TypeError, r"Sequential: layer 0 .*; write ReLU"),
    ("argmax'ed logits", lambda: cross_entropy(X.argmax(axis=1), [0, 1]), TypeError, "before argmax"),
    ("nothing as predictions", lambda: tinygrad_np.mse_loss(None, X), TypeError, "not None; does what computed it end"),
    ("input=", lambda: cross_entropy(input=X, target=[0, 1]), TypeError, "write logits="),
    ("whole numbers", lambda: nn.Embedding(3, 2, rng=RNG)(Tensor([0, 1])), TypeError, r"write x.astype\(int\)"),
    ("channels last", lambda: nn.BatchNorm2d(3)(np.ones((2, 8, 8, 3))), ValueError, r"write np.moveaxis\(x, -1, 1\)"),
    ("axes", lambda: X.sum(0, 1), TypeError, r"write axis=\(0, 1\) for several axes"),
    ("shuffle=", lambda: data.DataLoader(np.ones(4), batch_size=2, shuffle=True), TypeError, "write rng="),
    ("x.at[0] += 1", lambda: operator.iadd(X.at[0], 1), TypeError, r"write x = x.at\[index\].set\(value\)"),
    ("x.at[0] = 1", lambda: operator.setitem(X.at, 0, 1.0), TypeError, r"write x = x.at\[index\].set\(value\)"),
    ("x.at(0)", lambda: X.at(0), TypeError, r"write x = x.at\[index\].set\(value\)"),
    ("output and state", lambda: cross_entropy((X, X), [0, 1]), TypeError, r"write y, state = layer\(x\)"),
    ("groups", lambda: nn.Conv2d(3, 4, 3, groups=2, rng=RNG), ValueError, "out_channels=4$"),
    ("nan", lambda: nn.CrossEntropyLoss(weight=np.array([1, np.nan])), ValueError, "at least 0, not nan$"),
    ("array", lambda: nn.LSTM(np.ones(1), 2, rng=RNG), ValueError, r"layer = nn.LSTM\("),
    ("keepdims", lambda: X.mean(0, True), TypeError, "write keepdims=True by name"),
    ("keepdims of a function", lambda: np.max(X, 0, True), TypeError, "write keepdims=True by name"),
    ("keepdims of argmax", lambda: X.argmax(0, True), TypeError, "write keepdims=True by name"),
    ("dim of argmax", lambda: X.argmax(dim=1), TypeError, "write axis="),
    ("start_dim", lambda: X.flatten(start_dim=1), TypeError, r"flatten\(\) .*write x.reshape\(len\(x\), -1\)"),
    ("flatten(1)", lambda: X.flatten(1), TypeError, r"flatten\(\) .*write x.reshape\(len\(x\), -1\)"),
    ("dim0", lambda: X.transpose(dim0=0, dim1=1), TypeError, r"write x.swapaxes\(0, 1\) for two"),
    ("device", lambda: Tensor(1.0, device="cpu"), TypeError, r"Tensor\(\) got .*'device'; everything runs on the CPU"),
    ("require_grad", lambda: Tensor(1.0, require_grad=True), TypeError, r"did you mean requires_grad=\?"),
    ("requires_grad = 'no'", lambda: setattr(W, "requires_grad", "no"), TypeError, "True or False, not 'no'"),
    ("round", lambda: round(X.sum()), TypeError, r"write round\(x.item\(\)\)"),
    ("grad = 0", lambda: setattr(W, "grad", 0), TypeError, "write w.grad = None"),
    ("data = [1]", lambda: setattr(W, "data", [1.0]), TypeError, r"np.array\(list, w.dtype\)"),
    ("a tensor", lambda: tinygrad_np.tensor([1.0]), TypeError, r"is a module: write Tensor\(...\)"),
    ("save", lambda: tinygrad_np.save, AttributeError, "write `serialization.save`"),
    (
        "a generator of weights",
        lambda: nn.init.normal((2, 2), rng=3),
        TypeError,
        r"write rng=np.random.default_rng\(3\)",
    ),
    ("learning_rate", lambda: optim.SGD([W], learning_rate=0.1), TypeError, "write lr="),
    ("by position", lambda: optim.SGD([W], 0.1, 0.9), TypeError, "given by name"),
    ("a 0-d rate", lambda: optim.SGD([W], lr=np.array(0.1)), ValueError, r"no number; write lr.item\(\)"),
    ("a rate of text", lambda: optim.SGD([W], lr="0.1"), ValueError, "lr must be at least 0, not '0.1', which is no n"),
    ("a step of a loss", lambda: optim.SGD([W], lr=0.1).step(X), TypeError, r"optimizer.minimize\(loss\)"),
    ("numbers", lambda: Tensor(2, 3), TypeError, r"Tensor\(\[2, 3\]\)"),
    ("a dtype", lambda: Tensor(2.0, np.float64), TypeError, "dtype="),
    ("zeros", lambda: Tensor.zeros(2), AttributeError, "np.zeros"),
    ("exp", lambda: tinygrad_np.exp(X), AttributeError, "write np.exp"),
    ("math", lambda: math.exp(X), TypeError, r"np.exp\(x\)"),
    ("math of a leaf", lambda: math.exp(leaf(1.0)), TypeError, r"np.exp\(x\)"),
    ("float", lambda: float(leaf(1.0)), TypeError, r"\.item\(\)"),
    ("asarray", lambda: np.asarray(X), TypeError, r"\.data"),
    ("a list of Tensors", lambda: Tensor([leaf(1.0), leaf(2.0)]), TypeError, r"np.stack"),
    ("len", lambda: len(leaf(1.0)), TypeError, "0-d Tensor has no len"),
    ("if", lambda: bool(X), ValueError, r"a.any\(\) or a.all\(\)"),
    ("item in a format", lambda: f"{leaf(1.0).item:.3f}", TypeError, r"write .item\(\), with the call"),
    ("item in a sum", lambda: 0.0 + leaf(1.0).item, TypeError, r"write .item\(\), with the call"),
    ("array +=", lambda: add_in_place(np.zeros(2), Tensor([1.0, 2.0])), TypeError, r"array \+= tensor.data"),
    ("data -=", subtract_from_data, TypeError, r"w.data -= lr \* w.grad.data"),
    ("data = 3", lambda: setattr(W, "data", 3.0), TypeError, "np.full_like"),
    ("twice", lambda: [(y := X.sum()).backward(), y.backward()], RuntimeError, "retain_graph=True"),
    ("no_grad(3)", lambda: no_grad(3), TypeError, "with no_grad"),
]


@pytest.mark.parametrize(("call", "kind", "message"), [pytest.param(*rest, id=name) for name, *rest in MISTAKES])
def test_a_first_mistake_is_answered_with_what_to_write(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert type(caught.value) is kind
    assert not INTERNAL.search(str(caught.value))
    assert str(caught.value).count("; a layer is made") <= 1


LOGITS, LABELS = leaf(np.zeros((4, 3))), np.array([0, 1, 2, 0])
bce = tinygrad_np.binary_cross_entropy_with_logits
WRONG_OPTIONS: list[tuple[Callable[..., Any], str, list[Any]]] = [
    (lambda **options: cross_entropy(LOGITS, LABELS, **options), "weight", [["a"] * 3, np.ones(2), 1.0, [1j] * 3]),
    (lambda **options: cross_entropy(LOGITS, LABELS, **options), "ignore_index", ["a", 1.0, None]),
    (lambda **options: cross_entropy(LOGITS, LABELS, **options), "label_smoothing", ["a", 2.0, [0.1]]),
    (lambda **options: cross_entropy(LOGITS, LABELS, **options), "reduction", [None, "average", 3]),
    (lambda **options: tinygrad_np.nll_loss(LOGITS, LABELS, **options), "weight", [["a"] * 3, np.ones(2)]),
    (lambda **options: tinygrad_np.nll_loss(LOGITS, LABELS, **options), "ignore_index", ["a"]),
    (lambda **options: tinygrad_np.mse_loss(LOGITS, **options), "targets", [["a"], None, np.ones(12), "a"]),
    (lambda **options: tinygrad_np.kl_div(LOGITS, **options), "targets", [np.ma.masked_array(np.ones((4, 3)))]),
    (lambda **options: tinygrad_np.huber_loss(LOGITS, LOGITS, **options), "delta", ["a", -1.0, None]),
    (lambda **options: bce(LOGITS, np.ones((4, 3)), **options), "pos_weight", [np.ones(2), "a", np.ones((1, 4, 3))]),
    (lambda **options: bce(LOGITS, np.ones((4, 3)), **options), "weight", [np.ones((3, 1)), np.ones(4)]),
    (
        lambda **options: nn.scaled_dot_product_attention(LOGITS, LOGITS, LOGITS, **options),
        "mask",
        [leaf(np.ones((4, 4))), np.ones((4, 4), int), "a"],
    ),
    (lambda **options: nn.CrossEntropyLoss(**options), "weight", [leaf(np.ones((2, 2))), ["a"], "a"]),
    (lambda **options: nn.NLLLoss(**options), "ignore_index", ["a", 1.5]),
    (lambda **options: nn.RNN(3, 2, rng=RNG)(np.ones((5, 3)), **options), "hx", ["a", np.ones(7)]),
    (lambda **options: optim.Adam([W], **options), "betas", [0.9, (0.9, 2), ("a", 0.9), np.ones(2)]),
    (lambda **options: optim.Adam([W], **options), "eps", ["a", -1, np.array(1.0), Tensor(1.0)]),
    (lambda **options: optim.SGD([W], **options), "lr", ["a", -1, None, np.array([0.1]), Tensor(0.1), True, [0.1]]),
    (lambda **options: nn.Flatten(**options), "start_axis", ["a", 1.0, None]),
    (lambda **options: nn.Dropout(rng=RNG, **options), "p", ["a", 1.0, np.array(0.1), None]),
]


@pytest.mark.parametrize(("call", "name", "values"), WRONG_OPTIONS)
def test_a_wrong_argument_is_named(call: Callable[..., Any], name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises((TypeError, ValueError), match=rf"\b({name}|initial h)\b.* must .*\bnot\b"):
            call(**{name: value})


def test_a_schedule_that_returns_no_number_is_named() -> None:
    W.grad = Tensor(np.ones(3))
    with pytest.raises(ValueError, match="SGD, step 0: lr must be at least 0, not None, which is no number"):
        optim.SGD([W], lr=lambda step: None).step()  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("function", [tinygrad_np.conv2d, tinygrad_np.conv1d])
@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("which", [0, 1])
def test_convolutions_of_nothing_work_or_say_what_is_missing(
    function: Callable[..., Any], axis: int, which: int
) -> None:
    axes = 4 if function is tinygrad_np.conv2d else 3
    shapes = [[2, 3, 4, 4][:axes], [5, 3, 2, 2][:axes]]
    for both in (False, True):
        for shape in shapes if both else shapes[which : which + 1]:
            if axis < axes:
                shape[axis] = 0
        error = refused(lambda: function(*(leaf(np.ones(shape)) for shape in shapes)))
        if error is not None:
            assert type(error) is ValueError
            assert re.match(f"{function.__name__}: ", str(error)), error


@pytest.mark.parametrize(
    "fails",
    [lambda: W @ np.ones(4), lambda: np.linalg.inv(Tensor(np.zeros((2, 2)))), lambda: np.sum(W, axis=7), lambda: W(1)],
)
def test_an_error_that_is_caught_keeps_no_arrays_alive(fails: Callable[[], Any]) -> None:
    """A traceback holds the frames, and a frame that held its own error would be a reference cycle."""
    gc.collect()
    with contextlib.suppress(Exception):
        fails()
    assert gc.collect() == 0


# --- where an error is in the call of a layer, or NumPy's own, a note or the cause says what to write ----------------


class FromElsewhere:
    """An array of another library."""

    def __init__(self, shape: tuple[int, ...] = (2, 3), requires_grad: bool = False) -> None:
        self.array, self.requires_grad = np.ones(shape, np.float32), requires_grad
        self.shape, self.ndim, self.dtype = shape, len(shape), "elsewhere.float32"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array

    def numpy(self) -> np.ndarray:
        return self.array


class Other(FromElsewhere):
    numpy = None  # type: ignore[assignment]


def without_return(x: Any) -> None:
    x + 1


class Forgetful(nn.Linear):
    def __init__(self) -> None:
        self.extra = 1


IMAGE = np.ones((3, 8, 8), np.float32)
CONV, GRAY = (nn.Conv2d(channels, 1, 3, rng=np.random.default_rng(0)) for channels in (3, 1))
SOFT = np.full((2, 3), 1 / 3)
END = "the first argument is None: does what computed it end without a return?"
NOTES: list[tuple[str, Callable[[], Any], str]] = [
    ("channels last", lambda: CONV(np.moveaxis(IMAGE, 0, -1)[np.newaxis]), "write np.moveaxis(x, -1, 1)"),
    ("one image", lambda: CONV(IMAGE), "write x[np.newaxis]"),
    ("images of one channel", lambda: GRAY(IMAGE), "write x[:, np.newaxis]"),
    (
        "soft labels",
        lambda: nn.NLLLoss()(X, SOFT),
        "-np.sum(labels * log_probabilities, axis=1).mean()",
    ),
    (
        "soft labels, nll",
        lambda: nn.NLLLoss()(X, SOFT),
        "of probabilities -np.sum(labels * log_probabilities, axis=1).mean()",
    ),
    ("no return", lambda: nn.Sequential(LINEAR, without_return, nn.ReLU())(IMAGE[:, 0, :3]), END),
    (
        "output and state",
        lambda: nn.Sequential(nn.LSTM(3, 3, rng=RNG), LINEAR)(X.astype(np.float32)[np.newaxis]),
        "write y, state = ",
    ),
    ("None to nested layers", lambda: nn.Sequential(nn.Sequential(nn.ReLU()))(None), END),
    ("no super().__init__", lambda: Forgetful()(X), "call super().__init__(...) in Forgetful"),
    ("an array of another library", lambda: LINEAR(FromElsewhere()), "FromElsewhere; write .numpy()"),
    ("one that requires a gradient", lambda: LINEAR(FromElsewhere(requires_grad=True)), "; write .detach().numpy()"),
    ("one without numpy()", lambda: CONV(Other((1, 3, 8, 8))), "Other; write np.asarray(...) around it"),
    ("no scalar", lambda: X.backward(), "write loss.mean() or loss.sum()"),
    ("no scalar to minimize", lambda: optim.SGD([X], lr=0.1).minimize(X * 1), "write loss.mean() or loss.sum()"),
    ("minimize(item)", lambda: OPTIMIZER.minimize(X.sum().item()), "give it the loss itself, without .item()"),
    ("an array in the place of a list", lambda: np.concatenate(X, X), "write np.concatenate([x, y]), with brackets"),
    ("the same, stack", lambda: np.stack(X, X), "write np.stack([x, y]), with brackets"),
    ("several axes", lambda: X.sum(0, 1), "write axis=(0, 1) for several axes"),
    ("a model saved", lambda: serialization.save("never", LINEAR), "not Linear; write model.state_dict()"),
    ("a model in grad", lambda: grad(X.sum(), LINEAR), "not Linear; write model.parameters()"),
    ("a container in grad", lambda: grad(X.sum(), nn.Sequential(LINEAR)), "Sequential; write model.parameters()"),
    ("parameters without the call", lambda: grad(X.sum(), LINEAR.parameters), "write model.parameters()"),
    ("one Tensor in a group", lambda: optim.SGD([{"parameters": X}], lr=0.1), "not one Tensor: write [...] around it"),
    ("the state of an LSTM", lambda: nn.GRU(3, 2, rng=RNG)(X[np.newaxis], (X, X)), "one state, h, not a tuple of 2"),
    ("item without its call", lambda: json.dumps({"loss": X.sum().item}), "MethodWithoutCall"),
    ("a model that is frozen", lambda: setattr(LINEAR, "requires_grad", False), "write for w in module.parameters()"),
    *(
        (f"optimizer.{name}", partial(setattr, optim.Adam([X], lr=0.1), name, 0.5), f'groups[0]["{key}"] = ...')
        for name, key in {"learning_rate": "lr", "betas": "betas", "param_groups": "lr"}.items()
    ),
    ("two axes of three", lambda: leaf(np.ones((2, 3, 4))).transpose(0, 2), "write x.swapaxes(0, 2)"),
]


@pytest.mark.parametrize(("call", "note"), [pytest.param(*rest, id=name) for name, *rest in NOTES])
def test_a_note_says_what_to_write(call: Callable[[], Any], note: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        call()
    notes = getattr(caught.value, "__notes__", [])
    assert sum(note in text for text in (str(caught.value), *notes)) == 1
    assert len({*notes}) == len(notes)


@pytest.mark.parametrize(
    "call", [lambda: np.histogram(X, 1, 0), lambda: np.put(X, 0, 1), lambda: np.busday_offset(X, 1, 0)]
)
def test_integers_that_are_no_axes_are_not_taken_for_some(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert "several axes" not in str(caught.value)


# A Sequential passes on what it is given to its layers; a Dropout passes it on, or 0; an Identity passes it on.
GIVEN = [kind for kind in LAYERS if kind not in (nn.ModuleDict, nn.ModuleList, nn.Sequential, nn.Dropout, nn.Identity)]


@pytest.mark.parametrize("kind", GIVEN, ids=lambda kind: kind.__name__)
def test_a_layer_that_is_given_none_says_so(kind: type[nn.Module]) -> None:
    count = sum(p.default is p.empty for p in inspect.signature(kind.forward).parameters.values()) - 1
    parameters = inspect.signature(kind).parameters.values()
    options = ({"rng": RNG} if any(p.name == "rng" for p in parameters) else {}) | OPTIONS.get(kind, {})
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    layer = kind(*[2] * len(required), **options)
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        layer(*[None] * count)
    assert END in caught.value.__notes__


def test_the_advice_for_images_and_labels_runs_and_is_right() -> None:
    assert CONV(IMAGE[np.newaxis]).shape == (1, 1, 6, 6)
    assert GRAY(IMAGE[:, np.newaxis]).shape == (3, 1, 6, 6)
    assert CONV(np.moveaxis(np.ones((1, 8, 8, 3), np.float32), -1, 1)).shape == (1, 1, 6, 6)
    soft = -np.sum(np.eye(3)[[0, 1]] * tinygrad_np.log_softmax(X, axis=1), axis=1).mean()
    np.testing.assert_allclose(soft.item(), cross_entropy(X, np.array([0, 1])).item(), rtol=1e-15)
    assert nn.Embedding(3, 2, rng=RNG)(Tensor([0, 1]).astype(int)).shape == (2, 2)


@pytest.mark.parametrize("name", ["predictions", "targets"])
def test_arrays_of_another_library_are_named_in_full(name: str) -> None:
    arrays = {"predictions": leaf(np.ones((2, 3))), "targets": np.ones((2, 3))}
    with pytest.raises(TypeError, match=rf"mse_loss: {name} must be .*\w+\.FromElsewhere; write .numpy\(\)"):
        tinygrad_np.mse_loss(**arrays | {name: FromElsewhere()})
    for attribute in ("data", "grad"):
        with pytest.raises(TypeError, match=rf"{attribute} must be .*\w+\.FromElsewhere; write .numpy\(\)"):
            setattr(leaf([1.0]), attribute, FromElsewhere())


def test_an_element_of_an_array_is_not_set_to_a_loss_unasked() -> None:
    losses = np.zeros(2)
    with pytest.raises(ValueError, match="sequence") as caught:
        losses[0] = X.sum()
    assert ".item()" in str(caught.value.__cause__)


def test_the_class_whose_constructor_is_called_wrongly_is_named() -> None:
    class Wide(nn.Linear):
        def __init__(self, features: int) -> None:
            super().__init__(features, features)  # type: ignore[call-arg]

    class Same(nn.Linear):
        pass

    with pytest.raises(TypeError, match=r"^Linear\(\) missing .*'rng'; add rng="):
        Wide(3)
    with pytest.raises(TypeError, match=r"Wide\.__init__\(\) missing .*'features'$"):
        Wide()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Same\(\) missing .*'rng'; add rng="):
        Same(3, 3)  # type: ignore[call-arg]


def test_a_name_that_a_subclass_has_is_its_own() -> None:
    class Device(nn.Module):
        def __init__(self) -> None:
            self.device = "cpu"

        def apply(self) -> int:
            return 3

    model = Device()
    assert model.device == "cpu"
    assert model.apply() == 3
    assert "device" in dir(model)
    assert "cuda" not in dir(model)
    assert not hasattr(model, "cuda")


class Savable:
    """A mixin, which may stand after Module."""

    def save(self) -> str:
        return "saved"

    @property
    def device(self) -> str:
        return "here"

    @device.setter
    def device(self, value: str) -> None:
        self.moved = value


def test_a_name_that_a_mixin_has_is_its_own() -> None:
    class Last(nn.Linear, Savable):
        pass

    class Later(Last):
        fit = "well"

    class First(Savable, nn.Module):
        pass

    for model in (Last(2, 2, rng=RNG), Later(2, 2, rng=RNG), First()):
        model.device = "there"
        assert (model.save(), model.device, model.moved) == ("saved", "here", "there")
        assert not hasattr(model, "cuda")
        assert hasattr(model, "fit") == (type(model) is Later)
    assert not hasattr(nn.Linear, "save")


# --- a method without its call ---------------------------------------------------------------------------------------

OF_TWO = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
OF_TWO += [operator.matmul, operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod]
OF_TWO += [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
OF_ONE = [operator.neg, operator.pos, operator.invert, operator.index, operator.truth, operator.not_]
OF_ONE += [
    str,
    round,
    abs,
    float,
    int,
    complex,
    bool,
    len,
    iter,
    format,
    list,
    math.floor,
    math.ceil,
    math.trunc,
    math.exp,
]
OF_ONE += [math.exp, np.asarray, np.exp, lambda item: item[0], lambda item: 3 in item, lambda item: f"{item:.3f}"]


@pytest.mark.parametrize("function", [*OF_ONE, *OF_TWO], ids=lambda function: function.__name__)
def test_a_method_without_its_call_is_refused_by_every_operator(function: Callable[..., Any]) -> None:
    item = leaf(3.0).item
    calls = [lambda: function(item)]
    if function in OF_TWO:
        calls = [lambda: function(item, 3), lambda: function(3, item), lambda: function(item, item)]
        calls += [lambda: function(item, 0.5), lambda: function(np.float64(3), item)]
    for call in calls:
        with pytest.raises(TypeError, match=r"item is a method: write .item\(\), with the call"):
            call()


def test_a_method_without_its_call_can_be_passed_on() -> None:
    item = leaf(3.0).item
    assert callable(item)
    assert item() == 3.0
    assert len({item}) == 1
    assert repr(item) == f"<method item of {leaf(3.0)!r}: write .item(), with the call>"


def test_numbers_do_not_leave_a_vjp_that_is_recorded() -> None:
    @differentiable(lambda g, y, x: g * np.array(x.tolist()))
    def half_square(x: np.ndarray) -> np.ndarray:
        return x * x / 2

    w = leaf([1.0, 2.0])
    np.testing.assert_array_equal(grad(half_square(w).sum(), w).data, [1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"vjp of half_square uses .tolist\(\) of a Tensor under create_graph"):
        grad(half_square(w).sum(), w, create_graph=True)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: serialization.save(MODEL.state_dict(), "x"), r"the path comes first; write save\(path, model"),
        (lambda: serialization.save(MODEL, "x"), r"the path comes first; write save\(path, model"),
        (lambda: serialization.save("x", {"w": leaf(1.0)}), "w: .* not Tensor; write tensor.data"),
        (lambda: serialization.save("x", {}, "text"), "metadata must be a dict of text by text, not str"),
        (lambda: MODEL.load_state_dict(({}, {})), r"not tuple; write arrays, metadata = serialization.load\(path\)"),
        (lambda: MODEL.load_state_dict("x"), r"not str; write serialization.load\(path\)\[0\]"),
        (lambda: MODEL.load_state_dict(MODEL), r"not Linear; write model.state_dict\(\)"),
        (lambda: DataLoader(np.ones(3)), "'batch_size'; add batch_size=32"),
        (lambda: DataLoader(np.ones(3), 32), "'batch_size'; add batch_size=32"),
        (lambda: DataLoader([1, 2], batch_size=2), r"argument 0 must be an ndarray, not list; write np.array\("),
        (lambda: DataLoader(leaf([1.0]), batch_size=2), "must be an ndarray, not Tensor; write its .data"),
        (lambda: DataLoader(batch_size=2), "give it the arrays to iterate over"),
        (lambda: nn.Sigmoid()((np.ones((2, 2)),)), r"of a loader, for \(x,\) in loader"),
        (lambda: MODEL((np.ones((2, 2)),)), r"not tuple; of a loader, write for \(x,\) in loader"),
        (lambda: Checkpoints("x", MODEL), r"given by name: Checkpoints\(folder, model=model"),
        (
            lambda: optim.SGD([{"params": [leaf([1.0])]}], lr=0.1),
            "unknown hyperparameter 'params'; write parameters; a group",
        ),
    ],
)
def test_first_mistakes_in_saving_and_loading(call: Any, hint: str) -> None:
    with pytest.raises((TypeError, ValueError), match=hint):
        call()
