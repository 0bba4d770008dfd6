"""A lead names workers and couriers, and sees who did what; a desk does not. Reports say of workers what the site's rule allows, and a change of the rule is in
the audit log before any report follows it. A phone is lost, and the list for the authority says what it could hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.events import CREATED
from helpers.shell import Shell
from helpers.site import Site

from bridge.config import CONFIG_NAME
from bridge.domain.groups import GROUP_MIN
from bridge.entrypoints.control.server import ControlServer
from bridge.operations import people, server
from bridge.operations.acts import carry_out
from bridge.operations.people_ports import PersonRole
from bridge.passwords import new_person_token, person_token_digest
from devices.protocol.vocabulary import Role

DAY_MS: Final = 86_400_000
ADA: Final = {"name": "Ada Vos", "phone": "+31 20 1234567", "street": "Dam 1"}
TEAM: Final = [f"badge-{n}" for n in range(GROUP_MIN)]
BEFORE: Final = "2020-01-01"
NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Five workers have scanned at dock-1 with one scanner, one of them at dock-2 with another. Anna has PO-1 on board, and PO-2 in her job."""
    with Site(tmp_path_factory.mktemp("workers") / "site") as site:
        site.enrol("shop1", Role.SYSTEM, with_secret=False)
        site.enrol("scan-1", at="dock-1", with_secret=False)
        site.enrol("scan-2", at="dock-2", with_secret=False)
        site.enrol("desk-1", Role.DESK, with_secret=False)
        site.enrol("phone-1", Role.COURIER, courier="anna", with_secret=False)
        site.enrol("phone-2", Role.COURIER, courier="ben", with_secret=False)
        cash = {"payment": "on_delivery", "amount_minor": 1_250, "currency": "EUR"}
        bodies = ({**CREATED, **cash, "contact": ADA}, {**CREATED, "contact": {"name": "Bo"}}, {**CREATED, **cash}, CREATED, CREATED)
        tell(site, "shop1", "created", *((f"PO-{n}", body) for n, body in enumerate(bodies, 1)))
        tell(site, "scan-1", "shift_started", (None, {"worker": TEAM[0]}))
        tell(site, "scan-1", "pack", ("PO-1", {"items": CREATED["lines"]}), parcel="box-1")
        for badge in TEAM[1:]:
            tell(site, "scan-1", "stage", ("PO-1", {"dock": "D1"}), parcel="box-1", by=badge)
        tell(site, "scan-2", "pack", ("PO-3", {"items": CREATED["lines"]}), parcel="box-3", by=TEAM[0])
        for order in ("PO-1", "PO-2", "PO-3", "PO-4"):
            tell(site, "desk-1", "assigned", (order, {"courier": "ben" if order == "PO-4" else "anna", "job": f"job-{order}"}))
        tell(site, "phone-1", "pickup", ("PO-1", {}), ("PO-3", {}))
        tell(site, "phone-1", "delivery", ("PO-3", {"pod": {"method": "pin"}}))
        tell(site, "desk-1", "unassigned", ("PO-2", {"job": "job-PO-2", "reason": "shift_over"}))
        for name, role in (("maria", PersonRole.DESK), ("lea", PersonRole.LEAD)):
            act(site, people.add, name=name, role=role, people_max=10)
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


def tell(site: Site, device: str, event_type: str, *events: tuple[str | None, dict[str, Any]], **more: Any) -> None:
    """A device sends events, each with its order and body."""
    for order, body in events:
        payload = site.event(device, next(NUMBERS), order, body, **more)
        (receipt,) = site.wait_for(site.app.submit(site.app.registry.identity(device), [(event_type, payload)]))
        assert receipt["outcome"] in ("applied", "noop"), receipt


def act(site: Site, operation: Any, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "root", operation, arguments))


@pytest.fixture(scope="module")
def named(served: Site, tokens: dict[str, str]) -> None:
    """A lead has named a worker and a courier."""
    lea = shell_of(served, "lea", tokens)
    lea("workers", "name", TEAM[0], "Ada Maria Vos")
    lea("workers", "name", "--courier", "anna", "Anna Kim")


@pytest.fixture(scope="module")
def owner(served: Site) -> Shell:
    return Shell(served.directory)


@pytest.fixture(scope="module")
def tokens(served: Site) -> dict[str, str]:
    made = {name: new_person_token() for name in ("maria", "lea")}
    for name, token in made.items():
        arguments = {"token": "laptop", "token_sha256": person_token_digest(token), "valid_ms": DAY_MS, "tokens_max": 9}
        act(served, people.add_token, name=name, **arguments)
    return made


def shell_of(site: Site, name: str, tokens: dict[str, str]) -> Shell:
    shell = Shell(site.directory)
    shell.environment |= {"DOCKBRIDGE_AS": name, "DOCKBRIDGE_TOKEN": tokens[name]}
    return shell


def audited(site: Site, act_: str) -> list[Any]:
    return [entry for entry in site.app.audit.entries() if entry.act == act_]


