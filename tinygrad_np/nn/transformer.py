"""Layers of a transformer, and stacks of them: attention and a network for each position, with residuals and norms.

An encoder reads a sequence; a decoder attends to what an encoder made of it as well. Names are PyTorch's, and so are
the parameters, with transposed weights. The batch always comes first, and masks are those of `MultiheadAttention`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from .. import _validation as check
from .._messages import shown, with_hints
from ..ops.elementwise import relu
from ..ops.special import gelu
from ..tensor import Tensor
from . import init
from .attention import MultiheadAttention
from .containers import ModuleList
from .layers import DROPPED, Linear, dropped
from .module import Layer, Module
from .normalization import LayerNorm

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}


def _activation(owner: str, name: str, value: Any) -> Any:
    if isinstance(value, type) or not (callable(value) or (isinstance(value, str) and value in ACTIVATIONS)):
        hint = f"; write {value.__name__}()" if isinstance(value, type) else ""
        raise ValueError(f"{owner}: {name} must be 'relu', 'gelu' or a function, not {shown(value)}{hint}")
    return value


class _TransformerLayer(Layer):
    """Base class: self-attention, the network, and how each is joined to what it reads."""

    _checks: ClassVar[check.Checks] = {
        "d_model": check.positive_integer,
        "nhead": check.positive_integer,
        "dim_feedforward": check.positive_integer,
        "dropout": DROPPED,
        "activation": _activation,
        "layer_norm_eps": partial(check.real, at_least=0),
        "norm_first": check.boolean,
        "bias": check.boolean,
        "rng": check.generator,
    }
    _fixed = frozenset({"d_model", "nhead", "dim_feedforward", "layer_norm_eps", "bias"})
    _attentions: ClassVar[tuple[str, ...]] = ("self_attn",)

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        owner = type(self).__name__
        self.d_model, self.nhead, self.dim_feedforward, self.dropout = d_model, nhead, dim_feedforward, dropout
        self.activation, self.layer_norm_eps, self.norm_first = activation, layer_norm_eps, norm_first
        self.bias, self.rng = bias, rng
        dtype = check.floating_dtype(owner, "dtype", dtype)
        if d_model % nhead:
            raise ValueError(f"{owner}: nhead must divide d_model, and {nhead} does not divide {d_model}")
        options: dict[str, Any] = {"rng": rng, "dtype": dtype}
        for name in self._attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, bias, dropout=dropout, **options))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **options)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **options)
        weight = init.glorot_uniform((dim_feedforward, d_model), **options)  # no ReLU follows
        self.linear2.weight = Tensor(weight, requires_grad=True)
        for i in range(len(self._attentions) + 1):
            setattr(self, f"norm{i + 1}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))

    def _like(self) -> Self:
        """A layer with the same arguments and initial weights of its own."""
        arguments = self.d_model, self.nhead, self.dim_feedforward, self.dropout, self.activation
        further = self.layer_norm_eps, self.norm_first, self.bias
        return type(self)(*arguments, *further, rng=self.rng, dtype=self.linear1.weight.dtype)

    def _joined(self, x: Any, norm: LayerNorm, part: Callable[[Any], Any]) -> Any:
        """The residual connection around a part of the layer, with its norm before the part or after the sum."""
        if self.norm_first:
            return x + self._dropped(part(norm(x)))
        return norm(x + self._dropped(part(x)))

    def _dropped(self, x: Any) -> Any:
        return dropped(x, self.dropout, self.rng) if self.training else x

    def _network(self, x: Any) -> Any:
        activation = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        return self.linear2(self._dropped(activation(self.linear1(x))))

    def _checked(self, name: str, x: Any) -> Any:
        shape = np.shape(x)
        if len(shape) not in (2, 3) or shape[-1] != self.d_model:
            n = self.d_model
            expected = f"{name} of shape (batch, length, {n}) or (length, {n})"
            raise ValueError(f"{type(self).__name__}: expected {expected}, not {shape}")
        return x if isinstance(x, Tensor) else np.asarray(x)


def _attended(attention: MultiheadAttention, x: Any, memory: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
    masks = {"attn_mask": mask, "key_padding_mask": padding, "is_causal": is_causal}
    return attention(x, memory, memory, need_weights=False, **masks)[0]


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention, and then a network of two linear layers; each with a residual connection and layer norm.

        x = norm1(x + dropout(self_attn(x)))
        x = norm2(x + dropout(linear2(dropout(activation(linear1(x))))))

    With norm_first, x = x + dropout(self_attn(norm1(x))), and likewise for the network.

    Args:
        d_model: the number of features of the input and the output.
        nhead: the number of heads; must divide d_model.
        dim_feedforward: the number of features between the two linear layers.
        dropout: the probability of dropping an element, of attention weights too, in training mode; at least 0 and
            below 1.
        activation: "relu", "gelu" or a function, such as a layer.
        layer_norm_eps: the eps of the layer norms.
        norm_first: whether norms come before attention and network, rather than after the sums.
        bias: whether linear layers, projections and norms have biases.
        rng: the generator of the initial weights, and of what is dropped.
        dtype: the dtype of the parameters.

    Attributes:
        self_attn: the `MultiheadAttention`.
        linear1, linear2: the network.
        norm1, norm2: the layer norms.

    Call it with x, shape (batch, length, d_model) or (length, d_model); it returns the same shape. Keywords:

        src_mask: booleans of shape (length, length) or (batch * nhead, length, length), True where attention is not
            allowed.
        src_key_padding_mask: booleans of shape (batch, length), True for what is to be ignored.
        is_causal: whether position i may attend only to positions up to i; no src_mask is needed.

    Raises:
        ValueError: an argument is invalid, or shapes do not match.
        TypeError: a mask is not boolean.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.1; norm_first: R. Xiong et al., "On layer
    normalization in the transformer architecture" (2020).

    >>> from tinygrad_np import nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, rng=np.random.default_rng(0))
    >>> layer(np.ones((3, 5, 8), np.float32), is_causal=True).shape
    (3, 5, 8)
    """

    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm

    def forward(
        self, x: Any, *, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        def attend(x: Any) -> Any:
            return _attended(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)

        x = self._joined(self._checked("x", x), self.norm1, attend)
        return self._joined(x, self.norm2, self._network)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to what an encoder returned, and a network; each with a residual and layer norm.

        x = norm1(x + dropout(self_attn(x)))
        x = norm2(x + dropout(multihead_attn(x, memory)))
        x = norm3(x + dropout(linear2(dropout(activation(linear1(x))))))

    With norm_first, norms come before attention and network, as in `TransformerEncoderLayer`. The arguments are those
    of it, too.

    Attributes:
        self_attn, multihead_attn: the `MultiheadAttention` to x and to the memory.
        linear1, linear2: the network.
        norm1, norm2, norm3: the layer norms.

    Call it with x, shape (batch, length, d_model), and memory, shape (batch, keys, d_model); or omit the batch axis in
    both. It returns the shape of x. Keywords, as those of `TransformerEncoderLayer`:

        tgt_mask, tgt_key_padding_mask, tgt_is_causal: for the attention to x.
        memory_mask, memory_key_padding_mask, memory_is_causal: for the attention to the memory.

    A decoder that is to predict each element of a sequence from those before it needs tgt_is_causal=True.

    Raises:
        ValueError: an argument is invalid, or shapes do not match.
        TypeError: a mask is not boolean.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.1.

    >>> from tinygrad_np import nn
    >>> layer = nn.TransformerDecoderLayer(8, 2, 16, rng=np.random.default_rng(0))
    >>> memory = np.ones((3, 7, 8), np.float32)
    >>> layer(np.ones((3, 5, 8), np.float32), memory, tgt_is_causal=True).shape
    (3, 5, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        x: Any,
        memory: Any,
        *,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        memory = self._checked("memory", memory)

        def attend(x: Any) -> Any:
            return _attended(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def look_up(x: Any) -> Any:
            masks = memory_mask, memory_key_padding_mask, memory_is_causal
            return _attended(self.multihead_attn, x, memory, *masks)

        x = self._joined(self._checked("x", x), self.norm1, attend)
        x = self._joined(x, self.norm2, look_up)
        return self._joined(x, self.norm3, self._network)


class _Stack(Module):
    """Base class: layers like the given one, one after the other, and a norm."""

    _kind: ClassVar[type[_TransformerLayer]]

    @with_hints()
    def __init__(self, layer: Any, num_layers: int, norm: Any = None) -> None:
        owner, kind = type(self).__name__, self._kind.__name__
        if type(layer) is not self._kind:
            raise TypeError(f"{owner}: layer must be a {kind}, not {shown(layer)}; for others write nn.ModuleList")
        count = check.positive_integer(owner, "num_layers", num_layers)
        if norm is not None and not isinstance(norm, Module):
            raise TypeError(f"{owner}: norm must be a layer, such as nn.LayerNorm({layer.d_model}), not {shown(norm)}")
        self.layers = ModuleList([layer, *(layer._like() for _ in range(count - 1))])
        self.norm = norm

    def _through(self, x: Any, *memory: Any, **masks: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *memory, **masks)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """Encoder layers, one after the other.

    Args:
        layer: the first `TransformerEncoderLayer`. The others have the same arguments, and initial weights of their own
            from its generator. (PyTorch copies the layer, so that all begin with the same weights.)
        num_layers: the number of layers.
        norm: a layer for the output of the last one, such as `LayerNorm`, which norm_first needs; or None.

    Attributes:
        layers: the layers, a `ModuleList`.
        norm: as given.

    Call it as a layer: the keywords are given to each.

    Raises:
        TypeError: layer is no `TransformerEncoderLayer`, or norm is no layer.
        ValueError: num_layers is not a positive integer.

    >>> from tinygrad_np import nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, rng=np.random.default_rng(0))
    >>> encoder = nn.TransformerEncoder(layer, 6, nn.LayerNorm(8))
    >>> encoder(np.ones((3, 5, 8), np.float32)).shape
    (3, 5, 8)
    """

    _kind = TransformerEncoderLayer

    def forward(
        self, x: Any, *, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        masks = {"src_mask": src_mask, "src_key_padding_mask": src_key_padding_mask}
        return self._through(x, **masks, is_causal=is_causal)


class TransformerDecoder(_Stack):
    """Decoder layers, one after the other; each attends to the same memory.

    Arguments, attributes and errors are those of `TransformerEncoder`, but with a `TransformerDecoderLayer`.

    >>> from tinygrad_np import nn
    >>> layer = nn.TransformerDecoderLayer(8, 2, 16, rng=np.random.default_rng(0))
    >>> decoder = nn.TransformerDecoder(layer, 2)
    >>> decoder(np.ones((3, 5, 8), np.float32), np.ones((3, 7, 8), np.float32), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    _kind = TransformerDecoderLayer

    def forward(
        self,
        x: Any,
        memory: Any,
        *,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        of_x = {"tgt_mask": tgt_mask, "tgt_key_padding_mask": tgt_key_padding_mask}
        of_memory = {"memory_mask": memory_mask, "memory_key_padding_mask": memory_key_padding_mask}
        causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
        return self._through(x, memory, **of_x, **of_memory, **causal)
