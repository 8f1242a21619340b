"""`summary`: what a network computes for an input, layer by layer, as a table and as numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import tensor
from .._machine.arrays import memory_of
from .._messages import foreign
from ..func.state import State
from ..ops.multiply_adds import multiply_adds
from ..tensor import Array, Tensor, no_grad
from .module import Module, _count, watchers

WIDTH, OUTPUT = 80, 20  # columns of the table, and the most of them that shapes take
HEAD = ("layer", "output", "parameters", "multiply-adds", "results")


class LayerSummary(NamedTuple):
    """What one layer computes, with all that is in it.

    Attributes:
        name: its name and kind, as `print(model)` shows it.
        depth: how many modules it is in.
        shapes: of what it returned, at its last call: one for each Tensor or array.
        parameters: the number of elements that are trained.
        multiply_adds: of matrix products, convolutions, attention and recurrences, in all calls.
        result_bytes: the memory that the results of its operations take, in all calls; views take none.
        calls: how often it was called.
    """

    name: str
    depth: int
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    multiply_adds: int
    result_bytes: int
    calls: int


class Summary:
    """The table that `summary` returns, as text and as numbers.

    Attributes:
        layers: a `LayerSummary` for each module by its path, that of the model itself being "".
        parameters, multiply_adds, result_bytes, shapes: those of the whole model.
    """

    def __init__(self, layers: Mapping[str, LayerSummary]) -> None:
        self.layers = dict(layers)
        whole = self.layers[""]
        self.parameters, self.multiply_adds = whole.parameters, whole.multiply_adds
        self.result_bytes, self.shapes = whole.result_bytes, whole.shapes

    def __str__(self) -> str:
        rows = [HEAD, *map(_row, self.layers.values())]
        output = max(len(row[1]) for row in rows)
        numbers = [max(len(row[i]) for row in rows) for i in (2, 3, 4)]
        name = min(max(len(row[0]) for row in rows), WIDTH - output - sum(numbers) - 2 * 4)
        lines = (
            f"{_cut(row[0], name):{name}}  {row[1]:{output}}  "
            + "  ".join(f"{text:>{width}}" for text, width in zip(row[2:], numbers, strict=True))
            for row in rows
        )
        return "\n".join(map(str.rstrip, lines))

    __repr__ = __str__


def summary(model: Module, *inputs: Any, **keywords: Any) -> Summary:
    """What a model computes for these inputs: output shapes, parameters, multiply-adds and memory, layer by layer.

    The model is called once, in the mode that it is in, without recording a graph. Generators and running averages are
    put back. Operations are counted as they run, so that functions and layers of your own count as well: a matrix
    product of n x k by k x m has n * k * m multiply-adds, and operations on each element have none. Each row includes
    the layers inside of it, and a layer that was called several times has the sums.

    In training, the graph keeps most of the results for the backward pass, so that their memory tells how that of a
    step grows with the batch.

    Args:
        model: the module to call.
        *inputs, **keywords: its arguments.

    Returns:
        A `Summary`, which prints as a table of at most 80 columns, with the numbers as attributes.

    Raises:
        TypeError: it is no module. Errors of the call are raised as they are.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> rng = np.random.default_rng(0)
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(5408, 10, rng=rng))
    >>> found = nn.summary(model, np.zeros((64, 1, 28, 28), np.float32))
    >>> found
    layer                  output            parameters  multiply-adds  results
    Sequential             64 x 10               54,170         6.58 M  2.77 MB
      0: Conv2d(1, 8, 3)   64 x 8 x 26 x 26          80         3.12 M  1.38 MB
      1: ReLU()            64 x 8 x 26 x 26                             1.38 MB
      2: Flatten()         64 x 5408
      3: Linear(5408, 10)  64 x 10               54,090         3.46 M  2.56 kB
    >>> found.multiply_adds, found.layers["3"].parameters
    (6576128, 54090)
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary takes a module and its inputs, not {foreign(model)}")
    counter = _Counter()
    with State.of(model, inputs, keywords).put_back(), no_grad(), _counting(counter):
        model(*inputs, **keywords)
    return Summary({path: counter.of(name, depth, module) for depth, name, path, module, _ in model._tree()})


