"""Random programs: graphs of registered operations, each checked in every property that gradients have.

    python tests/random_programs.py --n 20000                        # about 40 programs a second on two cores
    python tests/random_programs.py --seed 17 --n 1                  # program 17 again
    python tests/random_programs.py --operations tanh,sum --n 500    # graphs of these only
    python tests/random_programs.py --torch --n 5000                 # compared with PyTorch in place of differences

A program applies 3 to 25 operations to a few leaves. The operations come from the whole registry, in the cases of their
entries and with other shapes and axes that NumPy accepts. The leaves have any shape; some are views, transposed,
reversed or broadcast, and some share memory. Each program is checked for

- its values, which are those of the same program run on arrays,
- first and second derivatives, which are those of finite differences,
- `backward` twice, `func.grad`, `func.jacobian` and `SGD.minimize`, which agree with `grad`,
- float32, which stays float32, inputs, which are not changed, and reference cycles, of which none are left.

Where a program fails, the same program is tried at points nearby. A wrong gradient is wrong there, too. One that is
right there was looked at beside a kink or at a tie, where a derivative does not exist and ours is a convention. Such a
program counts as a tie, and so does one whose finite differences do not converge. An error that NumPy does not raise is
a crash, or a refusal if `REFUSALS` has it. A program that is wrong or crashes is reduced to the fewest operations that
still fail, and printed as code that runs it again.
"""

import argparse
import gc
import importlib.util
import math
import os
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, func, grad, optim
from tinygrad_np._functions import name_of
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops.attention import scaled_dot_product_attention
from tinygrad_np.ops.cases import REAL, Case, Domain, each
from tinygrad_np.ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d
from tinygrad_np.ops.folding import fold, pixel_shuffle, pixel_unshuffle, unfold
from tinygrad_np.ops.pooling import (
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from tinygrad_np.ops.windows import Window  # noqa: F401 - printed programs import it from here
from tinygrad_np.testing.operations import as_used, call

import numpy as np

Operation = Primitive | Composite
Values = dict[int, Any]

# Functions of the package that are made of operations, and are therefore not in the registry themselves.
FUNCTIONS = [
    Composite(function, function, cases)
    for function, cases in [
        (conv2d, each("n 2 4 3, 2 2 2 2, 2", padding=(0, 1))),
        (conv2d, [Case("1 4 3 3, 4 2 2 1", (), {"groups": 2, "stride": 2})]),
        (conv1d, [*each("n 2 4, 3 2 2, 3", dilation=(1, 2)), Case("2 1 4, 2 1 3", (), {"padding": "same"})]),
        (max_pool2d, [Case("n 1 4 4", (2,)), Case("1 2 4 3", (2,), {"stride": 1, "padding": 1})]),
        (avg_pool2d, each("1 2 4 3", kernel_size=(2,), padding=(1,), count_include_pad=(True, False))),
        (conv3d, [Case("1 2 2 3 2, 2 1 1 2 2, 2", (), {"groups": 2, "padding": (0, 1, 0)})]),
        (conv_transpose2d, [Case("n 2 2 3, 2 1 2 2, 1", (), {"stride": 2, "output_padding": 1})]),
        (conv_transpose1d, each("1 2 3, 2 2 3", stride=(1, 2), padding=(1,))),
        (unfold, [Case("n 1 4 3", (2,)), Case("1 2 3 4", (2,), {"stride": 2, "padding": 1})]),
        (fold, [Case("n 4 6", ((4, 3), 2))]),
        (pixel_shuffle, [Case("n 4 2 1", (2,))]),
        (pixel_unshuffle, [Case("n 1 2 4", (2,))]),
        (max_pool1d, [Case("n 1 5", (2,), {"ceil_mode": True})]),
        (avg_pool1d, [Case("n 1 5", (2,), {"ceil_mode": True})]),
        (adaptive_avg_pool2d, [Case("1 2 3 4", (2,))]),
        (adaptive_max_pool1d, [Case("1 2 5", (2,))]),
        (scaled_dot_product_attention, [Case("n k, m k, m l"), *each("b N K, b M K, b M l", is_causal=(False, True))]),
        (scaled_dot_product_attention, [Case("2 3, M 3, M 2", (), {"mask": np.array([[True], [False]])})]),
    ]
]  # fmt: skip
# The remainder of polydiv has a length that depends on rounding errors; NumPy's poly of no roots is no array.
COMPLEX = [
    f"fft.{kind}{axes}" for kind in ("fft", "ifft", "rfft") for axes in ("", "2", "n")
]  # a graph is of real numbers
LEFT_OUT = ("polydiv", "poly", "linalg.eig", "linalg.eigvals", "fft.ihfft", *COMPLEX)
OPERATIONS: list[Operation] = [
    entry
    for entry in dict.fromkeys(registry.values())
    if not isinstance(entry, Constant) and entry.name not in LEFT_OUT
] + FUNCTIONS
BY_NAME = {name_of(entry.function): entry for entry in reversed(OPERATIONS)}

# What an operation of Tensors may refuse although NumPy takes it: the message, and why it is right to refuse.
REFUSALS = [
    (
        r"^poly\w+: the coefficients of a polynomial are a vector",
        "NumPy takes matrices by accident",
    ),
    (
        r"^(cum(sum|prod)|cumulative_(sum|prod)|\w+\.(accumulate|reduceat)|unstack) of "
        r".*'(tuple|NoneType)' object cannot be",
        "the axis is a number; NumPy takes (0,), and None for a vector, by accident",
    ),
    (
        r"^repeat of .*: axis -?\d is out of bounds for array of dimension 0",
        "NumPy takes axis=0 of a number by accident",
    ),
    (
        r"^diff of .*'(NoneType|tuple)' object cannot be interpreted as an integer",
        "of order 0, np.diff does not look at its axis",
    ),
    (
        r"(?s)^(getitem|take) of \w+\[(.*, )?0[],].*is out of bounds",
        "np.take does not look at indices where the result is empty",
    ),
    (r"^interp: xp must not decrease", "NumPy does not look, and interpolates between knots that it finds by accident"),
]

LARGEST = 60  # elements of a value, so that a program takes milliseconds
STEP = 1e-3
NOT_FINITE = r"not finite|\bnan\b"
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))  # the fourth-order central difference


