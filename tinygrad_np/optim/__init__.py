"""Optimisers, gradient clipping and averages of weights.

    optimizer = AdamW(model.parameters(), lr=CosineScheduler(1e-3, steps=10_000))
    optimizer.minimize(loss)      # or zero_grad(), loss.backward(), clip_grad_norm(parameters, 1.0), step()

    found = minimize(f, start, method=Adam, lr=0.1, steps=1000)     # a function of arrays; or method="L-BFGS-B"

The formulas are PyTorch's. Learning-rate schedules are in `tinygrad_np.schedules`. A subclass of `Optimizer` is an
optimiser of your own.
"""

from .._messages import module_getattr, refuse_calls
from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .averaging import EMA
from .base import Optimizer
from .clipping import clip_grad_norm
from .functional import Minimum, minimize
from .muon import Muon
from .sgd import SGD

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "EMA",
    "Minimum",
    "Muon",
    "Optimizer",
    "RMSprop",
    "SGD",
    "clip_grad_norm",
    "minimize",
]

refuse_calls(__name__)
__getattr__ = module_getattr(__name__)
