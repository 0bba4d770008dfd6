"""`dockbridge bench …`: the benchmark suite of the source checkout that this program runs from."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import typer

import bridge
from bridge.errors import BridgeError


def bench(context: typer.Context) -> None:
    """Measure this program beside what would be used instead of it. It is part of the source, not of the installed package.

    Example: `dockbridge bench end-to-end --quick`
    """
    checkout = Path(bridge.__file__).absolute().parents[1]
    if not (checkout / "tests" / "benchmarks" / "__main__.py").exists():
        raise BridgeError(
            "the benchmark suite is not here: it is part of the source, not of the installed package",
            fix="get the source, as a clone or as the source distribution (dockbridge-….tar.gz), and run there: pip install -e '.[test]'",
        )
    if find_spec("hdrh") is None:
        raise BridgeError("the suite needs the package hdrhistogram", fix=f"pip install -e '{checkout}[test]'")
    # The suite finds its modules in the same places as this process.
    places = [str(checkout / "tests"), str(checkout), str(checkout / "firmware-sim"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in places if p)}
    done = subprocess.run([sys.executable, "-m", "benchmarks", *context.args], env=environment, check=False)  # noqa: S603 -- our own program
    if done.returncode:
        raise typer.Exit(done.returncode)
