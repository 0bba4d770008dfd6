"""`dockbridge sim …`: another name of `firmware-sim`, so that a user of this program finds it."""

from __future__ import annotations

import typer


def sim(context: typer.Context) -> None:
    """Simulate devices: run a scenario, break it, judge it, replay it. The same as `firmware-sim`.

    Example: `dockbridge sim run quiet-morning`
    """
    # Imported here: no other command needs the simulator.
    from firmware_sim.cli import main

    main("dockbridge sim", context.args)
