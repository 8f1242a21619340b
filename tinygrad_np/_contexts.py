"""Contexts that also decorate generators and coroutines, and what a thread or task is inside of."""

import inspect
from collections.abc import Generator
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

# Whether a checkpoint computes again, in a backward pass, what was computed before.
computing_again: ContextVar[bool] = ContextVar("computing_again", default=False)


class StepDecorator(ContextDecorator):
    """Base class of contexts that are decorators as well: of a generator or coroutine they hold for its steps only.

    `contextlib.ContextDecorator` would hold for the call that makes the generator, which runs none of its code.
    """

    def __call__(self, function: Any) -> Any:
        name = type(self).__name__
        if isinstance(function, classmethod | staticmethod):
            return type(function)(self(function.__func__))
        if isinstance(function, type):
            raise TypeError(f"{name} takes a function, not the class {function.__name__}; decorate its methods")
        if not callable(function):
            raise TypeError(f"{name} takes a function, not {type(function).__name__}; or write `with {name}():`")
        code = function if inspect.isroutine(function) or isinstance(function, partial) else type(function).__call__
        if inspect.isasyncgenfunction(code):
            raise TypeError(f"{name} does not reach into an asynchronous generator; use `with {name}():` inside it")
        if inspect.isgeneratorfunction(code):
            return wraps(function)(lambda *args, **kwargs: _Steps(self, function(*args, **kwargs)))
        if inspect.iscoroutinefunction(code):

            async def call(*args: Any, **kwargs: Any) -> Any:
                return await _Steps(self, function(*args, **kwargs))

            return wraps(function)(call)
        return super().__call__(function)


class _Steps(Generator[Any, Any, Any]):
    """A generator or coroutine each of whose steps runs in a context, which is left between them."""

    def __init__(self, context: Any, steps: Any) -> None:
        self._context, self._steps = context, steps

    def __await__(self) -> Any:
        return self

    def send(self, value: Any) -> Any:
        with self._context:
            return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        with self._context:
            return self._steps.throw(*error)
