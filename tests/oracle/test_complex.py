"""Complex numbers against JAX, whose convention is the same, and PyTorch, whose gradients are the conjugates."""

from typing import Any

from tinygrad_np import Tensor, grad
from tinygrad_np.ops.cases import Case
from tinygrad_np.tensor import Composite, Constant, Primitive, registry
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import as_used, call
from test_complex_numbers import made_complex

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
jax.config.update("jax_enable_x64", True)

# Where JAX's namesake is another function, or has no derivative.
OTHER = {
    "astype", "einsum", "polyval", "linalg.multi_dot", "gradient", "nanstd", "average", "add.reduce", "add.accumulate",
    "add.outer", "multiply.outer", "float_power", "append", "linspace", "delete", "select", "extract", "compress",
}  # fmt: skip


def namesake(entry: Primitive | Composite) -> Any:
    """JAX's function of the same name."""
    found: Any = jax.numpy
    for part in entry.name.split("."):
        found = getattr(found, part, None)
    return found


ENTRIES = [
    entry
    for entry in dict.fromkeys(registry.values())
    if not isinstance(entry, Constant)
    and not entry.real_only
    and not entry.name.startswith("x.at")
    and entry.name not in OTHER
    and (entry.function.__module__ or "numpy").startswith("numpy")
    and callable(namesake(entry))
]


def test_most_of_the_operations_have_a_namesake() -> None:
    assert len(ENTRIES) > 90


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@settings(max_examples=3)
@given(data=st.data())
def test_gradients_are_those_of_jax(entry: Primitive | Composite, data: st.DataObject) -> None:
    for case in entry.cases:
        given = made_complex(drawn := data.draw(arguments(case), label=str(case)), [True] * len(drawn))
        tensors = [Tensor(a, requires_grad=True) if a.dtype.kind == "c" else a for a in given]
        sources = [t for t in tensors if type(t) is Tensor]
        outputs = [y for y in call(as_used(entry), case, tensors) if type(y) is Tensor]

        def theirs(*sources: Any, case: Case = case, given: list[Any] = given) -> list[Any]:
            values = iter(sources)
            return call(namesake(entry), case, [next(values) if a.dtype.kind == "c" else a for a in given])

        values, pull = jax.vjp(theirs, *(t.data for t in sources))
        rng = np.random.default_rng(0)
        seeds = [
            rng.normal(size=y.shape) + (1j * rng.normal(size=y.shape) if y.dtype.kind == "c" else 0) for y in outputs
        ]
        for y, value in zip(outputs, values, strict=True):
            np.testing.assert_allclose(y.data, value, rtol=1e-9, atol=1e-9)
        found = grad(outputs, sources, seeds)
        for ours, other in zip(found, pull(seeds), strict=True):
            np.testing.assert_allclose(ours.data, other, rtol=1e-8, atol=1e-8)


PROGRAMS = {
    "a filter": lambda z, np: np.fft.ifft(np.fft.fft(z) * np.exp(1j * z[0])),
    "a spectrum": lambda z, np: np.abs(np.fft.fft(np.sin(z) / (2 + z))),
    "a rotation": lambda z, np: np.sqrt(z * z + 1) * np.conj(z) + z.real * z.imag,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_the_conjugates_of_those_of_pytorch(name: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=8) + 1j * rng.normal(size=8)
    ours, theirs = Tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
    loss = np.sum(np.abs(PROGRAMS[name](ours, np)) ** 2)
    other = torch.sum(torch.abs(PROGRAMS[name](theirs, torch)) ** 2)
    other.backward()
    loss.backward()
    assert ours.grad is not None
    np.testing.assert_allclose(ours.grad.data, np.conj(theirs.grad.numpy()), rtol=1e-12, atol=1e-12)
