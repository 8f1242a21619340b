"""A checkpoint is resumed by the same training only, and by the same training always."""

import collections
import dataclasses
import datetime
import enum
import functools
import inspect
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor, data, nn, optim, schedules
from tinygrad_np._settings import described, differences
from tinygrad_np.checkpoint import Checkpoints

import numpy as np
import pytest
from test_settings import CALLS

# --- every argument of every layer -----------------------------------------------------------------------------------

LAYERS = [
    (kind, args, options) for kind, args, options in CALLS if inspect.isclass(kind) and issubclass(kind, nn.Module)
]
SILENT = [
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Identity,
    nn.LogSigmoid,
    nn.Mish,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softsign,
    nn.Tanh,
]  # fmt: skip - without arguments
OF_MODULES = [nn.Checkpoint, nn.ModuleDict, nn.ModuleList, nn.Sequential, nn.TransformerDecoder, nn.TransformerEncoder]


def others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2 + 2, value - 1]
    if isinstance(value, float):
        return [value / 2]
    if isinstance(value, str):
        return [other for other in ("tanh", "relu", "none", "sum", "mean", "gelu", "bicubic") if other != value]
    if isinstance(value, list):
        return [[2 * number for number in value]]
    return [np.ones(3), 2, 0.5] if value is None else [np.float64]


