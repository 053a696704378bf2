"""What importing the package costs, and what it exports."""

from __future__ import annotations

import subprocess
import sys
from typing import ForwardRef

import pytest

import gatehound.clientip
from gatehound.clientip.cloudflare import Ranges
from gatehound.clientip.modes import Mode
from gatehound.clientip.options import Options
from gatehound.clientip.presets import Preset
from gatehound.clientip.walk import Chain, Found

LOAD = """
import sys
before = set(sys.modules)  # what measures coverage is there already
import gatehound.clientip
heavy = {"asyncio", "redis", "starlette", "geoip2", "msgspec", "netaddr", "json", "pathlib"}
heavy |= {"dataclasses", "datetime", "inspect", "logging"}
heavy |= {"gatehound.clientip." + n for n in ("asgi", "wsgi", "check", "logs", "rate", "trace")}
print(sorted(heavy & set(sys.modules) - before))
resolver = gatehound.clientip.ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["10.0.*.*"])
resolver.resolve(peer="10.0.0.1", headers=[(b"x-forwarded-for", b"203.0.113.7")]).explain()
never = {"asyncio", "redis", "starlette", "geoip2", "msgspec"}
print(sorted(never & set(sys.modules) - before))
"""


def test_import_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_no_annotation_is_compiled() -> None:
    """A NamedTuple compiles annotations that are texts, and the first takes two milliseconds."""
    rows = [Chain, Found, Mode, Options, Preset, Ranges]
    texts = [
        f"{row.__name__}.{name}"
        for row in rows
        for name, annotation in row.__annotations__.items()
        if isinstance(annotation, (str, ForwardRef))
    ]
    assert texts == []


def test_no_bytes_are_compared_with_text() -> None:
    code = (
        "from gatehound.clientip import ClientIPResolver as C\n"
        "r = C(mode='auto', trusted_proxies=['10.0.0.1'])\n"
        "for h in ([(b'X-Forwarded-For', b'1.1.1.1')], [('X-Forwarded-For', '1.1.1.1')]):\n"
        "    assert str(r.resolve(peer='10.0.0.1', headers=h).address) == '1.1.1.1'\n"
    )
    subprocess.run([sys.executable, "-bb", "-c", code], check=True)


def test_exports_are_pinned() -> None:
    assert gatehound.clientip.__all__ == [
        "ClientIP",
        "ClientIPFilter",
        "ClientIPResolver",
        "Finding",
        "current_client_ip",
        "rate_limit_key",
    ]
    for name in gatehound.clientip.__all__:
        assert getattr(gatehound.clientip, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Provider'"):
        gatehound.clientip.Provider  # noqa: B018 - the refused look-up is the case
