"""What reports may say about the work of people."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GROUP_MIN: Final = 5
"""Fewer workers are no group: a figure of theirs says something about each of them."""


class Reports(StrEnum):
    """What reports about workers a site allows, the strictest first."""

    OFF = "off"
    GROUPS = "groups of 5"
    NAMED = "named"


def stricter(one: Reports, other: Reports) -> Reports:
    """The one that allows less."""
    order = tuple(Reports)
    return min(one, other, key=order.index)