# --- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """An operation, the case that gives its further arguments, its inputs and its outputs.

    Inputs are numbers of values, or constant arrays.
    """

    entry: Operation
    case: Case
    inputs: tuple[Any, ...]
    outputs: tuple[int, ...]


def step(name: str, case: Case | int, inputs: tuple[Any, ...], outputs: tuple[int, ...]) -> Step:
    """A step by the name of its operation and by a case, or the number of one in its entry: for printed programs."""
    entry = BY_NAME[name]
    return Step(entry, entry.cases[case] if isinstance(case, int) else case, inputs, outputs)


@dataclass(frozen=True)
class Program:
    """Leaves, steps, and the outputs that a gradient is taken of; values have numbers.

    Attributes:
        seed: what it was drawn from; the weights of its outputs and the directions of differences follow from it.
        leaves: the arrays by number.
        sources: the numbers of the leaves that require a gradient.
    """

    seed: int
    leaves: dict[int, Any]
    sources: tuple[int, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def random(self, number: int, shape: tuple[int, ...], of: str = "") -> Any:
        """Numbers of either sign from 0.5 to 1, which depend on the seed, the number of a value and the purpose."""
        x = np.random.default_rng([self.seed, number, *of.encode()]).uniform(-0.5, 0.5, shape)
        return np.asarray(x + np.copysign(0.5, x))


def on_tensors(step: Step, inputs: Sequence[Any], dtype: Any = None) -> list[Any]:
    return call(as_used(step.entry), step.case, inputs, dtype)


def on_arrays(step: Step, inputs: Sequence[Any], dtype: Any = None) -> list[Any]:
    entry = step.entry
    function = entry if isinstance(entry, Primitive) and entry.saves else entry.function
    return [np.asarray(y) for y in call(function, step.case, inputs, dtype)]


def run(program: Program, leaves: Values, on: Callable[..., list[Any]]) -> Values:
    """All values of a program by number."""
    values = dict(leaves)
    for step in program.steps:
        inputs = [values[i] if isinstance(i, int) else i for i in step.inputs]
        values.update(zip(step.outputs, on(step, inputs), strict=True))
    return values


# --- drawing ---------------------------------------------------------------------------------------------------------


class _Drawing:
    """A program in the making. It is run on arrays as it grows, so that what NumPy refuses is not drawn."""

    def __init__(self, seed: int, takes: "Callable[[Step, Sequence[Any]], Any] | None") -> None:
        self.takes = takes
        self.rng, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.leaves: Values = {}
        self.steps: list[Step] = []
        self.arrays: Values = {}  # floating point only
        self.next = 0
        self.memory = self.fresh(48)

    def fresh(self, size: int) -> Any:
        """Distinct numbers from -2 to 2, none close to another or to 0."""
        return (self.numbers.permutation(400)[:size] - 199.5) / 100

    def leaf(self, shape: tuple[int, ...] | None = None) -> int:
        """A new leaf in one of several memory layouts; perhaps in memory that other leaves use."""
        rng = self.rng
        if shape is None:
            shape = tuple(rng.choice((1, 2, 2, 3, 3, 4)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))
            if shape and rng.random() < 0.06:
                shape = (*shape[1:], 0)
        size = math.prod(shape)
        memory = self.memory if rng.random() < 0.4 and 2 * size <= 48 else self.fresh(max(2 * size, 1))
        layout = rng.choice(("contiguous", "contiguous", "transposed", "reversed", "every second", "broadcast"))
        if layout == "transposed":
            x = memory[:size].reshape(shape[::-1]).T
        elif layout == "reversed":
            x = memory[size:0:-1].reshape(shape) if size else memory[:0].reshape(shape)
        elif layout == "every second":
            x = (
                memory[: 2 * size : 2].reshape(shape)
                if len(shape) == 1
                else memory[: 2 * size].reshape((*shape, 2))[..., 0]
            )
        elif layout == "broadcast" and len(shape) > 1:
            x = np.broadcast_to(memory[: size // max(shape[0], 1)].reshape(shape[1:]), shape)
        else:
            x = memory[:size].reshape(shape)
        return self.add_leaf(x)

    def add_leaf(self, x: Any) -> int:
        number, self.next = self.next, self.next + 1
        self.leaves[number] = self.arrays[number] = x
        return number

    def step(self, entry: Operation, case: Case, inputs: Sequence[Any]) -> tuple[int, ...]:
        """Append a step, or raise if NumPy refuses it or its results are too large to compare."""
        arrays = [self.arrays[i] if isinstance(i, int) else i for i in inputs]
        results = on_arrays(Step(entry, case, (), ()), arrays)
        if self.takes:
            self.takes(Step(entry, case, (), ()), arrays)
        outputs = tuple(range(self.next, self.next + len(results)))
        for number, y in zip(outputs, results, strict=True):
            if y.size > LARGEST or y.ndim > 5 or not np.all(np.abs(y) < 1e8):
                raise ValueError("too large")
            if np.any((y != 0) & (np.abs(y) < 1e-12)):
                raise ValueError("a difference of equal numbers, of which rounding leaves anything")
            if y.dtype == np.float64:
                self.arrays[number] = y
        self.next += len(results)
        self.steps.append(Step(entry, case, tuple(inputs), outputs))
        return outputs

    def apply(self, function: Any, number: int, *args: Any, **kwargs: Any) -> int:
        return self.step(registry[function], Case("*", args, kwargs), (number,))[0]

    def fitted(self, shape: tuple[int, ...]) -> int:
        """A value of the given shape, made of another one, or a new leaf."""
        number = self.rng.choice(list(self.arrays))
        size, given = math.prod(shape), self.arrays[number].size
        if (size and not given) or (len(self.leaves) < 6 and self.rng.random() < 0.35):
            return self.leaf(shape)
        if size == given:
            return self.apply(np.reshape, number, shape=shape)
        index = self.numbers.permutation(given)[:size] if size <= given else np.arange(size) % given
        flat = self.apply(np.ravel, number) if self.arrays[number].ndim != 1 else number
        return self.apply(getitem, flat, index.reshape(shape))

    def within(self, number: int, domain: Domain) -> int:
        """The value, or a linear function of it, whose elements lie in a domain and not close to its ends."""
        x = self.arrays[number]
        if not x.size:
            return number
        margin = 0.05 * (domain.high - domain.low)
        low, high = domain.low + margin, domain.high - margin
        smallest, largest = float(np.min(x)), float(np.max(x))
        if domain.either_sign:
            size = np.abs(x)
            if low <= size.min() and size.max() <= high:
                return number
            factor = min(1.0, 0.9 * (high - low) / float(size.max())) if size.max() else 1.0
            scaled = self.apply(np.multiply, number, factor)
            return self.step(registry[np.add], Case("*, *"), (scaled, np.where(x < 0, -low, low)))[0]
        if low <= smallest and largest <= high:
            return number
        if domain is REAL:
            return self.apply(np.multiply, number, 2 / max(-smallest, largest))
        factor = min(1.0, 0.9 * (high - low) / (largest - smallest)) if largest > smallest else 1.0
        scaled = self.apply(np.multiply, number, factor)
        return self.apply(np.add, scaled, (low + high - factor * (smallest + largest)) / 2)

    def chosen(self, pattern: list[str], sizes: dict[str, int]) -> int:
        """A value whose shape fits a pattern of letters and numbers; letters that it is the first to have get sizes."""

        def fits(shape: tuple[int, ...]) -> dict[str, int] | None:
            found = dict(sizes)
            if len(shape) != len(pattern):
                return None
            for token, n in zip(pattern, shape, strict=True):
                if token.isdigit():
                    if n != int(token):
                        return None
                elif found.setdefault(token, n) != n or (token.isupper() and not n):
                    return None
            return found

        candidates = [i for i, x in self.arrays.items() if fits(x.shape) is not None]
        if candidates and self.rng.random() < 0.9:
            number = self.rng.choice(candidates[-8:])
        else:
            for token in pattern:
                if not token.isdigit() and token not in sizes:
                    is_empty = token.islower() and self.rng.random() < 0.04
                    sizes[token] = 0 if is_empty else self.rng.choice((1, 2, 2, 3, 3))
            number = self.fitted(tuple(sizes[t] if t in sizes else int(t) for t in pattern))
        sizes.update(fits(self.arrays[number].shape) or {})
        return number

    def broadcast(self, shape: tuple[int, ...]) -> int:
        """A value that broadcasts with a shape."""

        def fits(other: tuple[int, ...]) -> bool:
            return all(n == m or 1 in (n, m) for n, m in zip(shape[::-1], other[::-1], strict=False))

        candidates = [i for i, x in self.arrays.items() if fits(x.shape)]
        if candidates and self.rng.random() < 0.7:
            return self.rng.choice(candidates[-8:])
        kept = shape[self.rng.randint(0, len(shape)) :]
        return self.fitted(tuple(1 if self.rng.random() < 0.3 else n for n in kept))

    def operation(self, entry: Operation, case: Case) -> None:
        """Append an operation in one of its cases: at times with values of other shapes and with other axes."""
        rng = self.rng
        patterns = [part.split() for part in case.shapes.strip("[]").split(",")]
        is_public = as_used(entry) is entry.function or name_of(entry.function) in tinygrad_np.__all__
        freely = is_public and not case.prepare and not case.finish and rng.random() < 0.3
        sizes: dict[str, int] = {}
        inputs: list[Any] = []
        common: tuple[int, ...] | None = None  # of several `*`
        for i, pattern in enumerate(patterns):
            domain = case.domains[min(i, len(case.domains) - 1)]
            if domain.kind != "f":
                common = common or ()
                shape = common if pattern == ["*"] else tuple(sizes[t] if t in sizes else int(t) for t in pattern)
                integers = self.numbers.integers(int(domain.low), int(domain.high), shape)
                inputs.append(integers.astype({"i": np.int64, "b": np.bool_}[domain.kind]))
                continue
            if freely or (pattern == ["*"] and common is None):
                number = rng.choice(list(self.arrays)[-8:])
            elif pattern == ["*"] and common is not None:
                number = self.broadcast(common)
            else:
                number = self.chosen(pattern, sizes)
            number = self.within(number, domain)
            x = self.arrays[number]
            common = x.shape if common is None else np.broadcast_shapes(common, x.shape) if ["*"] in patterns else ()
            if rng.random() < 0.08 and len(patterns) > 1:  # an array in the place of a Tensor, also of integers
                inputs.append(
                    np.asarray(np.rint(x)).astype(int)
                    if is_public and domain is REAL and rng.random() < 0.3
                    else x.copy()
                )
            else:
                inputs.append(number)
        if not any(isinstance(i, int) for i in inputs):
            raise ValueError("constant")
        if freely:
            case = replace(case, kwargs=self.keywords(entry, case, inputs))
        self.step(entry, case, inputs)

    def keywords(self, entry: Operation, case: Case, inputs: Sequence[Any]) -> dict[str, Any]:
        """The keywords of a case, some with the values of other cases, and other axes."""
        rng, kwargs = self.rng, dict(case.kwargs)
        for other in rng.sample(entry.cases, min(2, len(entry.cases))):
            kwargs.update({name: value for name, value in other.kwargs.items() if rng.random() < 0.4})
        if "axis" in kwargs and rng.random() < 0.7:
            rank = max(self.arrays[i].ndim if isinstance(i, int) else i.ndim for i in inputs)
            some = [i - rank * rng.randint(0, 1) for i in range(rank)]
            rng.shuffle(some)
            kwargs["axis"] = rng.choice((None, *some, *some, tuple(some[:2]), tuple(some)))
        return kwargs

    def program(self, seed: int) -> Program:
        used = {i for step in self.steps for i in step.inputs if isinstance(i, int)}
        outputs = [i for step in self.steps for i in step.outputs if i in self.arrays]
        last = [i for i in outputs if i not in used or self.rng.random() < 0.1]
        sources = [i for i in self.leaves if self.rng.random() < 0.9] or list(self.leaves)
        return pruned(Program(seed, self.leaves, tuple(sources), tuple(self.steps), tuple(last)))


Choice = tuple[Operation, Case]


def every_choice(names: Iterable[str] = ()) -> list[list[Choice]]:
    """The cases of each operation, or of those with these names; what is not float64 has no use in a graph."""
    chosen = [BY_NAME[name] for name in names] if names else OPERATIONS
    return [
        [(entry, case) for case in entry.cases if case.kwargs.get("dtype") is not np.longdouble] for entry in chosen
    ]


def draw(
    seed: int, choices: "list[list[Choice]]", takes: "Callable[[Step, Sequence[Any]], Any] | None" = None
) -> Program:
    """The program of a seed: as many steps as it says, or a few more, that `takes` accepts."""
    while True:
        drawing = _Drawing(seed, takes)
        for _ in range(drawing.rng.randint(1, 4)):
            drawing.leaf()
        length = drawing.rng.randint(3, 25)
        for _ in range(60):
            if len(drawing.steps) >= length:
                break
            before = len(drawing.steps), drawing.next, drawing.memory
            try:
                with np.errstate(divide="raise", over="raise", invalid="raise"), warnings.catch_warnings():
                    warnings.simplefilter("error")
                    drawing.operation(*drawing.rng.choice(drawing.rng.choice(choices)))
            except Exception:  # NumPy's own, of many kinds
                steps, drawing.next, drawing.memory = before
                del drawing.steps[steps:]
                for known in (drawing.leaves, drawing.arrays):
                    for number in [i for i in known if i >= drawing.next]:
                        del known[number]
        program = drawing.program(seed)
        if program.steps and program.sources:
            return program
        seed += 2**32


def pruned(program: Program) -> Program:
    """The program without the steps and leaves that its outputs do not depend on."""
    needed, steps = set(program.outputs), []
    for step in reversed(program.steps):
        if needed.intersection(step.outputs):
            needed.update(i for i in step.inputs if isinstance(i, int))
            steps.append(step)
    leaves = {i: x for i, x in program.leaves.items() if i in needed}
    sources = tuple(i for i in program.sources if i in leaves)
    return replace(program, leaves=leaves, sources=sources, steps=tuple(reversed(steps)))


# --- checks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What became of a program: right, wrong, tie, refused or crashed; and what was found."""

    kind: str
    found: str = ""


