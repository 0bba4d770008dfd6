"""What late events cost: an order is folded again at most once in a batch (`findings` S15). The counter counts; the fold is the real one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bench import Bench

from bridge.domain.fold import OrderFold

LATE = 200


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("A")
        bench.tell("scan-1", "pack", "A", {}, code="L-1")
        yield bench


@pytest.fixture
def refolds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The orders that were folded again, once for each time."""
    folded: list[str] = []
    apply_all = OrderFold._apply_all

    def counted(fold: OrderFold) -> None:
        folded.append(fold.id)
        apply_all(fold)

    monkeypatch.setattr(OrderFold, "_apply_all", counted)
    return folded


def test_s15_a_batch_of_late_events_folds_their_order_once(bench: Bench, refolds: list[str]) -> None:
    drafts = [bench.draft("scan-2", "stage", None, {"dock": f"d-{n}"}, code="L-1", at_ms=bench.now_ms - 1_000 * n) for n in range(LATE)]
    random.Random(1).shuffle(drafts)
    bench.send(*drafts[: LATE // 2])
    bench.send(*drafts[LATE // 2 :])
    assert refolds == ["A", "A"]


def test_s15_an_event_in_time_folds_nothing_again_also_after_a_void(bench: Bench, refolds: list[str]) -> None:
    bench.tell("scan-1", "stage", "A", {"dock": "d"}, code="L-1", id=b"a stage in error")
    assert bench.tell("scan-1", "void", None, {"ref": b"a stage in error", "reason": "did_not_occur"})["outcome"] == "applied"
    assert refolds == ["A"], "the void itself"
    for n in range(20):
        bench.tell("scan-1", "stage", None, {"dock": f"d-{n}"}, code="L-1")
    assert refolds == ["A"]
