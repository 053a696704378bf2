"""Named bundles of settings: a figure for each setting, and for each figure its one source.

Belongs here: data, and how it lies under what the operator gives. Does not: what a setting means.
No profile needs what only the operator can give (a page for proofs, databases, addresses of
proxies), so none sets detection.mode to one that asks for proofs. docs/profiles.md prints the
figures as a table; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0

_GUARD_DOG: Final = "Guard Dog's default"
_IN_MINUTES: Final = "ours, in Guard Dog's range of 5 to 1440 minutes"
_IN_SESSIONS: Final = "ours, in Guard Dog's range of 1 to 20 sessions"
_WORDPRESS: Final = 'WordPress: 14 days with "remember me"'
_WOOCOMMERCE: Final = "WooCommerce: who may change orders there has the role shop_manager"
_HIGH: Final = "OWASP Session Management Cheat Sheet: idle 2 to 5 minutes for high value"
_LOW: Final = "OWASP Session Management Cheat Sheet: idle 15 to 30 minutes for low risk"
_OFFICE: Final = (
    "OWASP Session Management Cheat Sheet: absolute 4 to 8 hours for a day at the office"
)
_RENEWAL: Final = "OWASP Session Management Cheat Sheet: a renewal timeout; the figure is ours"
_AAL1: Final = "NIST SP 800-63B-4, 2.1.3: overall SHOULD be no more than 30 days"
_AAL1_IDLE: Final = "NIST SP 800-63B-4, 2.1.3: inactivity MAY be applied; the figure is ours"
_AAL2: Final = "NIST SP 800-63B-4, 2.2.3: overall SHOULD be no more than 24 hours"
_AAL2_IDLE: Final = "NIST SP 800-63B-4, 2.2.3: inactivity SHOULD be no more than 1 hour"
_AAL3: Final = "NIST SP 800-63B-4, 2.3.3: overall SHALL be no more than 12 hours"
_AAL3_IDLE: Final = "NIST SP 800-63B-4, 2.3.3: inactivity SHOULD be no more than 15 minutes"


class Figure(NamedTuple):
    """What a profile sets a setting to (durations in seconds), and where that comes from."""

    value: Any
    source: str


def _timeouts(
    idle: Figure, absolute: Figure, remember: Figure | None = None, again: Figure | None = None
) -> dict[str, Figure]:
    """The four of them; without its own a remembered session lives no longer than others."""
    return {
        "session.idle_timeout": idle,
        "session.absolute_timeout": absolute,
        "session.remember_timeout": remember or absolute,
        "session.remember_idle_timeout": again or remember or idle,
    }


FIGURES: Final[Mapping[str, Mapping[str, Figure]]] = MappingProxyType(
    {
        "small-business": {
            **_timeouts(
                Figure(_HOUR, _GUARD_DOG),
                Figure(12 * _HOUR, "ours: a long working day"),
                Figure(14 * _DAY, _WORDPRESS),
            ),
            "session.max_per_user": Figure(5, _GUARD_DOG),
            "session.on_limit": Figure("oldest", _GUARD_DOG),
        },
        "shop": {
            **_timeouts(
                Figure(2 * _HOUR, _IN_MINUTES),
                Figure(_DAY, "ours: who comes back the next day signs in before paying"),
                Figure(30 * _DAY, _AAL1),
            ),
            "session.anonymous_timeout": Figure(30 * _DAY, "ours: a cart lives as long as a login"),
            "session.rotate_every": Figure(_DAY, _RENEWAL),
            "session.max_per_user": Figure(10, _IN_SESSIONS),
            "session.on_limit": Figure("oldest", _GUARD_DOG),
            "policy.sensitive_roles": Figure(
                ("admin", "administrator", "shop_manager"), _WOOCOMMERCE
            ),
        },
        "agency": {
            **_timeouts(Figure(30 * _MINUTE, _LOW), Figure(8 * _HOUR, _OFFICE)),
            "session.rotate_every": Figure(_HOUR, _RENEWAL),
            "session.max_per_user": Figure(3, _IN_SESSIONS),
            "session.on_limit": Figure("oldest", _GUARD_DOG),
            "policy.profile": Figure("strict", "ours: one account reaches the sites of many"),
            "policy.sensitive_roles": Figure(
                ("admin", "administrator", "editor"), "ours: an editor publishes for a customer"
            ),
        },
        "behind-cdn": {
            "client_ip.mode": Figure("cloudflare", "Guard Dog: its method for Cloudflare"),
            "detection.ip_shift": Figure(
                "evidence", "ours: a user's way through a CDN changes, and is no theft"
            ),
        },
        "consumer": {
            **_timeouts(
                Figure(_DAY, "ours, the longest of Guard Dog's range of 5 to 1440 minutes"),
                Figure(7 * _DAY, "ours: a week on one device"),
                Figure(30 * _DAY, _AAL1),
            ),
            "session.anonymous_timeout": Figure(30 * _DAY, "ours: as long as a remembered login"),
            "session.rotate_every": Figure(_DAY, _RENEWAL),
            "session.max_per_user": Figure(10, _IN_SESSIONS),
            "session.on_limit": Figure("oldest", _GUARD_DOG),
        },
        "admin": {
            **_timeouts(Figure(15 * _MINUTE, _AAL3_IDLE), Figure(8 * _HOUR, _OFFICE)),
            "session.fresh_for": Figure(5 * _MINUTE, "ours: most of what admins do is sensitive"),
            "session.rotate_every": Figure(_HOUR, _RENEWAL),
            "session.max_per_user": Figure(2, _IN_SESSIONS),
            "session.on_limit": Figure("oldest", _GUARD_DOG),
            "policy.profile": Figure("strict", "ours: a false alarm costs an admin one look"),
        },
        "owasp-high": {
            **_timeouts(Figure(5 * _MINUTE, _HIGH), Figure(4 * _HOUR, _OFFICE)),
            "session.touch_interval": Figure(30.0, "ours: a tenth of the idle timeout"),
            "session.fresh_for": Figure(5 * _MINUTE, "ours: as long as the idle timeout"),
            "session.rotate_every": Figure(30 * _MINUTE, _RENEWAL),
        },
        "owasp-low": _timeouts(Figure(30 * _MINUTE, _LOW), Figure(8 * _HOUR, _OFFICE)),
        "nist-aal1": _timeouts(
            Figure(_DAY, _AAL1_IDLE), Figure(30 * _DAY, _AAL1), again=Figure(30 * _DAY, _AAL1_IDLE)
        ),
        "nist-aal2": _timeouts(Figure(_HOUR, _AAL2_IDLE), Figure(_DAY, _AAL2)),
        "nist-aal3": _timeouts(Figure(15 * _MINUTE, _AAL3_IDLE), Figure(12 * _HOUR, _AAL3)),
    }
)

# What a role can have of its own. A test compares this with RoleSettings.
OF_ROLES: Final = (
    "idle_timeout",
    "absolute_timeout",
    "remember_timeout",
    "remember_idle_timeout",
    "fresh_for",
    "max_per_user",
    "on_limit",
)
_TOUCH: Final = "touch_interval"


def tree_of(figures: Mapping[str, Figure]) -> Mapping[str, Any]:
    """Return figures by dotted name as the tree that `Settings.from_dict` reads, frozen."""
    tree: dict[str, dict[str, Any]] = {}
    for name, figure in figures.items():
        group, _, last = name.partition(".")
        tree.setdefault(group, {})[last] = figure.value
    return MappingProxyType({group: MappingProxyType(values) for group, values in tree.items()})


PROFILES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {name: tree_of(figures) for name, figures in FIGURES.items()}
)


def names_in(given: object) -> tuple[str, ...]:
    """Read a value of `profile` as far as it can be: text with commas, or a list of texts."""
    if isinstance(given, str):
        given = re.split(r"[,\n]", given)
    if not isinstance(given, list | tuple):
        return ()
    return tuple(name.strip() for name in given if isinstance(name, str) and name.strip())


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another, group by group; what the upper one says wins."""
    result = dict(low)
    for key, value in high.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of settings with what its profiles say where it says nothing itself.

    Of several profiles a later one wins. A profile that does not exist fills in nothing: the
    rules between settings name it.
    """
    tree = merged(_of_names(data.get("profile")), data)
    roles = {name: _of_role(role) for name, role in _roles_of(data)}
    if roles:
        tree["roles"] = {**data["roles"], **roles}
    _keep_up(tree, data)
    return tree


def told(line: str, data: Mapping[str, Any]) -> str:
    """Add to a problem which of the settings that it speaks of nobody wrote, but a profile."""
    group = line.partition(":")[0].rpartition(".")[0]
    notes = [
        f"; {name} comes from the profile {profile}"
        for name, profile in _origins(data)
        if re.search(rf"(?<![\w.]){re.escape(name)}\b", line)
        or (name.startswith(f"{group}.") and _speaks_of(line, name.rpartition(".")[2]))
    ]
    return line + "".join(notes)


def _speaks_of(line: str, last: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(last)}\b", line) is not None


def _of_names(given: object) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in names_in(given):
        tree = merged(tree, PROFILES.get(name, {}))
    return tree


def _of_role(role: Mapping[str, Any]) -> dict[str, Any]:
    session = _of_names(role.get("profile")).get("session", {})
    return merged({name: session[name] for name in OF_ROLES if name in session}, role)


def _roles_of(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The roles that are a group; what else stands there the reader complains of."""
    roles = data.get("roles")
    if isinstance(roles, Mapping):
        yield from ((name, role) for name, role in roles.items() if isinstance(role, Mapping))


def _keep_up(tree: dict[str, Any], data: Mapping[str, Any]) -> None:
    """Note activity as often as the profile of a role needs it: that is no setting of a role."""
    given, session = data.get("session", {}), tree.get("session", {})
    if not isinstance(given, Mapping) or _TOUCH in given:
        return
    asked = [_of_names(role.get("profile")).get("session", {}) for _, role in _roles_of(data)]
    least = [one[_TOUCH] for one in (*asked, session) if _TOUCH in one]
    if least:
        tree["session"] = {**session, _TOUCH: min(least)}


def _origins(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every setting that a profile fills in, by its dotted name, and which profile that is."""
    found = {
        tuple(name.split(".")): profile
        for profile in names_in(data.get("profile"))
        for name in FIGURES.get(profile, {})
    }
    for role, group in _roles_of(data):
        for profile in names_in(group.get("profile")):
            session = PROFILES.get(profile, {}).get("session", {})
            found |= {("roles", str(role), name): profile for name in OF_ROLES if name in session}
            found |= {("session", _TOUCH): profile} if _TOUCH in session else {}
    yield from ((".".join(path), of) for path, of in found.items() if not _is_given(data, path))


def _is_given(data: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    node: Any = data
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True
