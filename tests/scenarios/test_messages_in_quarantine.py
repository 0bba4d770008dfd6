"""Messages that could not be applied are found, judged again, corrected and dropped, one by one or many at once; the audit log has who did it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import cbor2
import pytest
import typer
from helpers.shell import Done
from helpers.site import Site

from bridge.domain.access import Kind, may_send
from bridge.entrypoints.cli.quarantine import drop, fix, list_, replay, show
from bridge.entrypoints.control.server import ControlServer
from bridge.errors import BridgeError
from bridge.ingest.items import Incoming
from bridge.operations import acts
from devices.protocol.vocabulary import Reason, Role

MISSPELT = {"skuu": "pen", "qty": 1}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served site with one paid order and two scanners; commands reach it through its control socket."""
    with Site(tmp_path / "site") as site:
        for device, role in (("shop1", Role.SYSTEM), ("scan-1", Role.SCANNER), ("scan-2", Role.SCANNER)):
            site.enrol(device, role, with_secret=False)
        site.create("PO-1")
        site.tell("shop1", Role.SYSTEM, "paid", site.event("shop1", 11, "PO-1", {"amount_minor": 1, "currency": "EUR"}))
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


class Commands:
    """Commands of `dockbridge quarantine`, without the time that parsing a command line takes."""

    def __init__(self, site: Path) -> None:
        self._site = site

    def __call__(self, command: Callable[..., None], *arguments: Any, code: int = 0, **options: Any) -> Done:
        out, err, ended = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                command(*arguments, site=self._site, **options)
            except typer.Exit as end:
                ended = end.exit_code
            except typer.BadParameter as error:
                ended, _ = 2, err.write(str(error))
            except BridgeError as error:
                ended, _ = 1, err.write(f"{error} {error.fix}")
        assert ended == code, (out.getvalue(), err.getvalue())
        return Done(ended, out.getvalue(), err.getvalue())

    def data(self, command: Callable[..., None], *arguments: Any, code: int = 0, **options: Any) -> Any:
        return json.loads(self(command, *arguments, code=code, as_json=True, **options).stdout)


@pytest.fixture
def run(site: Site) -> Commands:
    return Commands(site.directory)


def send(site: Site, device: str, event_type: str, *payloads: bytes) -> None:
    """Send events as a device, as the front door hands them on."""
    identity = site.app.registry.identity(device)
    kind = Kind.EVENTS if may_send(identity.role, event_type).allowed else Kind.DENIED

    async def offer() -> None:
        for payload in payloads:
            await site.app.offer(Incoming(identity, kind, event_type, payload, site.app.clock.now_ms()))

    site.wait_for(offer())


def as_json(payload: bytes) -> bytes:
    return json.dumps(cbor2.loads(payload), default=bytes.hex).encode()


def numbers(run: Commands, **options: Any) -> list[int]:
    return sorted(entry["no"] for entry in run.data(list_, **options))


def audited(site: Site, act: str) -> list[tuple[str | None, dict[str, Any], str | None]]:
    return [(entry.subject, entry.details, entry.failed) for entry in site.wait_for(acts.audit(site.app)) if entry.act == act]


def test_many_are_found_counted_and_dropped_at_once(site: Site, run: Commands) -> None:
    for device, seqs in (("scan-1", range(1, 24)), ("scan-2", range(1, 3))):
        send(site, device, "pick", *(site.event(device, seq, "PO-1", MISSPELT) for seq in seqs))
    send(site, "scan-2", "picked", site.event("scan-2", 3, "PO-1", {"sku": "pen", "qty": 1}))
    of_scan_2 = numbers(run, device="scan-2", reason=Reason.MALFORMED)
    assert (len(of_scan_2), numbers(run, older_than="1h")) == (2, [])
    assert "23 entries: 23 malformed of scan-1" in run(drop, device="scan-1", dry_run=True).stderr
    assert len(numbers(run)) == 26
    assert "there is no entry 99 in quarantine" in run(drop, [of_scan_2[0], 99], code=1).stderr
    assert run.data(drop, device="scan-1")["dropped"] == 23
    assert run.data(drop, of_scan_2) == {"found": of_scan_2, "dropped": 2}
    assert len(numbers(run)) == 1
    run(drop, code=2)
    assert [subject and subject.count(",") for subject, _, _ in audited(site, "quarantine.drop")] == [19, 2, 1]


