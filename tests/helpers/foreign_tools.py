"""External tools that a test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from typing import Final, NoReturn

import pytest

MODULES: Final = {"aiomqtt", "paho.mqtt"}
"""Tools that are Python packages, not commands."""


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
    """Skips the test if a tool is missing; in CI, where all tools must be installed, the test fails."""
    missing = _missing(tool)
    if missing is not None:
        skip_or_fail(missing)


def skip_or_fail(missing: str) -> NoReturn:
    """Skips the test; in CI the test fails."""
    assert not os.environ.get("CI"), missing
    pytest.skip(missing)
