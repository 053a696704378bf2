"""Many sessions move to one new network within an hour."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.novelty import NEAR
from gatehound.detection.population import MOVED, Population
from gatehound.model import Detail, Signal

# With a new provider in the same country (1.6) under the flag threshold (4.5) where browsers are
# unchanged: people of one company who travel together move together.
POINTS: Final = 2.8
UNCHANGED: Final = 0.8
# Whole sites move to these: a carrier after an outage, a VPN after the news.
COMMON: Final = frozenset({"mobile", "relay", "proxy", "vpn"})


class PopulationMove(Detector):
    """Count the sessions that came to a provider which is new to each of them.

    Sees: ten sessions within an hour at one provider, as far as this process saw them: cookies
    out of a backup or a log are replayed in bulk. The first nine are not seen by this, and an
    event `sessions_moved` tells the admins.
    Is fooled by: a thief who uses a network for each session, or takes his time.
    False alarms: a company that moves offices; with unchanged browsers this records at most.
    Tunables: the constants of gatehound.detection.detectors.population.

    The other half of gatehound.detection.population switches off network evidence where the
    addresses of a proxy are taken for those of users.
    """

    name = "population"
    needs = frozenset({"memory", "user_memory", "network", "device"})
    has_slots = False

    def __init__(self, population: Population) -> None:
        self.population = population

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `moved_with_others`."""
        network, known = observation.network, observation.known
        if not observation.is_new_context or observation.session is None:
            return []
        level = observation.novelty
        if not level or (level in NEAR and level != "unplaced") or network.kind in COMMON:
            return []
        if observation.user_known.has_network(network):
            return []
        name = observation.session.user_id  # who moves house takes all devices along
        count = self.population.note_move(name, network, observation.now)
        if count < MOVED:
            return []
        changed = not known.has_agent(observation.device, observation.agent_digest)
        where = network.organisation or network.prefix
        detail: Detail = {"sessions": count, "network": where, "asn": network.asn}
        reason = f"Moved to a new network within the same hour as {count - 1} other sessions"
        return [Signal("moved_with_others", POINTS if changed else UNCHANGED, reason, detail)]
