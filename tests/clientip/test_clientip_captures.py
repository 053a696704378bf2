"""Every request that a real proxy passed on: the client, or nothing, and never a forgery.

The oracle is not the resolver: who made a request is known from how it was made. The three
ways to show a capture, and what each does not prove, are at the top of captures_kit.py.

Not captured: a client that is not on loopback (the third way stands in for it), a client off
the list of nginx's realip module or of Caddy's `trusted_proxies`, and HTTP/2.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from typing import Any

import pytest
from captures_kit import (
    AS_CAPTURED,
    CAPTURES,
    DATA,
    FORWARDED,
    FROM_ELSEWHERE,
    FROM_OUTSIDE,
    LOOPBACK,
    OUTSIDE,
    REAL,
    SENT,
    SETUPS,
    XFF,
    Capture,
    Scene,
    ask,
    entries,
    expected,
    of,
    resolver,
    split,
)
from captures_page import PAGE, folded, passes_underscores, wins

from gatehound import Settings

SCENES = (AS_CAPTURED, FROM_ELSEWHERE, FROM_OUTSIDE)
WRITING = [name for name, setup in SETUPS.items() if XFF in setup.writes]
SILENT = [name for name, setup in SETUPS.items() if not setup.writes]


# --- the captures ---


def test_no_request_is_left_out() -> None:
    cases = {name: found["cases"] for name, found in DATA["proxies"].items()}
    assert set(cases) == set(SETUPS)
    assert len(SETUPS) == 25
    assert sum(map(len, cases.values())) == 491
    refused = {
        (p, n) for p, found in cases.items() for n, case in found.items() if "refused" in case
    }
    assert refused == {
        ("nginx-1.22-proxy-protocol-in", "no_proxy_header"),
        ("haproxy-2.6-accept-proxy", "no_proxy_header"),
        ("apache-2.4-remoteip-proxyprotocol", "no_proxy_header"),
        ("apache-2.4-remoteip-proxyprotocol", "proxy_v1_UNKNOWN"),
        ("envoy-1.40-default-edge-false", "hop_by_hop_conn"),
        ("envoy-1.40-use-remote-address", "hop_by_hop_conn"),
        ("envoy-1.40-skip-append", "hop_by_hop_conn"),
        ("varnish-7.1-default", "hop_by_hop_conn"),
    }
    assert len(CAPTURES) == 491 - len(refused)
    assert {name for found in cases.values() for name in found} == set(SENT)


def test_what_is_forged_is_found() -> None:
    forging = Counter(one.proxy for one in CAPTURES if one.forged)
    odd = {proxy: count for proxy, count in forging.items() if count != 15}
    refusing = [name for name in SETUPS if name.startswith(("envoy", "varnish"))]
    assert odd == {"nginx-1.22-realip-recursive": 12, **dict.fromkeys(refusing, 14)}
    assert len(forging) == 25
    forged = {one.name: one.forged for one in of("haproxy-2.6-forwardfor")}
    assert forged["xff_garbage"] == {"::1", "2001:db8::5", "192.0.2.9"}
    assert forged["nonascii"] == {"198.51.100.1"}
    assert forged["forwarded"] == {"198.51.100.4", "203.0.113.43"}
    assert len(forged["cf"]) == 7


@pytest.mark.parametrize("proxy", SETUPS)
def test_the_proxy_writes_last_and_the_rest_was_sent(proxy: str) -> None:
    """Who wrote what is known by position: this holds the kit to it, bytes untouched."""
    setup = SETUPS[proxy]
    for one in of(proxy):
        if one.name in setup.silent:
            assert not one.entries(XFF)
            continue
        sent = entries(tuple(map(split, SENT[one.name])), XFF)
        if XFF in setup.writes:
            *left, last = one.entries(XFF)
            assert last == one.client
            assert left in ([], sent)
        if REAL in setup.writes:
            assert one.entries(REAL) == [one.client]


@pytest.mark.parametrize("proxy", SILENT)
def test_a_proxy_without_a_row_of_its_own_writes_nothing(proxy: str) -> None:
    """Else the advice to read no header would be too cautious."""
    found = {one.name: one for one in of(proxy)}
    assert found["xff_one"].entries(XFF) == ["198.51.100.1"]
    alone = ["127.0.0.1"] if proxy == "haproxy-2.6-forwardfor-if-none" else []
    assert found["plain"].entries(XFF) == alone
    assert not found["plain"].entries(REAL)


def test_no_proxy_writes_forwarded() -> None:
    assert not [one for one in CAPTURES if one.entries(FORWARDED) and FORWARDED not in one.name]


@pytest.mark.parametrize("proxy", SETUPS)
def test_only_what_the_proxy_wrote_is_replaced(proxy: str) -> None:
    setup = SETUPS[proxy]
    for one in of(proxy):
        shown = FROM_OUTSIDE.show(one)
        changed = [
            (was, now) for was, now in zip(one.lines, shown.lines, strict=True) if was != now
        ]
        loopback = one.client in OUTSIDE and one.name not in setup.silent
        assert len(changed) == (len(setup.writes) if loopback else 0)
        for (name, was), (_, now) in changed:
            assert name.lower() in setup.writes
            assert now.rpartition(",")[0] == was.rpartition(",")[0]


def test_the_address_in_a_proxy_header_is_the_one_in_its_bytes() -> None:
    found = DATA["proxies"]["haproxy-2.6-proxyv2-out"]["cases"]
    for case in found.values():
        raw = bytes.fromhex(case["proxy"]["hex"])
        source = raw[16:20] if raw[13] == 0x11 else raw[16:32]
        assert str(ip_address(source)) == case["proxy"]["src"]


# --- the settings of the page ---


def rows() -> list[Any]:
    """Each proxy, shown in each way, under each of its modes.

    `auto` as captured is left out: it cannot count, and lists cannot tell this client from
    the proxy (`test_a_client_inside_the_list_forges` shows what comes of that).
    """
    return [
        pytest.param(proxy, scene, mode, id=f"{proxy}-{scene.name}-{mode}")
        for proxy, setup in SETUPS.items()
        for scene in SCENES
        for mode in setup.sound
        if (scene, mode) != (AS_CAPTURED, "auto")
    ]


@pytest.mark.parametrize(("proxy", "scene", "mode"), rows())
def test_the_client_or_nothing(proxy: str, scene: Scene, mode: str) -> None:
    for capture in map(scene.show, of(proxy)):
        address, reason = expected(capture, mode)
        for face, answer in ask(capture, scene.options(mode)).items():
            told = None if answer.address is None else str(answer.address)
            where = (capture.name, face, answer.explain())
            assert told == address, where
            assert told not in capture.forged, where
            assert reason is None or answer.reason == reason, where


def test_each_way_and_mode_is_asked() -> None:
    asked = Counter(mode for _, _, mode in (row.values for row in rows()))
    assert asked == {XFF: 51, REAL: 18, "auto": 34, "remote-addr": 24}


@pytest.mark.parametrize("proxy", SETUPS)
def test_settings_take_what_the_page_advises(proxy: str) -> None:
    base = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}
    for mode in SETUPS[proxy].sound:
        options = FROM_OUTSIDE.options(mode)
        made = Settings.from_dict({**base, "client_ip": options}).resolver()
        assert made.mode == mode
        assert made.trusted_proxies == resolver(**options).trusted_proxies


@pytest.mark.parametrize("proxy", [name for name in WRITING if "varnish" not in name])
def test_the_preset_of_a_proxy_answers_alike(proxy: str) -> None:
    preset = proxy.partition("-")[0]
    for scene in (FROM_ELSEWHERE, FROM_OUTSIDE):
        for capture in map(scene.show, of(proxy)):
            address, reason = expected(capture, XFF)
            for answer in ask(capture, scene.options(preset)).values():
                assert (str(answer.address) if answer.address else None) == address
                assert reason is None or answer.reason == reason


@pytest.mark.parametrize("proxy", WRITING)
def test_cf_connecting_ip_is_not_believed_without_cloudflare(proxy: str) -> None:
    for capture in map(FROM_OUTSIDE.show, of(proxy)):
        address, _ = expected(capture, XFF)
        for answer in ask(capture, FROM_OUTSIDE.options("cloudflare")).values():
            assert (str(answer.address) if answer.address else None) == address


@pytest.mark.parametrize("mode", [XFF, "auto"])
def test_a_load_balancer_before_caddy_is_believed_where_it_is_listed(mode: str) -> None:
    """The other reading of these captures: the sender is a proxy too, and wrote the header."""
    options = {"mode": mode, "trusted_proxies": ("10.0.0.1", *LOOPBACK)}
    said = {"xff_one": "198.51.100.1", "xff_two_in_one": "198.51.100.2"}
    for one in of("caddy-2.11-trusted"):
        if one.name in said:
            answer = ask(FROM_ELSEWHERE.show(one), options)["scope"]
            assert str(answer.address) == said[one.name]


# --- what the page warns of ---


def won(captures: list[Capture], options: dict[str, Any]) -> int:
    """Count the requests for which each face answers with a forged address."""
    return sum(
        all(str(answer.address) in one.forged for answer in ask(one, options).values())
        for one in captures
    )


@pytest.mark.parametrize("proxy", SILENT)
def test_a_header_that_the_proxy_does_not_write_is_the_clients(proxy: str) -> None:
    counts = [wins(proxy, mode) for mode in (XFF, "auto")]
    if "proxyv" in proxy:  # the peer is the client, and nobody trusts it
        assert counts == [0, 0]
    else:
        assert min(counts) >= 6


@pytest.mark.parametrize(
    "proxy", sorted(set(SETUPS) - {"haproxy-2.6-proxyv1-out", "haproxy-2.6-proxyv2-out"})
)
def test_forwarded_is_the_clients_behind_each_of_them(proxy: str) -> None:
    captures = [FROM_OUTSIDE.show(one) for one in of(proxy)]
    assert won(captures, FROM_OUTSIDE.options(FORWARDED)) == wins(proxy, FORWARDED) == 2


@pytest.mark.parametrize("proxy", [name for name in WRITING if REAL not in SETUPS[name].writes])
def test_x_real_ip_is_the_clients_where_the_proxy_does_not_write_it(proxy: str) -> None:
    assert wins(proxy, REAL) in (1, 2)


def test_a_count_one_too_high_lets_the_client_forge() -> None:
    options = {**FROM_OUTSIDE.options(XFF), "hops": 2}
    appended = [FROM_OUTSIDE.show(one) for one in of("nginx-1.22-append")]
    overwritten = [FROM_OUTSIDE.show(one) for one in of("nginx-1.22-overwrite")]
    assert won(appended, options) == 7
    assert won(overwritten, options) == 0


def test_a_client_inside_the_list_forges() -> None:
    captures = of("nginx-1.22-append")
    assert won(captures, {"mode": XFF, "trusted_proxies": LOOPBACK}) == 7
    assert won(captures, AS_CAPTURED.options(XFF)) == 0


def test_trust_in_everyone_lets_the_client_forge() -> None:
    captures = [FROM_OUTSIDE.show(one) for one in of("nginx-1.22-append")]
    assert won(captures, {"mode": XFF, "trust_everyone": True}) == 7


def test_names_with_underscores_win_where_a_server_folds_them() -> None:
    passing = [name for name in WRITING if passes_underscores(name)]
    assert len(passing) == 9
    assert [name for name in passing if folded(name)] == [
        "nginx-1.22-underscores-on",
        "caddy-2.6.2-debian-default",
        "traefik-3.7-insecure",
    ]
    assert not [name for name in WRITING if name not in passing and folded(name)]


# --- the page ---


@pytest.mark.slow
def test_page_says_what_the_captures_show() -> None:
    assert PAGE.committed() == PAGE.make(), "run tests/clientip/captures_page.py"
