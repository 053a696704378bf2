"""Everything that judges: what kind of request, where from, how odd, and what to do about it.

    request ─ Activities.classify ─> Activity
    address ─ Networks.lookup ────> Network  ┐
    agent ─── describe, digest ───> Device   ├─ Detection.judge ─> Judgement (Verdict, evidence)
    stored evidence, siblings ───────────────┘

Reading order: activity, network, device, known, evidence, detectors/base and one detector, policy,
judge.
"""

from __future__ import annotations

from gatehound.detection.activity import Activities, ActivitySettings
from gatehound.detection.detectors import (
    AgentChange,
    Detector,
    GeoAnomaly,
    IPShift,
    Observation,
    Slot,
)
from gatehound.detection.device import describe, digest
from gatehound.detection.evidence import pair
from gatehound.detection.judge import Detection, Judgement
from gatehound.detection.known import Known, KnownAgent, KnownNetwork
from gatehound.detection.network import Networks, prefix_of
from gatehound.detection.policy import DetectionSettings, Policy, PolicySettings, decide

__all__ = [
    "Activities",
    "ActivitySettings",
    "AgentChange",
    "Detection",
    "DetectionSettings",
    "Detector",
    "GeoAnomaly",
    "IPShift",
    "Judgement",
    "Known",
    "KnownAgent",
    "KnownNetwork",
    "Networks",
    "Observation",
    "Policy",
    "PolicySettings",
    "Slot",
    "decide",
    "describe",
    "digest",
    "pair",
    "prefix_of",
]
