"""A sign-in that succeeds while an attack on passwords is under way, from there or on that user."""

from __future__ import annotations

from typing import Final

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.model import Signal

# Alone a record, and no flag (4.5): a carrier's whole prefix signs in beside its attacker. With a
# new device in a country that is new as well (3.2) it is one, and with that from servers too, or
# with both kinds of attack, a proof is asked for (6.5).
ATTACK: Final = 2.6
# The user who is guessed at, and from a network that tries many: with any new device (1.0) a flag.
BOTH: Final = 3.6

_NETWORK: Final = "from a network where sign-ins to many other accounts have just failed"
_USER: Final = "after many failed attempts at this account"
_MORE: Final = "while sign-ins fail of more accounts or networks than are told apart"


class AmidAttack(Detector):
    """Weigh a login by the failed ones of this hour, from its network or of its user.

    Sees: a login without the user's known-device cookie, from a network where logins of
    `detection.failed_logins.users_per_network` users failed within the hour, or of a user of whom
    `attempts_per_user` did, from wherever; or any such login while more users or networks fail
    than are told apart.
    Is fooled by: one attempt per network and user, as botnets stuff; an attack that pauses over the
    turn of the hour; an app that does not call `visit.login_failed`; a thief who stole the
    known-device cookie too.
    False alarms: a private window behind the gateway of a carrier or an office whose users
    mistype, or of somebody who is being guessed at; who mistypes that often and then succeeds.
    Tunables: the constants of gatehound.detection.detectors.failed_logins,
    `detection.failed_logins`, and `detection.shared_networks`, where ten times as many may fail.
    """

    name = "failed_logins"
    needs = frozenset({"failed_logins"})
    has_slots = False

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal, `signed_in_amid_attack`."""
        attacked = observation.failed_logins
        # Who guesses has no cookie of an earlier sign-in, and most of their neighbours have one.
        if not (attacked and observation.is_login) or observation.known_device:
            return []
        parts = [text for on, text in (("user", _USER), ("network", _NETWORK)) if on in attacked]
        if not parts and "more" in attacked:  # it may be one of them, or nobody's business
            parts = [_MORE]
        if not parts:
            return []
        weight = BOTH if len(parts) > 1 else ATTACK
        detail = {"network": "network" in attacked, "user": "user" in attacked}
        reason = f"Signed in {', '.join(parts)}"
        return [Signal("signed_in_amid_attack", weight, reason, detail)]
