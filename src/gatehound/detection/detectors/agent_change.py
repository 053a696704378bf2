"""The session is used by another browser or system than before."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.device import PHONES, is_desktop_site, is_same_family, is_tablet
from gatehound.detection.evidence import Value
from gatehound.detection.known import KnownAgent
from gatehound.model import Device, Signal

OS_CHANGED: Final = 4.5
FAMILY_CHANGED: Final = 4.0
# On an unchanged network it is often the same person with developer tools or the desktop site
# switched on, which change one of the two. Both together make 4.65: just over the flag (4.5).
OS_ON_KNOWN_NETWORK: Final = 0.5
FAMILY_ON_KNOWN_NETWORK: Final = 0.6
# And both together stay under it until a page load tells: see Observation.may_be_emulated.
FAMILY_EMULATED: Final = 0.5
DOWNGRADED: Final = 1.5
UPGRADED: Final = 0.2
# Without a parser any change of the text, an update too, looks the same.
TEXT_CHANGED: Final = 1.0
# Extensions that vary the text do it all day, with each request or every few hours. A thief has one
# browser, or a few, and no reason to draw attention; so many within a day, and all on a network
# that is known, are one odd browser.
UNSTABLE: Final = 4
UNSTABLE_WITHIN: Final = 43_200  # seconds from one to the next
UNSTABLE_POINTS: Final = 1.5
ODD_FOR: Final = 30  # days, from the last such text on
_DAY: Final = 86_400
# Where a phone gets to by itself in the course of a day: not the home line of somebody else.
_ON_THE_WAY: Final = frozenset({"mobile", "relay", "business"})
# Whose known address is that of many: it says little of who is there.
_OF_MANY: Final = frozenset({"mobile", "relay", "vpn", "tor"})
_TOLD: Final = ("os_changed", "browser_changed", "browsers_interleaved")


class AgentChange(Detector):
    """Compare the User-Agent with those that the session has used.

    Sees: another operating system, another browser family, an older version. A text that says
    Safari or Firefox from a browser whose other headers say Chromium is Chromium's device
    emulation, and counts as the same family; a phone that asks for the desktop site counts half on
    a known provider and on a carrier's or a company's network. The web view of an app and its own
    code are one app.
    Is fooled by: a copied User-Agent text, which costs a thief nothing; a text that no browser
    sends, as long as every request claims to load an asset; one who sends ever new texts from a
    network of the session; an iPhone on such a network that never loads a page.
    False alarms: the desktop site on a phone and device emulation in developer tools (recorded
    on a known network). Extensions that vary the text are told after the fourth text, and recorded
    from then on. Media players, download managers and PDF viewers, which send texts of their own,
    are left out where they load an asset; browsers never are, since anybody can claim to load one.
    Tunables: the constants of gatehound.detection.detectors.agent_change.

    Without the extra `useragent` families are not known: then any other text is weak evidence.
    """

    name = "agent_change"
    needs = frozenset({"memory", "user_memory", "network", "device"})

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return what changed: at most two signals, and no more once the browser is unstable."""
        if _has_nothing(observation):
            return []
        agents, device = observation.known.agents, observation.device
        comparable = [one for one in agents if one.family and not one.is_script]
        if not device.family or not comparable:
            return _text_changed(agents)
        knows_prefix = _on_known_prefix(observation)
        # Its provider alone says little: a thief's phone is behind each gateway of a carrier.
        same_network = knows_prefix and observation.network.kind not in _OF_MANY
        if device.is_app and any(one.is_app and _may_share(one.os, device.os) for one in agents):
            return []
        found = _compared(observation, comparable, same_network)
        if knows_prefix and found and _is_unstable(observation):
            reason = "The browser describes itself differently all the time"
            return [*_withdrawn(), Signal("browser_unstable", UNSTABLE_POINTS, reason)]
        return found


def _has_nothing(observation: Observation) -> bool:
    """True where there is nothing to compare, or nothing that differs."""
    known = observation.known
    if not (observation.is_new_context and known.has_agents) or observation.device.is_script:
        return True
    return known.has_text(observation.agent_digest) or not observation.is_agent_comparable


def _may_share(one: str, other: str) -> bool:
    """True for the systems of one phone: the libraries of apps do not always name theirs."""
    return one == other or not one or not other


