"""Complex numbers against JAX, whose convention is the same, and PyTorch, whose gradients are the conjugates."""

from typing import Any

from tinygrad_np import Tensor, grad
from tinygrad_np._registry import registry
from tinygrad_np.ops import linalg
from tinygrad_np.ops.cases import Case
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_programs import as_used, call
from test_complex_numbers import complex_cases, made_complex

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
jax.config.update("jax_enable_x64", True)

# What is more than moving elements, which finite differences prove as well.
NAMES = [
    "add", "subtract", "multiply", "divide", "negative", "conjugate", "real", "imag", "angle", "square", "reciprocal",
    "absolute", "power", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sum", "mean", "var", "cumsum",
    "nansum", "nanmean", "matmul", "matvec", "vecmat", "vecdot", "vdot", "tensordot", "dot", "inner", "outer", "kron",
    "cross", "convolve", "correlate", "trace", "linalg.vecdot", "linalg.matrix_power", "linalg.inv", "linalg.solve",
    "linalg.det", "fft.fft", "fft.ifft", "fft.irfft", "fft.hfft", "fft.fft2", "fft.ifft2", "fft.irfft2", "fft.fftn",
    "fft.ifftn", "fft.irfftn", "fft.fftshift", "prod", "cumprod", "cumulative_prod", "nanprod", "sinc",
    "nan_to_num", "linalg.norm", "linalg.vector_norm", "linalg.matrix_norm", "linalg.slogdet",
    "linalg.pinv", "linalg.svdvals", "linalg.qr", "linalg.cond",
]  # fmt: skip


def named(name: str, numpy: Any) -> Any:
    """The function of a name such as fft.rfft, in NumPy or JAX's."""
    for part in name.split("."):
        numpy = getattr(numpy, part)
    return numpy


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_gradients_are_those_of_jax(name: str, data: st.DataObject) -> None:
    entry: Any = registry[named(name, np)]
    cases = [  # JAX knows no lengths of -1, and its arrays are not those of np.concatenate
        case
        for case in complex_cases(entry)
        if -1 not in case.kwargs.get("s", ()) and case.prepare is not linalg._singular
    ]
    for case in cases[:: max(1, len(cases) // 3)]:  # JAX compiles for every shape
        given = made_complex(entry, drawn := data.draw(arguments(case), label=str(case)), [True] * len(drawn))
        tensors = [Tensor(a, requires_grad=True) if a.dtype.kind == "c" else a for a in given]
        sources = [t for t in tensors if type(t) is Tensor]
        outputs = [y for y in call(as_used(entry), case, tensors) if type(y) is Tensor]

        def theirs(*sources: Any, case: Case = case, given: list[Any] = given) -> list[Any]:
            values = iter(sources)
            return call(named(name, jax.numpy), case, [next(values) if a.dtype.kind == "c" else a for a in given])

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


def _hermitian(z: Any, np: Any) -> Any:
    """All of a Hermitian matrix, because JAX reads both triangles and ours, as NumPy, reads one."""
    return z @ np.conj(z).swapaxes(-1, -2) + np.eye(z.shape[-2])


def _projection(v: Any, np: Any) -> Any:
    return v @ np.conj(v).T


def _rotation(z: Any, np: Any) -> Any:
    u, _, vh = np.linalg.svd(z, full_matrices=False)
    return u[:, :2] @ vh[:2]


DECOMPOSITIONS = {
    "cholesky": lambda z, np: np.linalg.cholesky(_hermitian(z, np)),
    "eigvalsh": lambda z, np: np.linalg.eigvalsh(_hermitian(z, np)),
    "eigh": lambda z, np: (
        _projection(np.linalg.eigh(_hermitian(z, np)).eigenvectors[:, :2], np)
        * np.linalg.eigh(_hermitian(z, np)).eigenvalues[0]
    ),
    "sizes of eigenvectors": lambda z, np: np.abs(np.linalg.eigh(_hermitian(z, np)).eigenvectors),
    "eigvals": lambda z, np: np.prod(1 + np.linalg.eigvals(z[:3]) ** 2),
    "svd": _rotation,
    "sizes of singular vectors": lambda z, np: (
        np.abs(np.linalg.svd(z, full_matrices=False).U).sum(0) * np.abs(np.linalg.svd(z, full_matrices=False).Vh).sum(1)
    ),
    "qr": lambda z, np: np.linalg.qr(z).Q @ np.tril(np.ones((3, 3))) @ np.linalg.qr(z).R,
    "lstsq": lambda z, np: np.linalg.lstsq(z, z[:, 0] ** 2)[0],
    "sign of a determinant": lambda z, np: np.linalg.slogdet(z[:3])[0] * np.linalg.slogdet(z[:3])[1],
    "nuclear norm": lambda z, np: np.linalg.norm(z, "nuc"),
    "spectral norm": lambda z, np: np.linalg.norm(z, 2),
    "norm of order 3": lambda z, np: np.linalg.norm(z, 3, axis=0),
}


@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_gradients_of_decompositions_are_those_of_jax(name: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
    program: Any = DECOMPOSITIONS[name]
    ours = Tensor(z, requires_grad=True)
    y = program(ours, np)
    np.testing.assert_allclose(y.data, program(z, np), rtol=1e-12, atol=1e-13)
    value, pull = jax.vjp(lambda z: program(z, jax.numpy), z)
    np.testing.assert_allclose(y.data, value, rtol=1e-11, atol=1e-11)
    seed = rng.normal(size=y.shape) + (1j * rng.normal(size=y.shape) if y.dtype.kind == "c" else 0)
    np.testing.assert_allclose(grad(y, ours, seed).data, pull(seed)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("real", [False, True])
def test_gradients_of_eigenvectors_are_the_conjugates_of_those_of_pytorch(real: bool) -> None:
    """Of functions that do not depend on their order: PyTorch's LAPACK may have another."""
    rng = np.random.default_rng(0)
    a, weights = rng.normal(size=(5, 5)), rng.normal(size=(5, 5)) + 1j * rng.normal(size=(5, 5))
    a = a if real else a + 1j * rng.normal(size=(5, 5))
    ours, theirs = Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    w, v = np.linalg.eig(ours)
    loss = np.sum(np.abs(weights @ v) ** 2 * np.abs(w - 1))
    w, v = torch.linalg.eig(theirs)
    other = torch.sum(torch.abs(torch.tensor(weights) @ v) ** 2 * torch.abs(w - 1))
    other.backward()
    np.testing.assert_allclose(loss.item(), other.item(), rtol=1e-12)
    np.testing.assert_allclose(grad(loss, ours).data, np.conj(theirs.grad.numpy()), rtol=1e-9, atol=1e-9)


PROGRAMS = {
    "a filter": lambda z, np: np.fft.ifft(np.fft.fft(z) * np.exp(1j * z[0])),
    "a spectrum": lambda z, np: np.abs(np.fft.fft(np.sin(z) / (2 + z))),
    "signs": lambda z, np: np.real(getattr(np, "sgn", np.sign)(z) * z[0]) + z.imag,  # in JAX they are constant
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
