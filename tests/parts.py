"""Programs that some tests need: of the system, or installed beside this Python."""

from __future__ import annotations

import os
import shutil
import socket
import sysconfig
from typing import NoReturn

import pytest

# Tests run without activating their environment; and Debian keeps servers out of the PATH of
# ordinary users.
_PLACES = os.pathsep.join(
    [
        sysconfig.get_path("scripts"),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        "/usr/local/sbin",
    ]
)

# How tests start Chromium: alone, silent, and on a proxy whose certificate they made.
CHROMIUM_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
)


def require(part: str) -> str:
    """Return the path of a program; without it skip by name, or fail where all parts are due."""
    found = shutil.which(part, path=_PLACES)
    return found if found is not None else missing(part)


def has_ipv6() -> bool:
    """Tell whether [::1] can be listened on; many containers have no IPv6 at all."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def require_ipv6() -> None:
    """Skip, or fail where all parts are due, without an IPv6 loopback address."""
    if not has_ipv6():
        missing("the address ::1")


def missing(part: str) -> NoReturn:
    if os.environ.get("TESTS_REQUIRE_ALL") == "1":
        pytest.fail(f"{part} is missing, and TESTS_REQUIRE_ALL=1 asks for every part")
    pytest.skip(f"{part} is missing")
