"""Findings: of options that are allowed and yet doubtful, and of one request."""

from __future__ import annotations

from typing import Any

import pytest

from gatehound.clientip import ClientIPResolver, asgi, cloudflare, wsgi
from gatehound.clientip.check import _TO_RESOLVE, Finding
from gatehound.clientip.trace import MEANING

X = "x-forwarded-for"
SECRET = ("X-Edge", "a-secret-of-an-edge")
HEALTH: dict[str, Any] = {
    "mode": X,
    "trusted_proxies": "10.0.0.0/24",
    "allow_headerless": "10.0.0.1",
}

# options, the codes that are found
OPTIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"trusted_proxies": "10.0.0.1"}, {"trust-unused"}),
    ({"trust_everyone": True}, {"trust-unused"}),
    ({"mode": X}, {"trust-missing"}),
    ({"mode": X, "trusted_proxies": "unix"}, set()),
    ({"mode": X, "trusted_proxies": "10.0.0.1"}, set()),
    ({"mode": X, "trusted_proxies": "192.168.0.0/16, unix"}, set()),
    ({"mode": X, "trusted_proxies": "8.8.0.0/16, 2001:4860::/32"}, set()),
    ({"mode": X, "trusted_proxies": "cloudflare"}, {"edge-chain"}),
    ({"mode": X, "trusted_proxies": "104.16.0.0/16"}, {"edge-chain"}),
    ({"mode": "forwarded", "trusted_proxies": "cloudflare"}, {"edge-chain"}),
    ({"mode": "cloudflare", "trusted_proxies": "10.0.0.1"}, set()),
    ({"mode": X, "trusted_proxies": "fastly"}, {"edge-shared"}),
    ({"mode": X, "trust_everyone": True}, {"trust-everyone"}),
    ({"mode": X, "trusted_proxies": "0.0.0.0/0", "trust_everyone": True}, {"trust-everyone"}),
    ({"mode": X, "trusted_proxies": "8.0.0.0/8"}, {"trust-wide"}),
    ({"mode": X, "trusted_proxies": "2600::/16"}, {"trust-wide"}),
    ({"mode": X, "trusted_proxies": "8.0.0.0/15, cloudflare"}, {"trust-wide", "edge-chain"}),
    ({"mode": X, "trusted_proxies": "10.0.0.0/8"}, {"trust-private"}),
    ({"mode": X, "trusted_proxies": "10.0.0.0/16, 127.0.0.0/8, fd00::/48"}, set()),
    ({"mode": X, "trusted_proxies": "private"}, {"trust-private"}),
    ({"mode": X, "trusted_proxies": "100.64.1.0/24"}, {"trust-shared"}),
    ({"mode": X, "trusted_proxies": "169.254.129.1"}, {"trust-shared"}),
    ({"mode": X, "trusted_proxies": "100.0.0.0/8"}, {"trust-wide", "trust-shared"}),
    ({"mode": "x-real-ip", "trusted_proxies": "10.0.0.1"}, {"header-spoofable"}),
    ({"mode": X, "trusted_proxies": "10.0.0.1", "hops": 2}, {"hops-counted"}),
    ({"mode": "gcp-lb"}, {"hops-counted"}),
    ({"mode": "fastly", "edge_overwrites": True}, {"edge-shared"}),
    (
        {"mode": "fastly", "edge_overwrites": True, "edge_secret": ("X-E", "a-secret-of-an-edge")},
        set(),
    ),
    ({"mode": "auto"}, {"mode-auto"}),
    ({"mode": "cloudflare"}, set()),
    ({**HEALTH}, {"headerless-allowed"}),
]


def codes(found: tuple[Finding, ...]) -> set[str]:
    assert len({finding.code for finding in found}) == len(found)
    for finding in found:
        assert finding.text.endswith(".")
        assert finding.fix
        assert not finding.fix.endswith(".")
    return {finding.code for finding in found}


@pytest.fixture(autouse=True)
def _young_list(monkeypatch: pytest.MonkeyPatch) -> None:
    young = cloudflare.BUNDLED._replace(published="2999-01-01")
    monkeypatch.setattr(cloudflare, "BUNDLED", young)


def _id(value: object) -> str:
    return ",".join(sorted(value)) if isinstance(value, set) else str(value)


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=_id)
def test_options(options: dict[str, Any], expected: set[str]) -> None:
    assert codes(ClientIPResolver(**options).check()) == expected