class _ProblemError(Exception):
    """A property that does not hold. `kind` is "wrong"; "exact" where points nearby need not be tried; or "rough"."""

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(found)
        self.kind = kind


def judge(program: Program, problem: "Callable[[Program], None] | None" = None) -> Verdict:
    """Check a program, here and, if it fails, at points nearby."""
    problem = problem or check
    found = _kind_of(problem, program)
    if found.kind in ("right", "exact", "refused", "crashed"):
        return replace(found, kind="wrong") if found.kind == "exact" else found
    nearby = [_kind_of(problem, moved(program, k)) for k in range(1, 4)]
    failed = [verdict for verdict in nearby if verdict.kind == "wrong"]
    # Beside differences only what is not finite is excused; PyTorch's own gradient may be rounding divided by rounding.
    excused = problem is not check or all(re.search(NOT_FINITE, verdict.found) for verdict in failed)
    if len(failed) < 2 or (excused and _stays_at_a_kink(program)):
        return replace(found, kind="tie")
    return Verdict("wrong", failed[0].found)


def _stays_at_a_kink(program: Program) -> bool:
    """Whether a step is at a kink of its own that no leaf leads away from, as the deviation of one repeated number."""
    if len(program.steps) == 1 and {i for i, x in program.leaves.items() if x.dtype.kind == "f"} == {*program.sources}:
        return False
    values = run(program, program.leaves, on_arrays)
    for step in program.steps:
        inputs = [i for i in step.inputs if isinstance(i, int)]
        leaves = {i: np.array(values[i]) for i in inputs}
        sources = tuple(i for i, x in leaves.items() if x.dtype.kind == "f")
        alone = replace(program, leaves=leaves, sources=sources, steps=(step,), outputs=step.outputs)
        if sources and judge(alone).kind == "tie":
            return True
    return False


