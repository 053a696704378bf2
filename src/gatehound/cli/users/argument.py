"""Which users are meant, as the commands share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gatehound.cli.output import Unable
from gatehound.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _read(
    _ctx: click.Context, _param: click.Parameter, given: str | tuple[str, ...]
) -> str | tuple[str, ...]:
    """Refuse what no login could have had, before anything is done."""
    from gatehound.listing import user_text

    for user in (given,) if isinstance(given, str) else given:
        try:
            user_text(user)
        except UsageError as error:
            raise Unable(f"ID: {error}") from None
    return given if isinstance(given, str) else tuple(dict.fromkeys(given))


def takes_user(command: F) -> F:
    """Add the id of one user, `user`."""
    return click.argument("user", metavar="ID", callback=_read)(command)


def takes_users(command: F) -> F:
    """Add the ids of users, `ids`, each once."""
    return click.argument("ids", metavar="ID...", nargs=-1, required=True, callback=_read)(command)
