"""`dockbridge notices` and what `dockbridge status` says of them, as an operator sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.bench import Bench
from helpers.shell import Shell

from bridge.config import CONFIG_NAME, Settings
from bridge.domain.notices import NoticeRules
from bridge.notice_files import own_texts
from bridge.site_folder import make_site
from devices.protocol.states import Moment


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A site that has told its customers something, without a channel."""
    site = tmp_path_factory.mktemp("notices") / "ams1"
    make_site(site, Settings())
    with Bench(site / "dockbridge.db", notices=NoticeRules(texts=own_texts())) as bench:
        bench.create("PO-1", "PO-2")
        bench.tell("scan-1", "pack", "PO-1", parcel="box-1")
        bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
        bench.tell("shop1", "cancelled", "PO-2", {"reason": "customer"})
    return Shell(site)


def test_the_list_says_what_was_told_of_an_order(shell: Shell) -> None:
    listed = shell("notices", "list", "PO-1")
    assert [line.split()[3:6] for line in listed.stdout.splitlines()[-2:]] == [["box-1", "packed", "published"], ["box-1", "collected", "published"]]
    assert "Customers are told nothing: notices.url in bridge.toml is empty." in listed.stderr


def test_the_list_is_there_for_programs(shell: Shell) -> None:
    found = json.loads(shell("notices", "list", "--json", "--limit", "1").stdout)
    assert [(n["order"], n["parcel"], n["moment"], n["sending"]) for n in found] == [("PO-2", None, "cancelled", "published")]
    assert json.loads(shell("notices", "list", "--sending", "aside", "--json").stdout) == []


def test_an_order_that_does_not_exist_and_a_word_that_is_none_are_refused(shell: Shell) -> None:
    assert "there is no order PO-9" in shell("notices", "list", "PO-9", code=1).stderr
    shell("notices", "list", "--sending", "somewhere", code=2)
    shell("notices", "preview", "--language", "fr", code=2)


def test_the_preview_has_every_text_of_a_language(shell: Shell) -> None:
    found = json.loads(shell("notices", "preview", "--language", "zh", "--order", "PO-1", "--json").stdout)
    assert [sample["moment"] for sample in found] == list(Moment)
    assert all("PO-1" in sample["text"] for sample in found)
    both = shell("notices", "preview").stdout
    assert "更正：您的订单 PO-17 的包裹 PO-17-1 尚未签收。" in both
    assert "Correction: parcel PO-17-1 of your order PO-17 has not been delivered yet." in both


def test_the_preview_says_what_is_wrong_with_texts_of_the_site(shell: Shell, tmp_path: Path) -> None:
    config = shell.site / CONFIG_NAME
    before = config.read_text()
    config.write_text(before.replace('texts_folder = ""', f'texts_folder = "{tmp_path}"'))
    try:
        assert "en.toml can't be read" in shell("notices", "preview", code=1).stderr
    finally:
        config.write_text(before)


def test_status_says_that_customers_are_told_nothing_without_a_channel(shell: Shell) -> None:
    assert "customers are told nothing" in shell("status", code=1).stdout
    plain = json.loads(shell("status", "--json", code=1).stdout)
    assert (plain["notice_channel"], plain["notices"]) == (None, {"waiting": 0, "oldest_ms": None, "aside": 0})
