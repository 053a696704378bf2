"""What a request is like, as far as that says which built-in detectors have something to look at.

Most of them look at something that most requests have not: a sign-in, a program, a new provider.
Who would find nothing is not asked. All others are asked every time: detectors of your own, and
those that extend a built-in one and may look at more.

The table repeats what each `inspect` says in its first lines, and a test compares both. To add a
built-in detector do nothing here, unless it can be left out.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors import (
    AddressHidden,
    AgentChange,
    AmidAttack,
    Detector,
    GeoAnomaly,
    ImpossibleTravel,
    Interleaving,
    IPShift,
    NetworkChange,
    NewDevice,
    Observation,
    PopulationMove,
    Reputation,
    Reuse,
    ScriptClient,
    SessionAge,
)
from gatehound.detection.detectors.interleaving import ALTERNATIONS
from gatehound.detection.detectors.script_client import is_bare
from gatehound.detection.novelty import NEAR as NEAR_LEVELS

LOGIN: Final = 1
NEW: Final = 2  # a new context
NEAR: Final = 4  # a network that is new, of a known provider or of nobody knows whom
FAR: Final = 8  # one that is not known to be of a known provider
OTHER_AGENT: Final = 16  # a text that none of the known browsers sent last
SCRIPT: Final = 32  # a program, by its name or by what it does not send
SIBLINGS: Final = 64
TURNS: Final = 128  # back and forth between two contexts
HIDDEN: Final = 256  # without an address

# What has to be there, all of it; of these very classes.
_WHEN: Final[dict[type[Detector], int]] = {
    IPShift: NEW | NEAR,
    NetworkChange: NEW | FAR,
    GeoAnomaly: NEW | SIBLINGS,
    ImpossibleTravel: NEW,
    Interleaving: TURNS,
    AgentChange: NEW | OTHER_AGENT,
    ScriptClient: NEW | SCRIPT,
    NewDevice: LOGIN,
    AmidAttack: LOGIN,
    SessionAge: NEW | FAR,
    AddressHidden: NEW | HIDDEN,
    PopulationMove: NEW | FAR,
}


def situation_of(seen: Observation) -> int:
    """Return what is there, by bits."""
    found = LOGIN if seen.is_login else 0
    if seen.is_new_context:
        found |= NEW
        level = seen.level
        if level in NEAR_LEVELS:
            found |= NEAR
        if level == "unplaced" or not (level == "" or found & NEAR):
            found |= FAR
        if not seen.known.has_text(seen.agent_digest):
            found |= OTHER_AGENT
        if seen.device.is_script or is_bare(seen):
            found |= SCRIPT
        if seen.siblings:
            found |= SIBLINGS
        if seen.client_ip.packed is None:
            found |= HIDDEN
    return found | TURNS if seen.alternations >= ALTERNATIONS else found


def looks(detector: Detector, situation: int) -> bool:
    """False for a built-in detector that has nothing to look at."""
    if isinstance(detector, IPShift) and detector.strict:  # every change of an address
        return True
    when = _WHEN.get(type(detector), 0)
    return situation & when == when


def is_built_in(detector: Detector) -> bool:
    """True for the very classes that come with gatehound."""
    return type(detector) in _WHEN or type(detector) in (Reputation, Reuse)