def moved(program: Program, k: int) -> Program:
    """The same program at another point, 1 % from its own."""
    leaves = {i: x + 0.01 * program.random(i, x.shape, f"moved {k}") for i, x in program.leaves.items()}
    return replace(program, leaves=leaves)


def _kind_of(problem: Callable[[Program], None], program: Program) -> Verdict:
    gc.collect()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            problem(program)
    except _ProblemError as error:
        return Verdict(error.kind, str(error))
    except Exception as error:  # of any kind: that is what is looked for
        known = isinstance(error, TypeError | ValueError | IndexError)
        kind = "refused" if known and any(re.search(text, str(error)) for text, _ in REFUSALS) else "crashed"
        return Verdict(kind, f"{type(error).__name__}: {error} {' '.join(getattr(error, '__notes__', ()))}")
    if gc.collect():
        problem(program)  # what is made once and kept, as a module that is imported late, is not made again
    if count := gc.collect():
        return Verdict("exact", f"{count} objects are left in reference cycles")
    return Verdict("right")


def _require_alike(what: str, found: Any, expected: Any) -> None:
    """Raise if two arrays, or lists of them, have other shapes or dtypes."""
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise _ProblemError("exact", f"{what} {i}: {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}")


def _require_equal(what: str, found: Any, expected: Any, rtol: float = 1e-8) -> None:
    """Raise if two arrays, or lists of them, differ by more than rounding, measured by the largest element."""
    _require_alike(what, found, expected)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        if not np.array_equal(a, b):
            difference, size = np.max(np.abs(a - b)), np.max(np.abs(b))
            if not difference <= rtol * size + 1e-9:
                raise _ProblemError("wrong", f"{what} {i}: {a.tolist()}, expected {b.tolist()}")


