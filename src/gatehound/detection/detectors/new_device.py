"""A user signs in on a device that has not signed them in before.

Weights are data. What a session is compared with later is what its login began with, so a login
is the one moment at which a session that a thief made himself can be told from the user's.
"""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.known import Known
from gatehound.detection.novelty import ABROAD, Level, level_of
from gatehound.model import Detail, Network, Signal

# A new phone at home, or a browser whose cookies were cleared, is daily life: less than a record.
DEVICE_AT_HOME: Final = 0.5
DEVICE: Final = 1.0
COUNTRY: Final = 2.2  # with DEVICE a record and a notification, and no flag: travellers buy phones
# Where the pages that steal passwords and sign in with them stand, and what stuffing comes
# through: with a new device and a new country over the threshold for a proof (6.5).
KINDS: Final = {
    "hosting": (3.4, "from a hosting provider"),
    "tor": (3.4, "through the Tor network"),
    "vpn": (1.0, "through a VPN"),
    "proxy": (1.0, "through a proxy"),
}
# Whoever uses one is in another country with each exit: known by its kind, and not by its place.
_EXITS: Final = frozenset({"tor", "vpn", "proxy"})
_KNOWN: Final[frozenset[Level]] = frozenset({"", "prefix", "network"})


class NewDevice(Detector):
    """Weigh a login on a device that did not bring the user's known-device cookie.

    Sees: a new device in a new network, country, or kind of network (servers, Tor, VPNs,
    proxies), compared with what all of the user's sessions have learned.
    Is fooled by: a thief who also stole the known-device cookie; a thief in the user's country on
    a home line, who is recorded at most; whoever uses the provider of a network the user knows,
    or a VPN or Tor where the user does too.
    False alarms: private windows and cleared cookies, abroad or behind a VPN for the first time; a
    robot that signs in from servers new to its account.
    Tunables: the constants of gatehound.detection.detectors.new_device, `session.known_devices`,
    and the files of `detection.network_lists`.

    A user whose history is younger than a day is compared with nothing, and so is an address that
    is not resolved. Without databases and lists no login passes a record (1.0 points).
    """

    name = "new_device"
    needs = frozenset({"user_memory", "network", "device"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `signed_in_on_new_device`."""
        user, network = observation.user_known, observation.network
        if not observation.is_login or observation.known_device or _is_blank(user):
            return []
        # A program is weighed as a browser is: its name is one header, which a thief can send too.
        knows_agent = user.has_agent(observation.device, observation.agent_digest)
        level = level_of(network, user)
        knows_exit = network.kind in _EXITS and user.has_kind(network.kind)
        is_abroad = level in ABROAD and not knows_exit
        # A relay is built into a browser and keeps the country: all else of it says nothing.
        is_at_home = level in _KNOWN or (network.kind == "relay" and not is_abroad)
        if is_at_home and knows_agent:
            return []
        weight = DEVICE_AT_HOME if is_at_home else DEVICE
        parts = ["Signed in on a new device"]
        if is_abroad:
            weight += COUNTRY
            parts.append(f"in a country that is new to your account ({network.country})")
        elif not is_at_home:
            parts.append("on a network that is new to your account")
        if network.kind in KINDS and not (is_at_home or knows_exit):
            points, text = KINDS[network.kind]
            weight += points
            parts.append(text)
        detail = _detail(network, country_is_new=is_abroad, agent_is_known=knows_agent)
        return [Signal("signed_in_on_new_device", weight, ", ".join(parts), detail)]


def _is_blank(user: Known) -> bool:
    """True where nothing is settled yet: a first login has nothing to be compared with."""
    return not (user.has_prefixes or user.has_networks or user.has_agents)


def _detail(network: Network, *, country_is_new: bool, agent_is_known: bool) -> Detail:
    return {
        "country": network.country,
        "asn": network.asn,
        "kind": network.kind,
        "country_is_new": country_is_new,
        "agent_is_known": agent_is_known,
    }
