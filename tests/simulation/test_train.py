"""`firmware-sim train`: tasks, the bridge's answers in words, and a score. In these tests a bot is the trainee."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.foreign_tools import needs
from typer.testing import CliRunner

from bridge.errors import BridgeError
from devices.protocol.messages import plain
from firmware_sim.commands.train import library, mosquitto, train
from firmware_sim.errors import SimError
from firmware_sim.handheld import Handheld
from firmware_sim.served import Site
from firmware_sim.training.course import Course
from firmware_sim.training.tasks import COURIER, PHONE, SCANNER, plan
from firmware_sim.training.words import in_words

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0
ENV = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "firmware-sim")))}

pytest_plugins = [] if any(p.name == "dockbridge" for p in metadata.entry_points(group="pytest11")) else ["firmware_sim.testing"]


@pytest.fixture
def trainee(site: Site) -> Handheld:
    return site.device(SCANNER, "scanner")


@pytest.fixture
def course(site: Site, trainee: Handheld) -> Iterator[Course]:
    """Three tasks; the first one has been given to the trainee."""
    made = Course(site, plan(1, 3))
    made.begin()
    return made


def follow(course: Course, trainee: Handheld, *, steps: int) -> None:
    """The trainee follows the first steps of a task."""
    assert course.task is not None
    for step in course.task.steps[:steps]:
        trainee.tell(step.type, order=None if step.code else course.task.order, code=step.code, body=plain(step.body))


# --- words ---------------------------------------------------------------------------------------------------------------------


def test_a_receipt_in_words() -> None:
    assert in_words({"tone": "ok", "outcome": "applied"}) == "a short beep: go on. It counts."
    said = in_words({"tone": "stop", "outcome": "blocked", "reason": "held", "next": "set_aside", "warn": ["not_paid"], "detail": "x", "final": True})
    assert said == "a long low tone: stop. It does not count now: the shop holds the order; it is not paid (x). Set it aside, and scan it again later."
    kept = in_words({"tone": "warn", "outcome": "parked", "reason": "unknown_order", "next": "set_aside", "final": False})
    assert kept.endswith("Set it aside: do not scan it again.")
    assert in_words({"tone": "stop", "outcome": "rejected", "reason": "invented_later"}) == "a long low tone: stop. It can never count: other."


# --- a course ------------------------------------------------------------------------------------------------------------------


def test_a_task_is_done_step_by_step(course: Course, trainee: Handheld) -> None:
    follow(course, trainee, steps=2)
    news = course.look()
    assert [str(x).split()[0] for x in news.told] == ["pick", "pick"]
    assert [s.words for s in news.steps] == [s.words for s in plan(1, 1)[0].steps[:2]]
    assert course.look() == type(news)(), "it is no news twice"
    assert course.task is not None
    for step in course.task.steps[2:]:
        trainee.tell(step.type, order="T-001", code=step.code, body=plain(step.body))
    course.look()
    assert course.task is None
    assert (course.scores[0].done, course.scores[0].points) == (5, 100)


def test_pieces_may_be_picked_one_by_one(course: Course, trainee: Handheld) -> None:
    step = plan(1, 1)[0].steps[0]
    assert step.qty == 2
    trainee.tell("pick", order="T-001", body={"sku": step.sku, "qty": 1})
    assert not course.look().steps
    trainee.tell("pick", order="T-001", body={"sku": step.sku, "qty": 1})
    assert [s.words for s in course.look().steps] == [step.words]


def test_mistakes_cost_points(course: Course, trainee: Handheld) -> None:
    step = plan(1, 1)[0].steps[0]
    assert trainee.tell("pick", order="T-001", code="2000000099998", body=plain(step.body))["reason"] == "wrong_sku"
    trainee.tell("pick", order="T-001", body={"sku": step.sku})
    trainee.tell("paid", order="T-001", body={"amount_minor": 1, "currency": "EUR"})
    trainee.tell("pick", order="T-001", body={"sku": step.sku, "qty": 9})
    news = course.look()
    assert [x.receipt["outcome"] for x in news.told] == ["rejected", "applied"]
    assert sorted(row["reason"] for row in news.refused) == ["forbidden", "malformed"]
    assert course.scores[0].mistakes == 4
    assert course.scores[0].points == 0


def test_a_hold_is_part_of_the_lesson(site: Site, trainee: Handheld) -> None:
    course = Course(site, plan(3, 1))
    task = course.begin()
    follow(course, trainee, steps=1)
    assert [s.is_blocked for s in course.look().steps] == [True]
    for step in task.steps[1:]:
        trainee.tell(step.type, order=task.order, code=step.code, body=plain(step.body))
    course.look()
    assert (course.is_over, course.scores[0].points, course.scores[0].mistakes) == (True, 100, 0)


def test_what_is_staged_is_given_to_the_trainees_phone(site: Site, trainee: Handheld) -> None:
    phone = site.device(PHONE, "courier", COURIER)
    course = Course(site, plan(2, 1))
    follow(course, trainee, steps=len([s for s in course.begin().steps if s.device == SCANNER]))
    course.look()
    job = phone.job("T-002")
    assert job["job"] == "J-T-002"
    phone.tell("claim", body={"job": job["job"], "rev": job["rev"]})
    assert [s.device for s in course.look().steps] == [PHONE]


def test_a_site_that_ended_is_said(site: Site, course: Course) -> None:
    site.kill()
    with pytest.raises(SimError, match="ended by itself"):
        course.look()


# --- ways to connect -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [mosquitto, library])
def test_the_examples_do_the_first_step(site: Site, tmp_path: Path, example: Callable[..., str]) -> None:
    password = site.enrol(SCANNER)
    course = Course(site, plan(1, 1))
    task = course.begin()
    text = example(site, password, task.order, task.steps[0])
    if example is mosquitto:
        needs("mosquitto_pub")
        command = shlex.split(text)
    else:
        command = [sys.executable, "-c", text]
    ran = subprocess.run(command, cwd=tmp_path, env=ENV, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [s.words for s in course.look().steps] == [task.steps[0].words]


# --- the command ---------------------------------------------------------------------------------------------------------------


def run_train(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(train)
    return CliRunner().invoke(app, [*arguments, "--speed", "10000"])


def test_a_bot_works_beside_its_colleagues_and_slips_once() -> None:
    done = run_train("--bot", "--tasks", "3", "--json")
    assert done.exit_code == 0, done.output
    ready, score = map(json.loads, done.stdout.splitlines())
    assert ready["devices"][PHONE]["subscribe"] == ["v1/train/devices/trainee-phone/receipts", "v1/train/couriers/trainee/assignments/+"]
    assert [(t["order"], t["mistakes"], t["points"]) for t in score["tasks"]] == [("T-001", 1, 95), ("T-002", 0, 100), ("T-003", 0, 100)]
    assert "a long low tone: stop. It can never count: this is not the article that was named. Put it back." in done.stderr.replace("\n", " ").replace(
        "  ", " "
    )
    assert "T-003 is done: 100 points" in done.stderr


def test_a_folder_is_kept_and_its_tasks_are_counted_on(tmp_path: Path) -> None:
    given = ("--bot", "--alone", "--tasks", "1", "--folder", str(tmp_path / "practice"))
    assert "T-001" in run_train(*given).stdout
    again = run_train(*given)
    assert again.exit_code == 0, again.output
    assert "T-002" in again.stdout
    assert "T-001" not in again.stdout


def test_a_wrong_address_is_said() -> None:
    done = run_train("--listen", "nonsense")
    assert isinstance(done.exception, BridgeError)
    assert "--listen" in str(done.exception)


def test_ctrl_c_leaves_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firmware_sim", "train", "--json", "--tasks", "2"]
    env = ENV | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert json.loads(running.stdout.readline())["ready"]
        for line in running.stderr:
            if line.startswith("T-001"):
                break
        running.send_signal(signal.SIGINT)
        out, rest = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 1, rest
    assert json.loads(out)["points"] == 0
    assert "Traceback" not in rest
    assert not list(tmp_path.iterdir()), "the temporary site is gone"
