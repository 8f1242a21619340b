"""The method `outer` of the ufuncs of two arguments that have a gradient."""

from typing import Any

import numpy as np

from ..tensor import as_array, composite, in_float32
from .cases import NONZERO, POSITIVE, REAL, Case, Domain


def _outer(ufunc: Any) -> Any:
    def outer(a: Any, b: Any) -> Any:
        return ufunc(np.reshape(a, (*np.shape(a), *[1] * np.ndim(b))), as_array(b))

    return outer


EVERYWHERE = (
    np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.copysign, np.heaviside, np.hypot,
    np.arctan2, np.logaddexp, np.logaddexp2,
)  # fmt: skip
UFUNCS: dict[np.ufunc, tuple[Domain, ...]] = {
    **dict.fromkeys(EVERYWHERE, (REAL,)),
    np.divide: (REAL, NONZERO),
    **dict.fromkeys((np.remainder, np.fmod), (REAL, Domain(4, 6))),
    **dict.fromkeys((np.power, np.float_power), (POSITIVE, REAL)),
}

for ufunc, domains in UFUNCS.items():
    composite(ufunc.outer, cases=[Case("n m, k", domains=domains), Case(", k", domains=domains)])(
        in_float32(_outer(ufunc))
    )
