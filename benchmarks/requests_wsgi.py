"""The WSGI apps of requests.py: each signs one user in, and answers whose session a request has.

The same questions and answers as in requests_asgi.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import requests_floor
from requests_participants import USER
from requests_settings import SECRET, Stores, gatehound_settings

App = Callable[..., Any]
TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


def answer(start: Any, user: str | None) -> list[bytes]:
    """Send the user id, or 401."""
    body = (user or "").encode()
    status = "200 OK" if user else "401 Unauthorized"
    start(status, [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def plain() -> App:
    """Make an app that answers without looking."""

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        return answer(start, USER)

    return app


def plain_gatehound(store: str) -> App:
    """Make an app that reads the visit."""
    from gatehound.wsgi import GatehoundMiddleware

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        visit = environ["gatehound"]
        if environ["PATH_INFO"] == "/sign-in":
            visit.login(USER)
        return answer(start, visit.user_id)

    return GatehoundMiddleware(app, settings=gatehound_settings(store))


def bare_flask() -> Any:
    """Make a Flask app that answers without looking."""
    import flask

    app = flask.Flask(__name__)

    @app.get("/")
    def home() -> Any:
        return USER, 200, dict([TEXT])

    return app


def flask_gatehound(store: str) -> App:
    """Make a Flask app that reads the visit."""
    import flask

    from gatehound.wsgi import GatehoundMiddleware

    app = flask.Flask(__name__)

    @app.get("/")
    def home() -> Any:
        user = flask.request.environ["gatehound"].user_id or ""
        return user, 200 if user else 401, dict([TEXT])

    @app.post("/sign-in")
    def sign_in() -> Any:
        flask.request.environ["gatehound"].login(USER)
        return USER

    return GatehoundMiddleware(app, settings=gatehound_settings(store))


def flask_session(url: str) -> Any:
    """Make a Flask app with Flask-Session in Redis and its defaults."""
    import flask
    from flask_session import Session  # type: ignore[import-untyped]  # it has no types
    from redis import Redis

    app = flask.Flask(__name__)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
    Session(app)

    @app.get("/")
    def home() -> Any:
        user = flask.session.get("user", "")
        return user, 200 if user else 401, dict([TEXT])

    @app.post("/sign-in")
    def sign_in() -> Any:
        flask.session["user"] = USER
        return USER

    return app


class Pages:
    """The pages of a Django app, and the module that its ROOT_URLCONF wants to see."""

    def __init__(self, read: Callable[[Any], str], write: Callable[[Any], None]) -> None:
        from django.urls import path

        self.read = read
        self.write = write
        self.urlpatterns = [path("", self.home), path("sign-in", self.sign_in)]

    def home(self, request: Any) -> Any:
        """Answer whose session it is."""
        return self.respond(self.read(request))

    def sign_in(self, request: Any) -> Any:
        """Start a session."""
        self.write(request)
        return self.respond(USER)

    def respond(self, user: str) -> Any:
        """Make the answer."""
        from django.http import HttpResponse

        return HttpResponse(user, status=200 if user else 401, content_type=TEXT[1])


def django(read: Callable[[Any], str], write: Callable[[Any], None], **settings: Any) -> App:
    """Make a Django app with these pages, and no middleware but what `settings` name."""
    from django.conf import settings as all_settings
    from django.core.wsgi import get_wsgi_application

    all_settings.configure(SECRET_KEY=SECRET, ALLOWED_HOSTS=["*"], **settings)
    all_settings.ROOT_URLCONF = Pages(read, write)
    application: App = get_wsgi_application()
    return application


def bare_django() -> App:
    """Make a Django app that answers without looking."""
    return django(lambda request: USER, lambda request: None)


def django_sessions(url: str, *, saved: bool) -> App:
    """Make a Django app with sessions in its Redis cache; `saved` writes them at each request."""

    def write(request: Any) -> None:
        request.session["user"] = USER

    return django(
        lambda request: request.session.get("user", ""),
        write,
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SESSION_SAVE_EVERY_REQUEST=saved,
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
        },
    )


def django_gatehound(store: str) -> App:
    """Make a Django app that reads the visit."""
    from gatehound.wsgi import GatehoundMiddleware

    app = django(
        lambda request: request.environ["gatehound"].user_id or "",
        lambda request: request.environ["gatehound"].login(USER),
    )
    return GatehoundMiddleware(app, settings=gatehound_settings(store))


MAKERS: Final[dict[str, Callable[[Stores], App]]] = {
    "WSGI": lambda _: plain(),
    "WSGI + one trip by hand": lambda stores: requests_floor.wsgi(stores.redis, answer),
    "WSGI + gatehound, Redis": lambda stores: plain_gatehound(stores.redis),
    "WSGI + gatehound, SQLite": lambda stores: plain_gatehound(stores.sqlite),
    "Flask": lambda _: bare_flask(),
    "Flask + gatehound": lambda stores: flask_gatehound(stores.redis),
    "Flask + Flask-Session": lambda stores: flask_session(stores.redis),
    "Django": lambda _: bare_django(),
    "Django + gatehound": lambda stores: django_gatehound(stores.redis),
    "Django + its sessions": lambda stores: django_sessions(stores.redis, saved=False),
    "Django + its sessions, saved": lambda stores: django_sessions(stores.redis, saved=True),
}
