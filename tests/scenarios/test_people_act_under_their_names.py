"""People give commands under their own names: each act is in the audit log with the person beside the user of the system, and who may not do something, or
can't prove who they are, does nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.events import CREATED, SITE, event
from helpers.new_site import new_site
from helpers.shell import Shell
from helpers.site import Site
from typer.testing import CliRunner

from bridge import passwords, recovery
from bridge.app import ingest_of
from bridge.config import CREDENTIALS_NAME, DATABASE_NAME
from bridge.config_file import parse
from bridge.entrypoints.cli.main import app
from bridge.entrypoints.control import asker, wire
from bridge.entrypoints.control.server import ControlServer
from bridge.entrypoints.control.users import own_user
from bridge.errors import BridgeError, Refused
from bridge.operations import imports, order_acts, people, server
from bridge.operations.acts import Operation, carry_out
from bridge.operations.people_ports import MEANING, Credential, PersonRole
from bridge.passwords import new_person_token, person_token_digest
from bridge.store.audit import AuditLog
from bridge.store.sqlite import open_engine
from devices.protocol.reasons import HoldReason
from devices.protocol.vocabulary import EventType

DAY_MS = 86_400_000
REASON = HoldReason.STOCK


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("people") / "site") as site:
        yield site


@pytest.fixture
def site(served: Site) -> Site:
    """Maria at the desk, and Lea who leads; nobody else is known."""
    with closing(sqlite3.connect(served.directory / DATABASE_NAME)) as connection:
        connection.executescript("DELETE FROM people; DELETE FROM person_tokens")
    add_people(served)
    return served


@pytest.fixture
def order(site: Site) -> str:
    """A new order."""
    (known,) = site.rows("SELECT count(*) FROM orders")[0]
    site.create(f"PO-{known}")
    return f"PO-{known}"


def add_people(site: Site) -> None:
    act(site, people.add, name="maria", role=PersonRole.DESK, people_max=10)
    act(site, people.add, name="lea", role=PersonRole.LEAD, people_max=10)


def act(site: Site, operation: Operation, as_: Credential | None = None, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "root", operation, arguments, as_))


def refusal(site: Site, operation: Operation, as_: Credential | None = None, **arguments: Any) -> str:
    with pytest.raises(BridgeError) as refused:
        act(site, operation, as_, **arguments)
    assert refused.value.fix
    return str(refused.value)


def token(site: Site, name: str, own_name: str = "laptop", *, valid_ms: int = DAY_MS, tokens_max: int = 10) -> Credential:
    made = new_person_token()
    act(site, people.add_token, name=name, token=own_name, token_sha256=person_token_digest(made), valid_ms=valid_ms, tokens_max=tokens_max)
    return Credential(person=name, token=made)


def is_held(site: Site, order: str) -> bool:
    return bool(site.rows("SELECT 1 FROM events WHERE type = 'held' AND order_id = ?", order))


def test_the_audit_log_names_the_person_beside_the_user_of_the_system(site: Site, order: str) -> None:
    act(site, order_acts.hold, token(site, "maria"), order=order, reason=REASON)
    act(site, order_acts.release, order=order)
    seen = [(e.who, e.person, e.act, e.subject, e.failed) for e in site.app.audit.entries()][-2:]
    assert seen == [("root", "maria", "orders.hold", order, None), ("root", None, "orders.release", order, None)]
    assert all(e.is_sound for e in site.app.audit.entries())


def test_an_entry_without_a_person_is_chained_as_before_there_were_people(site: Site, order: str) -> None:
    act(site, order_acts.hold, order=order, reason=REASON)
    rows = site.rows("SELECT no, at_ms, who, act, subject, reason, failed, details, chain FROM audit ORDER BY no DESC LIMIT 2")
    (*entry, chain), (*_, before) = rows
    assert chain == hashlib.sha256(before + cbor2.dumps(entry, canonical=True)).digest()


@pytest.mark.parametrize("change", ["'piet'", "NULL"])
def test_a_person_in_the_audit_log_can_not_be_changed_unseen(site: Site, order: str, change: str, tmp_path: Path) -> None:
    act(site, order_acts.hold, token(site, "maria"), order=order, reason=REASON)
    site.app.database.backup(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute(f"UPDATE audit SET person = {change} WHERE person = 'maria'")
        connection.commit()
    engine = open_engine(tmp_path / "copy.db", read_only=True)
    assert not list(AuditLog(engine, engine, site.app.vault).entries())[-1].is_sound
    engine.dispose()


def test_what_a_role_may_not_do_is_refused_and_that_is_in_the_log(site: Site, order: str) -> None:
    maria, lea = token(site, "maria"), token(site, "lea")
    act(site, order_acts.hold, order=order, reason=HoldReason.FRAUD)
    said = refusal(site, order_acts.release, maria, order=order)
    assert "maria has the role desk, which may not lift holds for fraud" in said
    last = list(site.app.audit.entries())[-1]
    assert (last.person, last.act, last.failed) == ("maria", "orders.release", said)
    assert act(site, order_acts.release, lea, order=order).outcome == "applied"


def test_a_new_role_holds_from_the_next_command_on(site: Site, order: str) -> None:
    maria = token(site, "maria")
    act(site, people.edit, name="maria", role=PersonRole.VIEWER)
    assert "maria has the role viewer, which may not act on orders" in refusal(site, order_acts.hold, maria, order=order, reason=REASON)
    assert act(site, server.connected, maria) == []


def wrong(site: Site) -> Credential:
    return Credential(person="maria", token=token(site, "maria").token[:-1])


def of_another(site: Site) -> Credential:
    return Credential(person="maria", token=token(site, "lea").token)


def of_nobody(site: Site) -> Credential:
    return Credential(person="piet", token=token(site, "maria").token)


def revoked(site: Site) -> Credential:
    maria = token(site, "maria")
    act(site, people.revoke_token, name="maria", token="laptop")
    return maria


def expired(site: Site) -> Credential:
    return token(site, "maria", valid_ms=0)


def disabled(site: Site) -> Credential:
    maria = token(site, "maria")
    act(site, people.disable, name="maria")
    return maria


def enabled_again(site: Site) -> Credential:
    maria = disabled(site)
    act(site, people.enable, name="maria")
    return maria


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (wrong, "this is not a token of maria: it is wrong, or it was revoked"),
        (of_another, "this is not a token of maria: it is wrong, or it was revoked"),
        (of_nobody, "this is not a token of piet: it is wrong, or it was revoked"),
        (revoked, "this is not a token of maria: it is wrong, or it was revoked"),
        (expired, "token laptop of maria has expired"),
        (disabled, "maria is disabled"),
        (enabled_again, "this is not a token of maria: it is wrong, or it was revoked"),
    ],
)
def test_a_token_that_is_not_valid_does_nothing(site: Site, order: str, credential: Any, said: str) -> None:
    bad = credential(site)
    assert refusal(site, order_acts.hold, bad, order=order, reason=REASON) == said
    assert not is_held(site, order)
    last = list(site.app.audit.entries())[-1]
    assert (last.person, last.failed) == (None, said)
    assert refusal(site, server.connected, bad) == said


def test_a_person_who_is_disabled_in_the_middle_of_an_import_sends_no_more(site: Site) -> None:
    maria = token(site, "maria")
    act(site, imports.open_channel, maria, channel="shop2")
    act(site, people.disable, name="maria")
    created = imports.ImportedEvent(type=EventType.CREATED, payload=event("shop2", 1, "S2-1", CREATED, at_ms=site.now_ms()))
    assert refusal(site, imports.submit, maria, channel="shop2", events=[created]) == "maria is disabled"


def test_limits_and_names_of_people_and_tokens(site: Site) -> None:
    token(site, "maria", "old", valid_ms=0)
    token(site, "maria", "a", tokens_max=1)
    made = {"token_sha256": "00", "valid_ms": DAY_MS, "tokens_max": 1}
    assert refusal(site, people.add_token, name="maria", token="b", **made) == "maria has 1 token already, as many as may be"
    assert refusal(site, people.add_token, name="maria", token="a", **made) == "maria has a token named a already"
    assert refusal(site, people.add_token, name="lea", token="a b", **made) == "token 'a b': it has a blank in it"
    assert refusal(site, people.add_token, name="piet", token="a", **made) == "there is no person piet"
    assert refusal(site, people.revoke_token, name="maria", token="x") == "maria has no token named x"
    assert refusal(site, people.add, name="maria", role=PersonRole.LEAD, people_max=9) == "there is a person maria already"
    assert refusal(site, people.add, name="piet", role=PersonRole.LEAD, people_max=2) == "there are 2 people already, as many as may be"
    assert refusal(site, people.add, name="--all", role=PersonRole.LEAD, people_max=9) == "person '--all': it begins with -, like an option"
    assert refusal(site, people.enable, name="lea") == "lea is not disabled"


def test_no_secret_of_a_person_is_stored_or_logged(site: Site, order: str) -> None:
    maria = token(site, "maria")
    act(site, order_acts.hold, maria, order=order, reason=REASON)
    act(site, people.set_password, name="maria", password_hash=passwords.hash_secret("correct horse battery"))
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        stored = "\n".join(connection.iterdump()) + (site.directory / CREDENTIALS_NAME).read_text()
    assert maria.token not in stored
    assert "correct horse" not in stored
    digests = {person_token_digest(maria.token), *site.rows("SELECT password_hash FROM people WHERE name = 'maria'")[0]}
    assert all(str(digest) not in repr(list(site.app.audit.entries())) for digest in digests)


def test_who_was_disabled_or_lost_a_token_since_a_backup_stays_so_after_its_restore(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        add_people(site)
        site.create("PO-1")
        _restored(site, tmp_path)


def _restored(site: Site, tmp_path: Path) -> None:
    act(site, people.add, name="vera", role=PersonRole.VIEWER, people_max=10)
    maria, lea = token(site, "maria"), token(site, "lea")
    site.app.database.backup(tmp_path / "backup.db")
    act(site, people.disable, name="maria")
    act(site, people.revoke_token, name="lea", token="laptop")
    newer = token(site, "lea", "new")
    act(site, people.add, name="piet", role=PersonRole.DESK, people_max=10)
    site.stop()
    restored = recovery.restore(site.directory, tmp_path / "backup.db", ingest_of, lambda _step: None)
    assert sorted(restored.people) == ["lea", "maria", "piet"]
    site.start()
    assert refusal(site, order_acts.hold, maria, order="PO-1", reason=REASON) == "maria is disabled"
    assert "this is not a token of lea" in refusal(site, order_acts.hold, lea, order="PO-1", reason=REASON)
    act(site, order_acts.hold, newer, order="PO-1", reason=REASON)
    assert [p.name for p in site.app.people.everyone()] == ["lea", "maria", "piet", "vera"]


# --- as commands ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    new_site(tmp_path / "site", parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))
    return Shell(tmp_path / "site")


@pytest.mark.slow
def test_a_day_with_people_as_commands(shell: Shell, tmp_path: Path) -> None:
    shell("people", "add", "lea", "--role", "lead")
    made = shell("people", "token", "lea", "--name", "laptop", "--for", "30d")
    assert made.stdout.startswith("dockbridge_")
    assert made.stdout.strip() not in made.stderr
    file = tmp_path / "token"
    file.write_text(made.stdout)
    file.chmod(0o640)
    shell.environment |= {"DOCKBRIDGE_TOKEN_FILE": str(file), "DOCKBRIDGE_AS": "lea"}
    assert "can be read by others (its mode is 0640)" in shell("device", "add", "scan-1", code=1).stderr
    file.chmod(0o600)
    shell("device", "add", "scan-1")
    assert "may not change people, the server and the database" in shell("people", "edit", "lea", "--role", "privacy", code=1).stderr
    del shell.environment["DOCKBRIDGE_AS"]
    entries = shell.data("audit", "list", "--who", "lea")
    assert [(e["who"], e["person"], e["act"]) for e in entries[-1:]] == [(own_user(), "lea", "device.add")]
    assert [t["name"] for t in shell.data("people", "tokens", "lea")] == ["laptop"]
    shell("people", "revoke-token", "lea", "laptop", "--reason", "lost")
    assert "it was revoked" in shell("--as", "lea", "device", "add", "scan-2", code=1).stderr
    shell("people", "disable", "lea")
    assert [(p["name"], p["tokens"], p["disabled_ms"] is not None) for p in shell.data("people", "list")] == [("lea", 0, True)]


@pytest.mark.parametrize(
    ("person", "variables", "said"),
    [
        ("lea", {}, "--as lea needs a token of lea"),
        ("lea", {"DOCKBRIDGE_TOKEN": " "}, "--as lea needs a token of lea"),
        ("lea", {"DOCKBRIDGE_TOKEN_FILE": "/nowhere/token"}, "the token's file /nowhere/token can't be read"),
        ("lea", {"DOCKBRIDGE_TOKEN_FILE": os.devnull}, "/dev/null can be read by others"),
        ("", {}, "--as names nobody"),
    ],
    ids=str,
)
def test_without_a_token_that_can_be_used_no_command_begins(monkeypatch: pytest.MonkeyPatch, person: str, variables: dict[str, str], said: str) -> None:
    for name in (asker.TOKEN, asker.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        with pytest.raises(Refused, match=re.escape(said)) as refused:
            _credential_of(person)
        assert refused.value.fix
    finally:
        asker.ask_as(None)


def _credential_of(person: str) -> Credential | None:
    asker.ask_as(person)
    return asker.credential()


def test_the_table_of_roles_is_printed(tmp_path: Path) -> None:
    lines = Shell(tmp_path)("people", "roles").stdout.splitlines()
    assert [word for word in lines[0].split() if word != "may"] == [*PersonRole, "owner"]
    assert len(lines) == 1 + len(MEANING)


@pytest.mark.slow
def test_a_password_is_taken_from_stdin_and_has_a_shortest_length(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("people", "add", "lea", "--role", "lead")
    for line, code in (("short", 1), ("correct horse battery", 0)):
        monkeypatch.setattr("sys.stdin", _Piped(line))
        shell("people", "password", "lea", code=code)
    with closing(sqlite3.connect(shell.site / DATABASE_NAME)) as connection:
        ((stored,),) = connection.execute("SELECT password_hash FROM people").fetchall()
    assert passwords.matches(stored, "correct horse battery")


class _Piped:
    """Standard input that is not a terminal."""

    def __init__(self, line: str) -> None:
        self._line = line

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._line + "\n"


@pytest.mark.parametrize(
    "command",
    [
        *("serve", "service install", "service uninstall", "db backup", "db restore x.db", "db salvage x.db"),
        *("certificate renew", "device certificate scan-1 --out x"),
    ],
)
def test_what_works_on_the_folder_itself_is_the_owners(tmp_path: Path, command: str) -> None:
    done = CliRunner().invoke(app, ["--as", "lea", *command.split()], env={"DOCKBRIDGE_SITE": str(tmp_path), "DOCKBRIDGE_TOKEN": "x"})
    asker.ask_as(None)
    assert isinstance(done.exception, Refused), done.output
    assert "works on the site's folder itself, which no role allows" in str(done.exception)


# --- on the running server --------------------------------------------------------------------------------------------------


def test_the_running_server_asks_for_the_token_too(site: Site, order: str) -> None:
    """Over the control socket, as commands reach it."""
    shell = Shell(site.directory)
    control = ControlServer(site.app, site.directory)
    site.wait_for(control.start())
    try:
        shell.environment |= {"DOCKBRIDGE_AS": "maria", "DOCKBRIDGE_TOKEN": token(site, "maria").token}
        shell("orders", "hold", order, "--reason", "stock")
        assert "may not change people, the server and the database" in shell("server", "reload", code=1).stderr
        act(site, people.disable, name="maria")
        assert "maria is disabled" in shell("orders", "release", order, code=1).stderr
    finally:
        site.wait_for(control.stop())
    assert [(e.who, e.person) for e in site.app.audit.entries() if e.act == "orders.hold" and e.subject == order] == [(own_user(), "maria")]


def test_a_server_that_knows_no_people_does_not_take_such_a_call_for_the_owners() -> None:
    """Its requests have a `call` beside `with`, and nothing else counts."""
    line = wire.encode_call(Credential(person="maria", token="t"), order_acts.hold, order="PO-1", reason=REASON)
    assert set(json.loads(line)) == {"as", "with"}
    both = json.dumps({**json.loads(line), "call": "order_acts.hold"}).encode()
    with pytest.raises(Refused, match="it names none, or two"):
        wire.decode_call(both)
