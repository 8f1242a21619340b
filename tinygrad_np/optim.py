"""Optimisers, which change parameters by their gradients, and what else is done to weights and gradients in training.

    optimizer = AdamW(model.parameters(), lr=CosineScheduler(1e-3, steps=10_000))
    optimizer.minimize(loss)      # or zero_grad(), loss.backward(), clip_grad_norm(parameters, 1.0), step()

The formulas are PyTorch's. Schedules, which say how fast at each step, come from `tinygrad_np.schedules`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from . import _validation as check
from ._machine.arrays import Array, Product
from ._machine.fused import BLOCK, scale_and_add
from ._machine.tuning import tune
from .schedules import (
    CosineScheduler,
    ExponentialScheduler,
    JoinedScheduler,
    MultiStepScheduler,
    OneCycleScheduler,
    Schedule,
    StepScheduler,
    WarmupScheduler,
)
from .tensor import Tensor, lazy_gradients

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineScheduler",
    "EMA",
    "ExponentialScheduler",
    "JoinedScheduler",
    "MultiStepScheduler",
    "Muon",
    "OneCycleScheduler",
    "Optimizer",
    "RMSprop",
    "SGD",
    "StepScheduler",
    "WarmupScheduler",
    "clip_grad_norm",
]


# --- what optimisers share -------------------------------------------------------------------------------------------

Parameters: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]


class Optimizer:
    """The base of optimisers: parameters in groups, the loop over them, and the state to resume from.

    A kind of optimiser hands the defaults of its settings to `super().__init__`, `lr` among them, and defines `update`;
    if it remembers something from step to step, also `start`.

    Args:
        parameters: the Tensors to change. Or groups of them, dicts with "parameters" and the settings that are to be
            others for this group: `[{"parameters": weights}, {"parameters": biases, "weight_decay": 0}]`.
        **settings: the settings of all groups that do not say otherwise. `lr` is a number or a schedule `step -> lr`.

    Attributes:
        groups: dicts with "parameters" and every setting. A change of one holds from the next step on; what needs state
            (momentum, centered) cannot be switched on later.
        parameters: those of all groups.
        steps: the number of steps taken, by which schedules go.

    Raises:
        ValueError: a setting is out of its range, a group is empty, or a parameter is given twice.
        TypeError: a parameter is not a leaf Tensor with requires_grad, or a group has settings that are unknown.

    >>> class SignDescent(Optimizer):
    ...     def __init__(self, parameters, lr):
    ...         super().__init__(parameters, lr=lr)
    ...     def update(self, weights, gradient, state, lr):
    ...         weights -= lr * np.sign(gradient)
    >>> w = Tensor([1.0, -2.0], requires_grad=True)
    >>> SignDescent([w], lr=0.5).minimize((w * w).sum()); w
    Tensor([ 0.5, -1.5], dtype=float32, requires_grad=True)
    """

    _adds_products = False  # whether update() takes a Product for a gradient

    def __init__(self, parameters: Parameters, **settings: Any) -> None:
        name = type(self).__name__
        defaults = _checked(name, settings)
        given: list[Any] = list(parameters)
        grouped = bool(given) and all(isinstance(part, Mapping) for part in given)
        self.groups: list[dict[str, Any]] = []
        self._states: dict[Tensor, dict[str, Array]] = {}
        for i, group in enumerate(given if grouped else [{"parameters": given}]):
            owner = f"{name}, group {i}" if grouped else name
            own = dict(group)
            tensors = list(own.pop("parameters", ()))
            if unknown := sorted(own.keys() - defaults.keys()):
                raise TypeError(f"{owner}: {unknown[0]!r} is unknown; settings: {', '.join(defaults)}")
            if not tensors:
                raise ValueError(f"{owner}: there are no parameters to optimise")
            own = defaults | _checked(owner, own)
            for j, tensor in enumerate(tensors):
                if type(tensor) is not Tensor or not tensor.requires_grad:
                    raise TypeError(f"{owner}: parameter {j} is not a Tensor with requires_grad=True: {tensor!r:.80}")
                if not tensor.is_leaf:
                    raise TypeError(f"{owner}: parameter {j} was computed from other Tensors: {tensor!r:.80}")
                if tensor in self._states:
                    raise ValueError(f"{owner}: parameter {j} was given before")
                self._states[tensor] = self.start(tensor.data, **own)
            self.groups.append({"parameters": tensors, **own})
        self.parameters = list(self._states)
        tune()
        self.steps = 0

    def start(self, *args: Any, **kwargs: Any) -> dict[str, Array]:
        """`start(weights, **settings)`: the arrays to remember for one parameter, by name, as before the first step.

        Raises:
            ValueError: the parameter or the settings do not fit this kind of optimiser.
        """
        return {}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """`update(weights, gradient, state, **settings)`: change weights and state, arrays, in place.

        `gradient` is not to be written to. `lr` is a number here.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    @property
    def lr(self) -> float:
        """The learning rate of the next step; if there are several groups, of the first."""
        return self._rate(self.groups[0])

    def zero_grad(self) -> None:
        """Forget the gradients of the last backward."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises:
            RuntimeError: none has one.
            ValueError: one has another shape than its parameter.
        """
        name = type(self).__name__
        found = [(parameter, parameter.grad.data) for parameter in self.parameters if parameter.grad is not None]
        if not found:
            raise RuntimeError(f"{name}: no parameter has a gradient; call backward() on the loss before step()")
        for parameter, gradient in found:
            if gradient.shape != parameter.data.shape:
                raise ValueError(f"{name}: a parameter of shape {parameter.shape} has a gradient of {gradient.shape}")
        self._change(found)

    def minimize(self, loss: Tensor) -> None:
        """`zero_grad()`, `loss.backward()` and `step()` in one; `.grad` is neither read nor written.

        It takes less memory, since the gradients of weight matrices are computed one by one. `SGD` adds them to the
        weights as they are computed, which is faster, too; the last bits may differ then.

        Raises:
            ValueError: the loss is no scalar.
            RuntimeError: it depends on none of the parameters, or its graph was freed.

        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD([w], lr=0.1).minimize((w * w).sum()); w
        Tensor([0.8], dtype=float32, requires_grad=True)
        """
        found = lazy_gradients(loss, self.parameters)
        if not found:
            raise RuntimeError(f"{type(self).__name__}: the loss depends on none of the parameters")
        self._change(found)

    def state_dict(self) -> dict[str, Array]:
        """What training is resumed from, to the bit, together with the weights: `steps`, and arrays as `momentum.0`.

        The number is the parameter's in `parameters`. The arrays are no copies, so they change as training goes on.
        Settings are not among them, nor schedules, which go by `steps`.

        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD([w], lr=0.1, momentum=0.9).state_dict()
        {'steps': array(0), 'momentum.0': array([0.], dtype=float32)}
        """
        state = {"steps": np.array(self.steps, np.int64)}
        for i, own in enumerate(self._states.values()):
            state |= {f"{name}.{i}": array for name, array in own.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy what `state_dict` returned for an optimiser of the same kind, settings and parameters.

        Raises:
            ValueError: names are missing or unknown, or shapes or kinds of numbers differ; all of them are listed and
                nothing is changed.
        """
        own = self.state_dict()
        _load(type(self).__name__, own, state)
        self.steps = int(own["steps"])

    def _rate(self, group: Mapping[str, Any]) -> float:
        lr = group["lr"]
        return float(lr(self.steps) if callable(lr) else lr)  # a np.float64 would make float32 products float64

    def _change(self, found: "Iterable[tuple[Tensor, Array | Product]]") -> None:
        gradients = dict(found)
        for group in self.groups:
            settings = {name: value for name, value in group.items() if name != "parameters"}
            settings["lr"] = self._rate(group)
            for parameter in group["parameters"]:
                gradient = gradients.get(parameter)
                if gradient is None:
                    continue
                if type(gradient) is Product and not self._adds_products:
                    gradient = gradient.computed()
                self.update(parameter.data, gradient, self._states[parameter], **settings)
                parameter._changed()
        self.steps += 1


def _not_negative(owner: str, name: str, value: Any) -> float:
    return check.real(owner, name, value, "at least 0", 0)


def _fraction(owner: str, name: str, value: Any) -> float:
    return check.real(owner, name, value, "at least 0 and below 1", 0, 1, "[)")


def _fractions(owner: str, name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{owner}: {name} must be two numbers, not {value!r}")
    return _fraction(owner, f"{name}[0]", value[0]), _fraction(owner, f"{name}[1]", value[1])


def _boolean(owner: str, name: str, value: Any) -> Any:
    return check.one_of(owner, name, value, (False, True))


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "lr": lambda owner, name, value: value if callable(value) else _not_negative(owner, name, value),
    "weight_decay": _not_negative,
    "momentum": _fraction,
    "nesterov": _boolean,
    "betas": _fractions,
    "eps": _not_negative,
    "alpha": _fraction,
    "centered": _boolean,
    "lr_decay": _not_negative,
    "adjust_lr_fn": lambda owner, name, value: check.one_of(owner, name, value, ("original", "match_rms_adamw")),
}


def _checked(owner: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _CHECKS[name](owner, name, value) if name in _CHECKS else value for name, value in settings.items()}


def _load(owner: str, own: Mapping[str, Array], state: Mapping[str, Array]) -> None:
    """Copy arrays into those of the same names, all or none."""
    for name, array in check.state(owner, own, state).items():
        own[name][...] = array


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Arrays of one shape, piece by piece, so that what a formula goes over several times stays in the cache.

    Adam on 784 x 1024 float32 takes 1.5 ms so, and 2.0 ms in one piece; PyTorch, unfused and on one thread, 1.9 ms.
    """
    if arrays[0].size <= BLOCK or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for i in range(0, flat[0].size, BLOCK):
        yield tuple(array[i : i + BLOCK] for array in flat)


# --- the optimisers --------------------------------------------------------------------------------------------------


class SGD(Optimizer):
    """Stochastic gradient descent with L2 regularisation: w <- (1 - weight_decay * lr) * w - lr * gradient.

    With momentum, where g is the gradient + weight_decay * w: v <- momentum * v + g, and w <- w - lr * v, or
    w <- w - lr * (g + momentum * v) under `nesterov` (Sutskever et al. 2013, "On the importance of initialization and
    momentum in deep learning", as PyTorch writes it).

    Args:
        parameters: Tensors, or groups of them, see `Optimizer`. Weight decay applies to all of them, biases too.
        lr: the learning rate, or a schedule `step -> lr`.
        momentum: at least 0 and below 1.
        nesterov: look ahead by the momentum, which must be above 0.
        weight_decay: the coefficient of L2 regularisation: the gradient of weight_decay / 2 * |w|^2 is added to the
            loss's.

    Raises:
        ValueError, TypeError: as `Optimizer`, or `nesterov` is without momentum.

    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step(); w
    Tensor([0.8], dtype=float32, requires_grad=True)
    """

    _adds_products = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def start(self, weights: Array, momentum: float, nesterov: bool, **_: Any) -> dict[str, Array]:
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        return {"momentum": np.zeros_like(weights)} if momentum else {}

    def update(
        self,
        weights: Array,
        gradient: Array | Product,
        state: dict[str, Array],
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        kept = 1 - weight_decay * lr
        if not momentum:
            scale_and_add(weights, kept, gradient, -lr)
            return
        if nesterov and type(gradient) is Product:  # it is added twice
            gradient = gradient.computed()
        velocity = state["momentum"]
        scale_and_add(velocity, momentum, gradient, 1)
        if weight_decay:
            scale_and_add(velocity, 1, weights, weight_decay)
        if nesterov:
            scale_and_add(weights, kept, gradient, -lr)
            scale_and_add(weights, 1, velocity, -lr * momentum)
        else:
            scale_and_add(weights, 1, velocity, -lr)


class Adam(Optimizer):
    """Steps of about the learning rate in every weight, whatever the scale of its gradient (Kingma and Ba 2015).

    Where g is the gradient + weight_decay * w and t counts the steps of this parameter:

        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        w <- w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        parameters: Tensors, or groups of them, see `Optimizer`.
        lr: the learning rate, or a schedule `step -> lr`.
        betas: how much of the means m and v is kept from step to step, each at least 0 and below 1.
        eps: what keeps the quotient finite, at least 0.
        weight_decay: the coefficient of L2 regularisation. It is part of the gradient; in `AdamW` it is not.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adam([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9], dtype=float32)
    """

    _decoupled = False

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {
            "count": np.array(0, np.int64),
            "mean": np.zeros_like(weights),
            "mean_square": np.zeros_like(weights),
        }

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        state["count"] += 1
        count = int(state["count"])
        # The corrections of m and v, taken out of the formula: what is left goes over the arrays once less.
        spread = math.sqrt(1 - betas[1] ** count)
        rate = lr * spread / (1 - betas[0] ** count)
        kept = 1 - weight_decay * lr if self._decoupled else 1
        for w, g, m, v in _blocks(weights, gradient, state["mean"], state["mean_square"]):
            if weight_decay and not self._decoupled:
                g = g + weight_decay * w
            scale_and_add(m, betas[0], g, 1 - betas[0])
            scale_and_add(v, betas[1], g * g, 1 - betas[1])
            scale_and_add(w, kept, m / (np.sqrt(v) + eps * spread), -rate)


class AdamW(Adam):
    """`Adam` with weight decay outside of its means: w <- (1 - weight_decay * lr) * w before each step.

    Loshchilov and Hutter 2019, "Decoupled weight decay regularization".

    Args:
        parameters, lr, betas, eps: as of `Adam`.
        weight_decay: at least 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> w = Tensor([1.0], requires_grad=True)
    >>> AdamW([w], lr=0.1, weight_decay=0.5).minimize((w * w).sum()); np.round(w.data, 3)
    array([0.85], dtype=float32)
    """

    _decoupled = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """Steps divided by the root of the mean square of recent gradients (Tieleman and Hinton 2012, lecture 6.5).

    Where g is the gradient + weight_decay * w:

        v <- alpha * v + (1 - alpha) * g^2
        b <- momentum * b + g / (sqrt(v) + eps)
        w <- w - lr * b

    If `centered`, m^2 is subtracted from v under the root, where m <- alpha * m + (1 - alpha) * g (Graves 2013,
    "Generating sequences with recurrent neural networks", equations 38 to 41).

    Args:
        parameters: Tensors, or groups of them, see `Optimizer`.
        lr: the learning rate, or a schedule `step -> lr`.
        alpha: how much of the means is kept from step to step, at least 0 and below 1.
        eps: what keeps the quotient finite, at least 0.
        weight_decay: the coefficient of L2 regularisation.
        momentum: at least 0 and below 1.
        centered: divide by the standard deviation instead.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> RMSprop([w], lr=0.1, alpha=0.75).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.8, 99.8], dtype=float32)
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def start(self, weights: Array, momentum: float, centered: bool, **_: Any) -> dict[str, Array]:
        names = ["mean_square"] + ["mean"] * centered + ["momentum"] * bool(momentum)
        return {name: np.zeros_like(weights) for name in names}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None:
        for w, g, *arrays in _blocks(weights, gradient, *state.values()):
            own = dict(zip(state, arrays, strict=True))
            if weight_decay:
                g = g + weight_decay * w
            v = own["mean_square"]
            scale_and_add(v, alpha, g * g, 1 - alpha)
            if centered:
                scale_and_add(own["mean"], alpha, g, 1 - alpha)
                v = np.maximum(v - own["mean"] ** 2, 0)  # a variance of 0 may be rounded to below it
            change = g / (np.sqrt(v) + eps)
            if momentum:
                scale_and_add(own["momentum"], momentum, change, 1)
                change = own["momentum"]
            scale_and_add(w, 1, change, -lr)


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011).

    Where g is the gradient + weight_decay * w and t counts the steps of this parameter:

        s <- s + g^2
        w <- w - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        parameters: Tensors, or groups of them, see `Optimizer`.
        lr: the learning rate, or a schedule `step -> lr`.
        lr_decay: how fast the rate falls besides, at least 0.
        eps: what keeps the quotient finite, at least 0.
        weight_decay: the coefficient of L2 regularisation.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adagrad([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9], dtype=float32)
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {"count": np.array(0, np.int64), "sum_of_squares": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        rate = lr / (1 + int(state["count"]) * lr_decay)
        state["count"] += 1
        for w, g, s in _blocks(weights, gradient, state["sum_of_squares"]):
            if weight_decay:
                g = g + weight_decay * w
            s += g * g
            scale_and_add(w, 1, g / (np.sqrt(s) + eps), -rate)


class Muon(Optimizer):
    """Steps with singular values of about 1, for the weight matrices of hidden layers (Jordan et al. 2024, "Muon").

        m <- momentum * m + (1 - momentum) * gradient
        u  = (1 - momentum) * gradient + momentum * m under `nesterov`, else m
        w <- (1 - weight_decay * lr) * w - lr * scale * orthogonal(u)

    `orthogonal` takes U S V^T to about U V^T by five Newton-Schulz iterations: singular values that are not very small
    end between 0.68 and 1.14.

    As torch.optim.Muon, but iterated in the dtype of the weights instead of bfloat16, and with a scale for weights of
    shape (in, out), which are the transpose of PyTorch's. Everything that is no matrix of a hidden layer (biases,
    embeddings, the last layer) goes to another optimiser, as `AdamW`.

    Args:
        parameters: Tensors of two axes, or groups of them, see `Optimizer`.
        lr: the learning rate, or a schedule `step -> lr`.
        weight_decay: at least 0; as in `AdamW`, it is not part of the gradient.
        momentum: at least 0 and below 1.
        nesterov: look ahead by the momentum.
        adjust_lr_fn: the scale, "original": sqrt(max(1, out / in)), or "match_rms_adamw": 0.2 * sqrt(max(in, out)),
            with which a learning rate and weight decay found for AdamW can be used (Liu et al. 2025, "Muon is scalable
            for LLM training").

    Raises:
        ValueError, TypeError: as `Optimizer`, or a parameter has not two axes.

    >>> w = Tensor(np.zeros((2, 2)), requires_grad=True)
    >>> Muon([w], lr=1.0).minimize((w * np.array([[3.0, 0.0], [0.0, 0.1]])).sum())
    >>> np.round(w.data, 1)  # where the gradient is 30 times as long in one direction as in the other
    array([[-0.7,  0. ],
           [ 0. , -1.1]])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        adjust_lr_fn: str = "original",
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            adjust_lr_fn=adjust_lr_fn,
        )

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        if weights.ndim != 2:
            raise ValueError(f"Muon: a parameter has shape {weights.shape}; only matrices are optimised")
        return {"momentum": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        adjust_lr_fn: str,
    ) -> None:
        mean = state["momentum"]
        scale_and_add(mean, momentum, gradient, 1 - momentum)
        direction = (1 - momentum) * gradient + momentum * mean if nesterov else mean
        rows, columns = weights.shape
        original = adjust_lr_fn == "original"
        scale = math.sqrt(max(1, columns / rows)) if original else 0.2 * math.sqrt(max(rows, columns))
        scale_and_add(weights, 1 - weight_decay * lr, _orthogonal(direction), -lr * scale)


def _orthogonal(matrix: Array) -> Array:
    """About U V^T of a matrix U S V^T, by iterations x <- a x + (b x x^T + c (x x^T)^2) x.

    The coefficients are Jordan's, https://kellerjordan.github.io/posts/muon/: they bring up small singular values
    fastest, at the price that the large ones end around 1, not at it.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    x: Array = wide / max(np.linalg.norm(wide), 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return x if wide is matrix else x.T


# --- what else is done to gradients and weights ----------------------------------------------------------------------


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False) -> float:
    """Scale the gradients so that their norm, as that of one vector, is at most `max_norm`; return what it was.

    They are multiplied by min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does; the norm is
    computed in float64, so that it does not overflow where float32 gradients do not. Call it between `backward()` and
    `step()`; `minimize()` stores no gradients.

    Args:
        parameters: Tensors; those without a gradient are left out.
        max_norm: at least 0.
        error_if_nonfinite: refuse a norm that is infinite or NaN. Otherwise gradients become 0 or NaN.

    Raises:
        ValueError: `max_norm` is out of its range.
        TypeError: one of the parameters is no leaf Tensor.
        RuntimeError: none has a gradient; or, under `error_if_nonfinite`, the norm is not finite, and nothing is
            changed.

    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> clip_grad_norm([w], 1.0)
    5.0
    >>> np.round(w.grad.data, 3)
    array([0.6, 0.8], dtype=float32)
    """
    max_norm = check.real("clip_grad_norm", "max_norm", max_norm, "at least 0", 0)
    given = list(parameters)
    for i, parameter in enumerate(given):
        if type(parameter) is not Tensor or not parameter.is_leaf:
            raise TypeError(f"clip_grad_norm: parameter {i} is not a leaf Tensor: {parameter!r:.80}")
    gradients = [(parameter, parameter.grad.data) for parameter in given if parameter.grad is not None]
    if not gradients:
        raise RuntimeError("clip_grad_norm: no parameter has a gradient; call backward() on the loss before")
    square = 0.0
    for _, gradient in gradients:
        for (block,) in _blocks(gradient):
            wide = block.astype(np.float64, copy=False).reshape(-1)
            square += float(wide @ wide)
    norm = math.sqrt(square)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm: the norm of the gradients is {norm}")
    coefficient = max_norm / (norm + 1e-6)
    if not coefficient >= 1:  # so that NaN spreads
        for parameter, gradient in gradients:
            parameter.grad = Tensor(gradient * coefficient)
    return norm


class EMA:
    """Exponential moving averages of weights, which often test better than the weights themselves (Polyak averaging).

    average <- decay * average + (1 - decay) * weight at each `update()`, from the weights at construction on; as
    torch.optim.swa_utils.get_ema_avg_fn. The statistics of normalisation layers are no parameters, but may be given,
    too.

    Args:
        parameters: floating point Tensors.
        decay: from 0 to 1.

    Raises:
        ValueError: `decay` is out of its range, or there are no parameters.
        TypeError: one of them is no floating point Tensor.

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

    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999) -> None:
        self.decay = check.real("EMA", "decay", decay, "from 0 to 1", 0, 1)
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("EMA: there are no parameters to average")
        for i, parameter in enumerate(self.parameters):
            if type(parameter) is not Tensor or not parameter.is_leaf or parameter.dtype.kind != "f":
                raise TypeError(f"EMA: parameter {i} is not a leaf Tensor of floating point: {parameter!r:.80}")
        self.averages = [parameter.data.copy() for parameter in self.parameters]

    def update(self) -> None:
        """Take the present weights into the averages: after each step of the optimiser."""
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            scale_and_add(average, self.decay, parameter.data, 1 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside of `with`, the parameters are the averages; afterwards they are the weights that they were before."""
        weights = [parameter.data.copy() for parameter in self.parameters]
        try:
            self._put(self.averages)
            yield
        finally:
            self._put(weights)

    def state_dict(self) -> dict[str, Array]:
        """The averages, as `average.0`; not copies, so they change as training goes on."""
        return {f"average.{i}": average for i, average in enumerate(self.averages)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy averages, as `state_dict` returned them.

        Raises:
            ValueError: names are missing or unknown, or shapes or kinds of numbers differ; all of them are listed and
                nothing is changed.
        """
        _load("EMA", self.state_dict(), state)

    def _put(self, arrays: Iterable[Array]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            parameter.data[...] = array
            parameter._changed()
