"""App data of a session: what the app keeps with it, field by field.

Nothing is preloaded and nothing is saved at the end of a request: each call is one trip and
one field, so that two requests of one session never undo each other's writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar

import msgspec

from gatehound._sync import Plain
from gatehound.errors import FreshLoginRequired, GatehoundError, StoreError, UsageError
from gatehound.guard import Guard
from gatehound.passage import Passage
from gatehound.stores.base import Store
from gatehound.stores.record import Record
from gatehound.stores.rule import check_data, check_data_name

P = ParamSpec("P")
T = TypeVar("T")
Runner = Callable[[Coroutine[Any, Any, Any]], Any]
Purpose: TypeAlias = Literal["read", "delete", "write"]


def noted(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Remember what the app was told, for a framework that turns it into a bare 500."""

    @functools.wraps(method)
    async def noting(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = await method(self, *args, **kwargs)
        except GatehoundError as error:
            if not isinstance(error, UsageError):
                self._passage.raise_later(error)
            if isinstance(error, StoreError):
                self._guard.note_outage(error)
            raise
        self._passage.raised = None  # the app went on: a later 500 is its own
        return result

    return noting


class Data:
    """App data of one session: one trip a call, each field by itself.

    Values are anything that JSON can say. Nothing is preloaded and nothing is saved at the
    end of the request, so that two requests never undo each other's writes.
    """

    def __init__(self, guard: Guard, passage: Passage) -> None:
        self._guard = guard
        self._passage = passage

    @noted
    async def get(self, name: str, default: Any = None) -> Any:
        """Return one field, or `default` where it is not set or nobody is signed in."""
        found = await self._get([name])
        return found.get(name, default)

    @noted
    async def all(self) -> dict[str, Any]:
        """Return all fields; {} where nobody is signed in."""
        return await self._get(None)

    @noted
    async def set(self, name: str, value: Any) -> bool:
        """Set one field; False where the session ended meanwhile.

        FreshLoginRequired where nobody is signed in; ValueError over 64 KiB.
        """
        values = {name: msgspec.json.encode(value)}
        check_data(values)  # before an anonymous session is made for it
        owner = await self._owner("write")
        return owner is not None and await self._store.data_set(owner.alias, owner.sid, values)

    @noted
    async def delete(self, name: str) -> bool:
        """Remove one field; False where it was not set."""
        owner = await self._owner("delete")
        if owner is None:
            return False
        return bool(await self._store.data_delete(owner.alias, owner.sid, [name]))

    @noted
    async def incr(self, name: str, by: int = 1) -> int | None:
        """Add to a whole number (0 where not set); None where the session ended meanwhile."""
        check_data_name(name)
        owner = await self._owner("write")
        store = self._store
        return None if owner is None else await store.data_incr(owner.alias, owner.sid, name, by)

    async def _get(self, names: list[str] | None) -> dict[str, Any]:
        owner = await self._owner("read")
        if owner is None:
            return {}
        found = await self._store.data_get(owner.alias, owner.sid, names)
        return {name: msgspec.json.decode(value) for name, value in found.items()}

    @property
    def _store(self) -> Store:
        return self._guard.store

    async def _owner(self, purpose: Purpose) -> Record | None:
        """The session whose data this is; None only where that is an answer to `purpose`."""
        record = self._passage.record
        if record is None and purpose != "read":
            raise FreshLoginRequired(max_age=0.0, age=None)  # it may just have expired
        return record


class SyncData:
    """App data with plain methods; see Data."""

    def __init__(self, data: Data, run: Runner) -> None:
        self._target = data
        self._run = run

    get = Plain(Data.get)
    all = Plain(Data.all)
    set = Plain(Data.set)
    delete = Plain(Data.delete)
    incr = Plain(Data.incr)
