"""What an operator may write, what is refused, and what the refusal says."""

from __future__ import annotations

import ipaddress
import logging
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


@pytest.mark.parametrize(("given", "merged"), ACCEPTED, ids=str)
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
    ("10.0.0.0/255.0.0.0", "from 0 to 32"),
    ("proxy.example.com", "names are not looked up"),
    ("localhost", "names are not looked up"),
    ("my-proxy", "names are not looked up"),
    ("claudflare", "did you mean 'cloudflare'"),
    ("Private", "did you mean 'private'"),
    ("10.0.0", "neither an address nor a network"),
    ("0x0a000001", "neither an address nor a network"),
    ("10.0.0.1:80", "neither an address nor a network"),
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


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"mode": "x_forwarded_for"}, "did you mean 'x-forwarded-for'"),
    ({"mode": "cloud-flare"}, "did you mean 'cloudflare'"),
    ({"mode": "header"}, "Allowed are remote-addr, auto, cloudflare"),
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
]


@pytest.mark.parametrize(("options", "says"), OPTIONS, ids=str)
def test_refused_options_say_what_to_write(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ClientIPResolver(**options)
    assert says in str(caught.value)


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
    with pytest.raises(AttributeError, match="immutable"):
        resolver.mode = "auto"  # type: ignore[misc]  # the refused assignment is the case
    with pytest.raises(AttributeError, match="immutable"):
        del resolver._rules
    assert resolver.mode == "remote-addr"
    assert "hops=2" in repr(
        ClientIPResolver(mode="x-forwarded-for", trusted_proxies="10.0.0.1", hops=2)
    )


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
    limit = cloudflare.PUBLISHED + timedelta(days=cloudflare.MAX_AGE_DAYS)
    with caplog.at_level(logging.WARNING, logger="gatehound.clientip"):
        cloudflare.warn_if_stale(limit)
        assert caplog.records == []
        cloudflare.warn_if_stale(limit + timedelta(days=1))
        cloudflare.warn_if_stale(limit + timedelta(days=2))
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
    monkeypatch.setattr(cloudflare, "PUBLISHED", date(2020, 1, 1))
    with caplog.at_level(logging.WARNING, logger="gatehound.clientip"):
        ClientIPResolver(**options)
        ClientIPResolver(**options)
    assert len(caplog.records) == times
