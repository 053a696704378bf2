"""Lets these tests import what they share with those beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from admin_kit import desk, make_desk
from web_kit import clock, make_place, place, world

__all__ = ["clock", "desk", "make_desk", "make_place", "place", "world"]
