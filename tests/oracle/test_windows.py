"""Convolution, pooling and folding against PyTorch (extra `oracle`): outputs and gradients, all options drawn."""

from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, grad, nn
from tinygrad_np.ops.convolution import conv1d, conv2d, conv3d
from tinygrad_np.ops.folding import fold, unfold
from tinygrad_np.ops.pooling import avg_pool2d, max_pool2d

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
functional = torch.nn.functional
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-10}
precisions = pytest.mark.parametrize("dtype", TOLERANCES)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
threes = st.tuples(*[st.integers(1, 2)] * 3)
seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.slow


def compare(ours: Any, theirs: Any, arrays: list[np.ndarray]) -> None:
    """The same output and the same gradients of all arguments, within the dtype's tolerance."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    others = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    y, z = ours(*tensors), theirs(*others)
    g = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
    found = [y.data, *(t.data for t in grad(y, tensors, g))]
    expected = [z.detach(), *torch.autograd.grad(z, others, torch.from_numpy(g))]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == arrays[0].dtype
        tolerance = TOLERANCES[one.dtype.type] * max(1, abs(other.numpy()).max(initial=0))
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=tolerance)


@precisions
@given(data=st.data(), groups=st.integers(1, 3), kernel=pairs, stride=pairs, padding=pairs, dilation=pairs, seed=seeds)
def test_conv2d(
    dtype: type,
    data: st.DataObject,
    groups: int,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    n, inputs, outputs, height, width = (data.draw(st.integers(1, 4)) for _ in range(5))
    sizes = [size + d * (k - 1) for size, d, k in zip((height, width), dilation, kernel, strict=True)]
    shapes = (n, inputs * groups, *sizes), (outputs * groups, inputs, *kernel), (outputs * groups,)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(lambda *a: conv2d(*a, **options), lambda *a: functional.conv2d(*a, **options), arrays)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@precisions
@given(
    n=st.integers(1, 3), groups=st.integers(1, 2), kernel=st.integers(1, 4), stride=st.integers(1, 3),
    padding=st.one_of(st.integers(0, 3), st.just("same")), dilation=st.integers(1, 2), bias=st.booleans(),
    seed=seeds,
)  # fmt: skip
def test_conv1d(
    dtype: type, n: int, groups: int, kernel: int, stride: int, padding: Any, dilation: int, bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(n, 2 * groups, 9), (3 * groups, 2, kernel), (3 * groups,)][: 3 if bias else 2]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    stride = 1 if padding == "same" else stride
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(lambda *a: conv1d(*a, **options), lambda *a: functional.conv1d(*a, **options), arrays)


@precisions
@given(n=st.integers(1, 2), groups=st.integers(1, 2), kernel=threes, stride=threes, padding=threes, dilation=threes,
       bias=st.booleans(), seed=seeds)  # fmt: skip
def test_conv3d(
    dtype: type,
    n: int,
    groups: int,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    bias: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(n, 2 * groups, 3, 4, 5), (3 * groups, 2, *kernel), (3 * groups,)][: 3 if bias else 2]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(lambda *a: conv3d(*a, **options), lambda *a: functional.conv3d(*a, **options), arrays)


@precisions
@pytest.mark.parametrize("axes", [1, 2])
@given(data=st.data(), groups=st.integers(1, 3), bias=st.booleans(), seed=seeds)
def test_transposed_convolutions(
    dtype: type, axes: int, data: st.DataObject, groups: int, bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n, inputs, outputs = (data.draw(st.integers(1, 3)) for _ in range(3))
    sizes, kernel, stride, dilation = (
        [data.draw(st.integers(1, 4), label=name) for _ in range(axes)]
        for name in ("sizes", "kernel", "stride", "dilation")
    )
    further = [data.draw(st.integers(0, max(s, d) - 1), label="further") for s, d in zip(stride, dilation, strict=True)]
    whole = [
        (m - 1) * s + d * (k - 1) + f + 1
        for m, s, d, k, f in zip(sizes, stride, dilation, kernel, further, strict=True)
    ]
    padding = [data.draw(st.integers(0, (size - 1) // 2), label="padding") for size in whole]
    shapes = [(n, inputs * groups, *sizes), (inputs * groups, outputs, *kernel), (outputs * groups,)]
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes[: 3 if bias else 2]]
    one = axes == 1
    options: dict[str, Any] = {
        name: value[0] if one else tuple(value)
        for name, value in (
            ("stride", stride), ("padding", padding), ("output_padding", further), ("dilation", dilation)
        )
    }  # fmt: skip
    options["groups"] = groups
    name = f"conv_transpose{axes}d"
    ours, theirs = getattr(tinygrad_np, name), getattr(functional, name)
    compare(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), arrays)


@precisions
@given(
    n=st.integers(1, 2), channels=st.integers(1, 3), kernel=pairs, stride=pairs, dilation=pairs,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), seed=seeds,
)  # fmt: skip
def test_unfold_and_fold(
    dtype: type, n: int, channels: int, kernel: tuple, stride: tuple, dilation: tuple, padding: tuple, seed: int
) -> None:
    rng, sizes = np.random.default_rng(seed), (8, 7)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    x = rng.normal(size=(n, channels, *sizes)).astype(dtype)
    compare(lambda a: unfold(a, kernel, **options), lambda a: functional.unfold(a, kernel, **options), [x])
    y = rng.normal(size=unfold(x, kernel, **options).shape).astype(dtype)
    compare(lambda a: fold(a, sizes, kernel, **options), lambda a: functional.fold(a, sizes, kernel, **options), [y])


@precisions
@given(factor=st.integers(1, 3), rank=st.integers(3, 5), seed=seeds)
def test_pixels(dtype: type, factor: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = (2, 3)[: rank - 3]
    x = rng.normal(size=(*n, 2 * factor**2, 3, 4)).astype(dtype)
    y = rng.normal(size=(*n, 2, 3 * factor, 4 * factor)).astype(dtype)
    for name, a in (("pixel_shuffle", x), ("pixel_unshuffle", y)):
        ours, theirs = getattr(tinygrad_np, name), getattr(functional, name)
        compare(lambda a, f=ours: f(a, factor), lambda a, f=theirs: f(a, factor), [a])


@precisions
@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("axes", [1, 2])
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    outputs=st.tuples(*[st.one_of(st.none(), st.integers(1, 12))] * 2),
    alike=st.booleans(),
    seed=seeds,
)
def test_adaptive_pooling(
    dtype: type, kind: str, axes: int, sizes: tuple, outputs: tuple, alike: bool, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(size=(2, 3, *sizes[:axes])).astype(dtype)
    size: Any = outputs[0] or 1 if alike or axes == 1 else outputs
    name = f"adaptive_{kind}_pool{axes}d"
    ours, theirs = getattr(tinygrad_np, name), getattr(functional, name)
    compare(lambda a: ours(a, size), lambda a: theirs(a, size), [x])


@precisions
@given(
    length=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.one_of(st.none(), st.integers(1, 4)),
    padding=st.integers(0, 2),
    ceil_mode=st.booleans(),
    option=st.sampled_from([1, 2, True, False]),
    seed=seeds,
)
def test_pooling_of_sequences(
    dtype: type, length: int, kernel: int, stride: Any, padding: int, ceil_mode: bool, option: Any, seed: int
) -> None:
    x = [np.random.default_rng(seed).normal(size=(2, 3, length)).astype(dtype)]
    options: dict[str, Any] = {"stride": stride, "padding": min(padding, kernel // 2), "ceil_mode": ceil_mode}
    options["count_include_pad" if isinstance(option, bool) else "dilation"] = option
    name = "avg_pool1d" if isinstance(option, bool) else "max_pool1d"
    ours, theirs = getattr(tinygrad_np, name), getattr(functional, name)
    try:
        theirs(torch.from_numpy(x[0]), kernel, **options)
    except RuntimeError:
        with pytest.raises(ValueError, match="does not fit"):
            ours(x[0], kernel, **options)
    else:
        compare(lambda a: ours(a, kernel, **options), lambda a: theirs(a, kernel, **options), x)


@precisions
@given(
    kernel=pairs,
    stride=st.one_of(st.none(), pairs),
    padding=st.booleans(),
    ceil_mode=st.booleans(),
    divisor=st.one_of(st.none(), st.integers(1, 5)),
    option=st.sampled_from([1, 2, True, False]),
    seed=seeds,
)
def test_pooling(
    dtype: type, kernel: tuple, stride: Any, padding: bool, ceil_mode: bool, divisor: Any, option: Any, seed: int
) -> None:
    x = [np.random.default_rng(seed).normal(size=(2, 3, 8, 7)).astype(dtype)]
    around = tuple(k // 2 for k in kernel) if padding else 0
    options: dict[str, Any] = {"stride": stride, "padding": around, "ceil_mode": ceil_mode}
    if isinstance(option, bool):
        options |= {"count_include_pad": option, "divisor_override": divisor}
        compare(lambda a: avg_pool2d(a, kernel, **options), lambda a: functional.avg_pool2d(a, kernel, **options), x)
    else:
        options["dilation"] = option
        compare(lambda a: max_pool2d(a, kernel, **options), lambda a: functional.max_pool2d(a, kernel, **options), x)


def test_a_small_network_trains_alike() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3, rng=rng)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 2, 3)
    )
    with torch.no_grad():
        for p, q in zip(model.parameters(), theirs.parameters(), strict=True):
            q.copy_(torch.from_numpy(p.data))
    x = rng.normal(size=(3, 1, 12, 12)).astype(np.float32)
    for _ in range(5):
        np.mean(np.square(model(x))).backward()
        theirs(torch.from_numpy(x)).square().mean().backward()
        for p, q in zip(model.parameters(), theirs.parameters(), strict=True):
            p.data -= 0.1 * p.grad.data
            p._changed()
            q.data -= 0.1 * q.grad
            p.grad = q.grad = None
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-5, atol=1e-5)
