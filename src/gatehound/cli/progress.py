"""How far a long command is, on standard error where that is a terminal, and how it is stopped."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(
    what: str, total: Callable[[], int] | None = None, *, shown: bool = True
) -> Iterator[Advance]:
    """Show how many of `total` were dealt with; what is given is called with how many more.

    Without `total` the count alone is shown. Nothing is, and `total` not asked, where standard
    error is no terminal, or `shown` is False.
    """
    if not (shown and sys.stderr.isatty()):
        yield ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=24)]
    if total is None:
        columns.append(TextColumn("{task.completed:,.0f}"))
    else:
        columns.append(MofNCompleteColumn())
    known = None if total is None else total()
    on = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with Progress(*columns, TimeElapsedColumn(), console=on, transient=True) as bar:
        task = bar.add_task(what, total=known)
        yield lambda more: bar.advance(task, more)


def ignore(_more: int) -> None:
    """Show nothing."""


class Stop:
    """Make a wish of the first Ctrl-C, that a long run looks at between two steps.

    A step that ends sessions is then done whole, and its cursor known. The second Ctrl-C does
    not wait.
    """

    def __init__(self) -> None:
        self.wished = False
        self._old: Any = None

    def __enter__(self) -> Self:
        """Begin to listen, where that can be: signals go to the main thread alone."""
        with contextlib.suppress(ValueError):
            self._old = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the signal to who had it."""
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
