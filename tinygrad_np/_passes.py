"""Passes over a recorded graph, for `func`: back for gradients, one or many, and forward along a direction."""

from collections.abc import Sequence
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

import numpy as np

from . import tensor
from ._machine import writes
from ._machine.arrays import summed
from ._messages import add_note
from .tensor import Tensor

GOLDEN = 0.6180339887498949  # whose multiples are spread evenly modulo 1
nested: ContextVar[bool] = ContextVar("nested", default=False)  # inside a function that is being differentiated


def plan(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Any:
    """What `backward` goes over, for several passes."""
    return tensor._plan([y for y in outputs if y.requires_grad], inputs)


def computed_since(outputs: Sequence[Tensor], start: int) -> tuple[list[Tensor], list[Tensor]]:
    """The nodes younger than `start` that the outputs were computed from, and the Tensors where these begin.

    Both are oldest first. The outputs, which must require a gradient, are among them.
    """
    inside: dict[int, Tensor] = {}
    sources: dict[int, Tensor] = {}
    stack = list(outputs)
    while stack:
        t = stack.pop()
        if id(t) in inside or id(t) in sources:
            continue
        if t._node is None or t._serial < start:
            sources[id(t)] = t
        else:
            inside[id(t)] = t
            stack += [a for a in t._node[1] or () if type(a) is Tensor and a._requires_grad]  # None where it was freed
    age = attrgetter("_serial")
    return sorted(inside.values(), key=age), sorted(sources.values(), key=age)


def backward(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any], record: bool, planned: Any = None
) -> list[Tensor]:
    """The gradients of outputs with respect to inputs; outputs that do not require a gradient count as constants."""
    if planned is not None:
        planned = [*planned[0]], *planned[1:]  # the pass uses the list up
    pairs = [(y, tensor._seed(y, seed)) for y, seed in zip(outputs, seeds, strict=True) if y.requires_grad]
    token = nested.set(False)  # in the backward pass, a vjp that calls a derivative gets arrays for arrays
    try:
        return tensor._gradients_of(pairs, inputs, record, True, planned)
    finally:
        nested.reset(token)


def mixes_elements(output: Tensor, inputs: Sequence[Tensor], sums: Sequence[Tensor]) -> bool:
    """Whether an element of the output depends on other elements than its own of inputs of the same shape.

    `sums` are the gradients with respect to the inputs where that of the output is ones. Multiplied by a power of two
    that belongs to its element, each must come out multiplied by the same, to the last bit: no product rounds.
    """
    if output.size < 2 or not output.requires_grad:
        return False
    order, _, input_ids, _ = tensor._plan([output], inputs)
    operations = [t._node[0] for t in order if t._node is not None and id(t) not in input_ids]
    if all(operation.jvp == "elementwise" for operation in operations):
        return False
    places = np.arange(1, output.size + 1).reshape(output.shape)
    exponents = np.floor(np.remainder(places * GOLDEN, 1) * (8 if output.dtype == np.float16 else 32))
    scales = np.exp2(exponents).astype(output.dtype)
    scaled = backward([output], inputs, [scales], False)
    return not all(_is_scaled(t._data, ones._data, scales) for t, ones in zip(scaled, sums, strict=True))


def _is_scaled(scaled: Any, ones: Any, scales: Any) -> bool:
    """Whether an array is another one times powers of two, but for rounding below the normal numbers."""
    kind = np.finfo(ones.dtype)
    tiny = float(np.max(scales)) * float(kind.smallest_subnormal)
    with np.errstate(all="ignore"):
        return np.allclose(scaled, scales * ones, 64 * kind.eps, tiny, equal_nan=True)


# --- many gradients at once ------------------------------------------------------------------------------------------


