"""Wording that messages share: how a number and its noun are written."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: `1 message`, `2 messages`, `1 entry`, `2 entries`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


__all__ = ["counted"]
