"""What an app finds of forwarding headers behind ClientIPMiddleware(strip=True).

The property's oracle is a mark that stands in whatever a client writes, and in nothing else.
It does not check that the client's own address is the right one; other tests do.
"""

from __future__ import annotations

from typing import Any

import pytest
from adapter_kit import RESOLVER, WORLDS, Asgi, Lines, World
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.applied import FORWARDING

both = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)

OTHERS: Lines = [
    ("accept", "text/html"),
    ("cookie", "a=1"),
    ("x-forwarded-user", "ann"),
    ("x-request-id", "7"),
]
TRUST = ["10.0.0.0/8", "2001:db8:ff::/48"]
FORWARDED = ClientIPResolver(mode="forwarded", trusted_proxies=TRUST)
REAL_IP = ClientIPResolver(mode="x-real-ip", trusted_proxies=TRUST)
CLOUDFLARE = ClientIPResolver(mode="cloudflare", trusted_proxies=TRUST)
AUTO = ClientIPResolver(mode="auto", trusted_proxies=TRUST)
COUNT = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=TRUST, hops=2)
STRICT = ClientIPResolver(
    mode="x-forwarded-for", trusted_proxies=TRUST, on_all_trusted="unresolved"
)


def forwarding_of(world: World, resolver: ClientIPResolver, peer: str, lines: Lines) -> Any:
    found = world.ask(world.wrap(resolver, strip=True), peer=peer, lines=[*OTHERS, *lines])
    rest = {name: text for name, text in found.headers.items() if name in FORWARDING}
    assert {"host": "inner.test", **dict(OTHERS)} == {
        name: text for name, text in found.headers.items() if name not in rest
    }
    return rest


EVIL = "1.1.1.1, evil"


@both
@pytest.mark.parametrize(
    ("resolver", "peer", "lines", "left"),
    [
        (
            RESOLVER,
            "10.0.0.1",
            [("x-forwarded-for", f"{EVIL},203.0.113.7 ,  10.0.0.2")],
            {"x-forwarded-for": "203.0.113.7, 10.0.0.2"},
        ),
        (
            RESOLVER,
            "10.0.0.1",
            [("x-forwarded-for", "203.0.113.7"), ("x-real-ip", "evil"), ("forwarded", "for=evil")],
            {"x-forwarded-for": "203.0.113.7"},
        ),
        (
            COUNT,
            "10.0.0.1",
            [("x-forwarded-for", "evil, 1.1.1.1, 9.9.9.9")],
            {"x-forwarded-for": "1.1.1.1, 9.9.9.9"},
        ),
        (
            REAL_IP,
            "10.0.0.1",
            [("x-real-ip", "203.0.113.7"), ("x-forwarded-for", "evil")],
            {"x-real-ip": "203.0.113.7"},
        ),
        (
            CLOUDFLARE,
            "10.0.0.1",
            [
                ("cf-connecting-ip", "203.0.113.7"),
                ("true-client-ip", "evil"),
                ("x-forwarded-for", "evil, 203.0.113.7, 162.158.1.2"),
            ],
            {"cf-connecting-ip": "203.0.113.7", "x-forwarded-for": "162.158.1.2"},
        ),
        (
            CLOUDFLARE,
            "10.0.0.1",
            [("cf-connecting-ip", "evil"), ("x-forwarded-for", "evil, 203.0.113.7")],
            {"x-forwarded-for": "203.0.113.7"},
        ),
        (
            AUTO,
            "10.0.0.1",
            [("forwarded", "for=evil, for=203.0.113.7")],
            {"forwarded": "for=203.0.113.7"},
        ),
        (
            AUTO,
            "162.158.1.2",
            [("cf-connecting-ip", "203.0.113.7"), ("x-forwarded-for", "evil")],
            {"cf-connecting-ip": "203.0.113.7"},
        ),
        # Nobody trusted wrote anything, or nothing can be attributed: all goes.
        (RESOLVER, "192.0.2.1", [("x-forwarded-for", "203.0.113.7")], {}),
        (RESOLVER, "10.0.0.1", [("x-forwarded-for", "203.0.113.7, junk")], {}),
        (RESOLVER, "10.0.0.1", [("x-forwarded-for", ""), ("x-real-ip", "evil")], {}),
        (STRICT, "10.0.0.1", [("x-forwarded-for", "10.0.0.2")], {}),
        (REAL_IP, "10.0.0.1", [("x-real-ip", "evil"), ("x-real-ip", "203.0.113.7")], {}),
        (AUTO, "10.0.0.1", [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "2.2.2.2")], {}),
        (ClientIPResolver(), "10.0.0.1", [("x-forwarded-for", "203.0.113.7")], {}),
        (FORWARDED, "10.0.0.1", [("forwarded", 'for=evil, for="203.0.113.7')], {}),
    ],
)
def test_only_what_trusted_proxies_wrote_is_left(
    world: World, resolver: ClientIPResolver, peer: str, lines: Lines, left: dict[str, str]
) -> None:
    assert forwarding_of(world, resolver, peer, lines) == left


