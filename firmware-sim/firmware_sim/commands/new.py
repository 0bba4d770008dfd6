"""`firmware-sim new`: a scenario file to begin with, from a few questions."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args

import typer

from firmware_sim.commands.output import say
from firmware_sim.errors import BadScenario
from firmware_sim.faults import AnyFault, Fault
from firmware_sim.scenario_file import parse

T = TypeVar("T")

EVERY_S: Final = 6
"""An order in so many seconds."""
AFTERWARDS_S: Final = 60
"""From the last order to the end of the faults."""
NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Severity(StrEnum):
    """How bad it is."""

    MILD = "mild"
    BAD = "bad"
    TERRIBLE = "terrible"


SETTINGS: Final[dict[str, dict[str, tuple[Any, Any, Any]]]] = {
    "bandwidth": {"up_bytes_per_s": (20_000, 4_000, 1_000), "down_bytes_per_s": (50_000, 8_000, 2_000)},
    "clock_jump": {"every_s": (120, 60, 20), "up_to_s": (60, 3_600, 86_400)},
    "clock_skew": {"up_to_s": (30, 600, 86_400)},
    "clock_unset": {"to_s": (20, 60, 120)},
    "corrupt": {"share": (0.01, 0.05, 0.15)},
    "delay": {"by_ms": (100, 800, 4_000)},
    "disconnect": {"every_s": (120, 60, 20)},
    "drop": {"share": (0.01, 0.05, 0.15)},
    "duplicate": {"share": (0.02, 0.1, 0.3)},
    "full_disk": {"from_s": (20, 20, 20), "to_s": (24, 30, 45)},
    "half_open": {"from_s": (15, 15, 15), "to_s": (25, 40, 60)},
    "jitter": {"up_to_ms": (200, 800, 3_000)},
    "noop": {},
    "reboot": {"every_s": (180, 90, 30), "loses_clock": (False, False, True)},
    "reorder": {"share": (0.02, 0.1, 0.3)},
    "server_kill": {"every_s": (120, 60, 30), "down_s": (2, 5, 10)},
    "slow_disk": {"from_s": (20, 15, 10), "to_s": (40, 50, 60), "commit_ms": (50, 150, 400), "jitter_ms": (20, 100, 400)},
}
"""Each fault's settings, by severity."""

_CLASSES: Final[dict[str, type[Fault]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyFault)}
USUAL: Final = "disconnect,jitter"


