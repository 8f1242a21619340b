"""Pictures, and arrays of other libraries, where arrays are taken. Those of pandas, PyTorch and JAX: tests/oracle."""

from typing import Any

from tinygrad_np import Tensor, grad, nn
from tinygrad_np._neighbours import as_numbers
from tinygrad_np.data import DataLoader

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("mode", "pixels"),
    [
        ("L", PIXELS[..., 0]),
        ("RGB", PIXELS),
        ("RGBA", np.concatenate([PIXELS, PIXELS[..., :1]], axis=2)),
        ("1", PIXELS[..., 0] % 2 == 0),
        ("I;16", PIXELS[..., 0].astype(np.uint16) * 1000),
        ("F", PIXELS[..., 0] / np.float32(7)),
    ],
)
def test_a_picture_is_an_array_of_its_pixels(mode: str, pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels)
    assert image.mode == mode
    made = Tensor(image)
    assert made.dtype == pixels.dtype
    np.testing.assert_array_equal(made.data, pixels)
    w = Tensor(np.full(pixels.shape, 0.5, np.float32), requires_grad=True)
    for y in (w * image, image * w, np.where(True, w, 0) * image):
        np.testing.assert_array_equal(y.data, np.float32(0.5) * pixels)
        np.testing.assert_array_equal(grad(y.sum(), w).data, pixels)
    np.testing.assert_array_equal(Tensor(image, dtype=np.float64).data, pixels.astype(np.float64))


def test_pixels_of_a_picture_are_copied() -> None:
    image = Image.fromarray(PIXELS[..., 0] / np.float32(7))
    w = Tensor(image, requires_grad=True)
    w.data -= np.float32(1)
    assert as_numbers(image)[0, 0] == 0


def test_a_convolution_takes_a_list_of_pictures_as_an_array() -> None:
    images = [Image.fromarray(PIXELS[..., 0])] * 3
    (batch,) = next(iter(DataLoader(np.stack(images), batch_size=2)))
    assert (batch.shape, batch.dtype) == ((2, 2, 4), np.uint8)
    with pytest.raises(TypeError, match=r"argument 0 must be an ndarray, not list; write np.array\(\.\.\.\)"):
        DataLoader(images, batch_size=2)
    layer = nn.Conv2d(1, 2, 2, rng=np.random.default_rng(0))
    assert layer(Tensor(np.stack(images)[:, np.newaxis], dtype=np.float32)).shape == (3, 2, 1, 3)


@pytest.mark.parametrize(
    "take", [Tensor, lambda image: Tensor([1.0]) * image, lambda image: DataLoader(image, batch_size=1)]
)
def test_places_in_a_palette_are_no_colours(take: Any) -> None:
    image = Image.fromarray(PIXELS).convert("P")
    with pytest.raises(TypeError, match=r"mode 'P' holds places in a palette, not colours; write image.convert\('RGB'"):
        take(image)


class OfAnotherLibrary:
    """An array that NumPy can convert, but that is none, as those of PyTorch and JAX are."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.array is None:
            raise RuntimeError("there is no such dtype")
        return np.array(self.array, dtype, copy=copy)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64, np.bool_, np.complex128])
def test_arrays_of_other_libraries_keep_their_dtype(dtype: type) -> None:
    array = np.ones(3, dtype)
    made = Tensor(OfAnotherLibrary(array))
    assert made.dtype == dtype
    assert np.shares_memory(made.data, array)
    assert Tensor(OfAnotherLibrary(array), dtype=np.complex64).dtype == np.complex64


def test_read_only_memory_of_other_libraries_is_copied() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    w = Tensor(OfAnotherLibrary(array), requires_grad=True)
    w.data -= 1.0
    assert array.tolist() == [1.0, 1.0, 1.0]
    assert w.tolist() == [0.0, 0.0, 0.0]


def test_what_gives_no_array_is_refused_with_its_own_reason() -> None:
    with pytest.raises(TypeError, match=r"which this .*OfAnotherLibrary does not give: there is no such dtype"):
        Tensor(OfAnotherLibrary(None))
    with pytest.raises(TypeError, match=r"holds numbers or booleans, not <U1"):
        Tensor(OfAnotherLibrary("a"))


def test_an_operation_takes_no_array_that_might_have_a_gradient_of_its_own() -> None:
    with pytest.raises(TypeError, match=r"OfAnotherLibrary; write np.asarray\(...\) around it"):
        Tensor([1.0]) * OfAnotherLibrary(np.ones(1))