@both
def test_a_chain_over_several_lines_is_sent_on_from_the_client(world: World) -> None:
    lines = [
        ("x-forwarded-for", one) for one in ("evil", "evil, 203.0.113.7, 10.0.0.3", "10.0.0.2")
    ]
    left = forwarding_of(world, RESOLVER, "10.0.0.1", lines)["x-forwarded-for"]
    assert [hop.strip() for hop in left.split(",")] == ["203.0.113.7", "10.0.0.3", "10.0.0.2"]


@both
@pytest.mark.parametrize(
    "resolver", [RESOLVER, FORWARDED, REAL_IP, CLOUDFLARE, AUTO], ids=lambda one: one.mode
)
def test_the_inner_answer_is_the_same_from_what_is_left(
    world: World, resolver: ClientIPResolver
) -> None:
    """What is sent on is a header that still says the same, to a second resolver too."""
    lines = [
        ("x-forwarded-for", "evil, 203.0.113.7, 10.0.0.2"),
        ("forwarded", 'for=evil, for="203.0.113.7:80";proto=https, for=10.0.0.2'),
    ]
    if resolver in (REAL_IP, CLOUDFLARE):
        lines = [("x-real-ip", "203.0.113.7"), ("cf-connecting-ip", "203.0.113.7")]
        lines.append(("x-forwarded-for", "evil, 162.158.1.2"))
    found = world.ask(world.wrap(resolver, strip=True), peer="10.0.0.1", lines=lines)
    ask = resolver.from_scope if isinstance(world, Asgi) else resolver.from_environ
    again = ask(found.raw)
    assert str(again.address) == str(found.answer.address) == "203.0.113.7"


def _half(name: str) -> str:
    return name.replace("-", "_", 1)


SPELLINGS = (str, str.upper, str.title, lambda name: name.replace("-", "_"), _half)


@both
def test_every_spelling_of_a_forwarding_header_goes(world: World) -> None:
    spellings = [spell(name) for spell in SPELLINGS for name in sorted(FORWARDING)]
    lines = [(name, "evil") for name in spellings]
    assert forwarding_of(world, RESOLVER, "192.0.2.1", lines) == {}


@both
def test_a_header_of_the_operators_own_goes_too(world: World) -> None:
    resolver = ClientIPResolver(
        mode="header",
        header="X-My-IP",
        scheme_header="X-My-Proto",
        host_header="X-My-Host",
        trusted_proxies=TRUST,
    )
    lines = [("x-my-ip", "203.0.113.7"), ("x-my-proto", "https")]
    names = {name for name, _ in lines}
    for peer, left in (("192.0.2.1", {}), ("10.0.0.1", {"x-my-ip": "203.0.113.7"})):
        found = world.ask(world.wrap(resolver, strip=True), peer=peer, lines=lines)
        assert {name: text for name, text in found.headers.items() if name in names} == left
        assert found.headers["host"] == "inner.test"


@both
def test_pairs_of_one_name_are_sent_on_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = (("forwarded", "for=203.0.113.7"), ("x-a", "1"), ("forwarded", "for=10.0.0.2"))
    monkeypatch.setattr(ClientIP, "read", property(lambda answer: pairs))
    found = world.ask(world.wrap(strip=True), peer="192.0.2.1")
    assert found.headers["forwarded"] == "for=203.0.113.7, for=10.0.0.2"
    assert found.headers["x-a"] == "1"


