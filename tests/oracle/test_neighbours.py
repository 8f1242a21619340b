"""Objects of pandas where arrays are taken, and arrays of PyTorch and JAX both ways."""

from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, grad, nn, no_grad, optim
from tinygrad_np.data import DataLoader

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# --- pandas ----------------------------------------------------------------------------------------------------------


def column(values: Any, dtype: Any = None) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.Series(values, dtype=dtype, index=range(5, 5 + len(values)))


def table() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"a": [1.5, 2.0, 3.0], "b": [4, 5, 6], "c": [True, False, True]}, index=[7, 8, 9])


NUMBERS = {
    "float64": np.float64, "float32": np.float32, "int64": np.int64, "uint8": np.uint8, "bool": np.bool_,
    "Float64": np.float64, "Float32": np.float32, "Int64": np.int64, "boolean": np.bool_, "complex128": np.complex128,
    "Sparse[float64]": np.float64,
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_a_column_of_numbers_is_an_array(name: str) -> None:
    given = column([1, 0, 1], name)
    for value in (given, given.array):
        made = Tensor(value)
        assert (made.dtype, made.tolist()) == (NUMBERS[name], [1, 0, 1])
        (batch,) = next(iter(DataLoader(value, batch_size=2)))
        assert type(batch) is np.ndarray
        assert (batch.dtype, batch.tolist()) == (NUMBERS[name], [1, 0])
    assert Tensor(given, dtype=np.complex64).dtype == np.complex64


def test_a_table_has_the_dtype_that_holds_all_columns() -> None:
    given = table()
    expected = np.array([[1.5, 4, 1], [2, 5, 0], [3, 6, 1]])
    np.testing.assert_array_equal(Tensor(given).data, expected)
    assert Tensor(given).dtype == np.float64
    assert Tensor(given[["b", "c"]]).dtype == np.int64
    assert Tensor(given.astype(np.float32)).dtype == np.float32
    assert Tensor(given[[]]).shape == (3, 0)
    x, y = next(iter(DataLoader(given, given["b"], batch_size=3)))
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, [4, 5, 6])


