"""The stores of the conformance suite, for the long tests too."""

from __future__ import annotations

import importlib.util
from pathlib import Path

# By its path, because pytest calls every conftest.py by the same module name.
_spec = importlib.util.spec_from_file_location(
    "store_fixtures", Path(__file__).parent.parent / "stores" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_stores = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_stores)

server = _stores.server
open_store = _stores.open_store