def changed_layers() -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Each layer beside itself with one argument changed."""
    for kind, args, options in LAYERS:
        bound = inspect.signature(kind).bind(*args, **options)
        bound.apply_defaults()
        for name in bound.arguments.keys() - {"rng"}:
            for value in others(bound.arguments[name]):
                try:
                    other = kind(**bound.arguments | {name: value})
                except (ValueError, TypeError):
                    continue
                yield f"{kind.__name__}.{name}", kind(**bound.arguments), other
                break


CHANGED = list(changed_layers())


def resume(folder: Path, saved: Any, resumed: Any) -> None:
    """Save one part as a checkpoint and resume with another one, and the generators that they use as parts."""
    for part, act in ((saved, lambda checkpoints: checkpoints.save(1)), (resumed, Checkpoints.resume)):
        users = part.modules() if hasattr(part, "modules") else [part]
        rng = next((user.rng for user in users if isinstance(getattr(user, "rng", None), np.random.Generator)), None)
        act(Checkpoints(folder, part=part, **({} if rng is None else {"rng": rng})))


@pytest.mark.parametrize(("name", "layer", "other"), CHANGED, ids=[name for name, *_ in CHANGED])
def test_every_argument_of_every_layer_must_agree(name: str, layer: Any, other: Any, tmp_path: Path) -> None:
    resume(tmp_path / "same", layer, layer)
    with pytest.raises(ValueError, match=r"part: checkpoint: .*, here: .*, at \w+|does not fit this part: "):
        resume(tmp_path / "other", layer, other)


def test_every_layer_and_argument_is_here() -> None:
    layers = {kind for kind in vars(nn).values() if inspect.isclass(kind) and issubclass(kind, nn.Module)}
    assert layers == {kind for kind, *_ in LAYERS} | set(SILENT) | {nn.Module, *OF_MODULES}
    arguments = {f"{kind.__name__}.{name}" for kind, *_ in LAYERS for name in inspect.signature(kind).parameters}
    not_beside_size = {"Upsample.scale_factor"}
    assert {name for name in arguments if not name.endswith(".rng")} - not_beside_size == {name for name, *_ in CHANGED}


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations([*SILENT, nn.Softplus], 2)))
def test_another_layer_without_weights_is_another_training(first: Any, second: Any, tmp_path: Path) -> None:
    model, other = nn.Sequential(nn.RMSNorm(2), first()), nn.Sequential(nn.RMSNorm(2), second())
    names = [re.escape(f"{kind.__module__}.{kind.__name__}") for kind in (first, second)]
    with pytest.raises(ValueError, match=f"part: checkpoint: {names[0]}, here: {names[1]}, at 1$"):
        resume(tmp_path, model, other)


# --- values of all kinds in a module of one's own --------------------------------------------------------------------


class Colour(enum.Enum):
    RED, BLUE = 1, 2


@dataclasses.dataclass
class Options:
    size: int
    inner: Any = None


class Plain:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Meters(float):
    pass


class Row(list[Any]):
    def __init__(self, values: Any, unit: str) -> None:
        super().__init__(values)
        self.unit = unit


def scale_by(factor: float) -> Callable[[Any], Any]:
    def scaled(x: Any) -> Any:
        return x * factor

    return scaled


PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "number": (lambda: 0.5, lambda: 0.1),
    "kind of number": (lambda: 1, lambda: True),
    "integer and float": (lambda: 1, lambda: 1.0),
    "zero": (lambda: 0.0, lambda: -0.0),
    "NaN": (lambda: float("nan"), lambda: 0.0),
    "complex": (lambda: 1j, lambda: 2j),
    "text": (lambda: "a", lambda: "b"),
    "long text": (lambda: "a" * 1000, lambda: "a" * 999 + "b"),
    "bytes": (lambda: b"a", lambda: b"b"),
    "none": (lambda: None, lambda: 0),
    "array": (lambda: np.arange(3.0), lambda: np.arange(3.0) + 1),
    "long array": (lambda: np.arange(3000.0), lambda: np.r_[np.arange(2999.0), 0]),
    "scalar array": (lambda: np.array(1.0), lambda: np.array(2.0)),
    "dtype of array": (lambda: np.ones(2), lambda: np.ones(2, int)),
    "shape of array": (lambda: np.ones((3, 3, 3)), lambda: np.ones((9, 3))),
    "array of objects": (lambda: np.array([1, "a", None]), lambda: np.array([1, "b", None])),
    "masked array": (lambda: np.ma.array([1, 2], mask=[0, 1]), lambda: np.ma.array([1, 2], mask=[1, 1])),
    "structured array": (lambda: np.array([(1, 2.0)], "i1,f8"), lambda: np.array([(1, 3.0)], "i1,f8")),
    "date array": (lambda: np.array(["2020-01-01"], "M8[D]"), lambda: np.array(["2020-01-02"], "M8[D]")),
    "text array": (lambda: np.array(["a", "b"]), lambda: np.array(["a", "c"])),
    "dtype": (lambda: np.dtype("f4"), lambda: np.dtype("f8")),
    "scalar": (lambda: np.float32(1), lambda: np.float32(2)),
    "list": (lambda: [1, [2]], lambda: [1, [3]]),
    "long list": (lambda: list(range(1000)), lambda: [*range(999), 0]),
    "tuple": (lambda: (1, 2), lambda: [1, 2]),
    "dict": (lambda: {"a": 1, 2: 3}, lambda: {"a": 1, 2: 4}),
    "dict of arrays": (lambda: {("a", 1): np.ones(2)}, lambda: {("a", 1): np.zeros(2)}),
    "keys": (lambda: {1: [np.ones(1)]}, lambda: {2: [np.ones(1)]}),
    "default dict": (lambda: collections.defaultdict(int, a=1), lambda: collections.defaultdict(int, a=2)),
    "deque": (lambda: collections.deque([1], 5), lambda: collections.deque([2], 5)),
    "set": (lambda: {"a", "b", "c"}, lambda: {"a", "b", "d"}),
    "frozen set": (lambda: frozenset({1}), lambda: frozenset({2})),
    "set of tuples": (lambda: {(1, (2, 3))}, lambda: {(1, (2, 4))}),
    "key of tuples": (lambda: {(1, (2, 3)): RNG}, lambda: {(1, (2, 4)): RNG}),
    "array of lists": (lambda: np.array([[1], [2, 3], None], object), lambda: np.array([[1], [2, 4], None], object)),
    "class": (lambda: Plain, lambda: Slotted),
    "enumeration": (lambda: Colour.RED, lambda: Colour.BLUE),
    "dataclass": (lambda: Options(1, Options(2)), lambda: Options(1, Options(3))),
    "object": (lambda: Plain(a=[Plain(b=1)]), lambda: Plain(a=[Plain(b=2)])),
    "class of object": (lambda: Plain(value=1), lambda: Slotted(1)),
    "slots": (lambda: Slotted(1), lambda: Slotted(2)),
    "subclass of float": (lambda: Meters(1), lambda: Meters(2)),
    "subclass of list": (lambda: Row([1], "m"), lambda: Row([1], "s")),
    "path": (lambda: pathlib.Path("a"), lambda: pathlib.Path("b")),
    "date": (lambda: datetime.date(2020, 1, 1), lambda: datetime.date(2020, 1, 2)),
    "pattern": (lambda: re.compile("a"), lambda: re.compile("b")),
    "function": (lambda: np.tanh, lambda: np.exp),
    "builtin": (lambda: len, lambda: abs),
    "lambda": (lambda: lambda x: x * 2, lambda: lambda x: x + 2),
    "constant of a lambda": (lambda: lambda x: x * 2, lambda: lambda x: x * 3),
    "inner lambda": (lambda: lambda x: [y for y in x if y > 1], lambda: lambda x: [y for y in x if y > 2]),
    "default of a lambda": (lambda: lambda x, n=2: x * n, lambda: lambda x, n=3: x * n),
    "closure": (lambda: scale_by(1.0), lambda: scale_by(2.0)),
    "method": (lambda: Options(1).__eq__, lambda: Options(2).__eq__),
    "partial": (lambda: functools.partial(np.clip, a_min=1), lambda: functools.partial(np.clip, a_min=2)),
    "schedule": (lambda: schedules.CosineScheduler(0.1, 5), lambda: schedules.CosineScheduler(0.1, 6)),
    "module": (lambda: nn.Dropout(0.1, rng=RNG), lambda: nn.Dropout(0.2, rng=RNG)),
    "Tensor": (lambda: Tensor([1.0]), lambda: Tensor([1.0], requires_grad=True)),
}  # fmt: skip
RNG = np.random.default_rng(0)


class Holder(nn.Module):
    def __init__(self, value: Any) -> None:
        self.norm, self.value = nn.RMSNorm(2), value


@pytest.mark.parametrize("kind", PAIRS)
def test_values_of_every_kind_are_compared(kind: str, tmp_path: Path) -> None:
    first, second = PAIRS[kind]
    model = Holder(first())
    Checkpoints(tmp_path, model=model, rng=RNG).save(1)
    Checkpoints(tmp_path, model=Holder(first()), rng=RNG).resume()
    with pytest.raises(ValueError, match=r"model: checkpoint: .*, here: .*, at value"):
        Checkpoints(tmp_path, model=Holder(second()), rng=RNG).resume()


AGAIN = """
import io, json, sys, threading
sys.path[:0] = [{tests!r}]
from test_same_training import PAIRS, Plain
from tinygrad_np._settings import described
odd = [object(), threading.Lock(), iter([1]), io.StringIO(), (x for x in ()), sys.stdout, memoryview(b"a"), Plain]
values = [make() for pair in PAIRS.values() for make in pair]
print(json.dumps(described([values, odd, {{str(i): [object()] for i in range(9)}}, {{"b", "a", ("c",)}}])))
"""


def test_a_program_that_is_run_again_describes_itself_in_the_same_words() -> None:
    """Though hashes and addresses are others in each process."""
    texts = set()
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        code = AGAIN.format(tests=str(Path(__file__).parent))
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        texts.add(run.stdout)
    assert len(texts) == 1
    assert " at 0x" not in texts.pop()


def test_structures_without_end_or_of_great_depth_are_described() -> None:
    loop = Plain(inner=[])
    loop.inner += [loop, loop.inner, np.ones(1)]
    assert described(loop)["inner.0"] == "as at the top"
    assert described(loop)["inner.1"] == "as at inner"
    within = np.array([None, [1]], object)
    within[0] = within
    assert described(within)["0"] == "as at the top"
    assert data.DataLoader(within, batch_size=1).state_dict()["checksum"] > 0
    deep: Any = 1.0
    for _ in range(5_000):
        deep = [deep, Colour]
    assert len(described(deep)) > 5_000
    assert sum(map(len, described(deep))) < 300 * 10_000
    wide: Any = (np.ones(1),)
    for _ in range(100):  # 2**100 elements
        wide = (wide, wide)
    assert len(described(wide)) < 300
    gone = weakref.proxy(Plain())
    assert described([gone, weakref.ref(Plain)])


def test_a_class_of_the_main_program_has_one_name_in_every_process() -> None:
    names = [described(type("Net", (), {"__module__": name})()) for name in ("__main__", "__mp_main__")]
    assert names == [{"": "__main__.Net"}] * 2


def test_differences_name_the_outermost_and_not_too_many() -> None:
    there = {str(i): "1" for i in range(20)}
    assert differences(there, there) == ""
    assert differences({"": "A", "b": "1"}, {"": "B"}) == "checkpoint: A, here: B"
    assert differences({"b": "Net", "b.c": "1"}, {"b": "Net"}) == "checkpoint: 1, here: nothing, at b.c"
    assert differences({"b": "Net", "b.c": "1", "ba": "1"}, {"b": "Tanh", "ba": "2"}).count("checkpoint") == 2
    assert differences(there, dict.fromkeys(there, "2")).endswith("; checkpoint: 1, here: 2, at 4; and 15 more")


def test_what_training_changes_is_not_compared(tmp_path: Path) -> None:
    """Nor the mode, nor what is computed when it is read."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            self.norm, self.calls, self.losses = nn.RMSNorm(2), 0, []

        @functools.cached_property
        def table(self) -> np.ndarray:
            return np.ones(3)

    model = Counting()
    checkpoints = Checkpoints(tmp_path, model=model)
    model.calls += 1
    model.losses.append(0.5)
    model.eval()
    checkpoints.save(1)
    other = Counting()
    assert other.table.size == 3
    assert Checkpoints(tmp_path, model=other.eval()).resume() == (1, None, [])
    assert checkpoints.resume() == (1, None, [])


