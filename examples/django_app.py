"""Django, in one file. Run: uvicorn django_app:asgi_app, or gunicorn django_app:wsgi_app"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from gatehound import Guard, Settings, SyncVisit, asgi, current, wsgi

environment = dict(os.environ)
if "GATEHOUND_SECRET_KEYS" not in environment:
    print("*** no GATEHOUND_SECRET_KEYS: development mode, localhost only ***")
    environment["GATEHOUND_DEVELOPMENT"] = "true"


def find_visit(request: HttpRequest, *, checked: bool = True) -> SyncVisit:
    visit: SyncVisit = current(request).sync  # `def` views need plain methods under ASGI too
    if checked and not visit.check_csrf(request.headers.get("X-CSRF", "")):
        raise PermissionDenied("send the token of /sign-in as X-CSRF")
    return visit


def sign_in(request: HttpRequest) -> JsonResponse:
    visit, name = find_visit(request, checked=False), request.POST["name"]
    attempt = visit.begin_login(name)
    if (name, request.POST["password"]) != ("ada", "analytical"):  # your own password check
        visit.login_failed(name, "wrong password")
        return JsonResponse({"error": "wrong name or password"}, status=401)
    session = visit.login(name, attempt)
    return JsonResponse({"id": session.public_id, "csrf": visit.csrf_token()})


def mine(request: HttpRequest) -> JsonResponse:
    sessions = find_visit(request, checked=False).sessions()
    rows = [{"id": s.public_id, "device": s.device, "current": s.current} for s in sessions]
    return JsonResponse(rows, safe=False)


def end(request: HttpRequest, public_id: str) -> JsonResponse:
    visit = find_visit(request)
    visit.require_fresh()
    return JsonResponse({"ended": visit.terminate(public_id)})


def sign_out(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ended": find_visit(request).logout()})


routes = {"sign-in": sign_in, "sessions": mine, "end/<public_id>": end, "sign-out": sign_out}
urlpatterns = [path(*route) for route in routes.items()]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "127.0.0.1"])
guard = Guard(Settings.from_env(environment))
asgi_app = asgi.GatehoundMiddleware(get_asgi_application(), guard)
wsgi_app = wsgi.GatehoundMiddleware(get_wsgi_application(), guard)
