"""The fixtures of flow_kit, for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the zoo serves several folders of tests

from flow_kit import clock, demo_databases, events, make_guard, make_site, site, store, world

__all__ = ["clock", "demo_databases", "events", "make_guard", "make_site", "site", "store", "world"]
