"""PyTorch as an independent oracle of recurrent layers and attention: values and gradients, from the same weights."""

from typing import Any

from tinygrad_np import Tensor, grad, log_softmax, nn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}

sizes = st.integers(1, 4)
dtypes = st.sampled_from(sorted(TOLERANCE, key=str))
seeds = st.integers(0, 999)
pytestmark = pytest.mark.slow


def with_its_weights(theirs: Any, ours: nn.Module) -> None:
    """Give our module the weights of PyTorch's."""
    state = {name: value.detach().numpy() for name, value in theirs.named_parameters()}
    ours.load_state_dict(nn.transpose_weights(ours, state))


def flat(results: Any) -> list[Any]:
    return [leaf for r in results for leaf in flat(r)] if isinstance(results, tuple | list) else [results]


def compare(theirs: Any, ours: nn.Module, inputs: list[np.ndarray], call: Any) -> None:
    """Outputs, and the gradients of inputs and parameters, of `call(module, inputs)`."""
    with_its_weights(theirs, ours)
    dtype = inputs[0].dtype.type
    their_inputs = [torch.tensor(x, requires_grad=True) for x in inputs]
    our_inputs = [Tensor(x.copy(), requires_grad=True) for x in inputs]
    expected, found = flat(call(theirs, their_inputs)), flat(call(ours, our_inputs))
    assert len(found) == len(expected)
    rng = np.random.default_rng(0)
    seeds = [rng.uniform(-1, 1, y.shape).astype(dtype) for y in found]
    names = [name for name, _ in theirs.named_parameters()]
    their_gradients = torch.autograd.grad(
        expected, [*their_inputs, *theirs.parameters()], [torch.tensor(s) for s in seeds]
    )
    tensors = dict(ours.named_tensors())
    our_gradients = grad(found, [*our_inputs, *(tensors[name] for name in names)], seeds)

    def same(ours: Tensor, theirs: np.ndarray) -> None:
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.data, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])

    for y, their_y in zip(found, expected, strict=True):
        same(y, their_y.detach().numpy())
    for i, (g, their_g) in enumerate(zip(our_gradients, their_gradients, strict=True)):
        same(g, their_g.numpy() if i < len(inputs) else their_g.numpy().T)


def options_of(draw: Any, kind: str, **choices: Any) -> dict[str, Any]:
    options = {name: draw(choice) for name, choice in choices.items()}
    return options | ({"nonlinearity": draw(st.sampled_from(["tanh", "relu"]))} if kind.startswith("RNN") else {})


def arrays(seed: int, dtype: type, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-2, 2, shape).astype(dtype) for shape in shapes]


def with_states(kind: str, module: Any, inputs: list[Any]) -> Any:
    """The call of a recurrent module, with initial states if there are any."""
    x, *states = inputs
    return module(x, tuple(states) if kind.startswith("LSTM") else states[0]) if states else module(x)


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
@given(data=st.data(), inputs=sizes, hidden=sizes, batch=st.integers(0, 3), dtype=dtypes, seed=seeds)
def test_cells(kind: str, data: st.DataObject, inputs: int, hidden: int, batch: int, dtype: type, seed: int) -> None:
    options = options_of(data.draw, kind, bias=st.booleans())
    ours = getattr(nn, kind)(inputs, hidden, **options, rng=np.random.default_rng(seed), dtype=dtype)
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(inputs, hidden, **options, dtype=getattr(torch, dtype.__name__))
    lead = (batch,) if batch else ()
    states = data.draw(st.booleans()) * (2 if kind == "LSTMCell" else 1) * [(*lead, hidden)]
    compare(theirs, ours, arrays(seed, dtype, (*lead, inputs), *states), lambda m, given: with_states(kind, m, given))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@given(data=st.data(), inputs=sizes, hidden=sizes, batch=st.integers(0, 3), steps=sizes, dtype=dtypes, seed=seeds)
def test_layers(
    kind: str, data: st.DataObject, inputs: int, hidden: int, batch: int, steps: int, dtype: type, seed: int
) -> None:
    options = options_of(
        data.draw,
        kind,
        num_layers=st.integers(1, 3),
        bias=st.booleans(),
        batch_first=st.booleans(),
        bidirectional=st.booleans(),
    )
    ours = getattr(nn, kind)(inputs, hidden, **options, rng=np.random.default_rng(seed), dtype=dtype)
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(inputs, hidden, **options, dtype=getattr(torch, dtype.__name__))
    lead = (batch,) if batch else ()
    shape = (batch, steps, inputs) if batch and options["batch_first"] else (steps, *lead, inputs)
    state = (options["num_layers"] * (1 + options["bidirectional"]), *lead, hidden)
    states = data.draw(st.booleans()) * (2 if kind == "LSTM" else 1) * [state]
    compare(theirs, ours, arrays(seed, dtype, shape, *states), lambda m, given: with_states(kind, m, given))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@given(data=st.data(), batch=sizes, steps=sizes, dtype=dtypes, seed=seeds)
