"""Lets these tests import what they share with those beside this folder; and the stores."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the zoo serves several folders of tests

from store_kit import open_store, server

__all__ = ["open_store", "server"]