@dataclass
class _Run:
    """A program run on Tensors, with the outputs that have gradients, and the weights of their sum."""

    tensors: Values
    values: Values
    outputs: list[int]
    weights: list[Any]

    @property
    def tracked(self) -> list[Tensor]:
        return [self.values[i] for i in self.outputs]

    def loss(self) -> Tensor:
        terms = [np.sum(y * w) for y, w in zip(self.tracked, self.weights, strict=True)]
        return sum(terms[1:], terms[0])


def _on_tensors(program: Program, leaves: Values) -> _Run:
    tensors = {i: Tensor(x, requires_grad=i in program.sources) for i, x in leaves.items()}
    values = run(program, tensors, on_tensors)
    outputs = [i for i in program.outputs if type(values[i]) is Tensor and values[i].requires_grad]
    weights = []
    for i in outputs:
        y = values[i].data
        size = float(np.max(np.abs(y), initial=1.0))
        exponent = math.ceil(math.log2(size)) if math.isfinite(size) else 0
        weights.append(program.random(i, y.shape, "weight") / 2.0**exponent)
    return _Run(tensors, values, outputs, weights)


def _gradients(program: Program, given: _Run, **options: Any) -> list[Tensor]:
    return list(grad(given.tracked, [given.tensors[i] for i in program.sources], given.weights, **options))


def check(program: Program) -> None:
    """Raise a `_ProblemError` if a property does not hold."""
    leaves, sources = program.leaves, program.sources
    before = {i: x.copy() for i, x in leaves.items()}
    arrays = run(program, leaves, on_arrays)
    _require_unchanged(leaves, before)
    given = _on_tensors(program, leaves)
    _require_unchanged(leaves, before)
    shown = [i for i, y in given.values.items() if type(y) is Tensor and i not in leaves]
    _require_equal("value", [given.values[i].data for i in shown], [arrays[i] for i in shown])
    if not given.outputs:
        return
    found = [g.data for g in _gradients(program, given, retain_graph=True)]
    _require_unchanged(leaves, before)
    _require_alike("gradient of leaf", found, [leaves[i] for i in sources])
    if not all(np.isfinite(g).all() for g in found):
        raise _ProblemError("wrong", f"gradients are not finite: {[g.tolist() for g in found]}")

    directions = [
        program.random(i, g.shape, "direction") / np.maximum(1, np.abs(g)) for i, g in zip(sources, found, strict=True)
    ]

    def at(t: float) -> Values:
        return leaves | {i: leaves[i] + t * d for i, d in zip(sources, directions, strict=True)}

    def value(t: float) -> float:
        values = run(program, at(t), on_arrays)
        return float(sum(np.sum(values[i] * w) for i, w in zip(given.outputs, given.weights, strict=True)))

    _compare_slope("the first derivative", value, found, directions)
    _check_ways(program, given, found)
    _check_second(program, found, directions, at)
    _check_float32(program, given, found)
    _require_unchanged(leaves, before)


def _require_unchanged(leaves: Values, before: Values) -> None:
    for i, x in leaves.items():
        if x.tobytes() != before[i].tobytes():
            raise _ProblemError("exact", f"leaf {i} was changed to {x.tolist()}, from {before[i].tolist()}")


