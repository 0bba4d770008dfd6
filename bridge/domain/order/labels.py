"""Which parcel of an order bears which code, and from when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bridge.domain.codes.rules import DAY_MS
from bridge.domain.facts import FactKey

LOOK_AHEAD_MS: Final = 7 * DAY_MS
"""A scan may come so long before the pack or label that explains it."""
FIRST: Final = (-1, 0, "", b"", 0, b"")
"""Before every event."""


class Unit:
    """A parcel to be. `items` is what its packs list, if any does; `is_packed` says that a pack event told of it, `had_pack` that one ever did."""

    __slots__ = ("codes", "had_code", "had_pack", "id", "is_named", "is_packed", "items")

    def __init__(self, unit_id: str, *, is_named: bool = False) -> None:
        self.id = unit_id
        self.is_named = is_named
        self.is_packed = self.had_pack = self.had_code = False
        self.codes: dict[str, None] = {}
        self.items: dict[str, int] | None = None


class Turn(NamedTuple):
    """From `key` on a code is on this parcel, or on none; `is_replaced`: another label took its place then."""

    key: FactKey
    unit: Unit | None
    is_replaced: bool = False


class Labels:
    """The turns of each code, in the order of the events that make them."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[str, list[Turn]] = {}

    def __iter__(self) -> Iterator[str]:
        """The codes that were put on a parcel."""
        return iter(self._turns)

    def __contains__(self, code: str) -> bool:
        return code in self._turns

    def current(self, code: str | None) -> Unit | None:
        """The parcel that bears a code after the last event."""
        turns = self._turns.get(code) if code is not None else None
        return turns[-1].unit if turns else None

    def put(self, code: str, unit: Unit, key: FactKey) -> None:
        """An event puts a code on a parcel."""
        before = self.current(code)
        if before is unit:
            return
        if before is not None:
            before.codes.pop(code, None)
        unit.codes[code] = None
        unit.had_code = True
        self._turns.setdefault(code, []).append(Turn(key, unit))

    def put_before(self, code: str, unit: Unit, key: FactKey) -> None:
        """A code was on a parcel from an earlier event on."""
        turns = self._turns.setdefault(code, [])
        turns.append(Turn(key, unit))
        turns.sort(key=_by_key)
        if turns[-1].unit is unit:
            unit.codes[code] = None

    def free(self, code: str, key: FactKey, *, is_replaced: bool = False) -> None:
        """An event takes a code off its parcel."""
        if self.current(code) is not None:
            self.end(code, key, is_replaced=is_replaced)

    def end(self, code: str, key: FactKey, *, is_replaced: bool = False) -> None:
        """An event takes a code from the order; what the code was on until then may only turn out later."""
        unit = self.current(code)
        if unit is not None:
            unit.codes.pop(code, None)
        self._turns.setdefault(code, []).append(Turn(key, None, is_replaced))

    def comes_to(self, code: str) -> Unit | None:
        """The parcel that a code is put on at some time."""
        return next((turn.unit for turn in self._turns.get(code, ()) if turn.unit is not None), None)

    def is_put_by(self, code: str, key: FactKey) -> bool:
        """Whether an event puts a code on a parcel that did not bear it."""
        return any(turn.key == key and turn.unit is not None for turn in self._turns.get(code, ()))

    def bearer(self, code: str, key: FactKey, *, is_unpack: bool = False) -> Unit | None:
        """The parcel that bears a code at an event's place; else the one that gets it soon after; else the one that bore it before it was replaced.

        Args:
            is_unpack: the event itself takes the code off.
        """
        turns = self._turns.get(code, ())
        now: Turn | None = None
        for turn in turns:
            if turn.key > key or (is_unpack and turn.key == key):
                if turn.unit is not None and (now is None or now.unit is None) and (key is FIRST or turn.key[1] - key[1] <= LOOK_AHEAD_MS):
                    return turn.unit
                break
            now = turn
        if now is None:
            return None
        if now.unit is None and now.is_replaced:
            return next((turn.unit for turn in reversed(turns) if turn.key < now.key and turn.unit is not None), None)
        return now.unit


def _by_key(turn: Turn) -> FactKey:
    return turn.key
