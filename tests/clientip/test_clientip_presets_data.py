"""The presets hold together: sources, networks, texts, and options that go with each other.

Oracle: the rules in presets.py and ranges.py, and the lists as they were published. What is
not checked: whether a provider still does what its page said on the day of reading.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date
from urllib.parse import urlsplit

import pytest

from gatehound.clientip import cloudflare, ranges
from gatehound.clientip.modes import MODES
from gatehound.clientip.presets import PRESETS, Preset

NAMES = (
    "akamai",
    "apache",
    "aws-alb",
    "aws-cloudfront",
    "azure-app-service",
    "azure-front-door",
    "caddy",
    "cloudflare-tunnel",
    "envoy",
    "fastly",
    "fly",
    "gcp-lb",
    "haproxy",
    "heroku",
    "kinsta",
    "nginx",
    "traefik",
)
HEADER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SENTENCE_END = re.compile(r"\.(?= [A-Z]|$)")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = ("127.0.0.0/8", "::1/128")

each = pytest.mark.parametrize("preset", [pytest.param(p, id=name) for name, p in PRESETS.items()])


def test_names_are_these_and_sorted() -> None:
    assert tuple(PRESETS) == NAMES == tuple(sorted(NAMES))
    assert not set(PRESETS) & set(MODES), "a mode and a preset share a name"
    assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)


@each
def test_source_and_date(preset: Preset) -> None:
    url = urlsplit(preset.source)
    assert url.scheme == "https"
    assert "." in url.netloc
    assert url.netloc == url.netloc.lower()
    assert not url.query
    assert date(2026, 1, 1) <= date.fromisoformat(preset.checked) <= date(2026, 11, 21)


@each
@pytest.mark.parametrize("field", ["title", "setup", "trap"])
def test_texts(preset: Preset, field: str) -> None:
    text = getattr(preset, field)
    assert text.isascii()
    assert text.isprintable()
    assert text == " ".join(text.split())
    assert 0 < len(text) <= 240
    if field == "title":
        assert not text.endswith(".")
        return
    assert text.endswith(".")
    assert 1 <= len(SENTENCE_END.findall(text)) <= 2
    assert not re.search(r"\b(will|was|were|we|our|I|simply|easy|easily|just)\b", text)


@each
def test_setup_says_who_connects(preset: Preset) -> None:
    assert re.search(r"\byou\b", preset.setup, re.IGNORECASE)
    if not preset.networks:
        assert "trusted_proxies" in preset.setup


@each
def test_options_go_with_each_other(preset: Preset) -> None:
    assert preset.mode in {"x-forwarded-for", "header", "cloudflare", "forwarded"}
    assert preset.mode in MODES
    assert bool(preset.header) == (preset.mode == "header")
    assert preset.hops == 0 or (preset.mode == "x-forwarded-for" and preset.hops > 0)
    assert preset.edge_overwrites or preset.header
    assert preset.header not in {"x-forwarded-for", "forwarded"}
    for name in (preset.header, preset.scheme_header, preset.host_header):
        assert not name or HEADER_NAME.fullmatch(name)


@each
def test_what_the_operator_must_say_is_told(preset: Preset) -> None:
    texts = preset.setup + preset.trap
    assert ("edge_overwrites=True" in texts) == (not preset.edge_overwrites)
    # Akamai's edge_secret is a header of the property's own; its texts have no room for it.
    assert ("edge_secret" in texts) == preset.shared or preset.title == "Akamai"


def _overlap(network: Network, text: str) -> bool:
    other = ipaddress.ip_network(text)
    return network.version == other.version and network.overlaps(other)


@each
def test_networks_parse_strictly(preset: Preset) -> None:
    networks = [ipaddress.ip_network(text, strict=True) for text in preset.networks]
    assert tuple(map(str, networks)) == preset.networks
    assert len(set(networks)) == len(networks)
    for network in networks:
        if preset.title == "Cloudflare Tunnel":
            assert network.is_loopback
        else:
            assert network.is_global
            assert network.prefixlen >= (16 if network.version == 4 else 32)
            assert not any(_overlap(network, text) for text in cloudflare.RANGES)
    versions = [network.version for network in networks]
    assert versions == sorted(versions), "v4 first"


def test_only_these_bring_networks() -> None:
    assert {name: p.networks for name, p in PRESETS.items() if p.networks} == {
        "cloudflare-tunnel": LOOPBACK,
        "fastly": ranges.FASTLY,
        "gcp-lb": ranges.GOOGLE_FRONT_ENDS,
    }


# The counts and edges below are those of the published lists: 19 v4 and 2 v6 networks with
# 304128 v4 addresses for Fastly, 2 v4 and 1 v6 for Google.
@pytest.mark.parametrize(
    ("listed", "v4", "v6", "addresses", "inside", "outside"),
    [
        (ranges.FASTLY, 19, 2, 304_128, "151.101.255.255", "151.102.0.0"),
        (ranges.FASTLY, 19, 2, 304_128, "2a04:4e42::1", "2a04:4e41::1"),
        (ranges.GOOGLE_FRONT_ENDS, 2, 1, 66_560, "130.211.3.255", "130.211.4.0"),
        (ranges.GOOGLE_FRONT_ENDS, 2, 1, 66_560, "2600:2d00:1:1::9", "2600:2d00:1:b029::9"),
    ],
)
def test_published_lists(
    listed: tuple[str, ...], v4: int, v6: int, addresses: int, inside: str, outside: str
) -> None:
    networks = [ipaddress.ip_network(text) for text in listed]
    assert [n.version for n in networks] == [4] * v4 + [6] * v6
    assert sum(n.num_addresses for n in networks if n.version == 4) == addresses
    assert any(_overlap(network, inside) for network in networks)
    assert not any(_overlap(network, outside) for network in networks)


@pytest.mark.parametrize(
    ("source", "published"),
    [
        (ranges.FASTLY_SOURCE, ranges.FASTLY_PUBLISHED),
        (ranges.GOOGLE_FRONT_ENDS_SOURCE, ranges.GOOGLE_FRONT_ENDS_PUBLISHED),
    ],
)
def test_lists_have_source_and_date(source: str, published: str) -> None:
    assert source.startswith("https://")
    days = ("2026-01-01", published, min(p.checked for p in PRESETS.values()))
    assert list(days) == sorted(days)
    assert str(date.fromisoformat(published)) == published


# What was read in the documentation, one fact a row: a change here needs a new reading.
@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("akamai", {"header": "true-client-ip", "edge_overwrites": False, "shared": True}),
        ("apache", {"mode": "x-forwarded-for", "scheme_header": "", "host_header": ""}),
        ("aws-alb", {"mode": "x-forwarded-for", "hops": 0, "networks": ()}),
        ("aws-cloudfront", {"mode": "x-forwarded-for", "shared": True, "networks": ()}),
        ("azure-app-service", {"header": "client-ip", "networks": ()}),
        ("azure-front-door", {"header": "x-azure-socketip", "shared": True, "networks": ()}),
        ("azure-front-door", {"scheme_header": "x-forwarded-proto"}),
        ("azure-front-door", {"host_header": "x-forwarded-host"}),
        ("caddy", {"mode": "x-forwarded-for", "scheme_header": "", "host_header": ""}),
        ("cloudflare-tunnel", {"header": "cf-connecting-ip", "shared": False}),
        ("cloudflare-tunnel", {"scheme_header": "x-forwarded-proto", "host_header": ""}),
        ("envoy", {"mode": "x-forwarded-for", "scheme_header": ""}),
        ("fastly", {"header": "fastly-client-ip", "edge_overwrites": False, "shared": True}),
        ("fly", {"header": "fly-client-ip", "networks": ()}),
        ("gcp-lb", {"mode": "x-forwarded-for", "hops": 2, "shared": False}),
        ("haproxy", {"mode": "x-forwarded-for", "scheme_header": ""}),
        ("heroku", {"mode": "x-forwarded-for", "hops": 0, "networks": ()}),
        ("kinsta", {"header": "cf-connecting-ip", "networks": ()}),
        ("nginx", {"mode": "x-forwarded-for", "scheme_header": ""}),
        ("traefik", {"mode": "x-forwarded-for", "scheme_header": ""}),
    ],
)
def test_facts(name: str, facts: dict[str, object]) -> None:
    assert {key: getattr(PRESETS[name], key) for key in facts} == facts


def test_preset_is_plain_data() -> None:
    preset = PRESETS["nginx"]
    with pytest.raises(AttributeError):
        preset.hops = 1  # type: ignore[misc]  # that it is refused is the test
    assert not hasattr(preset, "__dict__")
    assert Preset._fields[:6] == ("title", "mode", "setup", "trap", "source", "checked")
    assert Preset._field_defaults == {
        "header": "",
        "hops": 0,
        "networks": (),
        "edge_overwrites": True,
        "shared": False,
        "scheme_header": "",
        "host_header": "",
        "one_line": False,
    }
