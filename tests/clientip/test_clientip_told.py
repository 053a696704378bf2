"""What an answer tells beside its address: scheme and host, and the trace."""

# ruff: noqa: E501 - a case is one row of the table

from __future__ import annotations

from typing import Any

import pytest
from answers_kit import (
    AZURE,
    CF,
    KEY,
    SAYS,
    SECRET,
    SOCKET,
    UNIX,
    A,
    C,
    F,
    H,
    Lines,
    P,
    cf,
    edge,
    fwd,
    host,
    proto,
    resolve,
    xff,
)

from gatehound.clientip.trace import MEANING

# options, lines, scheme, host
SAID: list[tuple[dict[str, Any], Lines, str | None, str | None]] = [
    (SAYS, xff("203.0.113.7") + proto("HTTPS") + host("Shop.Example:8443"), "https", "Shop.Example:8443"),
    (SAYS, xff("203.0.113.7") + proto("http, https") + host("evil.example,shop.example"), "https", "shop.example"),
    (SAYS, xff("203.0.113.7") + proto("http", "https") + host("evil.example", "[::1]:80"), "https", "[::1]:80"),
    (SAYS, xff("203.0.113.7"), None, None),
    (SAYS, xff("203.0.113.7") + proto("") + host(""), None, None),
    (SAYS, xff("203.0.113.7") + proto("gopher") + host("a b"), None, None),
    (SAYS, xff("203.0.113.7") + proto("https\n") + host("a\n"), None, None),
    (SAYS, xff("203.0.113.7") + proto("https") + host("x" * 254), "https", None),
    # one hop further left than the proxy that speaks to us: its entry, or nothing
    (SAYS, xff("203.0.113.7, 10.0.0.2") + proto("http") + host("inner"), None, None),
    (SAYS, xff("203.0.113.7, 10.0.0.2") + proto("https, http") + host("outer,inner"), "https", "outer"),
    (SAYS, xff("x") + proto("https"), None, None),
    (SAYS, xff() + proto("https"), None, None),
    ({}, xff("203.0.113.7") + proto("https") + host("evil.example"), None, None),
    ({**AZURE, "mode": H, "scheme_header": P}, [(SOCKET, "203.0.113.7"), *proto("https")], "https", None),
    ({**AZURE, "mode": H, "scheme_header": P}, [(SOCKET, "203.0.113.7"), *proto("http, https")], None, None),
    # the own proxy says how the edge asked, not how the client did
    ({"mode": C, "scheme_header": P}, xff(CF) + cf("203.0.113.7") + proto("https"), None, None),
    ({"mode": C, "scheme_header": P}, xff(CF) + cf("203.0.113.7") + proto("https, http"), "https", None),
    ({"mode": F}, fwd('for=203.0.113.7;proto=HTTPS;host="shop.example:80"'), "https", "shop.example:80"),
    ({"mode": F}, fwd("for=1.1.1.1;proto=https;host=evil.example, for=203.0.113.7"), None, None),
    ({"mode": F}, fwd("for=203.0.113.7;proto=https, for=10.0.0.2;proto=http"), "https", None),
    ({"mode": F}, fwd("for=unknown;proto=https"), None, None),
    ({"mode": A}, fwd("for=203.0.113.7;proto=https"), "https", None),
    ({"mode": A}, xff("203.0.113.7") + fwd("for=203.0.113.7;proto=https"), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("options", "lines", "scheme", "asked"), SAID)
def test_scheme_and_host_are_of_the_same_hop(
    options: dict[str, Any], lines: Lines, scheme: str | None, asked: str | None
) -> None:
    answer = resolve(lines, **options)
    assert (answer.scheme, answer.host) == (scheme, asked), answer.explain()
    untrusted = resolve(lines, peer="203.0.113.9", **options)
    assert (untrusted.scheme, untrusted.host) == (None, None)


def test_explain_tells_hop_by_hop() -> None:
    answer = resolve(xff("1.1.1.1, 203.0.113.7:80", "10.0.0.2"))
    assert answer.explain() == (
        "mode x-forwarded-for",
        "peer '10.0.0.1': trusted by 10.0.0.0/8",
        "x-forwarded-for[-1] '10.0.0.2': trusted by 10.0.0.0/8",
        "x-forwarded-for[-2] '203.0.113.7:80': not trusted",
        f"answer 203.0.113.7: client, from x-forwarded-for[-2]: {MEANING['client']}",
    )
    edge = resolve(xff(CF) + cf("203.0.113.7"), mode=C)
    assert edge.explain()[2:4] == (
        "x-forwarded-for[-1] '162.158.1.2': Cloudflare's edge",
        "cf-connecting-ip '203.0.113.7': an address",
    )
    count = resolve(xff("1.1.1.1,8.8.8.8"), hops=2)
    assert count.explain()[2] == "x-forwarded-for[-1] '8.8.8.8': skipped, by count"
    unix = resolve(xff("203.0.113.7, unix:"), peer="", **UNIX)
    assert unix.explain()[1:3] == (
        "peer '': trusted by unix",
        "x-forwarded-for[-1] 'unix:': trusted by unix",
    )


def test_explain_clips_and_escapes() -> None:
    nasty = "\x1b[2J<é\u202e\n" + "A" * 5000
    shown = "\n".join(resolve(xff(nasty)).explain())
    assert "\\x1b[2J<\\xe9\\u202e\\n" in shown
    assert shown.isascii()
    assert len(shown) < 500
    assert "\x1b" not in shown


def test_explain_says_what_a_count_and_a_bound_left_open() -> None:
    few = resolve(xff("6.6.6.6"), hops=2).explain()
    assert few[2] == "x-forwarded-for[-1] '6.6.6.6': skipped, by count"
    counted = resolve(xff("203.0.113.7, 6.6.6.6"), hops=2).explain()
    assert counted[3] == "x-forwarded-for[-2] '203.0.113.7': taken, by count"
    assert "was not checked" in counted[4]
    long = resolve(xff("a" * 9000)).explain()
    assert long[2] == "x-forwarded-for[-1] '': longer than can be read"
    for lines, told in (
        (xff(), "not sent"),
        (edge("x"), "does not hold"),
        (edge(KEY, KEY), "more"),
    ):
        assert told in resolve(lines, **SECRET).explain()[2]
