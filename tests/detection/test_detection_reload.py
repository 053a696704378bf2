"""Files that change while they are in use."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from detection_kit import ASN_RECORDS, place, write_database
from reload_kit import Clock, city, words

from gatehound.detection import Networks
from gatehound.detection.reload import Files, Source, Unusable, stamp_of
from gatehound.model import Network

HERE = ip_address("192.0.2.1")
DE = {"192.0.2.0/24": place("DE", "EU", "Berlin", 2950159)}
FR = {"192.0.2.0/24": place("FR", "EU", "Paris", 2988507)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "city.mmdb"


def test_a_replaced_database_is_seen_when_it_is_due(path: Path, clock: Clock) -> None:
    networks = Networks(city=city(path, DE), reload_every=60, monotonic=clock)
    before = networks.lookup(HERE)
    city(path, FR)
    clock.now += 59.9
    assert networks.lookup(HERE) is before
    clock.now += 0.1
    after = networks.lookup(HERE)
    assert (before.country, after.country) == ("DE", "FR")
    assert before.build != after.build
    assert after.build == networks.build
    assert networks.findings() == []


def test_never_and_at_once(path: Path, clock: Clock) -> None:
    networks = Networks(city=city(path, DE), reload_every=0, monotonic=clock)
    city(path, FR)
    clock.now += 1e9
    assert networks.lookup(HERE).country == "DE"
    assert networks.refresh()
    assert networks.lookup(HERE).country == "FR"
    assert not networks.refresh()


def test_nothing_is_looked_at_between(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def counted(path: str) -> tuple[int, ...]:
        looks.append(path)
        return stamp_of(path)

    monkeypatch.setattr("gatehound.detection.reload.stamp_of", counted)
    clock = Clock()
    networks = Networks(city=city(path, DE), reload_every=60, monotonic=clock)
    looks.clear()
    for seconds in range(121):
        clock.now = 1000.0 + seconds
        networks.lookup(HERE)
        networks.lookup(HERE)
    assert len(looks) == 2
    assert Networks(monotonic=clock)._files.due == float("inf")


def test_time_size_and_inode_each_tell_a_change(path: Path) -> None:
    networks = Networks(city=city(path, DE))
    os.utime(path, ns=(1, 1))
    assert networks.refresh()
    data = path.read_bytes()
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.utime(new, ns=(1, 1))
    new.replace(path)
    assert networks.refresh()
    assert not networks.refresh()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("removed", Path.unlink, "there is no such file"),
    ("a folder", folder, "there is no such file"),
    ("a text", lambda path: words(path, "<html>404</html>"), "cannot be opened as a MaxMind DB"),
    ("empty", lambda path: words(path, ""), "cannot be opened as a MaxMind DB"),
    (
        "another type",
        lambda path: (
            write_database(path.with_suffix(".asn"), "GeoLite2-ASN", ASN_RECORDS)
            and path.with_suffix(".asn").replace(path)
        ),
        "set it as detection.asn_database",
    ),
]


@pytest.mark.parametrize(
    ("change", "expected"), [pytest.param(*row[1:], id=row[0]) for row in BROKEN]
)
def test_a_file_that_cannot_be_used_leaves_the_old_one(
    path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], object],
    expected: str,
) -> None:
    networks = Networks(city=city(path, DE), reload_every=1, monotonic=clock)
    before = networks.lookup(HERE)
    change(path)
    for _ in range(3):
        clock.now += 1
        assert networks.lookup(HERE) is before
    (told,) = caplog.records
    assert (told.name, told.levelno) == ("gatehound", logging.WARNING)
    assert told.getMessage().endswith("until it can be used, what was read before stays in use")
    (finding,) = networks.findings()
    assert finding.startswith(f"detection.city_database: {str(path)!r} was given; ")
    assert expected in finding
    assert finding in told.getMessage()
    if path.is_dir():
        path.rmdir()
    city(path, FR)
    clock.now += 1
    assert networks.lookup(HERE).country == "FR"
    assert networks.findings() == []


def test_a_problem_is_reported_once_though_other_files_change(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = tmp_path / "tor.txt"
    networks = Networks(city=city(path, DE), lists={"tor": [words(listed, "# none\n")]})
    path.unlink()
    assert not networks.refresh()
    words(listed, "192.0.2.1\n")
    assert networks.refresh()
    found = networks.lookup(HERE)
    assert (found.country, found.kind) == ("DE", "tor")
    assert len(caplog.records) == len(networks.findings()) == 1


def test_a_database_cut_while_it_is_written_beside(path: Path) -> None:
    """Every cut of a new file either is refused or has the old file's contents in use."""
    networks = Networks(city=city(path, DE))
    whole = Path(write_database(path.with_suffix(".whole"), "GeoLite2-City", FR)).read_bytes()
    for size in range(0, len(whole), 97):
        part = path.with_suffix(".part")
        part.write_bytes(whole[:size])
        part.replace(path)
        assert not networks.refresh()
        assert networks.lookup(HERE).country == "DE"
        assert len(networks.findings()) == 1
    words(path, "")
    path.write_bytes(whole)
    assert networks.refresh()
    assert networks.lookup(HERE).country == "FR"


