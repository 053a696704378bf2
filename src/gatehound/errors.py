"""What can go wrong, and whose fault it is.

    GatehoundError
    ├── SettingsError          the operator: settings are wrong; raised when an object is built
    │   └── StoreMismatch      the operator: another identity_key, namespace or layout
    ├── StoreError             the system: the store did not do what it was asked
    │   ├── StoreUnavailable   no answer; for a write the outcome may be unknown
    │   └── StoreCorrupt       an answer that cannot be decoded or belongs to another question
    ├── LoginRefused           the caller: this login may not happen (limit, disabled, superseded)
    ├── FreshLoginRequired     the caller: the user has to prove who they are again
    ├── SessionSuperseded      the caller: a parallel request has just renewed the session
    └── UsageError             the programmer: called in the wrong place or at the wrong time

Bad input from a client is none of these: it never raises out of the middleware.
Errors carry evidence as attributes, and never a secret.
"""

from __future__ import annotations

from collections.abc import Iterable


class GatehoundError(Exception):
    """Base of every error that gatehound raises on purpose."""


class SettingsError(GatehoundError, ValueError):
    """Settings are wrong; `problems` holds every one that was found, a line each."""

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        head = f"{count} problems in the settings:" if count > 1 else ""
        lines = [f"  - {line}" if head else line for line in self.problems]
        super().__init__("\n".join([head, *lines] if head else lines))


class StoreMismatch(SettingsError):
    """The store was first used with another identity_key, namespace or layout."""


class StoreError(GatehoundError):
    """The store, not the caller, is at fault."""


class StoreUnavailable(StoreError):
    """The store gave no answer in time; the outcome of a write is unknown."""


class StoreCorrupt(StoreError):
    """The store answered with bytes that do not decode, or that belong to another question."""


class LoginRefused(GatehoundError):
    """A login may not happen.

    `reason` is `limit` (the user has as many sessions as allowed and `on_limit` is `deny`),
    `disabled` (the user is disabled), `superseded` (all sessions of the user were ended after this
    login began) or `suspicious` (`policy.terminate` or `policy.malicious` ended it at once). It is
    never a failed password: do not count it as one.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class FreshLoginRequired(GatehoundError):
    """The user has to sign in again before this; the middleware answers 401 or redirects.

    `max_age` is the allowed age of the sign-in in seconds, `age` the present one, or None
    where nobody is signed in: a session may expire between a page and the form on it.
    """

    def __init__(self, *, max_age: float, age: float | None) -> None:
        self.max_age = max_age
        self.age = age
        super().__init__("a fresh sign-in is required here")


class SessionSuperseded(GatehoundError):
    """The cookie of this request was replaced a moment ago by a parallel request.

    The browser holds the new one already: asking again is enough. The middleware answers 401.
    """

    def __init__(self) -> None:
        super().__init__("a parallel request has just renewed this session")


class UsageError(GatehoundError, RuntimeError):
    """The app called gatehound in the wrong place or at the wrong time."""
