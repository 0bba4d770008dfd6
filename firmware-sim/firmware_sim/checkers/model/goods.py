"""What of an order's lines is in its parcels, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from firmware_sim.checkers.model.parcel import Box


class Goods(NamedTuple):
    """What one article comes to: how many were ordered, picked, packed and still there, and how many went down with a lost or destroyed parcel."""

    ordered: int
    picked: int
    packed: int
    gone: int
    is_guess: bool

    @property
    def is_packed(self) -> bool:
        return self.packed >= self.ordered

    @property
    def is_missing(self) -> bool:
        """Known to be missing: a parcel without a list is no proof of the contrary."""
        proven = 0 if self.is_guess else self.packed
        return self.ordered > max(self.picked - self.gone, proven)


def count(lines: Mapping[str, int], picked: Mapping[str, int], boxes: Iterable[Box]) -> dict[str, Goods]:
    """Each ordered article. A parcel without a list has in it whatever the lists do not name."""
    packed = [b for b in boxes if b.packed]
    lost = [b for b in packed if b.state in ("lost", "destroyed") and not b.came_back]
    there = [b for b in packed if b not in lost]
    guess_there, guess_lost = (any(b.items is None for b in some) for some in (there, lost))
    found = {}
    for sku, ordered in lines.items():
        in_there, in_lost = (sum((b.items or {}).get(sku, 0) for b in some) for some in (there, lost))
        unnamed = max(0, ordered - in_there - in_lost)
        found[sku] = Goods(
            ordered,
            picked.get(sku, 0),
            in_there + (unnamed if guess_there and not guess_lost else 0),
            in_lost + (unnamed if guess_lost else 0),
            guess_there,
        )
    return found


def still_short(goods: Mapping[str, Goods], reported: Collection[str]) -> tuple[set[str], bool]:
    """(what was reported missing and still is, whether anything is missing: reported, or gone)."""
    still = {sku for sku in reported if sku in goods and goods[sku].is_missing}
    return still, bool(still) or any(g.gone and g.is_missing for g in goods.values())
