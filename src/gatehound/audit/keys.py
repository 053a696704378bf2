"""Find secret keys that somebody could guess.

Only what no random key shows: against a key of `gatehound keygen`, or 32 random hexadecimal
digits, the odds of every rule together are under one in a million. No finding shows a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from gatehound.clientip.check import Finding
from gatehound.settings import Settings

MIN_VARIETY: Final = 8  # different characters, as for client_ip.edge_secret
SHARED: Final = 10  # characters at the beginning; two keys have others
# Of six letters or more: shorter words turn up in random keys.
_PLACEHOLDERS: Final = re.compile(
    r"change[-_ ]?(me|this|it)|secret|password|example|insecure|placeholder|replace|default"
    r"|your[-_ ]?(own|key)|12345678|abcdefgh|qwerty|asdfgh",
    re.IGNORECASE,
)
_RENEW: Final = "put one of `gatehound keygen` first, and drop this one when its sessions are over"
_KEEP: Final = (
    "make one with `gatehound keygen` and begin with an empty store: users are found by it"
)


def key_findings(settings: Settings) -> Iterator[Finding]:
    """Look at each key, and at each pair of them."""
    keys = {f"secret_keys[{at}]": key for at, key in enumerate(settings.secret_keys)}
    keys["identity_key"] = settings.identity_key
    for name, key in keys.items():
        if why := _weakness(key):
            yield Finding(
                "danger",
                "key-weak",
                f"{name} {why}: who guesses it does with cookies or users what only you may.",
                _KEEP if name == "identity_key" else _RENEW,
            )
    for (one, key), (other, second) in combinations(keys.items(), 2):
        if key[:SHARED] == second[:SHARED]:
            yield Finding(
                "danger",
                "keys-alike",
                f"{one} and {other} begin alike: who knows the one guesses the other.",
                _RENEW,
            )


def _weakness(key: str) -> str | None:
    variety = len(set(key))
    if variety < MIN_VARIETY:
        return f"has {variety} different character{'s' if variety != 1 else ''}"
    if any(key[size:] == key[:-size] for size in range(1, len(key) // 2 + 1)):
        return "is one piece that repeats itself"
    return "holds a word that stands in examples" if _PLACEHOLDERS.search(key) else None
