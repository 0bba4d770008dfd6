"""The JavaScript client and its tests, in a folder of their own beside their npm packages: ES modules do not look at NODE_PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from helpers.foreign_tools import skip_or_fail

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = Path("devices/examples/javascript")
TESTS: Final = Path("tests/javascript")
NODE_MIN: Final = 20
PACKAGES: Final = ("cbor-x", "mqtt", "fake-indexeddb", "typescript", "@types/node")


def laid_out(folder: Path) -> Path:
    """Copies client and tests into a folder; returns the client's. Skips the test if Node.js or a package is missing; in CI the test fails."""
    if shutil.which("node") is None or _node_version() < NODE_MIN:
        skip_or_fail(f"node {NODE_MIN} or later is not installed")
    packages = next((found for found in _package_folders() if all((found / name).is_dir() for name in PACKAGES)), None)
    if packages is None:
        skip_or_fail(f"npm packages are missing: run `npm install` in {CLIENT}, or set NODE_PATH")
    for part in (CLIENT, TESTS):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (folder / "node_modules").symlink_to(packages)
    return folder / CLIENT


def _node_version() -> int:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.removeprefix("v").split(".")[0])


def _package_folders() -> Iterator[Path]:
    yield ROOT / CLIENT / "node_modules"
    yield from map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))
