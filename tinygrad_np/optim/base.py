"""The base class of optimisers: parameter groups, checked hyperparameters, steps, and a state to resume from."""

import math
from collections import ChainMap
from collections.abc import Iterable, Mapping
from operator import is_not
from typing import Any, ClassVar, TypeAlias

import numpy as np

from .. import _html
from .. import _validation as check
from .._machine import writes
from .._machine.fused import Product
from .._machine.tuning import tune
from .._messages import Hints, as_call, of_keyword, shown, with_hints
from .._settings import described, name_of
from ..schedules import Schedule
from ..tensor import Array, Tensor, lazy_gradients
from .together import Together

Parameters: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]
HALF = np.dtype(np.float16)
FIXED = "parameters can be neither added to a group nor removed; make a new optimiser, or a second one for the others"


def number_or_schedule(owner: str, name: str, value: Any) -> float | Schedule:
    """A learning rate: a number of at least 0, or a function of the step."""
    return check.schedule(owner, name, value) if callable(value) else check.real(owner, name, value, at_least=0)


def as_list(owner: str, parameters: Any) -> list[Any]:
    """The parameters, or groups of them, as a list.

    Raises:
        TypeError: they are a module, a Tensor, or anything else that is not several of them.
    """
    if hasattr(parameters, "parameters"):
        raise TypeError(f"{owner}: give it the parameters of the module: model.parameters()")
    if callable(parameters):
        raise TypeError(f"{owner}: give it the parameters, with the call: model.parameters()")
    if isinstance(parameters, Tensor | Mapping):
        use = "[...] around it"
        if isinstance(parameters, Mapping) and "parameters" not in parameters:
            tensors = bool(parameters) and all(isinstance(part, Tensor) for part in parameters.values())
            use = "list(parameters.values())" if tensors else "model.parameters()"
        raise TypeError(f"{owner}: parameters must be a list, not one {type(parameters).__name__}: write {use}")
    if not isinstance(parameters, Iterable) or isinstance(parameters, str | np.ndarray):
        raise TypeError(
            f"{owner}: parameters must be Tensors, as model.parameters() gives them, not {shown(parameters)}"
        )
    return list(parameters)


