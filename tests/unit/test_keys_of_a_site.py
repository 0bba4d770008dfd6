"""The keys of a site: a recovery sheet is good for its own site only, a full disk leaves nothing of a key, and keys inside the site's folder are a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.full_disk import quota
from helpers.new_site import new_site
from helpers.shell import Shell

from bridge.config_file import parse
from bridge.errors import Refused, SiteError
from bridge.key_sheets import read_typed, sheet_of
from bridge.vault import ID_BYTES, KEY_BYTES, KeyFolder, SiteKey

KEY = SiteKey(bytes(range(ID_BYTES)), "s1", bytes(range(KEY_BYTES)), 1_764_547_200_000)
SHEET = sheet_of(KEY, "2025-12-01 00:00:00")
WRONG = {
    "another site's": (SHEET, "s2", "this is a sheet of site s1, and not of s2"),
    "made to look like another site's": (SHEET.replace("site    s1", "site    s2"), "s2", "a letter is wrong"),
    "without its site": (SHEET.replace("site    s1\n", ""), "s1", "the line `site` is missing"),
    "with a wrong letter": (SHEET.replace("AAAQ", "AAAR"), "s1", "a letter is wrong"),
    "with a time that was changed": (SHEET.replace("1764547200000", "1764547200001"), "s1", "a letter is wrong"),
}
"""A sheet, the site at which it is typed in, and what is said."""


def test_a_sheet_brings_back_the_key_of_its_site() -> None:
    assert read_typed(SHEET, "s1") == KEY
    typed = "\n".join(
        line.upper() if line.startswith("key") else line for line in SHEET.splitlines() if line.startswith(("id", "site", "made", "key", "  ", "check"))
    )
    assert read_typed(typed, "s1") == KEY


@pytest.mark.parametrize("name", WRONG)
def test_a_sheet_that_is_not_right_is_refused(name: str) -> None:
    sheet, site, said = WRONG[name]
    with pytest.raises(Refused, match=said) as refused:
        read_typed(sheet, site)
    assert refused.value.fix


def test_a_full_disk_leaves_nothing_of_a_key(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys", "s1")
    with quota(tmp_path) as disk:
        disk.fill()
        with pytest.raises(SiteError, match="can't be written"):
            folder.put(KEY)
    assert list(folder.path.iterdir()) == []
    folder.put(KEY)
    assert folder.keys() == [KEY]


def test_a_check_of_the_settings_finds_keys_inside_the_folder(tmp_path: Path) -> None:
    site = tmp_path / "s1"
    new_site(site, parse({"site": {"name": "s1"}}))
    (site / "bridge.toml").write_text('[site]\nname = "s1"\n[privacy]\nkeys_folder = "s1/keys"\n')
    done = Shell(site)("config", "check", "--json", code=1)
    assert '"what": "privacy.keys_folder is inside the site\'s folder: ' in done.stdout
    assert f"inside the site's folder: {site / 'keys'}\n  fix: choose one outside" in done.stderr
