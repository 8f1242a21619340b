"""PyTorch as an independent oracle (extra `oracle`): values and gradients of every operation with a namesake there."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad
from tinygrad_np._functions import name_of
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops.cases import Case
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

# The names under which PyTorch has the same function of the same arguments, or has it with dim= for axis=.
SAME = [
    "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "copysign", "cos",
    "cosh", "deg2rad", "divide", "exp", "exp2", "expm1", "float_power", "fmax", "i0", "fmin", "fmod", "hypot", "log",
    "log10", "log1p", "log2", "logaddexp", "logaddexp2", "matmul", "maximum", "minimum", "multiply", "negative",
    "positive", "power", "rad2deg", "reciprocal", "remainder", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt",
    "square", "subtract", "tan", "tanh", "erf", "relu", "flipud", "fliplr", "where",
    "broadcast_arrays", "column_stack", "dstack", "kron", "linalg.inv", "linalg.det",
    "linalg.slogdet", "linalg.matrix_power", "linalg.svdvals", "linalg.cross",
    "linalg.vecdot", "linalg.matmul",
]  # fmt: skip

RENAMED = {"absolute": "abs", "power": "pow", "broadcast_arrays": "broadcast_tensors"}


def lower(x: Any) -> Any:
    """The symmetric matrix that NumPy reads from the lower triangle."""
    return torch.tril(x) + torch.tril(x, -1).mT


def upper(x: Any) -> Any:
    return torch.triu(x) + torch.triu(x, 1).mT


def clip(a: Any, low: Any = None, high: Any = None, min: Any = None, max: Any = None) -> Any:
    bounds = [b for b in (low, high, min, max) if b is not None]
    bounds = torch.broadcast_tensors(a, *(torch.as_tensor(b, dtype=a.dtype) for b in bounds))[1:]
    if len(bounds) == 1:
        return torch.clip(a.expand(bounds[0].shape), **{"max" if low is None and min is None else "min": bounds[0]})
    return torch.clip(a.expand(bounds[0].shape), *bounds)


def cholesky(x: Any, **options: Any) -> Any:
    return torch.linalg.cholesky((upper if options.get("upper") else lower)(x), **options)


def reduced(function: Any) -> Any:
    """A reduction that PyTorch has with dim= and keepdim=; over all axes where axis is None."""

    def call(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        if axis == () or (isinstance(axis, tuple) and not x.ndim):
            return NotImplemented  # PyTorch reads () as all axes
        axis = tuple(range(x.ndim)) if axis is None else axis
        return function(x, dim=axis, keepdim=keepdims) if x.ndim else function(x, dim=0, keepdim=keepdims)

    return call


def along(function: Any) -> Any:
    return lambda x, axis=None, dtype=None: function(x.reshape(-1), dim=0) if axis is None else function(x, dim=axis)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.linalg.norm(x, ord, axis, keepdims)


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return torch.linalg.vector_norm(x, ord, axis, keepdims)


def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    return torch.linalg.matrix_norm(x, ord, keepdim=keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    if axis is None and not keepdims:
        return torch.prod(x)
    return torch.prod(x, axis, keepdim=keepdims) if isinstance(axis, int) else NotImplemented


def variance(function: Any) -> Any:
    def call(x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False, dtype: Any = None) -> Any:
        axis = tuple(range(x.ndim)) if axis is None else axis
        return function(x, dim=axis, correction=ddof, keepdim=keepdims)

    return call


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is None or isinstance(axis, tuple):
        return NotImplemented
    return torch.quantile(x, 0.5, dim=axis, keepdim=keepdims)


def quantile(
    function: Any, a: Any, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear", weights: Any = None
) -> Any:
    """PyTorch's, whose gradient by q is 0 where it hits an element; the cases do not."""
    if isinstance(axis, tuple) or np.ndim(q) > 1 or method not in ("linear", "lower", "higher", "midpoint", "nearest"):
        return NotImplemented
    q = torch.as_tensor(q, dtype=a.dtype)
    return function(a, q, dim=axis, keepdim=keepdims, interpolation=method)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    axis = tuple(range(x.ndim)) if axis is None else axis
    return torch.logsumexp(x, axis, keepdim=keepdims) if x.ndim else torch.logsumexp(x, 0)


