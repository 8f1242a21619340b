"""no_grad and enable_grad in threads, tasks, generators and coroutines: each records as its own code says."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tinygrad_np import Tensor, enable_grad, func, grad, no_grad
from tinygrad_np.tensor import _pauses

import pytest
from hypothesis import given
from hypothesis import strategies as st

W = Tensor([1.0, 2.0], requires_grad=True)


def records() -> bool:
    return (W * 2).requires_grad


def test_a_decorator_with_and_without_parentheses() -> None:
    @no_grad
    def plain(x: int) -> tuple[int, bool]:
        """Documented."""
        return x, records()

    @no_grad()
    def called(x: int) -> tuple[int, bool]:
        return x, records()

    assert plain(3) == called(3) == (3, False)
    assert (plain.__name__, plain.__doc__) == ("plain", "Documented.")
    assert records()


def test_the_steps_of_a_decorated_generator_record_nothing_and_its_caller_records() -> None:
    closed = []

    @no_grad()
    def batches(n: int) -> Iterator[Any]:
        try:
            received = yield records()
            while n:
                try:
                    received = yield received, records()
                except KeyError as error:
                    received = repr(error)
                n -= 1
        finally:
            closed.append(records())
        return "end"

    steps = batches(2)
    assert next(steps) is False
    assert records()
    assert steps.send(5) == (5, False)
    assert records()
    assert steps.throw(KeyError(1)) == ("KeyError(1)", False)
    assert records()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "end"
    steps = batches(9)
    next(steps)
    steps.close()
    assert closed == [False, False]
    assert list(batches(1)) == [False, (None, False)]
    assert records()


def test_a_decorated_coroutine_leaves_other_tasks_alone() -> None:
    seen: dict[str, list[bool]] = {"inside": [], "beside": []}

    @no_grad
    async def inside() -> str:
        for _ in range(3):
            seen["inside"].append(records())
            await asyncio.sleep(0)
        return "done"

    async def beside() -> None:
        for _ in range(3):
            seen["beside"].append(records())
            await asyncio.sleep(0)

    async def both() -> Any:
        results = await asyncio.gather(inside(), beside())
        assert records()
        assert await asyncio.create_task(inside()) == await inside() == "done"
        return results

    assert asyncio.iscoroutinefunction(inside)
    assert asyncio.run(both()) == ["done", None]
    assert set(seen["inside"]) == {False}
    assert set(seen["beside"]) == {True}
    coroutine = inside()
    coroutine.send(None)  # driven by hand, in the context of the caller
    assert records()
    coroutine.close()
    assert records()


def test_what_cannot_be_decorated_is_refused() -> None:
    async def steps() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="asynchronous generator; use `with no_grad"):
        no_grad()(steps)
    with pytest.raises(TypeError, match="takes a function, not int"):
        no_grad(3)


def generator(*_: object) -> Iterator[bool]:
    yield records()


async def coroutine(*_: object) -> bool:
    return records()


def function(*_: object) -> bool:
    return records()


WRAPPED = {
    "function": lambda kind: no_grad()(kind),
    "partial": lambda kind: no_grad()(functools.partial(kind, 1)),
    "object": lambda kind: no_grad()(type("Called", (), {"__call__": kind})()),
    "method": lambda kind: type("Owner", (), {"method": no_grad()(kind)})().method,
    "class method": lambda kind: type("Owner", (), {"method": no_grad()(classmethod(kind))}).method,
    "static method": lambda kind: type("Owner", (), {"method": no_grad()(staticmethod(kind))}).method,
    "static method of an instance": lambda kind: type("Owner", (), {"method": no_grad(staticmethod(kind))})().method,
    "bound method": lambda kind: no_grad()(type("Owner", (), {"method": kind})().method),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("kind", [function, generator, coroutine], ids=lambda kind: kind.__name__)
def test_every_kind_of_callable_records_nothing_inside(kind: Any, wrap: Any) -> None:
    result = wrap(kind)()
    if kind is generator:
        result = next(result)
    if kind is coroutine:
        result = asyncio.run(result)
    assert result is False
    assert records()


@pytest.mark.parametrize("decorate", [no_grad, no_grad()])
def test_what_is_not_called_as_a_function_is_not_decorated(decorate: Any) -> None:
    class Model:
        pass

    for wrong, message in ((Model, "not the class Model; decorate its methods"), (property(function), "not property")):
        with pytest.raises(TypeError, match=f"no_grad takes a function, {message}"):
            decorate(wrong)


def test_a_context_may_be_entered_again() -> None:
    pause = no_grad()
    with pause, pause:
        with pause:
            assert not records()
        assert not records()
    assert records()


def test_each_thread_and_task_has_its_own() -> None:
    found = []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append(records()))
        thread.start()
        thread.join()
        assert not records()

    async def task(paused: bool) -> bool:
        if not paused:
            await asyncio.sleep(0)
            return records()
        with no_grad():
            await asyncio.sleep(0)
            return records()

    async def both() -> list[bool]:
        return await asyncio.gather(task(True), task(False), task(True))

    assert asyncio.run(both()) == [False, True, False]
    assert found == [True]


def test_a_context_that_is_left_elsewhere_does_not_pause_what_was_not_paused() -> None:
    def left_elsewhere() -> None:
        pause = no_grad()
        contextvars.Context().run(pause.__enter__)
        pause.__exit__()
        assert records()
        with no_grad():
            assert not records()
        assert records()

    contextvars.copy_context().run(left_elsewhere)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_generators_and_contexts_nested_in_any_order(actions: list[int]) -> None:
    """0 enters, 1 leaves the oldest, 2 starts a generator that enters, 3 ends the oldest of these."""

    def inside() -> Iterator[None]:
        with no_grad():
            yield

    before = _pauses.get()
    entered: list[no_grad] = []
    running: list[Iterator[None]] = []
    for action in actions:
        if action == 0:
            entered.append(no_grad())
            entered[-1].__enter__()
        elif action == 1 and entered:
            entered.pop(0).__exit__()
        elif action == 2:
            running.append(inside())
            next(running[-1])
        elif action == 3 and running:
            assert next(running.pop(0), "end") == "end"
        assert records() is not bool(entered or running)
    for pause in entered:
        pause.__exit__()
    for steps in running:
        next(steps, None)
    assert _pauses.get() == before
    assert records()


# --- enable_grad -----------------------------------------------------------------------------------------------------


def test_a_graph_is_recorded_again_inside() -> None:
    for outer in (no_grad(), enable_grad()):
        with outer:
            before = records()
            with enable_grad():
                assert records()
                with no_grad():
                    assert not records()
                assert records()
                assert grad((W * W).sum(), W).data.tolist() == [2, 4]
            assert records() is before
    assert records()


def test_enable_grad_decorates_what_no_grad_does() -> None:
    @enable_grad
    def slope(x: Any) -> Any:
        """Documented."""
        return grad((x * x).sum(), x)

    @enable_grad()
    def steps() -> Iterator[bool]:
        yield records()
        yield records()

    @enable_grad()
    async def task() -> bool:
        await asyncio.sleep(0)
        return records()

    assert slope.__doc__ == "Documented."
    with no_grad():
        assert slope(W).data.tolist() == [2, 4]
        running = steps()
        assert next(running)
        assert not records()
        assert next(running)
        assert asyncio.run(task())
        assert not records()
    with pytest.raises(TypeError, match="enable_grad takes a function, not int"):
        enable_grad(3)


def test_enable_grad_survives_an_error_and_does_not_reach_other_threads() -> None:
    found = []
    with no_grad():
        with pytest.raises(KeyError), enable_grad():
            raise KeyError
        assert not records()
        with enable_grad():
            context = contextvars.Context()
            thread = threading.Thread(target=lambda: found.append(records()))
            thread.start()
            thread.join()
            with no_grad():
                assert context.run(records)
    assert found == [True]


def test_derivatives_of_functions_that_switch_recording() -> None:
    def function(x: Any) -> Any:
        with no_grad():
            scale = x.data.sum()
            with enable_grad():
                y = x * x
        return (y * scale).sum()

    with no_grad():
        assert func.grad(function)(W.data).tolist() == [6, 12]
        assert not records()


@given(st.lists(st.tuples(st.sampled_from([no_grad, enable_grad, None]), st.integers(0, 5)), max_size=30))
def test_the_youngest_context_decides_in_whatever_order_they_are_left(actions: list[tuple[Any, int]]) -> None:
    inside: list[Any] = []
    before = _pauses.get()
    for mode, at in actions:
        if mode is not None:
            inside.append(mode())
            inside[-1].__enter__()
        elif inside:
            inside.pop(at % len(inside)).__exit__()
        assert records() is (not inside or type(inside[-1]) is enable_grad)
    while inside:
        inside.pop(0).__exit__()
    assert _pauses.get() == before
