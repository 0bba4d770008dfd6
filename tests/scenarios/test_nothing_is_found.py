"""Personal data is planted through every door into a site, and searched for in everything that leaves it or stays: as text, in UTF-16 and in base64.

`DOORS` has a row for each door. Doors are found by themselves too, where the code can say what they are: a field of the contract, or an argument that somebody
types, without a row fails `test_each_door_has_a_row`.
"""

from __future__ import annotations

import base64
import http.client
import inspect
import logging
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

import cbor2
import pytest
from helpers.events import CREATED, SITE
from helpers.shell import Shell
from helpers.site import Site
from helpers.waiting import DEADLINE_S

from bridge.config import DATABASE_NAME
from bridge.entrypoints.control.server import ControlServer
from bridge.entrypoints.http.serving import serve_metrics
from bridge.errors import BridgeError
from bridge.operations import contacts, people
from bridge.operations.acts import ACTS, PRIVATE, carry_out
from bridge.operations.people_ports import PersonRole
from bridge.passwords import new_person_token, person_token_digest
from bridge.searching import forms_of
from devices.protocol.bodies import BODIES
from devices.protocol.choices import Audience
from devices.protocol.private import PRIVATE_FIELDS, Name, Phone, Postcode, Text
from devices.protocol.states import AlertCode
from devices.protocol.vocabulary import EventType, Role

DAY_MS: Final = 86_400_000


def planted(door: str) -> str:
    """What is planted at a door: a name that stands nowhere else."""
    return f"Wilhelmina-{''.join(c for c in door if c.isalnum())}-Quastenflosser"


def planted_phone(door: str) -> str:
    """The telephone number that is planted at a door."""
    return f"+49 30 {int.from_bytes(door.encode(), 'big') % 10**12:012}"


def contact(door: str) -> dict[str, Any]:
    """A contact in which every field is planted."""
    name = planted(door)
    texts = {field: f"{name} {field}" for field in ("name", "company", "street", "extra", "city", "region", "note", "identity")}
    return {**texts, "phone": planted_phone(door), "postcode": planted_phone(door)[7:], "locale": "de", "country": "DE"}


class Warehouse(NamedTuple):
    """A site that serves, its commands, and its clients."""

    site: Site
    shell: Shell
    seq: Iterator[int]

    def event(self, device: str, order: str | None, body: Mapping[str, Any] | None = None, **other: Any) -> bytes:
        return self.site.event(device, next(self.seq), order, dict(body or {}), **other)

    def send(self, device: str, event_type: str, payload: bytes) -> dict[str, Any]:
        """Send as a device over its connection, and wait for the acknowledgement."""
        (receipt,) = self.site.wait_for(self.site.app.submit(self.site.app.registry.identity(device), [(event_type, payload)]))
        return dict(receipt)

    def act(self, operation: Any, **arguments: Any) -> Any:
        return self.site.wait_for(carry_out(self.site.app, "root", operation, arguments))


# --- the doors --------------------------------------------------------------------------------------------------------------


def created(house: Warehouse, door: str) -> None:
    assert house.send("shop1", "created", house.event("shop1", "PO-created", {**CREATED, "contact": contact(door)}))["outcome"] == "applied"


def created_in_json(house: Warehouse, door: str) -> None:
    payload = house.site.event("shop1", next(house.seq), "PO-json", {**CREATED, "contact": contact(door)}, as_json=True)
    assert house.send("shop1", "created", payload)["outcome"] == "applied"


def amended(house: Warehouse, door: str) -> None:
    assert house.send("shop1", "amended", house.event("shop1", "PO-1", {"changed": ["contact"], "contact": contact(door)}))["outcome"] == "applied"


def amended_unknown_order(house: Warehouse, door: str) -> None:
    assert house.send("shop1", "amended", house.event("shop1", "PO-404", {"changed": ["contact"], "contact": contact(door)}))["outcome"] == "parked"


def note(house: Warehouse, door: str) -> None:
    assert house.send("shop1", "note_added", house.event("shop1", "PO-1", {"text": planted(door), "audience": "courier"}))["outcome"] == "applied"


