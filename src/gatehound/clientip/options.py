"""Check the options of a resolver, all of them before the first complaint is raised."""

# Annotations are no texts here: NamedTuple compiles those, which is a tenth of the import.

from re import fullmatch
from typing import Final, NamedTuple

from gatehound.clientip import cloudflare
from gatehound.clientip.entries import check_width, read_trust
from gatehound.clientip.lines import CF_CONNECTING_IP, X_REAL_IP, Name, name_of
from gatehound.clientip.modes import MODES, Find, Rules, Secret, by_connecting_ip, by_one_line
from gatehound.clientip.presets import PRESETS, Preset
from gatehound.clientip.trust import TrustSet, trust_of
from gatehound.clientip.walk import MAX_TRUSTED_HOPS
from gatehound.errors import SettingsError

ON_ALL_TRUSTED: Final = ("farthest", "unresolved")

MIN_SECRET: Final = 16
"""Characters of an edge secret; a random text of 16 cannot be found by asking."""

OWN_MODE: Final = {"x-forwarded-for", "forwarded", "x-real-ip"}
"""Headers that have a mode of their own, which knows more of them than mode `header`."""

PASSED_ON: Final = {
    "client-ip",
    "fastly-client-ip",
    "true-client-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
}
"""Headers that the edges known for them pass on as the client sent them, unless told otherwise."""

CLIENTS_OWN: Final = {
    *("accept", "authorization", "connection", "cookie", "from", "host", "origin", "referer"),
    *("user-agent", "via", "x-forwarded-host", "x-forwarded-proto", "x-requested-with"),
}
"""Headers that clients send themselves, or that name no address: none says who the client is."""

CHAIN_NAMES: Final = {"x-forwarded-for", "forwarded", "x-real-ip", "host", "cookie"}
"""Headers that name neither a scheme nor the host that a proxy was asked for, nor a secret."""

SHORT: Final = {"xff": "x-forwarded-for", "alb": "aws-alb", "cloudfront": "aws-cloudfront"}
"""What people write for a mode."""

MIN_VARIETY: Final = 8
"""Different characters of an edge secret; `changemechangeme` has 7, a UUID of zeros 2."""

# RFC 9110 5.6.2 has more; an underscore is what WSGI servers fold into a hyphen.
_NAME: Final = r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,62}[0-9A-Za-z])?"
_HEADERLIKE: Final = r"(?i:x)(?:-[A-Za-z]+)+"
_VISIBLE: Final = r"[\x21-\x2b\x2d-\x7e]+"  # no comma: lists are split there


class Options(NamedTuple):
    """What ClientIPResolver was given, unchecked."""

    mode: object
    trusted_proxies: object
    trust_everyone: object
    hops: object
    header: object
    edge_overwrites: object
    edge_secret: object
    allow_headerless: object
    scheme_header: object
    host_header: object
    peer_port: object
    on_all_trusted: object
    cloudflare_ranges: object


def read_rules(options: Options) -> Rules:
    """Return the checked rules, or raise SettingsError with a line for each problem."""
    problems: list[str] = []
    chosen = _read_mode(options.mode, problems)
    preset = PRESETS.get(chosen)
    mode = preset.mode if preset else chosen
    ranges = _read_ranges(options.cloudflare_ranges, problems)
    edge = trust_of(ranges.networks)
    own = peers = _read_own(options, preset, ranges, problems)
    if MODES[mode].cloudflare:
        cloudflare.warn_if_stale(ranges)
        peers, own = own.plus(edge), own.minus(edge)
    header = _read_header(options, mode, preset, problems)
    _check_peers(chosen, preset, mode, own, problems)
    scheme = _read_said("scheme_header", options.scheme_header, mode, preset, problems)
    host = _read_said("host_header", options.host_header, mode, preset, problems)
    if scheme is not None and scheme == host:
        problems.append(f"host_header: {scheme.text} is scheme_header too; one of the two is wrong")
    rules = Rules(
        find=_find(mode, preset, header),
        mode=mode,
        preset=chosen if preset else "",
        peers=peers,
        own=own,
        edge=edge,
        edge_published=ranges.published,
        header=header or X_REAL_IP,
        hops=_read_hops(options.hops, mode, preset, own, problems)
        or (preset.hops if preset else 0),
        peer_port=_read_bool("peer_port", options.peer_port, problems),
        farthest=_read_farthest(options.on_all_trusted, problems),
        headerless=_read_headerless(options.allow_headerless, mode, peers, ranges, problems),
        secret=_read_secret(options.edge_secret, mode, problems),
        scheme=scheme,
        host=host,
    )
    if problems:
        raise SettingsError(problems)
    return rules


