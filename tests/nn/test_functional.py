"""`functional_call`, frozen parameters, dtypes, partial states, and weights that are shared on purpose."""

import copy
import dataclasses
import functools
import pickle
import threading
from collections import OrderedDict, UserDict, UserList, deque
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tinygrad_np import (
    Tensor,
    cross_entropy,
    enable_grad,
    func,
    grad,
    nn,
    no_grad,
    optim,
    per_example_grad,
    serialization,
)
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
LABELS = np.array([0, 1, 1, 0])


def network(seed: int = 0, dtype: Any = np.float64) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 5, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(5, 2, rng=rng, dtype=dtype))


def weights(model: nn.Module) -> dict[str, np.ndarray]:
    return {path: w.data.copy() for path, w in model.named_parameters()}


class Tied(nn.Module):
    """A language model whose output layer has the weights of its embedding."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.embedding = nn.Embedding(7, 4, rng=rng, dtype=np.float64)
        self.hidden = nn.Linear(4, 4, rng=rng, dtype=np.float64)
        self.head = self.embedding.weight

    def forward(self, words: Any) -> Any:
        return self.hidden(self.embedding(words)) @ self.head.T


# --- functional_call -------------------------------------------------------------------------------------------------


def test_it_computes_with_the_given_parameters_and_leaves_the_module_alone() -> None:
    model, other = network(0), network(1)
    before, given = weights(model), weights(other)
    y = func.functional_call(model, given, X)
    np.testing.assert_array_equal(y.data, other(X).data)
    some = {path: w for path, w in given.items() if path.startswith("2.")}
    mixed = copy.deepcopy(model)
    mixed.load_state_dict(some, strict=False)
    np.testing.assert_array_equal(func.functional_call(model, some, X).data, mixed(X).data)
    assert all((w == before[path]).all() for path, w in weights(model).items())
    np.testing.assert_array_equal(func.functional_call(model, {}, X).data, model(X).data)


def loss(model: nn.Module, p: Any) -> Any:
    return cross_entropy(func.functional_call(model, p, X), LABELS)


def test_derivatives_are_those_of_the_module() -> None:
    model, p = network(), weights(network())
    expected = dict(zip(p, grad(cross_entropy(model(X), LABELS), model.parameters()), strict=True))
    found = func.grad(lambda p: loss(model, p))(p)
    assert list(found) == list(p)
    for path in p:
        assert type(found[path]) is np.ndarray
        np.testing.assert_allclose(found[path], expected[path].data, rtol=1e-12)
    of_tensors = func.grad(lambda p: loss(model, p))(dict(model.named_parameters()))
    for path in p:
        assert type(of_tensors[path]) is Tensor
        np.testing.assert_allclose(of_tensors[path].data, expected[path].data, rtol=1e-12)

    names = list(p)
    check_gradients(lambda *values: loss(model, dict(zip(names, values, strict=True))), *p.values(), order=2)
    direction = {path: np.cos(np.arange(w.size)).reshape(w.shape) for path, w in p.items()}
    _, along = func.jvp(lambda p: loss(model, p), (p,), (direction,))
    np.testing.assert_allclose(along, sum((found[path] * direction[path]).sum() for path in p), rtol=1e-12)
    hessian = func.hessian(lambda p: loss(model, p))(p)
    product = func.hvp(lambda p: loss(model, p), p, direction)
    for a in p:
        rows = sum(np.tensordot(hessian[a][b], direction[b], direction[b].ndim) for b in p)
        np.testing.assert_allclose(rows, product[a], rtol=1e-9, atol=1e-12)


def test_gradients_of_each_example() -> None:
    model, p = network(), weights(network())

    def losses(p: Any, x: Any, labels: Any) -> Any:
        return cross_entropy(func.functional_call(model, p, x), labels, reduction="none")

    found = func.per_example_grad(losses)(p, X, LABELS)
    expected = per_example_grad(cross_entropy(model(X), LABELS, reduction="none"), model.parameters())
    for path, rows in zip(p, expected, strict=True):
        np.testing.assert_allclose(found[path], rows.data, rtol=1e-12, atol=1e-14)


def test_a_step_of_gradient_descent_can_be_differentiated() -> None:
    """The gradient of MAML: through the step, to the weights before it."""
    model = network()

    def after_a_step(p: Any) -> Any:
        g = func.grad(lambda p: loss(model, p))(p)
        return loss(model, {path: p[path] - 0.5 * g[path] for path in p})

    p = weights(model)
    names = list(p)
    check_gradients(lambda *values: after_a_step(dict(zip(names, values, strict=True))), *p.values())
    own = dict(model.named_parameters())
    fast = {path: w - 0.1 * w for path, w in own.items()}  # computed from the module's own
    slope = grad(loss(model, fast), own["0.weight"])
    assert slope.data.any()
    swapped = {"0.weight": own["0.weight"], "2.bias": own["2.bias"] * 1}
    np.testing.assert_array_equal(func.functional_call(model, swapped, X).data, model(X).data)


def test_a_shared_parameter_is_replaced_wherever_it_is_used() -> None:
    model, words = Tied(), np.array([[1, 2, 6]])
    assert list(weights(model)) == ["embedding.weight", "hidden.weight", "hidden.bias"]
    table = RNG.normal(size=(7, 4))
    other = Tied()
    other.embedding.weight.data[:] = table
    np.testing.assert_array_equal(
        func.functional_call(model, {"embedding.weight": table}, words).data, other(words).data
    )
    check_gradients(lambda t: func.functional_call(model, {"embedding.weight": t}, words), table, order=2)
    with pytest.raises(ValueError, match="there is no 'head'; the module has embedding.weight, hidden.weight"):
        func.functional_call(model, {"head": table}, words)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    held: Any


class Held(nn.Module):
    def __init__(self, held: Any, get: Any) -> None:
        self.held, self.get = held, get

    def forward(self, x: Any) -> Any:
        return x * self.get(self.held)


class AList(nn.Module, list):  # type: ignore[type-arg]
    def forward(self, x: Any) -> Any:
        return x * self[0]


PLACES: dict[str, Any] = {
    "list": (lambda w: [w], lambda held: held[0]),
    "tuple": (lambda w: (1, (w,)), lambda held: held[1][0]),
    "named tuple": (lambda w: Pair(1, w), lambda held: held.second),
    "deque": (lambda w: deque([w], maxlen=1), lambda held: held[0]),
    "UserList": (lambda w: UserList([w]), lambda held: held[0]),
    "dict": (lambda w: {"a": [w]}, lambda held: held["a"][0]),
    "OrderedDict": (lambda w: OrderedDict(a=w), lambda held: held["a"]),
    "UserDict": (lambda w: UserDict({"a": w}), lambda held: held["a"]),
    "proxy": (lambda w: MappingProxyType({"a": w}), lambda held: held["a"]),
    "dataclass": (Frozen, lambda held: held.held),
    "module": (lambda w: Held(w, lambda w: w), lambda held: held.held),
    "list that is a module": (lambda w: AList([w]), lambda held: held[0]),
}


@pytest.mark.parametrize("name", PLACES)
def test_parameters_are_replaced_in_containers_of_every_kind(name: str) -> None:
    make, get = PLACES[name]
    w = Tensor(2.0, requires_grad=True)
    model = nn.Sequential(Held(make(w), get))
    path = next(path for path, _ in model.named_parameters())
    assert func.functional_call(model, {path: np.float32(5)}, 3.0).item() == 15
    assert model(3.0).item() == 6
    assert get(model[0].held) is w
    assert type(model[0].held) is type(make(w))


class Bound(nn.Module):
    def __init__(self, how: str) -> None:
        self.layer = nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=np.float64)
        self.parent = None
        if how == "method":
            self.call = self.run
        elif how == "partial":
            self.call = functools.partial(self.run)
        elif how == "layer":
            self.call = self.layer
        elif how == "closure":
            self.call = lambda x: self.layer(x)

    def run(self, x: Any) -> Any:
        return self.layer(x)

    def forward(self, x: Any) -> Any:
        return self.call(x)


@pytest.mark.parametrize("how", ["method", "partial", "layer"])
def test_methods_use_the_given_parameters(how: str) -> None:
    model = Bound(how)
    found = func.functional_call(model, {"layer.weight": np.zeros((3, 2))}, X)
    assert not found.data.any()


def test_functions_that_reach_the_modules_own_parameters_are_refused() -> None:
    zero = {"layer.weight": np.zeros((3, 2))}
    for context in (no_grad(), enable_grad()):
        with context, pytest.raises(TypeError, match="a function, <lambda>, in it reads layer.weight by itself"):
            func.functional_call(Bound("closure"), zero, X)

    layer = nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=np.float64)

    class Global(nn.Module):
        def __init__(self) -> None:
            self.layer = layer

        def forward(self, x: Any) -> Any:
            return layer(x)

    with pytest.raises(TypeError, match="layer.weight was reached by another way than an attribute"):
        func.functional_call(Global(), zero, X)


def test_what_does_not_fit_is_refused_by_path() -> None:
    model = network()
    for given, kind, message in [
        (
            {"3.weight": X},
            ValueError,
            r"functional_call of Sequential: there is no '3.weight'; the module has 0.weight",
        ),
        ({"0.weight": X}, ValueError, r"0.weight has shape \(4, 3\), expected \(3, 5\)"),
        ({"0.bias": np.zeros(5, int)}, ValueError, "0.bias is int64, expected a dtype like float64"),
        ({"0.bias": np.zeros(5, complex)}, ValueError, "0.bias is complex128, expected"),
        ({"0.bias": "zeros"}, TypeError, "0.bias must be a Tensor or an array, not str"),
        (model.parameters(), TypeError, r"a dict from paths .* not list; write dict\(model.named_parameters\(\)\)"),
    ]:
        with pytest.raises(kind, match=message):
            func.functional_call(model, given, X)
    with pytest.raises(TypeError, match="takes a module and its parameters, not function"):
        func.functional_call(loss, {}, X)
    with pytest.raises(TypeError, match="takes a module"):
        func.functional_call(nn.Linear, {}, X)
    with pytest.raises(ValueError, match="expected x of shape") as caught:
        func.functional_call(model, weights(model), X[:, :2])
    assert any("in layer 0: Linear(3, 5)" in note for note in caught.value.__notes__)
    np.testing.assert_array_equal(model(X).data, network()(X).data)


def test_writes_to_running_averages_go_where_the_page_says() -> None:
    model = nn.Sequential(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.BatchNorm1d(2))
    twin = copy.deepcopy(model)
    x = X.astype(np.float32)
    twin(x)
    p = weights(model)
    func.functional_call(model, p, x)
    np.testing.assert_array_equal(model[1].running_mean.data, twin[1].running_mean.data)
    assert model[1].num_batches_tracked.item() == 1
    before = model[1].running_mean.data.copy()
    given_array, given_tensor = np.zeros(2, np.float32), Tensor(np.ones(2, np.float32))
    func.functional_call(model, p | {"1.running_mean": given_array, "1.running_var": given_tensor}, x)
    assert not given_array.any()
    assert (given_tensor.data != 1).all()
    np.testing.assert_array_equal(model[1].running_mean.data, before)
    assert not model[1].running_mean.requires_grad


def test_attributes_that_forward_assigns_are_lost_with_the_copy() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            self.w, self.kept, self.calls = Tensor(2.0, requires_grad=True), [], 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.kept.append(x)
            self.last = x * self.w
            return self.last

    model = Keeping()
    assert func.functional_call(model, {"w": 3.0}, 2.0).item() == 6
    assert (model.calls, model.kept, hasattr(model, "last")) == (0, [], False)


def test_threads_may_call_one_module_with_different_parameters() -> None:
    model = network()
    found: dict[int, list[bool]] = {k: [] for k in range(4)}

    def run(k: int) -> None:
        given = {path: np.full_like(w, k) for path, w in weights(model).items()}
        expected = func.functional_call(model, given, X).data
        for _ in range(50):
            found[k].append(np.array_equal(func.functional_call(model, given, X).data, expected))

    threads = [threading.Thread(target=run, args=(k,)) for k in found]
    own = model(X).data
    for thread in threads:
        thread.start()
    for _ in range(50):
        np.testing.assert_array_equal(model(X).data, own)
    for thread in threads:
        thread.join()
    assert all(len(same) == 50 and all(same) for same in found.values())


def test_master_weights_in_float32_are_trained_by_a_network_in_float16() -> None:
    model = network(dtype=np.float32)
    half = {path: w.astype(np.float16) for path, w in model.named_parameters()}
    y = func.functional_call(model, half, X.astype(np.float16))
    assert y.dtype == np.float16
    (y.astype(np.float32) ** 2).mean().backward()
    assert all(w.grad is not None and w.grad.dtype == np.float32 for w in model.parameters())


def test_dropout_and_other_layers_keep_their_generators() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Dropout(0.5, rng=rng), nn.Linear(3, 2, rng=np.random.default_rng(1), dtype=np.float64))
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(func.functional_call(model, weights(model), X).data, twin(X).data)
    assert model[0].rng is rng


# --- named parameters, buffers, freezing -----------------------------------------------------------------------------


def test_parameters_and_buffers_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 2, rng=RNG), nn.BatchNorm1d(2))
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    buffers = ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert [path for path, _ in model.named_parameters()] == names
    assert [path for path, _ in model.named_buffers()] == buffers
    assert [w is v for w, (_, v) in zip(model.parameters(), model.named_parameters(), strict=True)] == [True] * 4
    assert model.buffers() == [t for _, t in model.named_buffers()]
    assert len(model.buffers()) == 3


def test_freezing_by_pattern_and_back() -> None:
    model = nn.Sequential(network(), nn.BatchNorm1d(2, dtype=np.float64))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    cross_entropy(model(X), LABELS).backward()
    assert model.freeze("0.0.*", "*.bias") == ["0.0.weight", "0.0.bias", "0.2.bias", "1.bias"]
    assert [path for path, _ in model.named_parameters()] == ["0.2.weight", "1.weight"]
    assert model[0][0].weight.grad is None
    before = weights(network())
    optimizer.step()
    assert (model[0][0].weight.data == before["0.weight"]).all()
    assert (model[0][2].weight.data != before["2.weight"]).any()
    assert model.freeze("0.0.weight") == ["0.0.weight"]  # again
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.unfreeze() == ["0.0.weight", "0.0.bias", "0.2.bias", "1.bias"]
        assert len(twin.parameters()) == 6
        assert len(twin.buffers()) == 3  # running averages stay what they are
    assert model[0].unfreeze("0.*") == ["0.weight", "0.bias"]  # in a part of it
    assert model.unfreeze("0.2.*") == ["0.2.bias"]
    assert model.unfreeze() == ["1.bias"]
    assert model.freeze() == [path for path, _ in model.named_tensors() if "running" not in path and "num" not in path]
    assert model.parameters() == []


def test_patterns_that_match_nothing_are_refused() -> None:
    model = network()
    for call, message in [
        (lambda: model.freeze("encoder.*"), r"Sequential: 'encoder\.\*' matches no parameter, which are 0\.weight, 0"),
        (lambda: model.freeze("0.*", "3.*"), r"'3\.\*' matches no parameter"),
        (lambda: model.freeze("0"), r"'0' matches no parameter, .*; write '0\.\*'"),
        (lambda: model.unfreeze("0.*"), r"'0\.\*' matches no frozen parameter, which are none"),
        (lambda: nn.BatchNorm1d(2).unfreeze("running_mean"), "matches no frozen parameter"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert len(model.parameters()) == 4
    with pytest.raises(TypeError, match="a pattern is text, such as 'encoder.*', not 3"):
        model.freeze(3)  # type: ignore[arg-type]


def test_a_checkpoint_goes_on_with_what_is_frozen(tmp_path: Path) -> None:
    model = network()
    model.freeze("0.*")
    Checkpoints(tmp_path, model=model).save(1)
    again = network(1)
    again.freeze("0.*")
    assert Checkpoints(tmp_path, model=again).resume().step == 1
    by_hand = network(2)
    by_hand[0].weight.requires_grad = by_hand[0].bias.requires_grad = False
    assert Checkpoints(tmp_path, model=by_hand).resume().step == 1
    unfrozen = network(1)
    with pytest.raises(ValueError, match="without gradient"):
        Checkpoints(tmp_path, model=unfrozen).resume()


# --- dtypes ----------------------------------------------------------------------------------------------------------


class Everything(nn.Module):
    def __init__(self, dtype: Any = np.float32) -> None:
        rng = np.random.default_rng(0)
        self.table = nn.Embedding(5, 8, rng=rng, dtype=dtype)
        self.places = nn.SinusoidalPositionalEncoding(8, 4, dtype=dtype)
        self.attention = nn.MultiheadAttention(8, 2, rng=rng, dtype=dtype)
        self.norms = [nn.LayerNorm(8, dtype=dtype), nn.BatchNorm1d(8, affine=False, dtype=dtype)]
        self.recurrent = nn.GRU(8, 8, rng=rng, dtype=dtype)
        self.dropout = nn.Dropout(0.5, rng=rng)
        self.head = nn.Linear(8, 5, rng=rng, dtype=dtype)

    def forward(self, words: Any) -> Any:
        x = self.places(self.table(words))
        x = x + self.attention(x, x, x)[0]
        x = self.recurrent(self.norms[0](x))[0]
        x = np.swapaxes(self.norms[1](np.swapaxes(x, -1, -2)), -1, -2)
        return self.head(self.dropout(x))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_copy_in_another_dtype_computes_in_it(dtype: Any) -> None:
    words = np.array([[0, 1, 2], [3, 4, 0]])
    model = Everything().eval()
    before = {path: array.copy() for path, array in model.state_dict().items()}
    other = model.astype(dtype)
    made = Everything(dtype).eval()
    assert {path: a.dtype for path, a in other.state_dict().items()} == {
        path: a.dtype for path, a in made.state_dict().items()
    }
    for one in (other.train(), other.eval()):
        assert one(words).dtype == dtype
    np.testing.assert_allclose(other(words).data, model(words).data, rtol=0, atol=2e-2 if dtype == np.float16 else 1e-5)
    assert {path: a.dtype for path, a in model.state_dict().items()} == {path: a.dtype for path, a in before.items()}
    assert other.dropout.rng is model.dropout.rng
    assert [p for p, _ in other.named_parameters()] == [p for p, _ in model.named_parameters()]
    assert all(a is not b for a, b in zip(other.parameters(), model.parameters(), strict=True))
    assert not other.training
    with pytest.raises((TypeError, ValueError), match="Everything: dtype must be"):
        model.astype(int)


def test_an_optimiser_of_the_module_refuses_a_loss_of_its_copy() -> None:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    single = model.astype(np.float32)
    with pytest.raises(RuntimeError, match="depends on none of the parameters"):
        optimizer.minimize(single(X.astype(np.float32)).sum())
    single(X.astype(np.float32)).sum().backward()
    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        optimizer.step()
    optim.Adam(single.parameters(), lr=0.1).step()


def test_other_numbers_of_a_copy() -> None:
    class Numbers(nn.Module):
        def __init__(self) -> None:
            self.wave = Tensor(np.ones(2, complex), requires_grad=True)
            self.count, self.mask = Tensor(np.array(3)), np.ones(2)

    model = Numbers().astype(np.float32)
    assert (model.wave.dtype, model.count.dtype, model.mask.dtype) == (np.complex64, np.int64, np.float64)


# --- states that fit in part -----------------------------------------------------------------------------------------


def test_what_of_a_state_does_not_fit_is_returned() -> None:
    model, state = network(), network(1).state_dict()
    before = weights(model)
    state = {**state, "extra": np.ones(2), "2.bias": np.ones(9)}
    del state["0.bias"]
    found = model.load_state_dict(state, strict=False)
    assert found == (["0.bias"], ["extra"], {"2.bias": ((9,), (2,))})
    assert (found.missing, found.unexpected) == (["0.bias"], ["extra"])
    for path, w in model.named_parameters():
        expected = before[path] if path in ("0.bias", "2.bias") else state[path]
        np.testing.assert_array_equal(w.data, expected)
    assert model.load_state_dict(network(2).state_dict()) is None
    assert model.load_state_dict(network(2).state_dict(), strict=False) == ([], [], {})


def test_what_is_wrong_in_a_state_that_fits_in_part_is_still_refused() -> None:
    model = network(dtype=np.float32)
    before = weights(model)
    for state, message in [
        ({"model.0.weight": X}, "nothing of the state fits this Sequential: it has model.0.weight, expected 0.weight"),
        ({}, "nothing of the state fits this Sequential: it has no arrays"),
        ({"0.weight": np.ones((2, 2))}, "nothing of the state fits"),
        ({"0.bias": np.ones(5), "2.bias": np.array(["a", "b"])}, "2.bias has shape .* of <U1"),
        ({"0.bias": np.ones(5), "2.bias": np.full(2, 1e300)}, "2.bias has numbers of float64 that are too large"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.load_state_dict(state, strict=False)
    norm = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="running_var"):
        norm.load_state_dict({"running_var": -np.ones(2)}, strict=False)
    with pytest.raises((TypeError, ValueError), match="strict must be True or False"):
        model.load_state_dict({}, strict=0)  # type: ignore[arg-type]
    for path, w in model.named_parameters():
        np.testing.assert_array_equal(w.data, before[path])


# --- weights that are shared on purpose ------------------------------------------------------------------------------


def copies(model: Tied, folder: Path) -> dict[str, Tied]:
    """The model by each way that makes a copy of it."""
    loaded, from_file, resumed = Tied(1), Tied(2), Tied(3)
    loaded.load_state_dict(model.state_dict())
    serialization.save(folder / "model.safetensors", model.state_dict())
    from_file.load_state_dict(serialization.load(folder / "model.safetensors")[0])
    Checkpoints(folder / "checkpoints", model=model).save(1)
    assert Checkpoints(folder / "checkpoints", model=resumed).resume().step == 1
    return {
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "astype": model.astype(np.float32).astype(np.float64),
        "state": loaded,
        "file": from_file,
        "checkpoint": resumed,
    }


def test_shared_weights_stay_shared_in_copies_and_files(tmp_path: Path) -> None:
    words, labels = np.array([1, 2, 6]), np.array([2, 6, 0])
    model = Tied()
    optim.SGD(model.parameters(), lr=0.1).minimize(cross_entropy(model(words), labels))
    expected = grad(cross_entropy(model(words), labels), model.parameters())
    for how, twin in copies(model, tmp_path).items():
        assert twin.head is twin.embedding.weight, how
        assert twin.head is not model.head, how
        assert len(twin.parameters()) == 3, how
        tolerance = 1e-6 if how == "astype" else 1e-14
        np.testing.assert_allclose(twin(words).data, model(words).data, rtol=tolerance, atol=tolerance)
        for a, b in zip(grad(cross_entropy(twin(words), labels), twin.parameters()), expected, strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=10 * tolerance, atol=10 * tolerance)
        optim.Adam(twin.parameters(), lr=0.1).minimize(cross_entropy(twin(words), labels))
        assert twin.head is twin.embedding.weight, how


def test_a_layer_that_is_used_twice_stays_one_layer(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3, rng=np.random.default_rng(0))
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    for twin in (copy.deepcopy(model), model.astype(np.float64)):
        assert twin[0] is twin[2]
    y = func.functional_call(model, {"0.weight": np.zeros((3, 3)), "0.bias": np.ones(3)}, X)
    np.testing.assert_array_equal(y.data, np.ones((4, 3)))


def test_a_tied_checkpoint_is_not_that_of_a_network_of_two_tables(tmp_path: Path) -> None:
    Checkpoints(tmp_path, model=Tied()).save(1)
    untied = Tied()
    untied.head = Tensor(untied.head.data.copy(), requires_grad=True)
    with pytest.raises(ValueError, match="head"):
        Checkpoints(tmp_path, model=untied).resume()
