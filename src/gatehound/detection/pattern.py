"""Globs over method and path, compiled once: how settings name requests.

A pattern is a path glob such as `/wp-admin/*`, or a method, one space and a path glob such as
`POST /poll/*`. `*` matches any characters, "/" too; `?` one character; `[ab]` one of a set.
Case matters, as it does in paths.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from typing import Final, TypeAlias
from urllib.parse import unquote

Matcher: TypeAlias = Callable[[str, str], bool]

# RFC 9110 9.1: a method is a token; ours are upper case, as Request.method is.
_PATTERN: Final = re.compile(r"(?:(?P<method>[A-Z]{1,32}) )?(?P<glob>[/*]\S{0,1023})")

# What is read differently: an empty or a dot segment, a backslash, an encoding that is left, a
# control character.
_ODD: Final = re.compile(r"//|/\.{1,2}(?=/|\Z)|[\\%\x00-\x1f\x7f]")


def matcher(patterns: Iterable[str]) -> Matcher:
    """Compile `patterns` into a function of (method, path); no patterns match nothing.

    ValueError for a pattern that `pattern_problems` would name.
    """
    expressions = []
    for pattern in patterns:
        parts = _PATTERN.fullmatch(pattern)
        if parts is None:
            raise ValueError(_problem("a pattern", pattern))
        method = parts["method"]
        head = re.escape(f"{method} ") if method else "[^ ]* "
        expressions.append(head + translate(parts["glob"]))
    if not expressions:
        return _never
    match = re.compile("|".join(expressions)).match
    return lambda method, path: match(f"{method} {path}") is not None


def is_odd(path: str) -> bool:
    """True for a path that servers, proxies and frameworks may read in different ways."""
    return _ODD.search(path) is not None


def any_reading(patterns: Iterable[str]) -> Matcher:
    """`matcher`, which also matches a request that a server may take for one of the patterns.

    For patterns that ask for more: "/x/../pay" and "/pay/" are "/pay" too, and a HEAD is a GET.
    Where a match opens something, `matcher` reads the path as it is written.
    """
    match = matcher(patterns)
    if match is _never:
        return _never

    def match_any(method: str, path: str) -> bool:
        methods = (method, "GET") if method == "HEAD" else (method,)
        return any(match(method, path) for path in _readings(path) for method in methods)

    return match_any


def _readings(path: str) -> Iterator[str]:
    yield path
    if path.endswith("/") or is_odd(path):
        plain = unquote(path).replace("\\", "/")
        short = "/" + posixpath.normpath(plain).lstrip("/")
        yield short
        if plain.endswith(("/", "/.", "/..")) and short != "/":  # a folder keeps its slash
            yield f"{short}/"


def pattern_problems(setting: str, patterns: Iterable[str]) -> Iterator[str]:
    """Name every pattern of the setting that is none."""
    for pattern in patterns:
        if _PATTERN.fullmatch(pattern) is None:
            yield _problem(setting, pattern)


def _problem(setting: str, pattern: str) -> str:
    return (
        f"{setting}: {pattern!r} was given; a pattern is a path glob that begins with / or *, "
        "or a method in capitals, one space and such a glob, as in 'POST /poll/*'"
    )


def _never(_method: str, _path: str) -> bool:
    return False