def _rows_at_once(order: Sequence[Tensor]) -> int:
    """How many gradients are stacked: 1 MB of the largest Tensor, since more leaves the cache.

    Beyond that four, up to 64 MB, so that the slopes of an operation are computed less often: 138 ms instead of 308 for
    24 gradients of sin(x) * cos(x) with 3.75 MB each, though 192 instead of 140 where slopes cost nothing.
    """
    size = max((t._data.nbytes for t in order), default=0) or 1
    return max(1, 2**20 // size, min(4, 2**26 // size))


def backward_of_each(output: Tensor, inputs: Sequence[Tensor], record: bool) -> list[Any]:
    """For each input the gradients of all elements of the output, along a first axis: arrays, or Tensors if recorded.

    It goes over the graph once for many elements. Their gradients are stacked, and go together through the vjps of
    operations that have `rows`, and one by one through those of others.
    """
    count = output.size
    if not output.requires_grad or count == 0:
        return [np.zeros((count, *x.shape), x.dtype) for x in inputs]
    tensor._seed(output, output._data)  # which raises if it has no gradient
    order, needed, input_ids, _ = tensor._plan([output], inputs)
    step = _rows_at_once(order)
    pauses, token = tensor._pauses.set(0 if record else 1), nested.set(False)
    recorded = tensor._recorded.set(None) if record else None
    results: list[Any] = [[] for _ in inputs] if record else [np.zeros((count, *x.shape), x.dtype) for x in inputs]
    try:
        with np.errstate(all="ignore"):
            for start in range(0, count, step):
                rows = slice(start, min(start + step, count))
                units = np.zeros((rows.stop - start, count), output.dtype)
                np.fill_diagonal(units[:, rows], 1)
                units = units.reshape(-1, *output.shape)
                g = tensor._as_tensor(units) if record else units
                found = _rows_back(order, {id(output): g}, needed, input_ids, record)
                for x, result in zip(inputs, results, strict=True):
                    if not record:
                        result[rows] = found.get(id(x), 0)
                    elif id(x) in found:
                        result.append(_fit(found[id(x)], x))
                    else:
                        result.append(np.zeros((len(g), *x.shape), x.dtype))
    finally:
        tensor._pauses.reset(pauses)
        nested.reset(token)
        if recorded is not None:
            tensor._recorded.reset(recorded)
    return [np.concatenate(result) for result in results] if record else results


def _rows_back(
    order: Sequence[Tensor], gradients: dict[int, Any], needed: set[int], inputs: set[int], record: bool
) -> dict[int, Any]:
    """As the backward pass of `tensor`, for gradients that are stacked along a first axis."""
    results = {}
    for y in reversed(order):
        g = gradients.pop(id(y))
        if y._node is None or id(y) in inputs:
            results[id(y)] = g
        which = [i for i, a in enumerate(y._node[1]) if id(a) in needed] if y._node else []
        for i, part in zip(which, _parts(y, g, which, record) if which else (), strict=True):
            x = y._node[1][i]
            if (before := gradients.get(id(x))) is not None:
                part = (before.astype(np.float32) if x.dtype == np.float16 else before) + part
            gradients[id(x)] = part
    return results


def _parts(y: Tensor, g: Any, which: Sequence[int], record: bool) -> list[Any]:
    """The stacked gradients of some arguments of an operation."""
    operation, args, arrays, kwargs, observation = y._node
    if y._serial < writes.latest or observation is not None:
        tensor._check(y)
    data, arrays, kwargs = tensor._as_tensors(y) if record else (y._data, arrays, kwargs)

    def gradients_of(g: Any, vjps: Any) -> list[Any]:
        try:
            if operation.joint is None:
                return [vjps[i](g, data, *arrays, **kwargs) for i in which]
            found = vjps(g, data, *arrays, needed=tuple(i in which for i in range(len(args))), **kwargs)
            return [found[i] for i in which]
        except Exception as error:
            add_note(error, f"in the backward pass of {operation.name}")
            raise

    if operation.rows is not None and observation is None:
        parts = gradients_of(g, operation.rows)
        if all(_are_rows(part, len(g), args[i]._data, y, record) for i, part in zip(which, parts, strict=True)):
            return [_fit(part, args[i]) for i, part in zip(which, parts, strict=True)]
    found: list[list[Any]] = [[] for _ in which]
    for row in range(len(g)):
        parts = gradients_of(g[row], operation.joint or operation.vjps)
        for i, part, rows in zip(which, parts, found, strict=True):
            rows.append(tensor._fit(part, args[i]._data, record, False, y, i))
            if observation is not None:
                observation.after(i, rows[-1], g[row], data, arrays)
    return [np.stack(rows) for rows in found]


def _are_rows(part: Any, count: int, x: Any, y: Tensor, record: bool) -> bool:
    """Whether these are stacked gradients of an argument x; if not, those one by one are right or raise an error."""
    if not (type(part) is np.ndarray or (record and type(part) is Tensor)) or part.shape[:1] != (count,):
        return False
    if part.dtype.kind not in "fc" or tensor._digits(part.dtype) < min(map(tensor._digits, (x.dtype, y.dtype))):
        return False
    if part.dtype.kind == "c" and x.dtype.kind == "f":  # `tensor` takes the real part where that is right
        return False
    rest = part.shape[1:]
    extra = len(rest) - x.ndim
    return rest == x.shape or (extra >= 0 and all(n in (1, m) for n, m in zip(x.shape, rest[extra:], strict=True)))


def _fit(part: Any, x: Tensor) -> Any:
    """Stacked gradients in the shape and dtype of an argument: what broadcasting repeated is summed."""
    shape, count = x._data.shape, len(part)
    if part.shape[1:] != shape:
        extra = part.ndim - 1 - len(shape)
        ones = (i for i, n in enumerate(shape, extra + 1) if n == 1 and part.shape[i] != 1)
        part = np.reshape(summed(np.moveaxis(part, 0, extra), (*range(extra), *ones)), (count, *shape))
    return part if part.dtype == x._data.dtype else part.astype(x._data.dtype)


# --- along a direction ------------------------------------------------------------------------------------------------


def forward(
    order: Sequence[Tensor], outputs: Sequence[Tensor], inputs: Sequence[Tensor], directions: Sequence[Any]
) -> list[Tensor]:
    """The derivatives of outputs along directions of the inputs, without a record.

    It goes over `order`, all that the outputs were computed from, from the oldest node to the youngest.
    """
    along = {id(x): np.asarray(tensor._arrays(t), x._data.dtype) for x, t in zip(inputs, directions, strict=True)}
    pauses, token = tensor._pauses.set(1), nested.set(False)
    try:
        with np.errstate(all="ignore"):
            for y in order:
                if y._node is not None and id(y) not in along:
                    moved = [(i, along[id(a)]) for i, a in enumerate(y._node[1]) if id(a) in along]
                    if moved:
                        part = _of_node(y, moved)
                        along[id(y)] = np.asarray(part.real if y.dtype.kind == "f" else part, y._data.dtype)
    finally:
        tensor._pauses.reset(pauses)
        nested.reset(token)
    # copies, since several may share memory, with one another and with the directions
    return [tensor._as_tensor(along[id(y)].copy() if id(y) in along else np.zeros_like(y._data)) for y in outputs]


def _of_node(y: Tensor, moved: Sequence[tuple[int, Any]]) -> Any:
    """The derivative of one operation along directions of its arguments, given with their positions."""
    if y._serial < writes.latest:
        tensor._check(y)
    operation, _, arrays, kwargs, _ = y._node
    kind, data, total = operation.jvp, y._data, None
    if kind == "linear" and (operation.saves or kwargs.get("initial")):  # which is added to a sum
        kind = None
    for i, t in moved:
        if kind == "elementwise":
            t = t if t.shape == data.shape else np.broadcast_to(t, data.shape)
            vjp = operation.vjps[i]
            if data.dtype.kind == "c" or t.dtype.kind == "c":
                part = _of_complex_element(vjp, t, data, arrays, kwargs)
            else:
                part = vjp(t, data, *arrays, **kwargs)
        elif kind == "linear":
            part = operation.function(*arrays[:i], t, *arrays[i + 1 :], **kwargs)
        else:
            return _of_operation(operation, moved, arrays, kwargs)
        total = part if total is None else total + part
    return total


def _of_complex_element(vjp: Any, t: Any, data: Any, arrays: Any, kwargs: Any) -> Any:
    """The derivative along t of a function of each element, with complex numbers.

    A vjp is its transpose: the real part of vjp(g) * t is that of g times the derivative, whose parts g = 1 and g = 1j
    give. Only of a holomorphic function is it that of t, too.
    """
    one = np.ones(data.shape, data.dtype)
    along = np.real(vjp(one, data, *arrays, **kwargs) * t)
    return along - 1j * np.real(vjp(one * 1j, data, *arrays, **kwargs) * t) if data.dtype.kind == "c" else along


def _of_operation(operation: Any, moved: Sequence[tuple[int, Any]], arrays: Sequence[Any], kwargs: Any) -> Any:
    """The same for any operation: it is computed again, to be differentiated twice."""
    alone = {i: Tensor(arrays[i], requires_grad=True) for i, _ in moved}
    keywords = {name: value for name, value in kwargs.items() if name != "saved"}
    token = tensor._pauses.set(0)
    try:
        again = operation(*(alone.get(i, a) for i, a in enumerate(arrays)), **keywords)
        return by_two_vjps([again], list(alone.values()), [t for _, t in moved], record=False)[0]._data
    finally:
        tensor._pauses.reset(token)


def by_two_vjps(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], directions: Sequence[Any], record: bool = True
) -> list[Tensor]:
    """The derivatives of outputs along directions of the inputs: by the vjp of the vjp, which is linear."""
    seeds = [_seed_of(y) for y in outputs]
    found = backward(backward(outputs, inputs, seeds, True), seeds, directions, record)
    for seed in seeds:
        seed.requires_grad = False  # an outer derivative ignores them
    return found


