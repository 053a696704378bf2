"""The options that hold: of the environment or of a file, with `-o` over them.

Values are read as the guard reads its settings, and refused with the same words; of a whole
tree of settings nothing but `client_ip`, and what `profile` says of it, is looked at.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gatehound._reading import in_words_of, nest_environment, read_struct
from gatehound.cli.config import load
from gatehound.cli.output import Unable
from gatehound.clientip import ClientIPResolver
from gatehound.errors import SettingsError
from gatehound.settings import ClientIPSettings, Settings

PREFIX: Final = "GATEHOUND_"
NAMES: Final = ClientIPSettings.__struct_fields__
DEFAULTS: Final = ClientIPSettings()
BRANCH: Final = ("profile", "client_ip")
TOLD: Final = ("mode", "trusted_proxies")

# What the log would say of an old list is said by the commands, folded.
logging.getLogger("gatehound.clientip").addHandler(logging.NullHandler())


class _Branch(msgspec.Struct, frozen=True):
    """The part of a tree of settings that is read here."""

    profile: tuple[str, ...] = ()
    client_ip: ClientIPSettings = DEFAULTS


def read_options(config: Path | None, pairs: Mapping[str, str]) -> ClientIPSettings:
    """Read the options, each by itself; Unable tells of all that cannot be read."""
    options, _, problems = _read(config, pairs)
    _raise(problems)
    return options


def read_resolver(
    config: Path | None, pairs: Mapping[str, str]
) -> tuple[ClientIPSettings, ClientIPResolver]:
    """Build the resolver, by the rules of the guard; Unable tells of all that is wrong."""
    options, profile, problems = _read(config, pairs)
    settings = Settings(client_ip=options, profile=profile, store="memory://")
    for line in settings.problems():
        if line.startswith(("client_ip:", "client_ip.")):
            problems.append(line)
        elif line.startswith("profile"):
            problems.append(in_words_of(line, Settings, config is None, PREFIX))
    _raise(problems)
    return options, settings.resolver()


def changed(options: ClientIPSettings) -> dict[str, Any]:
    """Return the options that differ from their defaults; of a secret the header alone.

    `mode` and `trusted_proxies` are left out: the resolver tells what became of them.
    """
    pairs = msgspec.structs.asdict(options).items()
    found = {name: value for name, value in pairs if value != getattr(DEFAULTS, name)}
    found = {name: value for name, value in found.items() if name not in TOLD}
    if options.edge_secret:
        found["edge_secret"] = (options.edge_secret[0], "...")
    return found


def _read(
    config: Path | None, pairs: Mapping[str, str]
) -> tuple[ClientIPSettings, tuple[str, ...], list[str]]:
    """Return the options, the profiles that lie under them, and what is wrong."""
    problems: list[str] = []
    if config is None:
        problems += _astray(os.environ)
        tree = nest_environment(os.environ, PREFIX)
        said = _branch(tree, problems, text=True)
    else:
        said = _branch(_client_ip_of(load(config, '{"client_ip": ...}')), problems, text=False)
    changes = _read_typed(pairs, problems)
    return msgspec.structs.replace(said.client_ip, **changes), said.profile, problems


def _astray(environ: Mapping[str, str]) -> list[str]:
    """Tell of variables that were meant for here and are none, as the guard would."""
    meant = [name for name in environ if name.startswith(PREFIX + "CLIENT") and environ[name]]
    group = PREFIX + "CLIENT_IP"  # by itself it is refused where it is read
    wrong = [name for name in meant if name != group and not name.startswith(group + "__")]
    return [
        f"{name}: there is no such setting; write {PREFIX}CLIENT_IP__MODE and so on, with two "
        "underscores after CLIENT_IP"
        for name in wrong
    ]


def _raise(problems: list[str]) -> None:
    if problems:
        raise Unable(str(SettingsError(problems)))


def _branch(tree: Mapping[str, Any], problems: list[str], *, text: bool) -> _Branch:
    mine = {name: tree[name] for name in BRANCH if name in tree}
    if "profile" in mine:
        from gatehound.profiles import filled

        filled_in = filled(mine)
        mine = {name: filled_in[name] for name in BRANCH if name in filled_in}
    prefix, separator = (PREFIX, "__") if text else ("", ".")
    return read_struct(_Branch, mine, problems, text=text, prefix=prefix, separator=separator)


def _client_ip_of(tree: dict[str, Any]) -> dict[str, Any]:
    """Take a file for a whole tree, or for the options alone; no name is in both."""
    beside = sorted(set(tree) & set(NAMES))
    whole = [name for name in BRANCH if name in tree]
    if whole and beside:
        raise Unable(
            f"--config: {', '.join(beside)} given beside {' and '.join(whole)}; only what is in "
            "client_ip is read; move them into it"
        )
    if not whole and not beside:
        given = ", ".join(map(ascii, sorted(tree)[:3])) or "nothing"
        raise Unable(f"--config: the file holds {given}, and no client_ip; {_meant(tree)}")
    return tree if whole else {"client_ip": tree}


def _meant(tree: Mapping[str, Any]) -> str:
    """Say what to write into a file that holds nothing of ours."""
    for name in sorted(set(tree) - set(Settings.__struct_fields__)):
        if close := _nearest(name, ("client_ip", *NAMES)):
            return f"write {close} in the place of {name!a}"
    return f"write the table [client_ip] with any of {', '.join(NAMES)}"


def _nearest(name: str, names: Sequence[str]) -> str:
    """Find the name that was meant; "" where none is near."""
    return next(iter(difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1)), "")


def _read_typed(pairs: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Read what `-o` gives; a name without a value takes its default back."""
    found: list[str] = []
    for name in (name for name in pairs if name not in NAMES):
        close = _nearest(name, NAMES)
        hint = f"did you mean {close}?" if close else "leave it out."
        problems.append(f"-o {name!a}: there is no such option; {hint} Allowed: {', '.join(NAMES)}")
    known = {name: value for name, value in pairs.items() if name in NAMES}
    given = {name: value for name, value in known.items() if value}
    read = read_struct(ClientIPSettings, given, found, text=True)
    for line in found:
        name, colon, rest = line.partition(":")
        problems.append(f"-o {name.lower()}{colon}{rest}")
    return {name: getattr(read, name) for name in known}
