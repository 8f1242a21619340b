"""What error messages advise beside PyTorch: its Tensors are named, and functions given for its own are the same."""

import re
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, _messages, nn, optim

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
X = np.array([-200.0, -3.5, -1.25, -0.25, 0.0, 0.25, 1.25, 2.5, 3.5, 7.0, 200.0])


@pytest.mark.parametrize("name", sorted(_messages._ACTIVATIONS))
def test_a_function_given_for_one_of_pytorch_is_that_function(name: str) -> None:
    function = getattr(torch.nn.functional, {"swish": "silu"}.get(name, name))
    theirs, ours = torch.tensor(X, requires_grad=True), Tensor(X, requires_grad=True)
    function(theirs).sum().backward()
    names = {"x": ours, "np": np, "tinygrad_np": tinygrad_np}
    result = eval(_messages._ACTIVATIONS[name], names)
    np.testing.assert_allclose(result.data, function(theirs).detach().numpy(), rtol=1e-6, atol=1e-12)
    result.sum().backward()
    inner = ~np.isin(X, [0.0])  # at a kink the conventions differ
    np.testing.assert_allclose(ours.grad.data[inner], theirs.grad.numpy()[inner], rtol=1e-6, atol=1e-12)


def notes(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


@pytest.mark.parametrize(("given", "use"), [({}, ""), ({"requires_grad": True}, ".detach()")])
def test_tensors_of_pytorch_are_named_in_full(given: dict[str, Any], use: str) -> None:
    rng = np.random.default_rng(0)
    layers = [nn.Linear(4, 2, rng=rng), nn.Conv2d(1, 1, 2, rng=rng), nn.ReLU(), nn.Softmax(), nn.LayerNorm(4)]
    for layer in layers:
        x = torch.ones(1, 1, 4, 4, **given)
        with pytest.raises((TypeError, AttributeError)) as caught:
            layer(x)
        assert f"torch.Tensor; write {use}.numpy()" in notes(caught.value), layer
        layer(x.detach().numpy())
    w = Tensor(np.ones(3, np.float32), requires_grad=True)
    for attribute in ("data", "grad"):
        with pytest.raises(TypeError, match=re.escape(f"torch.Tensor; write {use}.numpy()")):
            setattr(w, attribute, torch.ones(3, **given))
    with pytest.raises(TypeError, match=re.escape(f"targets must be numbers, not torch.Tensor; write {use}.numpy()")):
        tinygrad_np.mse_loss(w, torch.ones(3, **given))
    with pytest.raises(TypeError, match="parameter 0 is not a Tensor"):
        optim.SGD([torch.ones(3, **given)], lr=0.1)
