"""Who the client is behind real proxies: six products, an ASGI and a WSGI app behind each.

The oracle is the address to which the test binds its own socket. What the client writes into
headers never becomes the answer, and neither does a proxy's address. Two mistakes of set-up are
pinned, because they cannot be seen from the app. Not checked here: TLS and HTTP/2.
"""

from __future__ import annotations

import socket

import pytest
from live_kit import CLIENT, FORGED, Headers, Seen, ask
from live_proxies import PROXIES
from live_site import (
    CHAINS,
    FOLD_UNDERSCORES,
    LET_UNDERSCORES_THROUGH,
    OVER_UNIX,
    UPSTREAMS,
    WRITE_FORWARDED,
    Fronts,
)

from parts import require_ipv6

pytestmark = pytest.mark.slow

XFF = "X-Forwarded-For"
FOUND = {
    "x-forwarded-for": ("client", "x-forwarded-for[-1]"),
    "x-real-ip": ("client", "x-real-ip"),
    "auto": ("client", "x-forwarded-for[-1]"),
    "cloudflare": ("bypassed-cloudflare", "x-forwarded-for[-1]"),
}
"""Mode to reason and source, whatever the client sent."""

CASES: dict[str, Headers] = {
    "plain": [],
    "one": [(XFF, FORGED)],
    "many": [(XFF, ", ".join(f"198.51.100.{n}" for n in range(1, 40)))],
    "two lines": [(XFF, "192.0.2.1"), (XFF, FORGED)],
    "6 KiB": [(XFF, ", ".join([FORGED] * 410))],
    "6 KiB without a comma": [(XFF, "a" * 6144)],
    "empty": [(XFF, "")],
    "commas": [(XFF, ",, ,")],
    "garbage": [(XFF, "\"198.51.100.66, ;for=_x <script>'%00\t [::1")],
    "not ASCII": [(XFF, b"\x80\xff, \xe9")],
    "every proxy": [(XFF, ", ".join(proxy.address for proxy in PROXIES.values()))],
    "loopback": [(XFF, "127.0.0.1"), ("X-Real-IP", "::1")],
    "underscores": [("X_Forwarded_For", FORGED), ("X_Real_IP", FORGED)],
    "both spellings": [(XFF, "192.0.2.1"), ("X_Forwarded_For", FORGED)],
    "X-Real-IP": [("X-Real-IP", FORGED), ("X-Real-Ip", "192.0.2.1")],
    "others": [
        *(("CF-Connecting-IP", FORGED), ("CF-Connecting-IPv6", "2001:db8::66")),
        *(("True-Client-IP", FORGED), ("X-Client-IP", FORGED), ("X-Cluster-Client-IP", FORGED)),
    ],
    "Cloudflare's edge": [(XFF, f"{FORGED}, 162.158.0.1"), ("CF-Connecting-IP", FORGED)],
}

# What arrives when the client sent one forged line: the products differ, the answer does not.
ARRIVES = {
    "nginx": [f"{FORGED}, {CLIENT}"],
    "apache2": [f"{FORGED}, {CLIENT}"],
    "envoy": [f"{FORGED},{CLIENT}"],
    "haproxy": [FORGED, CLIENT],
    "caddy": [CLIENT],
    "traefik": [CLIENT],
}

every_front = pytest.mark.parametrize(
    ("proxy", "app"), [(proxy, app) for proxy in PROXIES for app in UPSTREAMS]
)


def through(
    fronts: Fronts, proxy: str, app: str, headers: Headers = (), *, host: str = "127.0.0.1"
) -> Seen:
    """Ask an app through a proxy; the app trusts the address of that proxy alone."""
    if ":" in host:
        require_ipv6()
    trust = PROXIES[proxy].address
    return ask(fronts.proxy(proxy), f"/{app}", headers, host=host, trust=trust)


def own_address(seen: Seen) -> str:
    """Return the peer's address, from either kind of app."""
    return str(seen.peer[0] if isinstance(seen.peer, list) else seen.peer)


@every_front
@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_the_true_client(proxy: str, app: str, case: str, fronts: Fronts) -> None:
    seen = through(fronts, proxy, app, CASES[case])
    assert own_address(seen) == PROXIES[proxy].address
    for mode, (reason, source) in FOUND.items():
        answer = seen.by(mode)
        assert (answer.address, answer.reason, answer.source) == (CLIENT, reason, source), mode
        assert answer.peer == PROXIES[proxy].address
        assert answer.flags == []
        assert FORGED not in "\n".join(answer.explain)  # it stands left of the client: unread