def unknown_field_of_a_system(house: Warehouse, door: str) -> None:
    receipt = house.send("shop1", "approved", house.event("shop1", "PO-1", {"customer": planted(door)}, customer={planted(door): planted(door)}))
    assert "unknown_field" in receipt["warn"]


def unknown_field_of_a_scanner(house: Warehouse, door: str) -> None:
    assert "unknown_field" in house.send("scan-1", "pack", house.event("scan-1", "PO-1", {"packed_for": planted(door)}, **{planted(door): 1}))["warn"]


def unknown_field_of_a_phone(house: Warehouse, door: str) -> None:
    body = {"pod": {"method": "photo", "photo_name": f"{planted(door)}.jpg"}}
    assert "unknown_field" in house.send("phone-1", "delivery", house.event("phone-1", "PO-1", body))["warn"]


def reason_that_is_no_word(house: Warehouse, door: str) -> None:
    """What should be a word, and is a sentence about somebody: it would stand in the hold of a retained status."""
    receipt = house.send("shop1", "held", house.event("shop1", "PO-1", {"reason": planted(door)}))
    assert (receipt["outcome"], "is no word" in receipt["detail"]) == ("applied", True)
    house.send("shop1", "released", house.event("shop1", "PO-1", {"reason": planted(door)}))
    for event_type, body in (("amended", {"changed": [planted(door), "promise"]}), ("created", {**CREATED, "mode": planted(door)})):
        house.send("shop1", event_type, house.event("shop1", "PO-1", body))
    for event_type, body in (("attempt_failed", {"reason": planted(door)}), ("returned", {"dock": "D1", "condition": planted(door)})):
        house.send("phone-1", event_type, house.event("phone-1", "PO-1", body, **{planted(door): 1}))


def badge(house: Warehouse, door: str) -> None:
    body = {"items": CREATED["lines"]}
    payloads = [house.event("scan-1", "PO-1", body, by=planted(door), **more) for more in ({}, {"code": planted(door)[:4]}, {"colour": planted(door)})]
    payloads.append(house.site.event("scan-1", next(house.seq), "PO-1", body, by=planted(door), as_json=True))
    for payload in (*payloads, payloads[0]):
        assert house.send("scan-1", "pack", payload)["outcome"] in ("applied", "noop")


def badge_of_a_shift(house: Warehouse, door: str) -> None:
    for _ in range(2):
        payload = house.event("scan-1", None, {"worker": planted(door)}, by=planted(door))
        assert house.send("scan-1", "shift_started", payload)["outcome"] == house.send("scan-1", "shift_started", payload)["outcome"] == "applied"


def badge_of_what_is_refused(house: Warehouse, door: str) -> None:
    assert house.send("scan-1", "pick", house.event("scan-1", "PO-1", {"qty": 0}, by=planted(door)))["reason"] == "malformed"


def names_of_workers(house: Warehouse, door: str) -> None:
    house.shell("workers", "name", f"{planted(door)}", f"Dr. {planted(door)}")
    house.shell("workers", "name", "--courier", "c-1", planted(door))
    assert planted(door) in house.shell("workers", "list").stdout
    house.send("scan-1", "stage", house.event("scan-1", "PO-1", {"dock": "D1"}, by=planted(door)))
    assert f"worker Dr. {planted(door)}" in house.shell("orders", "explain", "PO-1").stdout


def malformed_payload(house: Warehouse, door: str) -> None:
    body = {"channel": planted(door), "contact": {**contact(door), "lat_e7": planted(door)}}
    assert house.send("shop1", "created", house.event("shop1", "PO-9", body))["reason"] == "malformed"


def malformed_payload_of_a_scanner(house: Warehouse, door: str) -> None:
    assert house.send("scan-1", "pick", house.event("scan-1", "PO-1", {"qty": planted(door)}))["reason"] == "malformed"


def payload_that_is_no_cbor(house: Warehouse, door: str) -> None:
    assert house.send("shop1", "created", b"\xff" + planted(door).encode())["reason"] == "malformed"


