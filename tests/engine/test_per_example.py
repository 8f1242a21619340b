"""Gradients of each example's loss, against one backward pass for each example."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import (
    Tensor,
    _per_example,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    binary_cross_entropy_with_logits,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    debug,
    fold,
    func,
    gelu,
    grad,
    max_pool2d,
    mse_loss,
    nn,
    per_example_grad,
    primitive,
    relu,
    softmax,
    unfold,
)
from tinygrad_np._registry import Primitive, registry
from tinygrad_np.ops.attention import attention
from tinygrad_np.ops.cases import Case as OperationCase
from tinygrad_np.ops.normalization import standardize
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.operations import (
    gradients_of_each_example_are_rows_of_the_jacobian,
    losses_of_examples,
    recorded,
)
from tinygrad_np.testing.strategies import arguments

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


# --- every operation that says how it treats examples ----------------------------------------------------------------

MORE = {  # cases that keep the examples, for operations that have none
    "reshape": [OperationCase("4 6", (), {"shape": (4, 2, 3)}), OperationCase("4 2 3", (), {"shape": (4, -1)})],
    "ravel": [OperationCase("4"), OperationCase("4 1")],
    "squeeze": [OperationCase("4 1 2", kwargs={"axis": 1}), OperationCase("4 1")],
    "concatenate": [OperationCase("n m, n k", kwargs={"axis": 1}), OperationCase("n m 2, n m 1", kwargs={"axis": -1})],
}
DECLARED = [
    entry
    for entry in dict.fromkeys(registry.values())
    if isinstance(entry, Primitive) and (entry.examples is not None or entry.jvp == "elementwise")
]


@pytest.mark.parametrize("entry", DECLARED, ids=lambda entry: entry.name)
def test_what_an_operation_declares_gives_the_rows_of_the_jacobian(entry: Primitive) -> None:
    taken = []

    def prove(data: st.DataObject) -> None:
        case = data.draw(st.sampled_from([*entry.cases, *MORE.get(entry.name, [])]))
        arrays = data.draw(arguments(case))
        outputs, sources = recorded(entry, case, arrays)
        losses = losses_of_examples(outputs)
        if losses is not None and _per_example._steps(losses, sources) is not None:
            taken.append(case)
        gradients_of_each_example_are_rows_of_the_jacobian(entry, case, arrays)

    settings(max_examples=60, derandomize=True)(given(st.data())(prove))()
    assert taken  # as long as the same arguments are drawn
    given(st.data())(prove)()


# --- networks --------------------------------------------------------------------------------------------------------

X, IMAGES, WORDS = normal(5, 4), normal(5, 2, 6, 6), RNG.integers(7, size=(5, 3))
LABELS, TARGETS = RNG.integers(3, size=5), normal(5, 3)
Case = tuple[Callable[..., Any], Any, tuple[Any, ...]]  # losses of weights and batches, the weights, the batches


def perceptron(w: Any, x: Any, labels: Any) -> Any:
    return cross_entropy(relu(x @ w["a"] + w["b"]) @ w["c"], labels, reduction="none")


def squares(w: Any, x: Any, targets: Any) -> Any:
    return np.mean((np.tanh(x @ w[0] * w[1]) - targets) ** 2, axis=1)


def convolutional(w: Any, x: Any, labels: Any) -> Any:
    y = max_pool2d(relu(conv2d(x, w[0], w[1], padding=1)), 2)
    y = avg_pool2d(gelu(conv2d(y, w[2], None)), 1)
    return cross_entropy(np.reshape(y, (len(x), -1)) @ w[3], labels, reduction="none")


def folded(w: Any, x: Any, labels: Any) -> Any:
    y = conv_transpose2d(x, w[0], w[1], stride=2, padding=1)
    y = fold(unfold(y, 3) * w[2], y.shape[2:], 3)
    y = adaptive_avg_pool2d(y, (2, 3)) * adaptive_max_pool2d(y, (2, 3))
    return cross_entropy(np.reshape(y, (len(x), -1)) @ w[3], labels, reduction="none")


def transformer(w: Any, words: Any, labels: Any) -> Any:
    x = w["table"][words] + w["places"]
    x = standardize(x, w["scale"], w["shift"], axis=(-1,), eps=1e-5)
    x = x + attention(x @ w["q"], x @ w["k"], x @ w["v"], heads=2)
    x = np.transpose(np.swapaxes(np.transpose(x, (0, 2, 1)), 1, 2), (0, 1, 2))
    x = np.concatenate([x[:, 0], np.max(x, axis=1)], axis=-1)
    scores = softmax(np.expand_dims(x @ w["out"], 1), axis=-1)[:, 0]
    return -np.log(scores[np.arange(len(labels)), labels])


def shared_in_many_places(w: Any, x: Any) -> Any:
    """Weights that are changed before they are used, and used twice, with a batch and without."""
    v = np.exp(w["v"]) / np.sum(np.exp(w["v"]))
    return np.sum((x * v) @ w["m"].T @ np.linalg.inv(w["m"]), axis=-1) + np.sum(w["m"] ** 2) * v[0] + x[:, 0]


CASES: dict[str, Case] = {
    "perceptron": (perceptron, {"a": normal(4, 6), "b": normal(6), "c": normal(6, 3)}, (X, LABELS)),
    "squares": (squares, [normal(4, 3), normal(1, 3)], (X, TARGETS)),
    "convolutional": (
        convolutional, [normal(3, 2, 3, 3), normal(3), normal(2, 3, 2, 2), normal(8, 3)], (IMAGES, LABELS)
    ),
    "folded": (folded, [normal(2, 1, 4, 4), normal(1), normal(9, 1), normal(6, 3)], (IMAGES, LABELS)),
    "transformer": (
        transformer,
        {
            "table": normal(7, 4), "places": normal(3, 4), "scale": normal(4), "shift": normal(4),
            "q": normal(4, 4), "k": normal(4, 4), "v": normal(4, 4), "out": normal(8, 3),
        },
        (WORDS, LABELS),
    ),
    "shared in many places": (shared_in_many_places, {"v": normal(4), "m": normal(4, 4) + 3 * np.eye(4)}, (X,)),
    "a scalar weight": (lambda w, x: np.sum(x, axis=1) * w, 2.0, (X,)),
    "weights of the size of the batch": (lambda w, x: (x @ w[0] @ w[1])[:, 0] ** 2, [normal(4, 5), normal(5, 5)], (X,)),
    "mean squared errors": (
        lambda w, x, t: np.mean(mse_loss(x @ w, t, reduction="none"), axis=1), normal(4, 3), (X, TARGETS)
    ),
    "logistic regression": (
        lambda w, x: binary_cross_entropy_with_logits(x @ w, (x[:, 0] > 0) * 1.0, reduction="none"), normal(4), (X,)
    ),
}  # fmt: skip


def loop(function: Any, weights: Any, batches: Any) -> np.ndarray:
    """The gradients of each example by itself, as vectors."""
    of_one = func.grad(lambda w, *batches: function(w, *batches).sum())
    rows = [func.flatten(of_one(weights, *(b[i : i + 1] for b in batches)))[0] for i in range(len(batches[0]))]
    return np.stack(rows)


def vectors(tree: Any, batch: int) -> np.ndarray:
    leaves = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else [tree]
    return np.concatenate([np.reshape(leaf, (batch, -1)) for leaf in leaves], axis=1)


@pytest.mark.parametrize("name", CASES)
def test_they_are_the_gradients_of_each_example_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, weights, batches = CASES[name]
    rows = func.jacobian(function)(weights, *batches)
    monkeypatch.setattr(_per_example, "backward_of_each", lambda *_: pytest.fail("took the passes of a jacobian"))
    found = func.per_example_grad(function)(weights, *batches)
    if isinstance(weights, dict):
        assert list(found) == list(weights)
        assert {k: v.shape[1:] for k, v in found.items()} == {k: np.shape(v) for k, v in weights.items()}
    np.testing.assert_allclose(vectors(found, 5), loop(function, weights, batches), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(vectors(found, 5), vectors(rows, 5), rtol=1e-9, atol=1e-11)


def test_examples_that_mix_have_the_gradients_of_their_losses() -> None:
    def mixing(w: Any, x: Any) -> Any:
        y = np.tanh(x @ w)
        return np.sum(standardize(y, None, None, axis=(0,), eps=1e-5) ** 3, axis=1)

    for function in (mixing, lambda w, x: np.cumsum(np.tanh(x @ w)[:, 0]), lambda w, x: np.sort(x @ w[:, 0])):
        w = normal(4, 3)
        np.testing.assert_allclose(func.per_example_grad(function)(w, X), func.jacobian(function)(w, X), rtol=1e-12)


def test_weights_that_are_a_batch_in_one_place_and_not_in_another() -> None:
    def losses(w: Any, x: Any) -> Any:
        v = np.exp(w)
        return np.sum(x * v, axis=1) + np.sum(v**2) * x[:, 0] + np.sum(v[:, :1] * x, axis=1)

    w = normal(5, 4)
    np.testing.assert_allclose(func.per_example_grad(losses)(w, X), func.jacobian(losses)(w, X), rtol=1e-12)


def test_an_operation_that_declares_nothing_is_taken_as_in_a_jacobian() -> None:
    flipped = primitive(lambda x: x[::-1] * 2, lambda g, y, x: g[::-1] * 2)
    w = normal(4)
    found = func.per_example_grad(lambda w, x: flipped(x @ w))(w, X)
    np.testing.assert_allclose(found, 2 * X[::-1], rtol=1e-14)


def test_a_vjp_that_sums_by_itself_sees_one_example_after_the_other() -> None:
    shapes = []

    def summed(g: Any, y: Any, x: Any, a: Any) -> Any:
        shapes.append(g.shape)
        return np.sum(g * x, keepdims=True)

    scale = primitive(lambda x, a: x * a, lambda g, y, x, a: g * a, summed, jvp="elementwise")
    found = func.per_example_grad(lambda a, x: np.sum(scale(x, a), axis=1))(np.ones((1, 1)), X)
    np.testing.assert_allclose(found, X.sum(axis=1)[:, None, None], rtol=1e-14)
    assert shapes[1:] == [(1, 4)] * 5


def test_gradients_with_respect_to_the_batch_itself() -> None:
    w = normal(4)
    of_w, of_x = func.per_example_grad(lambda w, x: np.tanh(x * w).sum(axis=1), (0, 1))(w, X)
    assert of_x.shape == (5, 5, 4)
    for i in range(5):
        np.testing.assert_allclose(of_x[i, i] * X[i], of_w[i] * w, rtol=1e-12)
        assert not np.delete(of_x[i], i, axis=0).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtypes_are_those_of_the_weights(dtype: Any) -> None:
    w, x = normal(4, 3).astype(dtype), X.astype(dtype)
    found = func.per_example_grad(lambda w, x: np.sum((x @ w) ** 2, axis=1) + np.sum(w) * np.ones(5, dtype))(w, x)
    assert found.dtype == dtype
    expected = 2 * X[:, :, None] * (X @ w.astype(float))[:, None, :] + 1
    np.testing.assert_allclose(found, expected, rtol=1e-2 if dtype is np.float16 else 1e-5, atol=1e-2)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_batches_of_few(batch: int) -> None:
    found = func.per_example_grad(lambda w, x: np.sum(x * w, axis=1))(np.ones(4), X[:batch])
    np.testing.assert_array_equal(found, X[:batch])


def test_results_are_of_the_kind_of_the_arguments() -> None:
    f = func.per_example_grad(lambda w, x: np.sum(x * w, axis=1) ** 2)
    assert type(f(np.ones(4), X)) is np.ndarray
    slope = f(Tensor(np.ones(4)), X)
    assert (type(slope), slope.requires_grad) == (Tensor, False)
    v = Tensor(2.0, requires_grad=True)
    slope = func.per_example_grad(lambda w, x: v * np.sum(x * w, axis=1))(np.ones(4), X)
    assert grad(slope.sum(), v).item() == pytest.approx(X.sum())


def test_it_is_differentiable_itself() -> None:
    check_gradients(func.per_example_grad(lambda w, x: np.sum(np.tanh(x * w), axis=1) ** 2), normal(4), X, order=2)


def test_unused_weights_have_zeros() -> None:
    found = func.per_example_grad(lambda w, x: np.sum(x * w[0], axis=1))([np.ones(4), np.ones((2, 3))], X)
    assert (found[1].shape, found[1].any()) == ((5, 2, 3), False)
    assert func.per_example_grad(lambda w, x: Tensor(x[:, 0]))(np.ones(4), X).tolist() == np.zeros((5, 4)).tolist()


def test_anomalies_and_writes_are_noticed() -> None:
    with debug.detect_anomaly(), pytest.raises(FloatingPointError, match="sqrt"):
        func.per_example_grad(lambda w, x: np.sum(np.sqrt(x * 0 * w), axis=1))(np.ones(4), X)
    for v in (Tensor(np.ones(4)), Tensor(np.ones((5, 4)))):

        def writes(w: Any, x: Any, v: Any = v) -> Any:
            losses = np.sum(np.tanh(w * v) * x, axis=1)
            v.data = 2 * v.data
            return losses

        with pytest.raises(RuntimeError, match="argument 1 of multiply, .* was changed after the operation"):
            func.per_example_grad(writes)(np.ones(4), X)


def test_an_error_in_a_vjp_names_the_operation() -> None:
    def back(g: Any, y: Any, x: Any) -> Any:
        raise ArithmeticError("no")

    wrong = primitive(lambda x: x + 0, back, name="wrong", jvp="elementwise")
    with pytest.raises(ArithmeticError) as caught:
        func.per_example_grad(lambda w, x: np.sum(wrong(x * w), axis=1))(np.ones(4), X)
    assert caught.value.__notes__ == ["in the backward pass of wrong"]


# --- of a model ------------------------------------------------------------------------------------------------------


def test_the_weights_of_a_model() -> None:
    rng = np.random.default_rng(0)
    layers: list[Any] = [nn.Embedding(7, 4, padding_idx=0, rng=rng), nn.LayerNorm(4), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(12, 5, rng=rng), nn.Tanh(), nn.Linear(5, 3, rng=rng))
    weights = list(model.parameters())
    found = per_example_grad(cross_entropy(model(WORDS), LABELS, reduction="none"), model.parameters())
    assert [(g.shape, g.dtype, g.requires_grad) for g in found] == [((5, *w.shape), w.dtype, False) for w in weights]
    for i in range(5):
        of_one = grad(cross_entropy(model(WORDS[i : i + 1]), LABELS[i : i + 1]), weights)
        for ours, expected in zip(found, of_one, strict=True):
            np.testing.assert_allclose(ours.data[i], expected.data, rtol=1e-4, atol=1e-6)
    assert all(w.grad is None for w in weights)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("lengths", [None, np.array([2, 6, 1, 4, 6])])
def test_the_weights_of_a_recurrent_network(kind: Any, lengths: Any) -> None:
    """Whose batch is the second axis of its operation: it takes the pass of `jacobian`."""
    rng = np.random.default_rng(0)
    layer = kind(4, 3, num_layers=2, bidirectional=True, batch_first=True, rng=rng, dtype=np.float64)
    head = nn.Linear(6, 3, rng=rng, dtype=np.float64)
    weights, x = [*layer.parameters(), *head.parameters()], normal(5, 6, 4)

    def losses(which: slice) -> Any:
        keywords = {} if lengths is None else {"lengths": lengths[which]}
        outputs, _ = layer(x[which], **keywords)
        return cross_entropy(head(np.mean(outputs, axis=1)), LABELS[which], reduction="none")

    found = per_example_grad(losses(slice(None)), weights)
    for i in range(5):
        of_one = grad(losses(slice(i, i + 1)).sum(), weights)
        for ours, expected in zip(found, of_one, strict=True):
            np.testing.assert_allclose(ours.data[i], expected.data, rtol=1e-10, atol=1e-12)


def test_the_graph_is_kept_and_may_be_recorded() -> None:
    w = Tensor(normal(4), requires_grad=True)
    losses = np.tanh(X @ w) ** 2
    first = per_example_grad(losses, w)
    np.testing.assert_array_equal(per_example_grad(losses, [w])[0].data, first.data)
    recorded = per_example_grad(losses, w, create_graph=True)
    np.testing.assert_allclose(recorded.data, first.data, rtol=1e-12)
    expected = func.grad(lambda w: (func.per_example_grad(lambda w: np.tanh(X @ w) ** 2)(w) ** 2).sum())(w.data)
    np.testing.assert_allclose(grad((recorded**2).sum(), w).data, expected, rtol=1e-12)


def test_mistakes_with_models_are_told() -> None:
    w = Tensor(normal(4), requires_grad=True)
    model = nn.Linear(4, 3, rng=np.random.default_rng(0))
    for losses, inputs, kind, message in (
        ((X @ w).mean(), w, ValueError, r"per_example_grad: expected one loss .* not of shape \(\); leave out .mean"),
        (X @ w, model, TypeError, r"not Linear; write model.parameters\(\)"),
        (X @ w, X, TypeError, "input 0 is not a Tensor with requires_grad=True"),
        (X @ w, [w, Tensor(X)], TypeError, "input 1 is not a Tensor with requires_grad=True"),
        (X @ w.detach(), w, RuntimeError, "no gradient: this Tensor was computed under no_grad"),
        ((X @ w).data, w, TypeError, "takes a Tensor of losses, not ndarray; see func.per_example_grad"),
        (lambda w: X @ w, w, TypeError, "takes a Tensor of losses, not function; see func.per_example_grad"),
    ):
        with pytest.raises(kind, match=message):
            per_example_grad(losses, inputs)
    losses = X @ w
    grad(losses.sum(), w)
    with pytest.raises(RuntimeError, match="the graph was freed"):
        per_example_grad(losses, w)
    for batch in (X, X[:1]):
        losses = np.tanh(batch @ w)
        w.data = 2 * w.data
        with pytest.raises(RuntimeError, match="argument 1 of matmul, .* was changed after the operation"):
            per_example_grad(losses, w)


def test_mistakes_are_told() -> None:
    w = np.ones(4)
    for f, kind, message in (
        (lambda w, x: (x * w).sum(), ValueError, r'of shape \(\); leave out .mean\(\) or .sum\(\), or .*="none"'),
        (lambda w, x: (x @ w)[:, None], ValueError, r"of shape \(5, 1\); write losses\[:, 0\]"),
        (lambda w, x: x * w, ValueError, r"of shape \(5, 4\); see func.jacobian"),
        (lambda w, x: x @ x[0], TypeError, "a Tensor with one loss for each example, not ndarray"),
        (lambda w, x: Tensor(np.ones(5, int)), TypeError, r"<lambda>: expected real .*, not int64\[5\]"),
        (lambda w, x: (x @ w, 1), TypeError, "one loss for each example, not tuple"),
    ):
        with pytest.raises(kind, match=message):
            func.per_example_grad(f)(w, X)
    with pytest.raises(TypeError, match="expected a function to differentiate, not Tensor"):
        func.per_example_grad(Tensor(1.0))


def test_complex_numbers_between_weights_and_losses() -> None:
    w = normal(4)
    for losses in (
        lambda w, x: np.sum(np.abs(np.exp(1j * x * w) + w) ** 2, axis=1),
        lambda w, x: np.sum(np.abs(np.fft.fft(x * w, axis=1)) ** 2, axis=1),
    ):
        np.testing.assert_allclose(func.per_example_grad(losses)(w, X), func.jacobian(losses)(w, X), rtol=1e-12)
    with pytest.raises(TypeError, match=r"<lambda>: expected real floating point numbers, not complex128\[\]"):
        func.per_example_grad(lambda w, x: np.abs(x @ np.ones(4) * w))(1j, X)
