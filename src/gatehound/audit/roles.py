"""Find names of roles that miss the one they mean: a role is a text that no list declares."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from gatehound.clientip.check import Finding
from gatehound.settings import Settings

_ALIKE: Final = 0.88  # admin and admins, admin and admn; not editor and creditor


def role_findings(settings: Settings) -> Iterator[Finding]:
    """Compare the lists of roles with the roles that have settings, and with each other."""
    policy, web = settings.policy, settings.web
    lists = {
        "policy.sensitive_roles": policy.sensitive_roles,
        "policy.relaxed_roles": policy.relaxed_roles,
        "web.trace_roles": web.trace_roles,
        "web.admin_roles": web.admin_roles,
    }
    missed: dict[tuple[str, str], list[str]] = {}
    for where, names in lists.items():
        for name in names:
            meant = _meant(name, [role for role in settings.roles if role not in names])
            if name not in settings.roles and meant is not None:
                missed.setdefault((name, meant), []).append(where)
    for (name, meant), places in missed.items():
        yield Finding(
            "warning",
            "role-misspelled",
            f"{' and '.join(places)} name{'s' if len(places) == 1 else ''} {name!r}, and roles "
            f"has {meant!r}: a role counts letter for letter.",
            f"write all of them as the app does in login(roles=...), or name {meant!r} there too",
        )
    watched_less = set(policy.relaxed_roles) & {*policy.sensitive_roles, *web.admin_roles}
    for name in sorted(watched_less):
        yield Finding(
            "warning",
            "role-relaxed",
            f"policy.relaxed_roles names {name!r}, whom another list takes for one who can do "
            "harm: that of policy.sensitive_roles wins, that of web.admin_roles does not.",
            f"take {name!r} out of policy.relaxed_roles",
        )


def _meant(name: str, roles: list[str]) -> str | None:
    folded = {role.casefold(): role for role in roles}
    if name.casefold() in folded:
        return folded[name.casefold()]
    words = [role for role in folded if role.isalpha()]  # user:1234 and user:1235 are two users
    close = get_close_matches(name.casefold(), words, n=1, cutoff=_ALIKE)
    return folded[close[0]] if close else None
