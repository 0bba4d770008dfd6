"""A shop's export says who gets an order: that comes in sealed, changes when the file does, stays forgotten, and stands in no message."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from helpers.shell import Done, Shell
from helpers.site import Site

from bridge.config import DATABASE_NAME
from bridge.entrypoints.cli.order_import import import_
from bridge.entrypoints.control.server import ControlServer
from bridge.operations import contacts, events
from bridge.searching import forms_of, search
from bridge.site_reader import ReadableSite
from devices.protocol.messages import load
from devices.protocol.vocabulary import EventType

MAP: Final = """
[channel]
name = "{channel}"
prefix = "{channel}-"
timezone = "UTC"
[columns]
order = "no"
status = "state"
created = "made"
sku = "sku"
qty = "qty"
[status]
paid = "approved"
sent = "shipped"
there = "delivered"
"""
CONTACT: Final = """
[contact]
name = ["first", "last"]
phone = "phone"
street = "street"
postcode = "zip"
country = "land"
note = "note"
[country]
Germany = "DE"
"""
HEADER: Final = "no,state,made,sku,qty,first,last,phone,street,zip,land,note\n"
ANNA: Final = "Anna,Beispielfrau,+49 171 3920001,Musterweg 17,01067,Germany,ring at Zauberer"
ANNA_SEALED: Final = {
    "name": "Anna Beispielfrau",
    "note": "ring at Zauberer",
    "phone": "+49 171 3920001",
    "street": "Musterweg 17",
    "country": "DE",
    "postcode": "01067",
}
NOBODY: Final = "," * 6
SECRETS: Final = ("Beispielfrau", "3920001", "Musterweg", "Zauberer", "Neuegasse")
CHANNELS: Final = count(1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("contacts") / "site", imports={"watch_still_s": 0.02}) as site:
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


@pytest.fixture
def shop(served: Site, tmp_path: Path) -> Shop:
    return Shop(served.directory, tmp_path, f"c{next(CHANNELS)}")


class Shop:
    """A shop whose export has its customers. What commands print of it is kept in `said`."""

    def __init__(self, site: Path, folder: Path, channel: str) -> None:
        self.site = site
        self.shell = Shell(site)
        self.file = folder / "orders.csv"
        self.map = folder / "map.toml"
        self.channel = channel
        self.said = ""
        self.take_contacts()

    def take_contacts(self, section: str = CONTACT) -> None:
        self.map.write_text(MAP.format(channel=self.channel) + section)

    def write(self, *lines: str) -> None:
        self.file.write_text(HEADER + "".join(f"{line}\n" for line in lines))

    def take_in(self, *lines: str, code: int = 0, **options: bool) -> dict[str, Any]:
        """Import these lines; returns what the command says as data."""
        self.write(*lines)
        out, err, ended = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                import_([self.file], self.map, site=self.site, as_json=True, **options)
            except typer.Exit as end:
                ended = end.exit_code
        self.hear(Done(ended, out.getvalue(), err.getvalue()))
        assert ended == code, self.said
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    def hear(self, done: Done) -> None:
        self.said += done.stdout + done.stderr

    def contact(self, order: str) -> dict[str, Any]:
        return contacts.shown(ReadableSite(self.site), f"{self.channel}-{order}").contact


def line(order: str, who: str = ANNA, *, state: str = "paid", sku: str = "pen") -> str:
    return f"{order},{state},2026-11-20 10:00:00,{sku},1,{who}"


def test_who_gets_an_order_comes_in_and_only_its_changes_later(shop: Shop) -> None:
    assert shop.take_in(line("1"), line("1", sku="ink"), line("2", NOBODY))["new"] == {"created": 2, "paid": 2, "approved": 2}
    assert (shop.contact("1"), shop.contact("2")) == (ANNA_SEALED, {})
    assert shop.take_in(line("1"), line("1", sku="ink"))["new"] == {}
    moved = ANNA.replace("Musterweg 17", "Neuegasse 3")
    assert shop.take_in(line("1", moved), line("1", moved, sku="ink"))["new"] == {"amended": 1}
    assert shop.take_in(line("1", moved), line("1", moved, sku="ink"))["new"] == {}
    assert shop.contact("1") == ANNA_SEALED | {"street": "Neuegasse 3"}
    assert shop.take_in(line("1", NOBODY), line("1", NOBODY, sku="ink"))["new"] == {}, "a file that says nothing of it changes nothing"
    assert not any(secret in shop.said for secret in SECRETS)


def test_columns_that_are_mapped_later_give_one_change_and_none_of_what_has_arrived(shop: Shop) -> None:
    shop.take_contacts("")
    lines = (line("1"), line("2", state="sent"), line("3", state="there"))
    shop.take_in(*lines)
    shop.take_contacts()
    assert shop.take_in(*lines)["new"] == {"amended": 2}
    assert shop.take_in(*lines)["new"] == {}
    assert [shop.contact(order) for order in "123"] == [ANNA_SEALED, ANNA_SEALED, {}]


def test_a_recipient_whom_the_shop_hides_does_not_come_in(shop: Shop) -> None:
    shop.take_in(line("1"))
    hidden = ANNA.replace("Beispielfrau", "B*****u")
    done = shop.take_in(line("1", hidden), line("2", hidden))
    assert (done["new"], done["odd"]["contact"]) == ({"created": 1, "paid": 1, "approved": 1}, 2)
    assert "2 orders came in without a contact: the shop hides names or phone numbers behind *" in shop.said
    assert (shop.contact("1"), shop.contact("2")) == (ANNA_SEALED, {})


def test_a_row_that_does_not_fit_is_named_and_not_quoted(shop: Shop, tmp_path: Path) -> None:
    two = (line("1"), line("1", ANNA.replace("Anna", "Otto"), sku="ink"))
    long, shortened = line("2", ANNA.replace("Musterweg", "Musterweg" * 30)), line("3", ANNA.replace("+49 171 3920001", "4.91713920001e+11"))
    for options in ({"dry_run": True}, {"strict": True}, {}):
        done = shop.take_in(*two, long, shortened, line("4", ANNA.replace("01067", "1067")), line("5", ANNA.replace("Germany", "Zauberer")), code=1, **options)
        assert [(bad["line"], bad["reason"].split(":")[0]) for bad in done["bad_rows"]] == [
            (4, "street has 273 characters, and street has at most 200"),
            (5, "phone is a number that a spreadsheet has shortened"),
            (6, "zip has fewer digits than a postcode of DE"),
            (7, "land is not a code such as DE"),
            (3, f"order {shop.channel}-1 has another first + last in line 2"),
        ]
    (tmp_path / "files").mkdir()
    shop.file.rename(tmp_path / "files" / "orders.csv")
    shop.hear(shop.shell("orders", "watch-folder", tmp_path / "files", "--map", shop.map, "--once", "--json", code=1))
    why = (tmp_path / "files" / "refused" / "orders.csv.txt").read_text()
    assert "line 7: land is not a code such as DE: map its word in [country]" in why
    assert not any(secret in shop.said + why for secret in (*SECRETS, "Otto", "4.917"))


def test_an_identity_number_comes_in_where_the_map_says_so(shop: Shop) -> None:
    row = line("1", ANNA.replace("ring at Zauberer", "11010519491231002X"))
    shop.take_in(row, code=1)
    assert "note has what looks like the number of an identity document: take the number out; if it is meant to be there, write in [contact]: " in shop.said
    assert "11010519491231002X" not in shop.said
    shop.take_contacts(CONTACT.replace('note = "note"', 'identity = {column = "note", sealed = true}'))
    shop.take_in(row)
    assert shop.contact("1")["identity"] == "11010519491231002X"


def test_nothing_of_it_is_open_in_the_site(shop: Shop) -> None:
    shop.take_in(line("1"))
    forms = [form for secret in SECRETS for form in forms_of(secret)]
    assert [found for found in search((path for path in shop.site.rglob("*") if path.is_file()), forms) if found.found] == []


def test_who_was_forgotten_stays_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    shop = Shop(site.directory, tmp_path, "f1")
    shop.take_in(line("1"), line("2"))
    with sqlite3.connect(site.directory / DATABASE_NAME) as database:
        database.execute("INSERT INTO forgotten VALUES ('f1-1', 1)")
        database.execute("DELETE FROM contact_hashes WHERE pos IN (SELECT pos FROM sealed WHERE order_id = 'f1-1')")
        database.execute("DELETE FROM sealed WHERE order_id = 'f1-1'")
    database.close()
    assert shop.take_in(line("1"), line("2"))["new"] == {}
    moved = ANNA.replace("Musterweg 17", "Neuegasse 3")
    assert shop.take_in(line("1", moved), line("2", moved))["new"] == {"amended": 1}
    assert (shop.contact("1"), shop.contact("2")["street"]) == ({}, "Neuegasse 3")


def test_an_amendment_says_that_the_contact_changed_and_not_to_what(shop: Shop, served: Site) -> None:
    shop.take_in(line("1"))
    shop.take_in(line("1", ANNA.replace("Musterweg 17", "Neuegasse 3")))
    sent = [load(stored.payload) for stored in served.app.queries.sent(shop.channel, [f"{shop.channel}-1"])]
    assert [event["body"] for event in sent if "changed" in event["body"]] == [{"changed": ["contact"]}]
    found = served.app.queries.order(f"{shop.channel}-1")
    assert found is not None
    assert found["status"]["flags"] == []


def test_what_the_desk_has_corrected_stays_until_the_shop_says_something_new(shop: Shop, served: Site) -> None:
    shop.take_in(line("1"))
    body = {"changed": ["contact"], "contact": {"name": "Anna Beispielfrau", "street": "Right Street 1"}}
    served.wait_for(events.send(served.app, EventType.AMENDED, f"{shop.channel}-1", body))
    assert shop.take_in(line("1"))["new"] == {}
    assert shop.contact("1")["street"] == "Right Street 1"
    assert shop.take_in(line("1", ANNA.replace("Musterweg 17", "Neuegasse 3")))["new"] == {"amended": 1}
    assert shop.contact("1")["street"] == "Neuegasse 3"
