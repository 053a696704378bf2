"""The fixtures of speed_kit, for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the zoo serves several folders of tests

from speed_kit import server, world

__all__ = ["server", "world"]