def pinv(a: Any, rtol: Any) -> Any:
    """By its singular values: torch.linalg.pinv has another gradient where it drops some that are not 0."""
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return (vh.mT * torch.where(s > torch.as_tensor(rtol) * s[..., :1], 1 / s, 0)[..., None, :]) @ u.mT


def _variables(m: Any, y: Any, rowvar: bool) -> Any:
    parts = [torch.atleast_2d(x) for x in (m, y) if x is not None]
    return torch.cat(parts) if rowvar else torch.cat([x.T if x.shape[0] > 1 else x for x in parts])


def segments(reduce: str) -> Any:
    """A reduction of the rows of segments, by PyTorch's index_add and scatter_reduce."""

    def call(data: Any, ids: Any, num_segments: Any = None) -> Any:
        count = int(ids.max()) + 1 if num_segments is None else num_segments
        zeros = torch.zeros(count, *data.shape[1:], dtype=data.dtype)
        if reduce in ("sum", "mean"):
            sums = zeros.index_add(0, ids, data)
            counts = torch.bincount(ids, minlength=count).clamp(min=1).reshape(-1, *[1] * (data.ndim - 1))
            return sums if reduce == "sum" else sums / counts
        start = zeros + (-torch.inf if reduce == "amax" else torch.inf)
        return start.scatter_reduce(0, ids.reshape(-1, *[1] * (data.ndim - 1)).expand(data.shape), data, reduce)

    return call


def solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    columns = b[..., None] if b.ndim == 1 else b
    x = torch.linalg.solve_triangular(a, columns, upper=not lower, unitriangular=unit_diagonal)
    return x[..., 0] if b.ndim == 1 else x


