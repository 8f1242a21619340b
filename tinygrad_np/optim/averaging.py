"""Averages of weights over training, which often generalise better than the last weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import ClassVar

import numpy as np

from .. import _html
from .. import _validation as check
from .._machine import writes
from .._machine.fused import scale_and_add
from .._messages import with_hints
from ..tensor import Array, Tensor
from .base import as_list


class _Average(check.Checked):
    """What averages of weights have in common: where they are kept, how they are swapped in, and their state."""

    # Attributes that the state tells of; outside of a context there are no kept weights.
    _saved: ClassVar[frozenset[str]] = frozenset({"averages", "_weights"})

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        owner = type(self).__name__
        self.parameters = as_list(owner, parameters)
        if not self.parameters:
            raise ValueError(f"{owner}: there are no parameters to average")
        for i, parameter in enumerate(self.parameters):
            if type(parameter) is not Tensor or not parameter.is_leaf or parameter.dtype.kind != "f":
                raise TypeError(f"{owner}: parameter {i} is not a floating point leaf Tensor: {parameter!r:.80}")
        self.averages = [p.data.astype(np.promote_types(p.dtype, np.float32), order="C") for p in self.parameters]
        self._weights: list[Array] | None = None  # while the parameters hold the averages

    def _move(self, kept: float) -> None:
        """average <- kept * average + (1 - kept) * weight."""
        if self._weights is not None:
            owner = type(self).__name__
            raise RuntimeError(f"{owner}: the parameters hold the averages; call update() outside of the context")
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            scale_and_add(average, kept, parameter.data.astype(average.dtype, copy=False), 1 - kept)
            writes.note(average)

    def __enter__(self) -> None:
        if self._weights is not None:
            raise RuntimeError(f"{type(self).__name__}: the parameters hold the averages already")
        self._weights = [parameter.data.copy() for parameter in self.parameters]
        self._write(self.averages)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._weights is not None
        self._write(self._weights)
        self._weights = None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The same context under a name."""
        with self:
            yield

    def _repr_html_(self) -> str:
        averages = {str(i): a for i, a in enumerate(self.averages)}
        return _html.of_arrays(type(self).__name__, self._checked_settings(), averages)

    def _own_settings(self) -> dict[str, Array]:
        return {}

    def state_dict(self) -> dict[str, Array]:
        """The settings, and the averages, named `average.0` and so on.

        The averages are not copies: they change as training continues.

        Raises:
            RuntimeError: the parameters hold the averages. A training saved now would lose its weights.
        """
        if self._weights is not None:
            owner = type(self).__name__
            raise RuntimeError(f"{owner}: the parameters hold the averages; save a training outside of the context")
        return self._own_settings() | {f"average.{i}": average for i, average in enumerate(self.averages)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy averages from a state that `state_dict` returned for averages of the same settings.

        Raises:
            ValueError: settings differ, names are missing or unknown, shapes or kinds of dtype differ, or numbers are
                too large for their dtype. The message lists all of them, and nothing has changed.
        """
        own, new = self.state_dict(), self._checked_state(state, type(self).__name__)
        for name, array in new.items():
            own[name][...] = array
            writes.note(own[name])

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        new = check.state(owner, "state", state, self.state_dict())
        check.settings(owner, new, self._own_settings())
        return new

    def _write(self, arrays: Iterable[Array]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            parameter.data[...] = array
            parameter._changed()


class EMA(_Average):
    """Exponential moving averages of weights.

    They start as the weights at construction. Each `update()` computes

        average <- decay * average + (1 - decay) * weight

    as torch.optim.swa_utils.get_ema_avg_fn does. The running statistics of normalisation layers are not parameters, but
    they can be averaged in the same way.

    Where the decay is near 1, the initial weights count for long: with 0.999 they still are 37% of the average after
    1,000 updates. With `warmup` the decay begins lower, and they are 0.001% after 10 updates. The decay of the update
    after t others is

        min(decay, (1 + t) / (10 + t))

    as in TensorFlow's ExponentialMovingAverage with num_updates.

    In the context `with ema:` the parameters hold the averages. When it is left, also by an exception, they get their
    weights back; what was written to them meanwhile is lost. Contexts cannot be nested.

    Args:
        parameters: floating point leaf Tensors.
        decay: from 0 to 1.
        warmup: whether the decay begins lower. The number of updates is then a part of the state.

    Attributes:
        averages: arrays, in the order of the parameters; of float16 parameters they are float32.

    Raises:
        ValueError: `decay` is out of its range, or there are no parameters.
        TypeError: one of the parameters is not a floating point leaf Tensor.

    Source: B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with
    exponential weights in place of equal ones.

    >>> from tinygrad_np.optim import SGD
    >>> w = Tensor([1.0], requires_grad=True)
    >>> ema = EMA([w], decay=0.75)
    >>> SGD([w], lr=1.0).minimize(w.sum())
    >>> ema.update()
    >>> with ema:
    ...     print(w.data)
    [0.75]
    >>> w.data
    array([0.], dtype=float32)
    """

    _saved = _Average._saved | {"decay", "warmup", "_count"}
    _checks: ClassVar[check.Checks] = {
        "decay": partial(check.real, at_least=0, at_most=1),
        "warmup": check.boolean,
    }
    _fixed: ClassVar[frozenset[str]] = frozenset({"warmup"})

    @with_hints()
    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999, warmup: bool = False) -> None:
        self.decay, self.warmup = decay, warmup
        self._count = np.array(0, np.int64)  # of updates, with warm-up
        super().__init__(parameters)

    def update(self) -> None:
        """Move the averages towards the current weights. Call it after each step of the optimiser.

        Raises:
            RuntimeError: the parameters hold the averages.
        """
        if not self.warmup:
            self._move(self.decay)
            return
        count = int(self._count)
        self._move(min(self.decay, (1 + count) / (10 + count)))
        self._count += 1

    def _own_settings(self) -> dict[str, Array]:
        return {"decay": np.array(self.decay)} | ({"warmup": np.array(True)} if self.warmup else {})

    def state_dict(self) -> dict[str, Array]:
        """The settings, and the averages, named `average.0` and so on, which are not copies.

        With warm-up the number of updates as well.
        """
        return ({"count": self._count} if self.warmup else {}) | super().state_dict()

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        new = super()._checked_state(state, owner)
        check.never_negative(owner, {name: new[name] for name in ("count",) if self.warmup})
        return new


class SWA(_Average):
    """Stochastic weight averaging: the mean of the weights at every `update()`.

    As torch.optim.swa_utils.AveragedModel, but for the running statistics of normalisation layers, which are to be
    computed anew for the averages. They are swapped in as those of `EMA` are: `with swa:`.

    Args:
        parameters: floating point leaf Tensors.

    Attributes:
        averages: arrays, in the order of the parameters; of float16 parameters they are float32. Before the first
            update they are the weights at construction.
        count: the number of updates.

    Raises:
        ValueError, TypeError: as `EMA`.

    Source: P. Izmailov et al., "Averaging weights leads to wider optima and better generalization" (2018).

    >>> w = Tensor([1.0], requires_grad=True)
    >>> swa = SWA([w])
    >>> for value in (2.0, 4.0):
    ...     w.data[...] = value
    ...     swa.update()
    >>> with swa:
    ...     print(w.data)
    [3.]
    """

    _saved = _Average._saved | {"_count"}

    @with_hints()
    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._count = np.array(0, np.int64)
        super().__init__(parameters)

    @property
    def count(self) -> int:
        """The number of updates."""
        return int(self._count)

    def update(self) -> None:
        """Add the current weights to the mean.

        Raises:
            RuntimeError: the parameters hold the averages.
        """
        self._move(self.count / (self.count + 1))
        self._count += 1

    def state_dict(self) -> dict[str, Array]:
        """The number of updates, and the averages, named `average.0` and so on, which are not copies."""
        return {"count": self._count} | super().state_dict()

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        new = super()._checked_state(state, owner)
        check.never_negative(owner, {"count": new["count"]})
        return new
