"""Arguments that make no sense are refused by name: of optimisers, averages, loaders, schedules and layers."""

import inspect
import math
from typing import Any

from tinygrad_np import Tensor, data, nn, optim, schedules
from tinygrad_np._validation import Checked

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def w() -> list[Tensor]:
    return [Tensor(np.ones((2, 2), np.float32), requires_grad=True)]


# One valid call of each class. Every argument is then replaced by wrong values.
CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (optim.SGD, (w(), 0.1), {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    (optim.Adam, (w(), 0.1), {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "amsgrad": True}),
    (optim.AdamW, (w(), 0.1), {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "amsgrad": True}),
    (
        optim.NAdam,
        (w(), 0.1),
        {
            "betas": (0.9, 0.99),
            "eps": 1e-8,
            "weight_decay": 0.1,
            "momentum_decay": 0.1,
            "decoupled_weight_decay": True,
        },
    ),
    (
        optim.RAdam,
        (w(), 0.1),
        {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    (optim.Adamax, (w(), 0.1), {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}),
    (optim.Adadelta, (w(), 0.1), {"rho": 0.9, "eps": 1e-8, "weight_decay": 0.1}),
    (optim.Lion, (w(), 0.1), {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    (optim.LARS, (w(), 0.1), {"momentum": 0.5, "weight_decay": 0.1, "trust_coefficient": 0.1}),
    (optim.Lamb, (w(), 0.1), {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}),
    (optim.Adafactor, (w(), 0.1), {"beta2_decay": -0.8, "eps": (1e-8, 1e-3), "d": 1.0, "weight_decay": 0.1}),
    (
        optim.LBFGS,
        (w(), 0.1),
        {
            "max_iterations": 2,
            "max_evaluations": 4,
            "tolerance_grad": 0.1,
            "tolerance_change": 0.1,
            "history": 3,
        },
    ),
    (optim.Lookahead, (optim.SGD(w(), 0.1),), {"k": 2, "alpha": 0.5}),
    (optim.SAM, (optim.SGD(w(), 0.1),), {"rho": 0.05, "adaptive": True}),
    (optim.SWA, (w(),), {}),
    (optim.RMSprop, (w(), 0.1), {"alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.5, "centered": True}),
    (optim.Adagrad, (w(), 0.1), {"lr_decay": 0.1, "eps": 1e-8, "weight_decay": 0.1}),
    (optim.Muon, (w(), 0.1), {"weight_decay": 0.1, "momentum": 0.5, "nesterov": True, "adjust_lr_fn": "original"}),
    (optim.EMA, (w(), 0.5), {"warmup": True}),
    (optim.clip_grad_norm, (w(), 0.5), {"error_if_nonfinite": True, "per_parameter": True}),
    (optim.clip_grad_value, (w(), 0.5), {}),
    (data.DataLoader, (), {"batch_size": 2, "drop_last": True}),
    (schedules.ExponentialScheduler, (0.1, 0.5, 5, True), {}),
    (schedules.MultiStepScheduler, (0.1, [5], 0.5), {}),
    (schedules.CosineScheduler, (0.1, 5, 0.01), {}),
    (schedules.WarmupScheduler, (0.1, 5, 0.5), {}),
    (schedules.OneCycleScheduler, (0.1, 5, 0.5, "cos", 5.0, 5.0), {}),
    (schedules.RestartScheduler, (0.1, 5, 2, 0.01), {}),
    (schedules.PolynomialScheduler, (0.1, 5, 2.0, 0.01), {}),
    (schedules.InverseSquareRootScheduler, (0.1, 5), {}),
    (schedules.WarmupStableDecayScheduler, (0.1, 5, 1, 1, 0.5, 0.01, "cos"), {}),
    (schedules.PlateauScheduler, (0.1, "min", 0.5, 5, 0.1, "rel", 5, 0.01), {}),
    (schedules.JoinedScheduler, ([abs, abs], [5]), {}),
    (nn.AdaptiveAvgPool1d, (2,), {}),
    (nn.AdaptiveAvgPool2d, (2,), {}),
    (nn.AdaptiveMaxPool1d, (2,), {}),
    (nn.AdaptiveMaxPool2d, (2,), {}),
    (nn.AvgPool1d, (2, 2, 0, True, True), {}),
    (nn.AvgPool2d, (2, 2, 0, True, True, 3), {}),
    (nn.MaxPool1d, (2, 2, 0, 1), {"ceil_mode": True}),
    (nn.MaxPool2d, (2, 2, 0, 1), {"ceil_mode": True}),
    (nn.BatchNorm1d, (2, 1e-5, 0.1, True, True), {}),
    (nn.BatchNorm2d, (2, 1e-5, 0.1, True, True), {}),
    (nn.Conv1d, (2, 2, 2, 1, 0, 1, 1, True), {"rng": RNG}),
    (nn.Conv2d, (2, 2, 2, 1, 0, 1, 1, True), {"rng": RNG}),
    (nn.Conv3d, (2, 2, 2, 1, 0, 1, 1, True), {"rng": RNG}),
    (nn.ConvTranspose1d, (2, 2, 2, 2, 0, 0, 1, True, 1), {"rng": RNG}),
    (nn.ConvTranspose2d, (2, 2, 2, 2, 0, 0, 1, True, 1), {"rng": RNG}),
    (nn.Fold, (4, 2, 1, 0, 1), {}),
    (nn.Unfold, (2, 1, 0, 1), {}),
    (nn.PixelShuffle, (2,), {}),
    (nn.PixelUnshuffle, (2,), {}),
    (nn.CrossEntropyLoss, (), {"ignore_index": 1, "reduction": "mean", "label_smoothing": 0.1}),
    (nn.NLLLoss, (), {"ignore_index": 1, "reduction": "mean"}),
    (nn.BCEWithLogitsLoss, (), {"reduction": "mean"}),
    (nn.HuberLoss, (), {"reduction": "mean", "delta": 1.0}),
    (nn.CTCLoss, (1,), {"reduction": "mean", "zero_infinity": True}),
    (nn.CosineEmbeddingLoss, (), {"margin": 0.5, "reduction": "mean"}),
    (nn.CosineSimilarity, (1,), {"eps": 1e-8}),
    (nn.DiceLoss, (), {"smooth": 1.0, "squared": True, "reduction": "mean"}),
    (nn.GaussianNLLLoss, (), {"full": True, "eps": 1e-6, "reduction": "mean"}),
    (nn.HingeEmbeddingLoss, (), {"margin": 1.0, "reduction": "mean"}),
    (nn.HingeLoss, (), {"p": 2, "margin": 1.0, "reduction": "mean"}),
    (nn.MarginRankingLoss, (), {"margin": 0.5, "reduction": "mean"}),
    (nn.MultiMarginLoss, (), {"p": 2, "margin": 1.0, "weight": [1.0, 2.0], "reduction": "mean"}),
    (nn.NTXentLoss, (), {"temperature": 0.5, "reduction": "mean"}),
    (nn.PairwiseDistance, (2.0,), {"eps": 1e-6, "keepdims": True}),
    (nn.PoissonNLLLoss, (), {"log_input": True, "full": True, "eps": 1e-8, "reduction": "mean"}),
    (nn.SigmoidFocalLoss, (), {"alpha": 0.25, "gamma": 2.0, "reduction": "mean"}),
    (nn.SmoothL1Loss, (), {"beta": 1.0, "reduction": "mean"}),
    (nn.SoftMarginLoss, (), {"reduction": "mean"}),
    (nn.SoftmaxFocalLoss, (), {"alpha": [1.0, 2.0], "gamma": 2.0, "ignore_index": 1, "reduction": "mean"}),
    (nn.TripletMarginLoss, (), {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": True, "reduction": "mean"}),
    (nn.KLDivLoss, (), {"reduction": "mean", "log_target": True}),
    (nn.L1Loss, (), {"reduction": "mean"}),
    (nn.MSELoss, (), {"reduction": "mean"}),
    (nn.Dropout, (0.5,), {"rng": RNG}),
    (nn.Embedding, (3, 2, 1), {"rng": RNG}),
    (nn.Flatten, (1, -1), {}),
    (nn.Bilinear, (2, 2, 2, True), {"rng": RNG}),
    (nn.CELU, (1.0,), {}),
    (nn.Dropout1d, (0.5,), {"rng": RNG}),
    (nn.Dropout2d, (0.5,), {"rng": RNG}),
    (nn.ELU, (1.0,), {}),
    (nn.EmbeddingBag, (3, 2, "sum", 1, True), {"rng": RNG}),
    (nn.GEGLU, (1,), {}),
    (nn.GELU, ("tanh",), {}),
    (nn.GLU, (1,), {}),
    (nn.GroupNorm, (1, 2, 1e-5, True), {}),
    (nn.Hardtanh, (-1.0, 1.0), {}),
    (nn.InstanceNorm1d, (2, 1e-5, 0.1, True, True), {}),
    (nn.InstanceNorm2d, (2, 1e-5, 0.1, True, True), {}),
    (nn.PReLU, (2, 0.5), {}),
    (nn.ReGLU, (1,), {}),
    (nn.SwiGLU, (1,), {}),
    (nn.Upsample, (2, None, "bilinear", True), {}),
    (nn.GRU, (2, 2, 2, True, True, 0.1, True), {"rng": RNG}),
    (nn.LSTM, (2, 2, 2, True, True, 0.1, True), {"rng": RNG}),
    (nn.RNN, (2, 2, 2, "tanh", True, True, 0.1, True), {"rng": RNG}),
    (nn.GRUCell, (2, 2, True), {"rng": RNG}),
    (nn.LSTMCell, (2, 2, True), {"rng": RNG}),
    (nn.RNNCell, (2, 2, True, "tanh"), {"rng": RNG}),
    (nn.LayerNorm, (2, 1e-5, True, True), {}),
    (nn.RMSNorm, (2, 1e-5, True), {}),
    (nn.LeakyReLU, (0.1,), {}),
    (nn.LearnedPositionalEncoding, (2, 2), {"rng": RNG}),
    (nn.SinusoidalPositionalEncoding, (2, 2), {}),
    (nn.Linear, (2, 2, True), {"rng": RNG}),
    (nn.Softmax, (1,), {}),
    (nn.LogSoftmax, (1,), {}),
    (nn.MultiheadAttention, (2, 1, True), {"dropout": 0.1, "rng": RNG}),
    (nn.Softplus, (1.0,), {}),
    (nn.TransformerEncoderLayer, (2, 1, 3, 0.1, "relu", 1e-5, True, True), {"rng": RNG}),
    (nn.TransformerDecoderLayer, (2, 1, 3, 0.1, "relu", 1e-5, True, True), {"rng": RNG}),
    (nn.init.he_normal, ((2, 2),), {"rng": RNG}),
    (nn.init.he_uniform, ((2, 2),), {"rng": RNG}),
    (nn.init.glorot_normal, ((2, 2),), {"rng": RNG}),
    (nn.init.glorot_uniform, ((2, 2),), {"rng": RNG}),
    (nn.init.normal, ((2, 2), 0.0, 1.0), {"rng": RNG}),
    (nn.init.uniform, ((2, 2), 0.0, 1.0), {"rng": RNG}),
    (nn.init.orthogonal, ((2, 2), 1.0), {"rng": RNG}),
]

NOWHERE = [math.nan, math.inf, -math.inf, 1j, "1", object(), b"1", {}, {1}, 10**400, -(10**400), np.float64("nan")]
NOWHERE += [np.array([1, 2]), np.array([1.0, math.nan]), Tensor([1.0, 2.0]), Tensor(1.0), np.array(1.0), [1, "x"], [[]]]
POSITIVE, NATURAL = [*NOWHERE, 0, -1, 1.5, True, None, 2**64], [*NOWHERE, -1, 1.5, True, 2**64]
WRONG: dict[str, list[Any]] = {
    "positive integer": POSITIVE,
    "natural": [*NATURAL, None],
    "optional size": [*POSITIVE[:-2], 2**64],
    "real": [*NOWHERE, True, None],
    "not negative": [*NOWHERE, True, None, -1, -0.5],
    "optional, not negative": [*NOWHERE, True, -1, -0.5],
    "limit": [*(value for value in NOWHERE if value is not math.inf), True, None, -1, -0.5],
    "positive": [*NOWHERE, True, None, -1, 0],
    "optional positive": [*NOWHERE, True, -1, 0],
    "fraction": [*NOWHERE, True, None, -0.5, 1.5, 2],
    "optional fraction": [*NOWHERE, True, -0.5, 1.5, 2],
    "fractions": [*NOWHERE, None, 0.5, (0.5,), (0.5, 1), (0.5, math.nan), (True, 0.5), (0.5, 0.5, 0.5)],
    "integer": [*NOWHERE, 0.5, True, None],
    "index": [value for value in [*NOWHERE, 0.5, True] if type(value) is not int],
    "flag": [*NOWHERE, 0, 1, None, np.True_, "True"],
    "optional flag": [*NOWHERE, 0, 1, np.True_, "True"],
    "choice": [*NOWHERE, 0, True, None, "no"],
    "milestones": [*NOWHERE, None, 5, [0], [-1], [1.5], [True], [math.nan], [5, 5]],
    "rng": [*NOWHERE, 0, True, np.random, np.random.RandomState(0)],
    "finite": ["1", b"1", object(), {}, [1, "x"], 1j, 10**400, math.nan, [1.0, math.inf], [-math.inf, 1.0]],
}
WRONG["order"] = [*(value for value in NOWHERE if value is not math.inf), True, None, 0, -1]
WRONG["not positive"] = [*NOWHERE, True, None, 1, 0.5]
WRONG["at least 1"] = [*NOWHERE, True, None, 0.5, -1]
WRONG["two, not negative"] = [*NOWHERE, None, 0.5, (0.5,), (0.5, -1), (-1, 0.5), (0.5, None), (True, 0.5), (1, 1, 1)]
WRONG["not negative, finite"] = [*WRONG["finite"], [-1.0, 1.0], np.array([0.5, -0.5]), Tensor([1.0, -1.0])]
WRONG["rate"] = [*WRONG["not negative"], schedules.CosineScheduler, lambda: 0.1, lambda step, epoch: 0.1]
KINDS = dict.fromkeys(["batch_size", "stage_length", "steps", "num_features", "in_channels", "out_channels", "groups",
    "num_embeddings", "embedding_dim", "input_size", "hidden_size", "num_layers", "embed_dim", "max_length",
    "in_features", "in1_features", "in2_features", "num_groups", "num_channels", "num_parameters", "size",
    "out_features", "num_heads", "kernel_size", "dilation", "normalized_shape", "output_size", "upscale_factor",
    "downscale_factor", "d_model", "nhead", "dim_feedforward",
], "positive integer")  # fmt: skip
KINDS |= dict.fromkeys(["weight_decay", "lr_decay", "max_norm", "minimum", "std"], "not negative")
KINDS |= dict.fromkeys(["alpha", "decay", "label_smoothing", "p", "start_factor", "pct_start", "momentum"], "fraction")
KINDS |= {"dropout": "fraction", "layer_norm_eps": "not negative", "activation": "choice"}
KINDS |= dict.fromkeys(["gamma", "div_factor", "final_div_factor", "delta", "beta"], "positive")
KINDS |= dict.fromkeys(["nesterov", "centered", "drop_last", "staircase", "bias", "batch_first", "bidirectional",
    "include_last_offset", "affine", "track_running_stats", "elementwise_affine", "count_include_pad", "log_target",
    "ceil_mode", "norm_first", "zero_infinity", "error_if_nonfinite"], "flag")  # fmt: skip
KINDS |= dict.fromkeys(
    ["adjust_lr_fn", "anneal_strategy", "reduction", "approximate", "nonlinearity", "mode"], "choice"
)
KINDS |= dict.fromkeys(["start_axis", "end_axis", "axis", "blank"], "integer")
KINDS |= dict.fromkeys(["squared", "full", "keepdims", "log_input", "swap"], "flag")
KINDS |= dict.fromkeys(["smooth", "temperature"], "positive") | {"margin": "real"}
KINDS |= {"eps": "not negative", "betas": "fractions", "milestones": "milestones", "padding": "natural", "rng": "rng"}
KINDS |= {"output_padding": "natural", "divisor_override": "optional size"}
KINDS |= {"stride": "positive integer", "padding_idx": "index", "ignore_index": "index", "negative_slope": "real"}
KINDS |= dict.fromkeys(["growth", "warmup_steps", "decay_steps", "k", "max_iterations", "history"], "positive integer")
KINDS |= dict.fromkeys(["max_value", "momentum_decay", "tolerance_grad", "tolerance_change"], "not negative")
KINDS |= dict.fromkeys(["rho", "threshold"], "not negative") | dict.fromkeys(["power", "trust_coefficient"], "positive")
KINDS |= dict.fromkeys(["amsgrad", "decoupled_weight_decay", "adaptive", "per_parameter", "warmup"], "flag")
KINDS |= dict.fromkeys(["patience", "cooldown"], "natural") | dict.fromkeys(["mode", "threshold_mode"], "choice")
KINDS |= {"max_evaluations": "optional size", "factor": "fraction", "beta2_decay": "not positive", "d": "at least 1"}
KINDS |= {"lr": "rate", "weight": "not negative, finite", "pos_weight": "not negative, finite"}
KINDS |= dict.fromkeys(["mean", "low", "high", "gain", "init", "min_val", "max_val"], "real")
OTHER_KINDS = {  # where an argument of this name means something else
    (schedules.ExponentialScheduler, "decay"): "positive",  # a rate may grow
    (optim.clip_grad_norm, "max_norm"): "limit",  # infinity only measures the norm
    **{(layer, "stride"): "optional size" for layer in (nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d)},
    (nn.AdaptiveAvgPool1d, "output_size"): "optional size",
    (nn.AdaptiveAvgPool2d, "output_size"): "optional size",
    (nn.AdaptiveMaxPool1d, "output_size"): "optional size",
    (nn.AdaptiveMaxPool2d, "output_size"): "optional size",
    (optim.Adafactor, "eps"): "two, not negative",
    (optim.Adadelta, "rho"): "fraction",
    (nn.AvgPool2d, "stride"): "optional size",
    (nn.MaxPool2d, "stride"): "optional size",
    (nn.BatchNorm1d, "momentum"): "optional fraction",
    (nn.BatchNorm2d, "momentum"): "optional fraction",
    (nn.InstanceNorm1d, "momentum"): "optional fraction",
    (nn.InstanceNorm2d, "momentum"): "optional fraction",
    (nn.CELU, "alpha"): "positive",
    (nn.SigmoidFocalLoss, "alpha"): "optional fraction",
    (nn.SoftmaxFocalLoss, "alpha"): "not negative, finite",
    **{(loss, "gamma"): "not negative" for loss in (nn.SigmoidFocalLoss, nn.SoftmaxFocalLoss)},
    **{(loss, "p"): "choice" for loss in (nn.HingeLoss, nn.MultiMarginLoss)},
    **{(layer, "p"): "order" for layer in (nn.PairwiseDistance, nn.TripletMarginLoss)},
    **{(layer, "eps"): "real" for layer in (nn.PairwiseDistance, nn.TripletMarginLoss)},
    (nn.CosineSimilarity, "eps"): "positive",
    (nn.GaussianNLLLoss, "eps"): "positive",
    (nn.PoissonNLLLoss, "eps"): "positive",
    (nn.SmoothL1Loss, "beta"): "not negative",
    (nn.TripletMarginLoss, "margin"): "not negative",
    (nn.ELU, "alpha"): "real",
    (nn.Upsample, "size"): "optional size",
    (nn.Upsample, "scale_factor"): "optional positive",
    (nn.Upsample, "align_corners"): "optional flag",
    (nn.RMSNorm, "eps"): "optional, not negative",
    (nn.BCEWithLogitsLoss, "weight"): "finite",  # a negative one, such as an advantage, has a meaning
}
LEFT_OUT = {"parameters", "arrays", "schedules", "optimizer", "dtype", "shape"}  # no numbers


def arguments() -> list[tuple[Any, str]]:
    return [
        (function, name)
        for function, _, _ in CALLS
        for name in inspect.signature(function).parameters
        if name not in LEFT_OUT
    ]


def call(function: Any, **changed: Any) -> Any:
    args, kwargs = next((args, kwargs) for other, args, kwargs in CALLS if other is function)
    if function is data.DataLoader:
        return function(np.arange(6), **kwargs | changed)
    return function(**inspect.signature(function).bind(*args, **kwargs).arguments | changed)


def test_every_class_with_arguments_is_here() -> None:
    named = [getattr(module, name) for module in (nn, optim) for name in module.__all__]
    named += [thing for name, thing in vars(schedules).items() if name.endswith("Scheduler")]
    classes = [thing for thing in named if inspect.isclass(thing) and inspect.signature(thing).parameters]
    classes += [thing for thing in vars(nn.init).values() if "rng" in getattr(thing, "__annotations__", ())]
    without_settings = {optim.Optimizer, optim.Minimum, nn.ModuleDict, nn.ModuleList, nn.Sequential}
    without_settings |= {nn.Checkpoint, nn.TransformerEncoder, nn.TransformerDecoder}  # which take a module
    assert set(classes) - {function for function, _, _ in CALLS} == without_settings
    w()[0].grad = Tensor(np.ones((2, 2), np.float32))
    for function, _, _ in CALLS:
        if function not in (optim.clip_grad_norm, optim.clip_grad_value):  # which need gradients
            call(function)


@pytest.mark.parametrize(("function", "name"), arguments(), ids=lambda value: getattr(value, "__name__", value))
def test_wrong_values_are_refused_by_the_name_of_the_argument(function: Any, name: str) -> None:
    kind = OTHER_KINDS.get((function, name), KINDS.get(name, ""))
    for value in WRONG[kind]:
        with pytest.raises((TypeError, ValueError), match=name) as caught:
            call(function, **{name: value})
        assert type(caught.value) in (TypeError, ValueError), value


# --- shown -----------------------------------------------------------------------------------------------------------

CLASSES = [function for function, _, _ in CALLS if inspect.isclass(function)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_objects_show_in_a_line_the_call_that_makes_them(kind: Any) -> None:
    shown = repr(call(kind))
    assert shown.startswith(f"{kind.__name__}(")
    assert " at 0x" not in shown
    assert "\n" not in shown or issubclass(kind, nn.Module)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if not issubclass(kind, nn.Module)])
def test_the_settings_that_are_shown_are_those_that_were_given(kind: Any) -> None:
    args, kwargs = next((args, kwargs) for other, args, kwargs in CALLS if other is kind)
    given = inspect.signature(kind).bind(*args, **kwargs).arguments
    for name, value in given.items():
        if name not in ("parameters", "optimizer", "milestones", "schedules"):
            assert f"{name}={value!r}" in repr(call(kind))


def test_what_differs_between_groups_is_shown_for_each() -> None:
    (a,), (b,) = w(), w()
    optimizer = optim.SGD([{"parameters": [a]}, {"parameters": [b], "weight_decay": 0.5}], 0.1)
    assert repr(optimizer) == "SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=[0.0, 0.5])"
    optimizer.groups[0]["lr"] = schedules.CosineScheduler(0.1, 5)
    assert repr(optimizer).startswith("SGD(lr=[CosineScheduler(lr=0.1, steps=5, minimum=0.0), 0.1], momentum=0.0")


def test_a_wrapper_shows_what_it_wraps() -> None:
    inner = optim.SGD(w(), lambda step: 0.1)
    shown = "SGD(lr=<lambda>, momentum=0.0, nesterov=False, weight_decay=0.0)"
    assert (
        repr(optim.SAM(optim.Lookahead(inner))) == f"SAM(Lookahead({shown}, k=5, alpha=0.5), rho=0.05, adaptive=False)"
    )


def test_a_loader_shows_its_arrays_by_their_shapes() -> None:
    loader = data.DataLoader(np.ones((6, 2), np.float32), np.arange(6), batch_size=2, rng=np.random.default_rng(0))
    expected = "DataLoader(float32[6, 2], int64[6], batch_size=2, rng=Generator(PCG64), drop_last=False)"
    assert repr(loader) == expected


# --- assigned later --------------------------------------------------------------------------------------------------

BY_THE_FUNCTION = {  # checked where it is called
    "weight", "pos_weight", "kernel_size", "stride", "padding", "dilation", "output_padding", "output_size",
}  # fmt: skip


def assigned() -> list[tuple[Any, str]]:
    return [
        (function, name)
        for function, name in arguments()
        if inspect.isclass(function) and issubclass(function, Checked) and hasattr(call(function), name)
    ]


@pytest.mark.parametrize(("kind", "name"), assigned(), ids=lambda value: getattr(value, "__name__", value))
def test_what_is_assigned_later_is_checked_as_what_is_given(kind: Any, name: str) -> None:
    made = call(kind)
    kept = getattr(made, name)
    if name in BY_THE_FUNCTION or type(kept) is Tensor:
        return
    assert name in kind._checks
    for value in WRONG[OTHER_KINDS.get((kind, name), KINDS.get(name, ""))]:
        with pytest.raises((TypeError, ValueError), match=f"^{kind.__name__}: {name}"):
            setattr(made, name, value)
        assert getattr(made, name) is kept
    setattr(made, name, kept)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: nn.RNN(2, 2, rng=RNG), "nonlinearity", "relu"),
        (lambda: nn.RNNCell(2, 2, rng=RNG), "nonlinearity", "relu"),
        (lambda: nn.LSTM(2, 2, rng=RNG), "bidirectional", True),
        (lambda: nn.GRU(2, 2, rng=RNG), "num_layers", 2),
        (lambda: nn.GRUCell(2, 2, bias=False, rng=RNG), "bias", True),
        (lambda: nn.BatchNorm1d(2, affine=False), "affine", True),
        (lambda: nn.LayerNorm(2), "elementwise_affine", False),
        (lambda: nn.RMSNorm(2), "elementwise_affine", False),
        (lambda: nn.MultiheadAttention(4, 2, rng=RNG), "num_heads", 4),
        (lambda: nn.Linear(3, 2, rng=RNG), "out_features", 7),
        (lambda: nn.Conv2d(1, 2, 3, rng=RNG), "kernel_size", 5),
        (lambda: nn.Conv1d(2, 2, 3, rng=RNG), "groups", 2),
        (lambda: nn.ConvTranspose2d(2, 2, 3, rng=RNG), "kernel_size", 2),
        (lambda: nn.Embedding(3, 2, rng=RNG), "embedding_dim", 5),
        (lambda: nn.BatchNorm1d(3, track_running_stats=False), "track_running_stats", True),
        (lambda: nn.BatchNorm2d(3), "num_features", 4),
        (lambda: nn.LayerNorm(3), "normalized_shape", (4,)),
        (lambda: nn.Bilinear(3, 3, 2, rng=RNG), "in2_features", 4),
        (lambda: nn.EmbeddingBag(3, 2, rng=RNG), "embedding_dim", 5),
        (lambda: nn.GroupNorm(1, 2), "num_groups", 2),
        (lambda: nn.InstanceNorm1d(2), "affine", True),
        (lambda: nn.PReLU(), "num_parameters", 2),
        (lambda: nn.LearnedPositionalEncoding(4, 8, rng=RNG), "max_length", 16),
    ],
)
def test_what_would_have_no_effect_is_not_assigned(make: Any, name: str, value: Any) -> None:
    made = make()
    with pytest.raises(AttributeError, match=f"^{type(made).__name__}: {name} is fixed when it is made, as .*; make "):
        setattr(made, name, value)


def test_a_padding_that_is_assigned_counts_from_the_end_as_well() -> None:
    layer = nn.Embedding(4, 2, padding_idx=0, rng=RNG)
    layer.padding_idx = -1
    layer([0, 3]).sum().backward()
    assert layer.weight.grad.data.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


# --- at a step -------------------------------------------------------------------------------------------------------

OPTIMIZERS = [
    function for function, _, _ in CALLS if inspect.isclass(function) and issubclass(function, optim.Optimizer)
]
every_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
RATES = [value for value in WRONG["not negative"] if not isinstance(value, np.float64)]


def two_groups(kind: Any) -> tuple[optim.Optimizer, Tensor, Tensor]:
    """An optimiser in its second step, with two parameters that have gradients."""
    (a,), (b,) = w(), w()
    kwargs = next(kwargs for function, _, kwargs in CALLS if function is kind)
    optimizer = kind([{"parameters": [a]}, {"parameters": [b]}], 0.1, **kwargs)
    (a * b).sum().backward()
    optimizer.step()
    return optimizer, a, b


def assert_refused(optimizer: optim.Optimizer, message: str, kind: type[Exception] = ValueError) -> None:
    """By step and minimize; weights, state, count, and the graph of the loss stay as they are."""
    parameters = optimizer.parameters

    def bits() -> list[bytes]:
        states = [array for state in optimizer._states.values() for array in state.values()]
        return [array.tobytes() for array in (*(parameter.data for parameter in parameters), *states)]

    before = bits()
    with pytest.raises(kind, match=message):
        optimizer.step()
    loss = (parameters[0] * parameters[1]).sum()
    with pytest.raises(kind, match=message):
        optimizer.minimize(loss)
    assert before == bits()
    assert optimizer.steps == 1
    loss.backward()


@every_optimizer
@pytest.mark.parametrize("group", [0, 1])
def test_a_schedule_that_returns_nonsense_is_refused_at_its_step(kind: Any, group: int) -> None:
    optimizer, *_ = two_groups(kind)
    for value in RATES:
        optimizer.groups[group]["lr"] = lambda step, value=value: value if step == 1 else 0.1
        assert_refused(optimizer, f"{kind.__name__}, step 1: lr must be at least 0, not ")
    for value in (np.float32(0.5), np.float64(0.5), 0, 1, np.int64(1), 0.0):
        optimizer.groups[group]["lr"] = lambda step, value=value: value
        assert type(optimizer._rate(optimizer.groups[group])) is float


@every_optimizer
def test_nonsense_that_is_assigned_is_refused_at_the_next_step(kind: Any) -> None:
    optimizer, *_ = two_groups(kind)
    for name in (*next(kwargs for function, _, kwargs in CALLS if function is kind), "lr"):
        kept = optimizer.groups[1][name]
        for value in WRONG[OTHER_KINDS.get((kind, name), KINDS[name])]:
            optimizer.groups[1][name] = value
            error = TypeError if callable(value) else ValueError
            assert_refused(optimizer, f"{kind.__name__}, group 1, step 1: .*{name}", error)
        optimizer.groups[1][name] = kept
    optimizer.step()
    assert optimizer.steps == 2


@every_optimizer
def test_groups_keep_their_names_and_parameters(kind: Any) -> None:
    optimizer, a, _ = two_groups(kind)
    group = optimizer.groups[0]
    group["momentun"] = 0.5
    assert_refused(optimizer, "group 0, step 1: a group has 'parameters' and the hyperparameters lr, ", TypeError)
    del group["momentun"]
    kept = group.pop("weight_decay", None)
    if kept is not None:
        assert_refused(optimizer, "a group has 'parameters' and", TypeError)
        group["weight_decay"] = kept
    for parameters in ([a, *w()], [], w()):
        group["parameters"] = parameters
        assert_refused(optimizer, "parameters can be neither added to a group nor removed")
    group["parameters"] = [a]
    group["parameters"].extend(w())  # in place
    assert_refused(optimizer, "parameters can be neither added to a group nor removed")
    group["parameters"].pop()
    optimizer.step()


def test_what_needs_state_is_not_switched_on_later() -> None:
    for kind, name, value in (
        (optim.SGD, "momentum", 0.5),
        (optim.RMSprop, "momentum", 0.5),
        (optim.RMSprop, "centered", True),
        (optim.Adam, "amsgrad", True),
    ):
        (a,), (b,) = w(), w()
        optimizer = kind([{"parameters": [a]}, {"parameters": [b]}], 0.1)
        (a * b).sum().backward()
        optimizer.step()
        optimizer.groups[1][name] = value
        assert_refused(optimizer, "group 1, step 1: .* needs state from the start; make a new optimiser")
    optimizer = optim.SGD(w(), 0.1, momentum=0.5, nesterov=True)
    optimizer.groups[0]["momentum"] = 0.0
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        optimizer._current()
    optimizer.groups[0].update(momentum=0.25, lr=np.float32(0.5))  # what makes sense holds from now on
    assert optimizer._current()[0]["momentum"] == 0.25
    assert type(optimizer.lr) is float


def test_schedules_that_are_joined_are_functions_of_the_step() -> None:
    for wrong in (schedules.CosineScheduler, 0.1, None, lambda: 0.1):
        with pytest.raises(TypeError, match="JoinedScheduler: schedule 1 must be a function of the step"):
            schedules.JoinedScheduler([abs, wrong], [5])


@pytest.mark.parametrize("schedule", [schedules.ExponentialScheduler(1.0, 2.0, 1), lambda step: 1 / (step - 5000)])
def test_a_schedule_that_fails_is_named_with_its_step(schedule: Any) -> None:
    (parameter,) = w()
    optimizer = optim.SGD([parameter], lr=schedule)
    optimizer.steps = 5000
    parameter.grad = Tensor(np.ones_like(parameter.data))
    with pytest.raises(ValueError, match="SGD, step 5000: lr cannot be computed"):
        optimizer.step()
