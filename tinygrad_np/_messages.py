"""What error messages say: what an operation was given, and what to write instead.

The names and keywords of PyTorch, Keras, JAX and ndarray that do not exist here are data, and one test tries all of
them: `code` in backticks runs, where `x` and `y` are Tensors, `model` is a module and `optimizer` an optimiser.
"""

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial, wraps
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn, TypeVar

import numpy as np

from ._functions import Function, name_of

Hinted = TypeVar("Hinted", bound=Callable[..., Any])

# Names that a Tensor does not have. NumPy's functions and ndarray's other attributes are added below.
ATTRIBUTES: dict[str, str] = {
    "numpy": "write `x.data`",
    "cpu": "everything runs on the CPU; leave it out",
    "cuda": "everything runs on the CPU; leave it out",
    "device": "everything runs on the CPU; leave it out",
    "to": "everything runs on the CPU; for another dtype write `x.astype(np.float64)`",
    "type": "write `x.dtype` or `x.astype(np.float64)`",
    "float": "write `x.astype(np.float32)`",
    "double": "write `x.astype(np.float64)`",
    "half": "write `x.astype(np.float16)`",
    "long": "write `x.data.astype(np.int64)`",
    "int": "write `x.data.astype(np.int64)`",
    "bool": "write `x.data.astype(bool)`",
    "view": "write `x.reshape(-1)`",
    "view_as": "write `x.reshape(x.shape)`",
    "contiguous": "memory is laid out by NumPy; leave it out",
    "dim": "write `x.ndim`",
    "numel": "write `x.size`",
    "permute": "write `x.transpose(1, 0)`",
    "t": "write `x.T`",
    "mm": "write `x @ x`",
    "bmm": "write `x @ x`",
    "mv": "write `x @ x`",
    "matmul": "write `x @ x`",
    "unsqueeze": "write `np.expand_dims(x, 0)`",
    "expand": "write `np.broadcast_to(x, (2, *x.shape))`",
    "masked_fill": "write `np.where(x > 0, x, 0)`",
    "gather": "write `tinygrad_np.gather(x, np.argsort(x.data, axis=1), axis=1)`",
    "norm": "write `np.linalg.norm(x)`",
    "det": "write `np.linalg.det(x)`",
    "inverse": "write `np.linalg.inv(x)`",
    "abs": "write `np.abs(x)`",
    "pow": "write `x ** 2`",
    "add": "write `x + 1`",
    "sub": "write `x - 1`",
    "mul": "write `x * 2`",
    "div": "write `x / 2`",
    "neg": "write `-x`",
    "rsqrt": "write `1 / np.sqrt(x)`",
    "clamp": "write `np.clip(x, 0, 1)`",
    "eq": "write `x == 0`",
    "clone": "write `x.copy()`",
    "chunk": "write `np.array_split(x, 2)`",
    "split": "write `np.array_split(x, 2)`",
    "topk": "write `np.sort(x)[..., ::-1][..., :1]`",
    "index_select": "write `np.take(x, [0], axis=0)`",
    "scatter": "write `x.at[0].set(1.0)`",
    **dict.fromkeys(("scatter_add", "index_add"), "write `x.at[0].add(1.0)`"),
    "scatter_reduce": "write `tinygrad_np.segment_max(x, [0, 0])`",
    "unbind": "write `np.unstack(x)`",
    "new_zeros": "write `Tensor(np.zeros(2, x.dtype))`",
    "uniform_": "write `x.data = np.random.default_rng(0).uniform(size=x.shape).astype(x.dtype)`",
    "normal_": "write `x.data = np.random.default_rng(0).normal(size=x.shape).astype(x.dtype)`",
    "clamp_": "write `x.data = np.clip(x.data, 0, 1)`",
    "assign": "write `x.data = y.data.copy()`",
    "detach_": "write `x.detach()`",
    "requires_grad_": "write `x.requires_grad = True`",
    "is_cuda": "everything runs on the CPU; leave it out",
    "grad_fn": "see `x.is_leaf`, and viz for the graph",
    "retain_grad": "for the gradient of a computed Tensor write grad(loss, x)",
    "register_hook": "for the gradient of a computed Tensor write grad(loss, x)",
    "zero_": "write `x.data = np.zeros_like(x.data)`",
    "fill_": "write `x.data = np.full_like(x.data, 1)`",
    "copy_": "write `x.data = y.data.copy()`",
    "add_": "under no_grad() write x += step",
    "sub_": "under no_grad() write x -= step",
    "mul_": "under no_grad() write x *= factor",
    "relu": "write relu(x), from tinygrad_np",
    "sigmoid": "write sigmoid(x), from tinygrad_np",
    "softmax": "write softmax(x), from tinygrad_np",
    "log_softmax": "write log_softmax(x), from tinygrad_np",
    "logsumexp": "write logsumexp(x), from tinygrad_np",
    "erf": "write erf(x), from tinygrad_np",
    "sort": "write `np.sort(x)`",
    "partition": "write `np.partition(x, 1)`",
    "fill": "write `x.data = np.full_like(x.data, 1)`",
    "resize": "write `np.resize(x, (2, 2))`",
    "put": "write `x.at[0].set(1.0)`",
    "setfield": "write `x.at[0].set(1.0)`",
    "flat": "write `x.ravel()`",
    "to_device": "everything runs on the CPU; leave it out",
    "concatenate": "write `np.concatenate([x, x])`",
    "stack": "write `np.stack([x, x])`",
    "vstack": "write `np.vstack([x, x])`",
    "hstack": "write `np.hstack([x, x])`",
    "zeros": "write `Tensor(np.zeros((2, 3)))`",
    "ones": "write `Tensor(np.ones((2, 3)))`",
    "full": "write `Tensor(np.full((2, 3), 1.0))`",
    "empty": "write `Tensor(np.empty((2, 3)))`",
    "eye": "write `Tensor(np.eye(3))`",
    "arange": "write `Tensor(np.arange(3.0))`",
    "linspace": "write `Tensor(np.linspace(0, 1, 3))`",
    "rand": "write `Tensor(np.random.default_rng(0).random((2, 3)))`",
    "randn": "write `Tensor(np.random.default_rng(0).normal(size=(2, 3)))`",
    "from_numpy": "write `Tensor(np.zeros(3))`",
}

