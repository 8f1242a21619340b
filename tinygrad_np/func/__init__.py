"""Differentiate functions: gradients, Jacobians, Hessians, and products with them.

    slope = grad(loss)(weights, x)     # the gradient with respect to the first argument

`grad`, `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian` and `hvp` take functions of Tensors, or of nested tuples,
named tuples, lists and dicts of Tensors (*trees*), and nest to any order. A derivative is a tree of the same classes.
`value_and_jacobian`, `elementwise_grad` and `per_example_grad` are their relatives. `value` is the function itself.

`flatten` makes one vector of a tree, and back. `checkpoint` computes again what the backward pass needs, in place of
keeping it, and `custom_vjp` gives a function a rule for its derivative. `functional_call` makes a function of the
parameters of a module.

Arguments may be ndarrays, numbers or Tensors; the function is always called with Tensors. Python's numbers, and
integers of any kind, count as float64, as in NumPy (`Tensor(2.0)` is float32). Results are of the kind of the
arguments, and in memory of their own:

- ndarrays, or NumPy scalars where they are 0-d, for ndarrays and numbers. So `w -= 0.1 * grad(f)(w)` works, and SciPy's
  optimisers take these functions as they are.
- Tensors for Tensors. A gradient is of the kind of its own argument. The value of the function is a Tensor if one of
  the arguments to differentiate is.
- Differentiable Tensors where a result depends on something else that requires a gradient, such as a parameter or the
  argument of an outer derivative. Inside a function that is itself being differentiated, all results are Tensors.
"""

from .._messages import module_getattr
from .custom import custom_vjp
from .derivatives import (
    elementwise_grad,
    grad,
    hessian,
    holomorphic_grad,
    hvp,
    jacobian,
    jvp,
    per_example_grad,
    value,
    value_and_grad,
    value_and_jacobian,
    vjp,
)
from .modules import functional_call
from .recompute import checkpoint
from .trees import flatten

__all__ = [
    "checkpoint",
    "custom_vjp",
    "elementwise_grad",
    "flatten",
    "functional_call",
    "grad",
    "hessian",
    "holomorphic_grad",
    "hvp",
    "jacobian",
    "jvp",
    "per_example_grad",
    "value",
    "value_and_grad",
    "value_and_jacobian",
    "vjp",
]

__getattr__ = module_getattr(__name__)
