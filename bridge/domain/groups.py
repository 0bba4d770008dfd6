"""What reports may say about the work of people."""

from __future__ import annotations

from collections.abc import Collection
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


def is_shown(rule: Reports, workers: Collection[object]) -> bool:
    """Whether a figure of the work of these people may be shown. Of nobody known, it says nothing about anybody."""
    return rule is Reports.NAMED or not workers or len(workers) >= GROUP_MIN