@pytest.mark.parametrize(
    "options", [{"mode": "cloudflare"}, {"mode": X, "trusted_proxies": "cloudflare"}], ids=_id
)
def test_old_list(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    old = cloudflare.BUNDLED._replace(published="2020-01-01")
    monkeypatch.setattr(cloudflare, "BUNDLED", old)
    finding = next(one for one in ClientIPResolver(**options).check() if "old" in one.text)
    assert (finding.code, finding.level) == ("list-stale", "warning")
    assert "of 2020-01-01" in finding.text
    assert "gatehound ip refresh" in finding.fix


def scope(peer: Any, *lines: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "client": peer, "headers": [*lines]}


def xff(text: bytes) -> tuple[bytes, bytes]:
    return (b"x-forwarded-for", text)


OWN = ("10.0.0.1", 4711)
REQUESTS: list[tuple[dict[str, Any], set[str]]] = [
    (scope(OWN, xff(b"203.0.113.7")), set()),
    (scope(("203.0.113.7", 0), xff(b"203.0.113.7")), {"peer-rewritten"}),
    (scope(OWN, xff(b"203.0.113.7"), (b"x_forwarded_for", b"1")), {"underscores-folded"}),
    (scope(OWN), {"unresolved"}),
    (scope(OWN, xff(b"104.16.0.1")), {"layer-undeclared"}),
    (scope(OWN, xff(b"35.191.0.1")), {"layer-undeclared"}),
    (scope(OWN, xff(b"192.168.0.1")), {"client-private"}),
    (scope(("192.168.0.9", 1)), {"client-private"}),
    (scope(("203.0.113.9", 1), xff(b"1.1.1.1")), {"header-ignored"}),
    (scope(("203.0.113.9", 1), (b"forwarded", b"for=1.1.1.1")), {"header-ignored"}),
    (scope(("127.0.0.1", 1), xff(b"127.0.0.1")), {"header-ignored", "client-private"}),
    # uvicorn writes the port, too, where the header brings one
    (scope(("203.0.113.7", 4711), xff(b"203.0.113.7:4711")), {"peer-rewritten"}),
    (scope(("203.0.113.7", 4711), xff(b"1.1.1.1, 203.0.113.7")), {"peer-rewritten"}),
    ({"REMOTE_ADDR": "203.0.113.9", "HTTP_X_REAL_IP": "1.1.1.1"}, {"header-ignored"}),
    ({"REMOTE_ADDR": "203.0.113.7"}, set()),
    ({"REMOTE_ADDR": "203.0.113.7", "SERVER_SOFTWARE": "gunicorn/23.0.0"}, set()),
    *(
        ({"REMOTE_ADDR": "203.0.113.7", "SERVER_SOFTWARE": name}, {"underscores-folded"})
        for name in ("Granian", "Cheroot/11.1.2", "WSGIServer/0.2 CPython/3.11.7")
    ),
    ({"REMOTE_ADDR": "203.0.113.7", "uwsgi.version": b"2"}, {"underscores-folded"}),
    ({"REMOTE_ADDR": "203.0.113.7", "werkzeug.proxy_fix.orig": {}}, {"peer-rewritten"}),
]


@pytest.mark.parametrize(("request_", "expected"), REQUESTS, ids=_id)
def test_requests(request_: dict[str, Any], expected: set[str]) -> None:
    resolver = ClientIPResolver(mode=X, trusted_proxies="10.0.0.1")
    assert codes(resolver.check(request_)) == expected


def test_a_scheme_that_no_entry_tells() -> None:
    resolver = ClientIPResolver(
        mode=X, trusted_proxies="10.0.0.0/24", scheme_header="X-Forwarded-Proto"
    )
    proto = (b"x-forwarded-proto", b"https")
    near = scope(OWN, xff(b"203.0.113.7"), proto)
    far = scope(OWN, xff(b"203.0.113.7, 10.0.0.2"), proto)
    assert codes(resolver.check(near)) == set()
    assert codes(resolver.check(far)) == {"scheme-unseen"}


def test_a_health_checker_is_no_undeclared_proxy() -> None:
    resolver = ClientIPResolver(**HEALTH)
    assert codes(resolver.check(scope(OWN))) == {"headerless-allowed"}


@pytest.mark.parametrize("apply", [False, True])
def test_inside_an_applied_app_the_peer_is_the_one_that_came(apply: bool) -> None:
    """Else the finding would say that the server rewrites, or that a unix socket asked."""
    resolver = ClientIPResolver(mode=X, trusted_proxies="10.0.0.1")
    seen: list[set[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(codes(resolver.check(scope)))

    def wsgi_app(environ: Any, start: Any) -> list[bytes]:
        seen.append(codes(resolver.check(environ)))
        return []

    for lines in ([xff(b"203.0.113.7")], []):
        wrapped: Any = asgi.ClientIPMiddleware(app, resolver, apply=apply)
        with pytest.raises(StopIteration):
            wrapped(scope(OWN, *lines), None, None).send(None)
        environ: dict[str, Any] = {"REMOTE_ADDR": "10.0.0.1"}
        if lines:
            environ["HTTP_X_FORWARDED_FOR"] = "203.0.113.7"
        start: Any = None  # the app starts no response
        wsgi.ClientIPMiddleware(wsgi_app, resolver, apply=apply)(environ, start)
    assert seen == [set(), set(), {"unresolved"}, {"unresolved"}]


def test_every_reason_without_an_address_has_a_fix_that_is_not_its_cause() -> None:
    with_address = {
        "client",
        "direct",
        "peer-not-trusted",
        "bypassed-cloudflare",
        "headerless-peer",
    }
    assert set(_TO_RESOLVE) == set(MEANING) - with_address
    assert not {MEANING[reason] for reason in _TO_RESOLVE} & set(_TO_RESOLVE.values())
