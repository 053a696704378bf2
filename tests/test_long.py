"""What only shows in numbers: 20,000 made-up inputs.

The oracles: of a mutated cookie only the one that came out unchanged opens; a resolver answers
and explains. Not checked here: that the answers are right ones, which tables of cases say beside
each part.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehound.clientip import ClientIPResolver
from gatehound.clientip.modes import MODES
from gatehound.cookie_shape import CookieShape
from gatehound.cookies import CookieCodec, Ticket

pytestmark = [pytest.mark.full, pytest.mark.ci]

many = settings(derandomize=True, deadline=None, max_examples=20_000, database=None)

# ---- cookies

CODEC = CookieCodec(secret_keys=["k" * 32], namespace="default", shape=CookieShape())
TICKET = Ticket(b"A" * 8, b"B" * 12, b"C" * 32, 1_800_000_000, 0, CookieShape().digest)
VALUE = CODEC.seal(TICKET)


def flip(value: str, place: int, bit: int) -> str:
    """Flip a bit below the base64, so that the spelling stays a legal one."""
    left, _, right = value.partition(".")
    try:
        payload, mac = urlsafe_b64decode(left), urlsafe_b64decode(right + "=")
    except ValueError:  # an earlier step has broken the spelling
        return value
    raw = bytearray(payload + mac)
    raw[place % len(raw)] ^= 1 << bit % 8
    texts = (urlsafe_b64encode(raw[: len(payload)]), urlsafe_b64encode(raw[len(payload) :]))
    return ".".join(text.decode().rstrip("=") for text in texts)


def mutate(value: str, steps: bytes) -> str:
    """Read three bytes as one step: which, where, and with what."""
    for what, where, with_ in zip(*[iter(steps)] * 3, strict=False):
        at = where % (len(value) + 1)
        kind = what % 5
        if kind == 0:
            value = value[:at] + chr(with_) + value[at + 1 :]
        elif kind == 1:
            value = value[:at] + chr(with_) + value[at:]
        elif kind == 2:
            value = value[:at] + value[at + 1 + with_ % 4 :]
        elif kind == 3:
            value = value[at:] + value[:at]
        else:
            value = flip(value, where, with_)
    return value


@many
@given(st.binary(min_size=3, max_size=12))
def test_no_mutated_cookie_is_accepted(steps: bytes) -> None:
    mutated = mutate(VALUE, steps)
    assert CODEC.open(mutated) == (TICKET if mutated == VALUE else None)
    if mutated.strip(" \t") != VALUE and not set(mutated) & set(";,"):
        line = f"theme=dark; {CODEC.shape.name}={mutated}"
        assert CODEC.read(line, commas=True).ticket is None


# ---- addresses

TRUST = ["10.0.0.0/8", "2001:db8:ff::/48", "unix", "cloudflare"]
RESOLVERS = [
    *(
        ClientIPResolver(
            mode=mode, trusted_proxies=TRUST, header="X-Client" if mode == "header" else None
        )
        for mode in MODES
    ),
    ClientIPResolver(mode="cloudflare-tunnel", allow_headerless="127.0.0.1"),
    ClientIPResolver(mode="x-forwarded-for", trusted_proxies=TRUST, hops=2),
    ClientIPResolver(mode="x-forwarded-for", trust_everyone=True, peer_port=True),
    ClientIPResolver(mode="auto", trusted_proxies=TRUST, on_all_trusted="unresolved"),
]
PEERS: list[str | None] = [
    None,
    "",
    "10.0.0.1",
    "162.158.1.2",
    "203.0.113.7",
    "::ffff:10.0.0.1",
    "a,b",
]
NAMES = [b"X-Forwarded-For", b"Forwarded", b"X-Real-IP", b"CF-Connecting-IP", b"CF-Connecting-IPv6"]
PIECES = [
    b"10.0.0.2", b"203.0.113.7", b"2001:db8::7", b"[2001:db8:ff::1]:80", b"unix:", b"240.0.0.1",
    b"2a06:98c0:3600::103", b"::ffff:10.0.0.1", b", ", b";", b"for=", b'for="', b'"', b"\\",
    b"by=_hidden", b"=", b" ", b"%eth0", b"unknown", b"1.1.1.1:4711",
]  # fmt: skip


def headers_of(bytes_: bytes) -> list[tuple[bytes, bytes]]:
    """Read bytes as header lines: small ones are pieces of addresses, others themselves."""
    lines = []
    for line in bytes_.split(b"\x00"):
        pieces = (PIECES[one - 1] if one <= len(PIECES) else bytes([one]) for one in line[1:])
        lines.append((NAMES[line[0] % len(NAMES)] if line else b"", b"".join(pieces)))
    return lines


@many
@given(st.binary(min_size=2, max_size=20))
def test_the_resolver_never_raises(bytes_: bytes) -> None:
    resolver, peer = RESOLVERS[bytes_[0] % len(RESOLVERS)], PEERS[bytes_[1] % len(PEERS)]
    answer = resolver.resolve(peer=peer, headers=headers_of(bytes_[2:]))
    assert answer.reason
    assert answer.explain()