ADAPTERS: dict[str, Callable[..., Any]] = {
    "softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
    "linalg.solve": lambda a, b: (
        torch.linalg.solve(a, b[..., None])[..., 0]
        if b.ndim == 1
        else torch.linalg.solve(a, b.expand(*a.shape[:-2], *b.shape[-2:]) if b.ndim == 2 else b)
    ),
    "sum": reduced(torch.sum),
    "mean": reduced(torch.mean),
    "nansum": reduced(torch.nansum),
    "nanmean": reduced(torch.nanmean),
    "max": reduced(torch.amax),
    "min": reduced(torch.amin),
    "amax": reduced(torch.amax),
    "amin": reduced(torch.amin),
    "prod": prod,
    "var": variance(torch.var),
    "std": variance(torch.std),
    "median": median,
    "quantile": lambda a, q, **options: quantile(torch.quantile, a, q, **options),
    "nanquantile": lambda a, q, **options: quantile(torch.nanquantile, a, q, **options),
    "nanmedian": lambda x, axis=None, keepdims=False: quantile(torch.nanquantile, x, 0.5, axis=axis, keepdims=keepdims),
    "logsumexp": logsumexp,
    "cumsum": along(torch.cumsum),
    "cumprod": along(torch.cumprod),
    "diff": lambda a, n=1, axis=-1, prepend=None, append=None: (
        torch.diff(a, n, axis) if prepend is None and append is None else NotImplemented
    ),
    "trapezoid": lambda y, x=None, dx=1.0, axis=-1: (
        torch.trapezoid(y, dx=dx, dim=axis)
        if x is None
        else torch.trapezoid(y, x, dim=axis)
        if axis == -1
        else NotImplemented
    ),
    "cov": lambda m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, dtype=None: torch.cov(
        _variables(m, y, rowvar),
        correction=(0 if bias else 1) if ddof is None else ddof,
        fweights=None if fweights is None else torch.as_tensor(fweights),
        aweights=aweights,
    ),
    "corrcoef": lambda x, y=None, rowvar=True, dtype=None: torch.corrcoef(_variables(x, y, rowvar)),
    "clip": clip,
    "cross": lambda a, b, axisa=-1, axisb=-1, axisc=-1, axis=-1: (
        torch.linalg.cross(*torch.broadcast_tensors(a, b), dim=axis)
        if axisa == axisb == axisc == -1
        else NotImplemented
    ),
    "linalg.multi_dot": lambda arrays: (
        torch.linalg.multi_dot(arrays) if max(a.ndim for a in arrays) < 3 else NotImplemented
    ),
    "atleast_1d": torch.atleast_1d,
    "atleast_2d": torch.atleast_2d,
    "atleast_3d": torch.atleast_3d,
    "array_split": lambda x, parts, axis=0: torch.tensor_split(x, parts, axis),
    "split": lambda x, parts, axis=0: torch.tensor_split(x, parts, axis),
    "hsplit": lambda x, parts: torch.hsplit(x, parts),
    "vsplit": lambda x, parts: torch.vsplit(x, parts),
    "dsplit": lambda x, parts: torch.dsplit(x, parts),
    "take_along_axis": lambda x, indices, axis=-1: (
        NotImplemented if axis is None else torch.take_along_dim(x, indices % x.shape[axis], axis)
    ),
    "expand_dims": lambda x, axis: torch.unsqueeze(x, axis) if isinstance(axis, int) else NotImplemented,
    "conjugate": lambda x: torch.conj(x),
    "real": lambda x: torch.real(x),
    "radians": torch.deg2rad,
    "degrees": torch.rad2deg,
    "fabs": torch.abs,
    "ravel": lambda x, order="C": x.reshape(-1) if order == "C" else x.T.reshape(-1),
    "nan_to_num": lambda x, nan=0.0, posinf=None, neginf=None: torch.nan_to_num(x, nan, posinf, neginf),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "take": lambda a, indices, axis=None, mode="raise": (
        NotImplemented
        if axis is not None or mode != "raise"
        else torch.take(a, torch.tensor(np.asarray(indices) % a.numel()))
    ),
    "vdot": lambda a, b: torch.vdot(a.reshape(-1), b.reshape(-1)),
    "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
    "inner": torch.inner,
    "dot": lambda a, b: torch.matmul(a, b) if a.ndim and 0 < b.ndim <= 2 else NotImplemented,
    "linalg.pinv": lambda a, rcond=1e-15, hermitian=False, rtol=None: pinv(lower(a) if hermitian else a, rtol or rcond),
    "linalg.tensorinv": lambda a, ind=2: torch.linalg.tensorinv(a, ind),
    "linalg.tensorsolve": lambda a, b, axes=None: torch.linalg.tensorsolve(a, b, axes),
    "reshape": lambda x, shape, order="C": x.reshape(shape) if order == "C" else NotImplemented,
    "transpose": lambda x, axes=None: x.permute(
        tuple(reversed(range(x.ndim))) if axes is None else (axes,) if isinstance(axes, int) else axes
    ),
    "moveaxis": lambda x, source, destination: torch.moveaxis(x, source, destination),
    "swapaxes": lambda x, axis1, axis2: torch.swapaxes(x, axis1, axis2),
    "squeeze": lambda x, axis=None: torch.squeeze(x) if axis is None else torch.squeeze(x, axis) if axis != () else x,
    "concatenate": lambda arrays, axis=0, dtype=None: torch.cat(  # float64 throughout
        [a.reshape(-1) for a in arrays] if axis is None else arrays, axis or 0
    ),
    "stack": lambda arrays, axis=0, dtype=None: torch.stack(arrays, axis),
    "hstack": lambda arrays, dtype=None: torch.hstack(arrays),
    "vstack": lambda arrays, dtype=None: torch.vstack(arrays),
    "tile": lambda a, reps: torch.tile(a, (reps,) if isinstance(reps, int) else reps),
    "roll": lambda x, shift, axis=None: torch.roll(x, shift, axis),
    "rot90": lambda x, k=1, axes=(0, 1): torch.rot90(x, k, axes),
    "flip": lambda x, axis=None: torch.flip(x, tuple(range(x.ndim)) if axis is None else np.atleast_1d(axis).tolist()),
    "triu": lambda x, k=0: torch.triu(x, k),
    "tril": lambda x, k=0: torch.tril(x, k),
    "diag": lambda v, k=0: torch.diag(v, k),
    "diagflat": lambda v, k=0: torch.diagflat(v, k),
    "diagonal": lambda a, offset=0, axis1=0, axis2=1: torch.diagonal(a, offset, axis1, axis2),
    "trace": lambda a, offset=0, axis1=0, axis2=1, dtype=None: torch.diagonal(a, offset, axis1, axis2).sum(-1),
    "meshgrid": lambda *xi, indexing="xy", sparse=False: (
        NotImplemented if sparse or any(x.ndim == 0 for x in xi) else torch.meshgrid(*xi, indexing=indexing)
    ),
    "unstack": lambda x, axis=0: torch.unbind(x, axis),
    "sort": lambda x, axis=-1, stable=None, kind=None: (
        torch.sort(x.reshape(-1)).values if axis is None else torch.sort(x, dim=axis).values
    ),
    "getitem": lambda x, index: x[index] if not _has_negative_step(index) else NotImplemented,
    "tensordot": lambda a, b, axes=2: (
        torch.tensordot(a, b, axes)
        if np.ndim(axes) == 0
        else torch.tensordot(a, b, [np.atleast_1d(axis).tolist() for axis in axes])
    ),
    "einsum": lambda subscripts, *operands, optimize=False: torch.einsum(subscripts, *operands),
    "gather": lambda x, index, axis=-1: torch.gather(x, axis, index % x.shape[axis]),
    "segment_sum": segments("sum"),
    "segment_mean": segments("mean"),
    "segment_max": segments("amax"),
    "segment_min": segments("amin"),
    "solve_triangular": lambda a, b, lower=False, transposed=False, unit_diagonal=False: solve_triangular(
        a.mT if transposed else a, b, lower != transposed, unit_diagonal
    ),
    "gelu": lambda x, approximate="none": torch.nn.functional.gelu(x, approximate=approximate),
    "hardsigmoid": lambda x: torch.nn.functional.relu6(x + 3) / 6,
    "hardswish": torch.nn.functional.hardswish,
    "hardtanh": torch.nn.functional.hardtanh,
    "mish": torch.nn.functional.mish,
    "softsign": torch.nn.functional.softsign,
    "softplus": torch.nn.functional.softplus,
    "logsigmoid": torch.nn.functional.logsigmoid,
    "cross_entropy": lambda logits, labels, **options: (  # its options: test_oracle_layers.py
        NotImplemented if options else torch.nn.functional.cross_entropy(logits, labels.long())
    ),
    "cosine_similarity": lambda x, y, axis=-1, eps=1e-8: (
        torch.cosine_similarity(x, y, axis, eps)
        if eps < 1
        else NotImplemented  # below eps, theirs has another gradient
    ),
    "normalize": lambda x, axis=-1, p=2.0, eps=1e-12: torch.nn.functional.normalize(x, p, axis, eps),
    "pairwise_distance": lambda x, y, p=2.0, eps=1e-6, keepdims=False: torch.pairwise_distance(x, y, p, eps, keepdims),
    "linear": lambda x, weight, bias: torch.nn.functional.linear(x, weight.T, bias),
    "linalg.cholesky": lambda x, upper=False: torch.linalg.cholesky(
        globals()["upper" if upper else "lower"](x), upper=upper
    ),
    "linalg.eigvalsh": lambda a, UPLO="L": torch.linalg.eigvalsh((lower if UPLO in "Ll" else upper)(a)),
    "linalg.eigh": lambda a, UPLO="L": torch.linalg.eigh((lower if UPLO in "Ll" else upper)(a)),
    "linalg.svd": lambda a, full_matrices=True, compute_uv=True, hermitian=False: (
        torch.linalg.svd if compute_uv else torch.linalg.svdvals
    )(lower(a) if hermitian else a, **({"full_matrices": False} if compute_uv else {})),
    "linalg.qr": lambda a, mode="reduced": torch.linalg.qr(a).R if mode == "r" else torch.linalg.qr(a),
    "linalg.norm": norm,
    "linalg.vector_norm": vector_norm,
    "linalg.matrix_norm": matrix_norm,
    "linalg.diagonal": lambda x, offset=0: torch.linalg.diagonal(x, offset=offset),
}

