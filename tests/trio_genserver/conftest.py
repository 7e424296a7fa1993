"""What the tests of servers share."""

from __future__ import annotations

from .paths import path

__all__ = ["path"]
