"""The detectors that come with gatehound, one file each, and what they are made of."""

from __future__ import annotations

from gatehound.detection.detectors.agent_change import AgentChange
from gatehound.detection.detectors.base import NEEDS, Detector, Observation, Slot, as_detectors
from gatehound.detection.detectors.geo_anomaly import GeoAnomaly
from gatehound.detection.detectors.ip_shift import IPShift

__all__ = [
    "NEEDS",
    "AgentChange",
    "Detector",
    "GeoAnomaly",
    "IPShift",
    "Observation",
    "Slot",
    "as_detectors",
]