def test_a_database_overwritten_in_place_is_let_go(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was mapped is overwritten too: whatever it says now would be believed."""
    networks = Networks(city=city(path, DE))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert networks.refresh()
    assert networks.lookup(HERE) == Network(prefix="192.0.2.0/24")
    assert networks.build == 0
    assert networks.has_city
    assert caplog.records[0].getMessage().endswith("until it can be used, nothing is read from it")
    path.write_bytes(whole)
    assert networks.refresh()
    assert networks.lookup(HERE).country == "DE"


def test_a_list_that_changes(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vpn.txt"
    networks = Networks(
        lists={"vpn": [words(path, "192.0.2.0/24\n")]}, reload_every=60, monotonic=clock
    )
    seen = [networks.lookup(HERE).kind]
    for text in ("198.51.100.0/24\n", "192.0.2.0/24\n198.51.100.0/2", "", "# none\n", "192.0.2.1"):
        path.write_text(text)  # in place: lists are in memory, and need no renaming
        os.utime(path, ns=(len(seen), len(seen)))
        clock.now += 60
        seen.append(networks.lookup(HERE).kind)
    assert seen == ["vpn", "", "", "", "", "vpn"]
    assert ["line 2" in one.getMessage() for one in caplog.records] == [True, False]
    assert "it is empty" in caplog.records[1].getMessage()
    assert networks.build == 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_any_more(path: Path) -> None:
    networks = Networks(city=city(path, DE))
    city(path, FR)
    path.chmod(0)
    assert not networks.refresh()
    assert "let the process read it" in networks.findings()[0]


def test_a_file_that_fails_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As for root too: the error is raised where the file is read."""
    path = tmp_path / "tor.txt"
    networks = Networks(lists={"tor": [words(path, "192.0.2.1\n")]})
    words(path, "192.0.2.2\n")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert not networks.refresh()
    assert networks.lookup(HERE).kind == "tor"
    given = f"detection.network_lists.tor: {str(path)!r} was given;"
    assert networks.findings() == [
        f"{given} it cannot be read: Permission denied; let the process read it"
    ]
    # The same file is not tried again, and reported once: only a change makes a difference.
    assert not networks.refresh()
    assert len(caplog.records) == 1


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """What was read may be a half: it is used, and read again at the next look."""
    path = tmp_path / "x"
    path.write_text("first")
    writes = ["second", "third"]

    def read(name: str) -> str:
        text = Path(name).read_text()
        if text == "first" and writes:
            path.write_text(writes.pop(0))
        return text

    source = Source("x", str(path), read)
    files = Files((source,), lambda contents: contents.of(source), **PLAIN, problems=[])
    assert files.state.view == "first"
    assert files.refresh()
    assert files.state.view == "second"
    assert not files.refresh()


PLAIN: Any = {"every": 0.0, "monotonic": lambda: 0.0}


def test_whatever_a_reader_raises_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("1")

    def read(name: str) -> str:
        if Path(name).read_text() == "1":
            raise MemoryError("too much")
        raise Unusable("first", "second")

    problems: list[str] = []
    files = Files((Source("a.b", str(path), read),), lambda _: None, **PLAIN, problems=problems)
    start = f"a.b: {str(path)!r} was given; "
    assert problems == files.findings() == [f"{start}it cannot be read (MemoryError: too much)"]
    path.write_text("22")
    assert not files.refresh()
    assert files.findings() == [f"{start}first", f"{start}second"]
    assert str(Unusable("first", "second")) == "first; second"


def test_old_files_are_freed_and_not_before(path: Path) -> None:
    networks = Networks(city=city(path, DE))
    lookup = networks._files.state.view
    gc.disable()  # freed by the last reference, or a mapping would stay until a collection
    try:
        for turn in range(3):
            city(path, FR if turn % 2 else DE)
            assert networks.refresh()
        assert lookup(ip_address("192.0.2.9").packed).country == "DE"
        maps = Path("/proc/self/maps")
        if sys.platform == "linux":
            assert f"{path} (deleted)" in maps.read_text()
            del lookup
            assert f"{path} (deleted)" not in maps.read_text()
    finally:
        gc.enable()


@pytest.mark.slow
def test_threads_see_one_file_or_the_other(path: Path, tmp_path: Path) -> None:
    """Oracle: country and city belong together; two threads look up, one replaces files."""
    spare = {name: tmp_path / f"{name}.mmdb" for name in ("DE", "FR")}
    write_database(spare["DE"], "GeoLite2-City", DE)
    write_database(spare["FR"], "GeoLite2-City", FR)
    data = {name: one.read_bytes() for name, one in spare.items()}
    ticks = iter(range(1, 10_000_000))
    networks = Networks(city=city(path, DE), reload_every=1, monotonic=lambda: float(next(ticks)))
    wrong: list[object] = []
    stop = threading.Event()

    def look() -> None:
        for host in cycle(range(256)):
            found = networks.lookup(ip_address(0xC0000200 + host))
            if (found.country, found.city) not in {("DE", "Berlin"), ("FR", "Paris")}:
                wrong.append(found)
            if stop.is_set():
                return

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        new = path.with_suffix(".new")
        new.write_bytes(data["FR" if turn % 2 else "DE"])
        new.replace(path)
        networks.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    networks.refresh()
    assert wrong == []
    assert networks.failures == 0
    assert networks.findings() == []
    assert networks.lookup(HERE).country == "FR"


def test_one_thread_looks_when_it_is_due() -> None:
    """A second thread that finds the token taken, or the time already set, goes on at once."""
    now = [0.0]
    inner: list[bool] = []

    def monotonic() -> float:
        if files:  # another thread comes while the first has the token
            inner.append(files[0]._is_my_turn())
        return now[0]

    files: list[Files[None]] = []
    source = Source("x", __file__, lambda _: None)
    made = Files((source,), lambda _: None, every=10.0, monotonic=monotonic, problems=[])
    files.append(made)
    now[0] = 10.0
    assert made._is_my_turn()
    assert inner == [False]
    assert made.due == 20.0
    assert not made._is_my_turn()
