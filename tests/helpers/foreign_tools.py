"""Tools of others that a test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from typing import Final

import pytest

MODULES: Final = {"aiomqtt", "paho.mqtt"}
"""What is a Python package, and not a command."""


@cache
def _missing(tool: str) -> str | None:
    if tool in MODULES:
        return None if find_spec(tool) else f"{tool} is not installed"
    if shutil.which(tool) is None:
        return f"{tool} is not installed"
    if tool == "node" and subprocess.run(["node", "-e", "require('mqtt')"], capture_output=True, check=False).returncode:
        return "npm package mqtt is not installed, or NODE_PATH does not lead to it"
    return None


def needs(tool: str) -> None:
    """Without the tool the test says so; where everything must be there (CI), it fails."""
    missing = _missing(tool)
    if missing is not None:
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