def test_padded_sequences(kind: str, data: st.DataObject, batch: int, steps: int, dtype: type, seed: int) -> None:
    lengths = data.draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch), "lengths")
    options = options_of(
        data.draw, kind, num_layers=st.integers(1, 2), bidirectional=st.booleans(), batch_first=st.booleans()
    )
    ours = getattr(nn, kind)(3, 2, **options, rng=np.random.default_rng(seed), dtype=dtype)
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(3, 2, **options, dtype=getattr(torch, dtype.__name__))
    first = options["batch_first"]
    shape = (batch, steps, 3) if first else (steps, batch, 3)
    states = (2 if kind == "LSTM" else 1) * [(options["num_layers"] * (1 + options["bidirectional"]), batch, 2)]

    def call(module: Any, inputs: list[Any]) -> Any:
        x, *hx = inputs
        given = tuple(hx) if kind == "LSTM" else hx[0]
        if isinstance(module, nn.Module):
            return module(x, given, lengths=lengths)
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=first, enforce_sorted=False)
        outputs, last = module(packed, given)
        return rnn.pad_packed_sequence(outputs, batch_first=first, total_length=steps)[0], last

    compare(theirs, ours, arrays(seed, dtype, shape, *states), call)


@given(data=st.data(), dtype=dtypes, seed=seeds)
def test_scaled_dot_product_attention(data: st.DataObject, dtype: type, seed: int) -> None:
    lead = data.draw(st.sampled_from([(), (2,), (2, 3)]))
    queries, keys, features, values = (data.draw(sizes) for _ in range(4))
    is_causal = data.draw(st.booleans())
    q, k, v = arrays(seed, dtype, (*lead, queries, features), (*lead, keys, features), (*lead, keys, values))
    full = (*lead, queries, keys)
    shape = data.draw(st.sampled_from([None, full, (queries, keys), (keys,), (*(1,) * (len(full) - 1), keys)]))
    both = shape is not None and is_causal  # which PyTorch does not take
    mask = None if shape is None or both else np.random.default_rng(seed).random(shape) < 0.4
    theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    allowed = None if mask is None else torch.tensor(~mask).expand(full)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, attn_mask=allowed, is_causal=is_causal)
    ours = [Tensor(x, requires_grad=True) for x in (q, k, v)]
    found = nn.scaled_dot_product_attention(*ours, mask=mask, is_causal=is_causal)
    g = np.random.default_rng(seed + 1).uniform(-1, 1, found.shape).astype(dtype)
    their_gradients = torch.autograd.grad(expected, theirs, torch.tensor(g))
    pairs = [(found, expected), *zip(grad(found, ours, g), their_gradients, strict=True)]
    for y, their_y in pairs:
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data, their_y.detach().numpy(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@given(data=st.data(), dtype=dtypes, seed=seeds)
def test_multihead_attention(data: st.DataObject, dtype: type, seed: int) -> None:
    heads, queries, keys, batch = data.draw(sizes), data.draw(sizes), data.draw(sizes), data.draw(st.integers(0, 3))
    size, bias = heads * data.draw(sizes), data.draw(st.booleans())
    lead = (batch,) if batch else ()
    rng = np.random.default_rng(seed)
    masks = {}
    if data.draw(st.booleans()):
        masks["key_padding_mask"] = rng.random((*lead, keys)) < 0.3
    if data.draw(st.booleans()):
        every_head = data.draw(st.sampled_from([(), (max(batch, 1) * heads,)]))
        masks["attn_mask"] = rng.random((*every_head, queries, keys)) < 0.3
    for mask in masks.values():
        mask[..., 0] = False  # PyTorch gives NaN where nothing is allowed
    is_causal = data.draw(st.booleans())
    need_weights = data.draw(st.booleans())
    their_masks = {name: torch.tensor(mask) for name, mask in masks.items()}
    if is_causal:  # which PyTorch takes as a hint to what the mask is
        causal = torch.ones(queries, keys, dtype=torch.bool).triu(1)
        their_masks["attn_mask"] = their_masks.get("attn_mask", causal) | causal

    def call(module: Any, inputs: list[Any]) -> Any:
        is_ours = isinstance(module, nn.Module)
        options = masks | {"is_causal": is_causal} if is_ours else their_masks
        output, weights = module(*inputs, **options, need_weights=need_weights)
        assert (weights is None) == (not need_weights)
        return [output, weights] if need_weights else [output]

    ours = nn.MultiheadAttention(size, heads, bias, rng=rng, dtype=dtype)
    torch.manual_seed(seed)
    theirs = torch.nn.MultiheadAttention(size, heads, bias=bias, batch_first=True, dtype=getattr(torch, dtype.__name__))
    inputs = arrays(seed, dtype, (*lead, queries, size), (*lead, keys, size), (*lead, keys, size))
    compare(theirs, ours, inputs, call)


@given(data=st.data(), dtype=dtypes, seed=seeds)
def test_attention_of_a_sequence_to_itself(data: st.DataObject, dtype: type, seed: int) -> None:
    ours = nn.MultiheadAttention(6, 2, rng=np.random.default_rng(seed), dtype=dtype)
    torch.manual_seed(seed)
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=getattr(torch, dtype.__name__))
    compare(theirs, ours, arrays(seed, dtype, (2, data.draw(sizes), 6)), lambda m, x: m(x[0], x[0], x[0]))


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
@given(data=st.data(), batch=st.integers(0, 3), length=sizes, keys=sizes, dtype=dtypes, seed=seeds)
def test_transformers(
    kind: str, data: st.DataObject, batch: int, length: int, keys: int, dtype: type, seed: int
) -> None:
    options = options_of(
        data.draw, kind, activation=st.sampled_from(["relu", "gelu", "tanh"]), norm_first=st.booleans(),
        bias=st.booleans(), layer_norm_eps=st.sampled_from([1e-5, 0.1]),
    )  # fmt: skip
    ours_too, theirs_too = dict(options), dict(options)
    if options["activation"] == "tanh":
        ours_too["activation"], theirs_too["activation"] = np.tanh, torch.tanh
    rng, lead, layers = np.random.default_rng(seed), (batch,) if batch else (), data.draw(st.integers(1, 2), "layers")
    torch.manual_seed(seed)
    ours = getattr(nn, f"Transformer{kind}Layer")(4, 2, 6, 0.0, **ours_too, rng=rng, dtype=dtype)
    ours = getattr(nn, f"Transformer{kind}")(
        ours, layers, data.draw(st.sampled_from([None, nn.LayerNorm(4, dtype=dtype)]))
    )
    theirs = getattr(torch.nn, f"Transformer{kind}Layer")(
        4, 2, 6, 0.0, **theirs_too, batch_first=True, dtype=getattr(torch, dtype.__name__)
    )
    norm = None if ours.norm is None else torch.nn.LayerNorm(4, dtype=getattr(torch, dtype.__name__))
    plain = {"enable_nested_tensor": False} if kind == "Encoder" else {}
    theirs = getattr(torch.nn, f"Transformer{kind}")(theirs, layers, norm, **plain)
    masks: dict[str, np.ndarray] = {}
    mask, padding = ("mask", "src_key_padding_mask") if kind == "Encoder" else ("tgt_mask", "tgt_key_padding_mask")
    if data.draw(st.booleans(), "mask"):
        masks[mask] = rng.random((length, length)) < 0.3
    if data.draw(st.booleans(), "padding"):
        masks[padding] = rng.random((*lead, length)) < 0.3
    if kind == "Decoder" and data.draw(st.booleans(), "memory"):
        masks["memory_mask"] = rng.random((length, keys)) < 0.3
        masks["memory_key_padding_mask"] = rng.random((*lead, keys)) < 0.3
    for array in masks.values():
        array[..., 0] = False  # PyTorch gives NaN where nothing is allowed

    def call(module: Any, inputs: list[Any]) -> Any:
        if isinstance(module, nn.Module):
            return [module(*inputs, **{"src_mask" if name == "mask" else name: m for name, m in masks.items()})]
        return [module(*inputs, **{name: torch.tensor(m) for name, m in masks.items()})]

    inputs = arrays(seed, dtype, (*lead, length, 4), *[(*lead, keys, 4)] * (kind == "Decoder"))
    compare(theirs, ours, inputs, call)


