"""A person says that somebody looks at an alert, or that some are not to disturb: lists, the status and the retained topic say so until it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import Bench
from helpers.events import TOPICS
from helpers.shell import Shell
from helpers.site import Site

from bridge.errors import BridgeError
from bridge.ingest.items import Alarm
from bridge.operations import acts, alerts
from bridge.operations.acts import carry_out
from devices.protocol.vocabulary import AlertCode, Role

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("alerts") / "site") as site:
        site.enrol("screen", Role.DESK)
        yield site


def raise_alert(site: Site, subject: str, text: str = "5 logins failed.", code: AlertCode = AlertCode.LOGINS) -> None:
    """The server raises an alert; an empty text ends it."""
    site.on_loop(lambda: site.app.pipeline.change(Alarm(received_ms=site.now_ms(), code=code, subject=subject, text=text, fix="Look." if text else "")))
    site.wait_for(site.app.pipeline.drained())


def act(site: Site, operation: Any, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "maria", operation, arguments))


def retained(site: Site, subject: str) -> dict[str, Any]:
    with site.client("screen") as wire:
        wire.subscribe(TOPICS.alert(AlertCode.LOGINS, subject))
        found: dict[str, Any] = cbor2.loads(wire.receive().payload)
        return found


def standing(site: Site, subject: str) -> alerts.AlertNow | None:
    found = site.wait_for(alerts.list_alerts(site.app, now_ms=site.now_ms()))
    return next((alert for alert in found.alerts if alert.subject == subject), None)


def test_an_acknowledged_alert_is_marked_everywhere_and_new_when_it_comes_back(site: Site) -> None:
    raise_alert(site, "scan-1")
    assert "acknowledged_ms" not in retained(site, "scan-1")
    done = act(site, alerts.acknowledge, code=AlertCode.LOGINS, subject="scan-1", reason="Piet looks")
    assert (done.acknowledged_by, done.acknowledged_why, done.is_open) == ("maria", "Piet looks", False)
    shown = retained(site, "scan-1")
    assert shown["acknowledged_ms"] == done.acknowledged_ms
    assert not {"maria", "Piet looks"} & set(map(str, shown.values())), "a retained topic names nobody"
    with pytest.raises(BridgeError, match="maria has acknowledged it already"):
        act(site, alerts.acknowledge, code=AlertCode.LOGINS, subject="scan-1", reason="again")
    site.restart()
    raise_alert(site, "scan-1", "")
    raise_alert(site, "scan-1")
    again = standing(site, "scan-1")
    assert again is not None
    assert again.is_open
    assert "acknowledged_ms" not in retained(site, "scan-1")
    raise_alert(site, "scan-1", "")


def test_an_acknowledgement_outlives_a_restart_and_is_of_one_alert(site: Site) -> None:
    """Alerts whose cause is stored stay over a restart, and what people said of them too."""
    raise_alert(site, "phone-1", code=AlertCode.CLOCK)
    act(site, alerts.acknowledge, code=AlertCode.CLOCK, subject="phone-1", reason="it is being repaired")
    site.restart()
    assert standing(site, "phone-1").acknowledged_by == "maria"  # type: ignore[union-attr]
    raise_alert(site, "phone-2", code=AlertCode.CLOCK)
    assert standing(site, "phone-2").is_open  # type: ignore[union-attr]
    with pytest.raises(BridgeError, match="no alert clock about phone-9 stands") as unknown:
        act(site, alerts.acknowledge, code=AlertCode.CLOCK, subject="phone-9", reason="?")
    assert unknown.value.fix == "2 alerts clock stand, about phone-1, phone-2"
    with pytest.raises(BridgeError, match="not said why"):
        act(site, alerts.acknowledge, code=AlertCode.CLOCK, subject="phone-2", reason=" ")


def test_a_silence_covers_what_stands_and_what_comes_until_it_is_lifted(site: Site) -> None:
    raise_alert(site, "scan-2")
    done = act(site, alerts.silence, code=AlertCode.LOGINS, for_ms=8 * HOUR_MS, reason="new passwords today")
    assert done.covers == 1
    raise_alert(site, "scan-3")
    for subject in ("scan-2", "scan-3"):
        assert retained(site, subject)["silenced_until_ms"] == done.until_ms
    found = site.wait_for(alerts.list_alerts(site.app, now_ms=site.now_ms()))
    assert (found.counts.silenced, found.silences[0].covers, found.silences[0].subject) == (2, 2, None)
    with pytest.raises(BridgeError, match="alert logins about scan-2 is not silenced") as unknown:
        act(site, alerts.unsilence, code=AlertCode.LOGINS, subject="scan-2")
    assert unknown.value.fix == "silenced are: logins"
    act(site, alerts.unsilence, code=AlertCode.LOGINS)
    assert "silenced_until_ms" not in retained(site, "scan-3")
    with pytest.raises(BridgeError, match="at most 30 days"):
        act(site, alerts.silence, code=AlertCode.LOGINS, for_ms=31 * 24 * HOUR_MS, reason="for ever")
    for subject in ("scan-2", "scan-3"):
        raise_alert(site, subject, "")
    named = [(e.act, e.subject, e.reason, bool(e.failed)) for e in site.wait_for(acts.audit(site.app))]
    assert ("alerts.acknowledge", "scan-1", "Piet looks", False) in named
    assert ("alerts.silence", None, "for ever", True) in named


def test_a_silence_ends_by_itself_and_a_rebuild_keeps_what_people_said(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1")
        bench.tell("scan-1", "pack", "PO-1", parcel="p1")
        bench.tell("scan-1", "lost", "PO-1", parcel="p1")
        topic = TOPICS.alert(AlertCode.LOST, "PO-1")
        mark = {"received_ms": bench.now_ms, "code": "lost", "who": "maria", "reason": "searching"}
        settled = bench.settler.commit(
            [alerts.AcknowledgeAlert(subject="PO-1", **mark), alerts.SilenceAlerts(subject="", until_ms=bench.now_ms + 9_000, **mark)]
        )
        bench._told(settled)
        assert {"acknowledged_ms", "silenced_until_ms"} <= bench.show(topic).keys()  # type: ignore[union-attr]
        bench.sweep(after_ms=10_000)
        assert "silenced_until_ms" not in bench.show(topic)  # type: ignore[operator]
        bench.rebuild()
        assert bench.rows("SELECT a.subject FROM alert_acks a JOIN alerts USING (code, subject, since_ms)") == [("PO-1",)]
        assert bench.rows("SELECT count(*) FROM alert_silences") == [(0,)]
        bench.tell("scan-1", "found", "PO-1", parcel="p1")
        bench.sweep()
        assert bench.rows("SELECT count(*) FROM alert_acks") == [(0,)]


def test_alerts_at_the_command_line(site: Site) -> None:
    site.stop()
    shell = Shell(site.directory)
    assert "1 such alert now" in shell("alerts", "silence", "clock", "phone-2", "--for", "2h", "--reason", "at the workshop").stderr
    shown = shell("status", code=1).stdout
    assert "2 alerts, 1 acknowledged, 1 silenced" in shown
    assert "acknowledged by maria: it is being repaired" in shown
    assert shell.data("alerts", "list", "--open")["alerts"] == []
    shell("alerts", "unsilence", "clock", "phone-2")
    assert [a["acknowledged_by"] for a in shell.data("alerts", "list")["alerts"]] == ["maria", None]


@pytest.mark.slow
def test_what_is_typed_wrong_about_alerts_is_said(site: Site) -> None:
    site.stop()
    shell = Shell(site.directory)
    assert "can't be the subject" in shell("alerts", "silence", "gap", "", "--for", "8h", "--reason", "?", code=1).stderr
    assert "--for" in shell("alerts", "silence", "gap", "--reason", "?", code=2).stderr
    assert "'eight' is not a duration" in shell("alerts", "silence", "gap", "--for", "eight", "--reason", "?", code=2).stderr
    assert "is not one of" in shell("alerts", "silence", "gaps", "--for", "8h", "--reason", "?", code=2).stderr
