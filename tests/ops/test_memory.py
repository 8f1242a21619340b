"""Unusual memory: values and gradients are those of a contiguous copy, whatever an array's strides, bytes and flags."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tinygrad_np import Tensor, grad, optim
from tinygrad_np._functions import name_of
from tinygrad_np._registry import Primitive

import degenerate
import numpy as np
import pytest
from degenerate import OPERATIONS, Call, Operation, as_used

quietly = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def unaligned(x: np.ndarray) -> np.ndarray:
    y = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    return y


def read_only(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y.flags.writeable = False
    return y


def from_bytes(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape) if x.size else x


def window(x: np.ndarray) -> np.ndarray:
    """The inner part of a larger array."""
    y = np.full([n + 2 for n in x.shape], 9, x.dtype)[(*[slice(1, -1)] * x.ndim, ...)]
    y[...] = x
    return y


def repeated(x: np.ndarray) -> np.ndarray:
    """Its last element everywhere along the last axis, by a stride of 0."""
    return np.broadcast_to(x[..., -1:], x.shape) if x.ndim and x.size else x


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "unaligned": unaligned,
    "read-only": read_only,
    "of bytes": from_bytes,
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "negative strides": lambda x: np.asarray(np.flip(np.array(np.flip(x)))),
    "Fortran order": lambda x: np.array(x, order="F"),
    "window": window,
    "strides of 0": repeated,
}


def change(value: Any, layout: Callable[[np.ndarray], np.ndarray]) -> Any:
    """An argument with its arrays in another layout."""
    if type(value) in (list, tuple):
        return type(value)(change(part, layout) for part in value)
    return layout(value) if isinstance(value, np.ndarray) else value


def contiguous(x: np.ndarray) -> np.ndarray:
    return np.array(x, x.dtype.newbyteorder("="), order="C")


def copied(layout: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    return contiguous(layout(x))


def derivatives(entry: Operation, call: Call, arguments: list[Any], layout: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The outputs, and the gradients of all floating point arguments, for output gradients in a layout."""
    fixed = []
    if isinstance(entry, Primitive) and entry.fixed:
        fixed = [i for i, vjp in enumerate(entry.vjps) if vjp is None]
    given = [a if i in fixed else degenerate.as_tensor(a, requires_grad=True) for i, a in enumerate(arguments)]
    outputs = call.results(as_used(entry), given)
    found = [y for y in outputs if type(y) is Tensor and y.requires_grad]
    sources = [x for value in given for x in (value if isinstance(value, list) else [value])]
    sources = [x for x in sources if type(x) is Tensor and x.requires_grad]
    seeds = [layout(np.linspace(1, 2, y.size).reshape(y.shape)) for y in found]
    slopes = grad(found, sources, seeds, create_graph=True) if found else ()
    again = grad(slopes, sources, [layout(np.ones(g.shape)) for g in slopes]) if found else ()
    return [*outputs, *slopes, *again]


@quietly
@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_a_layout_changes_no_value_and_no_gradient(entry: Operation) -> None:
    for case in entry.cases:
        call = next(degenerate.calls(case, full_only=True))
        for name, layout in LAYOUTS.items():
            if name == "strides of 0" and not name_of(entry.function).isidentifier():
                continue  # repeated rows make matrices singular, where inverses and decompositions are arbitrary
            changed = change(call.arguments, layout)
            try:
                expected = derivatives(entry, call, change(changed, contiguous), partial(copied, layout))
            except (ValueError, ZeroDivisionError) as error:  # of what the repeated elements have become
                assert name == "strides of 0"
                with pytest.raises(type(error)):
                    derivatives(entry, call, changed, layout)
                continue
            text = degenerate.difference(derivatives(entry, call, changed, layout), expected, 1e-9)
            assert not text, f"{entry.name}({case}), {name}: {text}"


def other_bytes(mask: np.ndarray) -> np.ndarray:
    """The same mask, with 255 or 2 for True."""
    return np.where(mask, np.where(np.arange(mask.size).reshape(mask.shape) % 2, 255, 2), 0).astype(np.uint8).view(bool)


def with_other_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: with_other_bytes(part) for name, part in value.items()}
    return change(value, lambda x: other_bytes(x) if x.dtype == bool else x)


@quietly
@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
def test_every_byte_but_0_is_true_in_a_mask(entry: Operation) -> None:
    for case in entry.cases:
        call = next(degenerate.calls(case, full_only=True))
        case = degenerate.Case(
            case.shapes, with_other_bytes(case.args), with_other_bytes(dict(case.kwargs)), case.domains
        )
        changed = Call(case, call.shapes, with_other_bytes(call.arguments))
        found = derivatives(entry, changed, changed.arguments, np.copy)
        text = degenerate.difference(found, derivatives(entry, call, call.arguments, np.copy), 1e-12)
        assert not text, f"{entry.name}({case}): {text}"


def test_a_tensor_of_swapped_bytes_is_converted() -> None:
    x = Tensor(np.array([1.0, 2.0], ">f4"), requires_grad=True)
    assert x.dtype == np.float32
    assert x.dtype.isnative
    assert Tensor(np.array([1, 2], ">i8")).dtype.isnative
    (x * np.array([3.0, 4.0], ">f4")).sum().backward()
    assert x.grad is not None
    assert x.grad.data.tolist() == [3, 4]


OPTIMIZERS = {
    "SGD": lambda w: optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda w: optim.Adam(w, lr=0.1),
    "AdamW": lambda w: optim.AdamW(w, lr=0.1),
    "RMSprop": lambda w: optim.RMSprop(w, lr=0.1),
    "Adagrad": lambda w: optim.Adagrad(w, lr=0.1),
    "Muon": lambda w: optim.Muon(w, lr=0.1),
}


@pytest.mark.parametrize("layout", [unaligned, window, np.asfortranarray, lambda x: np.flip(np.flip(x).copy())])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("size", [3, 128])  # below and above what is updated by BLAS
def test_optimizers_update_weights_in_any_layout(
    layout: Callable[[np.ndarray], np.ndarray], name: str, size: int
) -> None:
    rng = np.random.default_rng(0)
    start, x = rng.normal(size=(size, size)), rng.normal(size=(4, size))
    found = []
    for weights in (start.copy(), layout(start)):
        w = Tensor(weights, requires_grad=True)
        optimizer = OPTIMIZERS[name]([w])
        for _ in range(2):
            optimizer.minimize(((Tensor(x) @ w) ** 2).mean())
        assert w.data is weights
        found.append(w.data)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
