"""One user's sessions are used from different countries at the same time."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Session, Signal

# A roaming phone beside a laptop is common, and each session is consistent in itself: worth a
# record (1.0), and a help to other evidence.
EVIDENCE: Final = 1.2
# Over every usual flag threshold (3.5 to 5.5), and under that for asking for a proof (6.5).
STRICT: Final = 6.0
# Seconds: a session that rested for longer does not show that its user is elsewhere now.
ACTIVE: Final = 3600.0


class GeoAnomaly(Detector):
    """Compare the country of this request with those of the user's other sessions.

    Sees: another living session of the user in another country, used within the last hour.
    Is fooled by: a thief in the victim's country; a victim whose other sessions rest.
    False alarms: a phone that roams or tunnels abroad beside a laptop. That is common, so this
    alone records and does not flag.
    Tunables: `strict=True` passes the flag threshold alone, compares all living sessions however
    long they rest, and names them in the detail `siblings`, so that all are flagged.

    Needs a City or Country database. An unknown country is no evidence.
    """

    name = "geo_anomaly"
    needs = frozenset({"siblings", "network"})

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `countries_concurrent`."""
        here = observation.network.country
        if not (observation.is_new_context and here):
            return []
        others = [one for one in observation.siblings if self._elsewhere(one, here, observation)]
        if not others:
            return []
        countries = sorted({one.country for one in others})
        detail = {"country": here, "countries": ",".join(countries)}
        if self.strict:
            detail["siblings"] = ",".join(sorted(one.public_id for one in others))
        reason = (
            f"Used in {here} while another of your sessions is used in {' and '.join(countries)}"
        )
        return [Signal("countries_concurrent", STRICT if self.strict else EVIDENCE, reason, detail)]

    def _elsewhere(self, other: Session, here: str, observation: Observation) -> bool:
        if other.country in ("", here):
            return False
        return self.strict or observation.now - other.last_seen <= ACTIVE
