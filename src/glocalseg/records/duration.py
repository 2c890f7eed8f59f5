"""A time as people say it, the same in progress lines and in the report."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """``3.2 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``; a dash for nan."""
    if math.isnan(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
