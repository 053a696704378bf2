"""Files that are read into memory, and read again when they change on disk.

Rules
  1. Whoever looks something up uses one view, made of all files at one moment. A reload builds
     the next view beside it and swaps a single reference: no lock, and nobody sees a half.
  2. What a reload replaces is never closed: another thread may be reading it. The last user's
     going away frees it.
  3. A file that cannot be used leaves the one read before in use, is reported once, and is read
     again only when it has changed again.
  4. Except where the old one is mapped into memory and the file was overwritten in place: then
     the old contents are gone, and what is left would be believed.

Looking is a stat for each file. Reading again is done by whichever call finds the change, so a
long list delays that one call; lists.py says by how much.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

log = logging.getLogger("gatehound")

T = TypeVar("T")
# Time of change in nanoseconds, size and inode: () for a file that is not there.
Stamp: TypeAlias = tuple[int, ...]
Clock: TypeAlias = Callable[[], float]

# The only clock of detection: when files are due. What is judged is told the time.
MONOTONIC: Final[Clock] = time.monotonic
_NO_FILE: Final[Stamp] = ()


class Unusable(Exception):
    """A file cannot be used; `lines` say why and what to do, and name the file where it helps."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("; ".join(lines))


class Source(Generic[T]):
    """One file: the setting that names it, its path, and how it is read.

    `read` returns what the file holds, or raises Unusable. `is_mapped` says that what it returns
    still reads from the file.
    """

    __slots__ = ("is_mapped", "path", "read", "setting")

    def __init__(
        self, setting: str, path: str, read: Callable[[str], T], *, is_mapped: bool = False
    ) -> None:
        self.setting = setting
        self.path = path
        self.read = read
        self.is_mapped = is_mapped

    @property
    def given(self) -> str:
        """How a message about this file begins."""
        return f"{self.setting}: {self.path!r} was given;"


class Loaded(msgspec.Struct, frozen=True):
    """What was read of a source. `value` is None where nothing is in use.

    `seen` is the stamp of the file that was looked at last, None before the first time; `stamp`
    that of the file that `value` is from. `trouble` says why the file is not in use.
    """

    source: Source[Any]
    value: Any = None
    stamp: Stamp = _NO_FILE
    seen: Stamp | None = None
    trouble: tuple[str, ...] = ()


class Contents:
    """All that was read at one moment."""

    __slots__ = ("loaded",)

    def __init__(self, loaded: Mapping[Source[Any], Loaded]) -> None:
        self.loaded = loaded

    def of(self, source: Source[T] | None) -> T | None:
        """Return what a source holds; None for no source, and where nothing of it is in use."""
        if source is None:
            return None
        value: T | None = self.loaded[source].value
        return value


class State(msgspec.Struct, Generic[T], frozen=True):
    """One moment: the contents, and the view that was made of them."""

    contents: Contents
    view: T


class Files(Generic[T]):
    """A view of some files, made again by `combine` whenever one of them has changed.

    What is wrong with the files now is added to `problems`, and `combine` sees None for them. From
    then on a problem is a warning of the logger and a line in `findings`. `due` is when the files
    should be looked at, on the clock `monotonic`: every `every` seconds, never for 0 and without
    files. Callable from any thread.
    """

    __slots__ = ("_combine", "_every", "_monotonic", "_turn", "due", "state")

    def __init__(
        self,
        sources: Iterable[Source[Any]],
        combine: Callable[[Contents], T],
        *,
        every: float,
        monotonic: Clock,
        problems: list[str],
    ) -> None:
        if not 0 <= every < math.inf:
            problems.append(
                f"detection.reload_every: {every!r} was given; it is 0 for never, or seconds"
            )
        loaded = {source: _read(Loaded(source)) for source in sources}
        problems += [line for one in loaded.values() for line in one.trouble]
        contents = Contents(loaded)
        self._combine = combine
        self._every = every
        self._monotonic = monotonic
        self._turn: list[None] = [None]
        self.state = State(contents, combine(contents))
        self.due = monotonic() + every if loaded and every > 0 else math.inf

    def look(self) -> bool:
        """Refresh if it is due and no other thread is at it; True for another view."""
        return self._is_my_turn() and self.refresh()

    def refresh(self) -> bool:
        """Look at every file now; True where another view is in use afterwards.

        Of two calls at once the later swap stays; if it read the older files, the next look finds
        their stamps to differ.
        """
        before = self.state.contents.loaded
        after = {source: _read(one) for source, one in before.items()}
        if all(after[source] is one for source, one in before.items()):
            return False
        contents = Contents(after)
        is_new = any(after[source].value is not one.value for source, one in before.items())
        view = self._combine(contents) if is_new else self.state.view
        self.state = State(contents, view)
        for source, one in after.items():
            if one.trouble and one is not before[source]:
                _report(one)
        return is_new

    def findings(self) -> list[str]:
        """Say which files are not in use as they lie there, a line each; empty: all are."""
        return [line for one in self.state.contents.loaded.values() for line in one.trouble]

    def _is_my_turn(self) -> bool:
        # pop is atomic: of the threads that come at once one has the token, and only until it has
        # set the next time. A lock that is held while a process forks stays locked in the child.
        try:
            token = self._turn.pop()
        except IndexError:
            return False
        now = self._monotonic()
        is_due = now >= self.due
        if is_due:
            self.due = now + self._every
        self._turn.append(token)
        return is_due


def stamp_of(path: str) -> Stamp:
    """Return what tells one state of a file from another, () where there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each look would cost more than the look
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return _NO_FILE
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _read(before: Loaded) -> Loaded:
    """Return the same object where the file has not changed, else what is to be used now."""
    source = before.source
    # Taken first: of a file that is being written a half may be read, and the next look finds it
    # changed again.
    stamp = stamp_of(source.path)
    if stamp == before.seen:
        return before
    overwritten = source.is_mapped and bool(stamp) and stamp[2:] == before.stamp[2:]
    kept = msgspec.structs.replace(before, value=None) if overwritten else before
    try:
        value = source.read(source.path)
    except Unusable as error:
        lines = error.lines
    except Exception as error:  # a damaged file raises what it likes
        lines = (f"it cannot be read ({type(error).__name__}: {error})"[:200],)
    else:
        return Loaded(source, value, stamp, stamp)
    return msgspec.structs.replace(kept, seen=stamp, trouble=_told(source, lines))


def _told(source: Source[Any], lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{source.given} {line}" for line in lines)


def _report(one: Loaded) -> None:
    kept = "nothing is read from it" if one.value is None else "what was read before stays in use"
    for line in one.trouble:
        log.warning("%s; until it can be used, %s", line, kept)
