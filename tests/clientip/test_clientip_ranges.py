"""A list of Cloudflare's networks from a file: the forms, and what is refused."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatehound.clientip import ClientIPResolver, cloudflare

V4, V6 = "198.41.128.0/17", "2606:4700::/32"
NEW = "8.8.8.0/24"  # public, and not in the bundled list

FORMS = [
    f"\ufeff{V4}\n{NEW}\n{V6}",
    f"{V4}\n{NEW}\n\n{V6}\n",
    f"# a comment\r\n{V4} # another\r\n{NEW}\r\n{V6}",
    json.dumps({"result": {"ipv4_cidrs": [V4, NEW], "ipv6_cidrs": [V6]}, "success": True}),
    json.dumps({"networks": [V4, NEW, V6], "published": "2026-11-02"}),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "ranges"
    path.write_text(text, encoding="utf-8")
    os.utime(path, (0, datetime(2026, 11, 1, tzinfo=UTC).timestamp()))
    return path


@pytest.mark.parametrize("text", FORMS)
def test_forms(tmp_path: Path, text: str) -> None:
    ranges = cloudflare.load(written(tmp_path, text))
    assert ranges.networks == (V4, NEW, V6)
    assert ranges.published == ("2026-11-02" if "published" in text else "2026-11-01")


def test_a_newer_list_decides_who_is_the_edge(tmp_path: Path) -> None:
    path = written(tmp_path, FORMS[0])
    for mode in ("cloudflare", "auto"):
        resolver = ClientIPResolver(mode=mode, cloudflare_ranges=path)
        headers = [("cf-connecting-ip", "203.0.113.7")]
        assert resolver.resolve(peer="8.8.8.8", headers=headers).text == "203.0.113.7"
        gone = resolver.resolve(peer="104.16.0.1", headers=headers)
        assert (gone.text, gone.reason) == ("104.16.0.1", "peer-not-trusted")
    named = ClientIPResolver(
        mode="x-forwarded-for", trusted_proxies="cloudflare", cloudflare_ranges=str(path)
    )
    assert NEW in named.trusted_proxies
    found = ClientIPResolver(cloudflare_ranges=path).resolve(peer="8.8.8.8")
    assert found.flags == {"known-provider-range"}


REFUSED = [
    ("", "IPv4 and IPv6 networks are needed"),
    (V4, "IPv4 and IPv6 networks are needed"),
    (f"{V6}\n", "IPv4 and IPv6 networks are needed"),
    (f"{V4}\n{V6}\n<html>", "entry 3 of it is no network"),
    (f"{V4}\n{V6}\n198.41.128.1/17", "entry 3 of it is no network"),
    (f"{V4}\n{V6}\n0.0.0.0/0", "'0.0.0.0/0' is no network of Cloudflare's"),
    (f"{V4}\n{V6}\n64.0.0.0/9", "public networks of at least /10"),
    (f"{V4}\n{V6}\n10.0.0.0/16", "'10.0.0.0/16' is no network of Cloudflare's"),
    (f"{V4}\n{V6}\n2600::/16", "public networks of at least /24"),
    ("{", "Expecting property name"),
    ("{}", "IPv4 and IPv6 networks are needed"),
    ('{"networks": "1.1.1.1"}', "networks has to be a list of texts"),
    ('{"networks": [7]}', "networks has to be a list of texts"),
    ('{"result": []}', "an object is expected"),
    ("[]", "an object is expected"),
    ("[" * 100_000, "recursion"),
    ('{"success": false}', "could not be fetched"),
    ('{"networks": [], "published": "9999-01-01"}', "which is to come"),
    ('{"networks": [], "published": 20260101}', "published has to be a text"),
    (f"{V4}\n2400:cb00::%eth0/32", "entry 2 of it is no network"),
    (f"{V6}\n198.41.128.0/255.255.128.0", "entry 2 of it is no network"),
    ("\n".join([V6, *(f"{n}.0.0.0/10" for n in range(11, 20))]), "many times what Cloudflare has"),
    ('{"networks": [], "published": "soon"}', "Invalid isoformat"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_refused_lists_say_why(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="ranges'") as caught:
        cloudflare.load(path)
    assert says in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ranges"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read"):
        cloudflare.load(path)
    with pytest.raises(ValueError, match="cannot be read"):
        cloudflare.load(tmp_path)
