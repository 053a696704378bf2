"""Serve pages from the middleware itself, below the paths of `web`, for apps that mount nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal, TypeAlias

from gatehound.settings import WebSettings
from gatehound.web import path_in
from gatehound.web.asking import Receive
from gatehound.web.pages import Pages
from gatehound.web.serving import Scope, Send, Served

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
WsgiApp: TypeAlias = Callable[[Any, Any], Iterable[bytes]]


def mounted_in(web: WebSettings, app: Any, world: Literal["asgi", "wsgi"]) -> Any:
    """Return an app that serves each kind of page below its path, and `app` elsewhere.

    Of a path below the other one the longer is asked first.
    """
    kinds: list[tuple[str, type[Served]]] = []
    if web.path is not None:
        kinds.append((web.path, Pages))
    if web.admin_path is not None:
        from gatehound.web.admin.pages import AdminPages

        kinds.append((web.admin_path, AdminPages))
    for path, kind in sorted(kinds, key=lambda one: len(one[0])):
        app = getattr(Mounted(path, kind()), world)(app)
    return app


class Mounted:
    """The pages below one path, and an app everywhere else."""

    def __init__(self, path: str, pages: Served) -> None:
        self._path = path
        self._pages = pages

    def asgi(self, app: AsgiApp) -> AsgiApp:
        """Return an app that hands each scope to the pages or to `app`."""
        pages = self._pages.asgi

        def divided(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            below = self.scope(scope)
            return app(scope, receive, send) if below is None else pages(below, receive, send)

        return divided

    def wsgi(self, app: WsgiApp) -> WsgiApp:
        """Return an app that hands each request to the pages or to `app`."""
        pages = self._pages.wsgi

        def divided(environ: Any, start_response: Any) -> Iterable[bytes]:
            below = self.environ(environ)
            if below is None:
                return app(environ, start_response)
            return pages(below, start_response)

        return divided

    def scope(self, scope: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
        """Return the scope for the pages, as a mount would make it; None for the app's paths."""
        route = path_in(scope)
        if not self._owns(route):
            return None
        root = scope.get("root_path", "").rstrip("/")
        return {**scope, "root_path": root + self._path, "path": root + route}

    def environ(self, environ: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
        """Return the environ for the pages, as a mount would make it; None for the app's paths."""
        route = environ.get("PATH_INFO", "")
        if not self._owns(route):
            return None
        name = environ.get("SCRIPT_NAME", "").rstrip("/") + self._path
        return {**environ, "SCRIPT_NAME": name, "PATH_INFO": route[len(self._path) :]}

    def _owns(self, route: str) -> bool:
        return route == self._path or route.startswith(f"{self._path}/")
