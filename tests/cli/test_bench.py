"""`dockbridge bench` as a user sees it. Real measurements are among the slow tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import main


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bridge.entrypoints.cli.main", "bench", *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_it_says_what_it_can_measure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "dockbridge bench [options] [what]..." in said.lower()
    assert "end-to-end" in said


def test_wrong_usage_is_passed_on() -> None:
    done = bench("weather")
    assert done.returncode == 2
    assert "weather is none of" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["end-to-end", "--rival", "pigeons"], "pigeons is none of mosquitto+asyncio"),
        (["ceiling", "--readme", "README.md"], "--out"),
        (["ceiling", "--out", "{here}", "--readme", "{here}/empty.md"], "has no place for the tables"),
        (["ceiling", "--out", "{here}/empty.md/below"], "can't be made"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_usage_is_said_before_anything_is_measured(
    tmp_path: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.md").touch()
    monkeypatch.setattr(sys, "argv", ["bench", *(a.format(here=tmp_path) for a in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin:/usr/local/bin") is None, reason="Mosquitto is not installed")
def test_everybody_answers_every_event_end_to_end(tmp_path: Path) -> None:
    done = bench("end-to-end", "--quick", "--json", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (measurement,) = json.loads(done.stdout)
    rows = [r for r in measurement["rows"] if r["figure"] == "events/s"]
    assert {name for r in rows for name in r["values"]} == {"dockbridge", "dockbridge, without contacts", "mosquitto+asyncio", "mosquitto+paho", "amqtt"}
    for rounds in measurement["rounds"].values():
        for name, some in rounds.items():
            assert all(r["complete"] and r["answered"] == r["events"] for r in some), name
    assert (tmp_path / "results.md").exists()
    assert (tmp_path / "events-per-second.svg").read_text().startswith("<svg")
