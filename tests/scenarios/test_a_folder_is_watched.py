"""A shop's files arrive in a folder: each comes in once, when it is whole, and what can't come in says why beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.site import Site

from bridge.config import ImportSettings
from bridge.entrypoints.cli.order_watch import Folder, watch_folder
from bridge.entrypoints.control.server import ControlServer
from bridge.operations import imports

MAP = """
[channel]
name = "shop9"
prefix = "s-"
timezone = "UTC"
[columns]
order = "no"
status = "state"
created = "made"
[status]
paid = "approved"
"""
HEADER = "no,state,made\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("watched") / "site", imports={"watch_still_s": 0.02, "watch_file_bytes_max": 2_000}) as site:
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


@pytest.fixture
def shop(site: Site, tmp_path: Path) -> Shop:
    return Shop(site, tmp_path)


class Shop:
    """A folder in which files arrive, and the site that takes them in."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder / "files"
        self.map = folder / "map.toml"
        self.folder.mkdir()
        self.map.write_text(MAP)

    def put(self, name: str, *orders: str, state: str = "paid") -> Path:
        path = self.folder / name
        path.write_text(HEADER + "".join(f"{order},{state},2026-11-20 10:00:00\n" for order in orders))
        return path

    def take_in(self, *, code: int = 0, **options: bool) -> list[dict[str, Any]]:
        """What became of each file that is there."""
        out, err, ended = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                watch_folder(self.folder, self.map, once=True, site=self.site.directory, as_json=True, **options)
            except typer.Exit as end:
                ended = end.exit_code
        self.said = err.getvalue()
        assert ended == code, self.said
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def events(self, *orders: str) -> list[str]:
        return [sent.type for sent in self.site.app.queries.sent("shop9", [f"s-{order}" for order in orders])]


def test_a_file_comes_in_once_whatever_its_name(shop: Shop) -> None:
    shop.put("monday.csv", "a1", "a2")
    assert [(f["file"], f["outcome"], f["orders"]) for f in shop.take_in()] == [("monday.csv", "done", 2)]
    shop.put("monday.csv", "a1", "a2")
    shop.put("copy.csv", "a1", "a2")
    assert {f["outcome"] for f in shop.take_in()} == {"known"}
    assert "its content came in on" in shop.said
    assert shop.files() == ["done/copy.csv", "done/monday-2.csv", "done/monday.csv"]
    assert shop.events("a1", "a2") == ["created", "paid", "approved"] * 2


def test_a_refused_file_has_the_reason_beside_it_and_comes_in_once_it_is_mended(shop: Shop) -> None:
    shop.put("bad.csv", "b1", state="odd")
    (shop.folder / "other.csv").write_text("a,b\n1,2\n")
    (shop.folder / "large.csv").write_text(HEADER + "x" * 2_000)
    assert {f["file"]: f["outcome"] for f in shop.take_in(code=1)} == dict.fromkeys(("bad.csv", "other.csv", "large.csv"), "refused")
    why = {name: (shop.folder / "refused" / f"{name}.csv.txt").read_text() for name in ("bad", "other", "large")}
    assert "line 2: state is 'odd', which [status] does not map" in why["bad"]
    assert "has no column 'no'\nfix: its columns are a, b" in why["other"]
    assert "more than imports.watch_file_bytes_max (2000)" in why["large"]
    (shop.folder / "refused" / "bad.csv").rename(shop.folder / "bad.csv")
    shop.map.write_text(MAP + 'odd = "approved"\n')
    assert [f["outcome"] for f in shop.take_in()] == ["done"]
    assert shop.events("b1") == ["created", "paid", "approved"]


def test_what_is_done_is_deleted_after_its_time_and_nothing_else(shop: Shop) -> None:
    shop.put("good.csv", "k1")
    shop.put("bad.csv", "k2", state="odd")
    shop.take_in(code=1)
    done = shop.folder / "done"
    (done / "folder").mkdir()
    (done / "link").symlink_to(shop.map)
    moved_s = (done / "good.csv").lstat().st_ctime
    for days, after_s, deleted in ((0.0, 1e9, 0), (1.0, 86_000, 0), (1.0, 87_000, 1), (1.0, 87_000, 0)):
        assert Folder(shop.folder, ImportSettings(watch_keep_days=days)).delete_done(moved_s + after_s) == deleted
    assert shop.files() == ["done/link", "refused/bad.csv", "refused/bad.csv.txt"]


