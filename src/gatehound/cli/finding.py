"""Findings for people, the same for every command that has some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatehound.clientip.check import Finding

LEVELS: Final = ("note", "warning", "danger")


def lines_of(findings: tuple[Finding, ...]) -> list[str]:
    """Write findings for people, two lines each."""
    return [
        line
        for one in findings
        for line in (
            f"{one.level}: {one.text} ({one.code})",
            f"  Fix: {one.fix.removesuffix('.')}.",
        )
    ]
