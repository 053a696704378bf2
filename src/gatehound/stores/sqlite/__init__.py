"""The embedded store: one SQLite file, shared by the threads and processes of one machine."""

from gatehound.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