CPU = "everything runs on the CPU; leave it out"
ASSIGNED = "assign it as any attribute: self.name = ..."
COMPILED = "nothing is compiled; leave it out"

# Names that objects of other classes do not have: by the class that derives from `Hints`.
CLASSES: dict[str, dict[str, str]] = {
    "Module": {
        **dict.fromkeys(("cuda", "cpu", "device"), CPU),
        "to": "everything runs on the CPU; for another dtype write `model.astype(np.float64)`",
        "float": "write `model.astype(np.float32)`",
        "double": "write `model.astype(np.float64)`",
        "half": "write `model.astype(np.float16)`",
        "register_forward_hook": "for the outputs of layers write `nn.collect_activations(model)`, as a context",
        "children": "write `model.modules()`, which has this module itself and those within others too",
        "named_children": "write `model.named_modules()`, which has this module itself and those within others too",
        "apply": "write a loop over `model.modules()`",
        **dict.fromkeys(("register_buffer", "register_parameter", "register_module", "add_module"), ASSIGNED),
        "requires_grad_": "write `model.freeze()`, and later unfreeze",
        "trainable_variables": "write `model.parameters()`",
        "trainable_weights": "write `model.parameters()`",
        "compile": COMPILED,
        "summary": "write `print(model)`, or `nn.summary(model, x)` for what a call computes",
        "predict": "write `model(x)`",
        "fit": "write a loop over batches: optimizer.minimize(loss)",
        "save": "write serialization.save(path, model.state_dict())",
    },
    "Optimizer": {
        "param_groups": "write `optimizer.groups`",
        "add_param_group": "give it all groups from the start, since parameters without a gradient are left alone; or"
        " make a second optimiser for the others",
        "state": "write `optimizer.state_dict()`",
        "learning_rate": "write `optimizer.lr`",
        "defaults": "write `optimizer.groups[0]`",
        "apply_gradients": "write `optimizer.step()`",
    },
    "At": {
        **dict.fromkeys(("subtract", "sub"), "write `x.at[0].add(-1.0)`"),
        **{
            name: f"write `x.at[0].set({code})`"
            for name, code in {
                **dict.fromkeys(("multiply", "mul"), "x[0] * 2"),
                **dict.fromkeys(("divide", "div"), "x[0] / 2"),
                "power": "x[0] ** 2",
                "min": "np.minimum(x[0], 1)",
                "max": "np.maximum(x[0], 1)",
                "apply": "np.exp(x[0])",
            }.items()
        },
        "get": "write `x[0]`",
    },
    "Scheduler": {
        "step": "the optimiser counts the steps; leave it out",
        "get_last_lr": "write `optimizer.lr`",
        "get_lr": "write `optimizer.lr`",
        "state_dict": "a schedule has no state; save that of the optimiser, which counts the steps",
        "load_state_dict": "a schedule has no state; load that of the optimiser, which counts the steps",
    },
    "PlateauScheduler": {
        "step": "write schedule.update(loss)",
        "get_last_lr": "write schedule.rate",
    },
}

_ACTIVATIONS = {
    "swish": "tinygrad_np.silu(x)",
}
_GENERATOR = "randomness comes from a generator: `rng = np.random.default_rng(0)`, given to what draws, as rng=rng"
_PARAMETER = "write `Tensor([1.0, 2.0], requires_grad=True)`"
_BROADCAST = "NumPy's functions take whole batches; leave it out"
_FUNCTIONS = "functions stand in tinygrad_np and in np: `tinygrad_np.relu(x)`, `np.tanh(x)`"

