"""`dockbridge contract`: the wire contract, for other languages and tools."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.output import emit
from devices.protocol import describe

app = typer.Typer(no_args_is_help=True, help="Print the wire contract.\n\nExample: `dockbridge contract show cddl`")


class Form(StrEnum):
    """What it can be printed as."""

    CDDL = "cddl"
    ASYNCAPI = "asyncapi"
    TOPICS = "topics"


@app.command()
def show(form: Annotated[Form, typer.Argument(help="CDDL (RFC 8610), an AsyncAPI 3 document (JSON), or the topic table (Markdown).")]) -> None:
    """Print the contract, generated from the code.

    Example: `dockbridge contract show cddl > contract.cddl`
    """
    match form:
        case Form.CDDL:
            sys.stdout.write(describe.cddl())
        case Form.ASYNCAPI:
            emit(describe.asyncapi())
        case Form.TOPICS:
            sys.stdout.write(describe.topic_table().rstrip("\n") + "\n")
