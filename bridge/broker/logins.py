"""Failed logins: counted for people to see, and slowed down. Everything here is bounded, and ends with the process.

There are two brakes. The first is for one device name at one address: its next login waits longer after each failure, and no other device waits for it. The
second is for an address: once logins have failed there under many unknown names, logins under unknown names wait. A name is known at an address from which
its device has logged in lately (`Known`, which outlives the process). So a mistyped password delays no neighbour, a wrong password that was given to a whole
warehouse delays no device that has worked there before, and an attacker gains nothing by guessing under ever new names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

FREE: Final = 5
"""Failures that a name has at an address before it is slowed down: a typing error is no attack."""
DELAY_FIRST_S: Final = 0.5
DELAY_MAX_S: Final = 10.0
FORGET_S: Final = 300.0
"""Seconds without a failure after which the counts of a name, and of a name at an address, start anew."""
NAMES_MAX: Final = 10_000
PAIRS_MAX: Final = 20_000
"""Pairs of name and address whose failures are counted; beyond this, the one that failed longest ago is forgotten."""
NAME_CHARS_MAX: Final = 128
"""Longer than the name of any device; what is beyond is not kept."""


class Line(Enum):
    """Where slowed logins of one address wait."""

    NAME = auto()
    """Those of one name, behind its own brake."""
    NAMES = auto()
    """Those of all names that are behind their own brakes."""
    UNKNOWN = auto()
    """Those that are behind the brake of the address."""


PLACES: Final = {Line.NAME: 2, Line.NAMES: 64, Line.UNKNOWN: 8}
"""Logins that wait in a line at a time; more are turned away. With `DELAY_MAX_S`, this bounds how many guesses of an address are checked."""


class Known(Protocol):
    """Which devices have logged in lately, and from which addresses."""

    def has(self, device: str, address: str) -> bool: ...

    def add(self, device: str, address: str) -> None: ...


class Failures(NamedTuple):
    """What failed under a name, from any address."""

    times: int
    last_s: float
    last_ms: int
    source: str


class Failed(NamedTuple):
    """A failed login.

    `times` is how often this name has failed lately. `unknown_names` is set if, from this failure on, the address is slowed down: so many have failed there.
    """

    name: str
    source: str
    times: int
    unknown_names: int | None


class Brake(NamedTuple):
    """What the next login must do: wait, and take a place in each of these lines meanwhile."""

    delay_s: float
    lines: tuple[tuple[Line, str, str], ...]


class _Pair(NamedTuple):
    """Failures of a name at an address."""

    times: int
    last_s: float
    is_known: bool


class _Unknown(NamedTuple):
    """Unknown names that failed at an address."""

    names: int
    last_s: float


class Logins:
    """What failed lately, and who must wait for it.

    Args:
        known: who has logged in lately.
        unknown_names_max: unknown names that may fail at an address before it is slowed down.
    """

    def __init__(self, known: Known, *, unknown_names_max: int) -> None:
        self.known = known
        self.unknown_names_max = unknown_names_max
        self._names: OrderedDict[str, Failures] = OrderedDict()
        self._pairs: OrderedDict[tuple[str, str], _Pair] = OrderedDict()
        self._unknown: dict[str, _Unknown] = {}
        """By address; counts the pairs that are not known."""
        self._waiting: dict[tuple[Line, str, str], int] = {}

    # --- the brakes -------------------------------------------------------------------------------------------------------

    def brake(self, name: str, source: str, now_s: float) -> Brake | None:
        """What the next login of a name from an address waits for; None if it need not wait."""
        self.forget_old(now_s)
        name = name[:NAME_CHARS_MAX]
        pair, unknown = self._pairs.get((name, source)), self._unknown.get(source)
        own_s = _left_s(pair.times - FREE, pair.last_s, now_s) if pair is not None else 0.0
        address_s = _left_s(unknown.names - self.unknown_names_max, unknown.last_s, now_s) if unknown is not None else 0.0
        if address_s and not self.known.has(name, source):
            return Brake(max(own_s, address_s), ((Line.UNKNOWN, source, ""),))
        return Brake(own_s, ((Line.NAME, source, name), (Line.NAMES, source, ""))) if own_s else None

    def has_place(self, brake: Brake) -> bool:
        return all(self._waiting.get(line, 0) < PLACES[line[0]] for line in brake.lines)

    @contextmanager
    def waiting(self, brake: Brake) -> Iterator[None]:
        """A login waits."""
        for line in brake.lines:
            self._waiting[line] = self._waiting.get(line, 0) + 1
        try:
            yield
        finally:
            for line in brake.lines:
                self._waiting[line] -= 1
                if not self._waiting[line]:
                    del self._waiting[line]

    # --- what failed ------------------------------------------------------------------------------------------------------

    def failed(self, name: str, source: str, *, now_s: float, now_ms: int) -> Failed:
        """Count a failure."""
        self.forget_old(now_s)
        name = name[:NAME_CHARS_MAX]
        before = self._unknown_names(source)
        pair = self._drop((name, source))
        self._put((name, source), _Pair(pair.times + 1 if pair is not None else 1, now_s, self.known.has(name, source)))
        after = self._unknown_names(source)
        failures = self._names.pop(name, None)
        self._names[name] = counted = Failures(failures.times + 1 if failures is not None else 1, now_s, now_ms, source)
        if len(self._names) > NAMES_MAX:
            self._names.popitem(last=False)
        return Failed(name, source, counted.times, after if before < self.unknown_names_max <= after else None)

    def of_names(self) -> dict[str, Failures]:
        return dict(self._names)

    def forget_old(self, now_s: float) -> None:
        """Let go of what is long past."""
        while self._pairs and now_s - next(iter(self._pairs.values())).last_s > FORGET_S:
            self._drop(next(iter(self._pairs)))
        while self._names and now_s - next(iter(self._names.values())).last_s > FORGET_S:
            self._names.popitem(last=False)

    def _unknown_names(self, source: str) -> int:
        return self._unknown[source].names if source in self._unknown else 0

    def _put(self, key: tuple[str, str], pair: _Pair) -> None:
        self._pairs[key] = pair
        if not pair.is_known:
            self._unknown[key[1]] = _Unknown(self._unknown_names(key[1]) + 1, pair.last_s)
        if len(self._pairs) > PAIRS_MAX:
            self._drop(next(iter(self._pairs)))

    def _drop(self, key: tuple[str, str]) -> _Pair | None:
        pair = self._pairs.pop(key, None)
        if pair is not None and not pair.is_known:
            unknown = self._unknown.pop(key[1])
            if unknown.names > 1:
                self._unknown[key[1]] = unknown._replace(names=unknown.names - 1)
        return pair


def _left_s(beyond: int, last_s: float, now_s: float) -> float:
    """What is left of a delay that began with the last failure and doubles with each one beyond what is free."""
    return 0.0 if beyond < 0 else max(0.0, last_s + min(DELAY_FIRST_S * 2.0 ** min(beyond, 10), DELAY_MAX_S) - now_s)
