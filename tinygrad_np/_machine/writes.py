"""When memory was last written to. Versions belong to memory, so that a write is noticed through every view of it.

    serial = note(weights)                       # after an optimiser's step
    last_write_to(weights.T[:2]) == serial       # True

A serial counts on one clock with the nodes of the graph: a node is older than what is written after it.
"""

import itertools
import os
import threading
import weakref
from functools import partial

from numpy.lib.array_utils import byte_bounds

from .arrays import Array, memory_of

serials = itertools.count()
latest = -1  # the serial of the latest write to any memory: nodes that are younger need no further look

_lock = threading.RLock()  # a signal's handler may write in the middle of a write
_owned: "dict[int, tuple[weakref.ref[Array], int]]" = {}  # by id of the array that owns the memory: its last write
_others: dict[tuple[int, int], int] = {}  # to memory that NumPy does not own, a mapped file's: by addresses
MANY_OTHERS = 1000


def note(*arrays: Array) -> int:
    """Note that the memory of arrays was written to, for all arrays that use it; return the serial."""
    global latest
    with _lock:
        serial = next(serials)
        for array in arrays:
            memory = memory_of(array)
            key = id(memory)
            if known := _owned.get(key):
                _owned[key] = known[0], serial
            elif memory.flags.owndata:
                _owned[key] = weakref.ref(memory, partial(_owned.pop, key)), serial
            else:
                if len(_others) > MANY_OTHERS:  # nobody tells when such memory is freed: one range in place of all
                    starts, ends = zip(*_others, strict=True)
                    _others.clear()
                    _others[min(starts), max(ends)] = serial
                _others[byte_bounds(array)] = serial
        latest = max(latest, serial)  # a signal's handler may have written since
    return serial


def last_write_to(array: Array) -> int:
    """The serial of the latest write to the memory of an array; -1 if there was none."""
    memory = memory_of(array)
    owned = memory.flags.owndata
    if owned and not _others:
        return _owned.get(id(memory), (None, -1))[1]
    low, high = byte_bounds(array)
    with _lock:  # another library's view of NumPy's memory, as torch.from_numpy gives it, has no owner here
        found = [n for (start, end), n in _others.items() if start < high and low < end]
        if owned:
            return max([*found, _owned.get(id(memory), (None, -1))[1]])
        for reference, n in _owned.values():
            if (other := reference()) is not None:
                start, end = byte_bounds(other)
                found += [n] * (start < high and low < end)
    return max(found, default=-1)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # another thread may have held it


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
