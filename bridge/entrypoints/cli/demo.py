"""`dockbridge demo`: a shift of simulated orders, scanners and couriers, with a real server on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.clock import anchored_clock
from bridge.config import DATABASE_NAME, ListenSettings, Settings
from bridge.entrypoints.cli.output import JsonOption, print_json, print_rich, progress, say
from bridge.errors import BridgeError
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine

if TYPE_CHECKING:
    from firmware_sim.workload import Workload

STOP_S = 20.0


def demo(
    seed: Annotated[int, typer.Option(help="A different seed gives a different shift.")] = 1,
    speed: Annotated[float, typer.Option(min=1, max=1000, help="How many times faster than people the simulated workers are.")] = 20.0,
    as_json: JsonOption = False,
) -> None:
    """Watch a shift: start a server in a temporary folder, simulate 20 orders, 3 scanners and 2 couriers over real MQTT, and show how every order ended.

    Example: `dockbridge demo`
    """
    # Imported here: no other command needs the simulator.
    from firmware_sim.demo import plan_demo, run_demo, to_json
    from firmware_sim.errors import SimError
    from firmware_sim.show import render

    workload = plan_demo(seed)
    with tempfile.TemporaryDirectory(prefix="dockbridge-demo-") as folder:
        passwords = _make_site(Path(folder) / "site", workload)
        with _served(Path(folder) / "site") as (host, port), progress() as bar:
            task = bar.add_task("orders ended as planned", total=len(workload.orders))
            try:
                result = run_demo(workload, host, port, passwords, lambda p: bar.update(task, completed=p.agreed), speed=speed)
            except SimError as error:
                raise BridgeError(f"the simulated shift failed: {error}", fix="run it again, or another one with `dockbridge demo --seed 2`") from error
    if as_json:
        print_json(to_json(result))
    else:
        print_rich(render(result))
    if not result.ok:
        say("Not every order ended as planned.")
        raise typer.Exit(1)


def _make_site(site: Path, workload: Workload) -> dict[str, str]:
    """Make a site and enrol the shift's devices. Returns their passwords."""
    from bridge.site_folder import make_site

    make_site(site, Settings(listen=ListenSettings(mqtt="127.0.0.1:0")))
    engine = open_engine(site / DATABASE_NAME)
    registry = Registry(engine, engine, "main")
    now_ms = anchored_clock().now_ms()
    return {d.name: registry.add(d.name, d.role, now_ms=now_ms, courier=d.courier) or "" for d in workload.devices}


@contextmanager
def _served(site: Path) -> Iterator[tuple[str, int]]:
    """A server process for the site, as (host, port) of its MQTT listener."""
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", str(site), "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603 -- our own program
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            raise BridgeError("the server did not start", fix=f"see why with `dockbridge serve {site}`")
        host, _, port = json.loads(line)["addresses"]["mqtt"].removeprefix("mqtt://").rpartition(":")
        say(f"The server listens on {host}:{port}. The shift begins.")
        yield host, int(port)
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdout is not None:
            server.stdout.close()
