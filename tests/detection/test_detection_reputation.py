"""Addresses with a bad name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from detection_kit import HOME, ISP, Story, client, codes, detection, observe

from gatehound.detection.detectors.reputation import MALICIOUS, RISKY, Reputation
from gatehound.detection.policy import PROFILES, PolicySettings
from gatehound.errors import SettingsError


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.fixture
def reputation(tmp_path: Path) -> Reputation:
    return Reputation(
        risky=[
            written(tmp_path / "empty.txt", "# nobody\n"),
            written(tmp_path / "spam.txt", "192.0.2.0/24\n2001:db8::/32\n"),
        ],
        malicious=(written(tmp_path / "bots.txt", "192.0.2.66\n"),),
    )


@pytest.mark.parametrize(
    ("address", "code", "weight", "name"),
    [
        ("192.0.2.1", "address_risky", RISKY, "spam.txt"),
        ("2001:db8::1", "address_risky", RISKY, "spam.txt"),
        ("::ffff:192.0.2.1", "address_risky", RISKY, "spam.txt"),
        ("192.0.2.66", "address_malicious", MALICIOUS, "bots.txt"),
        ("198.51.100.1", "", 0, ""),
        (None, "", 0, ""),
    ],
)
@pytest.mark.parametrize(
    "changes", [{"is_login": True, "session": None}, {"is_new_context": False}]
)
def test_signals(
    reputation: Reputation,
    address: str | None,
    code: str,
    weight: float,
    name: str,
    changes: dict[str, Any],
) -> None:
    found = reputation.inspect(observe(client_ip=client(address), **changes))
    assert [(one.code, one.weight, one.detail["list"]) for one in found] == (
        [(code, weight, name)] if code else []
    )
    assert all(name not in one.reason for one in found)


@pytest.mark.parametrize("setting", ["risky", "malicious"])
def test_an_as_number_on_a_list_is_not_passed_over(tmp_path: Path, setting: str) -> None:
    """Either it counts, or the file is refused: nobody may believe that a list is in use."""
    path = written(tmp_path / "list.txt", f"198.51.100.1\nAS{ISP.asn}\n")
    try:
        lists = Reputation(**{setting: [path]})  # type: ignore[arg-type] # one of two paths
    except SettingsError:
        return
    assert [one.code for one in lists.inspect(observe(network=ISP))] == [f"address_{setting}"]


def test_no_lists_find_nothing() -> None:
    assert Reputation().inspect(observe()) == []
    assert Reputation().findings() == []


def test_each_alone_passes_its_threshold() -> None:
    assert PROFILES["standard"] < RISKY < PolicySettings().step_up < MALICIOUS


def test_a_session_is_flagged_while_it_is_used_from_there(tmp_path: Path) -> None:
    path = written(tmp_path / "risky.txt", f"{HOME}\n")
    story = Story(detection(detectors=[Reputation(risky=[path])]))
    judged = story.step(ISP)
    assert codes(judged) == ["address_risky"]
    assert story.flagged
    assert judged.fresh[0].detector == "reputation"


def test_an_address_that_comes_onto_the_list_later(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "risky.txt"
    path.write_text("198.51.100.1\n")
    reputation = Reputation(risky=[str(path)], reload_every=60, monotonic=lambda: now[0])
    assert reputation.inspect(observe()) == []
    fresh = tmp_path / "fresh"
    fresh.write_text(f"{HOME}\n198.51.100.1\n")
    fresh.replace(path)
    now[0] = 59.9
    assert reputation.inspect(observe()) == []
    now[0] = 60.0
    assert [one.code for one in reputation.inspect(observe())] == ["address_risky"]
    path.write_text("not a list\n")
    assert not reputation.refresh()
    assert [one.code for one in reputation.inspect(observe())] == ["address_risky"]
    (finding,) = reputation.findings()
    assert finding.startswith(f"detection.reputation.risky: {str(path)!r} was given; line 1: ")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    bad = written(tmp_path / "bad.txt", "192.0.2.0/24\n192.0.2.1/24\nx\n")
    with pytest.raises(SettingsError) as caught:
        Reputation(risky=[bad], malicious=str(tmp_path / "none.txt"), reload_every=float("nan"))
    problems = caught.value.problems
    assert len(problems) == 4
    assert "detection.reload_every: nan was given; it is 0 for never, or seconds" in problems
    assert problems[1].startswith(f"detection.reputation.risky: {bad!r} was given; line 2: ")
    assert problems[3].startswith("detection.reputation.malicious: ")
