"""`dockbridge alerts`: what a person has to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, duration_ms, moment, now_ms, zone_name
from bridge.entrypoints.control.client import call
from bridge.operations import alerts
from bridge.operations.alerts import AlertCounts, AlertNow
from bridge.words import counted
from devices.protocol.vocabulary import AlertCode

app = typer.Typer(
    no_args_is_help=True,
    help="List alerts, say that somebody looks at one, and keep some from disturbing for a while.\n\nExample: `dockbridge alerts list`",
)

CodeArgument = Annotated[AlertCode, typer.Argument(help="The alert's code.", metavar="CODE")]
ReasonOption = Annotated[str, typer.Option(help="Why, for those who read it next.")]


@app.command(name="list")
def list_(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are neither acknowledged nor silenced.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List the alerts that stand, the oldest first, and what is silenced.

    Example: `dockbridge alerts list --open`
    """
    found = read(site, alerts.list_alerts, now_ms=now_ms())
    shown = [alert for alert in found.alerts if alert.is_open or not open_only]
    if as_json:
        print_json({"alerts": shown, "silences": found.silences, "counts": found.counts})
        return
    print_alerts(shown)
    if found.silences and not open_only:
        columns = ("silenced", "about", dated("until"), "by", "reason", "covers")
        print_table(columns, [(s.code, s.subject or "all", moment(s.until_ms), s.who, s.reason, s.covers) for s in found.silences])
    say(counts(found.counts))


@app.command()
def acknowledge(
    code: CodeArgument,
    subject: Annotated[str, typer.Argument(help="Whom or what the alert is about.")],
    reason: ReasonOption,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say that somebody looks at an alert. It stands until its cause ends; if it comes back after that, it is new.

    Example: `dockbridge alerts acknowledge gap scan-07 --reason "Piet fetches it from the van"`
    """
    done = call(site, alerts.acknowledge, code, subject, reason)
    if as_json:
        print_json(done)
    say(f"Alert {code} about {subject} is acknowledged.\n  its cause is still there: {done.text}\n  fix: {done.fix}")


@app.command()
def silence(
    code: CodeArgument,
    subject: Annotated[str | None, typer.Argument(help="Whom or what the alert is about.", show_default="every subject")] = None,
    *,
    for_: Annotated[str, typer.Option("--for", help="How long: a number with s, min, h, d or w; at most 30 d.", metavar="DURATION")],
    reason: ReasonOption,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Keep alerts of a code from disturbing for a while: they are marked in lists and on their topic. They are raised and cleared as ever.

    Example: `dockbridge alerts silence gap --for 8h --reason "stocktaking: all scanners are off"`
    """
    done = call(site, alerts.silence, code, duration_ms(for_, "--for"), reason, subject)
    if as_json:
        print_json(done)
    about = subject if subject is not None else "every subject"
    say(f"Alert {code} about {about} is silenced until {moment(done.until_ms)} {zone_name()}; {counted(done.covers, 'such alert')} now.")


@app.command()
def unsilence(
    code: CodeArgument,
    subject: Annotated[str | None, typer.Argument(help="What was silenced.", show_default="every subject")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """End a silence before its time.

    Example: `dockbridge alerts unsilence gap`
    """
    call(site, alerts.unsilence, code, subject)
    if as_json:
        print_json({"code": code, "subject": subject})
    say(f"Alert {code} {f'about {subject} ' if subject is not None else ''}is not silenced any more.")


def print_alerts(rows: list[AlertNow]) -> None:
    """Print alerts as a table, each with what people said of it."""
    if rows:
        columns = ("alert", "about", dated("since"), "severity", "what", "fix", "")
        print_table(columns, [(a.code, a.subject, moment(a.since_ms), a.severity, a.text, a.fix, _said(a)) for a in rows])


def counts(found: AlertCounts) -> str:
    """Counts of alerts, in words."""
    parts = [f"{n} {what}" for n, what in ((found.critical, "critical"), (found.acknowledged, "acknowledged"), (found.silenced, "silenced")) if n]
    return ", ".join([counted(found.standing, "alert"), *parts])


def _said(alert: AlertNow) -> str:
    said = []
    if alert.acknowledged_ms is not None:
        said.append(f"acknowledged by {alert.acknowledged_by}: {alert.acknowledged_why}")
    if alert.silenced_until_ms is not None:
        said.append(f"silenced until {moment(alert.silenced_until_ms)} by {alert.silenced_by}: {alert.silenced_why}")
    return "; ".join(said)
