"""Lets these tests import what they share with those beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

from notify_kit import clock, desk, letters, make_desk, store

__all__ = ["clock", "desk", "letters", "make_desk", "store"]