# --- names --------------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("named")
def test_a_lead_names_and_sees_and_a_desk_does_not(served: Site, owner: Shell, tokens: dict[str, str]) -> None:
    lea, maria = shell_of(served, "lea", tokens), shell_of(served, "maria", tokens)
    for shell in (owner, lea):
        story = shell("orders", "explain", "PO-3").stdout
        assert "courier Anna Kim" in story
        assert "worker Ada Maria Vos," in story
    shown = maria("orders", "explain", "PO-1").stdout
    assert "worker" not in shown
    assert "courier anna" in shown
    steps = json.loads(maria("orders", "explain", "PO-1", "--json").stdout)["events"]
    assert {(step["by"], step["worker"], step["courier_name"]) for step in steps} == {(None, None, None)}
    assert maria("workers", "list", code=1).stderr.startswith("error: maria has the role desk, which may not see which worker did what")


@pytest.mark.usefixtures("named")
def test_each_look_is_in_the_audit_log_without_a_name_or_badge(served: Site, owner: Shell) -> None:
    owner("workers", "name", TEAM[1], "Bo Quast")
    found = json.loads(owner("workers", "list", "--json").stdout)
    assert {w["badge"]: w["name"] for w in found["workers"]}.items() >= {(TEAM[0], "Ada Maria Vos"), (TEAM[1], "Bo Quast"), (TEAM[2], None)}
    assert [c["name"] for c in found["couriers"]] == ["Anna Kim"]
    entries = [*audited(served, "workers.list"), *audited(served, "workers.name")]
    assert len(entries) >= 4
    assert not any(badge in repr(entry) for entry in entries for badge in (*TEAM, "Quast", "Kim"))


@pytest.mark.slow
def test_a_worker_who_leaves_is_forgotten_and_the_scans_stay(served: Site, owner: Shell) -> None:
    owner("workers", "name", "badge-9", "Carla Diaz")
    ((before,),) = served.rows("SELECT count(*) FROM events")
    said = owner("forget", "--worker", "badge-9", "--reason", "Carla Diaz has left").stderr
    assert "1 pseudonym forgotten, nothing of it found" in said
    assert "as text, UTF-16 and base64" in said
    assert served.rows("SELECT count(*) FROM events") == [(before,)]
    assert "Carla" not in owner("workers", "list").stdout
    assert owner("forget", "--worker", "badge-9", code=1).stderr.startswith("error: no pseudonym of this badge is known")
    assert owner("forget", "--courier", "nobody", code=1).stderr.startswith("error: there is no courier nobody")
    assert "Carla" not in "".join(map(repr, served.app.audit.entries())), "the reason that named her is forgotten as well"


@pytest.mark.slow
@pytest.mark.usefixtures("named")
def test_a_worker_and_a_courier_get_what_is_kept_about_them(owner: Shell, served: Site, tokens: dict[str, str]) -> None:
    ada = json.loads(owner("export-subject", "--worker", TEAM[0]).stdout)
    assert [(p["badge"], p["name"]) for p in ada["pseudonyms"]] == [(TEAM[0], "Ada Maria Vos")]
    assert [(e["type"], e["order"], e["device"]) for e in ada["events"]] == [("shift_started", None, "scan-1"), ("pack", "PO-3", "scan-2")]
    assert json.loads(owner("export-subject", "--worker", ada["pseudonyms"][0]["pseudonym"]).stdout)["events"] == ada["events"]
    anna = json.loads(owner("export-subject", "--courier", "anna").stdout)
    assert (anna["name"], {e["device"] for e in anna["events"]}) == ("Anna Kim", {"phone-1"})
    assert shell_of(served, "lea", tokens)("export-subject", "--courier", "anna", code=1).stderr.startswith("error: lea has the role lead, which may not")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (("name", "one"), 2, "give a badge and a name"),
        (("name", "--courier", "anna", "a", "b"), 2, "give a badge and a name"),
        (("name", "x" * 65, "Ada"), 1, "the badge is empty, or has more than 64 characters"),
        (("name", "x", " "), 1, "the name is empty, or has more than 200 characters"),
        (("name", "--courier", "nobody", "Ada"), 1, "there is no courier nobody"),
    ],
)
def test_what_can_t_be_meant_is_refused(owner: Shell, typed: tuple[str, ...], code: int, said: str) -> None:
    assert said in owner("workers", *typed, code=code).stderr.replace("\n", " ")


# --- reports ------------------------------------------------------------------------------------------------------------------