def _check_ways(program: Program, given: _Run, found: list[Any]) -> None:
    """The gradients by backward, twice, by `func.grad`, by `func.jacobian` and by `SGD.minimize`."""
    leaves, sources = program.leaves, program.sources
    loss = given.loss()
    loss.backward(retain_graph=True)
    loss.backward()
    twice = [given.tensors[i].grad for i in sources]
    zeros = [np.zeros(leaves[i].shape) for i in sources]
    found_twice = [zero if g is None else g.data for g, zero in zip(twice, zeros, strict=True)]
    _require_equal("the gradient after two backwards of leaf", found_twice, [2 * g for g in found])

    def again_of(*sources_as_tensors: Any) -> _Run:
        tensors = {i: Tensor(x) for i, x in leaves.items()} | dict(zip(sources, sources_as_tensors, strict=True))
        return replace_values(given, run(program, tensors, on_tensors))

    arguments, numbers = [leaves[i] for i in sources], tuple(range(len(sources)))
    by_function = func.grad(lambda *tensors: again_of(*tensors).loss(), numbers)(*arguments)
    by_function = [g.data if type(g) is Tensor else g for g in by_function]
    _require_equal("func.grad by leaf", by_function, found)
    by_element = func.jacobian(lambda *tensors: again_of(*tensors).tracked, numbers)(*arguments)
    weighted = [[np.tensordot(w, g, w.ndim) for g in row] for w, row in zip(given.weights, by_element, strict=True)]
    _require_equal("func.jacobian by leaf", [np.asarray(sum(parts)) for parts in zip(*weighted, strict=True)], found)

    own = replace(program, leaves={i: x.copy() for i, x in leaves.items()})
    again = _on_tensors(own, own.leaves)
    weights = [again.tensors[i] for i in sources]
    optim.SGD(weights, lr=0.5).minimize(again.loss())
    stepped = [leaves[i] - 0.5 * g for i, g in zip(sources, found, strict=True)]
    _require_equal("SGD.minimize of leaf", [w.data for w in weights], stepped)


def replace_values(given: _Run, values: Values) -> _Run:
    return _Run({}, values, given.outputs, given.weights)


def _check_second(program: Program, found: list[Any], directions: list[Any], at: Callable[[float], Values]) -> None:
    """The gradients of a sum of the gradients, against finite differences of that sum."""
    given = _on_tensors(program, program.leaves)
    first = _gradients(program, given, create_graph=True)
    _require_equal("the recorded gradient of leaf", [g.data for g in first], found)
    seeds = [
        program.random(i, g.shape, "second") / np.maximum(1, np.abs(g))
        for i, g in zip(program.sources, found, strict=True)
    ]
    tensors = [given.tensors[i] for i in program.sources]
    second = [h.data for h in grad(first, tensors, seeds)]
    if not all(np.isfinite(h).all() for h in second):
        raise _ProblemError("wrong", f"second derivatives are not finite: {[h.tolist() for h in second]}")
    weights = given.weights

    def value(t: float) -> float:
        run_there = _on_tensors(program, at(t))
        run_there.weights = weights
        gradients = _gradients(program, run_there)
        return float(sum(np.sum(g.data * seed) for g, seed in zip(gradients, seeds, strict=True)))

    _compare_slope("the second derivative", value, second, directions)


def _check_float32(program: Program, given: _Run, wide: list[Any]) -> None:
    """Values of float32 have the dtypes of NumPy's, gradients those of their leaves and about the values of float64."""
    arrays = {i: x.astype(np.float32) for i, x in program.leaves.items()}
    values: Values = {i: Tensor(x, requires_grad=i in program.sources) for i, x in arrays.items()}
    leaves = [values[i] for i in program.sources]
    for step in program.steps:
        inputs = [[of[i] if isinstance(i, int) else _narrow(i) for i in step.inputs] for of in (arrays, values)]
        expected, found = (
            on(step, given, np.float32) for on, given in zip((on_arrays, on_tensors), inputs, strict=True)
        )
        for i, a, y in zip(step.outputs, expected, found, strict=True):
            if type(y) is Tensor and y.dtype != a.dtype:
                raise _ProblemError("exact", f"value {i} of float32 is {y.dtype}, NumPy's {a.dtype}")
            arrays[i], values[i] = _narrow(a), _narrow(y)  # NumPy makes float64 of some
    gradients = grad([values[i] for i in given.outputs], leaves, given.weights)
    for g, right in zip(gradients, wide, strict=True):
        if g.dtype != np.float32:
            raise _ProblemError("exact", f"a gradient of a float32 leaf is {g.dtype}")
        if not np.max(np.abs(g.data - right), initial=0) <= 0.05 * np.max(np.abs(right), initial=1):
            raise _ProblemError("wrong", f"a gradient of float32 is {g.data.tolist()}, of float64 {right.tolist()}")


def _narrow(x: Any) -> Any:
    """A value of floating point in float32."""
    return x if x.dtype.kind != "f" or x.dtype == np.float32 else x.astype(np.float32)


def _compare_slope(what: str, value: Callable[[float], float], gradients: list[Any], directions: list[Any]) -> None:
    """Raise if gradients differ from central differences of a value along a line.

    Differences at several step sizes tell how far they have converged. Where they have not, that is a kink or a
    function too steep to tell, and the gradient is not said to be wrong.
    """
    products = [g * d for g, d in zip(gradients, directions, strict=True)]
    slope = float(sum(np.sum(p) for p in products))
    scale = float(sum(np.sum(np.abs(p)) for p in products))

    def central(h: float) -> float:
        with np.errstate(all="ignore"):  # a large step may leave the domain of a function, which gives NaN
            return sum(weight * value(k * h) for k, weight in STENCIL) / h

    first = central(STEP)
    if abs(first - slope) <= 1e-6 * scale + 1e-8:
        return
    estimates = [
        first if h == STEP else central(h) for h in (3e-2, 1e-2, 3e-3, STEP, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7)
    ]
    pairs = [(abs(a - b), b) for a, b in pairwise(estimates) if math.isfinite(a + b)]
    error, best = min(pairs, default=(math.inf, math.inf))
    distances = [abs(estimate - slope) for estimate in estimates if math.isfinite(estimate)]
    closest, distance = min(distances, default=math.inf), abs(best - slope)
    if closest <= 1e-5 * scale + 1e-7:
        return
    if closest < 0.1 * distance or distance <= 10 * error or not math.isfinite(distance):
        raise _ProblemError("rough", f"{what}: finite differences do not converge")
    raise _ProblemError(
        "wrong", f"{what} along a line is {slope:.10g}, finite differences give {best:.10g} +- {error:.1g}"
    )


