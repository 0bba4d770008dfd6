"""`dockbridge orders`: the group. What takes orders in is in `order_import.py`, what reads in `order_reads.py`, what a dispatcher does in `order_acts.py`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Import orders, look at them, see why they are where they are.\n\nExample: `dockbridge orders explain PO-17`")

OrderArgument = Annotated[str, typer.Argument(help="The order's id.")]