# Names that modules do not have. What another module of this package or NumPy has by the same name is found there.
MODULES: dict[str, dict[str, str]] = {
    "tinygrad_np": {
        **{name: f"write `{code}`" for name, code in _ACTIVATIONS.items()},
        **dict.fromkeys(("manual_seed", "seed", "set_seed", "random_seed", "Generator"), _GENERATOR),
        **dict.fromkeys(("Parameter", "Variable"), _PARAMETER),
        **dict.fromkeys(("array", "as_tensor", "FloatTensor"), "write `Tensor([1.0, 2.0])`"),
        **dict.fromkeys(("vmap", "pmap"), _BROADCAST),
        **dict.fromkeys(("jit", "compile"), COMPILED),
        **dict.fromkeys(("functional", "F"), _FUNCTIONS),
        "float": "write `np.float32`",
        "double": "write `np.float64`",
        "half": "write `np.float16`",
        "long": "write `np.int64`",
        "int": "write `np.int32`",
        "cat": "write `np.concatenate([x, x])`",
        "scatter": "write `x.at[0].set(1.0)`",
        "index_add": "write `x.at[0].add(1.0)`",
        "unbind": "write `np.unstack(x)`",
        "randint": "write `np.random.default_rng(0).integers(10, size=3)`",
        "randperm": "write `np.random.default_rng(0).permutation(3)`",
        "is_tensor": "write `isinstance(x, Tensor)`",
        "set_grad_enabled": "write `tinygrad_np.no_grad()`",
        "inference_mode": "write `tinygrad_np.no_grad()`",
        "stop_gradient": "write `x.detach()`",
        "autograd": "write `tinygrad_np.grad(x.sum(), x)`",
        "backward": "write `x.sum().backward()`",
        "jacfwd": "write `func.jacobian`",
        "jacrev": "write `func.jacobian`",
        "dropout": "write `nn.Dropout(0.5, rng=np.random.default_rng(0))`",
        "linear": "write `x @ y`, or `nn.Linear(2, 2, rng=np.random.default_rng(0))`",
        **dict.fromkeys(("upsample", "resize"), "write `tinygrad_np.interpolate`"),
        "binary_cross_entropy": "write `tinygrad_np.binary_cross_entropy_with_logits`, which takes logits",
        **{
            theirs: f"write `tinygrad_np.{ours}`"
            for ours, names in {
                "cross_entropy": (
                    "softmax_cross_entropy",
                    "softmax_crossentropy",
                    "categorical_crossentropy",
                    "sparse_categorical_crossentropy",
                    "log_loss",
                    "ce",
                ),
                "nll_loss": ("nll", "negative_log_likelihood"),
                "mse_loss": ("mse", "mean_squared_error", "l2_loss"),
                "l1_loss": ("l1", "mae", "mae_loss", "mean_absolute_error"),
                "huber_loss": ("huber",),
                "smooth_l1_loss": ("smooth_l1",),
                "kl_div": ("kl", "kl_divergence", "kl_loss"),
                "poisson_nll_loss": ("poisson_loss",),
                "gaussian_nll_loss": ("gaussian_loss",),
                "hinge_loss": ("hinge", "binary_hinge_loss"),
                "multi_margin_loss": ("multiclass_hinge_loss",),
                "margin_ranking_loss": ("ranking_loss",),
                "hinge_embedding_loss": ("contrastive_loss",),
                "triplet_margin_loss": ("triplet_loss", "triplet"),
                "nt_xent_loss": ("nt_xent", "ntxent", "info_nce", "info_nce_loss", "simclr_loss"),
                "sigmoid_focal_loss": ("focal_loss", "focal", "binary_focal_loss"),
                "dice_loss": ("dice", "soft_dice_loss"),
                "cosine_similarity": ("cosine", "cos_sim"),
            }.items()
            for theirs in names
        },
        **dict.fromkeys(
            ("bce", "bce_loss", "bce_with_logits", "sigmoid_cross_entropy", "multilabel_soft_margin_loss"),
            "write `tinygrad_np.binary_cross_entropy_with_logits`, which takes logits",
        ),
        "cosine_distance": "write `1 - tinygrad_np.cosine_similarity(x, y)`",
        **dict.fromkeys(
            ("cdist", "pdist"), "write `tinygrad_np.pairwise_distance(np.expand_dims(x, 1), y)` for each with each"
        ),
        "optimizers": "write `optim.SGD`",
        "optimizer": "write `optim.SGD`",
        "lr_scheduler": "write `schedules.CosineScheduler`",
        "utils": "see `data.DataLoader` and `serialization.save`",
    },
    "nn": {
        **{name: f"write a function: `lambda x: {code}`" for name, code in _ACTIVATIONS.items()},
        **dict.fromkeys(("Parameter", "Variable"), _PARAMETER),
        "functional": _FUNCTIONS,
        "utils": "write `optim.clip_grad_norm`",
        "Lambda": "a function is a layer too: `nn.Sequential(lambda x: x)`",
        "Dense": "write `nn.Linear`",
        "Conv": "write `nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d`",
        **dict.fromkeys(("ConvTranspose", "Conv1DTranspose", "Conv2DTranspose"), "write `nn.ConvTranspose2d`"),
        **dict.fromkeys(("BatchNorm", "BatchNormalization"), "write `nn.BatchNorm1d` or `nn.BatchNorm2d`"),
        "LayerNormalization": "write `nn.LayerNorm`",
        "GroupNormalization": "write `nn.GroupNorm`",
        "InstanceNorm": "write `nn.InstanceNorm1d` or `nn.InstanceNorm2d`",
        "SpatialDropout1D": "write `nn.Dropout1d`",
        "SpatialDropout2D": "write `nn.Dropout2d`",
        **dict.fromkeys(("UpSampling2D", "UpsamplingNearest2d", "UpsamplingBilinear2d"), "write `nn.Upsample`"),
        "MaxPooling1D": "write `nn.MaxPool1d`",
        "MaxPooling2D": "write `nn.MaxPool2d`",
        "AveragePooling1D": "write `nn.AvgPool1d`",
        "AveragePooling2D": "write `nn.AvgPool2d`",
        "GlobalAveragePooling2D": "write `nn.AdaptiveAvgPool2d(1)`",
        "GlobalMaxPooling2D": "write `nn.AdaptiveMaxPool2d(1)`",
        "Unflatten": "write a function: `lambda x: x.reshape(len(x), -1, 1)`",
        "ParameterList": "a plain list of Tensors works as well; leave it out",
        "ParameterDict": "a plain dict of Tensors works as well; leave it out",
        "BCELoss": "write `nn.BCEWithLogitsLoss`, which takes logits: without a Sigmoid before it",
        "MultiLabelSoftMarginLoss": "write `nn.BCEWithLogitsLoss`, which has the same mean",
        **{
            theirs: f"write `nn.{ours}`"
            for ours, names in {
                "CrossEntropyLoss": ("CategoricalCrossentropy", "SparseCategoricalCrossentropy", "SoftmaxCrossEntropy"),
                "MSELoss": ("MeanSquaredError", "L2Loss"),
                "L1Loss": ("MeanAbsoluteError", "MAELoss"),
                "HuberLoss": ("Huber",),
                "KLDivLoss": ("KLDivergence",),
                "HingeLoss": ("Hinge", "BinaryHingeLoss"),
                "HingeEmbeddingLoss": ("ContrastiveLoss",),
                "TripletMarginLoss": ("TripletLoss",),
                "NTXentLoss": ("InfoNCELoss", "InfoNCE", "SimCLRLoss"),
                "SigmoidFocalLoss": ("FocalLoss", "BinaryFocalLoss"),
                "DiceLoss": ("Dice", "SoftDiceLoss"),
                "PoissonNLLLoss": ("PoissonLoss",),
            }.items()
            for theirs in names
        },
        **dict.fromkeys(("CategoricalCrossentropy", "SparseCategoricalCrossentropy"), "write `nn.CrossEntropyLoss`"),
        "Transformer": "it is made of `nn.TransformerEncoder` and `nn.TransformerDecoder`",
    },
    "nn.init": {
        **{
            f"{theirs}_{kind}{ending}": f"write `model.weight.data = nn.init.{ours}_{kind}(model.weight.shape,"
            " rng=np.random.default_rng(0))`"
            for theirs, ours in (("xavier", "glorot"), ("kaiming", "he"))
            for kind in ("normal", "uniform")
            for ending in ("", "_")
        },
        **{
            f"{name}_": f"write `model.weight.data = nn.init.{name}(model.weight.shape, rng=np.random.default_rng(0))`"
            for name in ("normal", "uniform", "orthogonal")
        },
        "zeros_": "write `model.weight.data = nn.init.zeros(model.weight.shape)`",
        **dict.fromkeys(("ones", "ones_"), "write `model.weight.data = np.ones_like(model.weight.data)`"),
        **dict.fromkeys(("constant", "constant_"), "write `model.weight.data = np.full_like(model.weight.data, 0.5)`"),
    },
    "optim": {
        **dict.fromkeys(("BFGS", "OptimizeResult"), "write `optim.minimize`"),
        "lr_scheduler": "write `schedules.CosineScheduler`",
        **dict.fromkeys(("swa_utils", "AveragedModel"), "write `optim.EMA` or `optim.SWA`"),
        "AMSGrad": "write `optim.Adam(model.parameters(), amsgrad=True)`",
        **dict.fromkeys(("Nadam", "NAdamW"), "write `optim.NAdam`"),
        "clip_grad_norm_": "write `optim.clip_grad_norm`",
        "clip_grad_value_": "write `optim.clip_grad_value`",
    },
    "schedules": {
        "CosineAnnealingLR": "write `schedules.CosineScheduler(0.1, steps=100)`",
        "StepLR": "write `schedules.ExponentialScheduler(0.1, decay=0.1, stage_length=30)`",
        "ExponentialLR": "write `schedules.ExponentialScheduler(0.1, decay=0.9, stage_length=1)`",
        "MultiStepLR": "write `schedules.MultiStepScheduler(0.1, milestones=[30, 80])`",
        "LinearLR": "write `schedules.WarmupScheduler(0.1, steps=100)`",
        "OneCycleLR": "write `schedules.OneCycleScheduler(0.1, steps=100)`",
        "SequentialLR": "write `schedules.JoinedScheduler`",
        "LambdaLR": "a schedule is any function of the step: `lambda step: 0.1 * 0.9**step`",
        "ConstantLR": "a number is a constant learning rate: `optim.SGD(model.parameters(), lr=0.1)`",
        "ReduceLROnPlateau": "write `schedules.PlateauScheduler(0.1)`",
        "CosineAnnealingWarmRestarts": "write `schedules.RestartScheduler(0.1, steps=100)`",
        "PolynomialLR": "write `schedules.PolynomialScheduler(0.1, steps=100)`",
    },
    "func": {
        "jacfwd": "write `func.jacobian`",
        "jacrev": "write `func.jacobian`",
        "vmap": _BROADCAST,
        "egrad": "write `func.elementwise_grad`",
        "ravel_pytree": "write `func.flatten`",
        **dict.fromkeys(("remat", "rematerialize"), "write `func.checkpoint`"),
        **dict.fromkeys(("custom_jvp", "custom_gradient"), "write `func.custom_vjp`"),
        **dict.fromkeys(("per_sample_grad", "per_example_gradients"), "write `func.per_example_grad`"),
        "hessian_vector_product": "write `func.hvp`",
    },
    "solvers": {
        **dict.fromkeys(("solve_ivp", "odeint_event"), "write `solvers.odeint`"),
        "odeint_adjoint": "write `solvers.odeint(lambda y, t: -y, 1.0, np.array([0.0, 1.0]), adjoint=True)`",
        **dict.fromkeys(("newton", "fsolve", "brentq", "custom_root", "find_root"), "write `solvers.root`"),
        **dict.fromkeys(("custom_linear_solve", "gmres", "bicgstab"), "write `solvers.linear_solve`"),
        "cg": 'write `solvers.linear_solve(lambda x: 2 * x, np.ones(3), method="cg")`',
        **dict.fromkeys(("anderson", "anderson_acceleration"), "write `solvers.fixed_point`"),
        **dict.fromkeys(("least_squares", "bfgs", "lbfgs"), "write `optim.minimize`"),
    },
    "data": {
        "TensorDataset": "arrays are given to the loader: `data.DataLoader(np.ones((4, 2)), np.ones(4), batch_size=2)`",
        "MNIST": "write `data.load_mnist`",
    },
}
# Further modules in which names are looked for.
_OTHERS = ("serialization", "checkpoint", "debug")