def _seed_of(y: Tensor) -> Tensor:
    """Numbers whose sums do not cancel: a gradient that is 0 by chance would count as one that is not used."""
    numbers = 0.5 + np.remainder(np.arange(1, y.size + 1) * GOLDEN, 1)
    return Tensor(numbers.reshape(y.shape).astype(y.dtype), requires_grad=True)


# --- all derivatives -------------------------------------------------------------------------------------------------


def jacobians(outputs: Sequence[Tensor], inputs: Sequence[Tensor], record: bool) -> list[list[Tensor]]:
    """For each output and each input their Jacobian, of shape (*output.shape, *input.shape)."""
    if (wrong := next((y for y in outputs if y.dtype.kind == "c"), None)) is not None:
        raise TypeError(
            f"a Jacobian is of real numbers, and an output is {wrong.dtype}: return its .real and its .imag, or see"
            " func.holomorphic_grad"
        )
    found = None if record else _by_columns(outputs, inputs)
    if found is None:
        found = [backward_of_each(y, inputs, record) for y in outputs]
    return [
        [tensor._as_tensor(np.reshape(rows, y.shape + x.shape)) for rows, x in zip(of_output, inputs, strict=True)]
        for of_output, y in zip(found, outputs, strict=True)
    ]


CALL, OTHER_CALL = 4000, 80_000  # elements computed in the time of a derivative's call, and of one without `jvp`


