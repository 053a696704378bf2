"""Check the options of a resolver, all of them before the first complaint is raised."""

from __future__ import annotations

from typing import Final

from gatehound.clientip.cloudflare import warn_if_stale
from gatehound.clientip.entries import read_trust
from gatehound.clientip.modes import MODES, Rules
from gatehound.clientip.trust import TrustSet, cloudflare_set
from gatehound.clientip.walk import MAX_TRUSTED_HOPS
from gatehound.errors import SettingsError

ON_ALL_TRUSTED: Final = ("farthest", "unresolved")


def read_rules(
    *,
    mode: object,
    trusted_proxies: object,
    trust_everyone: object,
    hops: object,
    peer_port: object,
    on_all_trusted: object,
) -> Rules:
    """Return the checked rules, or raise SettingsError with a line for each problem."""
    problems: list[str] = []
    known = _read_mode(mode, problems)
    everyone = _read_bool("trust_everyone", trust_everyone, problems)
    with_port = _read_bool("peer_port", peer_port, problems)
    own = read_trust(trusted_proxies, everyone=everyone, problems=problems)
    count = _read_hops(hops, known, own, problems)
    if on_all_trusted not in ON_ALL_TRUSTED:
        problems.append(
            f"on_all_trusted: {on_all_trusted!r} is not allowed; write 'farthest' or 'unresolved'"
        )
    if problems:
        raise SettingsError(problems)
    return _rules(known, own, count, with_port, farthest=on_all_trusted == "farthest")


def _rules(mode: str, own: TrustSet, hops: int, peer_port: bool, *, farthest: bool) -> Rules:
    edge = cloudflare_set()
    peers = own
    if MODES[mode].cloudflare:
        warn_if_stale()
        peers, own = own.plus(edge), own.minus(edge)
    return Rules(mode, peers, own, hops, peer_port, farthest)


def _read_mode(mode: object, problems: list[str]) -> str:
    if isinstance(mode, str) and mode in MODES:
        return mode
    from difflib import get_close_matches

    text = mode if isinstance(mode, str) else ""
    close = get_close_matches(text.lower().replace("_", "-"), MODES, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    problems.append(f"mode: {mode!r} is not known; {hint}Allowed are {', '.join(MODES)}")
    return "remote-addr"


def _read_bool(name: str, given: object, problems: list[str]) -> bool:
    if isinstance(given, bool):
        return given
    problems.append(f"{name}: {given!r} is not allowed; write True or False")
    return False


def _read_hops(hops: object, mode: str, own: TrustSet, problems: list[str]) -> int:
    """Check the count; a bool is an int to Python, and True would mean one hop."""
    if hops is None:
        return 0
    if isinstance(hops, bool) or not isinstance(hops, int) or not 1 <= hops <= MAX_TRUSTED_HOPS:
        problems.append(
            f"hops: {hops!r} is not allowed; write a whole number from 1 (the last entry) "
            f"to {MAX_TRUSTED_HOPS}"
        )
        return 0
    if mode != "x-forwarded-for":
        problems.append(
            f"hops: {hops} counts entries of X-Forwarded-For, but mode is {mode!r}; "
            "write mode='x-forwarded-for', or leave out hops"
        )
    if not own.listed:
        problems.append(
            "hops: a count needs trusted_proxies too, or anyone who reaches the server writes "
            "the entry that is counted; list the proxy that connects to this server"
        )
    return hops
