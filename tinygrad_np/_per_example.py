"""The gradients of each example's loss, by one backward pass over the batch.

In jacobians, a backward pass takes the gradients of all losses along, each of the size of the batch. But as long as
each example's loss depends on its own part of a Tensor only, these parts are all there is of their gradients: they fit
in one array of the shape of the Tensor. It is called *split* here. The gradients of what all examples use, such as
weights, are *stacked*: one whole array for each example.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import tensor
from ._messages import add_note, foreign, kind
from ._passes import _are_rows, _fit, _parts, backward_of_each, nested
from .tensor import Tensor


def per_example_grad(losses: Tensor, inputs: "Tensor | Iterable[Tensor]", *, create_graph: bool = False) -> Any:
    """The gradient of each example's loss with respect to the inputs, such as the weights of a model.

    It is `grad` for every example of a batch; nothing is stored in `.grad`, and the graph is kept.

    Args:
        losses: one loss for each example, shape (batch,), as losses are with `reduction="none"`.
        inputs: a Tensor, or several; leaves or intermediate ones. One that the losses do not depend on gets zeros.
        create_graph: record the computation of the gradients, so that they can be differentiated again.

    Returns:
        A Tensor for one input, a tuple of them for several; of shape (batch, *S) for an input of shape S, with its
        dtype. Row i is the gradient of loss i.

    Raises:
        TypeError: an input is no Tensor or needs no gradient; the losses are not real floating point.
        ValueError: the losses have another number of axes than one.
        RuntimeError: the losses were made of nothing that requires a gradient; their graph was freed; or a Tensor or
            array in it was written to after its use.

    `func.per_example_grad` says how it is computed, and which networks take longer.

    >>> w = Tensor([1.0, 1.0], requires_grad=True)
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    >>> per_example_grad((x @ w) ** 2, w)
    Tensor([[ 6., 12.],
            [42., 56.]], dtype=float32)
    """
    if not create_graph:
        tensor._refuse_to_leave("per_example_grad() without create_graph=True")
    if type(losses) is not Tensor:
        raise TypeError(f"per_example_grad takes a Tensor of losses, not {foreign(losses)}; see func.per_example_grad")
    if hasattr(inputs, "parameters"):
        raise TypeError(f"inputs is a Tensor or several, not {foreign(inputs)}; write model.parameters()")
    sources: Any = list(inputs) if tensor._are_several(inputs) else [inputs]
    for i, source in enumerate(sources):
        if type(source) is not Tensor or not source._requires_grad:
            raise TypeError(f"input {i} is not a Tensor with requires_grad=True: {source!r:.80}")
    check_losses("per_example_grad:", losses, sources)
    tensor._seed(losses, losses._data)  # which raises if it has no gradient
    found = [tensor._as_tensor(g) for g in backward_of_examples(losses, sources, create_graph)]
    return found[0] if isinstance(inputs, Tensor) else tuple(found)


def check_losses(who: str, losses: Tensor, inputs: Sequence[Tensor]) -> None:
    """Raise unless there is one loss for each example, of real floating point as the inputs."""
    if losses.ndim != 1:
        instead = '; leave out .mean() or .sum(), or write reduction="none"' if not losses.ndim else ""
        instead = instead or ("; write losses[:, 0]" if losses.shape[1:] == (1,) else "; see func.jacobian")
        raise ValueError(
            f"{who} expected one loss for each example, a Tensor of shape (batch,), not of shape"
            f" {losses.shape}{instead}"
        )
    for t in (losses, *inputs):
        if t.dtype.kind != "f":
            raise TypeError(f"{who} expected real floating point numbers, not {kind(t)}")


def backward_of_examples(losses: Tensor, inputs: Sequence[Tensor], record: bool) -> list[Any]:
    """For each input the gradients of all losses, along a first axis: arrays, or Tensors if recorded.

    Where examples mix, or an operation does not say how it treats them, it is what `backward_of_each` computes.
    """
    for t in tensor._plan([losses], inputs)[0] if losses.requires_grad else ():
        if t._node is not None:
            tensor._check(t)
    steps = None if record or len(losses) < 2 or not losses.requires_grad else _steps(losses, inputs)
    if steps is None:
        return backward_of_each(losses, inputs, record)
    pauses, token = tensor._pauses.set(1), nested.set(False)
    try:
        with np.errstate(all="ignore"):
            return _run(steps, losses, inputs)
    finally:
        tensor._pauses.reset(pauses)
        nested.reset(token)


class _Step(NamedTuple):
    """A Tensor in the backward pass."""

    tensor: Tensor
    is_split: bool  # its gradient, as opposed to stacked
    which: list[int]  # the arguments that need a gradient
    batches: tuple[int, ...]  # the arguments that are batches, where the gradient is split


def _steps(losses: Tensor, inputs: Sequence[Tensor]) -> list[_Step] | None:
    """What the pass goes over, the youngest Tensor first; None if it would not be right."""
    order, needed, _, _ = tensor._plan([losses], inputs)
    is_split = {id(losses): True}
    steps = []
    for y in reversed(order):
        split = is_split[id(y)]
        which: list[int] = []
        batches: tuple[int, ...] | None = ()
        if y._node is not None:
            if y._node[4] is not None:  # it is observed
                return None
            args = y._node[1]
            which = [i for i, a in enumerate(args) if id(a) in needed]
            if split and which and (batches := _batches(y, len(losses))) is None:
                return None
            for i in which:
                is_split[id(args[i])] = is_split.get(id(args[i]), True) and split and i in (batches or ())
        steps.append(_Step(y, split, which, batches or ()))
    return steps


def _batches(y: Tensor, count: int) -> tuple[int, ...] | None:
    """The positions of the arguments of a node that are batches; None if the examples may mix."""
    operation, _, arrays, kwargs, _ = y._node
    data = y._data
    if operation.jvp == "elementwise":
        shapes = [np.shape(a) for a in arrays]
        return tuple(i for i, shape in enumerate(shapes) if len(shape) == data.ndim and shape[0] == count)
    if operation.examples is None:
        return None
    found = operation.examples.positions(data, *arrays, **{k: v for k, v in kwargs.items() if k != "saved"})
    if found is not None and any(np.shape(arrays[i])[:1] != (count,) for i in found):
        return None
    return found  # type: ignore[no-any-return]


def _run(steps: Sequence[_Step], losses: Tensor, inputs: Sequence[Tensor]) -> list[Any]:
    count, wanted = len(losses), {id(x) for x in inputs}
    is_split = {id(step.tensor): step.is_split for step in steps}
    gradients: dict[int, Any] = {id(losses): np.ones_like(losses._data)}
    results: dict[int, Any] = {}
    for y, split, which, batches in steps:
        g = gradients.pop(id(y))
        if id(y) in wanted:
            results[id(y)] = _stacked(g) if split else g
        if not which:
            continue
        parts = _split_parts(y, g, which, batches) if split else _parts(y, g, which, False)
        for i, part in zip(which, parts, strict=True):
            x = y._node[1][i]
            if split and i in batches and not is_split[id(x)]:
                part = _stacked(part)
            if (before := gradients.get(id(x))) is not None:
                part = (before.astype(np.float32) if x.dtype == np.float16 else before) + part
            gradients[id(x)] = part
    return [
        results[id(x)].astype(x.dtype, copy=False) if id(x) in results else np.zeros((count, *x.shape), x.dtype)
        for x in inputs
    ]


def _stacked(split: Any) -> Any:
    """Split gradients as stacked ones, which are zero in the parts of other examples."""
    each = np.arange(len(split))
    rows = np.zeros((len(split), *split.shape), split.dtype)
    rows[each, each] = split
    return rows


def _split_parts(y: Tensor, g: Any, which: Sequence[int], batches: Sequence[int]) -> list[Any]:
    """The gradients of some arguments where that of the result is split: split for batches, stacked for the others."""
    operation, args, arrays, kwargs, _ = y._node
    try:
        parts: dict[int, Any] = {}
        split = [i for i in which if i in batches]
        others = [i for i in which if i not in batches]
        if split:
            found = _vjps(operation, g, y._data, arrays, kwargs, split)
            parts |= {i: tensor._fit(found[i], args[i]._data, False, False, y, i) for i in split}
        if others:
            parts |= _by_broadcasting(y, g, others, batches) or _one_by_one(y, g, others, batches)
        return [parts[i] for i in which]
    except Exception as error:
        add_note(error, f"in the backward pass of {operation.name}")
        raise


def _vjps(operation: Any, g: Any, y: Any, arrays: Sequence[Any], kwargs: Any, which: Sequence[int]) -> dict[int, Any]:
    """What the vjps of some arguments give, by position."""
    if operation.joint is None:
        return {i: operation.vjps[i](g, y, *arrays, **kwargs) for i in which}
    found = operation.joint(g, y, *arrays, needed=tuple(i in which for i in range(len(arrays))), **kwargs)
    return {i: found[i] for i in which}


def _by_broadcasting(y: Tensor, g: Any, which: Sequence[int], batches: Sequence[int]) -> dict[int, Any] | None:
    """Stacked gradients, where each example is a batch of one along a further axis; None if the vjps do not do it."""
    operation, args, arrays, kwargs, _ = y._node
    if operation.jvp != "elementwise" and not operation.examples.broadcasts:
        return None
    lifted = [a[:, np.newaxis] if i in batches else a for i, a in enumerate(arrays)]
    g, data = g[:, np.newaxis], y._data[:, np.newaxis]
    parts = {}
    for i in which:
        part = operation.rows[i](g, data, *lifted, **kwargs)
        if not _are_rows(part, len(g), args[i]._data, y, False):
            return None
        parts[i] = _fit(part, args[i])
    return parts


def _one_by_one(y: Tensor, g: Any, which: Sequence[int], batches: Sequence[int]) -> dict[int, Any]:
    """Stacked gradients, by the vjps of one example after the other."""
    operation, args, arrays, kwargs, _ = y._node
    if operation.saves:
        kwargs = kwargs | {"saved": None}
    parts = {i: np.empty((len(g), *args[i].shape), args[i].dtype) for i in which}
    for k in range(len(g)):
        one = slice(k, k + 1)
        of_one = [a[one] if i in batches else a for i, a in enumerate(arrays)]
        found = _vjps(operation, g[one], y._data[one], of_one, kwargs, which)
        for i in which:
            parts[i][k] = tensor._fit(found[i], args[i]._data, False, False, y, i)
    return parts
