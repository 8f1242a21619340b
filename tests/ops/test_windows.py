"""Convolution, pooling and folding: by definition, at the edges, as layers, and with what they refuse."""

from itertools import product
from typing import Any

from tinygrad_np import Tensor, grad, nn
from tinygrad_np.ops import convolution, pooling
from tinygrad_np.ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d
from tinygrad_np.ops.folding import fold, pixel_shuffle, pixel_unshuffle, unfold
from tinygrad_np.ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import blas_threads


def by_definition(x: np.ndarray, w: np.ndarray, stride: int, padding: int, dilation: int, groups: int) -> np.ndarray:
    """Every output pixel as a sum of its own."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    reach = [dilation * (k - 1) + 1 for k in w.shape[2:]]
    rows, columns = ((n - r) // stride + 1 for n, r in zip(x.shape[2:], reach, strict=True))
    y = np.zeros((len(x), len(w), rows, columns))
    inputs, outputs = x.shape[1] // groups, len(w) // groups
    for o, i, j in product(range(len(w)), range(rows), range(columns)):
        first = o // outputs * inputs
        top, left = i * stride, j * stride
        window = x[:, first : first + inputs, top : top + reach[0] : dilation, left : left + reach[1] : dilation]
        y[:, o, i, j] = np.sum(window * w[o], axis=(1, 2, 3))
    return y


@given(
    n=st.integers(0, 3),
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    extra=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_convolution_is_its_definition(
    n: int,
    groups: int,
    channels: tuple,
    kernel: tuple,
    extra: tuple,
    stride: int,
    padding: int,
    dilation: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    sizes = [max(1, dilation * (k - 1) + 1 - 2 * padding) + e for k, e in zip(kernel, extra, strict=True)]
    x = rng.normal(size=(n, channels[0] * groups, *sizes))
    w = rng.normal(size=(channels[1] * groups, channels[0], *kernel))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = conv2d(x, w, **options)
    np.testing.assert_allclose(y, by_definition(x, w, **options), rtol=1e-10, atol=1e-12)
    if n == 1:
        check_gradients(lambda x, w, b: conv2d(x, w, b, **options), x, w, rng.normal(size=len(w)))


axes_of_transposed = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))


@given(
    n=st.integers(0, 2),
    groups=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    rows=axes_of_transposed,
    columns=axes_of_transposed,
    dilation=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_transposed_convolution_is_its_definition(
    n: int, groups: int, channels: tuple, rows: tuple, columns: tuple, dilation: tuple, seed: int
) -> None:
    """Each element of x adds its product with the kernel to a window, and what is padding is cut off."""
    rng = np.random.default_rng(seed)
    sizes, kernel, stride, further = zip(rows, columns, strict=True)
    further = tuple(min(f, max(s, d) - 1) for f, s, d in zip(further, stride, dilation, strict=True))
    x = rng.normal(size=(n, channels[0] * groups, *sizes))
    w, b = rng.normal(size=(channels[0] * groups, channels[1], *kernel)), rng.normal(size=channels[1] * groups)
    options: dict[str, Any] = {"stride": stride, "output_padding": further, "dilation": dilation, "groups": groups}
    whole = [(m - 1) * s + d * (k - 1) + f + 1
             for m, s, d, k, f in zip(sizes, stride, dilation, kernel, further, strict=True)]  # fmt: skip
    expected = np.zeros((n, channels[1] * groups, *whole)) + b[:, np.newaxis, np.newaxis]
    for c, i, j in product(range(len(w)), range(sizes[0]), range(sizes[1])):
        first = c // channels[0] * channels[1]
        top, left = i * stride[0], j * stride[1]
        window = expected[:, first : first + channels[1], top:, left:]
        window = window[:, :, : dilation[0] * kernel[0] : dilation[0], : dilation[1] * kernel[1] : dilation[1]]
        window[:, :, : kernel[0], : kernel[1]] += x[:, c, i, j][:, np.newaxis, np.newaxis, np.newaxis] * w[c]
    np.testing.assert_allclose(conv_transpose2d(x, w, b, **options), expected, rtol=1e-10, atol=1e-11)
    if min(whole) > 2:
        cut = conv_transpose2d(x, w, b, padding=1, **options)
        np.testing.assert_allclose(cut, expected[:, :, 1:-1, 1:-1], rtol=1e-10, atol=1e-11)
    if n == 1:
        check_gradients(lambda x, w, b: conv_transpose2d(x, w, b, **options), x, w, b)


def test_a_transposed_convolution_is_the_gradient_of_the_convolution() -> None:
    rng = np.random.default_rng(0)
    x, w = Tensor(rng.normal(size=(2, 4, 7, 9)), requires_grad=True), rng.normal(size=(6, 2, 3, 2))
    options: dict[str, Any] = {"stride": (2, 3), "padding": (1, 0), "groups": 2}
    g = rng.normal(size=conv2d(x, w, **options).shape)
    found = conv_transpose2d(g, w, output_padding=(0, 1), **options)
    np.testing.assert_array_equal(found, grad(conv2d(x, w, **options), x, g).data)


def test_volumes_are_images_in_layers() -> None:
    """With a kernel of depth 1, each layer of a volume is convolved as an image; and the axes may be exchanged."""
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 4, 3, 6, 5)), rng.normal(size=(6, 2, 1, 3, 2)), rng.normal(size=6)
    options: dict[str, Any] = {"groups": 2, "stride": (1, 2, 1), "padding": (0, 1, 2)}
    y = conv3d(x, w, b, **options)
    layers = [conv2d(x[:, :, i], w[:, :, 0], b, groups=2, stride=(2, 1), padding=(1, 2)) for i in range(3)]
    np.testing.assert_allclose(y, np.stack(layers, axis=2), rtol=1e-12, atol=1e-12)
    w = rng.normal(size=(6, 2, 2, 3, 2))
    turned = conv3d(x.transpose(0, 1, 4, 2, 3), w.transpose(0, 1, 4, 2, 3), b, groups=2, dilation=(2, 1, 1))
    y = conv3d(x, w, b, groups=2, dilation=(1, 1, 2))
    np.testing.assert_allclose(y, turned.transpose(0, 1, 3, 4, 2), rtol=1e-12, atol=1e-12)


def test_unfolded_windows_are_columns_and_folded_ones_are_added() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(4, 3, 3, 2))
    options: dict[str, Any] = {"stride": (2, 1), "padding": 1, "dilation": (1, 2)}
    columns = unfold(x, (3, 2), **options)
    y = conv2d(x, w, **options)
    np.testing.assert_allclose(w.reshape(4, -1) @ columns, y.reshape(2, 4, -1), rtol=1e-12, atol=1e-12)
    leaf = Tensor(x, requires_grad=True)
    g = rng.normal(size=columns.shape)
    expected = grad(unfold(leaf, (3, 2), **options), leaf, g).data
    np.testing.assert_array_equal(fold(g, (6, 5), (3, 2), **options), expected)
    assert np.sum(expected * x) == pytest.approx(np.sum(g * columns), rel=1e-10)  # so fold is the transpose of unfold


def test_pixels_are_shuffled_and_back() -> None:
    x = np.arange(2 * 18 * 2 * 3.0).reshape(2, 18, 2, 3)
    y = pixel_shuffle(x, 3)
    for n, c, i, j in np.ndindex(y.shape):
        assert y[n, c, i, j] == x[n, 9 * c + 3 * (i % 3) + j % 3, i // 3, j // 3]
    np.testing.assert_array_equal(pixel_unshuffle(y, 3), x)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 7, 11])
def test_adaptive_pooling_is_its_definition(size: int, parts: int) -> None:
    """Ties share the gradient; more parts than elements repeat them; NaN and infinity stay in their parts."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, 3, size, 4)).astype(float)
    if size > 2:
        x[0, 0, 0, 0], x[1, 0, size - 1, 1], x[1, 1] = np.nan, np.inf, -np.inf
    leaf = Tensor(x, requires_grad=True)
    for pool, of_window in ((adaptive_avg_pool2d, np.mean), (adaptive_max_pool2d, np.max)):
        y = pool(leaf, (parts, None))
        g = rng.normal(size=y.shape)
        expected, to_x = np.empty(y.shape), np.zeros(x.shape)
        for i in range(parts):
            window = slice(i * size // parts, -(-(i + 1) * size // parts))
            expected[:, :, i] = of_window(x[:, :, window], axis=2)
            part, largest = x[:, :, window], expected[:, :, i : i + 1]
            chosen = (part == largest) | np.isnan(part) if of_window is np.max else np.ones(part.shape)
            to_x[:, :, window] += g[:, :, i : i + 1] * chosen / chosen.sum(axis=2, keepdims=True)
        np.testing.assert_allclose(y.data, expected, rtol=1e-12)
        np.testing.assert_allclose(grad(y, leaf, g).data, to_x, rtol=1e-12, atol=1e-12)
    assert adaptive_avg_pool2d(x[..., :size], None).shape == x.shape[:2] + x[..., :size].shape[2:]


def test_the_last_windows_may_end_outside() -> None:
    x = np.arange(1.0, 6).reshape(1, 1, 5)
    assert max_pool1d(x, 2).tolist() == [[[2, 4]]]
    assert max_pool1d(x, 2, ceil_mode=True).tolist() == [[[2, 4, 5]]]
    assert avg_pool1d(x, 3, ceil_mode=True).tolist() == [[[2, 4.5]]]
    assert avg_pool1d(x, 4, padding=1, ceil_mode=True).tolist() == [[[1.5, 3]]]  # with one zero at either side
    assert avg_pool1d(x, 4, padding=1, ceil_mode=True, count_include_pad=False).tolist() == [[[2, 4.5]]]
    assert max_pool1d(x, 1, stride=4, ceil_mode=True).tolist() == [[[1, 5]]]
    assert max_pool1d(x, 1, stride=5, ceil_mode=True).tolist() == [[[1]]]  # a second one would begin outside
    assert avg_pool2d(x[np.newaxis], (1, 5), divisor_override=2).tolist() == [[[[7.5]]]]


def test_many_images_are_as_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(40, 8, 20, 20)), rng.normal(size=(4, 8, 3, 3))
    monkeypatch.setattr(convolution, "LARGEST", 3 * 8 * 20 * 18 * 3)  # three images
    alone = [conv2d(x[i : i + 1], w) for i in range(len(x))]
    np.testing.assert_allclose(conv2d(x, w), np.concatenate(alone), rtol=1e-12)
    tensors = [Tensor(a, requires_grad=True) for a in (x, w)]
    g = rng.normal(size=(40, 4, 18, 18))
    whole = grad(conv2d(*tensors), tensors, g)
    parts = [grad(conv2d(tensors[0][i : i + 1], tensors[1]), tensors, g[i : i + 1]) for i in range(len(x))]
    for one, several in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_allclose(one.data, sum(p.data for p in several), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_same_keeps_the_size(kernel: int, dilation: int) -> None:
    x, w = np.ones((1, 1, 7, 9)), np.ones((1, 1, kernel, kernel))
    assert conv2d(x, w, padding="same", dilation=dilation).shape == x.shape
    line = x[:, :, 0]
    assert conv1d(line, w[:, :, 0], padding="same", dilation=dilation).shape == line.shape


def test_equal_maxima_share_the_gradient_and_padding_gets_none() -> None:
    x = Tensor(-np.ones((1, 1, 3, 3)), requires_grad=True)
    y = max_pool2d(x, 2, padding=1)
    assert y.data.tolist() == [[[[-1, -1], [-1, -1]]]]
    assert grad(y.sum(), x).data.tolist() == [[[[1, 0.5, 0.5], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]]]
    infinite = grad(max_pool2d(x, 3), x, np.full((1, 1, 1, 1), np.inf))
    assert np.isposinf(infinite.data).all()  # and not NaN, as inf * 0


WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "dilation": (1, 2)},
    {"kernel_size": 2, "stride": 3, "dilation": 2},
    {"kernel_size": 17, "stride": 1},
    {"kernel_size": 18},
]


