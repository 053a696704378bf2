"""Guard the sessions of any WSGI or ASGI app.

The names below are the public face. They are loaded at their first use, so that
`import gatehound.clientip` stays as light as the resolver alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatehound.detection import Detector, Observation
    from gatehound.errors import (
        FreshLoginRequired,
        GatehoundError,
        LoginRefused,
        SessionSuperseded,
        SettingsError,
        StoreError,
        StoreUnavailable,
        UsageError,
    )
    from gatehound.guard import Guard
    from gatehound.listing import Users
    from gatehound.model import (
        Action,
        Activity,
        Ended,
        EndReason,
        Event,
        Request,
        Session,
        Signal,
        Verdict,
    )
    from gatehound.settings import Settings
    from gatehound.visit import SyncVisit, Visit, current

_HOMES = {
    "Action": "model",
    "Activity": "model",
    "Detector": "detection",
    "EndReason": "model",
    "Ended": "model",
    "Event": "model",
    "FreshLoginRequired": "errors",
    "GatehoundError": "errors",
    "Guard": "guard",
    "LoginRefused": "errors",
    "Observation": "detection",
    "Request": "model",
    "Session": "model",
    "SessionSuperseded": "errors",
    "Settings": "settings",
    "SettingsError": "errors",
    "Signal": "model",
    "StoreError": "errors",
    "StoreUnavailable": "errors",
    "SyncVisit": "visit",
    "UsageError": "errors",
    "Users": "listing",
    "Verdict": "model",
    "Visit": "visit",
    "current": "visit",
}

__version__ = "0.1.0.dev0"
__all__ = [
    "Action",
    "Activity",
    "Detector",
    "EndReason",
    "Ended",
    "Event",
    "FreshLoginRequired",
    "GatehoundError",
    "Guard",
    "LoginRefused",
    "Observation",
    "Request",
    "Session",
    "SessionSuperseded",
    "Settings",
    "SettingsError",
    "Signal",
    "StoreError",
    "StoreUnavailable",
    "SyncVisit",
    "UsageError",
    "Users",
    "Verdict",
    "Visit",
    "current",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # not with the package: the resolver alone needs none

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *__all__])