def test_parts_in_a_module_are_described_once(tmp_path: Path) -> None:
    """As those that they are: learning rates may differ."""
    model = Holder(None)
    model.value = optim.SGD(model.norm.parameters(), lr=0.1, momentum=0.9)
    Checkpoints(tmp_path, model=model, optimizer=model.value).save(1)
    other = Holder(None)
    other.value = optim.SGD(other.norm.parameters(), lr=schedules.CosineScheduler(0.3, 5), momentum=0.9)
    Checkpoints(tmp_path, model=other, optimizer=other.value).resume()


# --- dtypes and classes of parts -------------------------------------------------------------------------------------

DTYPES = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(DTYPES, 2)))
def test_another_precision_is_another_training(first: Any, second: Any, tmp_path: Path) -> None:
    def parts(dtype: Any) -> Iterator[Any]:
        tensor = Tensor(np.ones(2, dtype), requires_grad=True)
        yield nn.RMSNorm(2, dtype=dtype)
        yield optim.SGD([tensor], 0.1, momentum=0.5)
        yield data.DataLoader(np.ones(4, dtype), batch_size=2)
        if {first, second} != {np.float16, np.float32}:  # whose averages are both float32
            yield optim.EMA([tensor])

    names = [np.dtype(dtype).name for dtype in (first, second)]
    for i, (part, other) in enumerate(zip(parts(first), parts(second), strict=True)):
        if i == 3:  # averages of float16 are float32
            names = [name.replace("float16", "float32") for name in names]
        message = "of other data" if i == 2 else rf"{names[0]}.*(here|expected).*{names[1]}"
        with pytest.raises(ValueError, match=message):
            resume(tmp_path / str(i), part, other)


