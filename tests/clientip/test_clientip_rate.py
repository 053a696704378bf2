"""The key for rate limits: from every kind of request, and in the forms that limiters call."""

from __future__ import annotations

import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from adapter_kit import RESOLVER, WORLDS, Asgi, Lines, World, Wsgi, wrapped
from flask import Request as FlaskRequest
from starlette.requests import Request as StarletteRequest

from gatehound.clientip import ClientIPResolver
from gatehound.clientip.current import KEY, current_client_ip
from gatehound.clientip.rate import rate_limit_key
from gatehound.clientip.wsgi import ClientIPMiddleware
from gatehound.errors import UsageError

FROM: Lines = [("x-forwarded-for", "203.0.113.7")]
SCOPE = Asgi().ask(Asgi().wrap(), peer="10.0.0.1", lines=FROM).raw
ENVIRON = Wsgi().ask(Wsgi().wrap(), peer="10.0.0.1", lines=FROM).raw


@pytest.mark.parametrize(
    ("address", "lengths", "key"),
    [
        ("203.0.113.7", {}, "203.0.113.7/32"),
        ("203.0.113.7", {"v4": 24}, "203.0.113.0/24"),
        ("203.0.113.7", {"v4": 0, "v6": 0}, "0.0.0.0/0"),
        ("2001:db8:1:2:3:4:5:6", {}, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", {"v6": 56}, "2001:db8:1::/56"),
        ("2001:db8:1:2:3:4:5:6", {"v6": 128}, "2001:db8:1:2:3:4:5:6/128"),
        ("::ffff:203.0.113.7", {}, "203.0.113.7/32"),
        ("junk", {}, "unresolved"),
        ("", {"v4": 8}, "unresolved"),
    ],
)
def test_key(address: str, lengths: dict[str, int], key: str) -> None:
    answer = RESOLVER.resolve(peer="10.0.0.1", headers=[("x-forwarded-for", address)])
    assert rate_limit_key(answer, **lengths) == key


@pytest.mark.parametrize(
    "request_of",
    [
        SCOPE,
        ENVIRON,
        SCOPE[KEY],
        StarletteRequest(SCOPE),
        FlaskRequest(ENVIRON),
        SimpleNamespace(scope=SCOPE),
        SimpleNamespace(META=ENVIRON),
        SimpleNamespace(scope=None, environ=ENVIRON),
        SimpleNamespace(env=ENVIRON),
        SimpleNamespace(scope={KEY: "198.51.100.66"}, META=ENVIRON),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_kind_of_request_is_understood(request_of: object) -> None:
    assert rate_limit_key(request_of) == "203.0.113.7/32"
    answer = current_client_ip(request_of)
    assert answer is not None
    assert str(answer.address) == "203.0.113.7"


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("options", [{}, {"apply": True, "strip": True}])
def test_keys_through_an_adapter(world: World, options: dict[str, Any]) -> None:
    found = world.ask(world.wrap(**options), peer="10.0.0.1", lines=FROM)
    assert rate_limit_key(found.raw) == "203.0.113.7/32"


def test_without_a_request_the_current_one_counts_even_in_a_generator() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        yield rate_limit_key(v4=24).encode()

    wrap = partial(ClientIPMiddleware, resolver=RESOLVER)
    assert list(wrapped(app, [wrap])(Wsgi().request("10.0.0.1", FROM), print)) == [
        b"203.0.113.0/24"
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "no request"),
        ({"type": "http"}, "dict"),
        ({KEY: "203.0.113.7"}, "dict"),
        (SimpleNamespace(), "SimpleNamespace"),
        ("203.0.113.7", "str"),
    ],
)
def test_where_the_middleware_is_missing_the_fix_is_named(given: object, shown: str) -> None:
    assert current_client_ip(given) is None
    with pytest.raises(UsageError, match=f"in {shown}: wrap the app in .*ClientIPMiddleware"):
        rate_limit_key(given)


@pytest.mark.parametrize("lengths", [{"v4": 33}, {"v4": -1}, {"v6": 129}, {"v6": -1}])
def test_a_wrong_length_is_found_by_the_first_request_of_either_family(
    lengths: dict[str, int],
) -> None:
    with pytest.raises(UsageError, match="v4 of 0-32 and v6 of 0-128"):
        rate_limit_key(SCOPE, **lengths)


def test_all_unresolved_requests_share_one_key() -> None:
    peers = ("10.0.0.1", "10.9.9.9", "junk")
    keys = {rate_limit_key(RESOLVER.resolve(peer=peer)) for peer in peers}
    assert keys == {"unresolved"}
    unix = ClientIPResolver().resolve(peer=None)
    assert rate_limit_key(unix) == "unresolved"


# --- the forms in which limiters call a key function ---


def as_slowapi(key_func: Any, request: Any) -> str:
    """Slowapi 0.1: with the request, where the parameter has that name."""
    takes = "request" in inspect.signature(key_func).parameters
    return str(key_func(request) if takes else key_func())


def as_flask_limiter(key_func: Any) -> str:
    """Flask-Limiter 4: without arguments, inside of the request."""
    return str(key_func())


@pytest.mark.parametrize("key_func", [rate_limit_key, partial(rate_limit_key, v4=32)])
def test_the_limiters_call_it_as_it_is(key_func: Any) -> None:
    assert as_slowapi(key_func, StarletteRequest(SCOPE)) == "203.0.113.7/32"

    def app(environ: Any, start_response: Any) -> list[bytes]:
        return [as_flask_limiter(key_func).encode()]

    start: Any = print
    answer = ClientIPMiddleware(app, RESOLVER)(Wsgi().request("10.0.0.1", FROM), start)
    assert answer == [b"203.0.113.7/32"]
