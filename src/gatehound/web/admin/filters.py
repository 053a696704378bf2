"""Which sessions, and which events: what an admin typed, and the same as a query for links.

Whatever a query holds, reading it never raises: what cannot be used is named in `problems`, and
nothing is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

import msgspec

from gatehound.errors import UsageError
from gatehound.events import NAMES
from gatehound.listing import country_of, network_of, sid_of, user_text

HOUR: Final = 3600
SPANS: Final = (HOUR, 6 * HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR)  # that forms offer


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What all have in common: each field as it was typed, "" for any."""

    user: str = ""
    network: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """Take the fields that there are out of a query or a form."""
        return cls(**{name: given.get(name, "").strip() for name in cls.__struct_fields__})

    @property
    def query(self) -> str:
        """The same as a query, without what is empty."""
        return urlencode(self.given)

    @property
    def given(self) -> dict[str, str]:
        """The fields that were filled in."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: text for name, text in named if text}

    @property
    def problems(self) -> list[str]:
        """Name the fields that cannot be used."""
        wrong = {
            "user": not _reads(user_text, self.user),
            "network": not _reads(network_of, self.network),
        }
        return [name for name, is_wrong in wrong.items() if is_wrong]


class SessionFilter(Filter, frozen=True, kw_only=True):
    """Which sessions. `older` and `idle` are each one of SPANS."""

    country: str = ""
    flagged: str = ""
    older: str = ""
    idle: str = ""

    @property
    def problems(self) -> list[str]:
        """Name the fields that cannot be used."""
        wrong = {
            "country": not _reads(country_of, self.country),
            "older": bool(self.older) and _seconds(self.older) is None,
            "idle": bool(self.idle) and _seconds(self.idle) is None,
        }
        return [*super().problems, *(name for name, is_wrong in wrong.items() if is_wrong)]

    def conditions(self, now: float) -> dict[str, Any]:
        """Return what `Guard.search` and `terminate_where` take; `now` is seconds since 1970."""
        older, idle = _seconds(self.older), _seconds(self.idle)
        return {
            "user_id": self.user or None,
            "network": self.network or None,
            "country": self.country.upper() or None,
            "flagged": True if self.flagged else None,
            "created_before": None if older is None else now - older,
            "seen_before": None if idle is None else now - idle,
        }


class EventFilter(Filter, frozen=True, kw_only=True):
    """Which events. `within` is one of SPANS, `session` a public id."""

    name: str = ""
    session: str = ""
    within: str = ""

    @property
    def problems(self) -> list[str]:
        """Name the fields that cannot be used."""
        wrong = {
            "name": bool(self.name) and self.name not in NAMES,
            "session": not _reads(sid_of, self.session),
            "within": bool(self.within) and _seconds(self.within) is None,
        }
        return [*super().problems, *(name for name, is_wrong in wrong.items() if is_wrong)]

    def conditions(self, now: float) -> dict[str, Any]:
        """Return what `Guard.events` takes; `now` is seconds since 1970."""
        within = _seconds(self.within)
        return {
            "user_id": self.user or None,
            "network": self.network or None,
            "names": (self.name,) if self.name else None,
            "public_id": self.session or None,
            "since": None if within is None else now - within,
        }


def _reads(rule: Callable[[str], object], text: str) -> bool:
    """Say whether a rule takes what was typed; nothing is any."""
    try:
        return not text or rule(text) is not None
    except (UsageError, ValueError):
        return False


def _seconds(text: str) -> int | None:
    """Return one of the spans that forms offer, so that a form always shows what holds."""
    return next((span for span in SPANS if text == str(span)), None)


def number(text: str) -> int:
    """Read a count that a link of ours carries; 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
