"""`dockbridge init` makes a site whole or not at all, also if it is killed or the disk is full."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shell import Shell

from bridge import site_certificates, site_folder
from bridge.config_file import load, parse
from bridge.errors import NoSite, SiteError
from bridge.serving.open_site import OpenSite
from bridge.site_folder import make_site
from bridge.site_reader import ReadableSite

SETTINGS = parse({"site": {"name": "ams1"}})
MADE = {"bridge.toml", "dockbridge.db", "tls"}


class Killed(BaseException):
    """The process ends here, and cleans nothing up."""


def make(directory: Path) -> None:
    make_site(directory, SETTINGS, also=lambda half: site_certificates.make(half, "ams1", ["localhost"]))


@pytest.mark.parametrize(
    ("step", "is_there"),
    [
        pytest.param("database", False, marks=pytest.mark.slow),
        ("certificates", False),
        pytest.param("configuration", True, marks=pytest.mark.slow),
        pytest.param("move", False, marks=pytest.mark.slow),
        pytest.param("move", True, marks=pytest.mark.slow),
        ("last file", True),
    ],
)
def test_an_init_that_was_killed_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_there: bool) -> None:
    site = tmp_path / "ams1"
    if is_there:
        site.mkdir()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        clears = site_folder._clear_half_made
        calls: list[int] = []
        patch.setattr(site_folder, "_clear_half_made", lambda *a: calls.append(1) or (clears(*a) if len(calls) == 1 else None))
        match step:
            case "database":
                patch.setattr(site_folder, "claim", die)
            case "certificates":
                patch.setattr(site_certificates, "make", die)
            case "configuration":
                patch.setattr(site_folder, "render", die)
            case "move":
                patch.setattr(site_folder, "_move_whole", die)
            case _:
                replace = Path.replace
                patch.setattr(Path, "replace", lambda path, to: die() if path.name == "bridge.toml" else replace(path, to))
        with pytest.raises(Killed):
            make(site)
    assert not (site / "bridge.toml").exists()
    make(site)
    assert {path.name for path in site.iterdir()} == MADE
    assert {path.name for path in tmp_path.iterdir()} == {"ams1", "ams1.keys"}
    assert site_certificates.list_certificates(site)


def test_what_is_said_of_a_new_site_is_true(tmp_path: Path) -> None:
    said = Shell(tmp_path)("init", tmp_path / "rot1").stderr
    settings = load(tmp_path / "rot1" / "bridge.toml")
    assert (settings.site.name, settings.listen.mqtt) == ("rot1", "127.0.0.1:1883")
    assert "it names this machine only" in said
    assert "localhost" in site_certificates.made(tmp_path / "rot1").names


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site_folder, "render", full)
    with pytest.raises(SiteError, match="can't be written"):
        make(tmp_path / "ams1")
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_its_configuration_is_not_taken(tmp_path: Path) -> None:
    make(tmp_path / "ams1")
    (tmp_path / "ams1" / "bridge.toml").unlink()
    with pytest.raises(SiteError, match=r"has a database, but no bridge\.toml: it was a site"):
        make(tmp_path / "ams1")
    (tmp_path / "ams1" / "dockbridge.db").unlink()
    authority = (tmp_path / "ams1" / "tls" / "ca.pem").read_bytes()
    Shell(tmp_path)("init", tmp_path / "ams1", "--host", "bridge.example.com")
    assert (tmp_path / "ams1" / "tls" / "ca.pem").read_bytes() == authority, "devices trust it already"
    assert "bridge.example.com" in site_certificates.made(tmp_path / "ams1").names


@pytest.mark.parametrize("open_site", [ReadableSite, lambda folder: OpenSite(folder, *[None] * 5)], ids=["read", "write"])
def test_a_folder_that_is_no_site_is_not_recommended_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_site: object) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoSite) as refused:
        open_site(Path())  # type: ignore[operator]
    assert "init ." not in str(refused.value.fix)
    assert "dockbridge init DIR" in str(refused.value.fix)
