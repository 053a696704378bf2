"""What real proxies sent, who the client was, and how a resolver is asked about it.

In nearly every capture the client is 127.0.0.1, and so is the proxy. Trust in loopback would
then take the client for one more proxy, and believe what it wrote. So each request is shown
to the resolver three times, none of which proves everything:

- `AS_CAPTURED`: bytes and peer untouched, loopback trusted. X-Forwarded-For is read by count
  (`hops=1`), because no list can tell this client from the proxy. It says nothing of lists.
- `FROM_ELSEWHERE`: bytes untouched, but the peer is 10.0.0.1 and trusted alone, as if the
  proxy ran on another machine. It proves that lists name the entry which the proxy wrote. It
  does not prove that a proxy writes alike for a client that is not on loopback; Envoy differs.
- `FROM_OUTSIDE`: peer untouched, loopback trusted, the settings as the page gives them. The
  proxy's own writing of 127.0.0.1 or ::1 is replaced by 203.0.113.7 or 2001:db8::7. It shows
  that no text to the left matters, trusted addresses included. What was replaced is found by
  position, and a test compares the rest with what the client had sent.

Where the proxy hands on a PROXY header, the peer is the address in it: that the app's server
reads it is taken for granted here.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from gatehound.clientip import ClientIP, ClientIPResolver

DATA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data/proxy_captures.json").read_text(encoding="utf-8")
)
SENT: Final[Mapping[str, list[str]]] = DATA["sent"]
OUTSIDE: Final = {"127.0.0.1": "203.0.113.7", "::1": "2001:db8::7"}
LOOPBACK: Final = ("127.0.0.0/8", "::1")
XFF, REAL, FORWARDED = "x-forwarded-for", "x-real-ip", "forwarded"

Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """One configuration of a proxy.

    `writes` names the headers in which the proxy itself puts the client, whatever was sent.
    `silent` are the requests for which it has no client to write.
    `believed` says who the client is where the sender is a proxy to this proxy.
    `stand_in` is what it writes for a client on loopback.
    """

    written: str
    writes: tuple[str, ...] = ()
    note: str = ""
    reads_proxy: bool = False
    silent: frozenset[str] = frozenset()
    believed: Mapping[str, str] = field(default_factory=dict)
    stand_in: str = ""

    @property
    def mode(self) -> str:
        """The mode that the page advises."""
        return self.writes[0] if self.writes else "remote-addr"

    @property
    def sound(self) -> tuple[str, ...]:
        """Each mode under which no request of this proxy can forge, the advised one first."""
        return (self.mode, *self.writes[1:], *(("auto",) if XFF in self.writes else ()))


# nginx passes over 198.51.100.2, which is on its list. Where the header holds a tab, a no-break
# space or rubbish at its end it reads none of it, and keeps the sender.
_BELIEVED = (
    "xff_one",
    "xff_two_in_one",
    "xff_two_lines",
    "xff_two_lines_mixed_case",
    "xff_trailing_comma",
    "hop_by_hop_conn",
    "ipv6_client",
)
_UNADDRESSED = "For LOCAL and UNKNOWN it is the address that connected to the proxy."
_ON_LIST = "The sender stands on the proxy's list, so it plays a load balancer before the proxy"

SETUPS: Final[Mapping[str, Setup]] = {
    "nginx-1.22-default": Setup(
        "`proxy_pass` alone",
        note="Add `proxy_set_header X-Forwarded-For $remote_addr;`.",
    ),
    "nginx-1.22-append": Setup(
        "`X-Forwarded-For $proxy_add_x_forwarded_for`, `X-Real-IP $remote_addr`", (XFF, REAL)
    ),
    "nginx-1.22-overwrite": Setup(
        "`X-Forwarded-For $remote_addr`, `X-Real-IP $remote_addr`", (XFF, REAL)
    ),
    "nginx-1.22-realip-recursive": Setup(
        "`set_real_ip_from` with `real_ip_recursive on`, "
        "`X-Forwarded-For $proxy_add_x_forwarded_for`, `X-Real-IP $remote_addr`",
        (XFF, REAL),
        f"{_ON_LIST}, and its X-Forwarded-For is not forged.",
        believed=dict.fromkeys(_BELIEVED, "198.51.100.1"),
    ),
    "nginx-1.22-proxy-protocol-in": Setup(
        "`listen ... proxy_protocol`, "
        "`X-Forwarded-For $proxy_protocol_addr`, `X-Real-IP $proxy_protocol_addr`",
        (XFF, REAL),
        "For LOCAL and UNKNOWN nginx has no address, and sends no header.",
        reads_proxy=True,
        silent=frozenset({"proxy_v2_LOCAL", "proxy_v1_UNKNOWN"}),
    ),
    "nginx-1.22-underscores-on": Setup(
        "`underscores_in_headers on`, `X-Forwarded-For $proxy_add_x_forwarded_for`",
        (XFF,),
        "Remove `underscores_in_headers on`.",
    ),
    "haproxy-2.6-default": Setup("no `option forwardfor`", note="Add `option forwardfor`."),
    "haproxy-2.6-forwardfor": Setup("`option forwardfor`", (XFF,)),
    "haproxy-2.6-forwardfor-if-none": Setup(
        "`option forwardfor if-none`",
        note="Remove `if-none`: with it a client that sends the header has written it alone.",
    ),
    "haproxy-2.6-proxyv1-out": Setup(
        "`send-proxy`",
        note="Your server has to read the PROXY header: gunicorn does with `--proxy-protocol`.",
    ),
    "haproxy-2.6-proxyv2-out": Setup(
        "`send-proxy-v2`", note="The same, with gunicorn from 24.1 on."
    ),
    "haproxy-2.6-accept-proxy": Setup(
        "`accept-proxy`, `option forwardfor`", (XFF,), _UNADDRESSED, reads_proxy=True
    ),
    "caddy-2.11-default": Setup("`reverse_proxy` alone", (XFF,)),
    "caddy-2.11-trusted": Setup(
        "`trusted_proxies static private_ranges` and loopback",
        (XFF,),
        f"{_ON_LIST}; where it is yours, trust it here too.",
    ),
    "caddy-2.6.2-debian-default": Setup("`reverse_proxy` alone", (XFF,)),
    "traefik-3.7-default": Setup("the defaults", (XFF, REAL)),
    "traefik-3.7-insecure": Setup(
        "`forwardedHeaders.insecure`",
        (XFF,),
        "Remove `insecure`: with it a client that sends X-Real-IP has written it.",
    ),
    "traefik-3.7-proxyprotocol-in": Setup(
        "`proxyProtocol.trustedIPs`",
        (XFF, REAL),
        f"{_UNADDRESSED} The same without a PROXY header.",
        reads_proxy=True,
    ),
    "envoy-1.40-default-edge-false": Setup(
        "`use_remote_address` not set", note="Set `use_remote_address: true`."
    ),
    "envoy-1.40-use-remote-address": Setup(
        "`use_remote_address: true`",
        (XFF,),
        "For a client on loopback Envoy writes an address of its host; that is counted here.",
        stand_in="192.0.2.2",
    ),
    "envoy-1.40-skip-append": Setup(
        "`use_remote_address: true`, `skip_xff_append: true`", note="Remove `skip_xff_append`."
    ),
    "apache-2.4-mod_proxy": Setup(
        "`ProxyPass` alone",
        (XFF,),
        "2.4.53 and older let a client remove the header (CVE-2022-31813); "
        "then the answer is unresolved.",
    ),
    "apache-2.4-noaddheaders": Setup("`ProxyAddHeaders Off`", note="Remove `ProxyAddHeaders Off`."),
    "apache-2.4-remoteip-proxyprotocol": Setup(
        "`RemoteIPProxyProtocol On`",
        (XFF,),
        "For LOCAL it is the address that connected to the proxy.",
        reads_proxy=True,
    ),
    "varnish-7.1-default": Setup("the built-in VCL, with `return (pass)`", (XFF,)),
}


@dataclass(frozen=True, slots=True)
class Capture:
    """One request that a proxy passed on; `client` is who made it."""

    proxy: str
    name: str
    peer: str
    lines: Lines
    client: str

    @property
    def setup(self) -> Setup:
        return SETUPS[self.proxy]

    @property
    def forged(self) -> frozenset[str]:
        """Each address that the client wrote and that is not its own."""
        return _written(self.name) - {self.client}

    def entries(self, name: str) -> list[str]:
        return entries(self.lines, name)


def entries(lines: Lines, name: str) -> list[str]:
    """The elements of a header, all lines together."""
    values = [value for key, value in lines if key.lower() == name]
    return [piece.strip(" \t") for value in values for piece in value.split(",")]


def split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


@cache
def _written(name: str) -> frozenset[str]:
    """Each address in what was sent under a name; every proxy got the same."""
    return frozenset(_addresses(" ".join(SENT[name])))


def _addresses(text: str) -> Iterator[str]:
    for token in re.findall(r"[0-9a-fA-F:.]+", text):
        for form in (token, token.partition(":")[0]):
            try:
                yield str(ipaddress.ip_address(form))
            except ValueError:
                continue


def client_of(proxy: str, name: str) -> str:
    """Who made the request, as far as the proxy can know."""
    setup = SETUPS[proxy]
    if name in setup.believed:
        return setup.believed[name]
    if not setup.reads_proxy:
        return setup.stand_in or ("::1" if name == "ipv6_client" else "127.0.0.1")
    if name in {"proxy_v2_LOCAL", "proxy_v1_UNKNOWN", "no_proxy_header"}:
        return "127.0.0.1"
    return {"ipv6_client": "2001:db8::77", "proxy_v2": "203.0.113.78"}.get(name, "203.0.113.77")


def peer_of(case: Mapping[str, Any]) -> str:
    """The peer that the app's server reports, which is the one of a PROXY header."""
    header = case.get("proxy")
    if header is None:
        return str(case["peer"])
    return str(header["src"] if isinstance(header, dict) else header.split()[2])