def _by_columns(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[list[Any]] | None:
    """The rows of each by forward passes, one for each element of the inputs, where these are so few that it is faster.

    None where they are not, and where a derivative is not finite in one of the two directions: where it does not exist,
    zeros that one direction multiplies infinity by need not be those of the other.
    """
    count, total = sum(x.size for x in inputs), sum(y.size for y in outputs)
    if count >= total or any(t.dtype.kind != "f" or t.dtype.itemsize < 4 for t in (*outputs, *inputs)):
        return None
    order = tensor._ancestors(outputs, None)
    cost = 0  # of going forward, above that of going back
    for t in order:
        if t._node is not None:
            operation, size = t._node[0], t._data.size
            cost += count * ((CALL if operation.jvp else OTHER_CALL) + size)
            cost -= CALL + total * size if operation.rows else total * (CALL + size)
    if cost > 0:
        return None
    results = [[np.zeros((y.size, *x.shape), x.dtype) for x in inputs] for y in outputs]
    for k, x in enumerate(inputs):
        for j in range(x.size):
            unit = np.zeros(x.shape, x.dtype)
            unit.flat[j] = 1
            for along, row in zip(forward(order, outputs, [x], [unit]), results, strict=True):
                row[k].reshape(along.size, x.size)[:, j] = along._data.ravel()
    back = backward(outputs, inputs, [_seed_of(y)._data for y in outputs], False)
    finite = all(np.isfinite(array).all() for array in [*(t._data for t in back), *(r for row in results for r in row)])
    return results if finite else None
