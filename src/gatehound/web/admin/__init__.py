"""The pages of admins: everybody's sessions, the activity log, health, and settings in words."""

from __future__ import annotations

from gatehound.web.admin.pages import AdminPages

__all__ = ["AdminPages"]
