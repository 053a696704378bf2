"""Read the operator's list of trusted proxies: every form, and every rule that refuses one.

A list that can be understood in two ways trusts the wrong people, so what is doubtful is
refused, with the fix in the message. Texts go through the same address parser as the hops
of a request (grammar.py): what one side accepts, the other reads alike.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gatehound.clientip import cloudflare
from gatehound.clientip.grammar import fold, pack
from gatehound.clientip.presets import PRESETS
from gatehound.clientip.trust import EVERYONE, TrustSet

PRIVATE: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "::1/128",
)
"""RFC 1918, RFC 4193 and loopback. Not 100.64/10 (an ISP's customers are behind it) nor
169.254/16 (whoever is on the link can take one)."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "private": PRIVATE,
    "*": EVERYONE,
    **{name: preset.networks for name, preset in PRESETS.items() if preset.publishes},
}
"""Names for networks; with `cloudflare`, whose list can be renewed, and `unix`."""

_LENGTH: Final = r"0|[1-9][0-9]{0,2}"
_OCTET: Final = r"\*|0|[1-9][0-9]{0,2}"
_ADDRESS: Final = r"[0-9a-fA-F:.]+"
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_trust(
    given: object,
    *,
    everyone: bool = False,
    edge: cloudflare.Ranges = cloudflare.BUNDLED,
    option: str = "trusted_proxies",
    problems: list[str],
) -> TrustSet:
    """Compile a list of peers; append a line to `problems` for each thing that is wrong."""
    entries: list[Any] = []
    unix = False
    for entry in _split(given, option, problems):
        try:
            if entry == "unix":
                unix = True
            elif entry == "cloudflare":
                cloudflare.warn_if_stale(edge)
                entries += edge.networks
            else:
                entries += _read_entry(entry)
        except ValueError as error:
            problems.append(f"{option}: {error}")
    if everyone and not entries and not unix and not problems:
        entries += EVERYONE
    return TrustSet(entries, unix=unix)


def check_width(trust: TrustSet, *, everyone: bool, problems: list[str]) -> None:
    """Look at the merged list: 0.0.0.0/1 and 128.0.0.0/1 together are everyone as well."""
    wide = [_how_much(trust, text) for text in EVERYONE if _is_wide(trust, text)]
    if wide and not everyone:
        problems.append(
            f"trusted_proxies: the list covers {' and '.join(wide)}, so every client could "
            "write its own address; list the networks of your proxies, or say "
            "trust_everyone=True if nobody but them can reach this server"
        )
    if everyone and not wide and trust.listed:
        problems.append(
            "trust_everyone: True, but trusted_proxies lists only some networks; "
            "remove one of the two, or add '*' to trusted_proxies"
        )


def _is_wide(trust: TrustSet, everyone: str) -> bool:
    """Tell whether half of IPv4 is in the list, or 2000::/3, which is all of IPv6 in use."""
    version, most = (4, 2**31) if everyone == EVERYONE[0] else (6, 2**125)
    networks = map(ipaddress.ip_network, trust.networks)
    return sum(n.num_addresses for n in networks if n.version == version) >= most


def _how_much(trust: TrustSet, everyone: str) -> str:
    return everyone if everyone in trust.networks else f"most of {everyone}"


def _split(given: object, option: str, problems: list[str]) -> Iterator[str]:
    """Yield the entries as text; a bare text is never iterated by character."""
    if isinstance(given, str):
        lines = [line for line in given.splitlines() if line.strip()]
        yield from (piece.strip() for line in lines for piece in line.split(","))
        return
    if _is_network_object(given):
        given = [given]
    if isinstance(given, bytes | bytearray | Mapping) or not isinstance(given, Iterable):
        problems.append(
            f"{option}: {_show(given)} is no list; give addresses or networks, such as "
            "['10.0.0.0/8', 'cloudflare'], or one text with commas or line breaks between them"
        )
        return
    for entry in given:
        if isinstance(entry, str) or _is_network_object(entry):
            yield from _texts_of(entry)
        else:  # an int is refused too: ipaddress would read 5 as 0.0.0.5
            problems.append(
                f"{option}: {_show(entry)} is no entry; write an address or a network "
                "as text, such as '10.0.0.0/8', or give an ipaddress or netaddr object"
            )


def _texts_of(entry: object) -> list[str]:
    """Return the text of an entry; only a netaddr.IPSet has more than one."""
    if type(entry).__name__ == "IPSet":
        return [str(network) for network in entry.iter_cidrs()]  # type: ignore[attr-defined]  # netaddr ships no types
    return [str(entry).strip()]


def _is_network_object(given: object) -> bool:
    """Tell ipaddress and netaddr objects without importing netaddr."""
    return type(given).__module__.partition(".")[0] in {"ipaddress", "netaddr"}


def _read_entry(entry: str) -> list[Any]:
    if entry in NAMES:
        return list(NAMES[entry])
    if not entry:
        raise ValueError("an entry is empty; remove the comma too many")
    if "%" in entry:
        raise ValueError(f"{_show(entry)} has a zone; leave out the part from '%' on")
    if "," in entry:
        raise ValueError(f"{_show(entry)} holds a comma; give each entry by itself")
    if "*" in entry:
        return [_read_wildcard(entry)]
    first, dash, last = entry.partition("-")
    if dash and re.fullmatch(_ADDRESS, first.strip()):
        return [_read_range(entry, first.strip(), last.strip())]
    return [_read_network(entry)]