def _captures() -> Iterator[Capture]:
    for proxy, found in DATA["proxies"].items():
        for name, case in found["cases"].items():
            if "refused" not in case:
                lines = tuple(map(split, case["headers"]))
                yield Capture(proxy, name, peer_of(case), lines, client_of(proxy, name))


CAPTURES: Final = tuple(_captures())


def of(proxy: str) -> list[Capture]:
    return [capture for capture in CAPTURES if capture.proxy == proxy]


# --- three ways to show them ---


@dataclass(frozen=True, slots=True)
class Scene:
    """A way to show a capture to a resolver: see the top of this file."""

    name: str
    trusted: tuple[str, ...]
    show: Callable[[Capture], Capture]
    by_count: bool = False

    def options(self, mode: str) -> dict[str, Any]:
        if mode == "remote-addr":
            return {"mode": mode}
        hops = {"hops": 1} if self.by_count and mode == XFF else {}
        return {"mode": mode, "trusted_proxies": self.trusted, **hops}


def _hands_on(capture: Capture) -> bool:
    """Tell whether the proxy sent a PROXY header, so that the peer is the client."""
    return "proxy" in DATA["proxies"][capture.proxy]["cases"][capture.name]


def _moved(capture: Capture) -> Capture:
    return capture if _hands_on(capture) else replace(capture, peer="10.0.0.1")


