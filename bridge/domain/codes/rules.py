"""The site's rules about codes, and from when each of them holds."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

NEAR_MS: Final = 10 * MINUTE_MS
"""A binding this far ahead still contradicts an event that names another order: clocks differ."""
CREATED_BEFORE_MS: Final = 7 * DAY_MS
"""An order's id and its labels count from this long before it was created: shops tell late."""
REOPENED_AFTER_MS: Final = 4 * HOUR_MS
"""A container that moved, and then was not scanned for so long, was emptied when it is filled again."""
COMMON_ORDERS_MAX: Final = 32
"""A code that custody events name beside more orders than this is a shelf or a dock."""
INSIDE_MAX: Final = 2_000
DEPTH_MAX: Final = 3


class CodeRules(NamedTuple):
    """What a site sets in `[codes]`. `containers` are patterns; a code that matches one from its first character is a container and never a label."""

    containers: tuple[str, ...] = ()
    look_ahead_ms: int = 7 * DAY_MS
    reuse_after_ms: int = 30 * DAY_MS
    forget_after_ms: int = 180 * DAY_MS


class DatedRules:
    """The rules at every moment. A change holds for events from its own time on, so that it never moves what happened before.

    Args:
        dated: (ms, rules), in ascending order; the first also holds for everything before.
    """

    __slots__ = ("_from_ms", "_rules")

    def __init__(self, dated: Sequence[tuple[int, CodeRules]] = ()) -> None:
        self._from_ms = [ms for ms, _ in dated]
        self._rules = [rules for _, rules in dated] or [CodeRules()]

    def at(self, ms: int) -> CodeRules:
        """The rules for an event of this time."""
        if len(self._rules) == 1:
            return self._rules[0]
        return self._rules[max(0, bisect_right(self._from_ms, ms) - 1)]

    @property
    def is_empty(self) -> bool:
        """Whether no rules are stored: the defaults hold."""
        return not self._from_ms

    def then(self, from_ms: int, rules: CodeRules) -> DatedRules:
        """These rules, and others from a time on."""
        return DatedRules([*zip(self._from_ms, self._rules, strict=False), (from_ms, rules)])

    @property
    def newest(self) -> CodeRules:
        return self._rules[-1]


@lru_cache(maxsize=65_536)
def matches(patterns: tuple[str, ...], key: str) -> bool:
    """Whether a code matches one of the patterns."""
    return any(re.match(pattern, key) for pattern in patterns)
