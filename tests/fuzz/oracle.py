"""What must hold for every request, as one function over bytes: `check(data)`.

An input is text. The first line holds the resolver's letter, the peer's letter and, for the
last peer, its text; each further line a header's letter and its value; `!` begins a line of
attack text. A byte that is no letter of the table is taken modulo its length, so that every
input means something. Example, the mode x-forwarded-for behind 10.0.0.1:

    aa
    a203.0.113.7, 10.0.0.2
    !1.1.1.1

Checked:

1.  `resolve`, `from_scope` and `from_environ` never raise, nor does what an answer offers.
2.  `resolve` and `from_scope` give equal answers, although `resolve` gets one more header,
    which no mode reads, and runs last; a second run of each gives the same again.
3.  `explain()` is printable ASCII, each line under 500 characters, 80 lines at most; scheme
    and host are of their grammars.
4.  `str(address)` is `text`, and what ipaddress reads back as that address; it is not mapped.
5.  An address that is trusted carries `all-trusted`, `trusted-range` or `worker`.
6.  A client read from X-Forwarded-For or Forwarded is the same with attack text to its left:
    in its first line, and as a line before.
7.  In mode x-forwarded-for, address and reason are those of reference.py, and
    `from_environ`, which sees the lines joined, gives the same answer.

Not checked: values with LF (the input's own separator) or beyond Latin-1; addresses that
modes other than x-forwarded-for choose, beyond 4 to 6; `check()`; texts of `explain()`;
what stands left of the last 8192 characters (reference.py passes over such inputs).

With `thorough=False` an input gets 4, 5 and the reference, and of all other checks one that
its checksum chooses: `TURNS`. An input that failed fails again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

from fuzz.reference import Reference
from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.modes import MODES

OWN: Final = ("10.0.0.0/8", "2001:db8:ff::/48")
X: Final = "x-forwarded-for"

SAID: Final = {"scheme_header": "x-forwarded-proto", "host_header": "x-forwarded-host"}

# New rows go to the end of LATER: a committed input names its resolver by place.
CHOSEN: Final[tuple[dict[str, Any], ...]] = (
    {"mode": X, "trusted_proxies": OWN},
    {"mode": X, "trusted_proxies": (*OWN, "unix")},
    {"mode": X, "trusted_proxies": (*OWN, "unix"), "hops": 2},
    {"mode": X, "trusted_proxies": OWN, "hops": 1},
    {"mode": X, "trusted_proxies": (*OWN, "unix"), "on_all_trusted": "unresolved"},
    {"mode": X, "trusted_proxies": (*OWN, "2a06:98c0::/29"), "peer_port": True},
    {"mode": "forwarded", "trusted_proxies": OWN},
    {"mode": "auto", "trusted_proxies": (*OWN, "unix")},
    {"mode": "cloudflare", "trusted_proxies": (*OWN, "unix")},
    {"mode": "x-real-ip", "trusted_proxies": OWN},
    {"mode": "remote-addr", "trusted_proxies": OWN},
)

LATER: Final[tuple[dict[str, Any], ...]] = (
    {"mode": "cloudflare-tunnel", "trusted_proxies": OWN},
    {"mode": X, "trusted_proxies": OWN, "allow_headerless": OWN[:1], **SAID},
    {"mode": "cloudflare", "trusted_proxies": (*OWN, "unix"), **SAID},
    {"mode": "x-real-ip", "trusted_proxies": (*OWN, "unix"), **SAID},
)
"""Rows that follow those made for each mode, for the sake of the inputs' places."""

NEEDED: Final[Mapping[str, dict[str, Any]]] = {"header": {"header": "x-client-address"}}
"""What a mode cannot be built without."""

PEERS: Final = (
    "10.0.0.1", "203.0.113.7", None, "", "162.158.1.2", "2001:db8:ff::1", "::ffff:10.0.0.1",
    "2001:db8::7", "10.0.0.1:4711", "[2001:db8:ff::1]:80", "localhost", "unix:", "0.0.0.0",  # noqa: S104 - a text that uwsgi reports, no bind
    "testclient", "10.0.0.1\n", "\ud800", "2001:db8:ff::1%eth0", "2a06:98c0:3600::103",
)  # fmt: skip

