"""Modules, layers and losses; and the whole against gradients derived by hand."""

import copy
import dataclasses
import logging
import math
import pickle
import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_np import Tensor, cross_entropy, grad, nn, optim, softmax
from tinygrad_np.schedules import ExponentialScheduler

import numpy as np
import pytest
from holders import FOUND, REFUSED, Plain, object_array
from hypothesis import given
from hypothesis import strategies as st


def network(seed: int = 0, dtype: type = np.float32) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(6, 5, rng=rng, dtype=dtype), nn.ReLU(), nn.Linear(5, 3, rng=rng, dtype=dtype))


def test_fifty_steps_equal_those_of_hand_derived_gradients() -> None:
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(50, 16, 6)), rng.integers(0, 3, (50, 16))
    decay, schedule = 1e-3, ExponentialScheduler(0.3, decay=0.5, stage_length=20)
    model = network(dtype=np.float64)
    w1, b1, w2, b2 = (p.data.copy() for p in model.parameters())
    optimizer = optim.SGD(model.parameters(), lr=schedule, weight_decay=decay)
    loss_of = nn.CrossEntropyLoss()

    for step, (x, t) in enumerate(zip(images, labels, strict=True)):
        loss = loss_of(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        hidden = x @ w1 + b1
        active = np.maximum(hidden, 0)
        exponentials = np.exp(active @ w2 + b2)
        p = exponentials / exponentials.sum(axis=1, keepdims=True)
        expected_loss = -np.log(p[np.arange(16), t]).mean()
        error = (p - np.eye(3)[t]) / 16
        below = error @ w2.T * (hidden > 0)
        lr = 0.3 * 0.5 ** math.floor(step / 20)
        for w, g in ((w1, x.T @ below), (b1, below.sum(0)), (w2, active.T @ error), (b2, error.sum(0))):
            w -= lr * (g + decay * w)

        assert loss.item() == pytest.approx(expected_loss, abs=1e-6)
        for parameter, w in zip(model.parameters(), (w1, b1, w2, b2), strict=True):
            np.testing.assert_allclose(parameter.data, w, rtol=0, atol=1e-6)


def test_linear_starts_he_normal_with_zero_bias() -> None:
    layer = nn.Linear(400, 300, rng=np.random.default_rng(0))
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert layer.weight.data.std() == pytest.approx(math.sqrt(2 / 400), rel=0.01)
    assert abs(layer.weight.data.mean()) < 0.001
    assert not layer.bias.data.any()
    again = nn.Linear(400, 300, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(layer.weight.data, again.weight.data)


def test_linear_refuses_impossible_sizes_and_inputs() -> None:
    rng = np.random.default_rng(0)
    for sizes in ((0, 1), (1, -2), (1.5, 2)):
        with pytest.raises(ValueError, match="positive integer"):
            nn.Linear(*sizes, rng=rng)
    with pytest.raises(TypeError, match="Generator"):
        nn.Linear(1, 1, rng=np.random)
    with pytest.raises(ValueError, match=r"linear of float64\[2, 4\], float32\[6, 5\].*\(\.\.\., in\)"):
        network()(np.ones((2, 4)))


def test_softmax_and_cross_entropy_agree_with_their_definitions() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3))
    labels = np.array([0, 2, 1, 1])
    p = [[math.exp(v) / math.fsum(map(math.exp, row)) for v in row] for row in logits]
    np.testing.assert_allclose(nn.Softmax()(Tensor(logits)).data, p, rtol=1e-14)
    expected = -math.fsum(math.log(row[label]) for row, label in zip(p, labels, strict=True)) / 4
    assert cross_entropy(Tensor(logits), labels).item() == pytest.approx(expected, rel=1e-14)


