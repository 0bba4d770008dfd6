"""Which order holds a key at a time."""

from __future__ import annotations

from typing import NamedTuple

from firmware_sim.checkers.model.codes.evidence import Evidence
from firmware_sim.checkers.model.codes.history import LOOK_AHEAD_MS, Binding, End, Hint, History, history
from firmware_sim.checkers.model.codes.told import By, Told


class Holder(NamedTuple):
    """The order that a code was on, and how that is known. `disputed`: hints name several orders, so the code names none."""

    order: str | None = None
    by: By | None = None
    disputed: bool = False


class Holdings:
    """Answers questions about every key of a site; each history is read once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._histories: dict[str, History] = {}

    def history(self, k: str) -> History:
        if k not in self._histories:
            self._histories[k] = history(self.evidence, k)
        return self._histories[k]

    def time_of(self, e: Told, k: str) -> int:
        """When an event took place in the history of a key."""
        return self.history(k).order_ms.get(e.uid, e.event_ms)

    def bound(self, k: str, ms: int, *, ahead_ms: int = LOOK_AHEAD_MS, forward: bool = True) -> Holder:
        """The holder by the order's own id or by a binding. `forward` is False for an event that is about what the code was on before."""
        if (owner := self.evidence.order_with_id(k, ms)) is not None:
            return Holder(owner, By.IDENTITY)
        bindings = self.history(k).bindings
        present = _last_until(bindings, ms)
        coming = _first_after(bindings, ms)
        if coming is not None and coming.from_ms > ms + ahead_ms:
            coming = None
        if present is not None and present.holds_at(ms):
            if coming is not None and coming.order != present.order and forward and coming.scans_from_ms <= ms:
                return Holder(coming.order, By.AHEAD)
            return Holder(present.order, By.BINDING)
        return Holder() if coming is None else Holder(coming.order, By.AHEAD)

    def holder(self, k: str, ms: int, *, forward: bool = True) -> Holder:
        """By id or binding; else by the only hint; else by the label that was replaced and never used again."""
        bound = self.bound(k, ms, forward=forward)
        if bound.order is not None:
            return bound
        hinted = {h.order for h in self._hints(k, ms)}
        if len(hinted) == 1:
            return Holder(hinted.pop(), By.HINT)
        last = _last_until(self.history(k).bindings, ms)
        if not hinted and last is not None and last.end is End.REPLACED:
            return Holder(last.order, By.OLD_LABEL)
        return Holder(disputed=bool(hinted))

    def _hints(self, k: str, ms: int) -> list[Hint]:
        """The hints of the gap that `ms` is in, those up to `LOOK_AHEAD_MS` later among them."""
        bindings, hints = self.history(k)[:2]
        opened_ms = max((t for b in bindings for t in (b.from_ms, b.to_ms) if t is not None and t <= ms), default=None)
        following = _first_after(bindings, ms)
        past = [h for h in hints if h.ms <= ms and (opened_ms is None or h.ms >= opened_ms)]
        soon = [h for h in hints if ms < h.ms <= ms + LOOK_AHEAD_MS and (following is None or h.ms < following.from_ms)]
        return [h for h in past + soon if h.gap == (past[-1:] or soon)[0].gap]


def _last_until(bindings: list[Binding], ms: int) -> Binding | None:
    return next((b for b in reversed(bindings) if b.from_ms <= ms), None)


def _first_after(bindings: list[Binding], ms: int) -> Binding | None:
    return next((b for b in bindings if b.from_ms > ms), None)