NAMES: Final = (
    X, "forwarded", "x-real-ip", "cf-connecting-ip", "cf-connecting-ipv6", "x-client-address",
    "x-azure-socketip", "x-azure-clientip", "fastly-client-ip", "fly-client-ip",
    "true-client-ip", "x-envoy-external-address", "x-forwarded-proto", "x-forwarded-host",
)  # fmt: skip
UNREAD: Final = ((b"x-forwarded-fo", b"1.1.1.1"), (b"forwardedd", b"for=1.1.1.1"))
FORGED: Final = (b"1.1.1.1", b"", b'"', b"\\", b'for=1.1.1.1;by="', b"10.0.0.9", b"a" * 9000)

Lines = list[tuple[bytes, bytes]]


class Trusted:
    """Networks that are trusted, as ipaddress has them; an answer's text is looked up once."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = tuple(map(ipaddress.ip_network, networks))
        self.covers = lru_cache(1024)(self._covers)

    def _covers(self, text: str) -> bool:
        address = ipaddress.ip_address(text)
        return any(address in network for network in self.networks)


class Subject(NamedTuple):
    """A resolver with what judges it: the networks it trusts, and the reference, if any."""

    resolver: ClientIPResolver
    trusted: Trusted
    reference: Reference | None


class Request(NamedTuple):
    """An input, read."""

    subject: Subject
    peer: str | None
    lines: Lines
    attack: bytes


def check(data: bytes, *, thorough: bool = True) -> None:
    """Raise AssertionError where an answer to `data` is not what it must be."""
    turn = crc32(data)
    request = read(data, turn)
    answer = scope_answer(request, request.lines)
    judge_address(request, answer)
    if request.subject.reference is not None:
        judge_by_reference(request, answer)
    checks: Sequence[Judge] = JUDGES if thorough else (TURNS[turn >> 16 & 63],)
    for judge in checks:
        judge(request, answer, turn)


def read(data: bytes, turn: int) -> Request:
    """Read an input; without a line of attack text, one is chosen by its checksum."""
    head, *rows = data.split(b"\n")
    choice, who, text = (head[:1] or b"a")[0], (head[1:2] or b"a")[0], head[2:]
    subject = subjects()[_place(choice, len(subjects()))]
    at = _place(who, len(PEERS) + 1)
    peer = PEERS[at] if at < len(PEERS) else text.decode("latin-1")
    lines: Lines = []
    attack = FORGED[(turn >> 24) % len(FORGED)]
    for row in rows:
        if row[:1] == b"!":
            attack = row[1:]
        elif row:
            lines.append((BYTE_NAMES[_place(row[0], len(NAMES))], row[1:]))
    return Request(subject, peer, lines, attack)


def _place(byte: int, size: int) -> int:
    """Count from the letter `a`; take the rest of the bytes modulo the table's length."""
    return byte - 97 if 0 <= byte - 97 < size else byte % size


BYTE_NAMES: Final = tuple(name.encode() for name in NAMES)


@cache
def subjects() -> tuple[Subject, ...]:
    """Build the resolvers: the chosen ones, then one for each further mode that there is."""
    named = {options["mode"] for options in CHOSEN}
    others = (
        {"mode": mode, "trusted_proxies": OWN, **NEEDED.get(mode, {})}
        for mode in MODES
        if mode not in named
    )
    return tuple(map(_subject, (*CHOSEN, *others, *LATER)))


def _subject(options: dict[str, Any]) -> Subject:
    resolver = ClientIPResolver(**options)
    trusted = Trusted(set(resolver.trusted_proxies) - {"unix"})
    modelled = options["mode"] == X and options not in LATER
    return Subject(resolver, trusted, Reference(**options) if modelled else None)


def scope_answer(request: Request, lines: Lines) -> ClientIP:
    """Ask as an ASGI server would."""
    client = None if request.peer is None else (request.peer, 1)
    return request.subject.resolver.from_scope({"client": client, "headers": lines})


def environ_answer(request: Request) -> ClientIP:
    """Ask as a WSGI server would: lines of one name joined, in order."""
    environ: dict[str, str] = {} if request.peer is None else {"REMOTE_ADDR": request.peer}
    for name, value in request.lines:
        key = "HTTP_" + name.decode().upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return request.subject.resolver.from_environ(environ)


def facts(answer: ClientIP) -> tuple[object, ...]:
    """Return all that an answer states."""
    said = (answer.text, answer.scheme, answer.host, answer.read)
    return (answer.address, answer.peer, answer.reason, answer.source, answer.flags, *said)


def same(one: ClientIP, two: ClientIP, why: str) -> None:
    """Compare two answers; `==` by itself is compared with the facts in thorough checks."""
    assert one == two, (why, facts(one), facts(two))


