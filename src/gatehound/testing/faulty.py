"""A store that fails when you tell it to: for tests of what your app does in an outage."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from gatehound.errors import StoreError, StoreUnavailable
from gatehound.stores.base import Store

ALL: Final = "*"
Moment = Literal["before", "after"]

if TYPE_CHECKING:
    # Type checkers see a store with every method written out; each passes its call on.
    from gatehound.stores.memory import MemoryStore as _PassingStore
else:

    def _passing(name: str) -> Callable[..., Any]:
        async def method(self: FaultyStore, *args: Any, **kwargs: Any) -> Any:
            return await self._pass(name, args, kwargs)

        method.__name__ = name
        method.__signature__ = inspect.signature(getattr(Store, name))
        return method

    _names = sorted(Store.__abstractmethods__)
    _PassingStore = type("_PassingStore", (Store,), {name: _passing(name) for name in _names})


class FaultyStore(_PassingStore):
    """Wrap a store, and raise StoreUnavailable on the calls that `fail` names.

    `calls` holds the names of all calls made, the failed ones included. Not for several
    threads at the same time.
    """

    kind = "faulty"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.suspends = store.suspends
        self.calls: list[str] = []
        self._faults: dict[str, deque[tuple[Moment, StoreError]]] = {}
        self._down: StoreError | None = None

    def fail(
        self,
        name: str = ALL,
        *,
        when: Moment = "before",
        times: int = 1,
        error: StoreError | None = None,
    ) -> None:
        """Let the next `times` calls of a method fail.

        `name` is a method of Store, or "*": whatever is called next. `when` is "before" (the
        call has no effect) or "after" (it took effect, and its answer was lost: what a
        timeout looks like). `error` None is a StoreUnavailable.
        """
        if name != ALL and name not in Store.__abstractmethods__:
            allowed = ", ".join(sorted(Store.__abstractmethods__))
            raise ValueError(f"{name!r} is no method of a store: use '*' or one of {allowed}")
        fault = (when, error or StoreUnavailable(f"made up for a test: {name}"))
        self._faults.setdefault(name, deque()).extend([fault] * times)

    def go_down(self, error: StoreError | None = None) -> None:
        """Let every call fail, without effect, until `heal`."""
        self._down = error or StoreUnavailable("made up for a test: the store is down")

    def heal(self) -> None:
        """Forget every fault: from now on all calls are passed on."""
        self._faults.clear()
        self._down = None

    async def _pass(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append(name)
        if self._down is not None:
            raise self._down
        waiting = self._faults.get(name) or self._faults.get(ALL)
        when, error = waiting.popleft() if waiting else ("after", None)
        if error is not None and when == "before":
            raise error
        answer = await getattr(self.store, name)(*args, **kwargs)
        if error is not None:
            raise error
        return answer
