"""A command whose output, files or terminal fail it: it says so in a sentence, or ends quietly where that is the custom, and never with a traceback."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any, Final, get_args, get_type_hints

import pytest
import typer
from helpers.new_site import new_site
from helpers.shell import Shell
from typer.models import ParameterInfo

from bridge.config_file import parse
from bridge.entrypoints.cli.main import PIPE_CLOSED, _code_of, app, main


def full() -> IO[str]:
    """`> /dev/full`."""
    return open("/dev/full", "w")


def closed_pipe() -> IO[str]:
    """`| head`, which has read enough."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


SHORT: Final = ("--version",)
LONG: Final = ("contract", "show", "guide")
"""More than a buffer: it fails while the command runs."""
SAID: Final = "error: the output can't be written: No space left on device\n  fix: free some space on the disk\n"


@pytest.mark.parametrize("command", [SHORT, ("config", "show", "--defaults"), ("config", "show", "--defaults", "--json"), LONG], ids=" ".join)
@pytest.mark.parametrize(("output", "code", "said"), [(full, 1, SAID), (closed_pipe, PIPE_CLOSED, "")], ids=["full", "closed"])
def test_output_that_can_not_be_written(command: tuple[str, ...], output: Callable[[], IO[str]], code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dockbridge", *command])
    monkeypatch.setenv("COLUMNS", "200")
    errors = io.StringIO()
    with output() as out, redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert errors.getvalue() == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/srv/ams1/bridge.toml"), "error: /srv/ams1/bridge.toml: Permission denied\n  fix: let this user read it"),
        (FileNotFoundError(2, "No such file or directory", b"orders.csv"), "error: orders.csv: No such file or directory\n  fix: check the name"),
        (IsADirectoryError(21, "Is a directory", "out"), "error: out: Is a directory\n  fix: name a file, not a folder"),
        (OSError(28, "No space left on device", "saved.db"), "error: saved.db: No space left on device\n  fix: free some space"),
        (OSError(30, "Read-only file system", "x"), "fix: choose a file system that is mounted read-write"),
        (OSError(12, "Cannot allocate memory"), "error: Cannot allocate memory\n  fix: check the file's name"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "fix: check the file's name, and that its text is UTF-8"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
def test_a_file_that_fails_is_named_with_what_to_do(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert _code_of(fail) == 1
    assert said in capsys.readouterr().err


def paths_of_commands(group: typer.Typer, above: str = "") -> Iterator[tuple[str, Any]]:
    """(command and parameter, what Typer knows of it) of each parameter that is a path."""
    for command in group.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            kind, *others = get_args(hint) or (hint,)
            if kind in (Path, Path | None, list[Path]):
                yield from ((f"{above} {command.name or command.callback.__name__}: {name}", info) for info in others if isinstance(info, ParameterInfo))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from paths_of_commands(below.typer_instance, f"{above} {below.name}")


def test_no_path_is_looked_at_before_its_command_runs() -> None:
    """A file without rights is not wrong usage (exit 2 and a box): the command says what it can't read, and who may."""
    found = dict(paths_of_commands(app))
    assert len(found) > 50
    assert [name for name, info in found.items() if info.readable] == [], "give these readable=False"


def test_a_site_is_checked_and_copied_for_people_and_for_programs(tmp_path: Path) -> None:
    site = tmp_path / "ams1"
    new_site(site, parse({"site": {"name": "ams1"}}))
    dockbridge = Shell(site)
    assert dockbridge.data("config", "check") == {"file": str(site / "bridge.toml"), "faults": []}
    copy = tmp_path / "copy.db"
    assert dockbridge.data("db", "backup", copy) == {"file": str(copy), "bytes": copy.stat().st_size}
    (site / "bridge.toml").write_text('[listen]\nmqtts = "127.0.0.1:0"\n')
    done = dockbridge("config", "check", "--json", code=1)
    assert '"what": "listen.tls_cert_file: ' in done.stdout
    assert done.stderr.startswith("error: listen.tls_cert_file: ")


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [n / 20 for n in range(1, 20)])
def test_ctrl_c_at_any_moment_leaves_no_traceback(after_s: float) -> None:
    program = "from bridge.entrypoints.command import main; print('go', flush=True); main()"
    command = [sys.executable, "-c", program, "contract", "show", "guide"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "go\n"
    time.sleep(after_s)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert errors == ""
    assert running.returncode in (0, -signal.SIGINT, 128 + signal.SIGINT)
