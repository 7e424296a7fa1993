"""Shared by the tests of servers."""

from __future__ import annotations

from .paths import path

__all__ = ["path"]
