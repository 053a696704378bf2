"""The fixtures of flow_kit, for all tests of this folder."""

from __future__ import annotations

from flow_kit import clock, demo_databases, events, make_guard, make_site, site, store, world

__all__ = ["clock", "demo_databases", "events", "make_guard", "make_site", "site", "store", "world"]
