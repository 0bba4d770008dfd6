"""`dockbridge quarantine`: messages that could not be applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.entrypoints.cli.editing import edited_text
from bridge.entrypoints.cli.output import JsonOption, LimitOption, json_inline, print_details, print_json, print_table, print_text, say
from bridge.entrypoints.cli.reading import SiteOption, read, read_as
from bridge.entrypoints.cli.times import TzOption, dated, duration_ms, moment, now_ms
from bridge.entrypoints.control.client import Caller, call
from bridge.errors import Refused
from bridge.operations import corrections, quarantine
from bridge.operations.ports import Sought
from bridge.operations.quarantine import PORTION_MAX, Entry, Replayed
from bridge.words import counted
from devices.protocol import messages
from devices.protocol.vocabulary import Reason

app = typer.Typer(
    no_args_is_help=True,
    help="Look at messages that could not be applied, judge them again, correct or drop them.\n\nExample: `dockbridge quarantine list`",
)
COUNTED_MAX: Final = 100_000
"""Entries that are counted by device and reason before anything is done with them."""

Number = Annotated[int, typer.Argument(help="The entry's number.", min=1)]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="[NO]…", help="The entries' numbers.", min=1, show_default=False)]
DeviceOption = Annotated[str | None, typer.Option(help="Only messages of this device.", show_default=False)]
ReasonOption = Annotated[Reason | None, typer.Option(help="Only messages refused for this reason.", show_choices=False, show_default=False)]
AgeOption = Annotated[str | None, typer.Option("--older-than", metavar="TIME", help="Only messages received longer ago, such as 4h or 2d.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every entry.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which entries are meant.")]


@app.command(name="list")
def list_(
    device: DeviceOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List the entries, the latest first.

    Example: `dockbridge quarantine list --device scan-07 --reason malformed`
    """
    rows = read(site, quarantine.list_entries, _sought(device, reason, older_than), limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = ("no", dated("received"), "device", "type", "reason", "detail")
    print_table(columns, [(r["no"], moment(r["received_ms"]), r["device"], r["event_type"], r["reason"], r["detail"]) for r in rows])
    if len(rows) == limit:
        say("There may be more: --limit")


def _sought(device: str | None, reason: Reason | None, older_than: str | None) -> Sought:
    before_ms = now_ms() - duration_ms(older_than, "--older-than") if older_than is not None else None
    return Sought(device=device, reason=reason, before_ms=before_ms)


@app.command()
def show(no: Number, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show one entry with its payload, and mark the field that breaks the contract. What can't be decoded is printed as hex.

    Example: `dockbridge quarantine show 3`
    """
    entry = read_as(site, quarantine.look, quarantine.show_entry, no)
    if as_json:
        print_json({**entry.row, "decoded": entry.decoded, "path": entry.path, "fault": entry.fault})
        return
    print_details({name: value for name, value in entry.row.items() if name != "payload"})
    if entry.decoded is None:
        print(entry.payload.hex())
        say(f"It can't be decoded: {entry.fault}")
        return
    for line in _marked(entry):
        print_text(line)


def _marked(entry: Entry) -> Iterator[str]:
    """The payload as JSON, with what is wrong behind the field that breaks the contract, or behind the map in which it is missing."""
    lines = list(_json_lines(entry.decoded))
    at = entry.path
    while at and all(path != at for path, _ in lines):
        at = corrections.above(at)
    for path, text in lines:
        is_marked = entry.fault is not None and path == (at or "")
        yield text + (f"   <-- {'' if path == entry.path else f'{entry.path}: '}{entry.fault}" if is_marked else "")


def _json_lines(value: Any, path: str = "", indent: str = "", name: str = "", end: str = "") -> Iterator[tuple[str, str]]:
    """(path, line) of each line of a value as JSON; the line that only closes something has no path of a field."""
    if not (isinstance(value, dict | list) and value):
        yield path, f"{indent}{name}{json_inline(value)}{end}"
        return
    is_map = isinstance(value, dict)
    yield path, f"{indent}{name}{'{' if is_map else '['}"
    if isinstance(value, dict):
        inner = [(f"{path}.{k}" if path else str(k), f"{json_inline(k)}: ", v) for k, v in value.items()]
    else:
        inner = [(f"{path}[{no}]", "", v) for no, v in enumerate(value)]
    for no, (at, key, part) in enumerate(inner):
        yield from _json_lines(part, at, indent + "  ", key, "," if no < len(value) - 1 else "")
    yield "(end)", f"{indent}{'}' if is_map else ']'}{end}"


@app.command()
def replay(
    nos: Numbers = None,
    device: DeviceOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    everything: AllOption = False,
    dry_run: DryRun = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Judge entries again. One leaves the quarantine if it is no longer rejected. Exit 1 if one stays.

    Example: `dockbridge quarantine replay --device scan-07 --reason unknown_type`
    """
    found = _find(site, nos, _sought(device, reason, older_than), everything=everything)
    done: list[Replayed] = []
    if not dry_run and found:
        with Caller(site) as caller:
            for portion in _portions(found):
                done += caller.call(quarantine.replay, portion)
    if as_json:
        print_json({"found": found, "replayed": [r._asdict() for r in done]})
    for one in done:
        why = one.detail or one.reason
        say(f"entry {one.no}: {one.outcome or 'not judged'}" + (f" ({why})" if why else ""))
    stay = sum(not one.is_gone for one in done)
    if dry_run or not found:
        say("Nothing was sent.")
    elif len(done) > 1:
        say(f"{len(done) - stay} of {counted(len(done), 'entry', 'entries')} left the quarantine.")
    if stay:
        raise typer.Exit(1)


@app.command()
def drop(
    nos: Numbers = None,
    device: DeviceOption = None,
    reason: ReasonOption = None,
    older_than: AgeOption = None,
    everything: AllOption = False,
    dry_run: DryRun = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Delete entries from the quarantine for good.

    Example: `dockbridge quarantine drop --older-than 30d --dry-run`
    """
    found = _find(site, nos, _sought(device, reason, older_than), everything=everything)
    dropped = 0
    if not dry_run and found:
        with Caller(site) as caller:
            dropped = sum(caller.call(quarantine.drop, portion) for portion in _portions(found))
    if as_json:
        print_json({"found": found, "dropped": dropped})
    say("Nothing was dropped." if not dropped else f"Dropped entry {found[0]}." if len(found) == 1 else f"Dropped {counted(dropped, 'entry', 'entries')}.")


def _find(site: Path, nos: Sequence[int] | None, sought: Sought, *, everything: bool) -> list[int]:
    """The entries that are meant. How many they are, of which devices and for which reasons, is said before anything is done."""
    if not nos and sought == Sought() and not everything:
        raise typer.BadParameter("name entries, or say which ones with --device, --reason, --older-than or --all", param_hint="NO")
    if nos and everything:
        raise typer.BadParameter("name entries, or say --all, not both", param_hint="NO")
    found = read(site, quarantine.find, nos or (), sought)
    if len(found) != 1 or not nos:
        meant = set(found)
        groups = Counter((row["device"], row["reason"]) for row in read(site, quarantine.list_entries, sought, limit=COUNTED_MAX) if row["no"] in meant)
        about = ", ".join(f"{n} {why} of {device}" for (device, why), n in groups.most_common(10))
        say(counted(len(found), "entry", "entries") + (f": {about}" if about else ""))
    return found


def _portions(nos: Sequence[int]) -> Iterator[list[int]]:
    return (list(nos[at : at + PORTION_MAX]) for at in range(0, len(nos), PORTION_MAX))


@app.command()
def fix(
    no: Number,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Set a field, such as body.qty=2.", show_default=False)] = None,
    unsets: Annotated[list[str] | None, typer.Option("--unset", metavar="PATH", help="Leave a field out.", show_default=False)] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The event type that was meant.", show_default="its own")] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Edit the payload as JSON, in $EDITOR.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Correct an entry, check it by the contract, and judge it again. If it is still rejected, it stays as it was.

    The audit log keeps the digest of the original, and which fields were changed.

    Example: `dockbridge quarantine fix 3 --set body.lines[0].qty=2`
    """
    entry = read_as(site, quarantine.look, quarantine.show_entry, no)
    quarantine.check_fixable(entry.row)
    kind = event_type or str(entry.row["event_type"])
    value = _corrected(entry, _assignments(sets or []), unsets or [], kind, edit=edit)
    fields = corrections.differences(entry.decoded, value)
    if not fields and kind == entry.row["event_type"]:
        raise typer.BadParameter("nothing is changed: use --set, --unset, --type or --edit", param_hint="NO")
    payload = corrections.encoded(value, entry.payload)
    say(f"changed: {', '.join([*fields, *(['the event type'] if kind != entry.row['event_type'] else [])])}")
    if dry_run:
        if (fault := quarantine.fault_of(payload, kind)) is not None:
            raise Refused(f"entry {no} would still break the contract: {fault}", fix="correct that field as well")
        print_json(value)
        say("It keeps to the contract. Nothing was sent.")
        return
    receipt = call(site, quarantine.fix, no, entry.row["digest"].hex(), payload, kind, fields, reason)
    if as_json:
        print_json(messages.plain(receipt))
    say(f"entry {no}: {receipt.outcome}" + (f" ({receipt.detail or receipt.reason})" if receipt.reason is not None else ""))


def _assignments(sets: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in sets:
        path, mark, value = text.partition("=")
        if not mark or not path:
            raise typer.BadParameter(f"{text!r} is not PATH=VALUE, such as body.qty=2", param_hint="--set")
        found[path] = value
    return found


def _corrected(entry: Entry, sets: dict[str, str], unsets: list[str], kind: str, *, edit: bool) -> Any:
    if entry.decoded is None and (sets or unsets or not edit or messages.json_text(entry.payload) is None):
        raise Refused(f"entry {entry.row['no']} can't be decoded: {entry.fault}", fix="JSON can be mended with --edit; CBOR that is broken can only be dropped")
    value = corrections.changed(entry.decoded, sets, unsets, kind) if entry.decoded is not None else None
    if not edit:
        return value
    text = corrections.as_text(value) if value is not None else entry.payload.decode(errors="replace")
    return corrections.from_text(edited_text(text))
