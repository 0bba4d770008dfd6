"""The simulation finds bugs: each defect of `planted.DEFECTS` is put into a copy of the bridge, and some seed must find it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.planted import DEFECTS, QUICK, REPOSITORY, Defect

SEEDS_MAX = 200


@pytest.mark.parametrize("defect", [pytest.param(d, id=d.name, marks=() if d.name in QUICK else pytest.mark.slow) for d in DEFECTS])
def test_a_planted_defect_is_found(tmp_path: Path, defect: Defect) -> None:
    shutil.copytree(REPOSITORY / "bridge", tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in defect.edits:
        source = (tmp_path / edit.path).read_text(encoding="utf-8")
        assert source.count(edit.old) == 1, f"{edit.path} has changed: write the defect {defect.name!r} anew"
        (tmp_path / edit.path).write_text(source.replace(edit.old, edit.new), encoding="utf-8")
    command = [sys.executable, "-m", "firmware_sim", "sweep", defect.scenario, "--seeds", str(SEEDS_MAX), "--jobs", "1", "--no-shrink", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, REPOSITORY / "firmware-sim", REPOSITORY)))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert result["failed_seed"] is not None, f"{defect.name}: {result['seeds']} seeds of {defect.scenario} found nothing"
    assert defect.law in {f["checker"] for f in result["findings"]}


def test_each_of_them_fits_the_code_as_it_is() -> None:
    """The slow step plants them; that a line has changed is known at once."""
    wrong = [(d.name, e.path) for d in DEFECTS for e in d.edits if (REPOSITORY / e.path).read_text(encoding="utf-8").count(e.old) != 1]
    assert wrong == []


def test_there_are_enough_of_them() -> None:
    assert len(DEFECTS) >= 12
    assert len({d.law for d in DEFECTS}) >= 8
