"""`firmware-sim train`: a site to practise on, with colleagues, tasks and a coach."""

from __future__ import annotations

import json
import secrets
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from devices.protocol import encoding
from devices.protocol.vocabulary import EventType
from firmware_sim.commands.output import FAILED, AsJson, say, show
from firmware_sim.firmware.by_hand import ByHand
from firmware_sim.firmware.chores import NOT_THE_ARTICLE
from firmware_sim.firmware.flash import uuid7
from firmware_sim.handheld import Handheld
from firmware_sim.link.background import BackgroundFleet
from firmware_sim.served import ANY_PORT, Site
from firmware_sim.training.course import Course, News, Score
from firmware_sim.training.tasks import COURIER, PHONE, ROLES, SCANNER, Step, Task, plan
from firmware_sim.training.words import in_words
from firmware_sim.workload import Workload

NAME: Final = "train"
LOOK_EVERY_S: Final = 0.1
THINK_S: Final = 1.5
"""From one scan of the bot to the next."""
COLLEAGUES_EVERY_MS: Final = 30_000
COLLEAGUES_ORDERS: Final = 100

_words = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def train(
    tasks: Annotated[int, typer.Option(min=1, max=100, help="Orders to work on.")] = 3,
    folder: Annotated[Path | None, typer.Option(help="The site's folder, made if there is none, and kept.", show_default="a temporary one")] = None,
    listen: Annotated[str, typer.Option(help="host:port of MQTT over TCP, without TLS; port 0 takes a free one.")] = ANY_PORT,
    bot: Annotated[bool, typer.Option("--bot", help="Watch: a simulated trainee does the work, and makes a mistake.")] = False,
    alone: Annotated[bool, typer.Option("--alone", help="Without colleagues.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=10_000, help="How much faster than people the colleagues and the bot are.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Practise on a site of your own: it says how to connect, gives you orders to work on, tells what each answer means, and ends with a score.

    Exit 0: every task was done. Ctrl-C ends it.

    Example: `firmware-sim train --tasks 5`, or, to watch, `firmware-sim train --bot`
    """
    with _folder(folder) as path:
        course = None
        try:
            with Site(path, name=NAME, listen=listen, settings=_settings(listen), has_control=True) as site, _colleagues(site, speed, alone=alone):
                passwords = {device: site.enrol_anew(device, role, courier) for device, (role, courier) in ROLES.items()}
                course = Course(site, plan(_next_number(site), tasks))
                _welcome(site, passwords, course, as_json=as_json)
                if bot:
                    with Bot(site, passwords, speed) as trainee:
                        _teach(course, trainee)
                else:
                    _teach(course, None)
        except KeyboardInterrupt:
            say("\nuntil next time")
    scores = course.scores if course is not None else []
    _print_scores(scores, tasks, as_json=as_json)
    raise typer.Exit(0 if len(scores) == tasks and all(s.is_done for s in scores) else FAILED)


def _teach(course: Course, bot: Bot | None) -> None:
    """Task by task, until all are done."""
    while not course.is_over:
        if course.task is None:
            _show_task(course.begin())
        if bot is not None and course.task is not None:
            bot.do_something(course.task)
        news = course.look()
        _coach(course, news)
        if not (news.told or news.refused or bot):
            time.sleep(LOOK_EVERY_S)


# --- the site ------------------------------------------------------------------------------------------------------------------


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="dockbridge-train-") as made:
        yield Path(made) / "site"


def _settings(listen: str) -> dict[str, dict[str, Any]]:
    """JSON, so that a trainee can read what the bridge says with any tool. Nothing here is worth TLS: the site is for practice."""
    from bridge.addresses import is_loopback, split_address

    host, _ = split_address("--listen", listen)
    if not is_loopback(host):
        say(f"{listen} is reached by others, without TLS: use it on a network that you trust")
    return {"publish": {"format": "json"}, "listen": {"allow_plain": not is_loopback(host)}}


def _next_number(site: Site) -> int:
    """If the folder was used before, tasks are counted on."""
    number = 1
    while site.status(f"T-{number:03}") is not None:
        number += 1
    return number


@contextmanager
def _colleagues(site: Site, speed: float, *, alone: bool) -> Iterator[None]:
    """A shop, a worker, a courier and a dispatcher who work beside the trainee, on orders of their own, as long as this lasts."""
    if alone:
        yield
        return
    day = Workload.from_seed(secrets.randbelow(10**6), COLLEAGUES_ORDERS, 1, 1, site=site.name, every_ms=COLLEAGUES_EVERY_MS)
    firmwares = day.build(speed=speed)
    passwords = {device.name: site.enrol_anew(device.name, device.role, device.courier) for device in day.devices}
    with BackgroundFleet(site.host, site.port) as fleet:
        for name, password in passwords.items():  # at once: they hand things to each other
            fleet.add(firmwares[name], password)
        yield


# --- telling -------------------------------------------------------------------------------------------------------------------


def _welcome(site: Site, passwords: dict[str, str], course: Course, *, as_json: bool) -> None:
    """How to connect: as data on stdout, with an example in words."""
    topics = site.topics
    logins = {
        SCANNER: {"password": passwords[SCANNER], "publish": topics.event(SCANNER, "{type}"), "subscribe": [topics.receipts(SCANNER)]},
        PHONE: {"password": passwords[PHONE], "publish": topics.event(PHONE, "{type}"), "subscribe": [topics.receipts(PHONE), topics.assignments(COURIER)]},
    }
    first = course.next_task
    examples = [mosquitto(site, passwords[SCANNER], first.order, first.steps[0]), library(site, passwords[SCANNER], first.order, first.steps[0])]
    if as_json:
        typer.echo(json.dumps({"ready": True, "host": site.host, "port": site.port, "site": site.name, "devices": logins, "examples": examples}))
        return
    table = Table("host", "port", "site", "device", "password", "publish to", "subscribe to", box=None, pad_edge=False)
    for device, login in logins.items():
        table.add_row(site.host, str(site.port), site.name, device, str(login["password"]), str(login["publish"]), "\n".join(login["subscribe"]))
    show(table)
    say("\nThe first step of the first task, with Mosquitto's client (an id, and a seq in its log, are for one event):\n")
    say(examples[0])
    say("\nor with the device library:\n")
    say(examples[1])
    say(f"\n`dockbridge orders explain {first.order} --site {site.folder}` tells an order's story. Ctrl-C ends the training.")


def mosquitto(site: Site, password: str, order: str, step: Step) -> str:
    """A command that tells the first event of a new log."""
    rng, now_ms = SystemRandom(), time.time_ns() // 1_000_000
    boot = rng.randbytes(8)
    clock = {"boot": boot, "mono_ms": 1, "at_ms": now_ms, "sent_boot": boot, "sent_mono_ms": 1}
    event = {"id": uuid7(now_ms, rng), "log": rng.randbytes(8), "seq": 1, **clock, "order": order, "body": _plain(step)}
    payload = shlex.quote(encoding.encode_json(event).decode())
    login = f"-h {site.host} -p {site.port} -u {step.device} -P {shlex.quote(password)}"
    return f"mosquitto_pub {login} -q 1 -t {site.topics.event(step.device, step.type)} -m {payload}"


def library(site: Site, password: str, order: str, step: Step) -> str:
    """The same in Python."""
    given = ", ".join(f"{key}={value!r}" for key, value in _plain(step).items())
    login = f"site={site.name!r}, device={step.device!r}, password={password!r}, host={site.host!r}, port={site.port}, outbox='trainee.db'"
    return f"from devices import Scanner\nwith Scanner({login}) as scanner:\n    print(scanner.{step.type}({order!r}, {given}).receipt(timeout_s=5))"


def _plain(step: Step) -> dict[str, Any]:
    return encoding.plain(step.body)


def _show_task(task: Task) -> None:
    bought = ", ".join(f"{qty} × {sku}" for sku, qty in task.lines.items())
    table = Table("", "step", "device", "event", "what to tell", box=None, pad_edge=False)
    for n, step in enumerate(task.steps, 1):
        table.add_row(str(n), step.words, step.device, step.type, Text(_to_tell(task, step)))
    _words.print()
    _words.print(Text(f"{task.order}: {bought}: {task.title}", style="bold"))
    (_words if _words.is_terminal else Console(stderr=True, highlight=False, emoji=False, width=240)).print(table)


def _to_tell(task: Task, step: Step) -> str:
    if step.type is EventType.CLAIM:
        return f'body {{"job": "{task.job}", "rev": …}}'
    return f"{f'code {step.code}' if step.code else f'order {task.order}'}, body {json.dumps(_plain(step))}"


def _coach(course: Course, news: News) -> None:
    score = course.scores[-1]
    for told in news.told:
        _words.print(Text(f"{told.device}: {told}", style="cyan"))
        _words.print(Text(f"  {in_words(told.receipt)}", style="green" if told.receipt["tone"] == "ok" else "bold red"))
    for row in news.refused:
        refusal = {"tone": "stop", "outcome": "rejected", "reason": row["reason"], "detail": row["detail"]}
        _words.print(Text(f"{row['device']}: {row['event_type']}", style="cyan"))
        _words.print(Text(f"  {in_words(refusal)}", style="bold red"))
    for step in news.steps:
        say(f"  done: {step.words} ({score.done} of {score.steps})")
    if news.steps and score.is_done:
        say(f"{score.order} is done: {score.points} points")


def _print_scores(scores: list[Score], tasks: int, *, as_json: bool) -> None:
    points = round(sum(s.points for s in scores) / tasks)
    if as_json:
        typer.echo(json.dumps({"points": points, "tasks": [msgspec.to_builtins(s) | {"points": s.points} for s in scores]}))
        return
    table = Table("task", "what", "steps", "mistakes", "time", "points", box=None, pad_edge=False)
    for s in scores:
        table.add_row(s.order, s.title, f"{s.done} of {s.steps}", str(s.mistakes), f"{s.seconds:.0f} s", str(s.points))
    show(table)
    say(f"{points} of 100 points")


# --- a simulated trainee --------------------------------------------------------------------------------------------------------


class Bot:
    """A trainee who knows what to do, and slips once: it scans the wrong article first."""

    def __init__(self, site: Site, passwords: dict[str, str], speed: float) -> None:
        self._fleet = BackgroundFleet(site.host, site.port)
        self._speed = speed
        self._next = 0
        self._task: Task | None = None
        self._has_slipped = False
        self._devices = {
            device: Handheld(self._fleet, ByHand(site=site.name, device=device, filters=filters), passwords[device])
            for device, filters in ((SCANNER, ()), (PHONE, (site.topics.assignments(COURIER),)))
        }

    def __enter__(self) -> Bot:
        for device in self._devices.values():
            device.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._fleet.close()

    def do_something(self, task: Task) -> None:
        """The next step, after a moment's thought."""
        if task is not self._task:
            self._task, self._next = task, 0
        if self._next >= len(task.steps):
            return
        time.sleep(THINK_S / self._speed)
        step = task.steps[self._next]
        device = self._devices[step.device]
        order = None if step.code else task.order
        if step.type is EventType.CLAIM:
            job = device.job(task.order)
            device.tell("claim", body={"job": job["job"], "rev": job["rev"]})
        elif step.sku and not self._has_slipped:
            self._has_slipped = True
            device.tell(step.type, order=order, code=NOT_THE_ARTICLE, body=_plain(step))
            return
        else:
            device.tell(step.type, order=order, code=step.code, body=_plain(step))
        self._next += 1
