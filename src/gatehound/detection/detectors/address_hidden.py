"""The address of a session cannot be told any more."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Signal

# Less than a record: that nothing is known of a place is no evidence of another one. It is shown,
# and helps other evidence a little. A proxy that is set wrong hides all addresses: not asked then.
POINTS: Final = 0.5


class AddressHidden(Detector):
    """Notice where a trusted proxy did not tell the address that it told before.

    Sees: a session whose address was known, and now is not.
    Is fooled by: nothing to be fooled with: it says that there is nothing to compare.
    False alarms: a proxy that is being changed; where that hides the addresses of many users,
    `population` switches this off. It reaches no threshold alone.
    Tunables: POINTS.
    """

    name = "address_hidden"
    needs = frozenset({"memory", "network"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `address_hidden`."""
        if not observation.is_new_context or observation.client_ip.packed is not None:
            return []
        if not observation.known.has_prefixes or observation.network_unusable:
            return []
        return [Signal("address_hidden", POINTS, "The address of this request is hidden")]