# Keywords, each with those that may be meant; the first that the function has is named.
KEYWORDS: dict[str, tuple[str, ...]] = {
    "dim": ("axis", "axes", "axis1"),
    "dims": ("axes", "axis", "shape"),
    "dim0": ("axis1",),
    "dim1": ("axis2",),
    "keepdim": ("keepdims",),
    "start_dim": ("start_axis",),
    "end_dim": ("end_axis",),
    "unbiased": ("ddof",),
    "correction": ("ddof",),
    "input": ("logits", "log_probabilities", "predictions", "query", "x"),
    "target": ("labels", "targets"),
    "y_pred": ("predictions",),
    "y_true": ("labels", "targets"),
    **dict.fromkeys(("input1", "x1"), ("first", "x")),
    **dict.fromkeys(("input2", "x2"), ("second", "y")),
    **dict.fromkeys(("variance", "sigma2"), ("var",)),
    **dict.fromkeys(("tau", "temp"), ("temperature",)),
    "learning_rate": ("lr",),
    **dict.fromkeys(("base_lr", "max_lr", "initial_lr", "init_value", "initial_learning_rate", "peak_value"), ("lr",)),
    **dict.fromkeys(("T_max", "total_steps", "total_iters", "warmup_steps", "num_steps"), ("steps",)),
    **dict.fromkeys(("transition_steps", "decay_steps"), ("stage_length", "steps")),
    "step_size": ("stage_length", "lr"),
    "T_0": ("steps",),
    "T_mult": ("growth",),
    **dict.fromkeys(("eta_min", "min_lr", "end_value"), ("minimum",)),
    "boundaries": ("milestones",),
    "decay_rate": ("decay",),
    "gamma": ("decay",),
    "params": ("parameters",),
    "rate": ("p",),
    "prob": ("p",),
    "rho": ("alpha",),
    "epsilon": ("eps",),
    **dict.fromkeys(("beta1", "beta2", "beta_1", "beta_2", "b1", "b2"), ("betas",)),
    **dict.fromkeys(("max_grad_norm", "clip_norm"), ("max_norm",)),
    "clip_value": ("max_value",),
    "max_iter": ("max_iterations",),
    "max_eval": ("max_evaluations",),
    "history_size": ("history",),
    "base_optimizer": ("optimizer",),
    "la_steps": ("k",),
    "use_bias": ("bias",),
    "with_bias": ("bias",),
    "trainable": ("requires_grad",),
    "units": ("out_features", "hidden_size"),
    "features": ("out_features", "out_channels", "hidden_size"),
    "in_dim": ("in_features",),
    "out_dim": ("out_features",),
    "input_dim": ("num_embeddings", "in_features", "input_size"),
    "output_dim": ("embedding_dim", "out_features"),
    "hidden_dim": ("hidden_size",),
    "hidden_features": ("hidden_size",),
    "vocab_size": ("num_embeddings",),
    "d_model": ("embed_dim",),
    "nhead": ("num_heads",),
    "max_len": ("max_length",),
    "filters": ("out_channels",),
    "kernel": ("kernel_size",),
    "pool_size": ("kernel_size",),
    "window_shape": ("kernel_size",),
    "strides": ("stride",),
    "dilation_rate": ("dilation",),
    "feature_group_count": ("groups",),
    "class_weight": ("weight",),
    **dict.fromkeys(("seed", "generator", "random_state", "key", "shuffle"), ("rng",)),
    "stddev": ("std",),
    **dict.fromkeys(("size_average", "reduce"), ("reduction",)),
    "keep_dims": ("keepdims",),
    "mask": ("attn_mask", "src_mask"),
}
# What to do about keywords for which a function has no other.
WITHOUT: dict[str, str] = {
    "line_search_fn": "its line search is that of strong_wolfe; leave it out",
    **dict.fromkeys(("inplace", "set_to_none"), "leave it out"),
    **dict.fromkeys(("input", "target"), "give it by position, without a name"),
    "device": CPU,
    "from_logits": "the names of losses say what they take; leave it out",
    "batch_first": "the batch always comes first; leave it out",
    "attn_mask": "give it by the name mask, with True where attention is not allowed",
    **dict.fromkeys(("start_dim", "end_dim"), "write `x.reshape(len(x), -1)`, or nn.Flatten()"),
    **dict.fromkeys(("dim0", "dim1"), "write `x.swapaxes(0, 1)`"),
}
# Arguments that cannot be left out, as they are usually given.
ARGUMENTS = {
    "batch_size": "batch_size=32",
    "rng": "rng=np.random.default_rng(0)",
    "parameters": "model.parameters()",
    "lr": "lr=0.1",
    "optimizer": "optim.SGD(model.parameters(), lr=0.1)",
}