def _is_unstable(observation: Observation) -> bool:
    """Note this text; True once there were so many on known networks, half a day apart at most.

    It stays so for the session. Its user is known for it once the session is not flagged any more,
    and for a month: whoever caused the flag MUST NOT teach that at once.
    """
    slot, user, now = observation.memory, observation.user_memory, int(observation.now)
    flagged = observation.session is not None and observation.session.flagged
    if slot.get("odd"):
        if not flagged:
            user["odd"] = now // _DAY
        return True
    odd = user.get("odd")
    if isinstance(odd, int) and now // _DAY - odd <= ODD_FOR:
        return True
    last, texts = slot.get("last"), slot.get("texts")
    if not isinstance(last, int) or not isinstance(texts, bytes) or now - last > UNSTABLE_WITHIN:
        last, texts = now, b""
    mark = observation.agent_digest[:4]
    if not any(texts[at : at + 4] == mark for at in range(0, len(texts), 4)):
        last, texts = now, (texts + mark)[-4 * UNSTABLE :]
    if len(texts) >= 4 * UNSTABLE:
        slot.clear()
        slot["odd"] = True
        return True
    noted: dict[str, Value] = {"last": last, "texts": texts}
    if noted != {name: slot.get(name) for name in noted}:
        slot.update(noted)
    return False


def _withdrawn() -> list[Signal]:
    """What was said of the first texts was said of one odd browser: take it back."""
    return [Signal(code, 0.0, "withdrawn") for code in _TOLD]


def _text_changed(agents: tuple[KnownAgent, ...]) -> list[Signal]:
    if all(one.is_script for one in agents):
        # A program handed over to a browser: both texts are the user's own doing.
        return [Signal("browser_changed", TEXT_CHANGED, "Used by a browser instead of a program")]
    return [Signal("agent_changed", TEXT_CHANGED, "The browser describes itself differently")]


def _compared(
    observation: Observation, agents: list[KnownAgent], same_network: bool
) -> list[Signal]:
    """Compare with the nearest known agent: novelty counts at the most specific level."""
    device = observation.device
    family = [one for one in agents if is_same_family(one.family, device.family)]
    twins = [one for one in family if one.os == device.os]
    if twins:
        return _version_changed(device, twins[0])
    signals = []
    if device.os and any(one.os for one in agents) and all(one.os != device.os for one in agents):
        before = (family or agents)[0]
        mild = same_network or _asks_for_desktop(observation, family)
        signals.append(_os_changed(before.os, device.os, mild=mild, same_network=same_network))
    if not family:
        factor = FAMILY_ON_KNOWN_NETWORK if same_network else 1.0
        if same_network and observation.may_be_emulated:
            factor = FAMILY_EMULATED
        before_family = agents[0].family
        signals.append(
            Signal(
                "browser_changed",
                FAMILY_CHANGED * factor,
                f"Browser changed to {device.family}{_where(same_network)}",
                {"before": before_family, "now": device.family},
            )
        )
    return signals


def _os_changed(before: str, now: str, *, mild: bool, same_network: bool) -> Signal:
    weight = OS_CHANGED * (OS_ON_KNOWN_NETWORK if mild else 1.0)
    reason = f"Operating system changed to {now}{_where(same_network)}"
    return Signal("os_changed", weight, reason, {"before": before, "now": now})


def _where(same_network: bool) -> str:
    return ", network unchanged" if same_network else ""


def _version_changed(device: Device, known: KnownAgent) -> list[Signal]:
    # Compared as far as both go: "17" and "17.5" are no change.
    pairs = list(zip(device.version, known.version, strict=False))
    now, before = [one for one, _ in pairs], [one for _, one in pairs]
    detail = {"before": _dotted(known.version), "now": _dotted(device.version)}
    if now < before:
        reason = f"Older version of {device.family} than before"
        return [Signal("browser_downgraded", DOWNGRADED, reason, detail)]
    if now > before:
        return [Signal("browser_upgraded", UPGRADED, f"{device.family} was updated", detail)]
    return []


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _on_known_prefix(observation: Observation) -> bool:
    """True where the prefix is known; where none ever was resolved there is no other one."""
    if observation.network_unusable:
        return True
    prefix, known = observation.network.prefix, observation.known
    if not (prefix or known.has_prefixes):
        return True
    return known.has_prefix(prefix) or observation.novelty == "prefix"


def _asks_for_desktop(observation: Observation, family: list[KnownAgent]) -> bool:
    """True for a phone's own browser that shows itself as a desktop's, on a way phones take.

    It is the same browser, so it has the same version. A phone that moves gets a new address of
    its provider with every mast; another home line of the same provider is not its doing. Back
    from a desktop's come tablets alone, whose browsers begin as one: a phone that asked for the
    desktop site is known from before.
    """
    device, kind = observation.device, observation.network.kind
    if not any(is_desktop_site(one.os, device.os) and _is_one(one, device) for one in family):
        return False
    is_back = device.os in PHONES
    if is_back and not is_tablet(observation.request.agent):
        return False
    if observation.novelty == "network":
        return is_back or kind != "isp"
    return kind in _ON_THE_WAY or observation.novelty in ("", "prefix")


def _is_one(known: KnownAgent, device: Device) -> bool:
    return known.version[:1] == device.version[:1]