# Namesakes that mean something else, or take what ours do not.
DIFFERENT = {
    "bincount",  # which has no gradient there
    "vander", "linalg.cond",  # whose backward fails there: a variable "has been modified by an inplace operation"
    "add.reduce", "append", "compress",
    "cumulative_sum", "delete",
    "gradient", "heaviside", "keep", "linalg.lstsq", "linalg.matrix_transpose",
    "linalg.outer", "linalg.tensordot", "linalg.trace", "linspace", "logspace", "full_like", "pad", "percentile",
    "linalg.eig", "linalg.eigvals",  # complex there, also of real numbers; compared in test_complex.py
    "imag", "angle",  # compared there, too
    "repeat", "scatter_add", "select", "ldexp", "frexp",
    "ctc_loss",  # whose gradient there is that of logits; compared in test_sequences.py
    "binary_cross_entropy_with_logits", "kl_div",  # compared in test_oracle_layers.py
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "poisson_nll_loss", "triplet_margin_loss",
}  # fmt: skip


def _has_negative_step(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts)


def namesake(name: str) -> Any:
    if name in ADAPTERS:
        return ADAPTERS[name]
    module = torch.linalg if name.startswith("linalg.") else torch
    found = getattr(module, RENAMED.get(name, name.removeprefix("linalg.")), None)
    return found or getattr(torch.special, name, None)


