"""Every function of the installed NumPy is differentiable, constant, or refused for a reason."""

from typing import Any

from tinygrad_np import Tensor
from tinygrad_np._messages import NOT_YET, REFUSED, reason_of
from tinygrad_np.testing import namespace

import numpy as np
import pytest

X = Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
NUMBER = Tensor(2.0, requires_grad=True)
FUNCTIONS = namespace.functions()
REFUSED_FUNCTIONS = {name: f for name, f in FUNCTIONS.items() if namespace.status(name, f) in REFUSED}
SEES_TENSORS = [name for name, f in REFUSED_FUNCTIONS.items() if isinstance(f, type(np.sum) | np.ufunc)]
METHODS = [name for name in REFUSED_FUNCTIONS if name.endswith((".at", ".reduceat"))]


def test_every_function_of_numpy_is_accounted_for() -> None:
    """One that fails here is new in NumPy: register it, or give the reason in `_messages.REFUSED`."""
    assert namespace.by_status().get("", []) == []
    assert namespace.counts()["unaccounted"] == 0
    assert sum(namespace.counts().values()) == len(FUNCTIONS)


def test_every_function_stands_once() -> None:
    assert len({*map(id, FUNCTIONS.values())}) == len(FUNCTIONS) > 400
    assert {"absolute", "linalg.norm", "fft.fft", "add.outer", "subtract.at", "r_"} < FUNCTIONS.keys()
    assert not {"abs", "acos", "random", "ndarray", "exp.at", "equal.outer"} & FUNCTIONS.keys()


def test_a_function_that_is_in_no_table_is_unaccounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "new_in_numpy", lambda x: x, raising=False)
    assert namespace.by_status()[""] == ["new_in_numpy"]
    assert namespace.counts()["unaccounted"] == 1


def test_the_reasons_name_functions_that_exist_and_are_refused() -> None:
    for reason, names in REFUSED.items():
        for name in names.split():
            if "*" in name:
                assert any(reason_of(each) == reason for each in FUNCTIONS), name
            elif reason == NOT_YET:
                assert name in FUNCTIONS
            elif reason.startswith("it is deprecated") and name not in FUNCTIONS:
                assert np.lib.NumpyVersion(np.__version__) >= "2.4.0", name  # which no longer has trapz and in1d
            else:
                assert name in REFUSED_FUNCTIONS, f"{name} is registered; take it out of the table"
            assert sum(name in others.split() for others in REFUSED.values()) == 1


@pytest.mark.parametrize("name", SEES_TENSORS)
def test_what_is_refused_raises_with_its_reason(name: str) -> None:
    function: Any = REFUSED_FUNCTIONS[name]
    reason = reason_of(name)
    with pytest.raises(TypeError) as caught:
        X.__array_ufunc__(function, "__call__", X) if isinstance(function, np.ufunc) else X.__array_function__(
            function, (Tensor,), (X,), {}
        )
    assert str(caught.value).startswith(f"{name} of a Tensor is not supported")
    assert reason == NOT_YET or f"; {reason}. " in str(caught.value)


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_ufuncs_that_are_refused_raise(name: str) -> None:
    function: Any = REFUSED_FUNCTIONS[name]
    with pytest.raises(TypeError, match=f"{name} of a Tensor is not supported"):
        function(*([X, [0], X] if name.endswith(".at") else [X, [0]]))


MAKES_ARRAYS = [name for reason, names in REFUSED.items() if reason.startswith("it makes") for name in names.split()]


@pytest.mark.parametrize("name", MAKES_ARRAYS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_what_makes_bare_arrays_does_not_lose_a_gradient(name: str) -> None:
    """NumPy does not tell a Tensor of these calls, but asks it for an array, which it refuses to be."""
    x, function = NUMBER, FUNCTIONS[name]
    given = {
        "full": (2, x), "fromiter": ([x], float), "kaiser": (3, x), "bmat": ([[X]],), "fromfunction": (np.exp, x),
        "mask_indices": (x, np.triu),
    }  # fmt: skip
    call = function.__getitem__ if name in ("r_", "c_") else function
    with pytest.raises((TypeError, ValueError, BufferError)):
        call(*given.get(name, (x,)))
