"""The examples of `bridge/README.md`, put into a copy of the tree all at once and used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("bridge", "devices", "firmware-sim")
LINES_MAX: Final = 40
EXAMPLE: Final = re.compile(r"^`([\w./-]+\.py)`\n\n```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

USE: Final = """
import asyncio, json, sqlite3, sys
from pathlib import Path
from bridge.app import Application
from bridge.config_file import parse
from bridge.site_folder import make_site
from devices.protocol.vocabulary import Role
from firmware_sim.run import run_simulated
from firmware_sim.scenario_file import parse as scenario
from helpers.events import CREATED, event

async def main(folder):
    make_site(folder, parse({"site": {"name": "ams1"}, "listen": {"mqtt": "127.0.0.1:0"}}))
    async with await Application.open(folder) as app:
        await app.serve()
        now_ms = app.clock.now_ms()
        for device, role in (("shop1", Role.SYSTEM), ("scan-1", Role.SCANNER)):
            await app.on_writer(lambda: app.registry.add(device, role, now_ms=now_ms, with_secret=False))
        outcomes = []
        for device, kind, seq, body in (("shop1", "created", 1, CREATED), ("scan-1", "pack", 1, {}), ("scan-1", "inspected", 2, {})):
            payload = event(device, seq, "PO-1", body, at_ms=now_ms)
            (receipt,) = await app.submit(app.registry.identity(device), [(kind, payload)])
            outcomes.append(receipt["outcome"])
        diary = folder / "diary.txt"
        async with asyncio.timeout(20):
            while not diary.exists() or len(diary.read_text().splitlines()) < 2:
                await asyncio.sleep(0.02)
        changed = (await app.rebuild(lambda done, total: None)).changed
    with sqlite3.connect(folder / "dockbridge.db") as database:
        packed = database.execute("SELECT * FROM packed").fetchall()
    return {"outcomes": outcomes, "packed": packed, "changed": changed, "diary": diary.read_text()}

found = asyncio.run(main(Path(sys.argv[1])))
text = '''
name = "mumbling"
story = "Events are lost."
day_s = 60
[orders]
count = 2
[[scanners]]
count = 1
[[couriers]]
count = 1
[[faults]]
kind = "mumble"
every = 2
'''
record = run_simulated(scenario(text, "mumbling"), 1)
found["faults"] = [e.kind for e in record.entries if type(e).__name__ == "FaultBegan"]
print(json.dumps(found))
"""


def examples() -> list[tuple[str, str, str]]:
    """(file, kind, text) of each example."""
    found = [(m[1], m[2], m[3]) for m in EXAMPLE.finditer((ROOT / "bridge" / "README.md").read_text())]
    assert len(found) == 15
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with every example in it."""
    folder = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.egg-info"))
    for file, kind, text in examples():
        path = folder / file
        if kind == "python":
            assert not path.exists()
            path.write_text(text)
            continue
        lines = text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line.startswith("-"))
        new = "".join(line[1:] for line in lines if line.startswith("+"))
        source = path.read_text()
        assert source.count(old) == 1, f"{file} has this line {source.count(old)} times: {old}"
        path.write_text(source.replace(old, new))
    return folder


def run(copy: Path, *command: str) -> str:
    paths = os.pathsep.join(map(str, (copy, copy / "firmware-sim", ROOT / "tests")))
    done = subprocess.run([sys.executable, *command], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False, cwd=copy)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_example_is_longer_than_a_screen() -> None:
    assert [file for file, _, text in examples() if len(text.splitlines()) > LINES_MAX] == []


def test_every_example_works(copy: Path, tmp_path: Path) -> None:
    found = json.loads(run(copy, "-c", USE, str(tmp_path / "site")))
    assert found["outcomes"] == ["applied", "applied", "applied"]
    assert (found["packed"], found["changed"]) == ([["scan-1", 1]], [])
    assert found["diary"].splitlines()[:2] == ["PO-1 1 pending_payment", "PO-1 2 packed"]
    assert found["faults"] == ["mumble"]
    assert "- sent by: `scanner`" in run(copy, "-m", "bridge.entrypoints.cli.main", "contract", "show", "events", "inspected")
    counted = run(copy, "-m", "bridge.entrypoints.cli.main", "count", "orders", "--site", str(tmp_path / "site"), "--json")
    assert json.loads(counted) == {"packed": 1}