def new(
    name: Annotated[str | None, typer.Argument(help="Its name: lower-case words with - between.", show_default="asked for")] = None,
    orders: Annotated[int | None, typer.Option(min=1, max=10_000, help="Orders of the day.", show_default="asked for")] = None,
    scanners: Annotated[int | None, typer.Option(min=1, max=1_000, help="Handhelds, each with a worker.", show_default="asked for")] = None,
    couriers: Annotated[int | None, typer.Option(min=1, max=1_000, help="Couriers, each with a phone.", show_default="asked for")] = None,
    faults: Annotated[str | None, typer.Option(help=f"What goes wrong, with commas between: {', '.join(SETTINGS)}; or none.", show_default="asked for")] = None,
    severity: Annotated[Severity | None, typer.Option(help="How bad it is.", show_default="asked for")] = None,
    file: Annotated[Path | None, typer.Option(help="The file to write.", dir_okay=False, show_default="NAME.toml")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what is not given is as usual.")] = False,
) -> None:
    """Write a scenario to begin with: asks what it does not know, and comments what it writes.

    Example: `firmware-sim new wet-cellar --scanners 3 --faults disconnect,drop --severity bad --yes`
    """

    def ask(text: str, given: T | None, usual: T, read: Callable[[str], T]) -> T:
        if given is not None or yes:
            return given if given is not None else usual
        answer: T = typer.prompt(text, default=usual, value_proc=lambda typed: read(str(typed)), err=True)
        return answer

    called = _name(ask("Name", name, "my-scenario", _name))
    path = file or Path(f"{called}.toml")
    refuse_to_overwrite(path)
    n_orders = ask("Orders", orders, 12, _number(10_000))
    n_scanners = ask("Scanners", scanners, 2, _number(1_000))
    n_couriers = ask("Couriers", couriers, 2, _number(1_000))
    kinds = _kinds(ask(f"What goes wrong (of {', '.join(SETTINGS)}; or none)", faults, USUAL, lambda typed: ",".join(_kinds(typed)) or "none"))
    how_bad = ask(f"How bad ({', '.join(Severity)})", severity, Severity.MILD, _severity) if kinds else Severity.MILD
    text = written(called, n_orders, n_scanners, n_couriers, kinds, how_bad)
    parse(text, str(path))
    write_new(path, text)
    typer.echo(path)
    say(f"  next: firmware-sim run {path}")


def written(name: str, orders: int, scanners: int, couriers: int, kinds: list[str], severity: Severity) -> str:
    """The text of the file."""
    said = f"{severity} {', '.join(kinds)}" if kinds else "nothing goes wrong"
    lines = [
        f'name = "{name}"',
        f'story = "{orders} orders, {scanners} scanners, {couriers} couriers; {said}. Say here what this day is about."',
        "# Faults without a to_s of their own end after so many seconds; then all may finish.",
        f"day_s = {orders * EVERY_S + AFTERWARDS_S}",
        "",
        "# Settings of the bridge, as in its bridge.toml. Fewer writes of sessions' progress make the simulation quicker.",
        "[settings.broker]",
        "ack_flush_ms = 1000",
        "",
        "[orders]",
        f"count = {orders}",
        f"every_s = {EVERY_S}",
        "# What happens to them, by weight; without it every fate comes once, then the usual ones.",
        "# fates = { delivered = 8, second_try = 2, refused = 1, cancelled = 1 }",
        "",
        "# Handhelds scan-1, scan-2, …; another [[scanners]] table is another group of them.",
        "[[scanners]]",
        f"count = {scanners}",
        "# clock_off_s = 90      # how far their wall clocks are off",
        "# unreadable = 0.05     # share of labels that can't be read at once",
        "# firmware = 1          # an old firmware",
        "",
        "# Phones phone-1, phone-2, …, each with a courier.",
        "[[couriers]]",
        f"count = {couriers}",
        "# tunnel = 0.2          # share of the legs of a drive without a network",
    ]
    for kind in kinds:
        lines += ["", *_fault(kind, severity)]
    lines += [
        "",
        "# Alerts that must have been raised, and those (code/subject) that may still stand at the end.",
        "# [expect]",
        '# raised = ["gap"]',
        "# as_planned = true     # whether every order must end as its fate says",
    ]
    return "\n".join(lines) + "\n"


def _fault(kind: str, severity: Severity) -> list[str]:
    """A fault's table, with its own words as a comment."""
    nth = list(Severity).index(severity)
    about = " ".join((_CLASSES[kind].__doc__ or "").split())
    values = {key: choices[nth] for key, choices in SETTINGS[kind].items()}
    shown = [f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items()]
    where = [] if _CLASSES[kind].NEEDS_SERVER else ['# on = "scan-*"         # only those; * stands for any text']
    return [f"# {about}", "[[faults]]", f'kind = "{kind}"', *shown, *where]


def _name(text: str) -> str:
    if not NAME.match(text):
        raise typer.BadParameter(f"{text!r} is not lower-case words with - between")
    return text


def _number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise typer.BadParameter(f"{text!r} is not a number from 1 to {most}")
        return int(text)

    return read


def _severity(text: str) -> Severity:
    if text not in tuple(Severity):
        raise typer.BadParameter(f"{text!r} is none of {', '.join(Severity)}")
    return Severity(text)


def _kinds(text: str) -> list[str]:
    kinds = [k.strip() for k in text.split(",") if k.strip() and k.strip() != "none"]
    unknown = [k for k in kinds if k not in SETTINGS]
    if unknown:
        raise typer.BadParameter(f"there is no fault {', '.join(unknown)}; take some of {', '.join(SETTINGS)}, or none")
    return list(dict.fromkeys(kinds))


def refuse_to_overwrite(path: Path) -> None:
    if path.exists():
        raise BadScenario(f"{path} is there already", fix="choose another name, or another --file")


def write_new(path: Path, text: str) -> None:
    """Write a scenario's file.

    Raises:
        BadScenario: there is one already, or it can't be written.
    """
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        refuse_to_overwrite(path)
    except OSError as error:
        raise BadScenario(f"{path} can't be written: {error.strerror}", fix="name a file in a folder that is there") from error