def each_window(x: np.ndarray, kernel_size: Any, stride: Any = None, padding: int = 0, dilation: Any = 1) -> Any:
    """For each window: its index among the outputs, the indices of its elements, and how many it has with padding."""
    kernel, dilation = ((n, n) if isinstance(n, int) else n for n in (kernel_size, dilation))
    stride = kernel if stride is None else (stride, stride) if isinstance(stride, int) else stride
    rows, columns = ((n + 2 * padding - d * (k - 1) - 1) // s + 1
                     for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True))  # fmt: skip
    for n, c, i, j in np.ndindex(*x.shape[:2], rows, columns):
        places = [(i * stride[0] + dilation[0] * k - padding, j * stride[1] + dilation[1] * m - padding)
                  for k, m in np.ndindex(*kernel)]  # fmt: skip
        inside = [(n, c, k, m) for k, m in places if 0 <= k < x.shape[2] and 0 <= m < x.shape[3]]
        yield (n, c, i, j), inside, len(places)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("special", [{}, {np.nan: 0.01}, {-np.inf: 0.8}, {-np.inf: 0.8, np.nan: 0.01}], ids=str)
def test_max_pooling_is_its_definition(options: dict, special: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few different numbers, so that there are ties; in blocks of some images; with any number of threads."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (5, 2, 18, 19)).astype(np.float64)
    for value, share in special.items():
        x[rng.random(x.shape) < share] = value
    h = rng.normal(size=x.shape)
    g = rng.normal(size=max_pool2d(x, **options).shape)
    monkeypatch.setattr(pooling, "BLOCK", 2 * x[0].size)
    found = []
    for threads in (1, 2, 4):
        leaf, seed = Tensor(x, requires_grad=True), Tensor(g, requires_grad=True)
        with blas_threads(threads):
            y = max_pool2d(leaf, **options)
            to_x = grad(y, leaf, seed, create_graph=True)
            found.append([y.data, to_x.data, grad(to_x, seed, h).data])
    largest, to_x, to_g = np.empty(g.shape), np.zeros(x.shape), np.empty(g.shape)
    for window, inside, _ in each_window(x, **options):
        values = np.array([x[i] for i in inside])
        largest[window] = values.max()
        ties = [i for i, value in zip(inside, values, strict=True) if value == largest[window] or np.isnan(value)]
        to_g[window] = sum(h[i] for i in ties) / len(ties)
        for i in ties:
            to_x[i] += g[window] / len(ties)
    for outcome in found:
        for a, first, expected in zip(outcome, found[0], (largest, to_x, to_g), strict=True):
            np.testing.assert_array_equal(a, first)
            np.testing.assert_allclose(a, expected, rtol=1e-12, atol=1e-12)


def test_images_that_are_changed_after_a_first_gradient_are_noticed() -> None:
    x, g = Tensor(np.eye(4).reshape(1, 1, 4, 4), requires_grad=True), Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    to_x = grad(max_pool2d(x, 2), x, g, create_graph=True)
    x.data *= -1
    with pytest.raises(RuntimeError, match="keyword x of max_pool2d.* was changed after"):
        grad(to_x, g, np.ones(x.shape))


@pytest.mark.parametrize("stride", [1, 17])
def test_more_elements_than_a_byte_can_count_share_a_gradient(stride: int) -> None:
    x = Tensor(np.ones((1, 1, 17, 17), np.float32), requires_grad=True)
    found = grad(max_pool2d(x, 17, stride=stride), x, np.ones((1, 1, 1, 1), np.float32))
    np.testing.assert_array_equal(found.data, np.full(x.shape, 1 / np.float32(289)))


@pytest.mark.parametrize("options", [options for options in WINDOWS if "dilation" not in options], ids=str)
@pytest.mark.parametrize("include", [True, False])
def test_mean_pooling_is_its_definition(options: dict, include: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 18, 19))
    monkeypatch.setattr(pooling, "BLOCK", 2 * x[0].size)
    leaf = Tensor(x, requires_grad=True)
    y = avg_pool2d(leaf, **options, count_include_pad=include)
    g = rng.normal(size=y.shape)
    means, to_x = np.empty(y.shape), np.zeros(x.shape)
    for window, inside, size in each_window(x, **options):
        count = size if include else len(inside)
        means[window] = sum(x[i] for i in inside) / count
        for i in inside:
            to_x[i] += g[window] / count
    np.testing.assert_allclose(y.data, means, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(grad(y, leaf, g).data, to_x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_mean_of_large_numbers_does_not_overflow(dtype: type) -> None:
    x = np.full((1, 1, 4, 4), np.finfo(dtype).max / 2, dtype)
    for include in (True, False):
        y = avg_pool2d(x, 2, stride=1, padding=1, count_include_pad=include)
        np.testing.assert_array_equal(y[:, :, 1:-1, 1:-1], x[:, :, :3, :3])


def test_an_average_may_leave_out_the_padding() -> None:
    x = np.ones((1, 1, 3, 3))
    assert avg_pool2d(x, 2, padding=1).tolist() == [[[[0.25, 0.5], [0.5, 1]]]]
    assert avg_pool2d(x, 2, padding=1, count_include_pad=False).tolist() == [[[[1, 1], [1, 1]]]]
    for include in (True, False):
        check_gradients(
            lambda x, include=include: avg_pool2d(x, (3, 2), stride=(2, 1), padding=1, count_include_pad=include),
            np.random.default_rng(0).normal(size=(2, 2, 4, 5)),
            order=2,
        )


def test_layers_compute_what_the_functions_do() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 9, 8)).astype(np.float32)
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, rng=rng)
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    expected = conv2d(x, layer.weight.data, layer.bias.data, **options)
    np.testing.assert_array_equal(layer(x).data, expected)
    assert repr(layer) == "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)"
    line = nn.Conv1d(4, 2, 3, stride=2, padding=1, bias=False, rng=rng)
    np.testing.assert_array_equal(line(x[:, :, 0]).data, conv1d(x[:, :, 0], line.weight.data, stride=2, padding=1))
    assert [p.shape for p in line.parameters()] == [(2, 4, 3)]
    assert repr(line) == "Conv1d(4, 2, 3, stride=2, padding=1, bias=False)"
    np.testing.assert_array_equal(nn.MaxPool2d((3, 2), 2, 1)(x), max_pool2d(x, (3, 2), stride=2, padding=1))
    pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    np.testing.assert_array_equal(pool(x), avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False))
    assert repr(pool) == "AvgPool2d(3, stride=2, padding=1, count_include_pad=False)"
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2)"
    up = nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), 1, (1, 0), 2, True, (1, 2), rng=rng)
    options = {"stride": (2, 1), "padding": 1, "output_padding": (1, 0), "dilation": (1, 2), "groups": 2}
    np.testing.assert_array_equal(up(x).data, conv_transpose2d(x, up.weight.data, up.bias.data, **options))
    assert repr(up) == (
        "ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=1, output_padding=(1, 0), groups=2, dilation=(1, 2))"
    )
    longer = nn.ConvTranspose1d(4, 2, 4, 2, bias=False, rng=rng)
    np.testing.assert_array_equal(longer(x[:, :, 0]).data, conv_transpose1d(x[:, :, 0], longer.weight.data, stride=2))
    volume = nn.Conv3d(4, 2, 3, padding="same", rng=rng)
    expected = conv3d(x[:, :, np.newaxis], volume.weight.data, volume.bias.data, padding=1)
    np.testing.assert_array_equal(volume(x[:, :, np.newaxis]).data, expected)
    np.testing.assert_array_equal(nn.MaxPool1d(3, ceil_mode=True)(x[0]), max_pool1d(x[0], 3, ceil_mode=True))
    np.testing.assert_array_equal(nn.AvgPool1d(3, 2, 1, True, False)(x[0]), avg_pool1d(
        x[0], 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False))  # fmt: skip
    np.testing.assert_array_equal(nn.AdaptiveAvgPool1d(3)(x[0]), adaptive_avg_pool1d(x[0], 3))
    folds = nn.Fold((9, 8), 2, stride=3, dilation=2, padding=1)(nn.Unfold(2, stride=3, dilation=2, padding=1)(x))
    np.testing.assert_array_equal(folds, fold(
        unfold(x, 2, stride=3, dilation=2, padding=1), (9, 8), 2, stride=3, dilation=2, padding=1))  # fmt: skip
    np.testing.assert_array_equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x)), x)
    grown = nn.ConvTranspose2d(50, 40, 4, 2, rng=rng)  # an output has 50 * 2 * 2 inputs
    assert grown.weight.data.std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert grown(rng.normal(size=(4, 50, 20, 20)).astype(np.float32))[:, :, 2:-2, 2:-2].data.var() == pytest.approx(
        2, rel=0.1
    )
    wide = nn.Conv2d(50, 40, 5, rng=rng)
    assert wide.weight.data.std() == pytest.approx(np.sqrt(2 / 1250), rel=0.02)
    assert wide.weight.dtype == wide.bias.dtype == np.float32
    assert not wide.bias.data.any()


