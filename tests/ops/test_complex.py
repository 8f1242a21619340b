"""Complex numbers: every operation that takes them is proved, and every other one refuses them by name."""

from typing import Any

from tinygrad_np import Tensor
from tinygrad_np.ops.cases import Case
from tinygrad_np.tensor import Composite, Constant, Primitive, registry
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import as_used, call

OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
COMPLEX = [entry for entry in OPERATIONS if not entry.real_only and entry.name != "astype"]  # its cases are real


def made_complex(arrays: list[Any], which: list[bool]) -> list[Any]:
    """The chosen arrays with an imaginary part: their own elements in another order, of alternating sign."""
    result = []
    for a, chosen in zip(arrays, which, strict=True):
        if chosen and a.dtype.kind == "f":
            signs = (-1.0) ** np.arange(a.size)
            a = a + 1j * (a.ravel()[::-1] * signs).reshape(a.shape)
        result.append(a)
    return result


@pytest.mark.parametrize("entry", COMPLEX, ids=lambda entry: entry.name)
@given(data=st.data())
def test_derivatives_for_complex_arguments_are_those_of_finite_differences(
    entry: Primitive | Composite, data: st.DataObject
) -> None:
    for case in entry.cases:
        drawn = data.draw(arguments(case), label=str(case))
        which = data.draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
        if not any(which) or entry.name == "x.at[index].set":  # real numbers are not set to complex ones
            which = [True] * len(drawn)
        arrays = made_complex(drawn, which)

        def function(*given: Any, case: Case = case) -> tuple[Tensor, ...]:
            return tuple(y for y in call(as_used(entry), case, list(given)) if type(y) is Tensor)

        try:
            check_gradients(function, *arrays, order=2, name=entry.name)
        except Exception as error:
            error.add_note(f"{entry.name}({case})")
            raise
