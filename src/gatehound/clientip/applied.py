"""What `apply` and `strip` mean, for both adapters: the names of keys and of headers.

What belongs here: tables, and the check of options. How a scope or an environ is changed is
the adapter's own. A name joins FORWARDING when some proxy says by it who the client is, or
which scheme, host, port or path prefix was asked for.
MUST NOT hold headers by which a proxy says who the user is (X-Forwarded-User,
X-Forwarded-Client-Cert): an app that reads those would lose its sign-in, and only the proxy
that writes them can overwrite a client's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gatehound.clientip.answer import ClientIP
from gatehound.clientip.current import PEER, REMOTE_ADDR
from gatehound.clientip.resolver import ClientIPResolver
from gatehound.errors import UsageError

PEER_SCHEME: Final = "gatehound.peer_scheme"
"""The scheme between the last proxy and this server, where `apply` wrote another."""

PEER_HOST: Final = "gatehound.peer_host"
"""The Host header of the last proxy, as text or None, where `apply` wrote another."""

FORWARDING: Final = frozenset(
    (
        # Chains. The first is RFC 7239; X-Original-Forwarded-For is what ingress-nginx makes of it.
        *("forwarded", "forwarded-for", "x-forwarded", "x-forwarded-for", "x-forwarded-by"),
        *("x-original-forwarded-for", "x-original-for", "x-vercel-forwarded-for"),
        # One address, as nginx, Apache, WebLogic and Envoy name it, and as others copy them.
        *("x-real-ip", "client-ip", "x-client-ip", "x-cluster-client-ip", "x-originating-ip"),
        *("proxy-client-ip", "wl-proxy-client-ip", "x-proxyuser-ip", "x-envoy-external-address"),
        *("remote-addr", "x-remote-addr", "x-remote-ip"),
        # One address, by provider: Cloudflare, Akamai and Cloudflare, Fastly, Azure, Fly.
        *("cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "true-client-ip"),
        *("x-true-client-ip", "fastly-client-ip", "x-azure-clientip", "x-azure-socketip"),
        # AWS CloudFront, DigitalOcean, Google App Engine, Imperva, Netlify, Sucuri, Alibaba.
        *("fly-client-ip", "cloudfront-viewer-address", "do-connecting-ip", "x-appengine-user-ip"),
        *("x-appengine-remote-addr", "incap-client-ip", "x-nf-client-connection-ip"),
        *("x-sucuri-clientip", "ali-cdn-real-ip"),
        # What was asked for.
        *("x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto"),
        *("x-forwarded-protocol", "x-forwarded-scheme", "x-forwarded-server", "x-forwarded-ssl"),
        *("x-original-host", "x-original-prefix", "x-original-proto", "x-scheme", "x-url-scheme"),
        *("cf-visitor", "cloudfront-forwarded-proto", "front-end-https"),
    )
)
"""Headers that `strip` removes; names in lower case. `_` in a name is taken for `-`, because
WSGI servers and bridges from ASGI to WSGI do not tell `X_Forwarded_For` from the real one."""


def forwarding_names(resolver: ClientIPResolver) -> frozenset[str]:
    """Return what `strip` removes: FORWARDING, and each header that this resolver reads."""
    return FORWARDING | {*resolver.headers} - {"host"}


def as_it_came(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a scope or an environ with the peer that the server reported, before `apply`.

    Headers that `strip` took away are gone for good.
    """
    if PEER in request:
        return {**request, "client": request[PEER]}
    if REMOTE_ADDR in request:
        return {**request, "REMOTE_ADDR": request[REMOTE_ADDR]}
    return request


def sent_on(answer: ClientIP) -> list[tuple[str, str]]:
    """Return what `strip` leaves, as (name in lower case, text) in order."""
    return list(answer.read)


def check_options(resolver: object, *, apply: object, strip: object) -> None:
    """Raise UsageError unless these are a resolver and two bools."""
    if not isinstance(resolver, ClientIPResolver):
        raise UsageError(
            f"resolver: {type(resolver).__name__} is not allowed; write ClientIPMiddleware(app, "
            "ClientIPResolver(mode=..., trusted_proxies=[...]))"
        )
    for name, given in (("apply", apply), ("strip", strip)):
        if not isinstance(given, bool):
            raise UsageError(f"{name}: {given!r} is not allowed; write True or False")
