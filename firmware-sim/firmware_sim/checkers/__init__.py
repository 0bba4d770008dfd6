"""Checkers: laws that every run keeps, whatever went wrong in it. One file each; a checker is a pure function over a record.

Nothing here knows the bridge: what must be true is written anew from the contract, so that a fault of the bridge cannot hide in a fault of its judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from firmware_sim.checkers import (
    acknowledged_is_stored,
    alerts_are_true,
    ledgers_have_no_gap,
    nobody_reads_what_is_not_theirs,
    nothing_is_left,
    nothing_personal_is_retained,
    orders_ended_as_planned,
    owed_is_delivered,
    presence_is_true,
    receipts_are_true,
    retained_is_the_store,
    revisions_never_go_back,
    scans_are_where_they_belong,
    state_is_right,
    stored_once,
    times_are_possible,
    workers_are_pseudonyms,
)
from firmware_sim.checkers.view import Broken, View
from firmware_sim.record import Finding, Record

FINDINGS_MAX: Final = 20
"""Findings of one checker; the rest is counted."""

Check = Callable[[View], Iterable[Broken]]

_MODULES: Final = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        acknowledged_is_stored,
        stored_once,
        scans_are_where_they_belong,
        state_is_right,
        retained_is_the_store,
        revisions_never_go_back,
        receipts_are_true,
        times_are_possible,
        owed_is_delivered,
        presence_is_true,
        nobody_reads_what_is_not_theirs,
        nothing_personal_is_retained,
        workers_are_pseudonyms,
        ledgers_have_no_gap,
        alerts_are_true,
        orders_ended_as_planned,
        nothing_is_left,
    )
}
_CHECKS: Final[dict[str, Check]] = {name: module.check for name, module in _MODULES.items()}
LAWS: Final = {name: str(module.__doc__).partition("\n")[0] for name, module in _MODULES.items()}
"""What each checker holds a run against, in a sentence."""


def judge(record: Record) -> list[Finding]:
    """What every checker finds in a record; none where the run kept every law."""
    view = View(record)
    return [finding for name in _CHECKS for finding in _findings(name, view)]


def _findings(name: str, view: View) -> list[Finding]:
    broken = iter(_CHECKS[name](view))
    found = [Finding(name, text, at_ms) for text, at_ms in islice(broken, FINDINGS_MAX)]
    more = sum(1 for _ in broken)
    return [*found, Finding(name, f"and {more} more")] if more else found


def _alone(name: str) -> Callable[[Record], list[Finding]]:
    def checker(record: Record) -> list[Finding]:
        return _findings(name, View(record))

    return checker


CHECKERS: Final[dict[str, Callable[[Record], list[Finding]]]] = {name: _alone(name) for name in _CHECKS}
"""Every checker by its name."""
