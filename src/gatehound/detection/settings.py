"""What is looked at, and how far it may go: the settings of detection.

Files are named here and looked at when they are opened (gatehound.detection.network).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import asdict

from gatehound.model import Duration

Mode: TypeAlias = Literal["off", "observe", "flag", "step-up", "strict"]
Use: TypeAlias = Literal["evidence", "strict"]

MODES: Final[tuple[Mode, ...]] = ("off", "observe", "flag", "step-up", "strict")
# The built-in detectors, in the order in which they are asked; docs/reference/detectors.md.
DETECTORS: Final = (
    "ip_shift",
    "network_change",
    "geo_anomaly",
    "impossible_travel",
    "interleaving",
    "agent_change",
    "script_client",
    "reputation",
    "reuse",
    "new_device",
    "failed_logins",
    "session_age",
    "address_hidden",
    "population",
)

MOST_FAILED: Final = 1000  # shared networks are allowed ten times that; a store tells 10,000 apart


class NetworkListSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Files with a CIDR, range, address or AS number a line, for each kind of network; none given.

    The kinds are those of Network.kind. Where a list and a database know an address, the list is
    right; an AS number counts where no list and no anonymous database know it.
    """

    isp: tuple[str, ...] = ()
    mobile: tuple[str, ...] = ()
    business: tuple[str, ...] = ()
    hosting: tuple[str, ...] = ()
    relay: tuple[str, ...] = ()  # such as the list that Apple publishes of Private Relay
    proxy: tuple[str, ...] = ()
    vpn: tuple[str, ...] = ()
    tor: tuple[str, ...] = ()


class ReputationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Files of what has a bad name: a CIDR, range, address or AS number a line; none given."""

    risky: tuple[str, ...] = ()  # a session used from there is flagged
    malicious: tuple[str, ...] = ()  # what becomes of it says policy.malicious


class FailedLoginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From how many failed logins of an hour on admins are told of an attack; nobody is locked out.

    Users may share a /24 with a whole city (RFC 6269). Where one login in twenty is mistyped,
    twenty users failing are 400 who sign in from there within the hour, or somebody who tries
    names.
    """

    users_per_network: int = 20
    # Auth0 blocks an address that fails 10 times for a user; NIST SP 800-63B (5.2.2) allows an
    # account 100 in a row. A person who mistypes gives up between these, and a guesser does not.
    attempts_per_user: int = 20


class DetectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at, and how far it may go.

    `mode`: `off` looks at nothing; `observe` only records; `flag` (default) marks sessions and
    tells users; `step-up` asks for a proof; `strict` does so and flags at 3.5 points. The
    databases are paths of MaxMind DB files, "" for none. Evidence halves every `half_life` and
    is dropped after `window`. `ip_shift` and `geo_anomaly` are graded evidence or `strict`
    (every change flags). `disable` names built-in detectors that are left out.
    """

    mode: Mode = "flag"
    city_database: str = ""
    asn_database: str = ""
    anonymous_database: str = ""
    connection_database: str = ""
    network_lists: NetworkListSettings = NetworkListSettings()
    reputation: ReputationSettings = ReputationSettings()
    failed_logins: FailedLoginSettings = FailedLoginSettings()
    # How often files are looked at for a change; 0 never. A stat a minute costs nothing.
    reload_every: Duration = 60.0
    # Networks that many users share and that are no proxy of ours: an office, a campus.
    shared_networks: tuple[str, ...] = ()
    # What counts as one network: /24 is the smallest announced IPv4 prefix, and a /64 is one
    # home or phone, in which privacy addresses change every day (RFC 8981).
    v4_prefix: int = 24
    v6_prefix: int = 64
    half_life: Duration = 1800.0  # half an hour: the length of a visit, not of a day
    window: Duration = 7200.0  # four half-lives leave a sixteenth
    ip_shift: Use = "evidence"
    geo_anomaly: Use = "evidence"
    disable: tuple[str, ...] = ()

    def problems(self) -> list[str]:
        """Say what is wrong, a line each; empty means usable. Files are looked at later."""
        lines = [
            f"detection.{name}: {given!r} was given; allowed are {', '.join(allowed)}"
            for name, given, allowed in (
                ("mode", self.mode, MODES),
                ("ip_shift", self.ip_shift, ("evidence", "strict")),
                ("geo_anomaly", self.geo_anomaly, ("evidence", "strict")),
                *(("disable", name, DETECTORS) for name in self.disable),
            )
            if given not in allowed
        ]
        if not 1 <= self.half_life <= self.window:
            lines.append(
                f"detection.half_life: {self.half_life!r} was given with a window of "
                f"{self.window!r}; it is 1 second up to the window"
            )
        lines += [
            f"detection.failed_logins.{name}: {given!r} was given; it is 2 or more, and at most "
            f"{MOST_FAILED}: one failed login is no attack"
            for name, given in asdict(self.failed_logins).items()
            if not 2 <= given <= MOST_FAILED
        ]
        return lines
