"""`dockbridge contract show`: every document is printed as the code has it, and its help names each with an example."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import typer

from bridge.documents.events import event_page, event_reference
from bridge.documents.guide import guide
from bridge.entrypoints.cli.contract import Document
from bridge.entrypoints.cli.main import app, main
from devices.protocol.documents.asyncapi import asyncapi
from devices.protocol.documents.cddl import cddl
from devices.protocol.documents.topics import topic_table
from devices.protocol.documents.typescript import typescript
from devices.protocol.documents.zcbor import zcbor_cddl
from devices.protocol.vocabulary import EventType

PRINTED: dict[tuple[str, ...], str] = {
    ("guide",): guide(),
    ("events",): event_reference(),
    ("events", "pick"): event_page(EventType.PICK),
    ("topics",): topic_table(),
    ("cddl",): cddl(),
    ("cddl", "--for", "zcbor"): zcbor_cddl(),
    ("asyncapi",): json.dumps(asyncapi(), ensure_ascii=False, indent=2),
    ("typescript",): typescript(),
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dockbridge", "contract", "show", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("arguments", PRINTED, ids=" ".join)
def test_a_document_is_printed(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert capsys.readouterr() == (PRINTED[arguments].rstrip("\n") + "\n", "")


def test_the_help_names_every_document_with_an_example_that_works() -> None:
    show: Any = typer.main.get_command(app).commands["contract"].commands["show"]  # type: ignore[attr-defined]
    examples = dict(re.findall(r"- `(\w+)`: .*?Example: `dockbridge contract show ([\w -]+?)(?: [|>].*?)?`", show.help, re.DOTALL))
    assert examples.keys() == set(Document)
    assert {tuple(words.split()) for words in examples.values()} <= PRINTED.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("pdf",), "'pdf' is not one of 'guide', 'events', 'topics', 'cddl', 'asyncapi', 'typescript'"),
        (("events", "pikc"), "'pikc' is not an event type. Choose one of created, paid"),
        (("guide", "pick"), "the document guide has no part of its own for 'pick'"),
        (("cddl", "--for", "nanocbor"), "'nanocbor' is not one of 'zcbor'"),
        (("asyncapi", "--for", "zcbor"), "use it with cddl; the document asyncapi has one form"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.replace("│", " ").split())
