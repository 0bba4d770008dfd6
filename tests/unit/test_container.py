"""The container file: it says everything that the program needs, pins what it takes, and runs without rights. No build is needed to see that."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import typer

from bridge.entrypoints.cli.main import app

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "config" / "container" / "Containerfile"
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Instruction(NamedTuple):
    """One instruction of a container file."""

    word: str
    text: str


def instructions() -> list[Instruction]:
    lines = [line for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in joined]


ALL: Final = instructions()
LAST: Final = ALL[max(i for i, x in enumerate(ALL) if x.word == "FROM") :]
"""The stage that is shipped."""


def of(word: str, among: list[Instruction] = LAST) -> list[str]:
    return [x.text for x in among if x.word == word]


def test_what_it_is_built_on_is_small_pinned_and_one_that_the_program_supports() -> None:
    found = [re.fullmatch(r"python:(3\.\d+)\.\d+-slim-[a-z]+( AS [a-z]+)?", text) for text in of("FROM", ALL)]
    assert all(found), "python:MAJOR.MINOR.PATCH-slim-RELEASE"
    (version,) = {match[1] for match in found if match}
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert f'org.opencontainers.image.version="{PROJECT["version"]}"' in of("LABEL")[0]
    assert f"dockbridge:{PROJECT['version']}" in FILE.read_text()


def test_it_runs_as_a_user_without_rights_from_the_last_run_on() -> None:
    words = [x.word for x in LAST]
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a number: a platform can see that it is not root"
    assert "RUN" not in words[words.index("USER") :]
    assert user.partition(":")[0] in of("RUN")[0]


def test_it_takes_only_files_that_there_are_and_every_package() -> None:
    copied = [text.split() for text in of("COPY", ALL) if not text.startswith("--from=build ")]
    sources = [source for *sources, _ in copied for source in sources]
    assert [s for s in sources if not (ROOT / s).exists()] == []
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.partition("/")[0] for package in packages} <= set(sources)
    assert {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= set(sources)
    assert of("ADD", ALL) == [], "COPY does no more than its name says"


def test_it_stops_on_sigterm_and_keeps_the_site_on_a_volume() -> None:
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(of("ENTRYPOINT")[0]) == ["dockbridge"], "no shell: it would keep SIGTERM to itself"
    assert json.loads(of("CMD")[0]) == ["serve"]
    assert of("WORKDIR")[0] == "/site"
    assert json.loads(of("VOLUME")[0]) == ["/site", "/site.keys"]
    assert 'DOCKBRIDGE_SITE="/site"' in of("ENV")[0]


def test_its_health_check_is_a_command_of_ours() -> None:
    options, _, command = of("HEALTHCHECK")[0].partition(" CMD ")
    assert re.findall(r"--(\w[\w-]*)=", options) == ["interval", "timeout", "start-period", "retries"]
    program, group, name = json.loads(command)
    assert program == "dockbridge"
    commands: Any = typer.main.get_command(app)
    assert name in commands.commands[group].commands


def test_nothing_secret_is_in_it() -> None:
    assert not re.search(r"(?i)password|secret|token|\.key\b", FILE.read_text())


@pytest.mark.slow
def test_what_it_copies_is_enough_to_build_the_program(tmp_path: Path) -> None:
    for *sources, to in (text.split() for text in of("COPY", ALL) if not text.startswith("--from=")):
        for source in sources:
            (tmp_path / "src").mkdir(exist_ok=True)
            target = tmp_path / "src" / ("" if to == "./" else to)
            subprocess.run(["cp", "-r", ROOT / source, target], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", tmp_path / "out", tmp_path / "src"]
    subprocess.run(command, check=True, timeout=300)
    assert [wheel.name for wheel in (tmp_path / "out").iterdir()] == [f"dockbridge-{PROJECT['version']}-py3-none-any.whl"]