@every_front
@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_the_true_client_over_ipv6(
    proxy: str, app: str, case: str, fronts: Fronts
) -> None:
    seen = through(fronts, proxy, app, CASES[case], host="::1")
    assert seen.by("x-real-ip").address == "::1"
    chain = [seen.by(mode).address for mode in FOUND if mode != "x-real-ip"]
    if proxy != "envoy":
        assert chain == ["::1"] * 3
        return
    # For ::1 and 127.0.0.1, Envoy writes the address of an interface of its own host.
    assert chain == [chain[0]] * 3
    assert chain[0] not in (None, PROXIES["envoy"].address)
    assert is_of_this_host(str(chain[0]))


def is_of_this_host(address: str) -> bool:
    """Tell whether a socket can be bound to it; what the clients forge cannot."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("proxy", PROXIES)
def test_what_a_proxy_makes_of_a_forged_line(proxy: str, fronts: Fronts) -> None:
    got = through(fronts, proxy, "asgi", CASES["one"])
    assert got.values("x-forwarded-for") == ARRIVES[proxy]
    assert through(fronts, proxy, "asgi").values("x-forwarded-for") == [CLIENT]


@every_front
def test_a_control_character_is_refused_or_changes_nothing(
    proxy: str, app: str, fronts: Fronts
) -> None:
    seen = through(fronts, proxy, app, [(XFF, f"{FORGED}\x01")])
    assert seen.status == 400 or seen.by("x-forwarded-for").address == CLIENT


@every_front
def test_a_forged_forwarded_is_never_believed_by_auto(proxy: str, app: str, fronts: Fronts) -> None:
    """None of these proxies writes Forwarded, so what arrives is the client's own text."""
    seen = through(fronts, proxy, app, [("Forwarded", f"for={FORGED}")])
    answer = seen.by("auto")
    assert (answer.address, answer.reason) == (None, "headers-disagree")
    for mode in FOUND.keys() - {"auto"}:
        assert seen.by(mode).address == CLIENT


FORWARDED: dict[str, Headers] = {
    "plain": [],
    "one": [("Forwarded", f"for={FORGED}")],
    "two lines": [("Forwarded", "for=192.0.2.1"), ("Forwarded", f"for={FORGED};proto=https")],
    "an open quote": [("Forwarded", f'for="{FORGED}')],
    "an open pair": [("Forwarded", f"for={FORGED};host=")],
    "both chains": [("Forwarded", f"for={FORGED}"), (XFF, FORGED)],
}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("case", FORWARDED)
@pytest.mark.parametrize("app", UPSTREAMS)
@pytest.mark.parametrize("proxy", WRITE_FORWARDED)
def test_forwarded_where_the_proxy_writes_it(
    proxy: str, app: str, case: str, host: str, fronts: Fronts
) -> None:
    seen = through(fronts, proxy, f"forwarded/{app}", FORWARDED[case], host=host)
    client = CLIENT if host == "127.0.0.1" else host
    for mode in ("forwarded", "auto", "x-forwarded-for"):
        answer = seen.by(mode)
        assert (answer.address, answer.reason) == (client, "client"), mode
        assert FORGED not in "\n".join(answer.explain)


@pytest.mark.parametrize("case", ["plain", "one", "two lines", "X-Real-IP", "underscores"])
@pytest.mark.parametrize("app", UPSTREAMS)
@pytest.mark.parametrize("proxy", OVER_UNIX)
def test_over_a_unix_socket(proxy: str, app: str, case: str, fronts: Fronts) -> None:
    fronts.app(UPSTREAMS[app], "unix")
    port = fronts.proxy(proxy)
    trusted = ask(port, f"/unix/{app}", CASES[case], trust="unix")
    for mode, (reason, _) in FOUND.items():
        answer = trusted.by(mode)
        assert (answer.address, answer.reason, answer.peer) == (CLIENT, reason, "unix"), mode
    untrusted = ask(port, f"/unix/{app}", CASES[case], trust="127.0.0.0/8").by("x-forwarded-for")
    assert (untrusted.address, untrusted.reason) == (None, "unix-peer-not-trusted")


# --- names with underscores


@pytest.mark.parametrize("proxy", PROXIES)
def test_which_proxies_let_underscores_through(proxy: str, fronts: Fronts) -> None:
    seen = through(fronts, proxy, "asgi", CASES["underscores"])
    assert seen.values("x_forwarded_for") == [FORGED] * (proxy in LET_UNDERSCORES_THROUGH)


@pytest.mark.parametrize("server", FOLD_UNDERSCORES)
@pytest.mark.parametrize("proxy", LET_UNDERSCORES_THROUGH)
def test_a_folding_server_needs_a_proxy_that_drops_them(
    proxy: str, server: str, fronts: Fronts
) -> None:
    """The one forgery that succeeds: no WSGI app can see what its server overwrote.

    The proxy appends to the real header; the server then puts the other one in its place.
    """
    fronts.app(server)
    folded = through(fronts, proxy, f"folded/{server}", CASES["both spellings"])
    assert folded.by("x-forwarded-for").address == FORGED
    assert folded.by("x-real-ip").address == CLIENT
    cleaned = through(fronts, proxy, f"cleaned/{server}", CASES["both spellings"])
    for mode in FOUND:
        assert cleaned.by(mode).address == CLIENT


