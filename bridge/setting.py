"""How a setting is declared: its default, what it is, and its bounds."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(default: Any, about: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A setting with its default and its description; `least` and `most` are values that it may still have."""
    return field(default=default, metadata={"about": about, "least": least, "most": most})


def section_for_each(kind: type[Any], about: str, example: str) -> Any:
    """Sections below a section, one for each name that the site chooses."""
    return field(default_factory=dict, metadata={"about": about, "sections": kind, "example": example})
