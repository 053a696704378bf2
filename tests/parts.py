"""Programs that some tests need and that no Python package brings."""

from __future__ import annotations

import os
import shutil

import pytest

# Debian keeps servers out of the PATH of ordinary users.
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def require(part: str) -> str:
    """Return the path of a program; without it skip by name, or fail where all parts are due."""
    found = shutil.which(part, path=_PLACES)
    if found is not None:
        return found
    if os.environ.get("TESTS_REQUIRE_ALL") == "1":
        pytest.fail(f"{part} is missing, and TESTS_REQUIRE_ALL=1 asks for every part")
    pytest.skip(f"{part} is missing")
