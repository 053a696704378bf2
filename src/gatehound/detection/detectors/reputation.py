"""The address is on a list of addresses with a bad name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from gatehound.detection.detectors.base import Detector, Observation
from gatehound.detection.lists import Listed, sources
from gatehound.detection.reload import MONOTONIC, Clock, Contents, Files
from gatehound.errors import SettingsError
from gatehound.model import Detail, Signal

# Just over the usual flag threshold (4.5), and the lists' maker answers for each line.
RISKY: Final = 4.6
# Just over that for asking for a proof (6.5); policy.malicious may go further.
MALICIOUS: Final = 6.6

_Lists: TypeAlias = tuple[tuple[Listed, ...], tuple[Listed, ...]]


class Reputation(Detector):
    """Compare the client's address with lists of addresses that attacks came from.

    Sees: an address on a list, at sign-in, where a session comes to it, also within a known
    prefix, and where it comes onto a list while a session stays there: with this detector each
    address is judged anew that is new to the session, or of which the lists say something new.
    Is fooled by: an address that is on no list yet; most residential proxies are on none.
    False alarms: everybody who shares a listed address: a carrier's gateway, a campus, the next
    customer of a provider that hands addresses out anew. Use lists that drop old entries.
    Tunables: the lists, `detection.reputation.risky` and `.malicious`; the constants of
    gatehound.detection.detectors.reputation; `policy.malicious`.

    `risky` and `malicious` are paths of lists (gatehound.detection.lists), which are looked at
    again every `reload_every` seconds, 0 for never. SettingsError names all that is wrong with
    them. An unresolved address is on no list.
    """

    name = "reputation"
    needs = frozenset({"network"})
    has_slots = False

    def __init__(
        self,
        *,
        risky: Iterable[str] = (),
        malicious: Iterable[str] = (),
        reload_every: float = 60.0,
        monotonic: Clock = MONOTONIC,
    ) -> None:
        problems: list[str] = []
        risky_files = sources("detection.reputation.risky", risky)
        malicious_files = sources("detection.reputation.malicious", malicious)

        def combine(contents: Contents) -> _Lists:
            both = [
                tuple(one for one in map(contents.of, files) if one is not None)
                for files in (risky_files, malicious_files)
            ]
            return both[0], both[1]

        self._monotonic = monotonic
        self._tell: list[Callable[[], object]] = []
        self._files = Files(
            (*risky_files, *malicious_files),
            combine,
            every=reload_every,
            monotonic=monotonic,
            problems=problems,
        )
        if problems:
            raise SettingsError(problems)

    def inspect(self, observation: Observation) -> list[Signal]:
        """Return at most one signal: `address_malicious`, or else `address_risky`."""
        if self._monotonic() >= self._files.due and self._files.look():
            self._told()
        packed = observation.client_ip.packed
        if packed is None:
            return []
        risky, malicious = self._files.state.view
        asn = observation.network.asn
        if name := _named(malicious, packed, asn):
            detail: Detail = {"list": name}
            return [Signal("address_malicious", MALICIOUS, "Address known for attacks", detail)]
        if name := _named(risky, packed, asn):
            return [Signal("address_risky", RISKY, "Address with a bad name", {"list": name})]
        return []

    def refresh(self) -> bool:
        """Look at the lists now, due or not; True where something else is in use afterwards."""
        is_new = self._files.refresh()
        if is_new:
            self._told()
        return is_new

    def tell(self, whom: Callable[[], object]) -> None:
        """Call `whom` each time that other lists are in use, on the thread that found them."""
        self._tell.append(whom)

    def standing(self, packed: bytes, asn: int) -> bytes:
        """Return what the lists say of an address: b"" for nothing, else their kind."""
        risky, malicious = self._files.state.view
        if _named(malicious, packed, asn):
            return b"malicious"
        return b"risky" if _named(risky, packed, asn) else b""

    def _told(self) -> None:
        for whom in self._tell:
            whom()

    def findings(self) -> list[str]:
        """Say which lists changed into something that cannot be used, a line each."""
        return self._files.findings()


def _named(lists: Iterable[Listed], packed: bytes, asn: int) -> str:
    """Return the name of the first list that has the address or its provider, "" for none."""
    return next((one.name for one in lists if one.covers(packed) or asn in one.asns), "")
