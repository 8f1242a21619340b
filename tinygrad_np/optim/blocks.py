"""Arrays of one shape in blocks that fit in the cache, for formulas that go over them several times."""

from collections.abc import Iterator

from .._machine.fused import BLOCK
from ..tensor import Array


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Views of the arrays, block by block; the arrays whole if they are small or not contiguous.

    A step of Adam on 784 x 1024 float32 takes 1.5 ms with blocks and 2.0 ms without; PyTorch's, unfused and on one
    thread, takes 1.9 ms.
    """
    if arrays[0].size <= BLOCK or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for i in range(0, flat[0].size, BLOCK):
        yield tuple(array[i : i + BLOCK] for array in flat)
