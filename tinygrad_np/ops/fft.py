"""Discrete Fourier transforms: `np.fft`, one and more axes, complex, real and Hermitian.

Their matrix is symmetric, and a vjp is a transpose without a conjugation, so a transform is its own vjp. That of a real
transform is an inverse real transform, in which each frequency between the first and the last counts once, not twice.
"""

from typing import Any

import numpy as np

from .._registry import composite, primitive
from .cases import Case, each
from .elementwise import is_complex
from .rows import along_axis

SWAPPED: dict[Any, Any] = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}
NORMS = (None, "ortho", "forward")


def _resized(x: Any, n: int, axis: int) -> Any:
    """x with n elements along an axis: cut off, or padded with zeros."""
    axis %= x.ndim
    if x.shape[axis] > n:
        return x[(slice(None),) * axis + (slice(n),)]
    widths = [(0, n - x.shape[axis] if i == axis else 0) for i in range(x.ndim)]
    return np.pad(x, widths) if x.shape[axis] < n else x


def _counts(n: int, x: Any, axis: int) -> Any:
    """How often each frequency of a real transform of n numbers counts in them: the first once, others twice."""
    count = np.full(n // 2 + 1, 2, x.real.dtype)
    count[0] = 1
    if n % 2 == 0:
        count[-1] = 1
    return count.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _rfft_vjp(g: Any, y: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    n = x.shape[axis] if n is None else n
    back = np.fft.irfft(np.conjugate(g) / _counts(n, g, axis), n, axis, SWAPPED[norm])
    return _resized(back, x.shape[axis], axis)


def _irfft_vjp(g: Any, y: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    back = np.conjugate(np.fft.rfft(g, None, axis, SWAPPED[norm])) * _counts(g.shape[axis], g, axis)
    return _resized(back if is_complex(x) else np.real(back), x.shape[axis], axis)


def _fft_vjp(function: Any) -> Any:
    def vjp(g: Any, y: Any, x: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
        return _resized(function(g, None, axis, norm), x.shape[axis], axis)

    return vjp


OF_ONE = [
    *each("2 4 3", n=(None, 3, 6), axis=(1, -2), norm=NORMS),
    *each("3 5", n=(None, 5, 4)),
    *each("N", n=(None, 1, 2)),
]
OF_SPECTRA = [
    *each("2 4 3", n=(None, 5, 8), axis=(1, -2), norm=NORMS),
    *each("3 5", n=(None, 7, 4)),
    *each("3", n=(1, 2)),
]
for transform in (np.fft.fft, np.fft.ifft):
    primitive(transform, _fft_vjp(transform), reads=(), jvp="linear", rows=along_axis, cases=OF_ONE, complex=True)
primitive(np.fft.rfft, _rfft_vjp, reads=(), jvp="linear", rows=along_axis, cases=OF_ONE)
primitive(np.fft.irfft, _irfft_vjp, reads=(), jvp="linear", rows=along_axis, cases=OF_SPECTRA, complex=True)


@composite(np.fft.hfft, cases=OF_SPECTRA, complex=True)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """`np.fft.hfft`, of half of a Hermitian signal."""
    return np.fft.irfft(np.conjugate(a), n, axis, SWAPPED[norm])


@composite(np.fft.ihfft, cases=OF_ONE)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """`np.fft.ihfft`, the first half of a Hermitian signal."""
    return np.conjugate(np.fft.rfft(a, n, axis, SWAPPED[norm]))


# --- several axes ----------------------------------------------------------------------------------------------------


def _lengths(x: Any, s: Any, axes: Any) -> list[tuple[Any, int]]:
    """The number of elements along each axis, None for the default, and the axis."""
    if axes is None:
        if s is not None:
            raise ValueError(f"s={s} needs axes=, to say which axes these are the lengths of")
        axes = range(x.ndim)
    if s is None:
        return [(None, axis) for axis in axes]
    if len(s) != len(axes):
        raise ValueError(f"s={s} and axes={tuple(axes)} must have the same length")
    return [(x.shape[axis] if n == -1 else n, axis) for n, axis in zip(s, axes, strict=True)]


def _register(name: str, default: Any, first: Any, others: Any, *, last: Any) -> None:
    """Register np.fft.<name>: `first` along the last of the axes before, or `last` after, `others` along the rest."""

    def transform(a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        pairs = _lengths(a, s, axes)
        if not pairs and first is others:  # of no axes
            return np.positive(a)
        rest, (n, axis) = pairs[:-1], pairs[-1]
        if first is not None:
            a = first(a, n, axis, norm)
        for length, other in reversed(rest) if last is None else rest:
            a = others(a, length, other, norm)
        return a if last is None else last(a, n, axis, norm)

    cases = [
        *each("3 4 2", axes=((0, 1), (-1, 0)), norm=NORMS),
        *each("3 4", s=((2, 6), (4, -1)), axes=((0, 1), (1, 0))),
        Case("3 4"),
    ]
    transform.__doc__ = f"`np.fft.{name}`."
    composite(getattr(np.fft, name), cases=cases, complex=not name.startswith("r"))(transform)


for dimensions, axes in (("2", (-2, -1)), ("n", None)):
    _register(f"fft{dimensions}", axes, np.fft.fft, np.fft.fft, last=None)
    _register(f"ifft{dimensions}", axes, np.fft.ifft, np.fft.ifft, last=None)
    _register(f"rfft{dimensions}", axes, np.fft.rfft, np.fft.fft, last=None)
    _register(f"irfft{dimensions}", axes, None, np.fft.ifft, last=np.fft.irfft)

SHIFTS = [*each("3 4", axes=(None, 0, -1, (0, 1))), Case("5")]


def _shift(x: Any, axes: Any, by: Any) -> Any:
    axes = range(x.ndim) if axes is None else np.atleast_1d(axes).tolist()
    return np.roll(x, [by(x.shape[axis]) for axis in axes], list(axes))


@composite(np.fft.fftshift, cases=SHIFTS, complex=True)
def fftshift(x: Any, axes: Any = None) -> Any:
    """`np.fft.fftshift`."""
    return _shift(x, axes, lambda n: n // 2)


@composite(np.fft.ifftshift, cases=SHIFTS, complex=True)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """`np.fft.ifftshift`."""
    return _shift(x, axes, lambda n: -(n // 2))
