"""The detectors that come with gatehound, one file each, and what they are made of."""

from __future__ import annotations

from gatehound.detection.detectors.address_hidden import AddressHidden
from gatehound.detection.detectors.agent_change import AgentChange
from gatehound.detection.detectors.base import NEEDS, Detector, Observation, Slot, as_detectors
from gatehound.detection.detectors.failed_logins import AmidAttack
from gatehound.detection.detectors.geo_anomaly import GeoAnomaly
from gatehound.detection.detectors.impossible_travel import ImpossibleTravel
from gatehound.detection.detectors.interleaving import Interleaving
from gatehound.detection.detectors.ip_shift import IPShift
from gatehound.detection.detectors.network_change import NetworkChange
from gatehound.detection.detectors.new_device import NewDevice
from gatehound.detection.detectors.population import PopulationMove
from gatehound.detection.detectors.reputation import Reputation
from gatehound.detection.detectors.reuse import Reuse
from gatehound.detection.detectors.script_client import ScriptClient
from gatehound.detection.detectors.session_age import SessionAge

__all__ = [
    "NEEDS",
    "AddressHidden",
    "AgentChange",
    "AmidAttack",
    "Detector",
    "GeoAnomaly",
    "IPShift",
    "ImpossibleTravel",
    "Interleaving",
    "NetworkChange",
    "NewDevice",
    "Observation",
    "PopulationMove",
    "Reputation",
    "Reuse",
    "ScriptClient",
    "SessionAge",
    "Slot",
    "as_detectors",
]
