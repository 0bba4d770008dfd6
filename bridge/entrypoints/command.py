"""The program `dockbridge`, as it is started: Ctrl-C ends it without a traceback, also while its modules are loaded and when it is about to end."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command that was typed."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # it was started so that Ctrl-C does not concern it
        from bridge.entrypoints.cli.main import main as run

        run()
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bridge.entrypoints.cli.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
