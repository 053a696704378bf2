"""What gatehound itself says over HTTP: answers, headers on the app's responses, and pages.

`Pages` are the pages of a user, `AdminPages` those of admins, both to be mounted, and
`render_sessions` the list of a user for a page of the app. They need the extra `web`, and are
loaded when they are asked for: most processes show none.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gatehound.guard import Guard
    from gatehound.settings import Settings
    from gatehound.web.admin.pages import AdminPages
    from gatehound.web.crosssite import Gate
    from gatehound.web.fragment import render_sessions
    from gatehound.web.pages import Pages

__all__ = ["AdminPages", "Pages", "gate", "mounted", "path_in", "render_sessions"]

_PLACES = {
    "AdminPages": "gatehound.web.admin.pages",
    "Pages": "gatehound.web.pages",
    "render_sessions": "gatehound.web.fragment",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def gate(guard: Guard) -> Gate | None:
    """Return what refuses requests before they are looked at; None where nothing does."""
    settings = guard.settings
    if not (settings.development or settings.csrf.protect):
        return None
    from gatehound.web.crosssite import gate_of

    return gate_of(guard)


def mounted(settings: Settings, app: Any, world: Literal["asgi", "wsgi"]) -> Any:
    """Return an app that serves the pages below their paths and `app` elsewhere.

    The paths are `web.path` and `web.admin_path`; None without either. SettingsError where one is
    set and jinja2 is not installed.
    """
    if settings.web.path is None and settings.web.admin_path is None:
        return None
    from gatehound.web.mount import mounted_in

    return mounted_in(settings.web, app, world)


def path_in(scope: Mapping[str, Any]) -> str:
    """Return the path of a scope below its `root_path`.

    Servers differ on whether `path` has it in front: the ASGI specification says that it has.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and (path == root or path.startswith(f"{root.rstrip('/')}/")):
        return path[len(root.rstrip("/")) :]
    return path
