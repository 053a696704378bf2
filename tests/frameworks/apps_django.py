"""The app of these tests in Django: plain and coroutine views, under ASGI and WSGI.

Django has one set of settings a process, so it is configured here, once, for all tests.
"""

from __future__ import annotations

import sys
from typing import Any

import django
from deeds import OUTCOMES, deed, plain_deed, refused_sync
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.urls import path

import gatehound
from gatehound import SyncVisit

settings.configure(
    SECRET_KEY="d" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="apps_django",
    USE_TZ=True,
    LOGGING_CONFIG=None,
    INSTALLED_APPS=["gatehound.django"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup(set_prefix=False)


def plain(request: HttpRequest, name: str) -> JsonResponse:
    """Answer in a `def` view, which Django runs in a thread under ASGI."""
    visit = gatehound.current(request)
    result = plain_deed(name, visit if isinstance(visit, SyncVisit) else visit.sync)
    return JsonResponse(result, status=OUTCOMES.get(name, 200))


async def awaited(request: HttpRequest, name: str) -> JsonResponse:
    """Answer in an `async def` view; under WSGI Django runs it on a loop of its own."""
    visit = gatehound.current(request)
    if name == "loop":
        return JsonResponse(refused_sync(visit))
    done = plain_deed(name, visit) if isinstance(visit, SyncVisit) else await deed(name, visit)
    return JsonResponse(done, status=OUTCOMES.get(name, 200))


def login(request: HttpRequest) -> HttpResponse:
    """Sign ann in."""
    gatehound.current(request).sync.login("ann")
    return HttpResponse("signed in")


def account(request: HttpRequest) -> HttpResponse:
    """Show a page with the tag in it."""
    page = engines["django"].from_string(
        "<h1>Account</h1>{% load gatehound %}{% gatehound_sessions style='compact' at=at %}"
    )
    return HttpResponse(page.render({"at": request.GET.get("at")}, request))


urlpatterns = [
    path("plain/<name>", plain),
    path("async/<name>", awaited),
    path("login", login),
    path("account/security", account),
]
sys.modules.setdefault("apps_django", sys.modules[__name__])


def django_asgi() -> Any:
    """Django's ASGI app; views of both kinds are under /plain and /async."""
    return ASGIHandler()


def django_wsgi() -> Any:
    """Django's WSGI app, with the same views."""
    return WSGIHandler()
