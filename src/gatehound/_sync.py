"""Run a coroutine that never suspends, with no event loop.

The core is written once, as `async def`. Under WSGI its stores do not suspend, so one
`send(None)` runs it to its end: there is no loop, no thread and nothing to clean up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from gatehound.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")


def run_sync(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` to its end in this call and return what it returns.

    What it raises comes through unchanged. If it suspends, which only code that waits for
    an event loop does, it is closed and UsageError names it.
    """
    try:
        coro.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    name = getattr(coro, "__qualname__", repr(coro))
    where = _suspended_in(coro)
    try:
        coro.close()
    except RuntimeError as error:  # the coroutine swallowed GeneratorExit and went on
        raise UsageError(f"{name} suspended in {where} and refused to close: {error}") from error
    raise UsageError(
        f"{name} suspended in {where}: under WSGI nothing may wait for an event loop. "
        "Use a plain function there, or serve the app with the ASGI middleware."
    )


def _suspended_in(coro: Any) -> str:
    """Name the innermost function that waits."""
    name = "?"
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        if frame is None:
            break
        name = frame.f_code.co_qualname
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
    return name


class Plain(Generic[P, T]):
    """A plain method that runs the coroutine method of the same name on another object.

    The owner has `_target`, the object whose method it is, and `_run`, which takes a
    coroutine and returns its result. Types and defaults stay those of the coroutine method,
    so that the two faces cannot drift apart.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, owner: None, cls: type | None = None) -> Self: ...

    @overload
    def __get__(self, owner: object, cls: type | None = None) -> Callable[P, T]: ...

    def __get__(self, owner: Any, cls: type | None = None) -> Self | Callable[P, T]:
        """Bind to the owner's target."""
        if owner is None:
            return self
        target, run, method = owner._target, owner._run, self._method

        @functools.wraps(method)
        def plain(*args: P.args, **kwargs: P.kwargs) -> T:
            result: T = run(method(target, *args, **kwargs))
            return result

        return plain
