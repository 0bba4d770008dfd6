"""`dockbridge contract`: the wire contract, for other languages and tools."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="Print the wire contract.\n\nExample: `dockbridge contract show cddl`")


class Form(StrEnum):
    """The forms in which the contract can be printed."""

    CDDL = "cddl"
    ASYNCAPI = "asyncapi"
    TOPICS = "topics"


@app.command()
def show(form: Annotated[Form, typer.Argument(help="CDDL (RFC 8610), an AsyncAPI 3 document (JSON), or the topic table (Markdown).")]) -> None:
    """Print the contract, generated from the code.

    Example: `dockbridge contract show cddl > contract.cddl`
    """
    from devices.protocol import describe  # only this command pays for loading it

    match form:
        case Form.CDDL:
            sys.stdout.write(describe.cddl())
        case Form.ASYNCAPI:
            print_json(describe.asyncapi())
        case Form.TOPICS:
            sys.stdout.write(describe.topic_table().rstrip("\n") + "\n")
