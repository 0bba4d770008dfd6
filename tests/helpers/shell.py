"""`dockbridge` as a user runs it: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.entrypoints.cli.logs import NOISY
from bridge.entrypoints.cli.main import main
from bridge.entrypoints.control.asker import ask_as
from helpers.forked import Forked

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


class Done(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


FORKED = ("serve",)
FRESH = ("demo",)
"""Commands that need a process of their own, forked or from scratch. The others run in this process: starting one takes longer than most of them run."""


class Shell:
    """Runs `dockbridge` for one site."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.environment = {**os.environ, "DOCKBRIDGE_SITE": str(site), "COLUMNS": "200"}

    def __call__(self, *arguments: str | Path, code: int = 0) -> Done:
        done = self.attempt(*arguments)
        assert done.code == code, (done.stdout, done.stderr)
        return done

    def attempt(self, *arguments: str | Path) -> Done:
        """Runs it, however it ends."""
        words = list(map(str, arguments))
        run = self._forked if words[0] in FORKED else self._process if words[0] in FRESH else self._here
        done = run(words)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def _forked(self, words: list[str]) -> Done:
        with tempfile.NamedTemporaryFile("r") as errors:
            process = Forked(["dockbridge", *words], log=Path(errors.name), environment=self.environment, folder=ROOT)
            try:
                code = process.wait(TIMEOUT_S)
                return Done(code, process.stdout.read(), errors.read())
            finally:
                process.kill()
                process.stdout.close()

    def _process(self, words: list[str]) -> Done:
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=self.environment, cwd=ROOT, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def _here(self, words: list[str]) -> Done:
        out, err = io.StringIO(), io.StringIO()
        loggers = [logging.getLogger(name) for name in ("dockbridge", *NOISY)]
        levels = [logger.level for logger in loggers]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["dockbridge", *words])
            patch.chdir(ROOT)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as end:
                code = end.code
        ask_as(None)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        assert isinstance(code, int)
        return Done(code, out.getvalue(), err.getvalue())

    def data(self, *arguments: str | Path, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code).stdout)
