"""Where a command's guard comes from, and what becomes of errors on the way.

Every command that asks a store is made with `cls=GuardCommand`, takes its settings by
`takes_settings`, and opens its guard by `opened`. Exit codes are those of `output`; beside them
130 is Ctrl-C (128 and the number of SIGINT) and 141 a reader that went away (SIGPIPE).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gatehound.cli import STOPPED
from gatehound.cli.output import Silent, Unable
from gatehound.errors import SettingsError, StoreError, StoreMismatch, UsageError

if TYPE_CHECKING:
    from gatehound import Guard
    from gatehound.stores.base import Store

F = TypeVar("F", bound=Callable[..., Any])

UNREAD: Final = 141
_EXAMPLE: Final = '{"secret_keys": ["..."], "identity_key": "...", "store": "..."}'


class GuardCommand(click.Command):
    """A command whose errors are sentences and exit codes, and never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises on purpose ends it with a code."""
        _escape_what_cannot_be_written()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(STOPPED) from None
        except BrokenPipeError:
            _let_go_of_output()
            raise SystemExit(UNREAD) from None
        except (SettingsError, UsageError) as error:
            if isinstance(error.__cause__, StoreError):  # the app's guard, built with its store
                raise Silent(str(error)) from None
            raise Unable(str(error)) from None
        except StoreError as error:
            raise Silent(f"the store does not answer: {error}") from None
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "rich":
                raise
            raise Unable('tables need rich: pip install "gatehound[cli]"') from None


@dataclass(frozen=True, slots=True)
class Source:
    """Where the settings are: a file, the app's own guard, or (neither) the environment."""

    config: Path | None = None
    guard: str | None = None


def takes_settings(command: F) -> F:
    """Add where the settings come from; the command is given a `source`."""

    @wraps(command)
    def collected(*, config: Path | None, guard: str | None, **rest: Any) -> Any:
        if config and guard:
            raise Unable("--config and --guard given; a guard has its settings: give one of them")
        return command(source=Source(config, guard), **rest)

    for option in (
        click.option(
            "--guard",
            metavar="MODULE:NAME",
            help="Take the Guard of your app, with its settings and its names of users.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Read the settings from a .toml or .json file instead of the environment.",
        ),
    ):
        collected = option(collected)
    return collected  # type: ignore[return-value]  # called by click alone, with other keywords


@contextlib.contextmanager
def opened(source: Source, *, notifies: bool = False) -> Iterator[Guard]:
    """Give a guard whose store has answered, and close that afterwards.

    Nobody is told by it of what the command does, unless it `notifies`: the log holds it, and who
    tells people reads that.
    """
    from gatehound._sync import run_sync

    guard = build(source, notifies=notifies)
    plain = guard.blocking()
    problem = absent(plain.store)
    if problem is not None:
        raise Silent(problem)
    if plain.store.kind == "memory":
        raise Unable(
            "store: memory:// given; what it holds is seen by the process of the app alone; use "
            "sqlite:///... or redis://..."
        )
    try:
        run_sync(plain.ready())
        yield guard
    except StoreMismatch as error:
        where = place_of(guard.settings.store_url)
        raise StoreMismatch([f"store {where}: {line}" for line in error.problems]) from None
    finally:
        # It has to end well also where the store is gone.
        with contextlib.suppress(StoreError):
            run_sync(plain.store.close())


def build(source: Source, *, notifies: bool = False) -> Guard:
    """Build the guard without asking its store; nothing of it is logged."""
    logging.getLogger("gatehound").addHandler(logging.NullHandler())
    if source.guard is not None:
        found = _guard_of_app(source.guard)
        if found.notifier is not None and not notifies:
            found.notifier.close(for_good=True)  # or the first event here would start its thread
        return found
    from msgspec.structs import replace

    from gatehound import Guard, Settings
    from gatehound.cli.config import load

    class Quiet(Guard):
        """A guard that tells nobody, and needs nothing of what that takes."""

        def _notifier(self, call: object) -> None:
            return None

    settings = (
        Settings.from_env()
        if source.config is None
        else Settings.from_dict(load(source.config, _EXAMPLE))
    )
    # Who runs a command wants its answer: events are in the store, and sinks are the app's.
    kind = Guard if notifies else Quiet
    return kind(replace(settings, check_store_at_start=False), sinks=())


def absent(store: Store) -> str | None:
    """Say that the file of the store is not there; opening it would make one in its place."""
    path: Path | None = getattr(store, "path", None) if store.kind == "sqlite" else None
    if path is None or path.exists():
        return None
    return (
        f"the session file {path} is not there: no app has used it; run the command as the user "
        "of the app, and with the settings of the app"
    )


def place_of(url: str) -> str:
    """Return the URL of a store without user, password and options."""
    scheme, separator, rest = url.partition("://")
    if scheme in ("memory", "sqlite"):
        return url
    return f"{scheme}{separator}{rest.partition('?')[0].rpartition('@')[2]}"


def _guard_of_app(given: str) -> Guard:
    """Import the app's own guard, as servers import an app."""
    from gatehound import Guard

    module, colon, name = given.partition(":")
    if not (module and colon and name):
        raise Unable(f"--guard: {given!a} given; allowed is MODULE:NAME, such as shop.app:guard")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (SettingsError, StoreError):
        raise
    except Exception as error:  # whatever the app raises is told, and is not ours
        raise Unable(
            f"--guard: {given!a} cannot be imported: {type(error).__name__}: {error}"
        ) from None
    if not isinstance(found, Guard):
        raise Unable(f"--guard: {given!a} is a {type(found).__name__}, and no Guard")
    return found


def _escape_what_cannot_be_written() -> None:
    """Let no character fail that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_output() -> None:
    """Send what is still buffered nowhere, or Python would complain when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
