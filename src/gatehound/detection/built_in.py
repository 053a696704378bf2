"""Which of the detectors that come with gatehound look, as the settings say."""

from __future__ import annotations

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
    PopulationMove,
    Reputation,
    Reuse,
    ScriptClient,
    SessionAge,
)
from gatehound.detection.network import Networks
from gatehound.detection.population import Population
from gatehound.detection.settings import DetectionSettings


def built_in(
    settings: DetectionSettings, networks: Networks, population: Population
) -> list[Detector]:
    """Return those that the settings ask for and that have something to look at."""
    detectors: list[Detector] = [
        IPShift(strict=settings.ip_shift == "strict"),
        NetworkChange(),
        GeoAnomaly(strict=settings.geo_anomaly == "strict"),
        ImpossibleTravel(has_lines=networks.has_lines),
        Interleaving(),
        AgentChange(),  # after it: an unstable browser is in turn with itself
        ScriptClient(),
        Reputation(
            risky=settings.reputation.risky,
            malicious=settings.reputation.malicious,
            reload_every=settings.reload_every,
        ),
        Reuse(),
        NewDevice(),
        AmidAttack(),
        SessionAge(),
        AddressHidden(),
        PopulationMove(population),
    ]
    # Without countries it could only cost the read of all siblings.
    blind = () if networks.has_city else ("geo_anomaly", "impossible_travel")
    listed = settings.reputation.risky or settings.reputation.malicious
    left_out = (*settings.disable, *blind, *(() if listed else ("reputation",)))
    return [one for one in detectors if one.name not in left_out]
