"""Contexts that also decorate generators and coroutines."""

import inspect
from collections.abc import Generator
from contextlib import ContextDecorator
from functools import wraps
from typing import Any


class StepDecorator(ContextDecorator):
    """Base class of contexts that are decorators as well: of a generator or coroutine they hold for its steps only.

    `contextlib.ContextDecorator` would hold for the call that makes the generator, which runs none of its code.
    """

    def __call__(self, function: Any) -> Any:
        name = type(self).__name__
        if inspect.isasyncgenfunction(function):
            raise TypeError(f"{name} does not reach into an asynchronous generator; use `with {name}():` inside it")
        if inspect.isgeneratorfunction(function):
            return wraps(function)(lambda *args, **kwargs: _Steps(self, function(*args, **kwargs)))
        if inspect.iscoroutinefunction(function):

            async def call(*args: Any, **kwargs: Any) -> Any:
                return await _Steps(self, function(*args, **kwargs))

            return wraps(function)(call)
        if not callable(function):
            raise TypeError(f"{name} takes a function, not {type(function).__name__}; or write `with {name}():`")
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
