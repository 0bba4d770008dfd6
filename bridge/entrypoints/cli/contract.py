"""`dockbridge contract`: the wire contract, for other languages and tools."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import print_json
from devices.protocol.vocabulary import EventType

app = typer.Typer(no_args_is_help=True, help="Print the wire contract.\n\nExample: `dockbridge contract show guide`")


class Document(StrEnum):
    """What can be printed."""

    GUIDE = "guide"
    EVENTS = "events"
    TOPICS = "topics"
    CDDL = "cddl"
    ASYNCAPI = "asyncapi"
    TYPESCRIPT = "typescript"


class Tool(StrEnum):
    """A tool that reads only a part of CDDL."""

    ZCBOR = "zcbor"


@app.command()
def show(
    document: Annotated[Document, typer.Argument(help="Which document.", show_default=False)],
    event_type: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="With events: only this event type.", show_default=False)] = None,
    tool: Annotated[Tool | None, typer.Option("--for", help="With cddl: in the form that this tool reads.")] = None,
) -> None:
    """Print a document of the contract, generated from the code.

    - `guide`: how to write your own client, step by step. Example: `dockbridge contract show guide | less`

    - `events`: what each event type needs and does (Markdown). Example: `dockbridge contract show events pick`

    - `topics`: the table of topics (Markdown). Example: `dockbridge contract show topics`

    - `cddl`: every payload in CDDL (RFC 8610). Example: `dockbridge contract show cddl --for zcbor > contract.zcbor.cddl`

    - `asyncapi`: an AsyncAPI 3 document (JSON). Example: `dockbridge contract show asyncapi > asyncapi.json`

    - `typescript`: types of every payload. Example: `dockbridge contract show typescript > contract.d.ts`
    """
    _check_together(document, event_type, tool)
    # Here and below: only this command pays for loading what it prints.
    match document:
        case Document.GUIDE:
            from bridge.documents.guide import guide

            _write(guide())
        case Document.EVENTS:
            from bridge.documents.events import event_page, event_reference

            _write(event_page(EventType(event_type)) if event_type is not None else event_reference())
        case Document.TOPICS:
            from devices.protocol.documents.topics import topic_table

            _write(topic_table())
        case Document.CDDL:
            from devices.protocol.documents.cddl import cddl
            from devices.protocol.documents.zcbor import zcbor_cddl

            _write(cddl() if tool is None else zcbor_cddl())
        case Document.ASYNCAPI:
            from devices.protocol.documents.asyncapi import asyncapi

            print_json(asyncapi())
        case Document.TYPESCRIPT:
            from devices.protocol.documents.typescript import typescript

            _write(typescript())


def _check_together(document: Document, event_type: str | None, tool: Tool | None) -> None:
    if event_type is not None and document is not Document.EVENTS:
        raise typer.BadParameter(f"the document {document} has no part of its own for {event_type!r}; leave it out", param_hint="TYPE")
    if event_type is not None and event_type not in list(EventType):
        raise typer.BadParameter(f"{event_type!r} is not an event type. Choose one of {', '.join(EventType)}", param_hint="TYPE")
    if tool is not None and document is not Document.CDDL:
        raise typer.BadParameter(f"use it with cddl; the document {document} has one form", param_hint="--for")


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