def test_the_fused_cross_entropy_has_the_derivatives_of_its_parts() -> None:
    logits = Tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    labels = np.array([0, 2, 1, 1])

    def derivatives(loss: Tensor) -> tuple[Tensor, Tensor]:
        first = grad(loss, logits, create_graph=True)
        return first, grad((first * first).sum(), logits)

    fused = derivatives(cross_entropy(logits, labels))
    parts = derivatives(-np.log(softmax(logits)[np.arange(4), labels]).mean())
    for a, b in zip(fused, parts, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.ones((2, 3)), np.array([0, 3]), r"labels must be from 0 to 2 \(3 classes\), not 3"),
        (np.ones((2, 3)), np.array([-1, 0]), "labels must be from 0 to 2 .*, not -1"),
        (np.ones((2, 3)), np.array([0, 1, 2]), r"cross_entropy of float64\[2, 3\], int64\[3\]: expected logits"),
        (np.ones((2, 3)), np.array([0.0, 1.0]), "labels must be integers, not float64"),
        (np.ones((2, 3)), np.array([[0], [1]]), "expected logits"),
        (np.ones(3), np.array([0]), "expected logits"),
        (np.ones((0, 3)), np.array([], int), "batch at least 1"),
    ],
)
def test_cross_entropy_refuses_what_does_not_fit(logits: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cross_entropy(Tensor(logits), labels)


def test_labels_may_be_a_list_or_a_tensor() -> None:
    logits = Tensor([[1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    expected = cross_entropy(logits, np.array([0, 1]))
    for labels in ([0, 1], Tensor(np.array([0, 1]))):
        loss = cross_entropy(logits, labels)
        assert loss.data == expected.data
        grad(loss, logits, create_graph=True)


class Tied(nn.Module):
    """Parameters in attributes, lists, dicts and modules, one of them twice."""

    def __init__(self) -> None:
        self.scale = Tensor([2.0], requires_grad=True)
        self.parts = [nn.ReLU(), {"inner": network()}]
        self.again = self.scale
        self.running = Tensor([0.0])
        self.name = "tied"


def test_tensors_are_found_once_wherever_they_are() -> None:
    model = Tied()
    assert [path for path, _ in model.named_tensors()] == [
        "scale",
        "parts.1.inner.0.weight",
        "parts.1.inner.0.bias",
        "parts.1.inner.2.weight",
        "parts.1.inner.2.bias",
        "running",
    ]
    assert len(model.parameters()) == 5
    assert {type(m).__name__ for m in model.modules()} == {"Tied", "ReLU", "Sequential", "Linear"}


def test_train_and_eval_reach_every_module() -> None:
    model = Tied()
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())


def test_state_dicts_are_loaded_whole_or_not_at_all() -> None:
    model, other = network(0), network(1)
    model.load_state_dict(other.state_dict())
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert a.data is not b.data
    state = {"0.weight": np.ones((2, 2)), "0.bias": np.ones(5), "new": np.ones(1)}
    before = {path: array.copy() for path, array in model.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=r"0.weight has shape \(2, 2\) of float64, expected \(6, 5\) of float32.*missing.*new is unknown",
    ):
        model.load_state_dict(state)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


@pytest.mark.parametrize("bias", [np.array(["text"] * 5), np.ones(5, complex)])
def test_a_state_of_another_kind_of_numbers_changes_nothing(bias: np.ndarray) -> None:
    model = network()
    state = {path: array + 1 for path, array in model.state_dict().items()}
    before = {path: array.copy() for path, array in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"2.bias has shape .* of {bias.dtype}".replace("(5,)", ".*")):
        model.load_state_dict({**state, "2.bias": bias[:3]})
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_two_tensors_of_one_path_are_refused() -> None:
    class Ambiguous(nn.Module):
        def __init__(self) -> None:
            self.parts = {"a.b": Tensor([1.0]), "a": {"b": Tensor([2.0])}}

    with pytest.raises(ValueError, match="two Tensors have the path 'parts.a.b'"):
        Ambiguous().state_dict()


@pytest.mark.parametrize("change", ["step", "load", "requires_grad"])
def test_a_backward_over_what_was_changed_since_raises(change: str) -> None:
    w, x = Tensor([2.0], requires_grad=True), Tensor([3.0])
    first, second = (w * w).sum(), (x * w * w).sum()
    first.backward()
    if change == "step":
        optim.SGD([w], lr=0.25).step()
    elif change == "load":
        holder = nn.Sequential()
        holder.layers.append(w)
        holder.load_state_dict({"0": np.array([5.0])})
    else:
        x.requires_grad = True
    with pytest.raises(RuntimeError, match=r"argument [01] of multiply, float32\[1\], was changed after"):
        second.backward()
    (x * w).sum().backward()  # what is computed afterwards is not affected


def test_linear_takes_lists_and_mixed_dtypes() -> None:
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
    expected = layer.weight.data.sum() + layer.bias.data
    with warnings.catch_warnings(action="ignore"):  # a list is float64
        assert layer([[1.0, 1.0]]).item() == pytest.approx(expected.item())
    layer.bias = Tensor(np.ones(1, np.float64), requires_grad=True)
    y = layer(np.ones((1, 2), np.float32))
    assert y.dtype == np.float64
    assert [g.dtype for g in grad(y, layer.parameters())] == [np.float32, np.float64]


def test_zero_grad_forgets() -> None:
    model = network()
    cross_entropy(model(np.ones((1, 6), np.float32)), [0]).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_module_prints_as_it_is_built() -> None:
    assert repr(network()) == "Sequential(\n  0: Linear(6, 5)\n  1: ReLU()\n  2: Linear(5, 3)\n)"
    assert repr(Tied()) == "Tied(scale: float32[1], again: float32[1], running: float32[1])"
    with pytest.raises(NotImplementedError, match="Tied has no forward"):
        Tied()(1)


def test_a_module_is_printed_as_a_tree_of_shapes_and_counts() -> None:
    assert str(Tied()) == (
        "Tied                         scale 1, (running 1)  54 parameters\n"
        "  parts.0: ReLU()\n"
        "  parts.1.inner: Sequential                        53\n"
        "    0: Linear(6, 5)          weight 6 x 5, bias 5  35\n"
        "    1: ReLU()\n"
        "    2: Linear(5, 3)          weight 5 x 3, bias 3  18"
    )
    assert str(nn.Linear(2, 3, rng=np.random.default_rng(0))) == "Linear(2, 3)  weight 2 x 3, bias 3  9 parameters"


def test_an_error_says_in_which_layer() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            self.parts = {"body": network()}

        def forward(self, x: object) -> object:
            return self.parts["body"](x)

    def notes(model: nn.Module, x: object) -> list[str]:
        with pytest.raises(ValueError, match="expected x of shape") as caught:
            model(x)
        return caught.value.__notes__

    wrong = np.ones((1, 7), np.float32)
    assert notes(Outer(), wrong) == ["in layer parts.body.0: Linear(6, 5)"]
    assert notes(network(), wrong) == ["in layer 0: Linear(6, 5)"]
    assert notes(network().layers[0], wrong) == ["in Linear(6, 5)"]
    made_inside = nn.Sequential(nn.ReLU(), lambda x: network()(x))
    assert notes(made_inside, wrong) == ["in layer 0: Linear(6, 5)"]  # all that is known


def test_a_class_in_place_of_a_layer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"layer 1 must be a module or a function, not .*; write ReLU\(...\)"):
        nn.Sequential(nn.ReLU(), nn.ReLU)
    with pytest.raises(TypeError, match=r"layer 0 must be a module or a function, not 3"):
        nn.Sequential(3)  # type: ignore[arg-type]
    assert nn.Sequential(np.negative, nn.ReLU())(np.array([-2.0])) == 2


# --- what is found in a module, and what is refused ------------------------------------------------------------------


def linear() -> nn.Linear:
    return nn.Linear(2, 3, rng=np.random.default_rng(0))


class Holder(nn.Module):
    def __init__(self, held: Any) -> None:
        self.held = held

    def forward(self, x: Any) -> Any:
        raise ValueError("the real reason")


REFUSALS: list[Callable[[nn.Module], Any]] = [
    nn.Module.parameters,
    nn.Module.train,
    nn.Module.eval,
    nn.Module.state_dict,
    nn.Module.zero_grad,
    nn.Module.__str__,
    lambda module: module.load_state_dict({}),
]


@given(st.data())
def test_modules_and_tensors_in_any_nesting_are_found_or_refused(data: st.DataObject) -> None:
    inner = data.draw(st.sampled_from([linear(), Tensor([1.0], requires_grad=True)]))
    held, refused = inner, False
    for wrap in data.draw(st.lists(st.sampled_from(FOUND), max_size=4)):
        held = wrap(held)
    if data.draw(st.booleans()):
        try:
            held = data.draw(st.sampled_from(REFUSED))(held)
            refused = True
        except TypeError:  # a list is not hashable
            pass
    for wrap in data.draw(st.lists(st.sampled_from(FOUND), max_size=2)):
        held = wrap(held)
    module = Holder(held)
    with pytest.raises(ValueError, match="^the real reason\n") as caught:
        module(1)
    assert caught.value.__notes__ == [f"in {module!r}"]
    if not refused:
        parameters = [inner] if isinstance(inner, Tensor) else [inner.weight, inner.bias]
        assert [id(p) for p in module.parameters()] == [id(p) for p in parameters]
        assert module.eval() is module
        assert isinstance(inner, Tensor) or not inner.training
        return
    for method in REFUSALS:
        with pytest.raises(
            TypeError, match=r"Holder: .*held.* is a (Linear|Tensor) in a \w+, where .* use a list, a d"
        ):
            method(module)
    module.found = inner  # what is found elsewhere is not missed
    module.parameters()


@pytest.mark.parametrize("wrap", REFUSED)
@pytest.mark.parametrize("around", [*REFUSED[:2], lambda x: Plain([x]), object_array])
@pytest.mark.parametrize("inner", [linear(), Tensor([1.0], requires_grad=True)])
def test_what_hides_in_what_hides_is_refused(
    inner: Any, around: Callable[[Any], Any], wrap: Callable[[Any], Any]
) -> None:
    hiding = wrap(inner)
    if around in REFUSED[:2] and type(hiding).__hash__ is None:
        around = Plain
    with pytest.raises(TypeError, match="where parameters"):
        Holder(around(hiding)).parameters()


@pytest.mark.parametrize(
    "make", [lambda: (linear() for _ in range(2)), lambda: map(nn.Linear, [1], [2]), lambda: filter(None, [1])]
)
def test_what_makes_modules_only_when_it_runs_is_refused(make: Callable[[], Any]) -> None:
    for held in (make(), [make()], {"a": make()}):
        with pytest.raises(TypeError, match="Holder: held.* which makes modules only when it runs"):
            Holder(held).parameters()
    module = Holder(linear())
    module.batches = Plain(make())  # of other objects it is their own affair
    assert len(module.parameters()) == 2


@pytest.mark.parametrize(
    "value", [np.zeros((2, 3)), np.float32(1), 0.5, 3, True, "text", [[1.0, 2.0]], ((1.0,),), [[]]]
)
def test_a_tensor_of_a_module_is_not_replaced_by_what_is_not_trained_or_saved(value: Any) -> None:
    layer, norm = linear(), nn.BatchNorm1d(3)
    for module, name in ((layer, "weight"), (norm, "running_mean")):
        before = getattr(module, name)
        with pytest.raises(TypeError, match=rf"{name} is a Tensor, and would no .* write module.{name}.data = array"):
            setattr(module, name, value)
        assert getattr(module, name) is before
    layer.weight = Tensor(np.ones((2, 3)), requires_grad=True)
    layer.weight = layer.weight * 2  # as networks that make weights of others do
    layer.weight = None
    layer.eps = layer.weight = value


class Layers(nn.Module, list):  # type: ignore[type-arg]
    pass


class LayersByName(nn.Module, dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize("make", [lambda x: Layers([x]), lambda x: LayersByName(a=x)])
def test_a_module_that_is_a_container_holds_what_is_in_it(make: Callable[[Any], Any]) -> None:
    inner, own = nn.Dropout(rng=np.random.default_rng(0)), Tensor([1.0], requires_grad=True)
    module = make([inner, linear()])
    module.own = own
    net = Holder(module).eval()
    assert not inner.training
    assert len(net.parameters()) == 3
    assert any(found is own for found in net.parameters())


def test_what_forward_keeps_is_neither_trained_nor_saved() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layer, self.losses = linear(), []

        def forward(self, x: Any) -> Any:
            self.hidden = self.layer(x)
            self.losses.append(self.hidden.sum())
            return self.hidden

    net, parts = Net(), ["layer.weight", "layer.bias"]
    for again in range(2):
        net(Tensor(np.ones((1, 2), np.float32), requires_grad=True))
        assert list(net.state_dict()) == parts
        assert net.parameters() == [net.layer.weight, net.layer.bias]
        assert "9 parameters" in str(net)
        if not again:  # then its graph is freed
            optim.SGD(net.parameters(), lr=0.1).minimize(net.losses.pop())
    Net().load_state_dict(net.state_dict())


class Frozen(nn.BatchNorm1d):
    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


def test_a_module_with_a_train_of_its_own_is_switched_by_it() -> None:
    class Switched(Holder):
        modes: ClassVar[list[bool]] = []

        def train(self, mode: bool = True) -> nn.Module:
            self.modes.append(mode)
            return super().train(mode)

    class FrozenHolder(Holder):
        def train(self, mode: bool = True) -> nn.Module:
            return super().train(False)

    inner = Switched(nn.Dropout(0.5, rng=np.random.default_rng(0)))
    net = Switched([Frozen(1), linear(), FrozenHolder(inner)])
    assert net.train() is net
    assert [type(module).__name__ for module in net.modules() if not module.training] == [
        "Frozen", "FrozenHolder", "Switched", "Dropout"
    ]  # fmt: skip
    assert Switched.modes == [True, False]
    net.held[0](np.array([[1.0], [3.0]], np.float32))
    assert net.held[0].running_mean.data == 0
    net.eval()
    assert not any(module.training for module in net.modules())
    inner.parent = net
    net.train()  # which ends, where each leads to the other
    no_modes: list[Any] = ["no", None, 1]
    for mode in no_modes:
        with pytest.raises((TypeError, ValueError), match="mode must be True or False"):
            net.train(mode)


def test_a_parameter_that_was_computed_is_refused() -> None:
    net = Holder([Tensor([1.0], requires_grad=True) * 0.1])
    with pytest.raises(ValueError, match=r"Holder: held\.0 was computed from a Tensor that is not in the module"):
        net.parameters()
    net.scale = Tensor([1.0], requires_grad=True)
    net.held = [net.scale * 2]
    assert net.parameters() == [net.scale]


def in_class(inner: Any) -> Any:
    class Net(Holder):
        shared = inner

    return Net


def in_list_of_class(inner: Any) -> Any:
    class Net(Holder):
        shared = (1, [inner])

    return Net


def in_base_class(inner: Any) -> Any:
    class Net(in_class(inner)):  # type: ignore[misc]
        pass

    return Net


def in_method(inner: Any) -> Any:
    class Net(Holder):
        def forward(self, x: Any) -> Any:
            return inner(x)

    return Net


def in_property(inner: Any) -> Any:
    class Net(Holder):
        @property
        def layer(self) -> Any:
            return inner

    return Net


@pytest.mark.parametrize("make", [in_class, in_list_of_class, in_base_class, in_method, in_property])
@pytest.mark.parametrize("inner", [linear(), Tensor([1.0], requires_grad=True)])
def test_what_a_class_holds_is_refused_unless_the_module_holds_it(make: Callable[[Any], Any], inner: Any) -> None:
    net = make(inner)(1)
    message = rf"Net\..* is a {type(inner).__name__} in .*; (assign it to self|use a list)"
    for module in (net, nn.Sequential(net)):
        with pytest.raises(TypeError, match=message):
            module.parameters()
    make(inner)(inner).parameters()


def test_a_default_of_a_dataclass_is_held_by_the_module() -> None:
    @dataclasses.dataclass
    class Net(nn.Module):
        layer: nn.Module = dataclasses.field(default_factory=linear)
        activation: Any = np.tanh

    assert len(Net().parameters()) == 2


def test_methods_of_modules_are_refused_as_layers() -> None:
    with pytest.raises(TypeError, match=r"Sequential: 0.__self__ is a Linear in a method"):
        nn.Sequential(linear().forward).parameters()


def test_what_holds_nothing_of_ones_own_is_left_alone() -> None:
    module = Holder(linear())
    module.optimizer = optim.Adam(module.parameters())
    module.ema = optim.EMA(module.parameters())
    module.extra = [logging.getLogger(), np.random.default_rng(0), np.ones(3), "text", {1, 2}, len, iter([1]), nn]
    module.reference, module.proxy = weakref.ref(module), weakref.proxy(module)
    module.gone = weakref.proxy(linear())
    assert len(module.parameters()) == 2
    assert repr(module).startswith("Holder(held: Linear(2, 3)")
    module.train()


def test_attributes_of_a_sequential_and_slots_of_a_module_are_found() -> None:
    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(linear())
            self.scale = Tensor([1.0], requires_grad=True)

    class Slotted(nn.Module):
        __slots__ = ("weight",)

        def __init__(self) -> None:
            self.weight = Tensor([1.0], requires_grad=True)

    assert list(Net().state_dict()) == ["0.weight", "0.bias", "scale"]
    assert list(Slotted().state_dict()) == ["weight"]
    assert repr(Slotted()) == "Slotted(weight: float32[1])"


# --- shapes of modules that recursion does not survive ---------------------------------------------------------------


def test_modules_that_know_their_parents_print_and_fail_as_others_do() -> None:
    parent = Holder(Holder(None))
    parent.held.held = parent
    parent.layer = parent.held.layer = linear()
    assert repr(parent) == "Holder(held: Holder(held: Holder(...), layer: Linear(2, 3)), layer: Linear(2, 3))"
    assert len(parent.parameters()) == len(parent.held.parameters()) == 2
    assert str(parent).splitlines()[1].startswith("  held: Holder")
    parent.forward = parent.held
    with pytest.raises(ValueError, match="^the real reason\n") as caught:
        parent(1)
    assert [note[:24] for note in caught.value.__notes__] == ["in layer held: Holder(he"]
    loop: list[Any] = [linear()]
    loop.append({"again": loop})
    assert list(Holder(loop).state_dict()) == ["held.0.weight", "held.0.bias"]


def test_modules_that_all_know_one_another_print_in_linear_time() -> None:
    modules = [nn.Module() for _ in range(30)]
    for module in modules:
        for i, other in enumerate(modules):
            setattr(module, f"m{i}", other)
    assert len(repr(modules[0])) < 30 * 30 * 20
    assert len(str(modules[0]).splitlines()) == 30


@pytest.mark.parametrize("wrap", [Holder, nn.Sequential, lambda x: nn.ModuleList([x]), lambda x: Holder([x])])
def test_deep_nesting_needs_no_recursion(wrap: Callable[[Any], nn.Module]) -> None:
    module: Any = linear()
    inner = module
    for _ in range(1100):
        module = wrap(module)
    assert len(module.parameters()) == len(module.state_dict()) == 2
    module.eval()
    assert not inner.training
    assert len(repr(module)) < 5000
    assert "9 parameters" in str(module)
    held: Any = linear()
    for _ in range(1100):
        held = [{"a": held}]
    with pytest.raises(ValueError, match="^the real reason\n"):
        Holder(held)(1)


# --- errors of one's own, and layers with arguments of their own -----------------------------------------------------


class LayerError(Exception):
    def __init__(self, message: str, layer: str) -> None:
        super().__init__(message)
        self.layer = layer


def test_an_error_with_an_attribute_layer_keeps_it() -> None:
    class Block(nn.Module):
        def forward(self, x: Any) -> Any:
            raise LayerError("too wide", "conv1")

    with pytest.raises(LayerError) as caught:
        nn.Sequential(nn.Sequential(Block()))(1)
    assert vars(caught.value) == {"layer": "conv1", "__notes__": ["in layer 0.0: Block()"]}
    again = pickle.loads(pickle.dumps(caught.value.__notes__))  # as processes do: without the layer
    assert type(again[0]) is str


def test_an_error_survives_a_layer_whose_repr_fails() -> None:
    class Broken(Holder):
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(ValueError, match="^the real reason$"):
        Broken(1)(1)


class Scaled(nn.Linear):
    def __init__(self, *args: Any, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = scale


class Square(nn.Linear):
    def __init__(self, width: int, rng: np.random.Generator) -> None:
        super().__init__(width, width, rng=rng)


class Early(nn.Linear):
    def __init__(self) -> None:
        self.text = repr(self)
        super().__init__(2, 2, rng=np.random.default_rng(0))


def test_layers_with_arguments_of_their_own_print_and_fail() -> None:
    rng = np.random.default_rng(0)
    scaled, square = Scaled(3, 2, scale=0.5, rng=rng), Square(3, rng)
    assert repr(scaled) == "Scaled(weight: float32[3, 2], bias: float32[2])"
    assert repr(square) == "Square(weight: float32[3, 3], bias: float32[3])"
    assert Early().text == "Early()"
    assert "0: Scaled(" in str(nn.Sequential(scaled, square))
    with pytest.raises(ValueError, match="expected x of shape") as caught:
        nn.Sequential(square, scaled)(np.ones((1, 4), np.float32))
    assert caught.value.__notes__ == ["in layer 0: Square(weight: float32[3, 3], bias: float32[3])"]
    with pytest.raises(TypeError, match=r"^Linear\(\) missing 1 required .*'rng'; add rng="):
        Scaled(3, 2)


def test_an_error_of_a_constructor_of_ones_own_is_left_as_it_is() -> None:
    class Table(nn.Linear):
        def __init__(self, table: Any) -> None:
            raise ValueError("the table is empty")

    with pytest.raises(ValueError, match="^the table is empty$"):
        Table(np.ones(3))


def test_layers_print_alike_when_they_are_copied() -> None:
    rng = np.random.default_rng(0)
    for layer in (linear(), nn.ReLU(), nn.Dropout(0.5, rng=rng), nn.MSELoss(), nn.RNN(2, 2, rng=rng)):
        assert repr(copy.deepcopy(layer)) == repr(layer)


def test_a_dict_of_modules_is_found_by_its_names() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.branches = nn.ModuleDict({"first": linear(), "second": nn.Sequential(linear())})

        def forward(self, x: Any, branch: str) -> Any:
            return self.branches[branch](x)

    net = Net()
    assert list(net.state_dict()) == [
        "branches.first.weight", "branches.first.bias", "branches.second.0.weight", "branches.second.0.bias",
    ]  # fmt: skip
    assert not net.eval().branches["second"][0].training
    branches = net.branches
    assert list(branches.keys()) == list(branches) == ["first", "second"]
    assert [*branches.items()] == [*zip(branches, branches.values(), strict=True)]
    branches.update([("third", nn.ReLU())])
    assert "third" in branches
    assert len(branches) == 3
    del branches["first"], branches["second"]
    assert repr(branches) == "ModuleDict(\n  third: ReLU()\n)"
    assert not net.parameters()
    assert len(nn.ModuleDict()) == 0


def test_a_dict_of_modules_refuses_what_is_none() -> None:
    for build, error, message in [
        (lambda: nn.ModuleDict([linear()]), TypeError, "ModuleDict: modules must be a dict from names to modules, not"),
        (lambda: nn.ModuleDict({"a": 1}), TypeError, "ModuleDict: layer a must be a module or a function, not 1"),
        (lambda: nn.ModuleDict({"a": nn.ReLU}), TypeError, r"write ReLU\(...\)"),
        (lambda: nn.ModuleDict({0: linear()}), TypeError, "ModuleDict: a name must be a string, not 0"),
        (lambda: nn.ModuleDict({"a.b": linear()}), ValueError, "must not be empty or contain a dot, as 'a.b' does"),
    ]:
        with pytest.raises(error, match=message):
            build()
