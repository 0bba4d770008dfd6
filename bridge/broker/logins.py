"""Failed logins: counted for people to see, and slowed down for the address they come from. Nothing here outlives the process, and everything is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

FREE: Final = 5
"""Failures that an address has before it is slowed down: a typing error is no attack."""
DELAY_FIRST_S: Final = 0.5
DELAY_MAX_S: Final = 10.0
FORGET_S: Final = 300.0
"""Seconds without a failure after which an address, and a device's count, start anew."""
WAITING_MAX: Final = 8
"""Logins of a slowed address that wait at a time; more are turned away."""
NAMES_MAX: Final = 10_000
NAME_CHARS_MAX: Final = 128
"""Longer than the name of any device; what is beyond is not kept."""


class Failures(NamedTuple):
    """What failed under a name, or from an address."""

    times: int
    last_s: float
    last_ms: int
    source: str


class Logins:
    """What failed lately, by address and by the name that was given."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, Failures] = OrderedDict()
        self._names: OrderedDict[str, Failures] = OrderedDict()
        self._waiting: dict[str, int] = {}

    def failed(self, name: str, source: str, *, now_s: float, now_ms: int) -> int:
        """Count a failure; how many there are under this name by now."""
        _count(self._sources, source, source, now_s, now_ms)
        return _count(self._names, name[:NAME_CHARS_MAX], source, now_s, now_ms)

    def delay_s(self, source: str, now_s: float) -> float:
        """How long the next login from an address waits before it is looked at."""
        found = self._sources.get(source)
        if found is None or now_s - found.last_s > FORGET_S or found.times < FREE:
            return 0.0
        return float(min(DELAY_FIRST_S * 2.0 ** min(found.times - FREE, 10), DELAY_MAX_S))

    def has_place(self, source: str) -> bool:
        return self._waiting.get(source, 0) < WAITING_MAX

    @contextmanager
    def waiting(self, source: str) -> Iterator[None]:
        """A login waits."""
        self._waiting[source] = self._waiting.get(source, 0) + 1
        try:
            yield
        finally:
            self._waiting[source] -= 1
            if not self._waiting[source]:
                del self._waiting[source]

    def of_names(self) -> dict[str, Failures]:
        return dict(self._names)

    def forget_old(self, now_s: float) -> list[str]:
        """Let go of what is long past; the names that are clear again."""
        for source in [s for s, f in self._sources.items() if now_s - f.last_s > FORGET_S]:
            del self._sources[source]
        clear = [n for n, f in self._names.items() if now_s - f.last_s > FORGET_S]
        for name in clear:
            del self._names[name]
        return clear


def _count(where: OrderedDict[str, Failures], key: str, source: str, now_s: float, now_ms: int) -> int:
    known = where.pop(key, None)
    count = known.times + 1 if known is not None and now_s - known.last_s <= FORGET_S else 1
    where[key] = Failures(count, now_s, now_ms, source)
    if len(where) > NAMES_MAX:
        where.popitem(last=False)
    return count