def _read_network(entry: str) -> str:
    address, slash, length = entry.partition("/")
    packed = pack(address)
    if packed is None:
        raise ValueError(_refusal(entry, address))
    bits = len(packed) * 8
    if slash and not (re.fullmatch(_LENGTH, length) and int(length) <= bits):
        raise ValueError(
            f"{_show(entry)} has no prefix length; write a number from 0 to {bits} after the '/'"
            f"{_by_netmask(address, length)}"
        )
    prefix = int(length) if slash else bits
    if not any(packed) and prefix == bits:
        raise ValueError(
            f"{_show(entry)} is nobody's address; write 'unix' for a unix socket, or the "
            "networks of your proxies"
        )
    network = ipaddress.ip_network((packed, prefix), strict=False)
    _check_mapped(entry, packed, prefix, network)
    if network.network_address.packed != packed:
        raise ValueError(
            f"{_show(entry)} has bits set after its prefix; write '{_unmap(network)}' for the "
            f"network, or '{ipaddress.ip_address(fold(packed))}' for the one address"
        )
    return _unmap(network)


def _by_netmask(address: str, length: str) -> str:
    """Name the prefix length of a netmask, as ipaddress understands it."""
    try:
        network = ipaddress.IPv4Network(f"{address}/{length}", strict=False)
    except ValueError:
        return ""
    return f", such as '{network}'" if "." in length else ""


def _check_mapped(entry: str, packed: bytes, prefix: int, network: Network) -> None:
    """Refuse a v6 net that covers ::ffff:0:0/96 and more: folded, it would be everyone.

    `::/0` passes here, because the check of the merged list asks for it by name.
    """
    if network.version == 4 or prefix >= 96 or prefix == 0:
        return
    if network.supernet_of(_MAPPED):
        hint = "list the v6 networks of your proxies"
        if packed[:12] == _MAPPED.network_address.packed[:12]:
            v4 = ipaddress.ip_address(fold(packed))
            hint = (
                f"write '{v4}/{prefix}', or count the prefix from 96: '::ffff:{v4}/{96 + prefix}'"
            )
            if prefix > 32:
                hint = f"write '{v4}', or a prefix length from 96 to 128"
        raise ValueError(f"{_show(entry)} covers every IPv4 address (as ::ffff:0:0/96); {hint}")


def _unmap(network: Network) -> str:
    """Write a network inside ::ffff:0:0/96 as the IPv4 network that it stands for."""
    if network.version == 6 and network.prefixlen >= 96:
        packed = fold(network.network_address.packed)
        if len(packed) == 4:
            return f"{ipaddress.IPv4Address(packed)}/{network.prefixlen - 96}"
    return str(network)


def _read_range(entry: str, first: str, last: str) -> object:
    ends = [fold(packed) for packed in map(pack, (first, last)) if packed is not None]
    if len(ends) != 2 or len(ends[0]) != len(ends[1]):
        raise ValueError(
            f"{_show(entry)} is no range; write two addresses of one IP version, such as "
            "'10.0.0.1-10.0.0.9'"
        )
    if ends[0] > ends[1]:
        raise ValueError(f"{_show(entry)} runs backwards; write '{last}-{first}'")
    mapped = _MAPPED.network_address.packed
    if len(ends[0]) == 16 and ends[0] <= mapped <= ends[1]:
        raise ValueError(
            f"{_show(entry)} covers every IPv4 address (as ::ffff:0:0/96); "
            "list the v6 networks of your proxies"
        )
    from netaddr import IPRange  # type: ignore[import-untyped]  # netaddr ships no types

    return IPRange(str(ipaddress.ip_address(ends[0])), str(ipaddress.ip_address(ends[1])))


def _read_wildcard(entry: str) -> object:
    from netaddr import glob_to_iprange, valid_glob

    octets = entry.split(".")
    # netaddr takes 010 for ten; another parser takes it for eight.
    if not all(re.fullmatch(_OCTET, octet) for octet in octets) or not valid_glob(entry):
        raise ValueError(
            f"{_show(entry)} is no wildcard; write four parts with '*' for the last ones, "
            "such as '10.0.*.*'"
        )
    return glob_to_iprange(entry)


def _refusal(entry: str, address: str) -> str:
    """Say what is wrong with an address text, and what to write instead."""
    fix = _fix(entry, address)
    if fix:
        return f"{_show(entry)} {fix}"
    from difflib import get_close_matches

    names = ("cloudflare", "unix", *(name for name in NAMES if name != "*"))
    close = get_close_matches(entry.lower(), names, n=1, cutoff=0.8)
    hint = f"did you mean '{close[0]}'?" if close else "names are not looked up."
    return (
        f"{_show(entry)} is neither an address nor a network; {hint} Allowed are addresses, "
        "networks (10.0.0.0/8), ranges (10.0.0.1-10.0.0.9), wildcards (10.0.*.*), "
        f"{', '.join(map(repr, sorted(names)))}"
    )


def _fix(entry: str, address: str) -> str:
    """Name the fix of what people often write; "" for anything else."""
    octets = address.split(".")
    if len(octets) == 4 and all(re.fullmatch(r"[0-9]{1,4}", octet) for octet in octets):
        plain = ".".join(str(int(octet)) for octet in octets)
        if plain != address and pack(plain):
            better = entry.replace(address, plain, 1)
            return f"has leading zeros, octal to some; write '{better}' if you mean that"
    if re.search(r"[\s;]", entry):
        return "holds more than one entry; put commas between them"
    if entry in PRESETS:
        return f"is a mode and publishes no networks; write mode='{entry}', and addresses here"
    if entry == "localhost":
        return "is a name, and none is looked up; write '127.0.0.0/8' and '::1'"
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and pack(host.strip("[]")):
        return f"has a port; write '{host.strip('[]')}'"
    return ""


def _show(given: object) -> str:
    text = ascii(given)
    return text if len(text) <= 60 else text[:57] + "..."
