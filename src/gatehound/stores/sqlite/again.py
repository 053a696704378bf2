"""Load, and the quick question in its place: was the row of the session written since?

The question reads `rev` alone, which the file itself changes with every update of the row. It
neither waits, nor writes, nor explains an error: all this is left to `load`, which begins anew.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from gatehound.errors import GatehoundError
from gatehound.stores.answer import Answer, Asked, Question
from gatehound.stores.sqlite import life
from gatehound.stores.sqlite.link import Kind, Link
from gatehound.stores.sqlite.row import Row, Tx

_REV: Final = "SELECT rev FROM sessions WHERE alias = ? AND sid = ?"


class Look(Question, frozen=True, gc=False):
    """A question, and the `rev` of the row that `record` was read from, and when it was touched."""

    key: tuple[bytearray, bytearray]
    rev: int
    seen: int


class Loader:
    """Loads sessions of one file. Safe to share as its link is.

    It is the `quick` of its store, and `load` is here too.
    """

    __slots__ = ("_clock", "_link")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._clock = link.clock

    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None) -> Answer:
        """See Store.load."""

        def look(tx: Tx) -> Answer | None:
            return life.look(tx, alias, sid, secret_hash, touch)

        try:
            answer = self._link.look(look)
        except sqlite3.Error:
            answer = await self._link.run(look, Kind.LOOK)
        if answer is not None:
            return answer
        return await self._link.run_or(
            lambda tx: life.load(tx, alias, sid, secret_hash, touch),
            lambda tx: life.judge(tx, alias, sid, secret_hash),
        )

    def question(
        self, alias: bytes, sid: bytes, secret_hash: bytes, replies: list[Any] | None = None
    ) -> Look:
        """See Quick; the row is read, and `replies` are not: they do not say what is in it."""
        key = bytearray(alias), bytearray(sid)
        row = self._ordinary(alias, sid, secret_hash)
        if row is None:
            return Look(alias, sid, secret_hash, None, key, 0, 0)
        record = row.record
        return Look(alias, sid, secret_hash, record, key, row.rev, record.seen.last_seen)

    def _ordinary(self, alias: bytes, sid: bytes, secret_hash: bytes) -> Row | None:
        try:
            return self._link.look(lambda tx: life.ordinary(tx, alias, sid, secret_hash))
        except (sqlite3.Error, GatehoundError):
            return None  # the request that meets it next says so

    def ask(self, question: Look, touch: int | None) -> Asked | None:
        """See Quick; None also where the connection has to be opened or watched before."""
        now = self._clock()
        if question.record is None or (touch is not None and now - question.seen >= touch):
            return None
        handle = self._link.open_handle()
        if handle is None:
            return None
        with handle.lock:
            try:
                # A fork may just have closed it.
                found = handle.db and handle.db.execute(_REV, question.key).fetchone()
            except (sqlite3.Error, UnicodeDecodeError):
                return None
        return None, [found and found[0], now]

    def told(self, question: Look, replies: list[Any]) -> int:
        """See Quick."""
        return replies[1] if replies[0] == question.rev else 0

    async def go_on(self, question: Look, asked: Asked, touch: int | None) -> Answer:
        """See Quick; what was asked says that the row is another one, and no more."""
        del asked
        return await self.load(question.alias, question.sid, question.secret_hash, touch)
