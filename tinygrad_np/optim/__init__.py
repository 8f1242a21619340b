"""Optimisers, gradient clipping and averages of weights.

    optimizer = AdamW(model.parameters(), lr=CosineScheduler(1e-3, steps=10_000))
    optimizer.minimize(loss)      # or zero_grad(), loss.backward(), clip_grad_norm(parameters, 1.0), step()

    optimizer = LBFGS(model.parameters())
    optimizer.step(lambda: loss_of(model))                          # which computes the loss several times

    found = minimize(f, start, method=Adam, lr=0.1, steps=1000)     # a function of arrays; or method="L-BFGS-B"

The formulas are PyTorch's. Learning-rate schedules are in `tinygrad_np.schedules`. A subclass of `Optimizer` is an
optimiser of your own.
"""

from .._messages import module_getattr, refuse_calls
from .adafactor import Adafactor
from .adam_variants import Adamax, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from .averaging import EMA, SWA
from .base import Optimizer
from .clipping import clip_grad_norm, clip_grad_value
from .functional import Minimum, minimize
from .layerwise import LARS, Lamb
from .lbfgs import LBFGS
from .lion import Lion
from .muon import Muon
from .sgd import SGD
from .wrappers import SAM, Lookahead

__all__ = [
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "EMA",
    "LARS",
    "LBFGS",
    "Lamb",
    "Lion",
    "Lookahead",
    "Minimum",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "SAM",
    "SGD",
    "SWA",
    "clip_grad_norm",
    "clip_grad_value",
    "minimize",
]

refuse_calls(__name__)
__getattr__ = module_getattr(__name__)
