"""The page for users of other frameworks: both sides of every row are run, and what it says of the others holds."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

autograd = pytest.importorskip("autograd")
anp = pytest.importorskip("autograd.numpy")
pytest.importorskip("autograd.misc")
pytest.importorskip("autograd.scipy.integrate")
pytest.importorskip("autograd.scipy.special")
pytest.importorskip("autograd.scipy.stats")
pytest.importorskip("autograd.test_util")
jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("jax.experimental.ode")
pytest.importorskip("jax.flatten_util")
scipy = pytest.importorskip("scipy")
pytest.importorskip("scipy.special")
torch = pytest.importorskip("torch")
mg = pytest.importorskip("mygrad")
pytestmark = pytest.mark.slow

PAGE = Path(tinygrad_np.__file__).parent / "docs/coming_from.md"
X, V, Z = np.array([0.5, 1.5, 0.7]), np.array([1.0, -2.0, 0.5]), 1 + 2j
M = np.array([[0.5, 1.5, 0.7], [2.0, -1.0, 0.2]])
A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.0, 4.0, 1.0]])

TIMES = np.array([0.0, 0.5, 2.0])
TREE = {"b": [np.array([1.0, 2.0]), 3.0], "w": (np.array([[4.0, 5.0]]),)}
GIVEN = {"x": X, "v": V, "z": Z, "tree": TREE, "times": TIMES}


@pytest.fixture(autouse=True)
def _jax_in_float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def rows(heading: str) -> list[list[str]]:
    """The cells of the table in a section of the page, without backticks."""
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(heading + "\n"))
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert found
    return [[cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell for cell in row] for row in found]


def functions(np: Any, A: Any = A) -> dict[str, Callable[..., Any]]:
    """The functions that the tables are about, in the NumPy of a framework."""

    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x)

    def h(x: Any) -> Any:
        return np.tanh(A @ x) * np.exp(x[0])

    def k(x: Any, v: Any) -> Any:
        return np.sum(np.sin(x * v) * v)

    def p(z: Any) -> Any:
        return z**3 + np.exp(z)

    return {"f": f, "h": h, "k": k, "p": p}


def ours(**given: Any) -> dict[str, Any]:
    names = {name: getattr(tinygrad_np, name) for name in tinygrad_np.__all__ if not name.startswith("_")}
    return {
        **names,
        **functions(np),
        "np": np,
        "scipy": scipy,
        "check_gradients": check_gradients,
        **given,
    }


def arrays(result: Any) -> list[np.ndarray]:
    """The arrays of a result of any framework, from left to right."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in arrays(part)]
    if isinstance(result, torch.Tensor):
        return [result.detach().numpy()]
    return [np.asarray(result.data if isinstance(result, (Tensor, mg.Tensor)) else result)]


def compare(theirs: str, names: dict[str, Any], here: str, our_names: dict[str, Any]) -> None:
    expected, found = arrays(eval(theirs, names)), arrays(eval(here, our_names))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        if a.dtype != object:  # None, of check_grads
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("theirs", "here"), rows("HIPS autograd"))
def test_hips_autograd(theirs: str, here: str) -> None:
    names = {name: getattr(autograd, name) for name in dir(autograd)} | {"autograd": autograd, "np": anp}
    compare(theirs, names | functions(anp) | GIVEN, here, ours(**GIVEN))


@pytest.mark.parametrize(("theirs", "here"), rows("JAX"))
def test_jax(theirs: str, here: str) -> None:
    names = {"jax": jax, **functions(jnp), **GIVEN, "x": jnp.asarray(X), "times": jnp.asarray(TIMES)}
    compare(theirs, names, here, ours(**GIVEN))


@pytest.mark.parametrize(("theirs", "here"), rows("PyTorch"))
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # by torch.func.hessian
def test_pytorch(theirs: str, here: str) -> None:
    t, u, m = torch.tensor(X, requires_grad=True), torch.tensor(V), torch.tensor(M)
    names = {"torch": torch, "F": torch.nn.functional, "np": np, "x": X, "t": t, "u": u, "m": m}
    given = {"x": X, "t": Tensor(X, requires_grad=True), "u": Tensor(V), "m": Tensor(M)}
    compare(theirs, functions(torch, torch.tensor(A)) | names, here, ours(**given))


@pytest.mark.parametrize(("theirs", "here"), rows("MyGrad"))
def test_mygrad(theirs: str, here: str) -> None:
    given = {"x": X, "v": V, "m": M}
    compare(theirs, {"mg": mg, "np": np, **given}, here, ours(**given))


def number(cell: str) -> np.ndarray:
    return np.array(eval(cell, {"NaN": np.nan}), float)


