"""External tools that a test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

MODULES: Final = {"aiomqtt", "paho.mqtt"}
"""Tools that are Python packages, not commands."""
PACKAGES: Final = {"node": "mqtt", "typescript": "typescript", "asyncapi": "@asyncapi/parser"}
"""Tools that are Node.js with an npm package."""


@cache
def _missing(tool: str) -> str | None:
    if tool in MODULES:
        return None if find_spec(tool) else f"{tool} is not installed"
    command = "node" if tool in PACKAGES else tool
    if shutil.which(command) is None:
        return f"{command} is not installed"
    if tool in PACKAGES and npm_package(PACKAGES[tool]) is None:
        return f"npm package {PACKAGES[tool]} is not installed, or NODE_PATH does not lead to it"
    return None


@cache
def npm_package(name: str) -> Path | None:
    """The folder of an npm package; None if Node.js does not find it."""
    script = f"console.log(require('path').dirname(require.resolve('{name}/package.json')))"
    found = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def needs(tool: str) -> None:
    """Skips the test if a tool is missing; in CI, where all tools must be installed, the test fails."""
    missing = _missing(tool)
    if missing is not None:
        skip_or_fail(missing)


def skip_or_fail(missing: str) -> NoReturn:
    """Skips the test; in CI the test fails."""
    assert not os.environ.get("CI"), missing
    pytest.skip(missing)