def used_id(house: Warehouse, door: str) -> None:
    payload = house.event("shop1", "PO-reused", {**CREATED, "contact": contact(door)})
    other = cbor2.dumps({**cbor2.loads(payload), "body": {**CREATED, "contact": {**contact(door), "note": planted(door) + "!"}}}, canonical=True)
    assert [house.send("shop1", "created", p)["outcome"] for p in (payload, other)] == ["applied", "rejected"]


def order_of_another_shop(house: Warehouse, door: str) -> None:
    assert house.send("shop-a", "created", house.event("shop-a", "b-1", {**CREATED, "contact": contact(door)}))["reason"] == "forbidden"


def poison(house: Warehouse, door: str) -> None:
    """The store takes no batch with a mark in it: the message goes to quarantine, and an exception is logged."""
    site = house.site
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        connection.execute("CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.order_id = 'PO-poison' BEGIN SELECT RAISE(ABORT, 'poison'); END")
        connection.commit()
    assert house.send("shop1", "created", house.event("shop1", "PO-poison", {**CREATED, "contact": contact(door)}))["reason"] == "poison"


def quarantine_shown(house: Warehouse, door: str) -> None:
    malformed_payload(house, door)
    ((no,),) = house.site.rows("SELECT max(no) FROM quarantine")
    assert planted(door) in house.shell("quarantine", "show", str(no)).stdout


def operator_note(house: Warehouse, door: str) -> None:
    house.act(contacts.note, order="PO-1", text=planted(door), audience=Audience.DESK)


def search(house: Warehouse, door: str) -> None:
    house.act(contacts.find, surname=planted(door))


def reason_of_an_act(house: Warehouse, door: str) -> None:
    """Every operation for which somebody types a reason, with arguments that need not fit: what was asked for is in the log all the same."""
    for operation in sorted(TYPED, key=str):
        arguments = {name: _any_of(hint, door) for name, hint in _hints(operation).items() if name not in ("site", "return", "on_progress")}
        with suppress(BridgeError, ValueError, TypeError, AttributeError, StopIteration, KeyError):
            house.act(operation, **{**arguments, **dict.fromkeys(TYPED[operation], planted(door))})


def reason_at_an_alert(house: Warehouse, door: str) -> None:
    (alert, *_) = house.site.app.queries.alerts()
    house.shell("alerts", "acknowledge", alert["code"], alert["subject"], "--reason", planted(door))
    house.shell("alerts", "silence", AlertCode.LOST, "--for", "1h", "--reason", planted(door))


IMPORT_MAP: Final = """
[channel]
name = "shop2"
prefix = "file-"
timezone = "UTC"
[columns]
order = "no"
created = "made"
[contact]
name = "who"
phone = "phone"
country = "land"
"""


def imported_file(house: Warehouse, door: str) -> None:
    """A shop's file: of one order the contact comes in, of the other it does not fit, and neither is printed."""
    folder = house.site.directory.with_name("shop")
    folder.mkdir()
    (folder / "map.toml").write_text(IMPORT_MAP)
    rows = (f"{no},2026-11-20 10:00:00,{planted(door)},{planted_phone(door)},{land}" for no, land in ((1, "DE"), (2, planted(door))))
    (folder / "orders.csv").write_text("\n".join(("no,made,who,phone,land", *rows, "")))
    done = house.shell("orders", "import", folder / "orders.csv", "--map", folder / "map.toml", "--json", code=1)
    assert "land is not a code" in done.stdout
    assert planted(door) in str(contacts.shown(house.site.app, "file-1").contact)
    assert planted(door) not in done.stdout + done.stderr


def restored_backup(house: Warehouse, door: str) -> None:
    """What was planted is in a backup as well, which is one of the files that are searched."""
    created(house, door) if not house.site.app.queries.order("PO-created") else amended(house, door)
    house.site.app.database.backup(house.site.directory / "backups" / "planted.db")


def crash(house: Warehouse, door: str) -> None:
    """The server is killed with what was just committed in its write-ahead log."""
    amended(house, door)
    house.site.on_loop(lambda: None)