@pytest.mark.parametrize(("text", "here", "hips", "in_jax", "in_torch", "in_mygrad"), rows("At kinks"))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the others, beside their NaN
def test_kinks(text: str, here: str, hips: str, in_jax: str, in_torch: str, in_mygrad: str) -> None:
    match = re.fullmatch(r"`(.*)` at (.*)", text)
    assert match
    code, point = match[1], number(match[2])

    def of(np: Any, **given: Any) -> Callable[[Any], Any]:
        names = {name: getattr(np, name, None) for name in ("maximum", "max", "clip", "abs", "std", "prod")}
        names["norm"] = np.linalg.norm
        return lambda x: eval(code, names | given | {"x": x}).sum()

    np.testing.assert_array_equal(func.grad(of(np))(point), number(here))
    np.testing.assert_array_equal(autograd.grad(of(anp))(point), number(hips))
    np.testing.assert_array_equal(jax.grad(of(jnp))(jnp.asarray(point)), number(in_jax))
    t = torch.tensor(point, requires_grad=True)
    alike = {
        "maximum": lambda x, y: torch.maximum(x, torch.full_like(x, y)),
        "max": lambda x, axis: torch.max(x, dim=axis).values,
        "std": lambda x: torch.std(x, correction=0),
    }
    of(torch, **alike)(t).backward()
    np.testing.assert_array_equal(t.grad.numpy(), number(in_torch))
    x = mg.tensor(point)
    of(mg)(x).backward()
    np.testing.assert_array_equal(x.grad, number(in_mygrad))


@pytest.mark.parametrize(("code", "_"), rows("Gradients that were wrong"))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_that_hips_autograd_has_wrong_are_right_here(code: str, _: str) -> None:
    def of(np: Any) -> Callable[[Any], Any]:
        def weighted(m: Any) -> Any:
            y = eval(code, {"np": np, "m": m})
            return np.sum(y * np.reshape(np.arange(1.0, y.size + 1), y.shape))

        return weighted

    assert of(np)(M) == of(anp)(M)
    check_gradients(of(np), M)
    right, theirs = func.grad(of(np))(M), autograd.grad(of(anp))(M)
    assert theirs.shape != right.shape or not np.allclose(theirs, right)


def test_numbers() -> None:
    one = np.float64(1)
    assert (torch.tensor([1.0]) + one).dtype is torch.tensor(1.0).dtype is torch.float32
    assert mg.tensor(2.0).dtype == np.float64
    with jax.enable_x64(False):
        assert jnp.asarray(np.ones(2)).dtype == np.float32
        assert (jnp.asarray([1.0]) + one).dtype == np.float32
    for refuses in (jax.grad, autograd.grad):
        with pytest.raises(TypeError):
            refuses(lambda x: x**2)(3)


def test_backward_passes() -> None:
    t, x = torch.tensor(X, requires_grad=True), mg.tensor(X)
    loss, theirs = (t * t).sum(), (x * x).sum()
    loss.backward()
    theirs.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    theirs.backward()  # no error
    (t * t).sum().backward()
    (x * x).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), 4 * X)
    np.testing.assert_array_equal(x.grad, 2 * X)
    y = x * x
    y.sum().backward()
    np.testing.assert_array_equal(y.grad, 1)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (t * t).backward()
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, 2 * X)
    assert type(torch.autograd.grad((t * t).sum(), t)) is tuple
    ours = Tensor(X, requires_grad=True)
    assert type(grad((ours * ours).sum(), ours)) is Tensor
    assert type(grad((ours * ours).sum(), [ours])) is tuple


def test_writes() -> None:
    def written(x: Any) -> Any:
        y = x * 1
        y[0] = 3
        return y.sum()

    t, x = torch.tensor(X, requires_grad=True), mg.tensor(X)
    written(t).backward()
    written(x).backward()
    np.testing.assert_array_equal(t.grad.numpy(), [0, 1, 1])
    np.testing.assert_array_equal(x.grad, [0, 1, 1])
    for derivative in (jax.grad, autograd.grad, func.grad):
        with pytest.raises(TypeError):
            derivative(written)(X)


def test_complex_numbers() -> None:
    z = torch.tensor(Z, requires_grad=True)
    (z.abs() ** 2).backward()
    assert z.grad.item() == pytest.approx(2 + 4j)
    for np_, derivative in ((anp, autograd.grad), (jnp, jax.grad), (np, func.grad)):
        assert complex(derivative(lambda z, np=np_: np.abs(z) ** 2)(Z)) == pytest.approx(2 - 4j)
    with pytest.raises(TypeError):
        mg.tensor(Z)
