"""Resampling: values of simple cases, the transpose, infinities, large arrays, impossible options."""

from typing import Any

from tinygrad_np import Tensor, grad, interpolate
from tinygrad_np.ops import resampling
from tinygrad_np.ops.resampling import MODES

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

MODES_OF_AXES = [(mode, axes) for mode, (_, numbers) in MODES.items() for axes in numbers]


@pytest.mark.parametrize(
    ("x", "options", "expected"),
    [
        ([1, 3], {"size": 4}, [1, 1, 3, 3]),
        ([1, 3], {"scale_factor": 2, "mode": "linear"}, [1, 1.5, 2.5, 3]),
        ([1, 3], {"size": 3, "mode": "linear", "align_corners": True}, [1, 2, 3]),
        ([1, 3, 5], {"size": 1, "mode": "linear", "align_corners": True}, [1]),
        ([1, 3, 5], {"size": 1, "mode": "linear"}, [3]),
        ([1, 2, 3, 4, 5], {"size": 2}, [1, 3]),
        ([1, 2, 3, 4, 5], {"size": 2, "mode": "nearest-exact"}, [2, 4]),
        ([1, 2, 3, 4, 5], {"size": 2, "mode": "area"}, [2, 4]),
        ([1, 2, 3, 4], {"scale_factor": 0.6, "mode": "area"}, [1.5, 3.5]),
        ([7], {"size": 3, "mode": "linear"}, [7, 7, 7]),
    ],
)
def test_sequences(x: list[float], options: dict[str, Any], expected: list[float]) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        y = interpolate(Tensor(np.array([[x]], dtype)), **options)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data[0, 0], expected, rtol=1e-3 if dtype == np.float16 else 1e-6)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize(("mode", "axes"), MODES_OF_AXES)
def test_the_gradient_is_the_transpose(mode: str, axes: int, data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, targets = (data.draw(st.lists(st.integers(1, 9), min_size=axes, max_size=axes)) for _ in range(2))
    align = data.draw(st.sampled_from([None, True, False])) if MODES[mode][0] in ("linear", "cubic") else None
    x = Tensor(rng.normal(size=(2, 2, *sizes)), requires_grad=True)
    y = interpolate(x, targets, mode=mode, align_corners=align)
    assert y.shape == (2, 2, *targets)
    g = rng.normal(size=y.shape)
    np.testing.assert_allclose(np.sum(grad(y, x, g).data * x.data), np.sum(g * y.data), atol=1e-12)
    constant = interpolate(np.full(x.shape, 3.0), targets, mode=mode, align_corners=align)
    np.testing.assert_allclose(constant, 3, rtol=1e-14)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "area"])
def test_what_is_infinite_or_nan_stays_where_it_is(mode: str) -> None:
    x = np.zeros((1, 1, 8, 8))
    x[0, 0, 2, 2], x[0, 0, 6, 6] = np.inf, np.nan
    y = interpolate(x, scale_factor=2, mode=mode)
    near = np.ones((16, 16), bool)
    near[3:7, 3:7] = near[11:15, 11:15] = False
    assert not y[0, 0][near].any()
    assert np.isinf(y[0, 0, 4:6, 4:6]).all()
    assert np.isnan(y[0, 0, 12:14, 12:14]).all()


@pytest.mark.parametrize(("mode", "axes"), MODES_OF_AXES)
def test_many_images_are_resampled_in_blocks_to_the_same_bits(
    mode: str, axes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(3, 5, *[4] * axes)).astype(np.float32), requires_grad=True)
    size = [7, 2, 5][:axes]
    found = []
    for block in (1, 1 << 18):
        monkeypatch.setattr(resampling, "BLOCK", block)
        y = interpolate(x, size, mode=mode)
        found.append((y.data, grad(y, x, y.data).data))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_no_images_there_are_none() -> None:
    x = Tensor(np.ones((0, 3, 4, 4)), requires_grad=True)
    y = interpolate(x, 8)
    assert y.shape == (0, 3, 8, 8)
    assert grad(y.sum(), x).shape == x.shape


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 1, 4), {}, "interpolate: give either size= or scale_factor=, not neither"),
        ((1, 1, 4), {"size": 2, "scale_factor": 2}, "interpolate: give either size= or scale_factor=, not both"),
        ((1, 1, 4), {"size": 0}, "interpolate: size must be a positive integer, not 0"),
        ((1, 1, 4), {"size": 1.5}, "interpolate: size must be a positive integer, not 1.5"),
        ((1, 1, 4), {"scale_factor": 0.2}, r"interpolate: scale_factor=0.2 leaves nothing of x of shape \(1, 1, 4\)"),
        ((1, 1, 4), {"scale_factor": np.inf}, "interpolate: scale_factor must be above 0, not inf"),
        ((1, 1, 4), {"size": (2, 2)}, r"interpolate: size must be one number, or 1 for \(n, channels, length\)"),
        ((1, 1, 4, 4), {"size": (2, 2, 2)}, "interpolate: size must be one number, or 2 for"),
        (
            (1, 1, 4),
            {"size": 2, "mode": "bilinear"},
            r"mode 'bilinear' expects x of shape \(n, channels, height, width\)",
        ),
        ((1, 4), {"size": 2}, r"mode 'nearest' expects x of shape \(n, channels, length\) or .*, not \(1, 4\)"),
        ((1, 1, 0), {"size": 2}, "interpolate: expected x with at least one element along each axis"),
        ((1, 1, 4), {"size": 2, "mode": "lanczos"}, "interpolate: mode must be 'nearest' or .*, not 'lanczos'"),
        ((1, 1, 4), {"size": 2, "align_corners": False}, "mode 'nearest' has no align_corners; leave it out"),
        ((1, 1, 4), {"size": 2, "mode": "linear", "align_corners": 1}, "align_corners must be True or False, not 1"),
    ],
)
def test_impossible_options(shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolate(np.ones(shape), **options)


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="interpolate: x must be floating point, not int64"):
        interpolate(np.ones((1, 1, 4), int), 2)
