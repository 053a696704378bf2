"""One user's sessions are used from different countries at the same time."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Network, Session, Signal

# A roaming phone beside a laptop is common, and each session is consistent in itself: worth a
# record (1.0), and a help to other evidence.
EVIDENCE: Final = 1.2
# Over every usual flag threshold (3.5 to 5.5), and under that for asking for a proof (6.5).
STRICT: Final = 6.0
# Seconds: a session that rested for longer does not show that its user is elsewhere now.
ACTIVE: Final = 3600.0
# Where they leave the net is not where their users are.
GATEWAYS: Final = frozenset({"mobile", "relay", "proxy", "vpn", "tor", "hosting"})


class GeoAnomaly(Detector):
    """Compare the country of this request with those of the user's other sessions.

    Sees: another living session of the user in another country, used within the last hour.
    Is fooled by: a thief in the victim's country; a victim whose other sessions rest.
    False alarms: a laptop that tunnels abroad beside a phone, where the tunnel's kind is not
    known; this alone records and does not flag.
    Tunables: `strict=True` (`detection.geo_anomaly`) passes the flag threshold alone, compares all
    living sessions however long they rest and whatever network they use, and names them in the
    detail `siblings`, so that all are flagged.

    Needs a City or Country database. An unknown country is no evidence, and neither is that of a
    phone's network, a relay, a proxy, a VPN, Tor or a server.
    """

    name = "geo_anomaly"
    needs = frozenset({"siblings", "network"})
    has_slots = False

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `countries_concurrent`."""
        here = observation.network
        if not (observation.siblings and observation.is_new_context and here.country):
            return []
        if not self._has_place(here):
            return []
        networks = observation.sibling_networks or (Network(),) * len(observation.siblings)
        others = [
            one
            for one, network in zip(observation.siblings, networks, strict=True)
            if self._is_elsewhere(one, here.country, observation) and self._has_place(network)
        ]
        if not others:
            return []
        countries = sorted({one.country for one in others})
        detail = {"country": here.country, "countries": ",".join(countries)}
        if self.strict:
            detail["siblings"] = ",".join(sorted(one.public_id for one in others))
        reason = (
            f"Used in {here.country} while another of your sessions is used in "
            f"{' and '.join(countries)}"
        )
        return [Signal("countries_concurrent", STRICT if self.strict else EVIDENCE, reason, detail)]

    def _has_place(self, network: Network) -> bool:
        return self.strict or network.kind not in GATEWAYS

    def _is_elsewhere(self, other: Session, here: str, observation: Observation) -> bool:
        if other.country in ("", here):
            return False
        return self.strict or observation.now - other.last_seen <= ACTIVE
