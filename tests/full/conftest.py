"""The stores of the conformance suite, for the long tests too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from stores.store_kit import open_store, server

__all__ = ["open_store", "server"]