def test_a_part_of_another_class_is_refused(tmp_path: Path) -> None:
    loader, average = data.DataLoader(np.ones(4), batch_size=2), optim.EMA([Tensor([1.0])])
    for part in (loader, average, nn.RMSNorm(2)):
        other = type(part).__new__(type(type(part).__name__, (type(part),), {"__module__": "elsewhere"}))
        other.__dict__.update(vars(part))
        with pytest.raises(
            ValueError, match=rf"part: checkpoint: tinygrad_np\..*, here: elsewhere.{type(part).__name__}"
        ):
            resume(tmp_path / type(part).__name__, part, other)


class Sharpness(optim.SGD):
    def __init__(self, parameters: Any, rho: Any, lr: Any = 0.1) -> None:
        super().__init__(parameters, lr)
        self.rho = rho


class Weighted(optim.EMA):
    def __init__(self, parameters: Any, rho: Any) -> None:
        super().__init__(parameters)
        self.rho = rho


class Augmented(data.DataLoader):
    def __init__(self, parameters: Any, rho: Any) -> None:
        super().__init__(np.ones(4), batch_size=2)
        self.rho = rho


@pytest.mark.parametrize("kind", [Sharpness, Weighted, Augmented])
@pytest.mark.parametrize(("rho", "other"), [(0.5, 0.1), (np.ones(9), np.zeros(9)), ([np.tanh], [np.exp])])
def test_what_a_subclass_adds_to_a_part_must_agree(kind: Any, rho: Any, other: Any, tmp_path: Path) -> None:
    parameters = nn.RMSNorm(2).parameters()
    resume(tmp_path, kind(parameters, rho), kind(parameters, rho))
    with pytest.raises(ValueError, match="part: checkpoint: .*, here: .*, at rho"):
        resume(tmp_path / "other", kind(parameters, rho), kind(parameters, other))


