"""What each app server tells of its peer and headers behind nginx, over each kind of socket.

The oracle is the address to which the test binds its own socket. The second half pins where
servers differ: a new release that changes one of these lines changes what operators must do.
"""

from __future__ import annotations

import pytest
from live_kit import CLIENT, FORGED, Headers, ask
from live_servers import SERVERS
from live_site import FOLD_UNDERSCORES, SOCKETS, Rear

pytestmark = pytest.mark.slow

XFF = "X-Forwarded-For"
TRUSTED = "127.0.0.3"  # from where nginx speaks over IPv4
# How a unix peer looks to the app.
UNIX_PEERS = {
    "uvicorn": None,
    "hypercorn": None,
    "granian-asgi": ["", "0"],
    "gunicorn": "",
    "granian-wsgi": "",
    "waitress": "localhost",
    "cheroot": "",
}
FORGERIES: dict[str, Headers] = {
    "plain": [],
    "forged": [(XFF, FORGED), ("X-Real-IP", FORGED), ("X_Forwarded_For", FORGED)],
    "two lines": [(XFF, "192.0.2.1"), (XFF, FORGED)],
    "long": [(XFF, ", ".join([FORGED] * 410))],
    "stripped": [("Connection", f"close, {XFF}")],
}

every_server = pytest.mark.parametrize("server", SERVERS)
# Over IPv6 with `full`: seven servers more to start, and the proxies are plain tests over it.
LATER = (pytest.mark.full, pytest.mark.ci)
every_socket = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=LATER if kind == "v6" else ()) for kind in SOCKETS]
)


@every_server
@every_socket
@pytest.mark.parametrize("case", FORGERIES)
def test_the_answer_is_the_true_client(server: str, kind: str, case: str, rear: Rear) -> None:
    rear.app(server, kind)
    seen = ask(rear.nginx(), f"/{server}/{kind}", FORGERIES[case], trust=SOCKETS[kind])
    for mode in ("x-forwarded-for", "x-real-ip", "auto"):
        answer = seen.by(mode)
        assert (answer.address, answer.reason) == (CLIENT, "client"), mode
        assert answer.peer == SOCKETS[kind]
        assert FORGED not in "\n".join(answer.explain)


@every_server
@every_socket
def test_a_proxy_that_is_not_trusted_is_not_read(server: str, kind: str, rear: Rear) -> None:
    rear.app(server, kind)
    seen = ask(rear.nginx(), f"/{server}/{kind}", FORGERIES["forged"], trust="192.0.2.1")
    answer = seen.by("x-forwarded-for")
    if kind == "unix":
        assert seen.peer == UNIX_PEERS[server]
        assert (answer.address, answer.peer) == (None, "unix")
        assert answer.reason == "unix-peer-not-trusted"
    else:
        assert (answer.address, answer.peer) == (SOCKETS[kind], SOCKETS[kind])
        assert answer.reason == "peer-not-trusted"


@every_server
def test_nobody_is_believed_past_the_proxy(server: str, rear: Rear) -> None:
    headers = [(XFF, FORGED), ("X-Real-IP", FORGED), ("Forwarded", f"for={FORGED}")]
    seen = ask(rear.port(server), "/", headers, trust=TRUSTED)
    for mode in ("x-forwarded-for", "x-real-ip", "forwarded", "auto", "cloudflare"):
        answer = seen.by(mode)
        assert (answer.address, answer.reason) == (CLIENT, "peer-not-trusted")


# --- where servers differ


@every_server
def test_the_last_of_two_lines_decides(server: str, rear: Rear) -> None:
    """As HAProxy writes it: a line of its own below the client's. Cheroot keeps only that."""
    lines = [(XFF, FORGED), (XFF, "203.0.113.7")]
    seen = ask(rear.port(server), "/", lines, client=TRUSTED, trust=TRUSTED)
    assert seen.by("x-forwarded-for").address == "203.0.113.7"
    assert any(FORGED in value for value in seen.values("x-forwarded-for")) == (server != "cheroot")


@every_server
def test_a_name_with_underscores_that_a_proxy_lets_through(server: str, rear: Rear) -> None:
    """Granian and Cheroot fold it over the real header in WSGI; nothing can undo that."""
    headers = [(XFF, "203.0.113.7"), ("X_Forwarded_For", FORGED)]
    seen = ask(rear.port(server), "/", headers, client=TRUSTED, trust=TRUSTED)
    found = FORGED if server in FOLD_UNDERSCORES else "203.0.113.7"
    assert seen.by("x-forwarded-for").address == found


@every_server
def test_a_header_that_is_not_ascii(server: str, rear: Rear) -> None:
    """Granian empties such a value in WSGI: a client can hide, but is nobody else."""
    rear.app(server)
    headers = [(XFF, b"\x80\xff, \xe9")]
    answer = ask(rear.nginx(), f"/{server}/v4", headers, trust=TRUSTED).by("x-forwarded-for")
    if server == "granian-wsgi":
        assert (answer.address, answer.reason) == (None, "header-missing")
    else:
        assert (answer.address, answer.reason) == (CLIENT, "client")


def test_waitress_by_default_removes_the_header(rear: Rear) -> None:
    """Run it with `--no-clear-untrusted-proxy-headers`; without it, nothing is resolved."""
    rear.app("waitress-default")
    seen = ask(rear.nginx(), "/waitress-default/v4", FORGERIES["forged"], trust=TRUSTED)
    answer = seen.by("x-forwarded-for")
    assert seen.values("x-forwarded-for") == []
    assert (answer.address, answer.reason) == (None, "header-missing")


def test_uvicorn_by_default_rewrites_the_peer(rear: Rear) -> None:
    """Run it with `--no-proxy-headers`; without it, a local peer is whoever it says it is."""
    rear.app("uvicorn-default")
    through = ask(rear.nginx(), "/uvicorn-default-local", FORGERIES["forged"], trust="127.0.0.1")
    assert through.peer == [CLIENT, 0]  # nginx spoke from 127.0.0.1, and its port was not 0
    assert through.by("x-forwarded-for").reason == "peer-not-trusted"

    for server, found in (("uvicorn-default", FORGED), ("uvicorn", "127.0.0.1")):
        local = ask(rear.port(server), "/", [(XFF, FORGED)], client="127.0.0.1", trust=TRUSTED)
        answer = local.by("x-forwarded-for")
        assert (answer.address, answer.reason) == (found, "peer-not-trusted")