RNG = np.random.default_rng(0)
X = np.ones((2, 4, 5, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv2d(X[0], np.ones((1, 4, 3, 3))), r"conv2d: expected x of shape \(n, channels, height, width\)"),
        (
            lambda: conv2d(X, np.ones((1, 3, 3, 3))),
            r"\(1, 3, 3, 3\) with groups=1 needs 3 input channels, but x of .* has 4",
        ),
        (
            lambda: conv2d(X, np.ones((3, 2, 1, 1)), groups=2),
            "groups=2 does not divide the 3 output channels of a weight",
        ),
        (lambda: conv2d(X, np.ones((2, 4, 1, 1)), np.ones(3)), r"bias must have shape \(2,\), not \(3,\)"),
        (lambda: conv2d(X, np.ones((2, 4, 6, 1))), r"kernel of \(6, 1\) .* does not fit into an image of \(5, 6\)"),
        (lambda: conv2d(X, np.ones((2, 4, 3, 3)), dilation=3), "does not fit"),
        (lambda: conv2d(X, np.ones((2, 4, 1, 1)), stride=0), "stride must be one or two integers of at least 1"),
        (lambda: conv2d(X, np.ones((2, 4, 1, 1)), padding=(1, 2, 3)), "padding must be one or two integers"),
        (lambda: conv2d(X, np.ones((2, 4, 3, 3)), padding="same", stride=2), "'same' needs stride 1, not 2"),
        (lambda: conv2d(X, np.ones((2, 4, 3, 3)), groups=0), "groups must be a positive integer, not 0"),
        (lambda: conv1d(X, np.ones((2, 4, 3, 3))), r"conv1d: expected x of shape \(n, channels, length\)"),
        (lambda: max_pool2d(X, 2, padding=2), r"padding must be at most half the kernel of \(2, 2\), not 2"),
        (lambda: max_pool2d(X, 7), "does not fit"),
        (
            lambda: max_pool2d(X[..., :2], (1, 2), padding=(0, 1), dilation=3),
            r"image of \(5, 2\) a window of padding al",
        ),
        (
            lambda: max_pool1d(X[0, ..., :2], 2, padding=1, dilation=3),
            "max_pool1d: padding=1 with .* of length 2 a window",
        ),
        (lambda: avg_pool2d(X[0], 2), "expected x of shape"),
        (lambda: avg_pool2d(X, 2.0), "kernel_size must be one or two integers"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2, rng=RNG), "groups=2 must divide in_channels=3 and out_channels=4"),
        (lambda: nn.Conv2d(0, 4, 3, rng=RNG), "in_channels must be a positive integer"),
        (lambda: nn.Conv1d(1, 4, (3, 3), rng=RNG), "Conv1d: kernel_size must be a positive integer"),
        (
            lambda: conv_transpose2d(X, np.ones((3, 2, 1, 1))),
            r"\(3, 2, 1, 1\) with groups=1 needs 3 input channels, but x of .* has 4",
        ),
        (lambda: conv_transpose2d(X, np.ones((4, 2, 1, 1)), groups=3), "does not divide the 4 input channels"),
        (lambda: conv_transpose2d(X, np.ones((4, 2, 1, 1)), np.ones(3)), r"bias must have shape \(2,\), not \(3,\)"),
        (lambda: conv_transpose2d(X, np.ones((4, 2, 1, 1)), padding=3), "nothing is left of the output"),
        (lambda: conv_transpose2d(X, np.ones((4, 2, 1, 1)), padding="same"), "padding must be one or two integers"),
        (lambda: conv_transpose2d(X, np.ones((4, 2, 3, 3)), output_padding=1), "output_padding must be less than"),
        (lambda: nn.ConvTranspose2d(4, 2, 3, 2, 0, 2, rng=RNG), "ConvTranspose2d: output_padding must be less than"),
        (lambda: nn.ConvTranspose1d(4, 2, (3, 3), rng=RNG), "kernel_size must be an integer of at least 1"),
        (lambda: conv3d(X, np.ones((2, 4, 3, 3))), r"x of shape \(n, channels, depth, height, width\)"),
        (lambda: conv3d(X[:, :, None], np.ones((2, 4, 2, 1, 1))), "does not fit into a volume of"),
        (
            lambda: conv3d(X[:, :, None], np.ones((2, 4, 1, 1, 1)), stride=(1, 2)),
            "stride must be one or three integers",
        ),
        (lambda: unfold(X, 7), r"unfold: a kernel of \(7, 7\) .* does not fit"),
        (lambda: fold(X[0], 4, 2), r"fold: expected x of shape \(n, channels \* 4, 9\) for images of \(4, 4\)"),
        (lambda: fold(X[0], 4, 5), "fold: a kernel of .* does not fit"),
        (lambda: pixel_shuffle(X, 3), r"pixel_shuffle: expected x of shape \(..., channels \* 9, height, width\)"),
        (lambda: pixel_unshuffle(X, 2), "pixel_unshuffle: expected x of shape"),
        (lambda: pixel_shuffle(X, 0), "upscale_factor must be a positive integer, not 0"),
        (lambda: max_pool1d(X, 2), r"max_pool1d: expected x of shape \(n, channels, length\)"),
        (lambda: avg_pool2d(X, 2, divisor_override=0), "divisor_override must be a positive integer"),
        (lambda: max_pool2d(X, 2, ceil_mode=1), "ceil_mode must be True or False"),
        (lambda: adaptive_avg_pool2d(X, (2, 0)), r"output_size must be one or two integers of at least 1, or None"),
        (lambda: adaptive_avg_pool1d(X[0], (2, 2)), "output_size must be an integer of at least 1, or None"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be one or two integers of at least 1, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_and_mixed_floats_are_refused() -> None:
    for x in (X.astype(int), X.astype(np.float32)):
        with pytest.raises(
            TypeError, match=f"conv2d: x, weight and bias must have the same floating point dtype, not {x.dtype}"
        ):
            conv2d(x, np.ones((2, 4, 1, 1)))
    with pytest.raises(TypeError, match="max_pool2d: x must be floating point"):
        max_pool2d(X.astype(int), 2)


def test_lists_are_images_of_float32() -> None:
    rows = [[[[1.0, 2.0], [3.0, 4.0]]]]
    for y in (conv2d(rows, [[[[1.0]]]]), max_pool2d(rows, 1), avg_pool2d(rows, 1)):
        np.testing.assert_array_equal(y, rows)
        assert y.dtype == np.float32
    assert conv1d(rows[0], [[[1.0]] * 2]).dtype == np.float32
