"""Every operation: importing this package fills the registry, one family a file.

An operation is one entry: the function, a vjp for each argument, and the cases its tests are generated from.
"""

from . import elementwise, indexing, linalg, losses, products, reductions, shapes, special

__all__ = ["elementwise", "indexing", "linalg", "losses", "products", "reductions", "shapes", "special"]
