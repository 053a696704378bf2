"""run_sync runs what never waits, and says what waited."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gatehound import SyncVisit, UsageError, Visit
from gatehound._sync import Plain, run_sync
from gatehound.admin import Admin, SyncAdmin
from gatehound.data import Data, SyncData


async def add(a: int, b: int = 1) -> int:
    return a + b


async def nested(depth: int) -> int:
    return depth if depth == 0 else await nested(depth - 1) + 1


async def waits() -> None:
    await asyncio.sleep(0)


async def waits_deep() -> None:
    await waits()


def test_it_returns_and_raises_what_the_coroutine_does() -> None:
    assert run_sync(add(1, b=2)) == 3
    assert run_sync(nested(50)) == 50

    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_sync(fails())


def test_no_event_loop_is_touched() -> None:
    async def here() -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "done"

    assert run_sync(here()) == "done"


def test_what_waits_is_named_and_closed() -> None:
    closed = []

    async def tidy() -> None:
        try:
            await waits_deep()
        finally:
            closed.append(True)

    with pytest.raises(UsageError, match=r"tidy suspended in .*sleep.*ASGI middleware"):
        run_sync(tidy())
    assert closed == [True]


def test_a_timeout_of_asyncio_fails_loudly() -> None:
    async def limited() -> None:
        async with asyncio.timeout(1):
            await add(1)

    with pytest.raises(RuntimeError, match=r"no running event loop|inside a task"):
        run_sync(limited())


def test_what_refuses_to_close_is_named() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            with contextlib.suppress(GeneratorExit):
                await asyncio.sleep(0)

    with pytest.raises(UsageError, match=r"stubborn .* refused to close"):
        run_sync(stubborn())


def test_an_asynchronous_generator_may_be_used_and_left() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def first() -> int:
        stream = numbers()
        try:
            async for number in stream:
                return number
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        return 0

    assert run_sync(first()) == 1


class Target:
    """Something with a coroutine method."""

    async def greet(self, name: str, *, loud: bool = False) -> str:
        """Say hello."""
        return f"HELLO {name}" if loud else f"hello {name}"


class Face:
    """The plain face of Target."""

    _run = staticmethod(run_sync)

    def __init__(self) -> None:
        self._target = Target()

    greet = Plain(Target.greet)


def test_a_plain_method_keeps_name_text_and_arguments() -> None:
    assert Face().greet("a", loud=True) == "HELLO a"
    assert Face().greet.__name__ == "greet"
    assert Face().greet.__doc__ == "Say hello."
    assert isinstance(Face.greet, Plain)
    with pytest.raises(TypeError):
        Face().greet()  # type: ignore[call-arg]  # that it is refused is the point


@pytest.mark.parametrize(
    ("waiting", "plain"), [(Visit, SyncVisit), (Data, SyncData), (Admin, SyncAdmin)]
)
def test_no_method_is_missing_from_the_plain_face(waiting: type, plain: type) -> None:
    methods = {
        name
        for name, value in vars(waiting).items()
        if inspect.iscoroutinefunction(value) and not name.startswith("_")
    }
    own = {"listed", "clear", "tell"}  # the flow's, not an admin's
    assert {
        name for name, value in vars(plain).items() if isinstance(value, Plain)
    } == methods - own
