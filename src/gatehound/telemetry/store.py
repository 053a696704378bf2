"""A store around another one: measures every operation, and changes nothing.

The methods are made from the contract, so that one that is added there is measured here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.base import Store
from gatehound.telemetry.meters import NOWHERE, Meters
from gatehound.telemetry.metric import DONE, ENDED, OPERATION

# It waits for somebody's end, for as long as nothing happens: that is no work and no slowness.
WAITING: Final = frozenset({"ends"})
_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (StoreUnavailable, "unavailable"),
    (StoreCorrupt, "corrupt"),
    (Exception, "failed"),  # a StoreMismatch, or what the caller gave cannot be stored
    (BaseException, "cancelled"),
)

if TYPE_CHECKING:
    # Type checkers see a store with every method written out; each passes its call on.
    from gatehound.stores.memory import MemoryStore as _PassingStore
else:

    def _passing(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(getattr(Store, name))
        async def method(self: MeasuredStore, *args: Any, **kwargs: Any) -> Any:
            return await self._pass(name, args, kwargs)

        @functools.wraps(getattr(Store, name))
        def waiting(self: MeasuredStore, *args: Any, **kwargs: Any) -> Any:
            return getattr(self.measured, name)(*args, **kwargs)

        made = waiting if name in WAITING else method
        # Made from an abstract method, and not one.
        made.__isabstractmethod__ = False
        return made

    _names = [name for name, one in vars(Store).items() if inspect.isfunction(one)]
    _PassingStore = type("_PassingStore", (Store,), {name: _passing(name) for name in _names})


class MeasuredStore(_PassingStore):
    """Pass every call on to `measured`, and tell meters how long it took and what came of it."""

    def __init__(self, store: Store, meters: Meters) -> None:
        self.measured = store
        self.suspends = store.suspends
        self.tells = store.tells
        # A class has one kind, and this takes that of any: past the descriptor of type checkers.
        vars(self)["kind"] = store.kind
        self._meters = meters

    def __getattr__(self, name: str) -> Any:
        """Show what a store has beyond the contract."""
        if name == "measured":  # a copy asks before it has one
            raise AttributeError(name)
        return getattr(self.measured, name)

    async def _pass(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        meters, kind, error = self._meters, self.measured.kind, DONE
        entered = NOWHERE
        if meters.traces:
            attributes = {"db.system.name": kind, "db.operation.name": name}
            entered = meters.enter(f"gatehound.store.{name}", attributes)
        began = perf_counter()
        try:
            answer = await getattr(self.measured, name)(*args, **kwargs)
        except BaseException as raised:
            error = next(word for kinds, word in _WORDS if isinstance(raised, kinds))
            raise
        finally:
            meters.observe(OPERATION, (kind, name, error), perf_counter() - began)
            meters.leave(entered, {}, "" if error == DONE else error)
        if name == "revoke_everyone":  # the only end that has no event for each session
            meters.add(ENDED, (EndReason.EVERYONE.value,), answer)
        return answer