DOORS: Final[tuple[Callable[[Warehouse, str], None], ...]] = (
    *(created, created_in_json, amended, amended_unknown_order, note),
    *(unknown_field_of_a_system, unknown_field_of_a_scanner, unknown_field_of_a_phone, reason_that_is_no_word),
    *(badge, badge_of_a_shift, badge_of_what_is_refused, names_of_workers),
    *(malformed_payload, malformed_payload_of_a_scanner, payload_that_is_no_cbor, used_id, order_of_another_shop, poison),
    *(quarantine_shown, operator_note, search, reason_of_an_act, reason_at_an_alert, imported_file, restored_backup, crash),
)


def _hints(operation: Any) -> dict[str, Any]:
    return get_type_hints(operation)


_FREE: Final = ("reason", *PRIVATE[3:])
"""Arguments that somebody types freely."""
TYPED: Final[dict[Any, list[str]]] = {
    operation: names for operation in ACTS if (names := [name for name in _FREE if _hints(operation).get(name) in (str, str | None)])
}
"""Operations for which something is typed freely, and in which arguments."""


def _any_of(hint: Any, door: str) -> Any:
    """A value for an argument of some type; it need not make sense."""
    return {str: "nobody", int: 1, bool: False}.get(hint) if not isinstance(hint, type) or hint in (str, int, bool) else None


# --- where it is searched ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    numbers = iter(range(1, 10_000))
    with Site(tmp_path_factory.mktemp("found") / "site", metrics={"listen": "127.0.0.1:0"}) as site:
        site.enrol("shop-a", Role.SYSTEM, orders_prefix="a-")
        site.enrol("shop1", Role.SYSTEM, orders_prefix="")
        site.enrol("scan-1")
        site.enrol("phone-1", Role.COURIER, courier="c-1")
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        house = Warehouse(site, Shell(site.directory), numbers)
        (site.directory / "backups").mkdir()
        house.send("shop1", "created", house.event("shop1", "PO-1", {**CREATED, "payment": "on_delivery"}))
        yield house
        site.wait_for(control.stop())


@pytest.fixture(scope="module")
def log(house: Warehouse) -> Iterator[list[str]]:
    """Everything that is logged, at the lowest level."""
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(logging.Formatter("%(message)s").format(record))

    handler, root = Kept(), logging.getLogger()
    root.addHandler(handler)
    before = {name: logging.getLogger(name).level for name in ("", "dockbridge", "sqlalchemy.engine", "amqtt", "asyncio")}
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG if name != "sqlalchemy.engine" else logging.WARNING)
    yield said
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="module")
def sown(house: Warehouse, log: list[str]) -> Warehouse:
    """A site with something planted at each door, whose desk is away, and has subscribed to everything that it may read."""
    house.site.enrol("desk-1", Role.DESK)
    with house.site.client("desk-1", clean=False) as desk:
        desk.subscribe(*(f"v1/{SITE}/{what}/#" for what in ("orders", "alerts", "couriers")))
    for door in DOORS:
        door(house, door.__name__)
    return house