# --- counting --------------------------------------------------------------------------------------------------------


class _Counts:
    """What one module has computed so far."""

    def __init__(self) -> None:
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.multiply_adds = self.result_bytes = self.calls = 0


class _Counter:
    """Watches the calls of modules, and observes the operations in them."""

    def __init__(self) -> None:
        self.counts: dict[int, _Counts] = {}
        self.around: list[_Counts] = []  # the modules that are being called

    def of(self, name: str, depth: int, module: Module) -> LayerSummary:
        """What is known of a module."""
        found = self.counts.get(id(module), _Counts())
        return LayerSummary(
            name, depth, found.shapes, _count(module), found.multiply_adds, found.result_bytes, found.calls
        )

    def before(self, module: Module) -> None:
        self.around.append(self.counts.setdefault(getattr(module, "_copy_of", id(module)), _Counts()))

    def after(self, module: Module, result: Any) -> None:
        found = self.around.pop()
        found.shapes = tuple(_shapes(result))
        found.calls += 1

    def run(self, function: Any, args: Sequence[Any], arrays: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return function(*arrays, **kwargs)

    def ran(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Tensor) -> None:
        if self not in watchers.get():  # of another thread
            return
        arrays, data = tensor._arrays(list(args)), output._data
        work = multiply_adds(operation.function, data, arrays, kwargs)
        memory = 0 if _shares(data, arrays) else data.nbytes
        for found in {id(counts): counts for counts in self.around}.values():
            found.multiply_adds += work
            found.result_bytes += memory


@contextmanager
def _counting(counter: _Counter) -> Iterator[None]:
    watchers.set((*watchers.get(), counter))
    tensor.observe(counter)
    try:
        yield
    finally:
        tensor.observe(counter, on=False)
        watchers.set(tuple(other for other in watchers.get() if other is not counter))


def _shares(data: Array, arrays: Sequence[Any]) -> bool:
    """Whether a result is a view of an argument, or one itself."""
    memories = {id(memory_of(part)) for a in arrays for part in tensor._arrays_in(a)}
    return id(memory_of(data)) in memories


def _shapes(result: Any) -> Iterator[tuple[int, ...]]:
    """The shapes of the Tensors and arrays in a result."""
    if isinstance(result, list | tuple | dict):
        for part in result.values() if isinstance(result, dict) else result:
            yield from _shapes(part)
    elif hasattr(result, "shape"):
        yield tuple(result.shape)


# --- the table -------------------------------------------------------------------------------------------------------


def _row(layer: LayerSummary) -> tuple[str, ...]:
    shapes = ", ".join(" x ".join(map(str, shape)) or "scalar" for shape in layer.shapes)
    times = f" ({layer.calls} calls)" if layer.calls > 1 else ""
    parameters = f"{layer.parameters:,}" if layer.parameters < 1e9 else _short(layer.parameters)
    return (
        f"{'  ' * layer.depth}{layer.name}{times}",
        _cut(shapes, OUTPUT),
        parameters if layer.parameters else "",
        _short(layer.multiply_adds) if layer.multiply_adds else "",
        f"{_short(layer.result_bytes)}{'B' if layer.result_bytes >= 1000 else ' B'}" if layer.result_bytes else "",
    )


def _short(number: int) -> str:
    """A number with three digits and a unit.

    >>> _short(999), _short(6576128), _short(1234567890)
    ('999', '6.58 M', '1.23 G')
    """
    value, unit = float(number), ""
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 999.5 or unit == "P":
            break
        value /= 1000
    return f"{value:.3g} {unit}" if unit else f"{number}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
