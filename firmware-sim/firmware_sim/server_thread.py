"""A server in a thread of this process: the production application in a site's folder, which can also die as with `kill -9`.

This module does not import a server's parts until a server starts, so that a caller that only imports it does not wait for them.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from firmware_sim.errors import SimError
from firmware_sim.link import loops

if TYPE_CHECKING:
    from bridge.app import Application
    from bridge.broker.embedded import EmbeddedBroker
    from bridge.ingest.pipeline import Settler
    from bridge.store.sql import SqlStore
    from bridge.writer import ThreadWriter

START_S: Final = 30.0
ANSWER_S: Final = 10.0

T = TypeVar("T")


class ServerThread:
    """Serves a site's folder. It can be started again after it stopped or died.

    Args:
        has_control: whether `dockbridge` commands reach it.
    """

    def __init__(self, folder: Path, name: str, *, has_control: bool) -> None:
        self.address = ("", 0)
        self._folder = folder
        self._name = name
        self._has_control = has_control
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def app(self) -> Application:
        """The application itself. What it has may be used on its loop only: `on_loop`.

        Raises:
            SimError: it does not run.
        """
        if not self.is_running:
            raise SimError("the site does not run", fix="`start` it")
        return self._app

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the application's loop, and wait for what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    def start(self) -> None:
        """Serve; the server answers when this returns.

        Raises:
            BridgeError: the site can't be served.
        """
        if self.is_running:
            return
        with warnings.catch_warnings():  # amqtt warns of its own names while it is imported; that is not the business of a test of a device
            warnings.simplefilter("ignore", DeprecationWarning)
            import bridge.app  # noqa: F401
        self._ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name=f"site {self._name}", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S):
            raise SimError(f"the site did not start within {START_S:g} s", fix="check whether the machine is busy")
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop as on Ctrl-C: what was taken in is stored and acknowledged."""
        self._end_with(lambda: self._stopping)

    def kill(self) -> None:
        """Die as with `kill -9`: what is committed stays, nothing more is acknowledged, no client is told."""
        self._end_with(lambda: self._dying)

    def _end_with(self, flag: Callable[[], asyncio.Event]) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(flag().set)
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    # --- its thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            loops.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- the thread that started it raises it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from bridge.app import Application
        from bridge.entrypoints.control.server import ControlServer
        from bridge.serving.parts import Parts

        self._loop = asyncio.get_running_loop()
        self._stopping, self._dying = asyncio.Event(), asyncio.Event()
        self._app = await Application.open(self._folder, parts=Parts(broker=self._make_broker, writer=self._make_writer))
        control = ControlServer(self._app, self._folder)
        try:
            self.address = (await self._app.serve())["mqtt"]
            self._keep_port()
            if self._has_control:
                await control.start()
            self._ready.set()
            ends = [asyncio.ensure_future(event.wait()) for event in (self._stopping, self._dying, self._app.failed)]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
            if self._app.failed.is_set():
                raise SimError("the server ended by itself", fix="see its log: logger `dockbridge`")
        finally:
            if self._has_control:
                await control.stop()
            if self._dying.is_set():
                await self._die()
            else:
                await self._app.close()

    def _make_broker(self, *args: Any, **more: Any) -> EmbeddedBroker:
        from bridge.broker.embedded import EmbeddedBroker

        self._broker = EmbeddedBroker(*args, **more)
        return self._broker

    def _make_writer(self, settler: Settler, store: SqlStore) -> ThreadWriter:
        from bridge.writer import ThreadWriter

        self._writer = ThreadWriter(settler, store)
        return self._writer

    def _keep_port(self) -> None:
        """Write a free port that was taken into the site's settings: its devices find it there after a restart."""
        from bridge.config import CONFIG_NAME
        from bridge.config_file import load, render

        path = self._folder / CONFIG_NAME
        settings = load(path)
        if settings.listen.mqtt.endswith(":0"):
            host, port = self.address
            listen = replace(settings.listen, mqtt=f"{host}:{port}")
            path.write_text(render(replace(settings, listen=listen)), encoding="utf-8")

    async def _die(self) -> None:
        """The writer comes to the end of the commit that it is in: a crash right after it. Then everything is dropped as it stands."""
        broker = self._broker
        broker.stop_listening()
        # The writer's thread must be out of the database before that is closed under it; this loop waits, so that nothing gives it more work.
        self._writer.abandon()
        self._app.abandon()
        for wire in list(broker.wires):
            wire.abort()
        await asyncio.sleep(0)
        await broker.shutdown()  # amqtt's own tasks make a noise in the log if they are only cancelled
        every = asyncio.all_tasks() - {asyncio.current_task()}
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)
