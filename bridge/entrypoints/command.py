"""The program `dockbridge`, as it is started: Ctrl-C ends it without a traceback, also while its modules are loaded and when it is about to end."""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Run the command that was typed."""
    gc.disable()  # what modules make while they are loaded stays: looking for garbage in it takes a tenth of the time
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # it was started so that Ctrl-C does not concern it
        from bridge.entrypoints.cli.main import main as run

        _collect_again()
        run()
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bridge.entrypoints.cli.main import main as run

    _collect_again()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:  # before the command itself had begun
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _collect_again() -> None:
    gc.freeze()
    gc.enable()
