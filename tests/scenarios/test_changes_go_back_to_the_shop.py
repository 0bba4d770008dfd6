"""Shipped and cancelled orders go back to the shop in its upload format: each change in one file, the shop's own order ids, and nobody's name."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.new_site import new_site
from helpers.server import Server
from helpers.shell import Shell

from bridge.config_file import parse
from bridge.site_reader import ReadableSite

pytestmark = pytest.mark.slow  # test_a_carriers_day.py has the main story

SHOP = """
[channel]
name = "shop1"
prefix = "shop1-"
timezone = "Asia/Shanghai"
[columns]
order = "no"
status = "state"
created = "made"
carrier = "by"
tracking = "number"
[status]
paid = "approved"
"""
CARRIER = """
[channel]
name = "sf"
carrier = "SF Express"
timezone = "Asia/Shanghai"
[columns]
tracking = "no"
at = "at"
status = "code"
[status]
"50" = { event = "pickup" }
"""
EXPORT = ("orders", "export", "--map")


class Desk:
    """A site that no server runs, a shop's orders in it, and a carrier that fetches some of them."""

    def __init__(self, folder: Path, orders: int) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.shell = Shell(self.site)
        new_site(self.site, parse({"listen": {"mqtt": "127.0.0.1:0"}}))
        (folder / "shop.toml").write_text(SHOP)
        (folder / "sf.toml").write_text(CARRIER)
        rows = "".join(f"#{no},paid,2026-11-20 09:00:00,SF Express,T{no:06d}\n" for no in range(orders))
        (folder / "orders.csv").write_text("no,state,made,by,number\n" + rows)
        self.shell("orders", "import", folder / "orders.csv", "--map", folder / "shop.toml")

    def fetched(self, *orders: int) -> None:
        (self.folder / "status.csv").write_text("no,at,code\n" + "".join(f"T{no:06d},2026-11-21 09:00:00,50\n" for no in orders))
        self.shell("carriers", "import", self.folder / "status.csv", "--map", self.folder / "sf.toml")

    def export(self, form: str = "csv", *options: str | Path, code: int = 0) -> list[str]:
        """The order of each row."""
        done = self.shell(*EXPORT, self.folder / "shop.toml", "--for", form, *options, code=code)
        self.said = done.stderr
        return [row[0] for row in list(csv.reader(done.stdout.splitlines()))[1:]]


def test_each_change_is_in_one_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 4)
    desk.fetched(0, 1)
    assert desk.export() == ["#0", "#1"]
    desk.fetched(1, 2)
    desk.shell("orders", "cancel", "shop1-#3", "--reason", "stock")
    assert desk.export("shopee") == ["#0", "#1", "#2"], "each form has a position of its own"
    assert "NOT IN THE FILE, because shopee has no row for it: 1 cancelled order: #3; cancel it in the shop" in desk.said
    assert desk.export() == ["#2", "#3"]
    assert desk.export() == []
    assert "Nothing has changed" in desk.said
    assert desk.export("csv", "--again") == ["#2", "#3"], "also after an upload that failed; a file without rows is no last file"
    assert desk.export("csv", "--changed-since", "2026-11-20") == ["#0", "#1", "#2", "#3"]


def test_a_file_is_there_once_it_is_whole_and_never_replaced(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 2)
    desk.fetched(0)
    out = tmp_path / "shipped.txt"
    desk.export("amazon", "--out", out)
    assert out.read_text().splitlines()[1].split("\t") == ["#0", "", "", "2026-11-21", "SF Express", "", "T000000", ""]
    desk.fetched(1)
    desk.export("amazon", "--out", out, code=1)
    assert "exists already, and may not be uploaded yet" in desk.said
    desk.export("amazon", "--out", tmp_path / "more.txt")
    assert [p.name for p in tmp_path.glob("*.txt*")] in (["shipped.txt", "more.txt"], ["more.txt", "shipped.txt"])
    assert (tmp_path / "more.txt").read_text().splitlines()[1].startswith("#1\t")
    desk.export("amazon", "--out", tmp_path / "none.txt")
    assert "No file was written" in desk.said
    assert not (tmp_path / "none.txt").exists()


def test_what_could_not_be_written_is_in_the_next_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1)
    desk.fetched(0)
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main", *EXPORT, tmp_path / "shop.toml", "--for", "csv", "--site", desk.site]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert desk.export() == ["#0"]


def test_what_is_wrong_is_said_with_its_fix(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 1)
    desk.export("csv", "--again", code=1)
    assert "channel shop1 had no file for csv yet" in desk.said
    (tmp_path / "shop.toml").write_text(SHOP.replace('"shop1"', '"shop2"'))
    desk.export("csv", code=1)
    assert "no order came through a channel shop2\n  fix: the channels are shop1" in desk.said
    desk.export("ebay", code=2)
    desk.export("csv", "--changed-since", "yesterday", code=2)
    desk.export("csv", "--changed-since", "2026-11-20", "--again", code=2)


def test_an_export_that_is_killed_loses_no_change(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 2_000)
    desk.fetched(*range(2_000))
    words = [sys.executable, "-m", "bridge.entrypoints.cli.main", *EXPORT, str(tmp_path / "shop.toml"), "--for", "csv", "--site", str(desk.site), "--out"]
    files: list[Path] = []
    with Server(desk.site):
        for kill in range(6):
            files.append(tmp_path / f"{kill}.csv")
            run = subprocess.Popen([*words, str(files[-1])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.4 + 0.25 * kill)
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        files.append(tmp_path / "last.csv")
        subprocess.run([*words, str(files[-1])], check=True)
    whole = [rows for file in files if file.exists() for rows in [file.read_text().splitlines()[1:]]]
    assert all(len(rows) == 2_000 for rows in whole), "a file that is there is whole"
    assert whole, "and there is one"
    assert ReadableSite(desk.site).queries.exported("shop1", "csv") is not None