def found_in(texts: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """(door, place) of everything planted that is found."""
    needles = {
        door.__name__: [form for text in (planted(door.__name__), planted_phone(door.__name__), planted_phone(door.__name__)[7:]) for form in forms_of(text)]
        for door in DOORS
    }
    return [(door, place) for place, content in texts.items() for door, forms in needles.items() if any(form in content for form in forms)]


def test_what_is_planted_would_be_found(sown: Warehouse) -> None:
    """The search is worth something: the same names, open, are found in each form."""
    name = planted("created")
    for form in (name.encode(), name.encode("utf-16-le"), base64.b64encode(b"x" + name.encode())):
        assert found_in({"here": b"..." + form + b"..."}) == [("created", "here")]


def test_nothing_is_in_any_file_of_the_site(sown: Warehouse) -> None:
    files = {str(path): path.read_bytes() for path in sown.site.directory.rglob("*") if path.is_file()}
    assert {Path(name).name for name in files} >= {DATABASE_NAME, f"{DATABASE_NAME}-wal", "planted.db", "credentials.jsonl"}
    assert found_in(files) == []


def test_nothing_is_in_the_log(sown: Warehouse, log: list[str]) -> None:
    assert any("can't be processed" in line or "quarantine" in line for line in log), log
    assert found_in({"log": "\n".join(log).encode()}) == []


def test_nothing_is_retained_or_waits_for_a_session(sown: Warehouse) -> None:
    broker = sown.site.app.broker
    assert broker is not None
    retained = {topic: message.payload for topic, message in sown.site.on_loop(broker.door.retained.every).items()}
    rows = {f"{table} {n}": repr(row).encode() for table in ("message_log", "orders", "parcels", "alerts", "receipts") for n, row in _rows(sown.site, table)}
    assert {row.partition(" ")[0] for row in rows} >= {"message_log", "orders", "alerts", "receipts"}
    assert found_in(retained) == []
    assert found_in(rows) == []


def _rows(site: Site, table: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
    yield from enumerate(site.rows(f"SELECT * FROM {table}"))


COMMANDS: Final = (
    *("status", "orders list", "orders show PO-1", "orders explain PO-1", "events list", "events list --json", "trace PO-1", "alerts list --json"),
    *("contacts show PO-1", "contacts show PO-created --json", "contacts find --surname x", "quarantine list", "quarantine list --json", "quarantine show 1"),
    *(
        "audit list",
        "audit export",
        "export-subject PO-1",
        "report throughput",
        "report throughput --by worker",
        "report devices",
        "device list --json",
        "workers list",
        "orders stuck --json",
        "forget PO-1",
    ),
)
"""What a viewer may type."""


@pytest.mark.slow
def test_no_command_tells_it_to_those_who_may_not_know(sown: Warehouse) -> None:
    made = new_person_token()
    sown.act(people.add, name="vera", role=PersonRole.VIEWER, people_max=10)
    arguments = {"name": "vera", "token": "laptop", "token_sha256": person_token_digest(made), "valid_ms": DAY_MS, "tokens_max": 10}
    sown.act(people.add_token, **arguments)
    shell = Shell(sown.site.directory)
    shell.environment |= {"DOCKBRIDGE_AS": "vera", "DOCKBRIDGE_TOKEN": made}
    said = {command: "\n".join(shell.attempt(*command.split())[1:]).encode() for command in COMMANDS}
    assert b"which may not" in said["contacts show PO-1"]
    assert [(door, place) for door, place in found_in(said) if door != "reason_at_an_alert"] == []
    assert {place for _, place in found_in(said)} <= {"status", "alerts list --json"}, "what people say of alerts is for all who look"


def test_nothing_is_in_the_metrics(sown: Warehouse) -> None:
    server = sown.site.wait_for(serve_metrics(sown.site.app, sown.site.directory))
    connection = http.client.HTTPConnection(*server.address, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read()
    finally:
        connection.close()
        sown.site.wait_for(server.stop())
    assert b"dockbridge_" in metrics
    assert found_in({"metrics": metrics}) == []


def test_the_bundle_for_support_holds_nothing(sown: Warehouse, tmp_path: Path) -> None:
    sown.shell.attempt("doctor", "--bundle", str(tmp_path / "bundle.tar.gz"))
    with tarfile.open(tmp_path / "bundle.tar.gz") as bundle:
        files = {member.name: file.read() for member in bundle if (file := bundle.extractfile(member)) is not None}
    assert files
    assert found_in(files) == []


def test_each_door_has_a_row() -> None:
    fields = {EventType.CREATED: "contact", EventType.AMENDED: "contact", EventType.NOTE_ADDED: "text"}
    assert fields == PRIVATE_FIELDS
    private = {Name, Phone, Postcode, Text}
    for event_type, body in BODIES.items():
        open_fields = {name for name, hint in get_type_hints(body, include_extras=True).items() if hint in private or any(hint == (p | None) for p in private)}
        assert open_fields <= {PRIVATE_FIELDS.get(event_type)}, f"a field of {event_type} holds free text, and is not sealed"
    typed = {
        (ACTS[operation][0], name)
        for operation in ACTS
        for name, p in inspect.signature(operation).parameters.items()
        if name in ("text", "reason", "note") and p
    }
    assert {name for _, name in typed} <= {"reason", "text"}, "an act takes free text: give it a row in DOORS, or call it reason"