ENTRIES = {name_of(entry.function): entry for entry in registry.values() if not isinstance(entry, Constant)}
COMPARED = [
    pytest.param(ENTRIES[name], case, id=f"{name}({case})")
    for name in [*SAME, *ADAPTERS]
    for case in ENTRIES[name].cases
]


def test_every_namesake_is_compared_or_known_to_differ() -> None:
    for name in ENTRIES:
        if not name.startswith("_") and "." not in name.removeprefix("linalg."):
            assert not namesake(name) or name in SAME or name in ADAPTERS or name in DIFFERENT, name


def as_torch(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(as_torch, value))
    return torch.tensor(np.array(value, order="C")) if isinstance(value, np.ndarray) else value


def call(function: Any, case: Case, arrays: list[Any], **names: str) -> Any:
    """As `test_operations.call`, on the same prepared arguments."""
    first = [arrays] if case.shapes.startswith("[") else arrays
    kwargs = {names.get(key, key): value for key, value in case.kwargs.items()}
    return function(*first, *case.args, **kwargs)


def listed(case: Case, result: Any, square: Any) -> list[Any]:
    """The outputs; where only their squares are determined, the squares."""
    values = list(result) if isinstance(result, tuple | list) else [result]
    return [square(value) for value in values] if case.finish else values


@pytest.mark.parametrize(("entry", "case"), COMPARED)
@settings(max_examples=5)
@given(data=st.data())
def test_values_and_gradients_are_those_of_pytorch(
    entry: Primitive | Composite, case: Case, data: st.DataObject
) -> None:
    if {"where", "initial"} & case.kwargs.keys():
        return  # PyTorch has neither
    arrays = data.draw(arguments(case))
    if not all(a.size for a in arrays):
        return  # PyTorch refuses some of these
    prepared = case.prepare(*arrays) if case.prepare else arrays
    prepared = list(prepared) if isinstance(prepared, tuple | list) else [prepared]

    def numbers(values: Any) -> list[Any]:
        return [x for v in values for x in (numbers(v) if isinstance(v, list | tuple) else [v])]

    def tracked(value: Any, make: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(tracked(v, make) for v in value)
        return make(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value

    theirs = tracked(prepared, lambda a: as_torch(a).requires_grad_())
    theirs = [as_torch(v) if isinstance(v, np.ndarray) else v for v in theirs]
    ours = tracked(prepared, lambda a: Tensor(a, requires_grad=True))
    names = {} if entry.name in ADAPTERS else {"axis": "dim", "keepdims": "keepdim"}
    expected = call(
        namesake(entry.name), Case(case.shapes, tuple(map(as_torch, case.args)), case.kwargs), theirs, **names
    )
    if expected is NotImplemented:
        return
    if entry.name == "linalg.det" and expected.abs().min() < 1e-9:
        return  # of a singular matrix PyTorch gives the gradient 0, or divides rounding errors by one another
    found = call(entry if (entry.function.__module__ or "").startswith("tinygrad_np") else entry.function, case, ours)
    pairs = [
        (y, z)
        for y, z in zip(listed(case, found, np.square), listed(case, expected, torch.square), strict=True)
        if type(y) is Tensor and y.requires_grad and z.requires_grad
    ]
    assert pairs
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed of the output gradients"))
    weights = [rng.uniform(-1, 1, y.shape) for y, _ in pairs]
    for y, z in pairs:
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9, atol=1e-9)
    ours = [t for t in numbers(ours) if type(t) is Tensor]
    theirs = [t for t in numbers(theirs) if isinstance(t, torch.Tensor) and t.requires_grad]
    gradients = grad([y for y, _ in pairs], ours, weights)
    others = torch.autograd.grad([z for _, z in pairs], theirs, [torch.tensor(w) for w in weights], allow_unused=True)
    for g, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(g.data, 0 if other is None else other.numpy(), rtol=1e-8, atol=1e-8)