def test_a_watched_folder_deletes_what_is_done_long_enough(shop: Shop) -> None:
    config = shop.site.directory / "bridge.toml"
    before = config.read_text()
    config.write_text(before.replace("watch_keep_days = 30.0", "watch_keep_days = 0.0000001"))
    try:
        shop.put("orders.csv", "k3")
        assert [f["outcome"] for f in shop.take_in()] == ["done"]
        assert shop.take_in() == []
    finally:
        config.write_text(before)
    assert "Deleted 1 file in done/, after 1e-07 days (imports.watch_keep_days)." in shop.said
    assert shop.files() == []


def test_a_strict_folder_sends_nothing_of_a_file_with_a_fault(shop: Shop) -> None:
    shop.put("half.csv", "c1").write_text(shop.put("half.csv", "c1").read_text() + "c2,odd,2026-11-20 10:00:00\n")
    assert [(f["outcome"], f["sent"]) for f in shop.take_in(code=1, strict=True)] == [("refused", False)]
    assert shop.events("c1") == []


def test_what_is_not_a_file_of_the_shop_or_is_being_written_stays(shop: Shop) -> None:
    for name in (".hidden.csv", "orders.csv.part"):
        shop.put(name, "d1")
    (shop.folder / "folder").mkdir()
    assert shop.take_in() == []
    assert shop.files() == [".hidden.csv", "orders.csv.part"]


def test_a_file_that_grows_waits_until_it_is_still(tmp_path: Path) -> None:
    folder = Folder(tmp_path, ImportSettings(watch_still_s=10, watch_files_max=1))
    file = tmp_path / "orders.csv"
    file.write_text("a")
    assert folder.still(0) == []
    file.write_text("ab")
    assert folder.still(9) == folder.still(18) == []
    assert folder.still(19) == [file]
    (tmp_path / "later.csv").write_text("c")
    folder.still(20)
    assert folder.still(30) == [file], "one at a time, the oldest first"


def test_a_map_that_is_broken_meanwhile_leaves_the_files_where_they_are(shop: Shop) -> None:
    shop.put("e.csv", "e1")
    good = shop.map.read_text()

    def broken(*_: Any) -> None:
        shop.map.write_text("[channel\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.entrypoints.cli.order_watch.time.sleep", broken)
        shop.take_in(code=1)
    assert shop.files() == ["e.csv"]
    shop.map.write_text(good)
    assert [f["outcome"] for f in shop.take_in()] == ["done"]


def test_only_the_newest_files_are_remembered(site: Site) -> None:
    for no in range(4):
        site.wait_for(imports.remember_file(site.app, "other", f"hash-{no}", f"{no}.csv", 2))
    assert [site.app.queries.imported_file("other", f"hash-{no}") is not None for no in range(4)] == [False, False, True, True]


def test_links_and_names_that_are_no_text_are_left_and_stop_nothing(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no,state,made\n")
    (shop.folder / "link.csv").symlink_to(tmp_path / "secret")
    (shop.folder / "loop.csv").symlink_to("loop.csv")
    odd = shop.folder / b"\xb6\xa9.csv".decode(errors="surrogateescape")
    odd.write_text(HEADER)
    shop.put("good.csv", "9001")
    assert [row["file"] for row in shop.take_in()] == ["good.csv"]
    assert "its name is not UTF-8. Rename it." in shop.said
    assert odd.exists()


def test_the_reason_of_one_file_does_not_overwrite_another_that_was_refused(shop: Shop) -> None:
    text = shop.put("a.csv.txt", "9002", state="never heard of")
    content = text.read_text()
    shop.take_in(code=1)
    shop.put("a.csv", "9003", state="never heard of")
    shop.take_in(code=1)
    assert (shop.folder / "refused" / "a.csv.txt").read_text() == content
    assert (shop.folder / "refused" / "a-2.csv.txt").exists()