def test_many_are_judged_again_and_those_that_stay_are_named(site: Site, run: Commands) -> None:
    send(site, "scan-1", "pick", site.event("scan-1", 1, "PO-1", MISSPELT), site.event("scan-1", 2, "PO-1", MISSPELT))
    done = run(replay, everything=True, code=1)
    assert "2 entries: 2 malformed of scan-1" in done.stderr
    assert "0 of 2 entries left the quarantine." in done.stderr
    assert (len(numbers(run)), len(audited(site, "quarantine.replay"))) == (2, 1)


def test_the_bad_field_is_marked_where_it_stands(site: Site, run: Commands) -> None:
    lines = [{"sku": "pen", "qty": 1}, {"sku": "ink", "qty": "a few"}]
    created = {"channel": "s", "lines": lines, "allow_partial": False, "payment": "prepaid"}
    send(site, "shop1", "created", site.event("shop1", 21, "PO-2", created))
    send(site, "scan-1", "pick", site.event("scan-1", 1, "PO-1", MISSPELT), b"not even close")
    first, second, third = numbers(run)
    assert '"qty": "a few",   <-- expected integer, got text' in run(show, first).stdout
    assert '"body": {   <-- body.sku: missing' in run(show, second).stdout
    assert run.data(show, second)["path"] == "body.sku"
    assert "It can't be decoded: begins with 0x6e" in run(show, third).stderr
    assert "CBOR that is broken can only be dropped" in run(fix, third, edit=True, code=1).stderr


@pytest.mark.parametrize("in_json", [False, True], ids=["cbor", "json"])
def test_an_entry_is_corrected_and_applied_as_its_device_and_the_digest_stays(site: Site, run: Commands, in_json: bool) -> None:
    wrong = site.event("scan-1", 1, "PO-1", {"sku": 4711, "qty": "two"})
    send(site, "scan-1", "pick", as_json(wrong) if in_json else wrong)
    (no,) = numbers(run)
    digest = run.data(show, no)["digest"]
    assert "would still break the contract: body.qty: expected integer" in run(fix, no, sets=["body.sku=pen"], code=1).stderr
    assert "has no field body.boxes[1].qty" in run(fix, no, sets=["body.boxes[1].qty=2"], code=1).stderr
    assert "nothing is changed" in run(fix, no, sets=["body.qty=two"], code=2).stderr
    assert run.data(fix, no, sets=["body.qty=2", "body.sku=0815"], dry_run=True)["body"] == {"sku": "0815", "qty": 2}
    assert run.data(fix, no, sets=["body.qty=1", "body.sku=pen"], reason="the scanner's map was old")["outcome"] == "applied"
    assert numbers(run) == []
    assert site.rows("SELECT type, device FROM events WHERE device = 'scan-1'") == [("pick", "scan-1")]
    assert site.rows("SELECT substr(payload, 1, 1) = x'7b' FROM events WHERE device = 'scan-1'") == [(int(in_json),)]
    (_, tried, _), (_, _, failed), (_, done, _) = audited(site, "quarantine.fix")
    assert failed is not None
    assert (tried["digest"], done["digest"], done["fields"]) == (digest, digest, ["body.qty", "body.sku"])
    assert "pen" not in json.dumps(done)


def test_an_event_type_that_was_misspelt_is_corrected(site: Site, run: Commands) -> None:
    send(site, "scan-1", "picked", site.event("scan-1", 1, "PO-1", {"sku": "pen", "qty": 1}))
    (no,) = numbers(run)
    assert "there is no event type" in run(fix, no, event_type="pik", code=1).stderr
    assert run.data(fix, no, event_type="pick")["outcome"] == "applied"


def test_a_correction_that_is_rejected_leaves_the_entry_as_it_was(site: Site, run: Commands) -> None:
    picked = site.event("scan-1", 1, "PO-1", {"sku": "pen", "qty": 1})
    send(site, "scan-1", "pick", picked)
    send(site, "scan-1", "pick", site.event("scan-1", 1, "PO-1", MISSPELT, id=cbor2.loads(picked)["id"]))
    (no,) = numbers(run)
    assert "is still rejected" in run(fix, no, sets=["body.sku=ink"], code=1).stderr
    assert numbers(run) == [no]


def test_an_entry_is_corrected_in_an_editor(site: Site, run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    send(site, "scan-1", "pick", site.event("scan-1", 1, "PO-1", MISSPELT))
    (no,) = numbers(run)
    monkeypatch.setenv("VISUAL", "sed -i s/skuu/sku/")
    assert run.data(fix, no, edit=True)["outcome"] == "applied"
    assert numbers(run) == []
