"""Read a typed tree of settings from a dict or from the environment, and collect problems.

msgspec converts single values and knows the types; it stops at the first error, so the walk
over the tree is ours: it goes on after an error and names unknown keys with close matches.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")
MISSING: Any = object()
_ITSELF = "(the group itself)"  # where a group of the environment was given a value too


class _Reading:
    """How one source is written: its separator, and whether all values are text."""

    def __init__(self, problems: list[str], *, text: bool, prefix: str, separator: str) -> None:
        self.problems = problems
        self.text = text
        self.prefix = prefix
        self.separator = separator

    def name(self, path: tuple[str, ...]) -> str:
        """Write a key as the operator wrote it."""
        joined = self.separator.join(path)
        return f"{self.prefix}{joined.upper()}" if self.text else joined


def read_struct(
    cls: type[S],
    data: Mapping[str, Any],
    problems: list[str],
    *,
    text: bool,
    prefix: str = "",
    separator: str = ".",
) -> S:
    """Build `cls` from `data`; what cannot be read goes to `problems` and keeps its default."""
    reading = _Reading(problems, text=text, prefix=prefix, separator=separator)
    return _struct(reading, cls, data, ())


def nest_environment(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Turn `PREFIX_A__B=x` into {"a": {"b": "x"}}; empty values are left out."""
    tree: dict[str, Any] = {}
    for key, value in environ.items():
        if not key.startswith(prefix) or not value:
            continue
        *parents, last = key[len(prefix) :].lower().split("__")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):  # a value and a group: the reader tells of both
                child = node[parent] = {_ITSELF: child}
            node = child
        if isinstance(node.get(last), dict):
            node[last][_ITSELF] = value
        else:
            node[last] = value
    return tree


def seconds_of(text: str) -> float | None:
    """Read a span such as 90s, 60m, 12h or 14d; None where it is none."""
    match = _DURATION.fullmatch(text.strip().lower())
    return float(match[1]) * _UNITS[match[2] or "s"] if match else None


def in_words_of(line: str, cls: type[msgspec.Struct], text: bool, prefix: str) -> str:
    """Write the setting that a problem begins with as the operator wrote it."""
    key, colon, rest = line.partition(":")
    if not text or key.partition(".")[0].partition("[")[0] not in cls.__struct_fields__:
        return line
    return f"{prefix}{key.replace('.', '__').upper()}{colon}{rest}"


def _struct(reading: _Reading, cls: type[S], data: Any, path: tuple[str, ...]) -> S:
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        reading.problems.append(
            f"{reading.name(path)}: {data!r} given; allowed is a group of settings: "
            f"{', '.join(cls.__struct_fields__)}"
        )
        return cls()
    hints = get_type_hints(cls, include_extras=True)
    values = {}
    for key, value in data.items():
        if key not in hints:
            reading.problems.append(_unknown(reading, cls, path, str(key)))
            continue
        result = _value(reading, hints[key], value, (*path, key))
        if result is not MISSING:
            values[key] = result
    return cls(**values)


def _unknown(reading: _Reading, cls: type[msgspec.Struct], path: tuple[str, ...], key: str) -> str:
    if key == _ITSELF:
        return f"{reading.name(path)}: given as a value and as a group; it is only one of them"
    from difflib import get_close_matches

    # The commonest slip in an environment: one underscore where a group ends, and not two.
    groups = [(name, hint) for name, hint in get_type_hints(cls).items() if _is_group(hint)]
    for field, hint in groups if reading.text else ():
        rest = key.removeprefix(f"{field}_")
        if rest != key and rest in getattr(hint, "__struct_fields__", (rest,)):
            right = reading.name((*path, field, rest))
            return f"{reading.name((*path, key))}: there is no such setting; did you mean {right}?"
    close = get_close_matches(key, cls.__struct_fields__, n=1)
    hint = f"did you mean {reading.name((*path, close[0]))}?" if close else "remove it."
    allowed = ", ".join(cls.__struct_fields__)
    return f"{reading.name((*path, key))}: there is no such setting; {hint} Allowed: {allowed}"


def _value(reading: _Reading, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
    hint, optional = _strip_none(hint)
    if isinstance(value, dict) and _ITSELF in value and not _is_group(hint):
        reading.problems.append(_unknown(reading, msgspec.Struct, path, _ITSELF))
        return MISSING
    word = value.lower() if reading.text and isinstance(value, str) else value
    if optional and (value is None or word in ("none", "null")):
        return None
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(reading, hint, value, path)
    args = get_args(hint)
    if get_origin(hint) is dict and isinstance(value, Mapping):
        return {
            str(key): _struct(reading, args[1], item, (*path, str(key)))
            for key, item in value.items()
        }
    if get_origin(hint) is Annotated and "duration" in args:
        return _duration(reading, value, path, optional=optional)
    if get_origin(hint) is tuple and isinstance(value, str):
        value = [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    return _leaf(reading, hint, value, path)


def _is_group(hint: Any) -> bool:
    return get_origin(hint) is dict or (isinstance(hint, type) and issubclass(hint, msgspec.Struct))


def _leaf(reading: _Reading, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
    try:
        if isinstance(value, str) and reading.text and hint is bool:
            value = _flag(value)
        return msgspec.convert(value, hint, strict=not reading.text)
    except msgspec.ValidationError as error:
        is_secret = any(word in path[-1] for word in ("key", "secret", "smtp", "webhook"))
        shown = "a secret" if is_secret else repr(value)
        why = "" if get_origin(hint) is Literal else f" ({error})"
        reading.problems.append(
            f"{reading.name(path)}: {shown} given; allowed is {_describe(hint)}{why}"
        )
        return MISSING


def _duration(
    reading: _Reading, value: Any, path: tuple[str, ...], *, optional: bool
) -> float | Any:
    if isinstance(value, str):
        seconds = seconds_of(value)
        if seconds is not None:
            return seconds
    elif type(value) in (int, float) and math.isfinite(value) and value >= 0:
        return float(value)
    reading.problems.append(
        f"{reading.name(path)}: {value!r} given; allowed are seconds or text such as "
        f"90s, 60m, 12h, 14d{', or none' if optional else ''}"
    )
    return MISSING


def _flag(value: str) -> Any:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words.get(value.lower(), value)


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, *meta = get_args(hint)
        patterns = [m.pattern for m in meta if isinstance(m, msgspec.Meta) and m.pattern]
        return f"{_describe(base)} like {patterns[0]}" if patterns else _describe(base)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if hint in names:
        return names[hint]
    if get_origin(hint) is tuple:
        return "a list of texts"
    return " or ".join(repr(arg) for arg in get_args(hint)) or str(hint)
