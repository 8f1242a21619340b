"""L-BFGS with a line search, for losses of all data at once."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, NoReturn

import numpy as np

from .. import _html
from .. import _validation as check
from .._machine import writes
from .._messages import with_hints
from .._settings import name_of
from ..schedules import Schedule
from ..tensor import Array, Tensor, grad
from .base import as_list, number_or_schedule
from .closures import value_of
from .line_search import Point, strong_wolfe


class LBFGS(check.Checked):
    """L-BFGS: steps along the gradient, bent by the curvature of the last ones, as far as a line search finds good.

        optimizer = LBFGS(model.parameters())
        for _ in range(10):
            loss = optimizer.step(lambda: mse_loss(model(x), y))

    It needs the loss of all data, or of the same large batch throughout a step. Each step takes up to `max_iterations`
    iterations, with one or a few evaluations of the loss and its gradient each:

        d  = -H g, where H is made of the last pairs (change of w, change of g)
        w <- w + t * d, where t has the strong Wolfe conditions; it is tried from lr on

    As torch.optim.LBFGS with line_search_fn="strong_wolfe", but that a pair is of one call of `step`, and so of one
    batch. For functions of arrays there is `optim.minimize(f, start, method="L-BFGS-B")`.

    Source: J. Nocedal and S. J. Wright, "Numerical optimization" (2006), algorithms 7.4 and 7.5.

    Args:
        parameters: Tensors; there are no groups.
        lr: where a line search begins, above 0, or a schedule of the steps.
        max_iterations: of a step, at least 1.
        max_evaluations: of the loss in a step, at least 1; by default 5 / 4 of the iterations.
        tolerance_grad: a step ends where no element of the gradient is larger, at least 0.
        tolerance_change: a step ends where no weight, or the loss, changes by more, at least 0.
        history: the number of pairs, at least 1.

    Attributes:
        steps: the number of steps taken, which a schedule is called with.

    Raises:
        ValueError: a setting is out of its range, there are no parameters, or one is given twice.
        TypeError: a parameter is not a floating point leaf Tensor with requires_grad.

    >>> w = Tensor(np.array([-1.0, 2.0]), requires_grad=True)
    >>> optimizer = LBFGS([w])
    >>> first = optimizer.step(lambda: ((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2))
    >>> last = optimizer.step(lambda: ((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2))
    >>> first, np.round(w.data, 3)
    (104.0, array([1., 1.]))
    """

    # Attributes that the state tells of.
    _saved: ClassVar[frozenset[str]] = frozenset(
        {"lr", "steps", "history", "_moves", "_changes", "_counts", "_in_a_step"}
    )
    _checks: ClassVar[check.Checks] = {
        "lr": number_or_schedule,
        "max_iterations": check.positive_integer,
        "max_evaluations": check.optional(check.positive_integer),
        "tolerance_grad": partial(check.real, at_least=0),
        "tolerance_change": partial(check.real, at_least=0),
        "history": check.positive_integer,
    }
    _fixed: ClassVar[frozenset[str]] = frozenset({"history"})

    @with_hints("settings are given by name: LBFGS(model.parameters(), history=10)")
    def __init__(
        self,
        parameters: Any,
        lr: float | Schedule = 1.0,
        *,
        max_iterations: int = 20,
        max_evaluations: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history: int = 10,
    ) -> None:
        self.lr, self.max_iterations, self.max_evaluations = lr, max_iterations, max_evaluations
        self.tolerance_grad, self.tolerance_change, self.history = tolerance_grad, tolerance_change, history
        self.parameters: list[Tensor] = as_list("LBFGS", parameters)
        _check_parameters(self.parameters)
        dtype = np.result_type(np.float32, *(p.dtype for p in self.parameters))
        size = sum(p.size for p in self.parameters)
        self._moves, self._changes = np.zeros((2, history, size), dtype)  # the newest pair last
        self._counts = np.zeros(2, np.int64)  # of iterations, and of pairs that there are
        self.steps, self._in_a_step = 0, False

    def _repr_html_(self) -> str:
        group = {"parameters": self.parameters} | self._checked_settings()
        return _html.of_optimizer(type(self).__name__, list(self._checks), [group], self.steps)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None; `step` neither reads nor writes them."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, closure: Callable[[], Tensor]) -> float:
        """Up to `max_iterations` iterations.

        Args:
            closure: computes the loss, a Tensor of one element; without `backward()`. It is called several times.

        Returns:
            The loss before the step.

        Raises:
            TypeError: the closure is no function, or returns no Tensor of one element.
            FloatingPointError: the loss or its gradient is not finite at the start. Nothing has changed.
            ValueError: a schedule returns no number above 0.
        """
        rate = self.lr(self.steps) if callable(self.lr) else self.lr
        rate = check.real(f"LBFGS, step {self.steps}", "lr", rate, above=0)
        value, gradient = self._evaluate(closure)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise FloatingPointError(f"LBFGS: the loss is {value}, or its gradient is not finite")
        self._in_a_step = True
        self._iterate(closure, value, gradient, rate)
        self._in_a_step = False
        self.steps += 1
        return value

    def minimize(self, loss: Tensor) -> NoReturn:
        """Not possible: the loss is needed at other weights as well."""
        raise TypeError(
            "LBFGS computes the loss several times: write optimizer.step(lambda: ...) with what computes it"
        )

    def _iterate(self, closure: Callable[[], Tensor], value: float, gradient: Array, rate: float) -> None:
        evaluations, limit = 1, self.max_evaluations or self.max_iterations * 5 // 4
        if _largest(gradient) <= self.tolerance_grad:
            return
        for _ in range(self.max_iterations):
            direction = self._direction(gradient)
            t = rate * (1.0 if self._counts[0] else min(1.0, 1.0 / float(np.abs(gradient).sum())))
            self._counts[0] += 1
            start = Point(0.0, value, gradient, float(gradient @ direction))
            if start.slope > -self.tolerance_change:
                return
            search = _Line(self, closure, direction)
            point = search.lowest(start, t, limit - evaluations)
            evaluations += search.evaluations
            self._remember(point.t * direction, point.gradient - gradient)
            change, fall = point.t * _largest(direction), abs(point.value - value)
            value, gradient = point.value, point.gradient
            if evaluations >= limit or _largest(gradient) <= self.tolerance_grad:
                return
            if change <= self.tolerance_change or fall < self.tolerance_change:
                return

    def _direction(self, gradient: Array) -> Array:
        """-H g, by the two loops over the pairs."""
        pairs = range(self.history - int(self._counts[1]), self.history)
        q, parts = -gradient, {}
        for i in reversed(pairs):
            parts[i] = self._moves[i] @ q / (self._changes[i] @ self._moves[i])
            q -= parts[i] * self._changes[i]
        if pairs:
            s, y = self._moves[-1], self._changes[-1]
            q *= (y @ s) / (y @ y)
        for i in pairs:
            part = self._changes[i] @ q / (self._changes[i] @ self._moves[i])
            q += (parts[i] - part) * self._moves[i]
        return q

    def _remember(self, move: Array, change: Array) -> None:
        """Keep a pair, unless the curvature is not positive."""
        if not change @ move > 1e-10:
            return
        for kept, new in ((self._moves, move), (self._changes, change)):
            kept[:-1] = kept[1:]
            kept[-1] = new
        self._counts[1] = min(self._counts[1] + 1, self.history)

    def _evaluate(self, closure: Callable[[], Tensor]) -> tuple[float, Array]:
        loss = value_of(closure, "LBFGS")
        gradients = grad(loss, self.parameters, np.ones(loss.shape, loss.dtype))
        return float(loss.item()), np.concatenate([g.data.ravel() for g in gradients]).astype(self._moves.dtype)

    def _write(self, weights: Array) -> None:
        """Set the parameters to a vector of all of them."""
        start = 0
        for parameter in self.parameters:
            parameter.data[...] = weights[start : start + parameter.size].reshape(parameter.shape)
            start += parameter.size
        writes.note(*(parameter.data for parameter in self.parameters))

    def state_dict(self) -> dict[str, Array]:
        """Everything but the weights that training needs to resume exactly.

        `steps`, the counts of iterations and pairs, the pairs, which are not copies, and `settings` as of `Optimizer`:
        the class, and the shapes of the parameters.
        """
        shapes = ", ".join(f"{p.dtype}{list(p.shape)}" for p in self.parameters)
        return {
            "settings": np.frombuffer(f"{name_of(type(self))}; {shapes}".encode(), np.uint8),
            "steps": np.array(self.steps, np.int64),
            "counts": self._counts,
            "moves": self._moves,
            "changes": self._changes,
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy a state that `state_dict` returned for parameters of the same shapes and as long a history.

        Raises:
            ValueError: the parameters or the history differ, names are missing or unknown, or numbers do not fit. The
                message lists all of them, and nothing has changed.
        """
        own, new = self.state_dict(), self._checked_state(state, "LBFGS")
        for name in ("counts", "moves", "changes"):
            own[name][...] = new[name]
        self.steps, self._in_a_step = int(new["steps"]), False

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        own, given = self.state_dict(), dict(check.mapping(owner, "state", state))
        here, there = own.pop("settings").tobytes(), np.asarray(given.pop("settings", ())).tobytes()
        if here != there:
            text = there.decode(errors="replace") or "nothing"
            raise ValueError(f"the state does not fit this {owner}: it is of {text}, expected {here.decode()}")
        new = check.state(owner, "state", given, own)
        check.never_negative(owner, {name: new[name] for name in ("steps", "counts")})
        if new["counts"][1] > self.history:
            raise ValueError(f"the state does not fit this {owner}: counts has more pairs than {self.history}")
        return new


class _Line:
    """The line search of one iteration."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Tensor], direction: Array) -> None:
        self.optimizer, self.closure, self.direction, self.evaluations = optimizer, closure, direction, 0
        self.weights = np.concatenate([p.data.ravel() for p in optimizer.parameters]).astype(direction.dtype)

    def lowest(self, start: Point, t: float, most: int) -> Point:
        """Move the weights to the point that the search finds; back to the start if the closure raises."""
        end = start
        try:
            tolerance = self.optimizer.tolerance_change
            end = strong_wolfe(self._evaluate, start, t, _largest(self.direction), tolerance, most)
        finally:
            self.optimizer._write(self._at(end.t))
        return end

    def _at(self, t: float) -> Array:
        return self.weights + t * self.direction if t else self.weights

    def _evaluate(self, t: float) -> Point:
        self.evaluations += 1
        self.optimizer._write(self._at(t))
        value, gradient = self.optimizer._evaluate(self.closure)
        return Point(t, value, gradient, float(gradient @ self.direction))


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array), initial=0))


def _check_parameters(parameters: list[Tensor]) -> None:
    if not parameters:
        raise ValueError("LBFGS: there are no parameters to optimise")
    for i, parameter in enumerate(parameters):
        if isinstance(parameter, Mapping):
            raise TypeError("LBFGS: it has no groups; give it one list of parameters")
        if type(parameter) is not Tensor or not parameter.requires_grad or parameter.dtype.kind != "f":
            raise TypeError(f"LBFGS: parameter {i} is not a Tensor with requires_grad=True: {parameter!r:.80}")
        if not parameter.is_leaf:
            raise TypeError(f"LBFGS: parameter {i} was computed from other Tensors: {parameter!r:.80}")
        if any(parameter is other for other in parameters[:i]):
            raise ValueError(f"LBFGS: parameter {i} was given before")
        if not parameter.data.flags.writeable:
            raise ValueError(f"LBFGS: parameter {i} is read-only; make it of a copy of its array")
