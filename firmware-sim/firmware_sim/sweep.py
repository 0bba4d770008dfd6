"""Many seeds of a scenario, and what to do with the first that breaks a law: the smallest scenario that still breaks it.

Runs are spread over processes; the first failure is that of the lowest seed, whichever process was quicker.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from firmware_sim.checkers import judge
from firmware_sim.errors import SimError
from firmware_sim.record import Finding, ServerKilled
from firmware_sim.run import run_simulated
from firmware_sim.scenario import Scenario

TRIES: Final = 4
"""Seeds that a smaller scenario gets to break the law too: with other people the dice fall otherwise."""
ROUNDS_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One seed: what it broke, and what the run was."""

    seed: int
    findings: tuple[Finding, ...]
    digest: str
    events: int
    kills: int
    virtual_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """The smallest scenario found, with the seed that breaks it."""

    scenario: Scenario
    outcome: Outcome
    tried: int


def try_seed(scenario: Scenario, seed: int) -> Outcome:
    """Live through a seed and judge it. A run that ends in an exception breaks the law that it must not."""
    try:
        record = run_simulated(scenario, seed)
    except SimError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is what the sweep looks for
        crash = Finding("runs_to_its_end", f"the run ended with {type(error).__name__}: {error}")
        return Outcome(seed=seed, findings=(crash,), digest="", events=0, kills=0, virtual_s=0.0)
    return Outcome(
        seed=seed,
        findings=tuple(judge(record)),
        digest=record.digest,
        events=len(record.end.tables["events"]),
        kills=sum(1 for _ in record.of(ServerKilled)),
        virtual_s=(record.ended_ms - record.started_ms) / 1000,
    )


def sweep(scenario: Scenario, seeds: range, *, jobs: int = 0, on_outcome: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Try seeds until one breaks a law: the outcomes in the order of the seeds, the last of them being the one that failed, if any.

    Args:
        jobs: processes; 0 for one a core.
    """
    done: list[Outcome] = []
    for outcome in _outcomes(scenario, seeds, jobs or multiprocessing.cpu_count()):
        done.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
        if outcome.findings:
            break
    return done


def _outcomes(scenario: Scenario, seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(seeds) == 1:
        yield from (try_seed(scenario, seed) for seed in seeds)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["firmware_sim.sweep"])
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_calm) as pool:
        try:
            yield from pool.map(_try, ((scenario, seed) for seed in seeds), chunksize=1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _calm() -> None:
    """What is there at the start of a process stays for its life: the garbage collector need not look at it."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _try(what: tuple[Scenario, int]) -> Outcome:
    return try_seed(*what)


# --- shrinking -----------------------------------------------------------------------------------------------------------------


def shrink(scenario: Scenario, failed: Outcome, *, on_try: Callable[[int], None] | None = None) -> Shrunk:
    """Take away what is not needed to break the same law: faults, people, habits, orders, time."""
    laws = {f.checker for f in failed.findings}
    best, outcome, tried = scenario, failed, 0
    for _ in range(ROUNDS_MAX):
        for smaller in _smaller(best):
            found = None
            for seed in dict.fromkeys((outcome.seed, *range(1, TRIES))):
                tried += 1
                if on_try is not None:
                    on_try(tried)
                attempt = try_seed(smaller, seed)
                if laws & {f.checker for f in attempt.findings}:
                    found = attempt
                    break
            if found is not None:
                best, outcome = smaller, found
                break
        else:
            break
    return Shrunk(scenario=best, outcome=outcome, tried=tried)


def _smaller(s: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, the boldest first."""
    replace = msgspec.structs.replace
    for n in range(len(s.faults)):
        yield replace(s, faults=s.faults[:n] + s.faults[n + 1 :])
    if s.scanners and s.orders.count > 1:
        yield replace(s, orders=replace(s.orders, count=max(1, s.orders.count // 2)))
        yield replace(s, orders=replace(s.orders, count=s.orders.count - 1))
    for field in ("scanners", "couriers"):
        groups = getattr(s, field)
        for n, group in enumerate(groups):
            if len(groups) > 1:
                yield replace(s, **{field: groups[:n] + groups[n + 1 :]})
            if group.count > 1:
                yield replace(s, **{field: [*groups[:n], replace(group, count=1), *groups[n + 1 :]]})
            plain = type(group)(count=group.count)
            if group != plain:
                yield replace(s, **{field: [*groups[:n], plain, *groups[n + 1 :]]})
    if s.belts is not None and s.scanners:
        yield replace(s, belts=None)
    if len(s.orders.fates) > 1:
        for fate in s.orders.fates:
            yield replace(s, orders=replace(s.orders, fates={f: w for f, w in s.orders.fates.items() if f is not fate}))
    if s.settings:
        yield replace(s, settings={})