def judge_address(request: Request, answer: ClientIP) -> None:
    """Check 4 and 5."""
    address = answer.address
    if address is None:
        return
    text = str(address)
    assert answer.text == text, facts(answer)
    again = ip_address(text)
    assert again == address, facts(answer)
    assert again.version == 4 or again.ipv4_mapped is None, facts(answer)
    if request.subject.trusted.covers(text):
        assert answer.flags & {"all-trusted", "trusted-range", "worker"}, facts(answer)


HOST: Final = re.compile(r"[0-9A-Za-z.\[\]:_-]{1,300}")

ip_address = lru_cache(1024)(ipaddress.ip_address)


def judge_by_reference(request: Request, answer: ClientIP) -> None:
    """Check 7, but for the joined lines."""
    assert request.subject.reference is not None
    values = [str(value, "latin-1") for name, value in request.lines if name == b"x-forwarded-for"]
    expected = request.subject.reference.answer(request.peer, values)
    if expected is not None:
        address = answer.address
        got = (None if address is None else str(address), answer.reason)
        assert got == expected, (got, "but the reference says", expected)


def judge_unread(request: Request, answer: ClientIP, turn: int) -> None:
    """Check 2."""
    lines = request.lines
    spot = turn % (len(lines) + 1)
    more = [*lines[:spot], UNREAD[turn & 1], *lines[spot:]]
    other = request.subject.resolver.resolve(peer=request.peer, headers=more)
    same(answer, other, "an unread header, or the face that was asked, changed the answer")


def judge_environ(request: Request, answer: ClientIP, _turn: int) -> None:
    """Check 1 for WSGI, and 7 for joined lines, which other modes may read differently."""
    joined = environ_answer(request)
    if request.subject.resolver.mode == X:
        same(answer, joined, "joined lines are another answer")


def judge_line_before(request: Request, answer: ClientIP, _turn: int) -> None:
    """Check 6: attack text in a line before the client's."""
    name = chain_of(answer)
    if name:
        before = scope_answer(request, [(name, request.attack), *request.lines])
        same(answer, before, "a line before the client's changed the answer")


def judge_text_left(request: Request, answer: ClientIP, _turn: int) -> None:
    """Check 6: attack text in the first line itself."""
    name = chain_of(answer)
    if name:
        lines = request.lines
        at = next(place for place, line in enumerate(lines) if line[0] == name)
        joined = (name, request.attack + b"," + lines[at][1])
        left = scope_answer(request, [*lines[:at], joined, *lines[at + 1 :]])
        same(answer, left, "text left of the client changed the answer")


def chain_of(answer: ClientIP) -> bytes:
    """Name the header that a client was read from, where it holds a chain."""
    if answer.reason == "client" and answer.source.startswith((X + "[", "forwarded[")):
        return answer.source.partition("[")[0].encode()
    return b""


def judge_thoroughly(request: Request, answer: ClientIP, _turn: int) -> None:
    """Check 3, the rest of 1, and no state: each face again, with the facts compared."""
    resolver, peer, lines = request.subject.resolver, request.peer, request.lines
    shown = answer.explain()
    assert len(shown) <= 80
    assert all(line.isascii() and line.isprintable() and len(line) < 500 for line in shown), shown
    assert repr(answer).isascii()
    assert (answer.network() is None) == (answer.address is None) == (answer.text == "")
    assert answer.scheme in (None, "http", "https"), facts(answer)
    assert answer.host is None or HOST.fullmatch(answer.host), facts(answer)
    texts = [(name.decode(), value.decode("latin-1")) for name, value in lines]
    upper = [(name.upper(), value) for name, value in lines]
    for again in (
        scope_answer(request, lines),
        resolver.resolve(peer=peer, headers=texts),
        resolver.resolve(peer=peer, headers=iter(upper)),
    ):
        assert facts(again) == facts(answer), (facts(again), facts(answer))
        assert again == answer
        assert hash(again) == hash(answer)
    one, two = environ_answer(request), environ_answer(request)
    assert facts(one) == facts(two)
    assert one.explain() == two.explain()


Judge = Callable[[Request, ClientIP, int], None]
JUDGES: Final[tuple[Judge, ...]] = (
    judge_unread,
    judge_environ,
    judge_line_before,
    judge_text_left,
    judge_thoroughly,
)
TURNS: Final = (*JUDGES[:4] * 15, *JUDGES[1:4], judge_thoroughly)
"""Which one check an input gets in the fuzzer: the costly one comes once in 64."""
