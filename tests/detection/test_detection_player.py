"""Media players and download managers are no evidence, and no header makes a browser one (N35)."""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import AMERICA, ISP, Story, detection, observe

from gatehound.detection import (
    Activities,
    AgentChange,
    Judgement,
    Known,
    KnownAgent,
    ScriptClient,
    describe,
    digest,
)
from gatehound.detection.evidence import Evidence, read
from gatehound.model import Action, Activity, Device, Signal

FLAG = 4.5


def learned() -> Known:
    """A session that was used with Chrome on Windows, far from here."""
    kept = Evidence()
    kept.learn(AMERICA, describe(kit.CHROME_WINDOWS), digest(kit.CHROME_WINDOWS), kit.NOW)
    return kept.known()


def asset(agent: str, **changes: Any) -> list[Signal]:
    fields = {"known": learned(), "activity": Activity.ASSET, **changes}
    seen = observe(agent, **fields)
    return [*AgentChange().inspect(seen), *ScriptClient().inspect(seen)]


@pytest.mark.parametrize("agent", kit.PLAYERS)
def test_n35_players_are_left_out_where_they_load_an_asset(agent: str) -> None:
    assert asset(agent) == []
    assert asset(agent, activity=Activity.NAVIGATE)


@pytest.mark.parametrize("agent", [kit.FIREFOX_LINUX, kit.SAFARI_MAC, kit.CURL, ""])
def test_browsers_and_scripts_are_compared_whatever_they_load(agent: str) -> None:
    found = asset(agent)
    assert sum(signal.weight for signal in found) >= FLAG
    assert found == asset(agent, activity=Activity.NAVIGATE)


def test_without_the_parser_browsers_are_still_told_from_players() -> None:
    unparsed = Known(agents=(KnownAgent("", "", (), digest(kit.CHROME_WINDOWS)),))
    thief = asset(kit.FIREFOX_LINUX, known=unparsed, device=Device())
    assert [signal.code for signal in thief] == ["agent_changed"]
    assert asset(kit.EXOPLAYER, known=unparsed, device=Device()) == []


# --- whole judgements ---

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
POLL = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
VIDEO = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "video"}
OLD_IMAGE = {"Accept": "image/*"}


def loads(story: Story, agent: str, headers: dict[str, str]) -> Judgement:
    """One request from the session's own network, of the class that its headers claim."""
    request = kit.FakeRequest(agent=agent, headers=headers)
    return story.step(ISP, agent, request=request, activity=Activities().classify(request))


@pytest.mark.parametrize("headers", [PAGE, POLL, IMAGE, VIDEO, OLD_IMAGE])
@pytest.mark.parametrize("agent", [kit.FIREFOX_LINUX, kit.SAFARI_MAC, kit.CURL])
def test_a_thief_cannot_switch_comparison_off_by_a_header(
    agent: str, headers: dict[str, str]
) -> None:
    story = Story(detection())
    story.step(ISP, kit.CHROME_WINDOWS)
    judged = loads(story, agent, headers)
    assert (judged.flag, judged.verdict.action) == (True, Action.FLAG)
    assert read(judged.memory)[0].known().agents[0].digest == digest(kit.CHROME_WINDOWS)


@pytest.mark.parametrize("headers", [VIDEO, OLD_IMAGE])
@pytest.mark.parametrize("player", kit.PLAYERS)
def test_n35_a_player_is_no_evidence_and_is_not_let_in_by_it(
    player: str, headers: dict[str, str]
) -> None:
    story = Story(detection())
    story.step(ISP, kit.CHROME_WINDOWS)
    before = len(read(story.memory)[0].agents)
    judged = loads(story, player, headers)
    assert (judged.fresh, judged.flag, judged.keep_pair) == ((), None, False)
    assert len(read(story.memory)[0].agents) == before
    page = loads(story, player, PAGE)
    assert page.keep_pair
    assert page.fresh


def test_the_browser_of_the_session_keeps_its_pair_whatever_it_loads() -> None:
    story = Story(detection())
    story.step(ISP, kit.CHROME_WINDOWS)
    for headers in (PAGE, POLL, IMAGE, OLD_IMAGE):
        judged = loads(story, kit.CHROME_WINDOWS, headers)
        assert (judged.fresh, judged.keep_pair) == ((), True)


def test_a_script_is_kept_like_every_agent_that_was_compared() -> None:
    story = Story(detection("observe"))
    story.step(ISP, kit.CHROME_WINDOWS)
    judged = loads(story, kit.CURL, IMAGE)
    assert ([signal.code for signal in judged.fresh], judged.keep_pair) == (["script_client"], True)
    assert loads(story, kit.CURL, IMAGE).fresh == ()