# --- `Connection: X-Forwarded-For` asks a proxy to drop what it wrote itself (CVE-2024-45410)

HOP_BY_HOP: dict[str, Headers] = {
    "with a forged line": [(XFF, FORGED), ("Connection", f"close, {XFF}, X-Real-IP")],
    "without": [("Connection", f"close, {XFF}, X-Real-IP")],
    "all names": [
        *((XFF, FORGED), ("X-Real-IP", FORGED), ("CF-Connecting-IP", FORGED)),
        ("Connection", f"{XFF}, X-Real-IP, X-Forwarded-Proto, CF-Connecting-IP, close"),
    ],
}


@every_front
@pytest.mark.parametrize("case", HOP_BY_HOP)
def test_a_header_that_is_stripped_is_no_answer(
    proxy: str, app: str, case: str, fronts: Fronts
) -> None:
    seen = through(fronts, proxy, app, HOP_BY_HOP[case])
    if seen.status == 400:
        assert proxy == "envoy"  # it refuses such a request
        return
    for mode in FOUND:
        answer = seen.by(mode)
        assert answer.address == CLIENT or (answer.address, answer.reason) == (
            None,
            "header-missing",
        )


@pytest.mark.parametrize("app", UPSTREAMS)
def test_apache_drops_what_it_set_when_the_client_asks(app: str, fronts: Fronts) -> None:
    """RequestHeader comes before the hop-by-hop headers go; mod_proxy's own header after."""
    seen = through(fronts, "apache2", app, HOP_BY_HOP["without"])
    real = seen.by("x-real-ip")
    assert seen.values("x-real-ip") == []
    assert (real.address, real.reason) == (None, "header-missing")
    assert seen.by("x-forwarded-for").address == CLIENT


# --- past the proxies, and through two of them

EVERYTHING: Headers = [
    *((XFF, f"{FORGED}, 127.0.0.3"), ("X-Real-IP", FORGED), ("Forwarded", f"for={FORGED}")),
    *(("CF-Connecting-IP", FORGED), ("True-Client-IP", FORGED), ("X_Forwarded_For", FORGED)),
]


@pytest.mark.parametrize("app", UPSTREAMS)
def test_nobody_is_believed_past_the_proxies(app: str, fronts: Fronts) -> None:
    trust = ",".join(proxy.address for proxy in PROXIES.values())
    seen = ask(fronts.port(UPSTREAMS[app]), "/", EVERYTHING, trust=trust)
    for mode in (*FOUND, "forwarded"):
        answer = seen.by(mode)
        assert (answer.address, answer.peer) == (CLIENT, CLIENT)
        assert (answer.reason, answer.source) == ("peer-not-trusted", "peer")


@pytest.mark.parametrize("app", UPSTREAMS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("outer", "inner"), CHAINS[:2])
def test_two_proxies(outer: str, inner: str, case: str, app: str, fronts: Fronts) -> None:
    fronts.proxy(inner)
    first, last = PROXIES[outer].address, PROXIES[inner].address
    port, path = fronts.proxy(outer), f"/{inner}/{app}"
    both = ask(port, path, CASES[case], trust=f"{first},{last}")
    for mode in ("x-forwarded-for", "auto", "cloudflare"):
        answer = both.by(mode)
        assert (answer.address, answer.source) == (CLIENT, "x-forwarded-for[-2]"), mode
        assert FORGED not in "\n".join(answer.explain)
    # One header for one address cannot tell of two hops.
    assert both.by("x-real-ip").reason == "all-trusted"
    half = ask(port, path, CASES[case], trust=last).by("x-forwarded-for")
    assert (half.address, half.source) == (first, "x-forwarded-for[-1]")


@pytest.mark.parametrize("app", UPSTREAMS)
def test_an_inner_proxy_that_overwrites_hides_the_client(app: str, fronts: Fronts) -> None:
    """A mistake of set-up: Caddy has to be told to trust the proxy before it."""
    outer, inner = CHAINS[2]
    fronts.proxy(inner)
    first, last = PROXIES[outer].address, PROXIES[inner].address
    seen = ask(fronts.proxy(outer), f"/{inner}/{app}", CASES["one"], trust=f"{first},{last}")
    answer = seen.by("x-forwarded-for")
    assert (answer.address, answer.flags) == (first, ["all-trusted"])
