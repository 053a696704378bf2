"""Which sessions and events are meant, as the commands share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gatehound._text import printable
from gatehound.cli.output import Nothing, Unable
from gatehound.cli.span import read_moment, read_span

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.model import Event

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions; None means any."""

    user: str | None = None
    find: str | None = None
    flagged: bool | None = None
    country: str | None = None
    network: str | None = None
    older_than: float | None = None
    idle_for: float | None = None

    @property
    def names_user(self) -> bool:
        """True where one user is meant."""
        return self.user is not None or self.find is not None

    @property
    def narrows(self) -> bool:
        """True where there is a condition beside the user."""
        rest = (self.flagged, self.country, self.network, self.older_than, self.idle_for)
        return any(one is not None for one in rest)

    @property
    def given(self) -> dict[str, str | float]:
        """The conditions that were given, as they were."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if value is not None}

    def user_id(self, admin: SyncAdmin) -> str | None:
        """Return the one user that is meant, None for anybody; Nothing where nobody or several."""
        if self.user is not None and self.find is not None:
            raise Unable("--user and --find given; both name a user: give one of them")
        if self.find is None:
            return self.user
        found = admin.find_users(self.find)
        if len(found) == 1:
            return next(iter(found))
        if not found:
            raise Nothing(f"no user is meant by {self.find!a}")
        told = ", ".join(
            f"{user!a} ({name})" if name else ascii(user) for user, name in found.items()
        )
        raise Nothing(f"several users are meant by {self.find!a}: {told}; name one with --user")

    def conditions(self, admin: SyncAdmin) -> dict[str, Any]:
        """Return the conditions as the guard takes them."""
        now = time.time()
        return {
            "user_id": self.user_id(admin),
            "flagged": self.flagged,
            "country": self.country,
            "network": self.network,
            "created_before": _ago(now, self.older_than),
            "seen_before": _ago(now, self.idle_for),
        }


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None means any. Times are seconds since 1970."""

    names: tuple[str, ...] = ()
    user: str | None = None
    session: str | None = None
    network: str | None = None
    since: float | None = None
    until: float | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the conditions as the guard takes them."""
        return {
            "names": self.names or None,
            "user_id": self.user,
            "public_id": self.session,
            "network": self.network,
            "since": self.since,
            "until": self.until,
        }

    def admits(self, event: Event) -> bool:
        """Say whether an event is meant, by the rule of the stores: what is followed comes all."""
        from gatehound.listing import milliseconds, network_of
        from gatehound.stores.answer import EventQuery
        from gatehound.stores.rule import matches_event

        query = EventQuery(
            user_id=self.user,
            public_id=self.session,
            names=self.names or None,
            since=milliseconds(self.since),
            until=milliseconds(self.until),
            network=network_of(self.network),
        )
        return matches_event(event, query)


def takes_sessions(command: F) -> F:
    """Add the conditions on sessions; the command is given `wanted`."""
    return _collecting(SessionFilter, command, *_OF_SESSIONS)


def takes_events(command: F) -> F:
    """Add the conditions on events; the command is given `wanted`."""
    return _collecting(EventFilter, command, *_OF_EVENTS)


def _collecting(kind: type[Any], command: F, *options: Callable[[Any], Any]) -> F:
    names = [field.name for field in fields(kind)]

    @wraps(command)
    def collected(**given: Any) -> Any:
        wanted = kind(**{name: given.pop(name) for name in names})
        return command(wanted=wanted, **given)

    for option in reversed(options):
        collected = option(collected)
    return collected  # type: ignore[return-value]  # called by click alone, with other keywords


def _ago(now: float, span: float | None) -> float | None:
    return None if span is None else max(now - span, 0.0)


def _some(_ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    if given == "":
        raise Unable(f"{param.opts[0]}: nothing given; leave it out, or write whom it means")
    return given


def _country(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    from gatehound.listing import country_of

    try:
        return country_of(given)
    except ValueError as error:
        raise Unable(f"--country: {error}") from None


def _network(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    from gatehound.listing import network_of

    text = given and given.strip()
    try:
        network_of(text)
    except ValueError as error:
        raise Unable(
            f"--network: {printable(str(error))}; allowed is an address or a network such as "
            "203.0.113.0/24 or 2001:db8::/32"
        ) from None
    return text


def _names(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    from difflib import get_close_matches

    from gatehound.events import NAMES

    for name in given:
        if name not in NAMES:
            close = get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(NAMES)}"
            raise Unable(f"--name: there is no event {name!a}; {hint}")
    return given


_OF_SESSIONS: Final = (
    click.option("--user", metavar="ID", callback=_some, help="Those of this user."),
    click.option(
        "--find",
        metavar="TEXT",
        callback=_some,
        help="Those of the user that the text means, by `users.find` of --guard; else the id.",
    ),
    click.option(
        "--flagged", is_flag=True, default=None, help="Those that are flagged as suspicious."
    ),
    click.option(
        "--country",
        metavar="CC",
        callback=_country,
        help="Those that were last used in this country, such as DE.",
    ),
    click.option(
        "--network",
        metavar="CIDR",
        callback=_network,
        help="Those that were last used from this address or network.",
    ),
    click.option(
        "--older-than",
        callback=read_span,
        metavar="SPAN",
        help="Those that began before, such as 30d.",
    ),
    click.option(
        "--idle-for",
        callback=read_span,
        metavar="SPAN",
        help="Those not used since, such as 2h.",
    ),
)
_OF_EVENTS: Final = (
    click.option(
        "--name",
        "names",
        multiple=True,
        metavar="NAME",
        callback=_names,
        help="Those of this name, such as session_flagged. Repeatable.",
    ),
    click.option("--user", metavar="ID", callback=_some, help="Those of this user."),
    click.option("--session", metavar="PUBLIC_ID", callback=_some, help="Those of this session."),
    click.option(
        "--network",
        metavar="CIDR",
        callback=_network,
        help="Those from this address or network.",
    ),
    click.option(
        "--since",
        callback=read_moment,
        metavar="WHEN",
        help="Those from then on: a span ago, such as 2h, or a date and time.",
    ),
    click.option("--until", callback=read_moment, metavar="WHEN", help="Those before then."),
)
