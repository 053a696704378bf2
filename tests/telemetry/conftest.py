"""Lets these tests import what they share with those beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from telemetry_kit import bench, no_current_span

from flow.flow_kit import clock, demo_databases, events, make_guard, make_site, store, world

__all__ = [
    "bench",
    "clock",
    "demo_databases",
    "events",
    "make_guard",
    "make_site",
    "no_current_span",
    "store",
    "world",
]