def _read_own(
    options: Options, preset: Preset | None, ranges: cloudflare.Ranges, problems: list[str]
) -> TrustSet:
    """Compile the operator's proxies, with those that the preset knows."""
    everyone = _read_bool("trust_everyone", options.trust_everyone, problems)
    own = read_trust(options.trusted_proxies, everyone=everyone, edge=ranges, problems=problems)
    check_width(own, everyone=everyone, problems=problems)
    return own.plus(trust_of(preset.networks)) if preset and preset.networks else own


def _find(mode: str, preset: Preset | None, header: Name | None) -> Find:
    if header == CF_CONNECTING_IP:
        return by_connecting_ip
    return by_one_line if preset and preset.one_line else MODES[mode].find


def _read_mode(mode: object, problems: list[str]) -> str:
    known = (*MODES, *PRESETS)
    if isinstance(mode, str) and mode in known:
        return mode
    from difflib import get_close_matches

    text = mode.lower().replace("_", "-") if isinstance(mode, str) else ""
    text = SHORT.get(text, text)
    close = [text] if text in known else get_close_matches(text, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    problems.append(
        f"mode: {mode!r} is not known; {hint}The modes are {', '.join(MODES)}, and the presets "
        f"{', '.join(PRESETS)}"
    )
    return "remote-addr"


def _read_bool(name: str, given: object, problems: list[str]) -> bool:
    if isinstance(given, bool):
        return given
    problems.append(f"{name}: {given!r} is not allowed; write True or False")
    return False


def _read_farthest(given: object, problems: list[str]) -> bool:
    if given not in ON_ALL_TRUSTED:
        problems.append(
            f"on_all_trusted: {given!r} is not allowed; write 'farthest' or 'unresolved'"
        )
    return given == "farthest"


def _read_ranges(given: object, problems: list[str]) -> cloudflare.Ranges:
    if given is None:
        return cloudflare.BUNDLED
    from os import PathLike

    if not isinstance(given, str | PathLike) or not given:
        problems.append(
            f"cloudflare_ranges: {given!r} is not allowed; write the path of a file that "
            "`gatehound ip refresh` made, or leave it out for the bundled list"
        )
        return cloudflare.BUNDLED
    try:
        return cloudflare.load(given)
    except ValueError as error:
        problems.append(f"cloudflare_ranges: {error}")
        return cloudflare.BUNDLED


def _read_hops(
    hops: object, mode: str, preset: Preset | None, own: TrustSet, problems: list[str]
) -> int:
    """Check the count; a bool is an int to Python, and True would mean one hop."""
    if hops is None:
        return preset.hops if preset else 0
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
    elif preset and hops < preset.hops:
        problems.append(
            f"hops: {hops} would be an address of {preset.title} itself; write {preset.hops} or "
            "more, or leave it out"
        )
    elif not own.listed:
        problems.append(
            "hops: a count needs trusted_proxies too, or anyone who reaches the server writes "
            "the entry that is counted; list the proxy that connects to this server"
        )
    return hops


def _check_peers(
    chosen: str, preset: Preset | None, mode: str, own: TrustSet, problems: list[str]
) -> None:
    """Ask for trusted peers where nothing would ever be read without them."""
    if own.listed or any(line.startswith("trusted_proxies:") for line in problems):
        return
    if preset is not None:
        problems.append(
            f"trusted_proxies: mode {chosen!r} needs the addresses that connect to this server. "
            f"{preset.setup}"
        )
    elif mode == "header":
        problems.append(
            "trusted_proxies: mode 'header' needs the addresses of the proxies that write the "
            "header, or anyone could; list the proxy that connects to this server"
        )


def _read_header(
    options: Options, mode: str, preset: Preset | None, problems: list[str]
) -> Name | None:
    """Return the one header of mode `header`; None in the other modes."""
    overwrites = _read_bool("edge_overwrites", options.edge_overwrites, problems)
    if mode != "header":
        if options.header is not None:
            problems.append(
                f"header: {options.header!r} is given, but mode is {options.mode!r}; write "
                "mode='header', or leave out header"
            )
        if overwrites:
            problems.append(
                "edge_overwrites: True speaks of the header of mode='header'; leave it out"
            )
        return None
    if preset is not None:
        if options.header is not None:
            problems.append(
                f"header: mode {options.mode!r} reads {preset.header}; leave out header, or "
                "write mode='header'"
            )
        if not preset.edge_overwrites and not overwrites:
            problems.append(_passed_on(preset.header))
        return name_of(preset.header)
    if options.header is None:
        problems.append("header: mode 'header' needs one; write the name of the header to read")
        return None
    name = _read_name("header", options.header, problems)
    if name is not None and name.text in OWN_MODE:
        problems.append(
            f"header: {options.header!r} has a mode of its own; write mode={name.text!r}"
        )
    if name is not None and name.text in CLIENTS_OWN:
        problems.append(
            f"header: {options.header!r} does not say who the client is, and clients send it "
            "themselves; write the header that your proxy overwrites with the client's address"
        )
    if name is not None and name.text in PASSED_ON and not overwrites:
        problems.append(_passed_on(name.text))
    return name


def _passed_on(header: str) -> str:
    return (
        f"edge_overwrites: the edges that write {header} pass on a client's own value unless "
        "they are told otherwise; make yours overwrite it, then say edge_overwrites=True"
    )


def _read_name(option: str, given: object, problems: list[str]) -> Name | None:
    if isinstance(given, str) and fullmatch(_NAME, given):
        return name_of(given)
    fix = "write letters, digits and hyphens"
    if isinstance(given, str) and fullmatch(_NAME, given.replace("_", "-")):
        fix = f"write {given.replace('_', '-')!r}: servers drop or fold underscores"
    problems.append(f"{option}: {given!r} is no header name; {fix}")
    return None


def _read_said(
    option: str, given: object, mode: str, preset: Preset | None, problems: list[str]
) -> Name | None:
    """Return the header that declares scheme or host; the preset's unless one is given."""
    if given is None:
        known = getattr(preset, option) if preset else ""
        return name_of(known) if known else None
    if mode in ("remote-addr", "forwarded"):
        why = "reads no header" if mode == "remote-addr" else "finds it in the element itself"
        problems.append(f"{option}: {given!r} is given, but mode {mode!r} {why}; leave it out")
        return None
    name = _read_name(option, given, problems)
    if name is not None and name.text in CHAIN_NAMES:
        problems.append(
            f"{option}: {given!r} holds something else; write the header that your proxy "
            f"overwrites, such as {SAID_IN[option]}, or leave it out"
        )
    return name


SAID_IN: Final = {"scheme_header": "X-Forwarded-Proto", "host_header": "X-Forwarded-Host"}


def _read_headerless(
    given: object, mode: str, peers: TrustSet, ranges: cloudflare.Ranges, problems: list[str]
) -> TrustSet | None:
    """Compile the peers that may come without the header, such as health checkers."""
    own: list[str] = []
    trust = read_trust(given, edge=ranges, option="allow_headerless", problems=own)
    problems += own
    if own or not trust.listed:
        return None
    if trust.unix:
        problems.append(
            "allow_headerless: a unix socket has no address to answer with; leave out 'unix'"
        )
    elif mode == "remote-addr":
        problems.append("allow_headerless: mode 'remote-addr' reads no header; leave it out")
    elif left := trust.minus(peers).networks:
        problems.append(
            f"allow_headerless: {', '.join(left[:3])} is not in trusted_proxies, so no header is "
            "asked for from there; leave it out"
        )
    return trust


def _read_secret(given: object, mode: str, problems: list[str]) -> Secret | None:
    """Check `edge_secret`; no message shows a value."""
    if given is None or given == ():
        return None
    texts = list(given) if isinstance(given, list | tuple) else []
    if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        problems.append(
            f"edge_secret: this {type(given).__name__} is not allowed; write (header, value), or "
            "(header, value, older value) while you change it; in one text, HEADER,VALUE"
        )
        return None
    header, *values = texts
    if any(len(value) < MIN_SECRET or not fullmatch(_VISIBLE, value) for value in values):
        problems.append(
            f"edge_secret: a value has under {MIN_SECRET} characters, a blank or a comma, or some "
            "that a header cannot carry; make one with `gatehound keygen`"
        )
    if any(len(set(value)) < MIN_VARIETY for value in values if len(value) >= MIN_SECRET):
        problems.append(
            f"edge_secret: a value has under {MIN_VARIETY} different characters, so it can be "
            "guessed; make one with `gatehound keygen`"
        )
    if mode == "remote-addr":
        problems.append("edge_secret: mode 'remote-addr' reads no header; leave it out")
    if not fullmatch(_NAME, header) or any(fullmatch(_HEADERLIKE, value) for value in values):
        # Shown is neither: the two may have changed places.
        problems.append(
            "edge_secret: the first is no header name, or a value looks like one; write the "
            "header first, of letters, digits and hyphens, then the value"
        )
        return None
    name = name_of(header)
    if name.text in CHAIN_NAMES | CLIENTS_OWN:
        problems.append(
            f"edge_secret: {name.text!r} is a header that others write; let your edge add one of "
            "its own, such as X-Edge-Key"
        )
    from hmac import compare_digest

    return Secret(name, tuple(v.encode("ascii", "replace") for v in values), compare_digest)
