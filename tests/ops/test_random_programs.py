"""Random graphs of operations have every property that gradients promise; `random_programs.py` tries many thousands."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_np import Tensor, tensor
from tinygrad_np._functions import name_of
from tinygrad_np._registry import registry

import numpy as np
import pytest
import random_programs
from random_programs import (
    BY_NAME,
    OPERATIONS,
    Program,
    collecting_only_what_is_new,
    draw,
    every_choice,
    judge,
    reduced,
    step,
    text_of,
    tried,
)

DEFAULT = 200  # programs, which take 3 s


@pytest.fixture(autouse=True)
def _fast_collections() -> Iterator[None]:
    with collecting_only_what_is_new():
        yield


def require_right(seeds: range) -> None:
    counts, said = tried(seeds)
    assert not counts["wrong"] + counts["crashed"], "\n".join(text for text in said if "\n" in text)
    assert counts.total() == len(seeds)
    assert counts["right"] > 0.85 * len(seeds)  # so that no fault hides among the ties


def test_programs_are_right() -> None:
    require_right(range(DEFAULT))


@pytest.mark.slow
def test_many_programs_are_right() -> None:
    require_right(range(DEFAULT, 3_000))


def test_a_seed_gives_the_same_program_and_no_other() -> None:
    choices = every_choice()
    texts = [text_of(draw(seed, choices)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_every_operation_is_drawn() -> None:
    choices = every_choice()
    drawn = {name_of(step.entry.function) for seed in range(900) for step in draw(seed, choices).steps}
    assert {name_of(entry.function) for entry in OPERATIONS} - drawn == set()


# --- deliberate errors are found -------------------------------------------------------------------------------------


fit = tensor._fit


def one_element(g: Any, x: Any, *others: Any) -> Any:
    """The gradient of one of the elements that broadcasting has made, in the place of their sum."""
    if g.shape != x.shape and g.ndim >= x.ndim:
        g = g[(0,) * (g.ndim - x.ndim)][tuple(slice(0, 1) if n == 1 else slice(None) for n in x.shape)]
    return fit(g, x, *others)


def changed(g: Any, y: Any, x: Any) -> Any:
    if type(g) is np.ndarray:
        g *= -1
        return g
    return -g


def without_graph(x: Any) -> Any:
    return x._data if type(x) is Tensor else x  # x.data would be refused


ERRORS: dict[str, tuple[str, tuple[Callable[..., Any], ...]]] = {
    "wrong sign": ("subtract", (lambda g, y, a, b: g, lambda g, y, a, b: g)),
    "lost factor": ("square", (lambda g, y, x: g * x,)),
    "wrong axis": ("softmax", (lambda g, y, x, axis=-1: y * (g - np.sum(g * y, axis=-1, keepdims=True)),)),
    "lost second derivative": ("tanh", (lambda g, y, x: g * (1 - without_graph(y) ** 2),)),
    "gradient changed in place": ("negative", (changed,)),
    "missing transposition": ("linalg.inv", (lambda g, y, x: -(y @ g @ y),)),
}


def found(name: str) -> bool:
    choices = every_choice([name, "add", "multiply", "sum", "sin"])
    return any(judge(draw(seed, choices)).kind == "wrong" for seed in range(40))


@pytest.mark.parametrize("error", ERRORS)
def test_a_wrong_vjp_is_found(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, vjps = ERRORS[error]
    monkeypatch.setattr(BY_NAME[name], "vjps", vjps)
    assert found(name)


def test_a_missing_sum_over_broadcast_axes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor, "_fit", one_element)
    assert found("divide")


def test_a_reference_cycle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_cycle(g: Any, y: Any, x: Any) -> Any:
        cycle: list[Any] = [g]
        cycle.append(cycle)
        return g * np.cos(x)

    monkeypatch.setattr(registry[np.sin], "vjps", (with_cycle,))
    counts, said = tried(range(3), ["sin"])
    assert counts["wrong"] == 3
    assert "reference cycles" in said[0]


def test_a_wrong_value_dtype_and_a_changed_input_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([0.5, -1.5])
    program = Program(0, {0: x}, (0,), (step("tanh", 0, (0,), (1,)),), (1,))
    assert judge(program).kind == "right"
    cases: list[tuple[Callable[[Any], Any], str]] = [
        (lambda t: np.sinh(t), "value"),
        (lambda t: np.tanh(t.astype(np.float64)), "float32"),
        (lambda t: (np.tanh(t), np.negative(t.data, out=t.data))[0], "was changed"),
    ]
    for function, reason in cases:
        wrong = random_programs.Composite(np.tanh, function, ())
        monkeypatch.setattr(random_programs, "as_used", lambda entry, wrong=wrong: wrong)
        verdict = judge(program)
        assert verdict.kind == "wrong"
        assert reason in verdict.found


# --- ties and refusals are told from wrong gradients -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("maximum", [[1.0, 2.0], [1.0, 3.0]]),
        ("relu", [[0.0, 1.0]]),
        ("l1_loss", [[[1.0, 0.5]], [[1.0, 2.0]]]),
        ("max", [[[[0.5], [0.5]], [[0.0], [0.0]]]]),
    ],
)
def test_a_kink_counts_as_a_tie(name: str, leaves: list[Any]) -> None:
    numbers = tuple(range(len(leaves)))
    arrays = {i: np.array(x) for i, x in enumerate(leaves)}
    program = Program(1, arrays, numbers, (step(name, 0, numbers, (9,)),), (9,))
    assert judge(program).kind == "tie"


def test_only_documented_refusals_are_no_crashes() -> None:
    case = random_programs.Case("n m", (), {"axis": (0,)})
    leaves = {0: np.array([[1.0, 2.0]])}
    assert judge(Program(0, leaves, (0,), (step("cumulative_sum", case, (0,), (1,)),), (1,))).kind == "refused"
    case = random_programs.Case("n m", (), {"axis": 7})
    assert judge(Program(0, leaves, (0,), (step("cumulative_sum", case, (0,), (1,)),), (1,))).kind == "crashed"
    assert all(pattern and reason for pattern, reason in random_programs.REFUSALS)


# --- a failure is reduced and printed as code ------------------------------------------------------------------------


def test_a_wrong_program_is_reduced_to_code_that_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BY_NAME["square"], "vjps", (lambda g, y, x: g * x,))
    choices = every_choice(["square", "sin", "add", "where", "sum"])
    program = next(p for p in (draw(seed, choices) for seed in range(40)) if judge(p).kind == "wrong")
    small = reduced(program, judge)
    assert [name_of(step.entry.function) for step in small.steps] == ["square"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text_of(small), "reproducer", "exec"), {})
    assert "kind='wrong'" in printed.getvalue()


def test_the_command_ends_with_its_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["random_programs.py", "--n", "4", "--seed", "7", "--jobs", "1", "--operations", "sin,sum"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as end:
        random_programs.main()
    assert not end.value.code
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"programs 4 wrong 0 refused 0 crashed 0 ties \d", last)
    monkeypatch.setattr("sys.argv", ["random_programs.py", "--operations", "sinn"])
    with pytest.raises(SystemExit):
        random_programs.main()
    assert "sinn" in capsys.readouterr().err
