"""Averages of weights over training, which often generalise better than the last weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import numpy as np

from .. import _validation as check
from .._machine import writes
from .._machine.fused import scale_and_add
from .._messages import with_hints
from ..tensor import Array, Tensor
from .base import as_list


class EMA(check.Checked):
    """Exponential moving averages of weights.

    They start as the weights at construction. Each `update()` computes

        average <- decay * average + (1 - decay) * weight

    as torch.optim.swa_utils.get_ema_avg_fn does. The running statistics of normalisation layers are not parameters, but
    they can be averaged in the same way.

    Args:
        parameters: floating point leaf Tensors.
        decay: from 0 to 1.

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
    >>> with ema.applied():
    ...     print(w.data)
    [0.75]
    >>> w.data
    array([0.], dtype=float32)
    """

    _saved: ClassVar[frozenset[str]] = frozenset({"decay", "averages"})  # attributes that the state tells of
    _checks: ClassVar[check.Checks] = {"decay": partial(check.real, at_least=0, at_most=1)}

    @with_hints()
    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999) -> None:
        self.decay = decay
        self.parameters = as_list("EMA", parameters)
        if not self.parameters:
            raise ValueError("EMA: there are no parameters to average")
        for i, parameter in enumerate(self.parameters):
            if type(parameter) is not Tensor or not parameter.is_leaf or parameter.dtype.kind != "f":
                raise TypeError(f"EMA: parameter {i} is not a floating point leaf Tensor: {parameter!r:.80}")
        self.averages = [p.data.astype(np.promote_types(p.dtype, np.float32), order="C") for p in self.parameters]

    def update(self) -> None:
        """Move the averages towards the current weights. Call it after each step of the optimiser."""
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            scale_and_add(average, self.decay, parameter.data.astype(average.dtype, copy=False), 1 - self.decay)
            writes.note(average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the parameters hold the averages; on exit they get their weights back."""
        weights = [parameter.data.copy() for parameter in self.parameters]
        try:
            self._write(self.averages)
            yield
        finally:
            self._write(weights)

    def state_dict(self) -> dict[str, Array]:
        """The decay, and the averages, named `average.0` and so on.

        The averages are not copies: they change as training continues.
        """
        averages = {f"average.{i}": average for i, average in enumerate(self.averages)}
        return {"decay": np.array(self.decay)} | averages

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy averages from a state that `state_dict` returned for an EMA of the same decay.

        Raises:
            ValueError: the decay differs, names are missing or unknown, shapes or kinds of dtype differ, or numbers are
                too large for their dtype. The message lists all of them, and nothing has changed.
        """
        own, new = self.state_dict(), self._checked_state(state, "EMA")
        for name, array in new.items():
            own[name][...] = array
            writes.note(own[name])

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        own = self.state_dict()
        new = check.state(owner, "state", state, own)
        check.settings(owner, new, {"decay": own["decay"]})
        return new

    def _write(self, arrays: Iterable[Array]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            parameter.data[...] = array
            parameter._changed()