def of_keyword(name: str, supported: Iterable[str]) -> str:
    """What to write for an unknown keyword, as the end of a message: "; write axis=", or nothing.

    >>> of_keyword("dim", ["a", "axis"]), of_keyword("require_grad", ["data", "requires_grad"])
    ('; write axis=', '; did you mean requires_grad=?')
    """
    names = [*supported]
    if meant := [other for other in KEYWORDS.get(name, ()) if other in names]:
        return f"; write {meant[0]}="
    if name in WITHOUT:
        return f"; {WITHOUT[name]}"
    return "".join(f"; did you mean {near}=?" for near in difflib.get_close_matches(name, names, 1, 0.85))


def module_getattr(module: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module of this package: an AttributeError that says what to write instead.

    >>> module_getattr("tinygrad_np.optim")("lr_scheduler")
    Traceback (most recent call last):
    AttributeError: module 'tinygrad_np.optim' has no attribute 'lr_scheduler'; write `schedules.CosineScheduler`
    """

    def refuse(name: str) -> NoReturn:
        hint = "" if name.startswith("_") else _of_name(module.removeprefix("tinygrad_np."), name)
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}{'; ' * bool(hint)}{hint}", name=name, obj=sys.modules[module]
        )

    return refuse


def _of_name(module: str, name: str) -> str:
    own = (ATTRIBUTES if module == "tinygrad_np" else {}) | MODULES.get(module, {})
    if name in own:
        return own[name]
    near = own.get(name.lower(), "")
    for place in (module, *MODULES, *_OTHERS):
        public = _public(place)
        if name in public:
            return f"write `{place}.{name}`"
        near = near or next((f"write `{place}.{other}`" for other in public if _key(other) == _key(name)), "")
    return f"write np.{name}" if name in vars(np) else near


def _public(place: str) -> list[str]:
    """The public names of a module, imported where a name is missing and not before: that takes an eighth longer."""
    found = import_module("tinygrad_np" if place == "tinygrad_np" else f"tinygrad_np.{place}")
    own = (name for name, thing in vars(found).items() if getattr(thing, "__module__", "") == found.__name__)
    return [name for name in getattr(found, "__all__", own) if not name.startswith("_")]


def _key(name: str) -> str:
    return name.lower().replace("_", "")


class _NotCallable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        package, _, name = self.__name__.rpartition(".")
        meant = next(other for other in sys.modules[package].__all__ if other.lower() == name)
        raise TypeError(f"{self.__name__} is a module: write {meant}(...)")


def refuse_calls(package: str) -> None:
    """Let modules of a package that are called say which of its classes is meant: `tinygrad_np.tensor([1.0])`."""
    names = {name.lower() for name in sys.modules[package].__all__} - {*sys.modules[package].__all__}
    for name in names & vars(sys.modules[package]).keys():
        if isinstance(module := getattr(sys.modules[package], name), ModuleType):
            module.__class__ = _NotCallable


def with_hints(otherwise: str = "") -> Callable[[Hinted], Hinted]:
    """Decorate a function or method so that errors about the arguments that it is called with say what to write.

    Args:
        otherwise: what to say where no name of an argument explains the error, but a positional argument too many, or
            an array in the place of a number. "{name}" in it is the name of the class.
    """

    def decorate(function: Hinted) -> Hinted:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (TypeError, ValueError) as error:
                at_the_call = error.__traceback__ is not None and error.__traceback__.tb_next is None
                given_arrays = bool(otherwise) and any(hasattr(a, "__array__") for a in args)
                has_hint = ";" in str(error)  # of a check, or of the constructor of a base class
                if has_hint or type(error) not in (TypeError, ValueError) or not (at_the_call or given_arrays):
                    raise
                text, name = str(error), function.__name__
                if name == "__init__":  # of the class that was called, or whose constructor a subclass calls
                    kinds = (kind for kind in type(args[0]).__mro__ if kind.__init__ is call)  # type: ignore[misc]
                    name = next(kinds, type(args[0])).__name__
                    if name.startswith("_"):  # the class that was called knows what it was given
                        raise
                    text = text.replace(f"{function.__qualname__}()", f"{name}()")
                hint = _of_arguments(function, text, args, kwargs)
                positional = "positional argument" in text and "missing" not in text
                if not hint and otherwise and (given_arrays or positional) and "missing" not in text:
                    hint = f"; {otherwise.format(name=name)}"
                if hint:  # in place of that of Python 3.13
                    text = re.sub(r"\. Did you mean '\w+'\?$", "", text)
                raise type(error)(f"{text}{hint}") from None

        return call  # type: ignore[return-value]

    return decorate


def _of_arguments(function: Callable[..., Any], text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    parameters = inspect.signature(function).parameters
    for name in kwargs:
        if name not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            later = getattr(args[0], "forward", None) if args else None  # of a layer, which is being made
            at_call = inspect.signature(later).parameters if later is not None else {}
            meant = [name, *KEYWORDS.get(name, ())]
            given_later = [other for other in meant if other in at_call]
            if given_later and (name in given_later or not {*meant} & parameters.keys()):
                return f"; give {given_later[0]}= to the call of the layer"
            return of_keyword(name, parameters)
    missing = (f"; add {given}" for name, given in ARGUMENTS.items() if f"'{name}'" in text and "missing" in text)
    return next(missing, "")


def of_call(error: TypeError, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What to write for a NumPy function that was called with PyTorch's arguments, as the end of a message."""
    try:
        supported: Mapping[str, Any] = inspect.signature(function).parameters
    except ValueError:  # a ufunc, or another function in C: before NumPy 2.4 none of them has a signature
        if name_of(function) != "concatenate":
            return ""
        supported = {"arrays": None}
    if "; write" in str(error) or "leave it out" in str(error):
        return ""
    hints = (of_keyword(name, supported) for name in kwargs if name not in supported)
    keepdims = [a for a in args[1:] if type(a) is bool]
    axes = tuple(a for a in args[1:] if type(a) is int)
    if len(axes) > 1 and [*supported][1:2] == ["axis"] and len(axes) == len(args) - 1:
        return f"; write axis={axes} for several axes"
    several = next(iter(supported), "") in ("arrays", "arys", "tup", "seq")  # as of concatenate and stack
    if several and len(args) > 1 and all(hasattr(a, "__array__") for a in args[:2]):
        return f"; write np.{name_of(function)}([x, y]), with brackets"
    if keepdims and "keepdims" in supported and "keepdims" not in kwargs:
        return f"; another argument comes there: write keepdims={keepdims[0]} by name"
    return next(filter(None, hints), "")


def note_call(error: Exception, module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Add a note to an error in a call of a module, where what it was given explains the error."""
    with suppress(Exception):  # a hint must not take the place of the error
        parameters = inspect.signature(module.forward).parameters
        first = next(iter(parameters.values()), None)
        unknown = [name for name in kwargs if name not in parameters and repr(name) in str(error)]
        note = ""
        if args and args[0] is None and first is not None and first.default is first.empty:
            note = "the first argument is None: does what computed it end without a return?"
        elif args and isinstance(args[0], tuple) and any(hasattr(part, "requires_grad") for part in args[0]):
            note = "the first argument is a tuple, as recurrent layers return it: write y, state = layer(x)"
        elif args and isinstance(error, TypeError | AttributeError) and ";" in (kind := foreign(args[0])):
            note = "" if kind in str(error) else f"the first argument is a {kind}"
        elif unknown:
            note = of_keyword(unknown[0], parameters).removeprefix("; ")
        elif isinstance(error, AttributeError) and error.obj is module and error.name in _unset(module):
            note = f"{error.name} is set by the base class: call super().__init__(...) in {type(module).__name__}"
        if note and note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def _unset(module: Any) -> set[str]:
    """Attributes that a class of this package sets for those that derive from it, where its constructor did not run."""
    own = (kind for kind in type(module).__mro__ if kind.__module__.startswith("tinygrad_np."))
    names = inspect.signature(next(own)).parameters.keys() - {"rng", "dtype"}
    ran = not names or any(name in vars(module) for name in names)
    return set() if ran else {*names, "weight", "bias"}


def of_images(shape: tuple[int, ...], channels: int, ndim: int) -> str:
    """What to write for images or sequences whose axes are in another order, or fewer, than (n, channels, ...)."""
    if len(shape) == ndim and shape[-1] == channels != shape[1]:
        return "; the channels come second: write np.moveaxis(x, -1, 1)"
    if len(shape) == ndim - 1 and channels in (shape[0], 1):
        batch = "np.newaxis" if shape[0] == channels else ":, np.newaxis"
        return f"; write x[{batch}]"
    return ""


def foreign(value: Any) -> str:
    """The class of an object, and how it becomes an ndarray if it is another library's array.

    >>> foreign("a"), foreign(1j)
    ('str', 'complex')
    """
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] in ("numpy", "tinygrad_np") or not hasattr(value, "__array__"):
        return kind.__name__
    if not callable(getattr(value, "numpy", None)):
        return f"{name}; write np.asarray(...) around it"
    return f"{name}; write {'.detach()' if getattr(value, 'requires_grad', False) else ''}.numpy()"


# Classes of errors that hold nothing but a message.
MESSAGE_ONLY = {
    *(ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, FloatingPointError, RuntimeError),
    *(np.linalg.LinAlgError, np.exceptions.AxisError),
}


def kind(array: Any) -> str:
    """The dtype and the shape of an array or Tensor, as messages give them: `float32[2, 3]`."""
    return f"{array.dtype}{list(array.shape)}"


def shown(value: Any) -> str:
    """A value in a message: an array by its dtype and shape, anything else by the beginning of its repr."""
    if not isinstance(value, type) and hasattr(value, "dtype") and getattr(value, "shape", None):  # np.float64 has both
        return kind(value)
    if isinstance(value, list | tuple) and any(hasattr(part, "dtype") for part in value):
        return f"[{', '.join(map(shown, value))}]" if len(value) <= 10 else f"{len(value)} arrays"
    try:
        return f"{value!r:.60}"
    except Exception:  # a repr that fails must not take the place of the error that is being explained
        return f"a {type(value).__name__}"


def as_call(thing: object, *parts: Any, **settings: Any) -> str:
    """The repr of an object as the call that makes it: `SGD(lr=0.1, momentum=0.9)`.

    >>> as_call(1.5, np.zeros((2, 3)), rate=as_call, rng=np.random.default_rng(0))
    'float(float64[2, 3], rate=as_call, rng=Generator(PCG64))'
    """
    named = [f"{name}={setting_text(value)}" for name, value in settings.items()]
    return f"{type(thing).__name__}({', '.join([*map(setting_text, parts), *named])})"


def setting_text(value: Any) -> str:
    """An argument in a repr, without addresses: an array by its dtype and shape, a function by its name."""
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, type):
        return kind(value) if value.shape else str(value)
    if isinstance(value, np.random.Generator):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(setting_text, value))}]"
    text = repr(value)
    return str(getattr(value, "__name__", f"{type(value).__name__}(...)")) if " at 0x" in text else text


def raise_explained(error: Exception, name: str, arrays: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
    """Raise an error that names the operation and what it was given, and has the class of the error that it raised.

    Where that may hold more than a message, it is raised itself, with a note.
    """
    given = [kind(a) if isinstance(a, np.ndarray) else shown(a) for a in arrays]
    given += (f"{keyword}={shown(value)}" for keyword, value in kwargs.items())
    what = f"{name} of {', '.join(given)}"
    private = "numpy._core."  # NumPy's own subclasses of TypeError for what a ufunc cannot do
    kind_of_error: type = next(k for k in type(error).__mro__ if not k.__module__.startswith(private))
    explained = error
    try:
        # Python names the attribute, as of (3).ndim; an error of one's own may not.
        if isinstance(error, AttributeError) and error.name is not None and any(a is error.obj for a in arrays):
            single = type(error.obj) is tuple and len(error.obj) == 1
            hint = "; of a loader, write for (x,) in loader" if single else ""
            explained = TypeError(f"{what}: expected an array, not {foreign(error.obj)}{hint}")
            raise explained from error
        if kind_of_error not in MESSAGE_ONLY:
            add_note(error, f"in {what}")
            raise error
        reason = str(error)
        for known in (name, name.rpartition(".")[2]):  # the package's own checks, and NumPy's, name the operation too
            reason = reason.removeprefix(f"{known}: ")
        if any(type(a) is tuple and any(hasattr(part, "requires_grad") for part in a) for a in arrays):
            reason = (
                "expected an array, not a tuple of Tensors; of a recurrent layer, write y, state = layer(x), and of"
                " attention, y, weights = layer(x, x, x)"
            )
        explained = kind_of_error(f"{what}: {reason}")
        for note in getattr(error, "__notes__", ()):
            explained.add_note(note)
        raise explained from error
    finally:
        del error, explained  # which hold this frame in their tracebacks: a cycle would keep all arrays alive


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, unless its class does not let it: then the error itself is worth more than the note."""
    with suppress(Exception):
        error.add_note(note)


class needs_call:  # noqa: N801 - a decorator
    """Decorate a method without arguments to say so where it stands without its call: `f"{loss.item:.3f}"`."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method, self.__doc__ = method, method.__doc__

    def __get__(self, instance: Any, owner: type) -> Any:
        return self.method if instance is None else MethodWithoutCall(self.method, instance)


class MethodWithoutCall(partial[Any]):
    __hash__ = partial.__hash__

    def __repr__(self) -> str:
        name = self.func.__name__
        return f"<method {name} of {self.args[0]!r}: write .{name}(), with the call>"

    def _refuse(self, *_: Any) -> NoReturn:
        name = self.func.__name__
        raise TypeError(f"{name} is a method: write .{name}(), with the call")


# fmt: off
_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul", "and", "or", "xor", "lshift",
    "rshift"]
_OTHER = ["eq", "ne", "lt", "le", "gt", "ge", "bool", "len", "iter", "getitem", "contains", "float", "int", "complex",
    "index", "round", "trunc", "floor", "ceil", "abs", "neg", "pos", "invert", "str", "format", "array"]
# fmt: on
for _name in (*_OTHER, *_BINARY, *(f"r{name}" for name in _BINARY)):
    setattr(MethodWithoutCall, f"__{_name}__", MethodWithoutCall._refuse)


class _Absent:
    """An attribute that does not exist, of a class or its instances. Reading it raises an AttributeError with a hint.

    A `__getattr__` would make every access to a slot four times as slow: 27 against 7 ns in Python 3.11.
    """

    def __init__(self, owner: str, name: str, hint: str) -> None:
        self.owner, self.name, self.hint = owner, name, hint
        self.__doc__ = f"Does not exist: {hint}."

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{self.owner} has no {self.name}: {self.hint}", name=self.name, obj=instance)


def _of_tensor() -> dict[str, str]:
    functions = {
        name: f"write `np.{name}(x)`" if isinstance(value, np.ufunc) and value.nin == 1 else f"write np.{name}(x, ...)"
        for name, value in vars(np).items()
        if isinstance(value, np.ufunc | type(np.sum)) and not name.startswith("_")
    }
    data = {name: f"write `x.data.{name}`" for name in dir(np.ndarray) if not name.startswith("_")}
    return functions | data | ATTRIBUTES


class Hints:
    """Base class of classes whose users look for other names. A class that derives from it has those of `CLASSES`."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if Hints not in cls.__bases__:
            for name in {name for kind in cls.__mro__ for name, value in vars(kind).items() if type(value) is _Absent}:
                first, *others = (vars(kind)[name] for kind in cls.__mro__ if name in vars(kind))
                if type(first) is _Absent and others:  # of a mixin that comes later in the order of resolution
                    setattr(cls, name, others[0])
            return
        kind = cls.__name__.strip("_")
        article = "an" if kind[0] in "AEIOU" else "a"
        for name, hint in (_of_tensor() if kind == "Tensor" else CLASSES[kind]).items():
            if name not in vars(cls):
                setattr(cls, name, _Absent(f"{article} {kind}", name, hint))

    def __dir__(self) -> list[str]:
        absent = {name for kind in type(self).__mro__ for name, value in vars(kind).items() if type(value) is _Absent}
        return sorted({*object.__dir__(self)} - (absent - {*getattr(self, "__dict__", {})}))


# --- functions that are not supported --------------------------------------------------------------------------------

_ASSIGN = "a Tensor's elements are not assigned; see x.at[index].set(value), x.at[index].add(value) and np.where"
NOT_YET = "it has no gradient yet"
# NumPy's functions that are refused, by the reason; `*` stands for any characters. OPERATIONS.md is made of this table,
# and a test holds that every function of the installed NumPy is registered or stands here.
REFUSED: dict[str, str] = {
    NOT_YET: """
        histogram histogram2d histogram_bin_edges histogramdd roots""",
    "this method of it has no gradient yet": "*.accumulate *.outer *.reduce *.reduceat",
    "its dtype depends on the numbers; write x.real": "real_if_close",
    "complex numbers have no order": "sort_complex",
    _ASSIGN: "*.at fill_diagonal place put put_along_axis putmask",
    "it writes into an array; in place of np.full and np.full_like write np.broadcast_to(x, shape)": "copyto",
    "it makes an array of no array; of Tensors make it by np.full_like, np.stack or np.broadcast_to": """
        arange bartlett blackman diag_indices empty eye frombuffer fromfunction fromiter full hamming hanning identity
        indices kaiser mask_indices ones tri tril_indices triu_indices zeros fft.fftfreq fft.rfftfreq""",
    "it makes a bare array; with its gradient a Tensor is taken by np.stack, np.concatenate and np.block": """
        array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat c_ from_dlpack r_
        require""",
    "its result has one element for several equal ones, so it has no derivative; np.sort has": """
        intersect1d setdiff1d setxor1d union1d unique unique_all unique_counts unique_inverse unique_values""",
    "it differs from its argument by rounding only": "nextafter",
    "functions of whole arrays are": "apply_along_axis apply_over_axes frompyfunc nested_iters",
    "it works on text or files": """
        array2string array_repr array_str base_repr binary_repr format_float_positional format_float_scientific fromfile
        fromregex fromstring genfromtxt load loadtxt save savetxt savez savez_compressed""",
    "indices have no derivative; write np.ix_(i.data, j.data)": "ix_",
    "it asks how memory is laid out; write np.isfortran(x.data)": "isfortran",
    "it is deprecated; np.isin is not": "in1d",
    "it is deprecated; np.trapezoid is not": "trapz",
    "it is deprecated; np.vstack is not": "row_stack",
    "it works on dates": "busday_count busday_offset datetime_as_string datetime_data is_busday isnat",
    "it takes no array of numbers": """
        broadcast_shapes einsum_path get_include get_printoptions getbufsize geterr geterrcall info isdtype issubdtype
        mintypecode printoptions promote_types set_printoptions setbufsize seterr seterrcall show_config
        show_runtime test typename *.test""",
}  # fmt: skip
_OF_SCIPY = {
    "_lambertw": "tinygrad_np.special.lambertw is, of real numbers",
    "_riemann_zeta": "zeta(x, q) is, in q",
    "wofz": "it is complex; on the axes it is erfcx and dawsn, which are",
    **dict.fromkeys(("hankel1", "hankel1e", "hankel2", "hankel2e"), "it is complex; its parts, jv and yv, are"),
}


def reason_of(name: str) -> str:
    """Why a function of NumPy is refused; "" if the table does not have it.

    >>> reason_of("isnat"), reason_of("exp")
    ('it works on dates', '')
    """
    return next((why for why, names in REFUSED.items() if any(fnmatchcase(name, each) for each in names.split())), "")


def instead_of(function: Function, name: str, known: Iterable[Function]) -> str:
    """What to write instead of a function that is not supported, after a semicolon; "" if nothing is near."""
    meant = reason_of(name) if _is_numpys(function) else _OF_SCIPY.get(name, "")
    if meant in ("", NOT_YET):
        names = [name_of(near) for near in known if _is_numpys(near)]
        cutoff = 0.84 if _is_numpys(function) else 1  # names of other libraries are alike by chance
        meant = "".join(f"the nearest that is: np.{near}" for near in difflib.get_close_matches(name, names, 1, cutoff))
    return f"; {meant}" if meant else ""


def of_scipy() -> str:
    """What to write for a function of SciPy that turns a Tensor into an array; "" if none of these has called."""
    frame: Any = sys._getframe(1)
    calls = []
    while frame is not None:
        calls.append((*frame.f_globals.get("__name__", "").split(".")[:2], frame.f_code.co_name))
        frame = frame.f_back
    for module in ("special", "stats"):
        if names := [name for *home, name in calls if home == ["scipy", module]]:
            ours = import_module(f"tinygrad_np.{module}").__all__
            known = next((name for name in names if name in ours), "")
            use = f"write tinygrad_np.{module}.{known}" if known else f"tinygrad_np.{module} has {', '.join(ours)}"
            return f"this function of scipy.{module} takes arrays only: {use}, with the same arguments"
    return ""


def _is_numpys(function: Function) -> bool:
    owner = getattr(function, "__self__", None)
    owner = owner if isinstance(owner, np.ufunc) else function  # a ufunc's method has no module
    return (getattr(owner, "__module__", None) or "").partition(".")[0] == "numpy"
