"""A new site for a test: what `make_site` makes, as a copy. Making the tables takes longer than most tests."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from bridge.config import CONFIG_NAME, DATABASE_NAME, Settings
from bridge.config_file import parse, render
from bridge.site_folder import make_site
from bridge.store.sqlite import PRIVATE


@cache
def _database(name: str) -> bytes:
    """The database of a new site of this name."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        make_site(site, parse({"site": {"name": name}}))
        return (site / DATABASE_NAME).read_bytes()


def new_site(directory: Path, settings: Settings) -> None:
    """Make a site's folder, as `make_site` does."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    with open(directory / DATABASE_NAME, "xb", opener=lambda name, flags: os.open(name, flags, PRIVATE)) as file:
        file.write(_database(settings.site.name))
    (directory / CONFIG_NAME).write_text(render(settings), encoding="utf-8")