def test_the_list_has_what_it_was_asked_to_have() -> None:
    asked = """
    x-forwarded-for forwarded x-real-ip cf-connecting-ip cf-connecting-ipv6 true-client-ip client-ip
    x-client-ip x-cluster-client-ip fastly-client-ip x-azure-clientip x-azure-socketip fly-client-ip
    x-envoy-external-address x-original-forwarded-for cloudfront-viewer-address x-forwarded-host
    x-forwarded-proto x-forwarded-port x-forwarded-server x-forwarded-prefix x-forwarded-scheme
    x-forwarded forwarded-for
    """
    assert set(asked.split()) <= FORWARDING
    assert {name for name in FORWARDING if name != name.lower() or "_" in name} == set()


def test_header_lines_that_stay_are_the_very_same_and_in_order() -> None:
    world = Asgi()
    scope = world.request("10.0.0.1", [*OTHERS, ("x-forwarded-for", "203.0.113.7"), ("te", "x")])
    found = world.run(scope, world.wrap(strip=True))
    kept = found.raw["headers"]
    assert kept[-1] == (b"x-forwarded-for", b"203.0.113.7")
    assert [id(line) for line in kept[:-1]] == [
        id(line) for line in scope["headers"] if line[0] != b"x-forwarded-for"
    ]


MARK = "6.6.6.6"
SAMPLES = [
    MARK,
    f"{MARK}, {MARK}",
    f"for={MARK}",
    f'for="{MARK}',
    f"{MARK}, 10.0.0.2",
    f'"{MARK}\\',
]
forged_text = st.one_of(
    st.sampled_from(SAMPLES),
    st.lists(
        st.sampled_from(
            [MARK, ",", ";", "for=", "proto=https", '"', "\\", " ", "\t", "\xff", ":80"]
        ),
        max_size=8,
    ).map(lambda parts: MARK + "".join(parts)),
)
names = st.sampled_from(sorted(FORWARDING | {"x_forwarded_for", "x-forwarded_for", "X-Real-IP"}))
forged = st.lists(st.tuples(names, forged_text), max_size=6)
proxies = st.lists(st.sampled_from(["10.0.0.2", "10.9.9.9", "2001:db8:ff::1"]), max_size=3)


@pytest.mark.slow  # hundreds of examples
@given(forged, proxies, st.sampled_from(["10.0.0.1", "192.0.2.1", "junk"]), st.booleans())
@settings(max_examples=3 * settings().max_examples, deadline=None)
@example([("x-forwarded-for", f'for="{MARK}')], [], "10.0.0.1", False)
@example([("forwarded", f'for="{MARK}')], [], "10.0.0.1", True)
def test_no_text_of_a_client_reaches_the_app(
    lines: list[tuple[str, str]], hops: list[str], peer: str, rfc7239: bool
) -> None:
    """The first proxy appends the client's address to what came, and each further one its own.

    A client's `X_Forwarded_For` comes before that, so that it is folded into the left end.
    """
    chain = ["203.0.113.7", *hops]
    name, resolver = "x-forwarded-for", STRICT
    if rfc7239:
        name, resolver = "forwarded", FORWARDED
        chain = [f'for="[{hop}]"' if ":" in hop else f"for={hop}" for hop in chain]
    came = [text for key, text in lines if key == name]
    others = [line for line in lines if line[0] != name]
    request = [*others, (name, ", ".join([*came, *chain]))]
    for world in WORLDS:
        request_of = [*OTHERS, *request]
        found = world.ask(
            world.wrap(resolver, strip=True, apply=True), peer=peer, lines=_latin(request_of, world)
        )
        shown = [*found.headers.items(), *found.kept.items(), found.peer]
        assert MARK not in repr(shown)
        assert found.headers | dict(OTHERS) == found.headers
        left = found.headers.get(name)
        assert left == (", ".join(chain) if peer == "10.0.0.1" else None)


def _latin(lines: Lines, world: World) -> Lines:
    """The kit encodes ASGI lines as UTF-8; a WSGI environ would show those bytes as Latin-1."""
    if isinstance(world, Asgi):
        return lines
    return [(name, text.encode().decode("latin-1")) for name, text in lines]
