"""Text of strangers, made safe to show: shared by what prints and what exports."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape what is no visible character: controls, and marks that turn the direction."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
