"""Everything that judges: what kind of request, where from, how odd, and what to do about it.

    request ─ Activities.classify ─> Activity
    address ─ Networks.lookup ────> Network  ┐
    agent ─── describe, digest ───> Device   ├─ Detection.judge ─> Judgement (Verdict, evidence)
    stored evidence, siblings ───────────────┘

Reading order: activity, network, device, known, evidence, novelty, detectors/base and one detector,
policy, judge; then what needs more than one request: turns, population, would.
"""

from __future__ import annotations

from gatehound.detection.activity import Activities, ActivitySettings
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
    Slot,
)
from gatehound.detection.device import describe, digest
from gatehound.detection.evidence import pair
from gatehound.detection.judge import Detection, Judgement
from gatehound.detection.known import Known, KnownAgent, KnownNetwork
from gatehound.detection.network import Networks, prefix_of
from gatehound.detection.policy import Policy, PolicySettings, decide
from gatehound.detection.settings import DetectionSettings

__all__ = [
    "Activities",
    "ActivitySettings",
    "AddressHidden",
    "AgentChange",
    "AmidAttack",
    "Detection",
    "DetectionSettings",
    "Detector",
    "GeoAnomaly",
    "IPShift",
    "ImpossibleTravel",
    "Interleaving",
    "Judgement",
    "Known",
    "KnownAgent",
    "KnownNetwork",
    "NetworkChange",
    "Networks",
    "NewDevice",
    "Observation",
    "Policy",
    "PolicySettings",
    "PopulationMove",
    "Reputation",
    "Reuse",
    "ScriptClient",
    "SessionAge",
    "Slot",
    "decide",
    "describe",
    "digest",
    "pair",
    "prefix_of",
]
