"""Activations that a context collects: which, in what order, with their gradients, and nothing left behind."""

import asyncio
import contextlib
import threading
from typing import Any

from tinygrad_np import Tensor, func, grad, nn, no_grad

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(4, 3))


class Net(nn.Module):
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.layers = [
            nn.Linear(3, 5, rng=rng, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(5, 5, rng=rng, dtype=np.float64),
        ]
        self.head = nn.Linear(5, 2, rng=rng, dtype=np.float64)
        self.shared = self.layers[2]

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.head(self.shared(x))


def test_outputs_are_collected_by_path_and_by_call() -> None:
    net = Net()
    with nn.collect_activations(net, "layers.*") as found:
        net(X)
        net(X[:1])
    net(X)
    assert {path: [y.shape for y in outputs] for path, outputs in found.items()} == {
        "layers.0": [(4, 5), (1, 5)],
        "layers.1": [(4, 5), (1, 5)],
        "layers.2": [(4, 5), (4, 5), (1, 5), (1, 5)],  # it is used twice
    }
    np.testing.assert_array_equal(found["layers.1"][0].data, np.tanh(found["layers.0"][0].data))
    with nn.collect_activations(net) as everything:
        y = net(X)
    assert list(everything) == ["", "layers.0", "layers.1", "layers.2", "head"]
    assert everything[""] == [y]
    assert everything[""][0] is everything["head"][0] is y


def test_gradients_flow_through_what_is_collected() -> None:
    net = Net()
    with nn.collect_activations(net, "layers.0", "head") as found:
        loss = (net(X) ** 2).sum()
    hidden, y = found["layers.0"][0], found["head"][0]
    to_output, to_hidden = grad(loss, [y, hidden], retain_graph=True)
    np.testing.assert_allclose(to_output.data, 2 * y.data)
    assert to_hidden.shape == (4, 5)
    (to_weight,) = grad(hidden.sum(), [net.layers[0].weight], retain_graph=True)
    np.testing.assert_allclose(to_weight.data, np.repeat(X.sum(0)[:, None], 5, 1))
    (loss + 0.1 * np.abs(hidden).sum()).backward()  # a penalty on activations
    assert net.layers[0].weight.grad is not None
    with no_grad(), nn.collect_activations(net, "head") as found:
        net(X)
    assert not found["head"][0].requires_grad


def test_nothing_is_left_behind() -> None:
    net = Net()
    before = {path: dict(vars(module)) for path, module in net.named_modules()}
    with pytest.raises(ValueError, match="expected x"), nn.collect_activations(net) as found:
        net(X[:, :2])
    assert not any(found.values())
    net(X)
    assert not any(found.values())
    assert {path: dict(vars(module)) for path, module in net.named_modules()} == before
    context = nn.collect_activations(net, "head")
    found = context.__enter__()
    net(X)
    with contextlib.suppress(KeyError):
        context.__exit__(KeyError, KeyError(), None)
    net(X)
    assert len(found["head"]) == 1


def test_contexts_may_be_nested_and_left_in_any_order() -> None:
    net = Net()
    first, second = nn.collect_activations(net, "head"), nn.collect_activations(net, "*.0", "head")
    one, two = first.__enter__(), second.__enter__()
    net(X)
    first.__exit__(None, None, None)
    net(X)
    second.__exit__(None, None, None)
    net(X)
    assert (len(one["head"]), len(two["head"]), len(two["layers.0"])) == (1, 2, 2)


def test_other_threads_and_tasks_are_left_alone() -> None:
    net = Net()
    with nn.collect_activations(net, "head") as found:
        thread = threading.Thread(target=net, args=(X,))
        thread.start()
        thread.join()
        assert found == {"head": []}

    async def task(wait: int) -> int:
        with nn.collect_activations(net, "head") as found:
            for _ in range(wait):
                await asyncio.sleep(0)
                net(X)
            return len(found["head"])

    async def all_tasks() -> list[int]:
        return await asyncio.gather(task(1), task(3), task(2))

    assert asyncio.run(all_tasks()) == [1, 3, 2]


def test_calls_as_functions_and_checkpoints() -> None:
    net = Net()
    p = {path: w.data * 2 for path, w in net.named_parameters()}
    with nn.collect_activations(net, "layers.*") as found:
        y = func.functional_call(net, p, X)
    np.testing.assert_allclose(found["layers.0"][0].data, X @ p["layers.0.weight"] + p["layers.0.bias"])
    assert [len(outputs) for outputs in found.values()] == [1, 1, 2]
    assert y.shape == (4, 2)

    block = nn.Checkpoint(nn.Sequential(nn.Linear(3, 3, rng=np.random.default_rng(0), dtype=np.float64), nn.Tanh()))
    with nn.collect_activations(block, "module.1") as found:
        block(X).sum().backward()
    assert len(found["module.1"]) == 1


def test_what_cannot_be_collected_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Net: 'encoder\.\*' matches no module, which are layers\.0"):
        nn.collect_activations(Net(), "encoder.*").__enter__()
    with pytest.raises(TypeError, match="collect_activations takes a module, not ufunc"):
        nn.collect_activations(np.tanh, "*").__enter__()  # type: ignore[arg-type]


# --- Checkpoint ------------------------------------------------------------------------------------------------------


def test_a_checkpointed_module_has_the_gradients_of_the_module() -> None:
    plain = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3, rng=np.random.default_rng(i)), nn.Tanh()) for i in range(3)))
    model = nn.Sequential(*(nn.Checkpoint(block) for block in plain))
    x = X.astype(np.float32)
    expected = grad((plain(x) ** 2).sum(), plain.parameters())
    loss = (model(x) ** 2).sum()
    for ours, theirs in zip(grad(loss, model.parameters()), expected, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    assert model.eval()[0].module.training is False
    assert repr(model[0]).startswith("Checkpoint(module: Sequential(")
    with no_grad():
        np.testing.assert_array_equal(model(x).data, plain(x).data)


def test_a_checkpointed_module_draws_the_same_mask_again_and_updates_averages_once() -> None:
    rng = np.random.default_rng(0)
    inner = nn.Sequential(nn.Linear(3, 3, rng=rng), nn.BatchNorm1d(3), nn.Dropout(0.5, rng=rng))
    model = nn.Checkpoint(inner)
    model(X.astype(np.float32)).sum().backward()
    assert inner[1].num_batches_tracked.item() == 1
    assert inner[0].weight.grad is not None


def test_only_modules_are_checkpointed() -> None:
    with pytest.raises(TypeError, match="Checkpoint: module must be a module, not <ufunc 'tanh'>; see func.checkpoint"):
        nn.Checkpoint(np.tanh)  # type: ignore[arg-type]


def test_inner_results_are_not_kept() -> None:
    def kept(model: nn.Module) -> int:
        """The nodes of the graph of an output."""
        count, stack, seen = 0, [model(X.astype(np.float32))], set()
        while stack:
            t = stack.pop()
            if id(t) not in seen and t._node is not None:
                seen.add(id(t))
                count += 1
                stack += [a for a in t._node[1] if type(a) is Tensor]
        return count

    block = nn.Sequential(*(nn.Linear(3, 3, rng=np.random.default_rng(i)) for i in range(5)))
    assert (kept(block), kept(nn.Checkpoint(block))) == (5, 1)
