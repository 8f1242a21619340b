"""Solutions of equations that can be differentiated: roots, fixed points, linear and differential equations.

    x = root(f, x0, a)                       # f(x, a) = 0
    x = fixed_point(f, x0, a)                # f(x, a) = x
    x = linear_solve(A, b, a)                # A(x, a) = b, for a linear function A
    y = odeint(f, y0, t, a)                  # dy/dt = f(y, t, a), at the times t

Unknowns are arrays, numbers, or nested tuples, lists and dicts of them. What a function reaches by itself, such as a
parameter of a network, gets its gradient as its arguments do. `optim.minimize` minimises.
"""

from .._messages import module_getattr, refuse_calls
from .equations import fixed_point, root
from .implicit import ConvergenceError
from .linear import linear_solve
from .ode import odeint

__all__ = ["ConvergenceError", "fixed_point", "linear_solve", "odeint", "root"]

refuse_calls(__name__)
__getattr__ = module_getattr(__name__)