@given(data=st.data(), batch=st.integers(1, 4), steps=st.integers(1, 8), dtype=dtypes, seed=seeds)
def test_ctc_loss(data: st.DataObject, batch: int, steps: int, dtype: type, seed: int) -> None:
    classes, longest = data.draw(st.integers(2, 4), "classes"), data.draw(st.integers(1, 4), "longest")
    blank = data.draw(st.integers(0, classes - 1), "blank")
    reduction = data.draw(st.sampled_from(["mean", "sum", "none"]), "reduction")
    zero_infinity = data.draw(st.booleans(), "zero_infinity")
    rng = np.random.default_rng(seed)
    targets = rng.choice([label for label in range(classes) if label != blank], (batch, longest))
    inputs, lengths = rng.integers(1, steps + 1, batch), rng.integers(0, longest + 1, batch)
    if data.draw(st.booleans(), "concatenated"):
        targets = np.concatenate([target[:length] for target, length in zip(targets, lengths, strict=True)])
    (logits,) = arrays(seed, dtype, (steps, batch, classes))
    ours, theirs = Tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    options = {"reduction": reduction, "zero_infinity": zero_infinity}
    found = nn.CTCLoss(blank, **options)(log_softmax(ours), targets, inputs, lengths)
    expected = torch.nn.CTCLoss(blank, **options)(
        torch.log_softmax(theirs, -1), torch.tensor(targets), torch.tensor(inputs), torch.tensor(lengths)
    )
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    assert found.dtype == dtype
    np.testing.assert_allclose(found.data, expected.detach().numpy(), **tolerance)
    g = np.asarray(rng.uniform(-1, 1, found.shape), dtype)
    gradient = torch.autograd.grad(expected, theirs, torch.tensor(g))[0].numpy()
    possible = np.isfinite(gradient)  # it is NaN there, and 0 here, where no alignment is possible
    assert not zero_infinity or possible.all()
    np.testing.assert_allclose(grad(found, ours, g).data[possible], gradient[possible], **tolerance)