class Optimizer(Hints):
    """Base class of optimisers.

    Subclasses pass default hyperparameters to `super().__init__` and implement `update`. Those that keep state from
    step to step implement `start` as well.

    A subclass declares its own hyperparameters in the class attribute `hyperparameters`, a dict from names to checks. A
    check is a function of the owner to name in errors, the hyperparameter's name and the value; it returns the value
    to use or raises an error. Checks are inherited, and apply to the defaults and to every group. A hyperparameter that
    no class declares is accepted as it is. Names of its state whose arrays are never negative, such as counts and sums
    of squares, are in `never_negative`, and no others are loaded.

    Args:
        parameters: the Tensors to optimise; or parameter groups, dicts with "parameters" and those hyperparameters that
            differ from the defaults: `[{"parameters": weights}, {"parameters": biases, "weight_decay": 0}]`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        **hyperparameters: the defaults of the other hyperparameters.

    Attributes:
        groups: dicts with "parameters" and all hyperparameters. An assignment takes effect at the next step, which
            checks it. What needs state (momentum, centered) cannot be switched on later, and parameters can be neither
            added nor removed.
        parameters: the parameters of all groups.
        steps: the number of steps taken, which schedules are called with; an integer, also where you assign it.

    Raises:
        ValueError: a hyperparameter is out of its range, a group has no parameters, or a parameter is given twice.
        TypeError: a parameter is not a leaf Tensor with requires_grad, or a group has an unknown hyperparameter.

    >>> from tinygrad_np.optim import SGD
    >>> class SignDescent(Optimizer):
    ...     hyperparameters = {"weight_decay": SGD.hyperparameters["weight_decay"]}
    ...     def __init__(self, parameters, lr, weight_decay=0.0):
    ...         super().__init__(parameters, lr=lr, weight_decay=weight_decay)
    ...     def update(self, weights, gradient, state, lr, weight_decay):
    ...         weights -= lr * (np.sign(gradient) + weight_decay * weights)
    >>> w = Tensor([1.0, -2.0], requires_grad=True)
    >>> SignDescent([w], lr=0.5).minimize((w * w).sum()); w
    Tensor([ 0.5, -1.5], dtype=float32, requires_grad=True)
    >>> SignDescent([{"parameters": [w], "weight_decay": -1}], lr=0.5)
    Traceback (most recent call last):
    ValueError: SignDescent, group 0: weight_decay must be at least 0, not -1
    """

    hyperparameters: ClassVar[check.Checks] = {"lr": number_or_schedule}
    never_negative: ClassVar[frozenset[str]] = frozenset({"steps"})

    # Attributes that the state tells of.
    _saved: ClassVar[frozenset[str]] = frozenset(
        {"groups", "_names", "_checked_groups", "_states", "_together", "steps", "_in_a_step"}
    )
    _adds_products = False  # whether update() accepts a Product as the gradient
    # For an update() that treats all elements alike: the size up to which parameters are gathered, and whether larger
    # ones may be cut, see `Together`. Another update() does not inherit this.
    _gathered, _cut = 0, False
    _scalars: ClassVar[frozenset[str]] = frozenset({"count"})  # of the state: one number for the whole parameter

    def __init__(self, parameters: Parameters, lr: float | Schedule, **hyperparameters: Any) -> None:
        name = type(self).__name__
        defaults = self._checked(name, {"lr": lr, **hyperparameters})
        given = as_list(name, parameters)
        grouped = bool(given) and all(isinstance(part, Mapping) for part in given)
        self._names = list(defaults)
        self.groups: list[dict[str, Any]] = []
        self._checked_groups: list[tuple[tuple[Any, ...], dict[str, Any]]] = []  # values, and hyperparameters by name
        self._states: dict[Tensor, dict[str, Array]] = {}
        for i, group in enumerate(given if grouped else [{"parameters": given}]):
            owner = f"{name}, group {i}" if grouped else name
            own = dict(group)
            tensors = as_list(owner, own.pop("parameters", ()))
            if unknown := sorted(own.keys() - defaults.keys()):
                hint = of_keyword(unknown[0], ["parameters", *defaults]).rstrip("=?")
                raise TypeError(
                    f"{owner}: unknown hyperparameter {unknown[0]!r}{hint}; a group has 'parameters' and the"
                    f" hyperparameters {', '.join(defaults)}"
                )
            if not tensors:
                raise ValueError(f"{owner}: there are no parameters to optimise")
            own = defaults | self._checked(owner, own)
            for j, tensor in enumerate(tensors):
                if type(tensor) is Tensor and tensor.dtype.kind == "c":
                    raise TypeError(
                        f"{owner}: parameter {j} is {tensor.dtype}; optimise its real and imaginary parts, two Tensors"
                        " x and y, and compute with x + 1j * y"
                    )
                if type(tensor) is not Tensor or not tensor.requires_grad:
                    pair = isinstance(tensor, tuple) and any(isinstance(part, Tensor) for part in tensor)
                    hint = "; write model.parameters()" if pair else ""
                    raise TypeError(
                        f"{owner}: parameter {j} is not a Tensor with requires_grad=True: {tensor!r:.80}{hint}"
                    )
                if not tensor.is_leaf:
                    raise TypeError(f"{owner}: parameter {j} was computed from other Tensors: {tensor!r:.80}")
                if tensor in self._states:
                    raise ValueError(f"{owner}: parameter {j} was given before")
                if not tensor.data.flags.writeable:
                    raise ValueError(f"{owner}: parameter {j} is read-only; make it of a copy of its array")
                weights = tensor.data
                self._states[tensor] = self.start(
                    weights.astype(np.float32) if weights.dtype == HALF else weights, **own
                )
            group = {"parameters": tensors, **own}
            self.groups.append(group)
            self._checked_groups.append((tuple(group.values()), own))
        self.parameters = list(self._states)
        self._together: dict[int, Together] = {}  # by group, made when first needed
        self.steps, self._in_a_step = 0, False
        # Training begins here. Importing the package must not change how the process manages its memory, and a user who
        # trains should not have to know that tune() exists.
        tune()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "update" in vars(cls):
            cls._gathered, cls._cut = (vars(cls).get(name, 0) for name in ("_gathered", "_cut"))
        if "__init__" in vars(cls) and cls.__module__.startswith(f"{__package__}."):
            by_name = f"hyperparameters are given by name: {cls.__name__}(model.parameters(), lr=0.1)"
            cls.__init__ = with_hints(by_name)(cls.__init__)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "parameters" and "steps" in vars(self):
            raise AttributeError(f"{type(self).__name__}: {FIXED}", name=name)
        own = name in vars(self).get("_names", ())  # there are none yet where a subclass assigns before it is made
        if (own or name in ("learning_rate", "param_groups")) and not hasattr(type(self), name):
            key = name if own else "lr"
            raise AttributeError(
                f"{type(self).__name__} reads its hyperparameters from groups: write"
                f' optimizer.groups[0]["{key}"] = ...',
                name=name,
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """The hyperparameters, and a list of those that differ between groups."""
        settings = {}
        for name in vars(self).get("_names", ()):  # there are none yet where an error comes first
            values = [group.get(name) for group in self.groups]
            settings[name] = values[0] if len({repr(value) for value in values}) == 1 else values
        return as_call(self, **settings)

    def _repr_html_(self) -> str:
        return _html.of_optimizer(type(self).__name__, self._names, self.groups, self.steps)

    def start(self, *args: Any, **kwargs: Any) -> dict[str, Array]:
        """`start(weights, **hyperparameters)`: the initial state of one parameter, arrays by name.

        For a float16 parameter the weights are given in float32, and so the state is to be.

        Raises:
            ValueError: the optimiser cannot handle this parameter with these hyperparameters.
        """
        return {}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """`update(weights, gradient, state, **hyperparameters)`: change the weights and the state in place.

        These are arrays, and `lr` is a number, also where it was given as a schedule. The gradient must not be changed.
        For a float16 parameter they are float32: squares of gradients underflow float16, and the weights are rounded
        once, after the step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    @property
    def lr(self) -> float:
        """The learning rate of the next step, in the first group.

        An assignment holds for all groups. It is refused where these have different rates, or where a number would end
        a schedule, as `optimizer.lr *= 0.5` would; an assignment to `optimizer.groups[0]["lr"]` is not.

        >>> from tinygrad_np.optim import SGD
        >>> optimizer = SGD([Tensor([1.0], requires_grad=True)], lr=0.1)
        >>> optimizer.lr /= 2
        >>> optimizer.groups[0]["lr"]
        0.05
        """
        return self._rate(self.groups[0])

    @lr.setter
    def lr(self, value: Any) -> None:
        rates = [group["lr"] for group in self.groups]
        new = self._checked(type(self).__name__, {"lr": value})["lr"]
        if any(rate is not rates[0] and rate != rates[0] for rate in rates):
            raise AttributeError(
                'lr: the groups have different learning rates: write optimizer.groups[0]["lr"] = ...', name="lr"
            )
        if callable(rates[0]) and not callable(new):
            raise AttributeError(
                "lr is a schedule, which a number would end: assign another schedule, or write"
                ' optimizer.groups[0]["lr"] = ...',
                name="lr",
            )
        for group in self.groups:
            group["lr"] = new

    @with_hints()
    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for parameter in self.parameters:
            parameter.grad = None

    @with_hints("call loss.backward() before it, or write optimizer.minimize(loss) instead")
    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            RuntimeError: no parameter has a gradient.
            ValueError: a schedule returns no finite number of at least 0, or a hyperparameter that was assigned is out
                of its range. Nothing is changed.
        """
        name = type(self).__name__
        hyperparameters = self._current()
        gradients = [(parameter, parameter.grad.data) for parameter in self.parameters if parameter.grad is not None]
        if not gradients:
            raise RuntimeError(f"{name}: no parameter has a gradient; call backward() on the loss before step()")
        self._apply(gradients, hyperparameters)

    def minimize(self, loss: Tensor) -> None:
        """`zero_grad()`, `loss.backward()` and `step()` in one call, which neither reads nor writes `.grad`.

        It needs less memory, because the gradients of weight matrices are computed one at a time. `SGD` adds each to
        the weights while it is computed; this is faster as well, but the last bits of the result may differ.

        Args:
            loss: a scalar.

        Raises:
            ValueError: the loss is not a scalar; or a schedule or a hyperparameter is refused, as by `step`.
            RuntimeError: the loss depends on none of the parameters, or its graph was freed.

        >>> from tinygrad_np.optim import SGD
        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD([w], lr=0.1).minimize((w * w).sum()); w
        Tensor([0.8], dtype=float32, requires_grad=True)
        """
        hyperparameters = self._current()  # before the graph is freed
        gradients = lazy_gradients(loss, self.parameters)
        if not gradients:
            raise RuntimeError(f"{type(self).__name__}: the loss depends on none of the parameters")
        self._apply(gradients, hyperparameters)

    def state_dict(self) -> dict[str, Array]:
        """Everything but the weights that training needs to resume exactly: `steps`, and arrays such as `momentum.0`.

        The number is the parameter's index in `parameters`. The arrays are not copies: they change as training
        continues. `settings` is text, as bytes: the class, and the shapes of the parameters and the hyperparameters of
        each group. It does not set hyperparameters, but a state is loaded only where they agree. The learning rate may
        differ; schedules need only `steps`.

        >>> from tinygrad_np.optim import SGD
        >>> w = Tensor([1.0], requires_grad=True)
        >>> state = SGD([w], lr=0.1, momentum=0.9).state_dict()
        >>> state.pop("settings").tobytes().decode()
        'tinygrad_np.optim.sgd.SGD; float32[1]; momentum 0.9; nesterov False; weight_decay 0.0'
        >>> state
        {'steps': array(0), 'momentum.0': array([0.], dtype=float32)}
        """
        settings = "\n".join(self._settings()).encode()
        state: dict[str, Array] = {
            "settings": np.frombuffer(settings, np.uint8),
            "steps": np.array(self.steps, np.int64),
        }
        for i, own in enumerate(self._states.values()):
            state |= {f"{name}.{i}": array for name, array in own.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy a state that `state_dict` returned for an optimiser of the same class, parameters and hyperparameters.

        Assign hyperparameters that change in a training before: they are compared with those in `groups`. The learning
        rate is not compared.

        Raises:
            ValueError: the class or a hyperparameter is another, names are missing or unknown, shapes or kinds of dtype
                differ, or numbers are too large for their dtype. The message lists all of them, and nothing has
                changed.
        """
        own, new = self.state_dict(), self._checked_state(state, type(self).__name__)
        for name, array in new.items():
            own[name][...] = array
        self.steps, self._in_a_step = int(new["steps"]), False

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays but the settings, which can be loaded without an error."""
        own, given = self.state_dict(), dict(check.mapping(owner, "state", state))
        settings = given.pop("settings", np.empty(0, np.uint8))
        if not isinstance(settings, np.ndarray) or settings.dtype != np.uint8:
            kind = shown(settings)
            raise ValueError(f"the state does not fit this {owner}: settings must be an array of uint8, not {kind}")
        text = settings.tobytes().decode(errors="replace")
        del own["settings"]
        here, there = self._settings(), text.split("\n")
        if not text:
            unknown = [name for name in given if name not in own]
            of_else = f"{', '.join(unknown[:5])} {'is' if len(unknown) == 1 else 'are'} unknown, and "
            raise ValueError(
                f"the state does not fit this {owner}: {of_else if unknown else ''}settings is missing, as in states of"
                " older versions or of other parts"
            )
        if here != there:
            groups = len(here) == len(there) > 1
            pairs = [(f"group {i}: " * groups, *both) for i, both in enumerate(zip(there, here, strict=False))]
            differences = [f"{which}{one}, expected {other}" for which, one, other in pairs if one != other]
            if len(here) != len(there):
                differences = [f"{len(there)} groups of parameters, expected {len(here)}"]
            raise ValueError(f"the state does not fit this {owner}: it is of {'; '.join(differences)}")
        new = check.state(owner, "state", given, own)
        check.never_negative(
            owner, {name: array for name, array in new.items() if name.partition(".")[0] in self.never_negative}
        )
        return new

    def _settings(self) -> list[str]:
        """What must agree between two optimisers for one to load the state of the other: a line for each group."""
        lines = []
        for group in self.groups:
            shapes = ", ".join(f"{tensor.dtype}{list(tensor.shape)}" for tensor in group["parameters"])
            own = {name: value for name, value in group.items() if name not in ("parameters", "lr")}
            values = [
                f"{name}{f'.{path}' * bool(path)} {text}"
                for name, value in own.items()
                for path, text in described(value).items()
            ]
            lines.append("; ".join([name_of(type(self)), shapes, *values]))
        return lines

    def _checked(self, owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters, each checked by the most derived class that declares it."""
        checks = ChainMap(*(vars(cls).get("hyperparameters", {}) for cls in type(self).__mro__))
        return {name: checks[name](owner, name, value) if name in checks else value for name, value in values.items()}

    def _rate(self, group: Mapping[str, Any]) -> float:
        lr = group["lr"]
        if callable(lr):
            try:
                lr = lr(self.steps)
            except ArithmeticError as error:
                owner = f"{type(self).__name__}, step {self.steps}"
                raise ValueError(f"{owner}: lr cannot be computed: {error}; see its schedule") from error
        if type(lr) is not float or not 0 <= lr < math.inf:  # a np.float64 would make float32 products float64
            lr = check.real(f"{type(self).__name__}, step {self.steps}", "lr", lr, at_least=0)
        return lr

    def _current(self) -> list[dict[str, Any]]:
        """The hyperparameters of each group for this step, checked where they were assigned since the last."""
        count = 0
        for i, (group, (seen, _)) in enumerate(zip(self.groups, self._checked_groups, strict=False)):
            if len(group) != len(seen) or any(map(is_not, group.values(), seen)):
                self._check_group(i, group)
            count += len(group["parameters"])
        if count != len(self._states) or len(self.groups) != len(self._checked_groups):
            raise ValueError(f"{type(self).__name__}, step {self.steps}: {FIXED}")
        return [{**values, "lr": self._rate(values)} for _, values in self._checked_groups]

    def _check_group(self, i: int, group: dict[str, Any]) -> None:
        owner = f"{type(self).__name__}, group {i}, step {self.steps}"
        if group.keys() != {"parameters", *self._names}:
            raise TypeError(f"{owner}: a group has 'parameters' and the hyperparameters {', '.join(self._names)}")
        own = self._checked(owner, {name: value for name, value in group.items() if name != "parameters"})
        for tensor in group["parameters"]:
            if tensor not in self._states:
                raise ValueError(f"{owner}: {FIXED}")
            if added := self.start(tensor.data, **own).keys() - self._states[tensor].keys():
                raise ValueError(
                    f"{owner}: {', '.join(sorted(added))} needs state from the start; make a new optimiser"
                )
        group.update(own)
        self._checked_groups[i] = (tuple(group.values()), own)

    def _group_together(self, i: int) -> Together:
        together, parameters = self._together.get(i), self.groups[i]["parameters"]
        if together is None or not together.holds(parameters, self._states):
            together = self._together[i] = Together(parameters, self._states, self._gathered, self._cut, self._scalars)
        return together

    def _apply(
        self, gradients: "Iterable[tuple[Tensor, Array | Product]]", hyperparameters: Iterable[dict[str, Any]]
    ) -> None:
        by_parameter = dict(gradients)
        written, own = [], vars(self)
        own["_in_a_step"] = True  # not by __setattr__, which takes 0.6 us
        try:
            for i, (group, values) in enumerate(zip(self.groups, hyperparameters, strict=True)):
                parameters = [p for p in group["parameters"] if p in by_parameter]
                written += [p._data for p in parameters]
                if self._gathered:
                    done = self._group_together(i).update(self.update, by_parameter, values)
                    parameters = [p for p in parameters if p not in done]
                for parameter in parameters:
                    gradient = by_parameter[parameter]
                    if type(gradient) is Product and not self._adds_products:
                        gradient = gradient.computed()
                    weights = parameter._data
                    if half := weights.dtype is HALF:  # the state is float32, and so is the step until its rounding
                        weights, gradient = weights.astype(np.float32), np.asarray(gradient, np.float32)
                    self.update(weights, gradient, self._states[parameter], **values)
                    if half:
                        parameter.data[...] = weights
        finally:  # also what was written before an interrupt
            writes.note(*written)
        if len(written) != len(by_parameter):
            raise ValueError(f"{type(self).__name__}, step {self.steps}: {FIXED}")
        own["_in_a_step"] = False
        own["steps"] += 1