def test_numbers_are_copied_so_that_training_does_not_write_into_a_table() -> None:
    given = column([1.0, 2.0])
    w = Tensor(given, requires_grad=True)
    (w * w).sum().backward()
    optim.SGD([w], lr=0.5).step()
    assert (w.tolist(), given.tolist()) == ([0.0, 0.0], [1.0, 2.0])


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "NaN": (lambda: column([1.0, np.nan]), ValueError, r"row 1 of a Series of pandas is missing.*\.dropna\(\)"),
    "NA": (lambda: column([None, 1], "Int64"), ValueError, "row 0 of a Series of pandas is missing"),
    "NA of booleans": (lambda: column([None, True], "boolean"), ValueError, "row 0 of a Series of pandas is missing"),
    "NaN in a table": (
        lambda: table().assign(b=[1, np.nan, 2]), ValueError, "row 1, column 'b', of a DataFrame of pandas is missing"
    ),
    "categories": (lambda: column([1, 2], "category"), TypeError, r"Series of pandas holds category.*get_dummies"),
    "objects": (lambda: column([1, 2], object), TypeError, r"holds object, not numbers.*\.astype\(np.float32\)"),
    "text": (lambda: column(["1", "2"]), TypeError, "a Series of pandas holds"),
    "text in a table": (lambda: table().assign(d="x"), TypeError, "column 'd' of a DataFrame of pandas holds"),
    "dates": (lambda: column(["2026-01-01"], "datetime64[s]"), TypeError, "holds datetime64.*, not numbers"),
    "durations": (lambda: column([1], "timedelta64[s]"), TypeError, "holds timedelta64.*, not numbers"),
    "labels": (lambda: table().index, TypeError, r"a Index of pandas labels rows or columns.*index\.to_numpy"),
    "names": (lambda: table().columns, TypeError, "a Index of pandas labels rows or columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_of_numbers_is_refused(name: str) -> None:
    make, error, message = REFUSED[name]
    given = make()
    x = Tensor(np.ones(given.shape[-1:], np.float32), requires_grad=True)
    whole = Tensor(np.ones(given.shape[-1:], int))
    for take in (
        lambda: Tensor(given),
        lambda: x * given,
        lambda: np.add(x, given),
        lambda: np.concatenate([x, given]),
        lambda: tinygrad_np.relu(given),
        lambda: DataLoader(given, batch_size=1),
        lambda: whole + given,
        lambda: whole > given,
    ):
        with pytest.raises(error, match=message):
            take()


OPERATORS = {
    "add": lambda a, b: a + b,
    "divide": lambda a, b: a / b,
    "multiply": lambda a, b: a * b,
    "power": lambda a, b: a**b,
    "subtract": lambda a, b: a - b,
    "np.add": np.add,
    "np.arctan2": np.arctan2,
    "np.hypot": np.hypot,
    "np.maximum": np.maximum,
    "np.multiply": np.multiply,
}


@pytest.mark.parametrize("kind", ["column", "table"])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_give_tensors_on_either_side(name: str, kind: str) -> None:
    """pandas has operators and a protocol of its own, which must leave both to the Tensor."""
    given = {"column": table()["a"], "table": table()[["a", "b", "a"]]}[kind]
    numbers = np.asarray(given)
    for dtype in (np.float64, np.int64):
        w = Tensor(np.array([2, 3, 4], dtype), requires_grad=dtype is np.float64)
        for ours, theirs in (((w, given), (w, numbers)), ((given, w), (numbers, w))):
            y, expected = OPERATORS[name](*ours), OPERATORS[name](*theirs)
            assert type(y) is Tensor
            assert y.requires_grad == w.requires_grad
            assert y.dtype == expected.dtype
            np.testing.assert_array_equal(y.detach().data, expected.detach().data)
            if w.requires_grad:
                np.testing.assert_array_equal(grad(y.sum(), w).data, grad(expected.sum(), w).data)


def test_comparisons_give_arrays_on_either_side() -> None:
    given, w = table()["a"], Tensor([2.0, 2.0, 2.0])
    for found in (given > w, w < given, np.greater(given, w), np.less(w, given)):
        assert type(found) is np.ndarray
        assert found.tolist() == [False, False, True]
    assert (given == w).tolist() == (w == given).tolist() == [False, True, False]


def test_what_pandas_computes_by_itself_does_not_lose_a_gradient() -> None:
    frame, w = table()[["a", "b"]], Tensor([1.0, 2.0], requires_grad=True)
    for compute in (lambda: frame @ w, lambda: frame.dot(w), lambda: frame.T.assign(d=w), lambda: type(frame["a"])(w)):
        with pytest.raises(TypeError, match="becomes no array or number unasked"):
            compute()
    np.testing.assert_array_equal(grad((Tensor(frame) @ w).sum(), w).data, np.sum(frame.to_numpy(), axis=0))


def test_layers_losses_and_indices_take_columns_and_tables() -> None:
    frame = table().astype(np.float32)
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
    logits = layer(frame)
    np.testing.assert_array_equal(logits.data, layer(frame.to_numpy()).data)
    labels = column([1, 0, 1])
    loss = tinygrad_np.cross_entropy(logits, labels)
    assert loss.item() == tinygrad_np.cross_entropy(logits, labels.to_numpy()).item()
    np.testing.assert_array_equal(logits[labels].data, logits[labels.to_numpy()].data)
    table_of = nn.Embedding(2, 3, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(table_of(labels).data, table_of(labels.to_numpy()).data)
    w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    with no_grad():
        w -= frame["a"]
    assert w.tolist() == [-0.5, 0.0, 0.0]


# --- PyTorch and JAX -------------------------------------------------------------------------------------------------

DTYPES = ["float16", "float32", "float64", "int8", "int64", "uint8", "bool", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_shared_with_pytorch_both_ways(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([[1, 0], [1, 1]], dtype=getattr(torch, dtype))
    for ours in (Tensor(theirs), Tensor(np.from_dlpack(theirs))):
        assert (ours.dtype, ours.tolist()) == (np.dtype(dtype), [[1, 0], [1, 1]])
        theirs[0, 1] = 1
        assert ours.data[0, 1] == 1
        theirs[0, 1] = 0
        back = torch.from_dlpack(ours)
        assert back.data_ptr() == theirs.data_ptr()
        assert back.dtype == theirs.dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_jax_go_both_ways(dtype: str) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        theirs = jax.numpy.asarray(np.array([[1, 0], [1, 1]], dtype))
        copied, shared = Tensor(theirs), Tensor(np.from_dlpack(theirs))
        for ours in (copied, shared):
            assert (ours.dtype, ours.tolist()) == (np.dtype(dtype), [[1, 0], [1, 1]])
        back = jax.dlpack.from_dlpack(copied)
        assert (back.dtype, back.tolist()) == (np.dtype(dtype), [[1, 0], [1, 1]])
    copied.data[0, 1] = 1
    assert theirs.tolist() == [[1, 0], [1, 1]]  # arrays of JAX never change


def test_what_pytorch_and_jax_do_not_share_is_refused() -> None:
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    w = Tensor([1.0], requires_grad=True)
    for share in (torch.from_dlpack, jax.dlpack.from_dlpack):
        with pytest.raises(BufferError, match=r"write from_dlpack\(t.detach\(\)\)"):
            share(w)
    leaf = torch.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match=r"which this torch.Tensor does not give.*detach\(\)"):
        Tensor(leaf)
    with pytest.raises(TypeError, match="which this torch.Tensor does not give: .*BFloat16"):
        Tensor(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(TypeError, match="holds numbers or booleans, not bfloat16"):
        Tensor(jax.numpy.ones(2, jax.numpy.bfloat16))
    for theirs in (leaf, jax.numpy.ones(2)):  # each has a gradient of its own, which would be lost
        with pytest.raises(TypeError, match="as b, but no (torch.Tensor; write .detach|jaxlib.*write np.asarray)"):
            w * theirs
