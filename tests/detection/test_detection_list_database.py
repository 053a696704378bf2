"""MaxMind DB files as lists: which addresses one lists, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from detection_kit import CITY_RECORDS, FIXED, client, observe, write_database
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types
from reload_kit import Clock

from gatehound.detection import Networks, Reputation
from gatehound.detection.list_database import list_database, read_database
from gatehound.detection.reload import Unusable
from gatehound.errors import SettingsError

RECORDS: dict[str, Any] = {
    "192.0.2.0/25": {"is_anonymous": True, "is_tor_exit_node": True, "risk": 90},
    "192.0.2.128/25": {"is_anonymous": True, "risk": 79.9, "traits": {"is_bot": True}},
    "198.51.100.0/24": {"is_anonymous": False, "risk": 80, "traits": "none"},
    "2001:db8:1::/48": {"is_anonymous": True, "risk": "85", "word": "yes"},
    "2001:db8:2::/48": {"risk": "high", "word": "no"},
}
ADDRESSES = ("192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_database(tmp_path_factory.mktemp("lists") / "scores.mmdb", "Scores", RECORDS)


@pytest.mark.parametrize(
    ("field", "listed"),
    [
        (None, ADDRESSES),
        ("is_anonymous", (ADDRESSES[0], ADDRESSES[1], ADDRESSES[3])),
        ("is_tor_exit_node", ADDRESSES[:1]),
        ("traits.is_bot", ADDRESSES[1:2]),
        ("word", ADDRESSES[3:4]),
        ("risk>=80", (ADDRESSES[0], ADDRESSES[2], ADDRESSES[3])),
        ("risk>=79.9", ADDRESSES[:4]),
        ("risk>=0", ADDRESSES[:4]),
        ("risk>=90.5", ()),
    ],
)
def test_which_addresses_a_file_lists(path: str, field: str | None, listed: Any) -> None:
    found = read_database(path, field=field)
    assert found.name == "scores.mmdb" + (f"#{field}" if field else "")
    for address in (*ADDRESSES, "203.0.113.1", "2001:db8:9::1"):
        assert found.covers(ip_address(address).packed) is (address in listed)
    mapped = ip_address("::ffff:192.0.2.1").packed
    assert found.covers(mapped) is ("192.0.2.1" in listed)


def test_a_file_of_ipv4_alone(tmp_path: Path) -> None:
    writer = MMDBWriter(ip_version=4, database_type="Scores")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"risk": 1})
    writer.to_db_file(str(tmp_path / "four.mmdb"))
    found = read_database(str(tmp_path / "four.mmdb"))
    assert found.covers(ip_address("192.0.2.1").packed)
    assert not found.covers(ip_address("2001:db8::1").packed)


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("lists/bots.mmdb", "lists/bots.mmdb"),
        ("a.mmdb#is_tor", "a.mmdb"),
        ("A.MMDB#risk>=80", "A.MMDB"),
        ("odd#name.mmdb#is_tor", "odd#name.mmdb"),
        ("a.mmdb#", "a.mmdb"),
        ("list.txt", None),
        ("list#of.txt", None),
        ("a.mmdb.txt", None),
        ("mmdb", None),
    ],
)
def test_what_is_such_a_file(given: str, file: str | None) -> None:
    source = list_database("detection.reputation.risky", given)
    assert (source and source.path) == file


@pytest.mark.parametrize(
    "field",
    ["", " ", "is tor", "risk>80", "risk>=", "risk>=x", "risk>=-1", "risk=1", ".a", "a.", "a..b",
     "risk>=1#b", "ä", "risk >= 80", "risk>=1e3", "a\n"],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_refused(path: str, field: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_database(path, field=field)
    (line,) = caught.value.lines
    assert line.startswith(f"and {field!r} behind its '#'; write the name of a field that is true")


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("is_anonymus", "true or false"),
        ("anonymous>=1", "number"),
        ("word>=1", "number"),
        ("is_anonymous>=1", "number"),
        ("traits", "true or false"),
        ("risk.level", "true or false"),
    ],
)
def test_a_field_that_no_record_has_is_refused(path: str, field: str, what: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_database(path, field=field)
    (line,) = caught.value.lines
    assert line == (
        f"its records have no field {field!r} with a {what}; they have is_anonymous, "
        "is_tor_exit_node, risk, traits, traits.is_bot, word"
    )


@pytest.mark.slow
def test_a_mark_of_a_few_records_is_found(tmp_path: Path) -> None:
    records: dict[str, Any] = {
        f"10.{one // 256}.{one % 256}.0/24": {"a": one} for one in range(999)
    }
    records["198.51.100.0/24"] = {"is_rare": True}
    path = write_database(tmp_path / "rare.mmdb", "Rare", records)
    assert read_database(path, field="is_rare").covers(ip_address("198.51.100.1").packed)


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("GeoLite2-City", CITY_RECORDS),
        ("GeoLite2-ASN", {"192.0.2.0/24": {"autonomous_system_number": 64496}}),
        ("Own", {"0.0.0.0/0": {"risk": 1}}),
        ("Own", {"2000::/3": {"risk": 1}}),
    ],
)
def test_a_file_that_lists_everybody_is_refused(
    tmp_path: Path, kind: str, records: dict[str, Any]
) -> None:
    path = write_database(tmp_path / "all.mmdb", kind, records)
    with pytest.raises(SettingsError) as caught:
        Reputation(malicious=[path])
    (problem,) = caught.value.problems
    assert problem == (
        f"detection.reputation.malicious: {path!r} was given; it is of type {kind!r}, and lists "
        "every address; write '#' and the field behind it that says which are meant, such as "
        "file.mmdb#is_public_proxy"
    )


@pytest.mark.slow
def test_everybodys_records_with_a_field_are_a_list(tmp_path: Path) -> None:
    records = {"0.0.0.0/1": {"risk": 1}, "128.0.0.0/1": {"risk": 99}}
    path = write_database(tmp_path / "all.mmdb", "GeoIP2-City", records)
    (found,) = Reputation(risky=[f"{path}#risk>=50"]).inspect(
        observe(client_ip=client("198.51.100.1"))
    )
    assert (found.code, found.detail) == ("address_risky", {"list": "all.mmdb#risk>=50"})


def missing(path: Path) -> None:
    path.unlink()


def text(path: Path) -> None:
    path.write_text("192.0.2.0/24\n")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def rubbish(path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b"is_anonymous")
    path.write_bytes(data[: at - 40] + b"\xff" * 60 + data[at + 20 :])


BREAKS: list[Callable[[Path], None]] = [missing, text, cut, rubbish]


@pytest.mark.parametrize("spoil", BREAKS)
@pytest.mark.parametrize("field", ["", "#is_anonymous"])
def test_a_file_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, spoil: Callable[[Path], None], field: str
) -> None:
    path = Path(write_database(tmp_path / "list.mmdb", "Scores", RECORDS))
    spoil(path)
    with pytest.raises(SettingsError) as caught:
        Reputation(risky=[f"{path}{field}"])
    (problem,) = caught.value.problems
    assert problem.startswith(f"detection.reputation.risky: {str(path)!r} was given; ")


@pytest.mark.parametrize("spoil", BREAKS)
def test_one_that_breaks_later_leaves_the_old_one_in_use(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """As a download does that replaces it; the next good one is taken up."""
    path, clock = Path(write_database(tmp_path / "list.mmdb", "Scores", RECORDS)), Clock()
    reputation = Reputation(risky=[f"{path}#is_anonymous"], monotonic=clock)
    fresh = Path(write_database(tmp_path / "fresh.mmdb", "Scores", RECORDS))
    spoil(fresh)
    if fresh.exists():
        fresh.replace(path)
    else:
        path.unlink()
    clock.now += 60
    assert [one.code for one in reputation.inspect(observe())] == ["address_risky"]
    (finding,) = reputation.findings()
    assert finding.startswith(f"detection.reputation.risky: {str(path)!r} was given; ")
    good = {"192.0.2.0/24": {"is_anonymous": False}}
    Path(write_database(tmp_path / "good.mmdb", "Scores", good)).replace(path)
    clock.now += 60
    assert reputation.inspect(observe()) == []
    assert reputation.findings() == []


def test_one_that_is_overwritten_in_place_is_let_go(tmp_path: Path) -> None:
    """It is mapped into memory: what is left there would be believed."""
    path, clock = Path(write_database(tmp_path / "list.mmdb", "Scores", RECORDS)), Clock()
    reputation = Reputation(risky=[str(path)], monotonic=clock)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    os.utime(path, (1, 1))
    clock.now += 60
    assert reputation.inspect(observe()) == []
    assert reputation._files.state.view == ((), ())
    assert len(reputation.findings()) == 1


def test_without_maxminddb_it_says_what_to_install(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(SettingsError, match=r"pip install 'gatehound\[geoip\]'"):
        Reputation(risky=[path])


def test_it_is_a_list_of_networks_too(path: str) -> None:
    networks = Networks(lists={"vpn": [f"{path}#is_anonymous"]})
    assert networks.lookup(ip_address("192.0.2.1")).kind == "vpn"
    assert networks.lookup(ip_address("198.51.100.1")).kind == ""


def test_it_is_loaded_for_who_has_one() -> None:
    code = (
        "import sys; from gatehound.detection import Reputation; "
        "print('gatehound.detection.list_database' in sys.modules, 'maxminddb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@FIXED
@given(st.text(max_size=12))
def test_no_text_behind_the_sign_raises_anything_else(field: str) -> None:
    with pytest.raises(Unusable):
        read_database("/nowhere/list.mmdb", field=field)


@pytest.mark.parametrize("value", [None, [], {}, 2, -1, 1.5, "maybe", b"\x01"])
def test_what_is_no_mark_marks_nobody(tmp_path: Path, value: Any) -> None:
    records = {"192.0.2.0/24": {"mark": True}, "198.51.100.0/24": {"mark": value}}
    if value is None:
        records["198.51.100.0/24"] = {}
    path = write_database(tmp_path / "odd.mmdb", "Odd", records)
    found = read_database(path, field="mark")
    assert found.covers(ip_address("192.0.2.1").packed)
    assert not found.covers(ip_address("198.51.100.1").packed)
