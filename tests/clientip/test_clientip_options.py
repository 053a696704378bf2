"""What an operator may write, what is refused, and what the refusal says."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import netaddr  # type: ignore[import-untyped]  # netaddr ships no types
import pytest

from gatehound.clientip import ClientIPResolver, cloudflare
from gatehound.errors import SettingsError


def trusted(given: Any, **options: Any) -> list[str]:
    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=given, **options)
    return list(resolver.trusted_proxies)


ACCEPTED: list[tuple[Any, list[str]]] = [
    ((), []),
    ("", []),
    ("\n", []),
    ("10.0.0.0/8", ["10.0.0.0/8"]),
    ("10.0.0.1", ["10.0.0.1/32"]),
    ("10.0.0.0/8, 192.0.2.1", ["10.0.0.0/8", "192.0.2.1/32"]),
    ("10.0.0.0/8\r\n192.0.2.1\n", ["10.0.0.0/8", "192.0.2.1/32"]),
    (["::1", "2001:DB8::/32"], ["::1/128", "2001:db8::/32"]),
    (["::ffff:10.0.0.0/104"], ["10.0.0.0/8"]),
    (["::ffff:10.0.0.1"], ["10.0.0.1/32"]),
    (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"]),
    (["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"], ["10.0.0.0/8"]),
    (["10.0.0.1-10.0.0.2"], ["10.0.0.1/32", "10.0.0.2/32"]),
    (["10.0.0.0 - 10.0.0.255"], ["10.0.0.0/24"]),
    (["::ffff:10.0.0.0-::ffff:10.0.0.255"], ["10.0.0.0/24"]),
    (["2001:db8::-2001:db8::1"], ["2001:db8::/127"]),
    (["10.0.*.*"], ["10.0.0.0/16"]),
    ("unix", ["unix"]),
    (["unix", "10.0.0.0/8"], ["10.0.0.0/8", "unix"]),
    (
        "private",
        ["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"],
    ),
    (ipaddress.ip_network("10.0.0.0/8"), ["10.0.0.0/8"]),
    (ipaddress.ip_address("::1"), ["::1/128"]),
    ([ipaddress.IPv4Interface("10.0.0.1/32")], ["10.0.0.1/32"]),
    (netaddr.IPSet(["10.0.0.0/8", "192.0.2.1"]), ["10.0.0.0/8", "192.0.2.1/32"]),
    ([netaddr.IPNetwork("10.0.0.0/8"), netaddr.IPAddress("::1")], ["10.0.0.0/8", "::1/128"]),
    ([netaddr.IPRange("10.0.0.0", "10.0.0.255")], ["10.0.0.0/24"]),
    ([netaddr.IPGlob("10.0.0.*")], ["10.0.0.0/24"]),
    ({"10.0.0.0/8"}, ["10.0.0.0/8"]),
    (iter(["10.0.0.0/8"]), ["10.0.0.0/8"]),
]


def _id(value: object) -> str:
    return "iterator" if isinstance(value, Iterator) else str(value)  # its repr is an address


@pytest.mark.parametrize(("given", "merged"), ACCEPTED, ids=_id)
def test_accepted_entries_are_merged_and_shown(given: Any, merged: list[str]) -> None:
    resolver = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=given)
    assert list(resolver.trusted_proxies) == merged
    assert repr(resolver) == f"ClientIPResolver(mode='x-forwarded-for', trusted_proxies={merged!r})"


REFUSED: list[tuple[Any, str]] = [
    ("10.0.0.5/8", "write '10.0.0.0/8'"),
    ("2001:db8::1/32", "write '2001:db8::/32'"),
    ("10.0.0.0/33", "from 0 to 32"),
    ("::/129", "from 0 to 128"),
    ("10.0.0.0/", "from 0 to 32"),
    ("10.0.0.0/08", "from 0 to 32"),
    ("10.0.0.0/-1", "from 0 to 32"),
    ("10.0.0.0/٨", "from 0 to 32"),
    ("10.0.0.0/255.0.0.0", "from 0 to 32 after the '/', such as '10.0.0.0/8'"),
    ("10.0.0.0/255.0.x", "from 0 to 32"),
    ("10.0.0.1 10.0.0.2", "put commas between them"),
    ("10.0.0.1;10.0.0.2", "put commas between them"),
    ("nginx", "is a mode and publishes no networks; write mode='nginx'"),
    ("[2001:db8::1]:443", "has a port; write '2001:db8::1'"),
    ("proxy.example.com", "names are not looked up"),
    ("localhost", "write '127.0.0.0/8' and '::1'"),
    ("my-proxy", "names are not looked up"),
    ("claudflare", "did you mean 'cloudflare'"),
    ("Private", "did you mean 'private'"),
    ("10.0.0", "neither an address nor a network"),
    ("0x0a000001", "neither an address nor a network"),
    ("10.0.0.1:80", "has a port; write '10.0.0.1'"),
    ("[::1]", "neither an address nor a network"),
    ("999.0.0.01", "neither an address nor a network"),
    ("fe80::1%eth0", "has a zone"),
    ("fe80::%eth0/10", "has a zone"),
    ("010.0.0.0/8", "write '10.0.0.0/8' if you mean that"),
    ("10.0.0.1,,10.0.0.2", "an entry is empty"),
    (",10.0.0.1", "an entry is empty"),
    ([""], "an entry is empty"),
    (["10.0.0.1, 10.0.0.2"], "give each entry by itself"),
    ("::ffff:10.0.0.0/8", "write '10.0.0.0/8', or count the prefix from 96: '::ffff:10.0.0.0/104'"),
    ("::ffff:10.0.0.1/64", "write '10.0.0.1', or a prefix length from 96 to 128"),
    ("::/8", "covers every IPv4 address"),
    ("::/80", "covers every IPv4 address"),
    ("::-ffff::", "covers every IPv4 address"),
    ("::ffff:0:0/96", "covers 0.0.0.0/0"),
    ("::ffff:10.0.0.5/104", "write '10.0.0.0/8' for the network, or '10.0.0.5'"),
    ("0.0.0.0/0", "covers 0.0.0.0/0"),
    ("::/0", "covers ::/0"),
    ("*", "covers 0.0.0.0/0 and ::/0"),
    ("*.*.*.*", "covers 0.0.0.0/0"),
    ("0.0.0.0-255.255.255.255", "covers 0.0.0.0/0"),
    (["0.0.0.0/1", "128.0.0.0/1"], "trust_everyone=True"),
    (["0.0.0.0/1"], "covers most of 0.0.0.0/0"),
    (["2000::/3"], "covers most of ::/0"),
    ("0.0.0.0", "nobody's address"),  # noqa: S104 - a trust entry, no bind
    ("::", "nobody's address"),
    ("10.0.0.9-10.0.0.1", "write '10.0.0.1-10.0.0.9'"),
    ("10.0.0.1-", "is no range"),
    ("10.0.0.1-::1", "is no range"),
    ("10.0.0.1-9", "is no range"),
    ("10.*", "is no wildcard"),
    ("10.0.*.1", "is no wildcard"),
    ("010.*.*.*", "is no wildcard"),
    ("2001:db8::*", "is no wildcard"),
    (5, "is no list"),
    (None, "is no list"),
    (b"10.0.0.0/8", "is no list"),
    ({"10.0.0.0/8": 1}, "is no list"),
    ([5], "is no entry"),
    ([True], "is no entry"),
    ([b"10.0.0.0/8"], "is no entry"),
    ([None], "is no entry"),
    ([ipaddress.IPv4Interface("10.0.0.5/8")], "write '10.0.0.0/8'"),
    ([netaddr.IPNetwork("10.0.0.5/8")], "write '10.0.0.0/8'"),
    (["x" * 500], "..."),
]


@pytest.mark.parametrize(("given", "says"), REFUSED, ids=str)
def test_refused_entries_say_what_to_write(given: Any, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ClientIPResolver(mode="x-forwarded-for", trusted_proxies=given)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("given", ["*", "0.0.0.0/0,::/0", "*\n10.0.0.0/8", ""])
def test_everyone_can_be_trusted_by_name(given: str) -> None:
    assert trusted(given, trust_everyone=True) == ["0.0.0.0/0", "::/0"]


def test_everyone_is_not_the_unix_socket() -> None:
    resolver = ClientIPResolver(mode="x-forwarded-for", trust_everyone=True)
    answer = resolver.resolve(peer="", headers=[("x-forwarded-for", "203.0.113.7")])
    assert answer.reason == "unix-peer-not-trusted"


KEY = "s3cr3t-of-an-edge"
HEADER: dict[str, Any] = {"mode": "header", "trusted_proxies": "10.0.0.1"}
LISTED: dict[str, Any] = {"mode": "x-forwarded-for", "trusted_proxies": "10.0.0.1"}

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"mode": "x_forwarded_for"}, "did you mean 'x-forwarded-for'"),
    ({"mode": "cloud-flare"}, "did you mean 'cloudflare'"),
    ({"mode": "heather"}, "The modes are remote-addr, auto, cloudflare"),
    ({"mode": "aws"}, "did you mean 'aws-alb'"),
    ({"mode": "XFF"}, "did you mean 'x-forwarded-for'?"),
    ({"mode": "X_Forwarded_For"}, "did you mean 'x-forwarded-for'?"),
    ({"mode": "cloudfront"}, "did you mean 'aws-cloudfront'?"),
    ({"mode": "gcp-lb", "hops": 1}, "write 2 or more"),
    ({"mode": "header", "header": "Host", "trusted_proxies": "10.0.0.1"}, "does not say who"),
    ({"mode": "header", "header": "user-agent", "trusted_proxies": "10.0.0.1"}, "does not say who"),
    ({**LISTED, "scheme_header": "X-Forwarded-For"}, "holds something else"),
    ({**LISTED, "host_header": "Host"}, "such as X-Forwarded-Host"),
    ({**LISTED, "scheme_header": "X-A", "host_header": "X-A"}, "one of the two is wrong"),
    (
        {**LISTED, "edge_secret": ("X-Forwarded-For", "s3cr3t-of-an-edge")},
        "is a header that others",
    ),
    ({**LISTED, "edge_secret": ("X-Edge", "changemechangeme")}, "under 8 different characters"),
    ({**LISTED, "edge_secret": ("X-Edge", "0000-0000-0000-0000")}, "under 8 different characters"),
    ({"mode": None}, "None is not known"),
    ({"mode": ["auto"]}, "is not known"),
    ({"trust_everyone": 1}, "write True or False"),
    ({"trust_everyone": "yes"}, "write True or False"),
    ({"trust_everyone": True, "trusted_proxies": "10.0.0.0/8"}, "add '*' to trusted_proxies"),
    ({"peer_port": 1}, "write True or False"),
    ({"on_all_trusted": "nearest"}, "write 'farthest' or 'unresolved'"),
    ({"on_all_trusted": None}, "write 'farthest' or 'unresolved'"),
    ({"mode": "x-forwarded-for", "hops": 1}, "a count needs trusted_proxies too"),
    *(
        ({"mode": "x-forwarded-for", "hops": hops, "trusted_proxies": "10.0.0.1"}, "whole number")
        for hops in (0, -1, True, False, "2", 1.0, 33)
    ),
    ({"mode": "forwarded", "hops": 1, "trusted_proxies": "10.0.0.1"}, "mode='x-forwarded-for'"),
    # header
    (HEADER, "mode 'header' needs one"),
    ({"mode": "header", "header": "X-Y"}, "needs the addresses of the proxies that write"),
    ({**HEADER, "header": "X-Forwarded-For"}, "write mode='x-forwarded-for'"),
    ({**HEADER, "header": "forwarded"}, "write mode='forwarded'"),
    ({**HEADER, "header": "X-Real-IP"}, "write mode='x-real-ip'"),
    ({**HEADER, "header": "X_Client"}, "write 'X-Client': servers drop or fold underscores"),
    ({**HEADER, "header": "X Client"}, "is no header name; write letters, digits and hyphens"),
    ({**HEADER, "header": "X-Clïent"}, "is no header name"),
    ({**HEADER, "header": ""}, "is no header name"),
    ({**HEADER, "header": 7}, "is no header name"),
    ({"mode": "auto", "header": "X-Y"}, "write mode='header', or leave out header"),
    *(
        ({**HEADER, "header": name}, "then say edge_overwrites=True")
        for name in ("Fastly-Client-IP", "True-Client-IP", "X-Azure-ClientIP", "x-client-ip")
    ),
    ({"mode": "auto", "edge_overwrites": True}, "leave it out"),
    ({**HEADER, "header": "X-Y", "edge_overwrites": 1}, "write True or False"),
    # presets
    ({"mode": "nginx"}, "needs the addresses that connect to this server. You write 'proxy_set"),
    ({"mode": "fastly"}, "then say edge_overwrites=True"),
    ({"mode": "azure-front-door", "trusted_proxies": "10.0.0.1", "header": "X-Y"}, "reads x-azure"),
    ({"mode": "nginx", "trusted_proxies": "10.0.0.1", "header": "X-Y"}, "leave out header"),
    ({"mode": "cloudflare-tunnel", "hops": 1}, "mode is 'header'"),
    # edge_secret: no message shows a value
    ({**LISTED, "edge_secret": "X-Edge"}, "this str is not allowed; write (header, value)"),
    ({**LISTED, "edge_secret": ("X-Edge",)}, "this tuple is not allowed"),
    ({**LISTED, "edge_secret": ("X-Edge", None)}, "this tuple is not allowed"),
    ({**LISTED, "edge_secret": {"X-Edge": KEY}}, "this dict is not allowed"),
    ({**LISTED, "edge_secret": ("X-Edge", "s3cr3t")}, "under 16 characters"),
    ({**LISTED, "edge_secret": ("X-Edge", KEY, KEY + "\n")}, "cannot carry"),
    ({**LISTED, "edge_secret": ("X-Edge", "made by s3cr3t keygen")}, "a blank or a comma"),
    ({**LISTED, "edge_secret": ("X_Edge", KEY)}, "the first is no header name"),
    ({**LISTED, "edge_secret": (KEY + "==", "X-Edge-Secret-Key")}, "write the header first"),
    ({**LISTED, "edge_secret": (KEY, "X-Edge-Secret-Key")}, "write the header first"),
    ({"edge_secret": ("X-Edge", KEY)}, "reads no header"),
    # allow_headerless
    ({"allow_headerless": "10.0.0.1"}, "reads no header"),
    ({**LISTED, "allow_headerless": "10.0.0.2"}, "10.0.0.2/32 is not in trusted_proxies"),
    ({**LISTED, "allow_headerless": "10.0.0.0/31"}, "10.0.0.0/32 is not in trusted_proxies"),
    ({**LISTED, "allow_headerless": "unix"}, "has no address to answer with"),
    ({**LISTED, "allow_headerless": "10.0.0.5/8"}, "allow_headerless: '10.0.0.5/8' has bits"),
    ({**LISTED, "allow_headerless": "*"}, "allow_headerless: 0.0.0.0/5, 8.0.0.0/7"),
    ({**LISTED, "allow_headerless": 5}, "allow_headerless: 5 is no list"),
    # scheme and host
    ({"scheme_header": "X-Forwarded-Proto"}, "reads no header"),
    ({"mode": "forwarded", "host_header": "X-Forwarded-Host"}, "finds it in the element itself"),
    ({**LISTED, "scheme_header": "X_Scheme"}, "write 'X-Scheme'"),
    ({**LISTED, "host_header": 7}, "is no header name"),
    # the list of Cloudflare's networks
    ({"cloudflare_ranges": ""}, "write the path of a file"),
    ({"cloudflare_ranges": 7}, "write the path of a file"),
    ({"cloudflare_ranges": "/does/not/exist"}, "'/does/not/exist' cannot be read"),
]


@pytest.mark.parametrize(("options", "says"), OPTIONS, ids=str)
def test_refused_options_say_what_to_write(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ClientIPResolver(**options)
    assert says in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_repr_shows_what_holds_and_no_secret() -> None:
    resolver = ClientIPResolver(
        mode="header",
        header="X-Azure-SocketIP",
        trusted_proxies=["10.0.0.0/9", "10.128.0.0/9"],
        edge_secret=("X-Edge", KEY),
        allow_headerless=["10.0.0.1"],
        scheme_header="X-Forwarded-Proto",
        host_header="X-Forwarded-Host",
        peer_port=True,
        on_all_trusted="unresolved",
    )
    assert repr(resolver) == (
        "ClientIPResolver(mode='header', trusted_proxies=['10.0.0.0/8'], "
        "header='x-azure-socketip', edge_secret='x-edge: ...', allow_headerless=['10.0.0.1/32'], "
        "scheme_header='x-forwarded-proto', host_header='x-forwarded-host', peer_port=True, "
        "on_all_trusted='unresolved')"
    )
    assert "s3cr3t" not in repr(resolver._rules)
    counted = ClientIPResolver(mode="gcp-lb")
    assert counted.mode == "gcp-lb"
    assert repr(counted).endswith("hops=2)")


def test_a_preset_can_be_told_otherwise() -> None:
    counted = ClientIPResolver(mode="gcp-lb", hops=3, trusted_proxies="10.0.0.1")
    assert "hops=3" in repr(counted)
    assert "10.0.0.1/32" in counted.trusted_proxies
    assert "35.191.0.0/16" in trusted("gcp-lb")


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        ClientIPResolver(
            mode="nope",
            trusted_proxies=["foo", "10.0.0.5/8"],
            hops=0,
            peer_port="x",  # type: ignore[arg-type]  # the wrong type is the case
        )
    assert len(caught.value.problems) == 5


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        ClientIPResolver("auto")  # type: ignore[call-arg]  # the wrong call is the case


def test_resolver_is_immutable() -> None:
    resolver = ClientIPResolver()
    for name in ("mode", "trusted_proxies", "anything"):
        with pytest.raises(AttributeError):
            setattr(resolver, name, "auto")
    assert resolver.mode == "remote-addr"


def test_cloudflare_list_is_the_published_one() -> None:
    """Size and count are of the published lists; netaddr, not our own table, adds them up."""
    v4 = [r for r in cloudflare.RANGES if ":" not in r]
    assert (len(v4), len(cloudflare.RANGES) - len(v4)) == (15, 7)
    assert len({*cloudflare.RANGES}) == 22
    assert netaddr.IPSet(v4).size == sum(2 ** (32 - int(r.split("/")[1])) for r in v4)
    assert trusted("cloudflare") == [str(n) for n in netaddr.IPSet(cloudflare.RANGES).iter_cidrs()]
    assert ipaddress.ip_address(cloudflare.WORKER) == ipaddress.ip_address("2a06:98c0:3600::103")


def test_old_list_warns_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflare, "_warned", {})
    limit = date.fromisoformat(cloudflare.PUBLISHED) + timedelta(days=cloudflare.MAX_AGE_DAYS)
    with caplog.at_level(logging.WARNING, logger="gatehound.clientip"):
        cloudflare.warn_if_stale(cloudflare.BUNDLED, limit)
        assert caplog.records == []
        cloudflare.warn_if_stale(cloudflare.BUNDLED, limit + timedelta(days=1))
        cloudflare.warn_if_stale(cloudflare.BUNDLED, limit + timedelta(days=2))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "181 days old" in caplog.text


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"mode": "cloudflare"}, 1),
        ({"mode": "auto"}, 1),
        ({"trusted_proxies": "cloudflare"}, 1),
        ({}, 0),
        ({"trusted_proxies": "private"}, 0),
    ],
    ids=str,
)
def test_only_who_uses_the_list_is_warned(
    options: dict[str, Any],
    times: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cloudflare, "_warned", {})
    old = cloudflare.BUNDLED._replace(published="2020-01-01")
    monkeypatch.setattr(cloudflare, "BUNDLED", old)
    with caplog.at_level(logging.WARNING, logger="gatehound.clientip"):
        ClientIPResolver(**options)
        ClientIPResolver(**options)
    assert len(caplog.records) == times
