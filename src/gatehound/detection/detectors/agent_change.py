"""The session is used by another browser or system than before, or by a program."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.known import KnownAgent
from gatehound.model import Device, Signal

OS_CHANGED: Final = 4.5
FAMILY_CHANGED: Final = 4.0
# On an unchanged network it is often the same person with developer tools or the desktop site
# switched on, which change one of the two. Both together make 4.65: just over the flag (4.5).
OS_ON_KNOWN_NETWORK: Final = 0.5
FAMILY_ON_KNOWN_NETWORK: Final = 0.6
DOWNGRADED: Final = 1.5
UPGRADED: Final = 0.2
SCRIPT: Final = 5.0
# Without a parser any change of the text, an update too, looks the same.
TEXT_CHANGED: Final = 1.0


class AgentChange(Detector):
    """Compare the User-Agent with those that the session has used.

    Sees: another operating system, another browser family, an older version, and programs
    (curl, HTTP libraries, headless browsers) where a browser was before.
    Is fooled by: a copied User-Agent text, which costs a thief nothing; a text that no browser
    sends, as long as every request claims to load an asset.
    False alarms: the desktop site on a phone and device emulation in developer tools (recorded
    on a known network), extensions that vary the text. Media players, download managers and PDF
    viewers, which send texts of their own, are left out where they load an asset; browsers and
    scripts never are, since anybody can claim to load one.
    Tunables: the constants of gatehound.detection.detectors.agent_change.

    Without the extra `useragent` families are not known: then any other text is weak evidence,
    and programs are still seen.
    """

    name = "agent_change"
    needs = frozenset({"memory", "network", "device"})

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return `script_client`, or what else changed: at most two signals."""
        agents = observation.known.agents
        if not (observation.is_new_context and agents):
            return []
        device = observation.device
        if device.is_script:
            return _script(device, agents)
        if not observation.is_agent_comparable:
            return []
        if any(one.digest == observation.agent_digest for one in agents):
            return []
        comparable = [one for one in agents if one.family and not one.is_script]
        if not device.family or not comparable:
            return _text_changed(agents)
        return _compared(device, comparable, _on_known_network(observation))


def _script(device: Device, agents: tuple[KnownAgent, ...]) -> list[Signal]:
    if any(one.is_script for one in agents):
        return []
    detail = {"agent": device.label}
    return [Signal("script_client", SCRIPT, "Used by a program instead of a browser", detail)]


def _text_changed(agents: tuple[KnownAgent, ...]) -> list[Signal]:
    if all(one.is_script for one in agents):
        # A program handed over to a browser: both texts are the user's own doing.
        return [Signal("browser_changed", TEXT_CHANGED, "Used by a browser instead of a program")]
    return [Signal("agent_changed", TEXT_CHANGED, "The browser describes itself differently")]


def _compared(device: Device, agents: list[KnownAgent], same_network: bool) -> list[Signal]:
    """Compare with the nearest known agent: novelty counts at the most specific level."""
    twins = [one for one in agents if one.family == device.family and one.os == device.os]
    if twins:
        return _version_changed(device, twins[0])
    new_os = bool(device.os) and all(one.os != device.os for one in agents if one.os)
    new_family = all(one.family != device.family for one in agents)
    before = agents[0]
    where = "; network unchanged" if same_network else ""
    signals = []
    if new_os and any(one.os for one in agents):
        weight = OS_CHANGED * (OS_ON_KNOWN_NETWORK if same_network else 1.0)
        detail = {"before": before.os, "now": device.os}
        reason = f"Operating system changed to {device.os}{where}"
        signals.append(Signal("os_changed", weight, reason, detail))
    if new_family:
        weight = FAMILY_CHANGED * (FAMILY_ON_KNOWN_NETWORK if same_network else 1.0)
        detail = {"before": before.family, "now": device.family}
        reason = f"Browser changed to {device.family}{where}"
        signals.append(Signal("browser_changed", weight, reason, detail))
    return signals


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


def _on_known_network(observation: Observation) -> bool:
    """True where the network is known; where none ever was resolved there is no other one."""
    prefix = observation.network.prefix
    known = observation.known
    return known.has_prefix(prefix) or not (prefix or known.prefixes)
