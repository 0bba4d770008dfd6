"""`firmware-sim run`, `replay`, `list`, `protocol` and `devices`: scenarios, one at a time."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from firmware_sim.commands.credentials import read_json
from firmware_sim.commands.output import FAILED, AsJson, ScenarioName, emit, progress, say, show
from firmware_sim.crew import build
from firmware_sim.errors import BadCredentials, BadScenario
from firmware_sim.record import SERVER, Finding, Record
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import names, read_scenario

if TYPE_CHECKING:
    from firmware_sim.link.sockets import RunningBridge


class Link(StrEnum):
    """How devices reach the bridge."""

    SIMULATED = "simulated"
    MQTT = "mqtt"


Seed = Annotated[int | None, typer.Option(help="The same seed is the same run, byte for byte.", min=0, show_default="the scenario's own")]
Load = Annotated[float | None, typer.Option(help="Share of the belts' events.", min=0.0001, max=1, show_default="all; on the simulated link the scenario's")]


def protocol() -> None:
    """Print what a program of `run --client` has to read and write.

    Example: `firmware-sim protocol | less`
    """
    typer.echo(files("firmware_sim.link").joinpath("protocol.md").read_text(encoding="utf-8"), nl=False)


def run(
    scenario: ScenarioName,
    seed: Seed = None,
    link: Annotated[
        Link | None, typer.Option(help="`simulated`: virtual time, one thread. `mqtt`: real sockets.", show_default="simulated; with --client mqtt")
    ] = None,
    speed: Annotated[float, typer.Option(help="With --link mqtt: pauses of people and roads, and the times of faults, are divided by it.", min=0.01)] = 20.0,
    load: Load = None,
    report: Annotated[Path | None, typer.Option(help="Write what happened as a page of HTML.", dir_okay=False)] = None,
    host: Annotated[str | None, typer.Option(help="A bridge that runs already; without it --link mqtt starts one of its own.")] = None,
    port: Annotated[int, typer.Option(help="Its MQTT port.", min=1, max=65_535)] = 1883,
    client: Annotated[
        str | None, typer.Option(help="Scanners and phones are processes of this command; `firmware-sim protocol` says how they are spoken to.")
    ] = None,
    credentials: Annotated[Path | None, typer.Option(help="For --host: what `dockbridge device import --json` prints.", dir_okay=False)] = None,
    timeout: Annotated[float, typer.Option(help="With --link mqtt: give up after so many seconds.", min=1)] = 3_600.0,
    as_json: AsJson = False,
) -> None:
    """Live through a scenario once, and judge what happened. Exit 0: every law was kept.

    Example: `firmware-sim run power-cut --seed 7 --report power-cut.html`
    """
    what = read_scenario(scenario)
    chosen = what.seed if seed is None else seed
    if link is Link.SIMULATED and client is not None:
        raise typer.BadParameter("--client goes with --link mqtt")
    command = shlex.split(client or "")
    if client is not None and not command:
        raise typer.BadParameter("--client is empty: name the command that runs your firmware")
    is_real = link is Link.MQTT or client is not None
    if not is_real:
        if host is not None or credentials is not None:
            raise typer.BadParameter("--host and --credentials go with --link mqtt")
        record = _simulated(what, chosen, load)
    else:
        record = _real(what, chosen, speed, load or 1.0, _bridge(host, port, credentials), command, timeout)
    again = (
        f"firmware-sim run {scenario} --seed {chosen}"
        + (f" --client {shlex.quote(client)}" if client else " --link mqtt" if is_real else "")
        + (f" --load {load:g}" if load else "")
    )
    _finish(what, record, again, report, as_json=as_json)


def replay(
    scenario: ScenarioName,
    seed: Annotated[int, typer.Option(help="The run to look at.", min=0)],
    about: Annotated[str | None, typer.Option(help="Only what has this text in it: a device, an order, a topic, a kind of entry.")] = None,
    load: Load = None,
    as_json: AsJson = False,
) -> None:
    """Live through a seed on the simulated link again, and tell what happened, line by line: time, who, what.

    Example: `firmware-sim replay power-cut --seed 7 --about scan-1`
    """
    what = read_scenario(scenario)
    record = _simulated(what, seed, load)
    for entry in record.entries:
        line = _line(record, entry)
        if about is None or about in line:
            typer.echo(json.dumps({"entry": type(entry).__name__, **_plain(entry)}, ensure_ascii=False) if as_json else line)
    findings = _judge(record)
    for finding in findings:
        say(f"{finding.checker}: {finding.text}")
    say(f"{'every law was kept' if not findings else f'{len(findings)} findings'}; the record's SHA-256 is {record.digest}")
    raise typer.Exit(FAILED if findings else 0)


def list_scenarios(as_json: AsJson = False) -> None:
    """The scenarios that come with the program.

    Example: `firmware-sim list --json`
    """
    found = [read_scenario(name) for name in names()]
    if as_json:
        emit([{"name": s.name, "story": " ".join(s.story.split())} for s in found])
        return
    table = Table("scenario", "story", box=None, pad_edge=False)
    for s in found:
        table.add_row(s.name, Text(" ".join(s.story.split())))
    show(table)


def devices(scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="As for `run`.")] = "quiet-morning", seed: Seed = None) -> None:
    """Print the devices that a scenario needs enrolled, as `dockbridge device import` takes them.

    Example: `firmware-sim devices black-friday > fleet.csv`
    """
    what = read_scenario(scenario)
    crew = build(what, what.seed if seed is None else seed, load=0.001)
    typer.echo("device,role,courier,orders")
    for cast in crew.cast.values():
        typer.echo(f"{cast.device},{cast.role},{cast.courier or ''},{'all' if cast.role == 'system' else ''}")


# --- links ---------------------------------------------------------------------------------------------------------------------


def _simulated(what: Scenario, seed: int, load: float | None) -> Record:
    from firmware_sim.run import run_simulated

    with progress() as bar:
        bar.add_task(f"{what.name}, seed {seed}", total=None)
        return run_simulated(what, seed, load=load)


def _bridge(host: str | None, port: int, credentials: Path | None) -> RunningBridge | None:
    """The bridge that runs already; None if the run starts one of its own."""
    from firmware_sim.link.sockets import RunningBridge

    if host is not None and credentials is None:
        raise typer.BadParameter("--host needs --credentials: `firmware-sim devices` says whom to enrol")
    if host is None and credentials is not None:
        raise typer.BadParameter("--credentials goes with --host")
    return RunningBridge(host=host, port=port, passwords=passwords_in(credentials)) if host is not None and credentials is not None else None


def _real(what: Scenario, seed: int, speed: float, load: float, at: RunningBridge | None, client: list[str], timeout_s: float) -> Record:
    from firmware_sim.link.sockets import run_sockets

    with progress() as bar:
        task = bar.add_task(f"{what.name}, seed {seed}: orders as planned", total=None)
        return run_sockets(
            what,
            seed,
            speed=speed,
            load=load,
            at=at,
            client=client,
            on_progress=lambda p: bar.update(task, completed=p.agreed, total=p.orders),
            timeout_s=timeout_s,
        )


def passwords_in(path: Path) -> dict[str, str]:
    """Passwords by device: from {device: password}, or from a list of what was enrolled.

    Raises:
        BadCredentials: the file can't be used.
    """
    data = read_json(path)
    if isinstance(data, list):
        data = {e.get("device"): e.get("password") or e.get("secret") for e in data if isinstance(e, dict)}
    if not isinstance(data, dict) or not all(isinstance(k, str) and isinstance(v, str) and v for k, v in data.items()):
        raise BadCredentials(
            f"{path} does not say a password for each device", fix='write it as {"scan-1": "…"}, or take what `dockbridge device import` prints'
        )
    return data


# --- telling -------------------------------------------------------------------------------------------------------------------


def _judge(record: Record) -> list[Finding]:
    from firmware_sim.checkers import judge

    return judge(record)


def _finish(what: Scenario, record: Record, again: str, report: Path | None, *, as_json: bool) -> None:
    from firmware_sim.checkers import LAWS
    from firmware_sim.report import render_report
    from firmware_sim.show import render_run, run_to_json

    findings = _judge(record)
    if report is not None:
        try:
            report.write_text(render_report(record, findings, what.story, again, laws=LAWS, faults=what.faults), encoding="utf-8")
        except OSError as error:
            raise BadScenario(f"{report} can't be written: {error.strerror}", fix="name a file in a folder that is there") from error
        say(f"the report is in {report}")
    if as_json:
        emit(run_to_json(record, findings))
    else:
        show(render_run(record, findings, LAWS))
    if findings:
        say(f"once more: {again}")
        raise typer.Exit(FAILED)


def _line(record: Record, entry: Any) -> str:
    """An entry for a person: when, who, what."""
    plain = _plain(entry)
    at_ms = plain.pop("at_ms") - record.started_ms
    who = plain.pop("device", SERVER)
    when = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    rest = " ".join(f"{key}={value}" for key, value in plain.items())
    return f"{when} {who:<12} {type(entry).__name__:<13} {rest}"


def _plain(entry: Any) -> dict[str, Any]:
    """An entry's fields; payloads in words where they are CBOR."""
    from firmware_sim.show import readable

    return {key: readable(value) for key, value in entry._asdict().items()}
