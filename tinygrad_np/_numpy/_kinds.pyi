# Written by `python -m tinygrad_np.testing.stubs`; a test compares it with the registry.

from collections.abc import Sequence
from typing import Any, TypeAlias, overload, type_check_only

from numpy import generic
from numpy.typing import DTypeLike, NDArray

from ..tensor import Tensor

Plain: TypeAlias = NDArray[Any] | generic | complex | Sequence[Any]  # what is no Tensor

@type_check_only
class Unary:
    @overload
    def __call__(self, x: Tensor, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, x: Plain, /, *arguments: Any, **keywords: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...

@type_check_only
class Binary:
    @overload
    def __call__(self, a: Tensor, b: Any, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, a: Plain, b: Tensor, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, a: Plain, b: Plain, /, *arguments: Any, **keywords: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