# --- PyTorch as the oracle -------------------------------------------------------------------------------------------


@cache
def _oracle() -> Any:
    """tests/oracle/test_operations.py, which knows PyTorch's names of operations."""
    place = Path(__file__).parent / "oracle" / "test_operations.py"
    spec = importlib.util.spec_from_file_location("oracle_operations", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _offsets(case: Case, arrays: Sequence[Any]) -> list[Any] | None:
    """What `prepare` adds to each array; None if it does something else."""
    if case.prepare is None:
        return [0.0] * len(arrays)
    zeros, results = (
        [p] if isinstance(p, np.ndarray) else p
        for p in (case.prepare(*map(np.zeros_like, arrays)), case.prepare(*arrays))
    )
    shapes = [[getattr(x, "shape", None) for x in xs] for xs in (arrays, results)]
    if shapes[0] != shapes[1]:
        return None
    added = all(np.allclose(a + z, r) for a, z, r in zip(arrays, zeros, results, strict=True))
    return list(zeros) if added else None


def on_torch(step: Step, inputs: Sequence[Any]) -> list[Any]:
    """The outputs by PyTorch. Raises LookupError if it has no such function, or not with these arguments."""
    oracle, entry, case = _oracle(), step.entry, step.case
    torch = oracle.torch
    if (
        name_of(entry.function) not in (*oracle.SAME, *oracle.ADAPTERS)
        or case.finish
        or {"where", "initial"} & case.kwargs.keys()
    ):
        raise LookupError
    given = [x if isinstance(x, torch.Tensor) else oracle.as_torch(x) for x in inputs]
    if step.entry.name == "clip" and len(given) == 3 and bool(torch.any(given[1] == given[2])):
        raise LookupError("at equal bounds PyTorch gives neither of them a gradient")
    offsets = _offsets(case, [x.detach().numpy() for x in given])
    if offsets is None or not all(x.numel() for x in given):
        raise LookupError
    given = [x if isinstance(o, float) else x + oracle.as_torch(o) for x, o in zip(given, offsets, strict=True)]
    names = {} if name_of(entry.function) in oracle.ADAPTERS else {"axis": "dim", "keepdims": "keepdim"}
    plain = replace(case, args=tuple(map(oracle.as_torch, case.args)), prepare=None, finish=None)
    try:
        result = oracle.call(oracle.namesake(name_of(entry.function)), plain, given, **names)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:  # a shape or an axis that PyTorch does not take
        raise LookupError from error
    if result is NotImplemented:
        raise LookupError
    return list(result) if isinstance(result, tuple | list) else [result]


def torch_choices() -> list[list[Choice]]:
    """The cases of operations that PyTorch has as well."""
    oracle = _oracle()
    same = {*oracle.SAME, *oracle.ADAPTERS}
    return [
        [(entry, case) for entry, case in choices if not case.finish and not {"where", "initial"} & case.kwargs.keys()]
        for choices in every_choice()
        if name_of(choices[0][0].function) in same and not all(case.finish for _, case in choices)
    ]


def check_with_torch(program: Program) -> None:
    """Raise a `_ProblemError` if values or gradients are not PyTorch's, and LookupError if it has no such function."""
    torch = _oracle().torch
    theirs = {i: torch.tensor(x.copy()).requires_grad_(i in program.sources) for i, x in program.leaves.items()}
    expected = run(program, theirs, on_torch)
    given = _on_tensors(program, program.leaves)
    if not given.outputs:
        return
    if not all(expected[i].requires_grad for i in given.outputs):
        raise LookupError
    shown = [i for i in given.outputs if given.values[i].size]
    _require_equal("value", [given.values[i].data for i in shown], [expected[i].numpy(force=True) for i in shown])

    def gradients(outputs: list[Any], sources: list[Any], seeds: list[Any], **options: Any) -> list[Any]:
        found = torch.autograd.grad(outputs, sources, list(map(torch.tensor, seeds)), allow_unused=True, **options)
        # PyTorch's zeros without memory, which numpy() of 2.13 reads all the same, become zeros by an addition.
        return [
            torch.zeros(x.shape, dtype=x.dtype) + (0 if g is None else g) for g, x in zip(found, sources, strict=True)
        ]

    sources = [theirs[i] for i in program.sources]
    first = gradients([expected[i] for i in given.outputs], sources, given.weights, create_graph=True)
    found = _gradients(program, given, create_graph=True)
    _require_equal("gradient of leaf", [g.data for g in found], [g.numpy(force=True) for g in first])
    seeds = [program.random(i, g.shape, "second") for i, g in zip(program.sources, found, strict=True)]
    differentiable = [(g, seed) for g, seed in zip(first, seeds, strict=True) if g.requires_grad]
    if differentiable:
        second = gradients([g for g, _ in differentiable], sources, [seed for _, seed in differentiable])
        if not all(torch.isfinite(g).all() for g in second):
            raise LookupError  # PyTorch has no second derivative of sinc at 0, of norms at 0, ...
        ours = grad(found, [given.tensors[i] for i in program.sources], seeds)
        _require_equal(
            "second derivative of leaf", [g.data for g in ours], [g.numpy(force=True) for g in second], rtol=1e-6
        )


# --- reducing and printing -------------------------------------------------------------------------------------------


def reduced(program: Program, judged: Callable[[Program], Verdict]) -> Program:
    """The program without the outputs and steps that are not needed for its verdict.

    The outputs of a step that is left out become leaves with their values.
    """
    kind = judged(program).kind

    def smaller(program: Program) -> Iterator[Program]:
        for i in program.outputs:
            if len(program.outputs) > 1:
                yield replace(program, outputs=tuple(k for k in program.outputs if k != i))
        arrays = run(program, program.leaves, on_arrays)
        for k in reversed(range(len(program.steps))):
            left_out = program.steps[k].outputs
            new = {i: arrays[i] for i in left_out if arrays[i].dtype.kind == "f"}
            outputs = tuple(i for i in program.outputs if i not in left_out)
            inputs = tuple(i for i in program.steps[k].inputs if isinstance(i, int) and i not in program.leaves)
            steps = program.steps[:k] + program.steps[k + 1 :]
            yield Program(
                program.seed, program.leaves | new, (*program.sources, *new), steps,
                outputs if outputs else inputs
            )  # fmt: skip

    progress = True
    while progress:
        progress = False
        for candidate in map(pruned, smaller(program)):
            if candidate.steps and candidate.sources and judged(candidate).kind == kind:
                program, progress = candidate, True
                break
    return program


def _text(value: Any) -> str:
    """The value as Python code."""
    if isinstance(value, np.ndarray):
        if not value.size:
            return f"np.zeros({value.shape}, np.{value.dtype})"
        return f"np.array({value.tolist()!r})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, type):
        return f"np.{value.__name__}"
    return repr(value)


def text_of(program: Program) -> str:
    """The program as Python code that checks it again; to be run with tests/ in PYTHONPATH."""

    def of_step(step: Step) -> str:
        entry, case = step.entry, step.case
        numbers = [k for k, known in enumerate(entry.cases) if known is case]
        if numbers:
            which = str(numbers[0])
        else:
            kwargs = ", ".join(f"{name!r}: {_text(value)}" for name, value in case.kwargs.items())
            which = f"Case({case.shapes!r}, {_text(case.args)}, {{{kwargs}}})"
        comment = " ".join(str(case).split())
        return f"        step({name_of(entry.function)!r}, {which}, {_text(step.inputs)}, {step.outputs}),  # {comment}"

    shown = [
        "import numpy as np",
        "from random_programs import Case, Program, Window, judge, step",
        "program = Program(",
        f"    seed={program.seed},",
        "    leaves={",
        *(f"        {i}: {_text(np.asarray(x))}," for i, x in program.leaves.items()),
        "    },",
        f"    sources={program.sources},",
        "    steps=(",
        *map(of_step, program.steps),
        "    ),",
        f"    outputs={program.outputs},",
        ")",
        "print(judge(program))",
    ]
    return "\n".join(shown)


# --- the command -----------------------------------------------------------------------------------------------------


@contextmanager
def collecting_only_what_is_new() -> Iterator[None]:
    """Leave out of garbage collections what exists by now, which makes them a hundred times as fast."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def tried(seeds: Sequence[int], names: Sequence[str] = (), torch: bool = False) -> tuple[Counter[str], list[str]]:
    """How many programs of these seeds came to which verdict, and what there is to say about those that failed."""
    choices = torch_choices() if torch else every_choice(names)
    judged = partial(judge, problem=check_with_torch) if torch else judge
    counts: Counter[str] = Counter()
    said = []
    if torch:  # what PyTorch imports when it first computes is no garbage either
        judged(draw(0, choices, on_torch))
    with collecting_only_what_is_new():
        for seed in seeds:
            program = draw(seed, choices, on_torch if torch else None)
            verdict = judged(program)
            if torch and verdict.found.startswith("LookupError"):
                verdict = Verdict("skipped")
            counts[verdict.kind] += 1
            if verdict.kind in ("wrong", "crashed"):
                small = reduced(program, judged)
                steps = f"reduced to {len(small.steps)} of {len(program.steps)} steps"
                said.append(f"# seed {seed}, {verdict.kind}, {steps}: {judged(small).found}\n{text_of(small)}\n")
            elif verdict.kind in ("refused", "tie"):
                said.append(f"# seed {seed}, {verdict.kind}: {verdict.found}")
    return counts, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000, help="how many programs (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first; each next one's is one larger")
    parser.add_argument("--operations", default="", help="draw from these only, by name, separated by commas")
    parser.add_argument("--torch", action="store_true", help="compare with PyTorch, where it has all operations")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    parser.add_argument("--verbose", action="store_true", help="say what was refused and which programs are ties")
    options = parser.parse_args()
    names = [name for name in options.operations.split(",") if name]
    if unknown := [name for name in names if name not in BY_NAME]:
        parser.error(f"there is no operation {unknown[0]!r}; names are those of OPERATIONS.md, as sum or linalg.inv")
    parts = [
        range(start, min(start + 50, options.seed + options.n))
        for start in range(options.seed, options.seed + options.n, 50)
    ]
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        for found, said in pool.map(partial(tried, names=names, torch=options.torch), parts):
            counts += found
            for text in said:
                if options.verbose or "\n" in text:
                    print(text, flush=True)
            if sys.stderr.isatty():
                print(f"\r{counts.total()} of {options.n}", end="", file=sys.stderr, flush=True)
    if options.torch:
        print(f"{counts['skipped']} programs have an operation or arguments that PyTorch does not have")
    print(
        f"programs {counts.total()} wrong {counts['wrong']} refused {counts['refused']} crashed {counts['crashed']}"
        f" ties {counts['tie']}"
    )
    sys.exit(bool(counts["wrong"] or counts["crashed"]))


if __name__ == "__main__":
    main()