@pytest.mark.parametrize("kind", [Sharpness, optim.EMA])
def test_parameters_are_known_by_their_places(kind: Any, tmp_path: Path) -> None:
    """Those of equal shapes too, in another order, or of another module."""
    model = nn.Sequential(nn.RMSNorm(2), nn.RMSNorm(2))
    first, second = model.parameters()
    Checkpoints(tmp_path, model=model, part=kind([first, second], 0.5)).save(1)
    with pytest.raises(ValueError, match=r"part: checkpoint: model.0.weight, here: model.1.weight, at parameters.0; "):
        Checkpoints(tmp_path, model=model, part=kind([second, first], 0.5)).resume()
    with pytest.raises(ValueError, match=r"part: checkpoint: model.1.weight, here: float32\[2\], at parameters.1$"):
        Checkpoints(tmp_path, model=model, part=kind([first, *nn.RMSNorm(2).parameters()], 0.5)).resume()
    Checkpoints(tmp_path, model=model, part=kind([first, second], 0.5)).resume()


def test_the_states_of_our_own_parts_tell_of_all_their_attributes() -> None:
    parameters = [Tensor(np.ones((2, 2)), requires_grad=True)]
    kinds = [kind for name in optim.__all__ if inspect.isclass(kind := getattr(optim, name))]
    wrappers, others = (optim.Lookahead, optim.SAM), (optim.Optimizer, optim.Minimum, optim.SWA)
    made = [kind(parameters, 0.5) for kind in kinds if kind not in (*wrappers, *others)]
    made += [optim.SWA(parameters), schedules.PlateauScheduler(0.1)]
    made += [wrapper(optim.SGD(parameters, 0.5)) for wrapper in wrappers]
    for part in [*made, data.DataLoader(np.ones(4), batch_size=2)]:
        part.state_dict()  # which computes what is computed once
        settings = getattr(part, "_checks", {}).keys()  # which are compared, as those of a subclass are
        assert vars(part).keys() - part._saved - {"parameters", "rng"} - settings == set()
        assert part._saved - vars(part).keys() == set()
    assert len(made) == 20


# --- loaders ---------------------------------------------------------------------------------------------------------

LISTS: Any = np.empty(2, object)
LISTS[:] = [[1, 2], [3]]
OTHER_LISTS: Any = np.empty(2, object)
OTHER_LISTS[:] = [[1, 2], [4]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array(["a", None, 1.5]), np.array(["a", None, 2.5])),
        (LISTS, OTHER_LISTS),
        (np.array([Plain(a=np.ones(2))]), np.array([Plain(a=np.zeros(2))])),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 1])),
        (np.array([(1, "a")], [("n", "i4"), ("o", object)]), np.array([(1, "b")], [("n", "i4"), ("o", object)])),
        (np.array(["a", "b"], np.dtypes.StringDType()), np.array(["a", "c"], np.dtypes.StringDType())),
    ],
    ids=["numbers and text", "lists", "objects", "masked", "fields", "text"],
)
def test_loaders_of_other_objects_are_refused(first: Any, second: Any, tmp_path: Path) -> None:
    resume(tmp_path / "same", data.DataLoader(first, batch_size=1), data.DataLoader(first.copy(), batch_size=1))
    with pytest.raises(ValueError, match="the state is of a loader of other data"):
        resume(tmp_path / "other", data.DataLoader(first, batch_size=1), data.DataLoader(second, batch_size=1))