def set_rule(site: Site, rule: str, *, is_read: bool = True) -> None:
    path = site.directory / CONFIG_NAME
    lines = ['reports = "' + rule + '"' if line.startswith("reports = ") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    if is_read:
        act(site, server.reload)


def done(shell: Shell, by: str) -> dict[str | None, set[int | None]]:
    """The events by area, of each hour."""
    rows = json.loads(shell("report", "throughput", "--since", BEFORE, "--by", by, "--json").stdout)
    return {area: {row["events"] for row in rows if row["area"] == area} for area in {row["area"] for row in rows}}


@pytest.mark.slow
def test_as_it_comes_no_report_counts_a_few_workers(owner: Shell) -> None:
    shown = done(owner, "place")
    assert shown["dock-2"] == {None}, "one worker"
    assert shown[None] == {None}, "two couriers at most"
    assert "Figures of fewer than 5 workers are left out" in owner("report", "throughput", "--since", BEFORE).stderr
    assert None not in shown["dock-1"], "five workers"
    devices = json.loads(owner("report", "devices", "--since", BEFORE, "--json").stdout)
    assert {d["events"] for d in devices if d["role"] != "system"} == {None}
    assert "makes no reports about single workers" in owner("report", "throughput", "--by", "worker", code=1).stderr


@pytest.mark.usefixtures("named")
def test_a_change_counts_once_it_is_in_the_audit_log(served: Site, owner: Shell, tokens: dict[str, str]) -> None:
    assert "Reports about workers" not in owner("status").stderr
    set_rule(served, "named", is_read=False)
    refused = owner("report", "throughput", "--by", "worker", code=1).stderr
    assert "people.reports is named in bridge.toml, which is not in the audit log yet: off holds." in refused
    set_rule(served, "groups of 5")
    devices = {d["device"]: d["events"] for d in json.loads(owner("report", "devices", "--since", BEFORE, "--json").stdout)}
    assert (devices["scan-1"] or 0) > len(TEAM)
    assert (devices["scan-2"], devices["phone-1"]) == (None, None)
    set_rule(served, "named")
    assert "Reports about workers are on: named (people.reports)." in owner("status").stderr
    assert {"Ada Maria Vos", "Anna Kim"} <= done(owner, "worker").keys()
    assert "only those may count by worker" in shell_of(served, "maria", tokens)("report", "throughput", "--by", "worker", code=1).stderr
    set_rule(served, "off")
    assert [(entry.details["before"], entry.details["now"]) for entry in audited(served, "people.reports")] == [
        ("off", "groups of 5"),
        ("groups of 5", "named"),
        ("named", "off"),
    ]


@pytest.mark.slow
def test_a_change_that_a_start_reads_is_in_the_audit_log_once(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        set_rule(site, "named", is_read=False)
        site.restart()
        site.restart()
        assert [(entry.who, entry.details) for entry in audited(site, "people.reports")] == [(CONFIG_NAME, {"before": "off", "now": "named"})]


# --- a lost phone -------------------------------------------------------------------------------------------------------------


def test_the_list_says_what_a_lost_phone_could_hold(served: Site, owner: Shell) -> None:
    found = json.loads(owner("privacy", "exposed", "--device", "phone-1", "--since", BEFORE, "--json").stdout)
    held = {o["order"]: o for o in found["orders"]}
    assert sorted(held) == ["PO-1", "PO-2", "PO-3"]
    assert [held[o]["until_ms"] is None for o in sorted(held)] == [True, False, False], "PO-2 was taken back, PO-3 is delivered"
    assert (held["PO-1"]["contact"], held["PO-1"]["on_board"], held["PO-1"]["amount_minor"]) == (["name", "phone", "street"], ["box-1"], 1_250)
    assert (held["PO-2"]["contact"], held["PO-2"]["on_board"], held["PO-2"]["amount_minor"]) == (["name"], [], None)
    assert (held["PO-3"]["contact"], held["PO-3"]["parcels"]) == ([], ["box-3"])
    assert "2100-01-01 is still to come" in owner("privacy", "exposed", "--device", "phone-1", "--since", "2100-01-01", code=2).stderr
    said = owner("privacy", "exposed", "--device", "phone-1", "--since", BEFORE)
    assert "phone-1 could hold 3 orders, 2 with contact data; 1 parcel on board; to collect: 25.00 EUR." in said.stderr
    assert "72 hours" in said.stderr
    assert "Vos" not in said.stdout
    assert [entry.subject for entry in audited(served, "privacy.exposed")] == ["phone-1"] * 2


@pytest.mark.slow
def test_who_may_not_and_what_is_no_phone(served: Site, owner: Shell, tokens: dict[str, str]) -> None:
    asked = ("privacy", "exposed", "--since", BEFORE, "--device")
    assert "which may not see what a lost phone could hold" in shell_of(served, "maria", tokens)(*asked, "phone-1", code=1).stderr
    assert "scan-1 is no courier's phone" in owner(*asked, "scan-1", code=1).stderr
    assert "there is no device phone-9" in owner(*asked, "phone-9", code=1).stderr


@pytest.mark.slow
def test_whoever_shuts_a_phone_out_reads_the_same_in_short(owner: Shell) -> None:
    said = owner("device", "revoke", "phone-1", "--reason", "stolen").stderr
    assert "phone-1 could hold 3 orders, 2 with contact data; 1 parcel on board; to collect: 25.00 EUR." in said
    assert "the list: dockbridge privacy exposed --device phone-1 --since " in said
    found = json.loads(owner("privacy", "exposed", "--device", "phone-1", "--since", BEFORE, "--json").stdout)
    assert found["revoked_ms"] is not None