def _public(capture: Capture) -> Capture:
    """Put an address from outside where the proxy wrote that of loopback."""
    client = OUTSIDE.get(capture.client)
    if client is None:
        return capture
    lines = list(capture.lines)
    for header in capture.setup.writes:
        at = max((i for i, (name, _) in enumerate(lines) if name.lower() == header), default=None)
        if at is not None:
            name, value = lines[at]
            left, comma, last = value.rpartition(",")
            lines[at] = (name, left + comma + last.replace(capture.client, client))
    peer = client if _hands_on(capture) else capture.peer
    return replace(capture, peer=peer, lines=tuple(lines), client=client)


AS_CAPTURED: Final = Scene("as captured", LOOPBACK, lambda capture: capture, by_count=True)
FROM_ELSEWHERE: Final = Scene("from elsewhere", ("10.0.0.1",), _moved)
FROM_OUTSIDE: Final = Scene("from outside", LOOPBACK, _public)


def expected(capture: Capture, mode: str) -> tuple[str | None, str | None]:
    """The address that a sound mode must answer, or the reason why it answers none."""
    if mode == "remote-addr":
        return capture.peer, None
    if capture.name in capture.setup.silent:
        return None, "header-missing"
    if mode == "auto" and capture.entries(FORWARDED):
        return None, "headers-disagree"
    return capture.client, None


# --- asking ---


@cache
def resolver(**options: Any) -> ClientIPResolver:
    return ClientIPResolver(**options)


def ask(capture: Capture, options: Mapping[str, Any]) -> dict[str, ClientIP]:
    """Ask through each face; a WSGI environ is joined as the servers do it."""
    one = resolver(**options)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in capture.lines]
    scope = {
        "client": (capture.peer, 4711),
        "headers": [(name.lower(), value) for name, value in raw],
    }
    return {
        "text": one.resolve(peer=capture.peer, headers=list(capture.lines)),
        "bytes": one.resolve(peer=capture.peer, headers=raw),
        "scope": one.from_scope(scope),
        "gunicorn": one.from_environ(environ(capture, ",")),
        "mod_wsgi": one.from_environ(environ(capture, ", ")),
    }


def environ(capture: Capture, comma: str, *, folds: bool = False) -> dict[str, str]:
    """Join lines with `comma`; without one the last wins. `folds` takes `_` for `-` in names."""
    found = {"REMOTE_ADDR": capture.peer}
    for name, value in capture.lines:
        key = "HTTP_" + name.upper().replace("-", "_")
        if "_" not in name or folds:
            found[key] = f"{found[key]}{comma}{value}" if comma and key in found else value
    return found