def test_what_is_between_the_fields_of_an_array_does_not_count() -> None:
    kind = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    arrays = [np.frombuffer(bytes([1, *[gap] * 7, *[0] * 8]), kind) for gap in (0, 255)]
    first, second = (data.DataLoader(array, batch_size=1).state_dict()["checksum"] for array in arrays)
    assert first == second


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ((1, 2), "the record is of tuple, which would come back as a list; give a list"),
        ({"a": [{"b": (1,)}]}, r"the record\['a'\]\[0\]\['b'\] is of tuple"),
        ({"a": {1: 2}}, r"the record\['a'\] has the key 1, which would come back as text; give '1'"),
        ({None: 2}, "the record has the key None"),
        ([np.ones(2)], r"the record\[0\] is of ndarray, which would come back as a list; give array.tolist\(\)"),
        ({"a": {1}}, "the record must be representable as JSON, but contains set"),
        (np.longdouble(1), "the record must be representable as JSON, but contains longdouble"),
        (1j, "the record must be representable as JSON, but contains complex"),
    ],
)
def test_a_record_that_would_come_back_changed_is_refused(record: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"Checkpoints: {message}"):
        Checkpoints(tmp_path, rng=RNG).save(1, record)
    assert os.listdir(tmp_path) == []


def test_a_record_without_end_is_refused(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for record in (loop, deep):
        with pytest.raises(ValueError, match="Checkpoints: the record must be representable as JSON: "):
            Checkpoints(tmp_path, rng=RNG).save(1, record)
    assert os.listdir(tmp_path) == []


def test_a_record_comes_back_as_it_is(tmp_path: Path) -> None:
    record = {
        "a": [1, 2.5, None, True, "ä\ud800", 10**40, float("inf")],
        "b": np.float32(0.1),
        "c": {"": [np.int64(3)]},
    }
    Checkpoints(tmp_path, rng=RNG).save(1, record)
    assert Checkpoints(tmp_path, rng=RNG).resume().record == record


class Count(int):
    """An integer of a class of its own."""


@pytest.mark.parametrize("hold", [int, Count, lambda n: [1, n], lambda n: {"a": n}, lambda n: {n: 1}, lambda n: {1, n}])
def test_integers_of_thousands_of_digits_are_described(hold: Callable[[int], Any], tmp_path: Path) -> None:
    assert described(hold(10**6000)) == described(hold(10**6000)) != described(hold(10**6000 + 1))


def test_a_loader_over_elements_without_a_size_has_a_state() -> None:
    kinds = [np.zeros(3, "V0"), np.zeros((2, 3), "V0"), np.zeros((3, 0))]
    assert len({data.DataLoader(array, batch_size=1).state_dict()["checksum"].item() for array in kinds}) == 3


def test_parts_that_share_memory_here_but_not_there_change_nothing(tmp_path: Path) -> None:
    one, two = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    Checkpoints(tmp_path, one=one, two=two).save(1)
    Checkpoints(tmp_path, one=one, two=two).resume()
    two.bias.data[...] = 5
    Checkpoints(tmp_path / "apart", one=one, two=two).save(1)
    one.bias.data = two.bias.data
    one.weight.data[...] = 7
    with pytest.raises(ValueError, match="one: bias shares memory here with another part, but not there"):
        Checkpoints(tmp_path / "apart", one=one, two=two).resume()
    assert one.bias.data.tolist() == two.bias.data.tolist() == [5, 5]
    assert one.weight.data.tolist() == [7, 7]
    Checkpoints(tmp_path / "shared", one=one, two=two).save(1)
    Checkpoints(tmp_path / "shared", one=one, two=two).resume()


# --- places and threads ----------------------------------------------------------------------------------------------


def test_a_relative_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("here", rng=RNG)
    assert checkpoints.save(1) == Path("here/step-0000000001.safetensors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert checkpoints.save(2) == tmp_path / "here/step-0000000002.safetensors"
    assert checkpoints.save(3).exists()
    assert len(os.listdir(tmp_path / "here")) == 2
    assert os.listdir() == []
    assert checkpoints.resume().step == 3


def test_threads_that_save_the_same_checkpoints_save_one_after_the_other(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, model=nn.Linear(30, 30, rng=RNG))
    errors: list[BaseException] = []

    def save() -> None:
        for step in range(20):
            try:
                checkpoints.save(step)
            except ValueError as error:
                if "is before the last checkpoint" not in str(error):
                    errors.append(error)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(os.listdir(tmp_path)) == [f"step-{step:010d}.safetensors" for step in (18, 19)]
    assert json.dumps(checkpoints.resume().step) == "19"
