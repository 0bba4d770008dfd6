"""The server's certificate while it serves: in use, replaced without a restart, and watched for its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.config import ListenSettings
from bridge.domain.codes.rules import DAY_MS
from bridge.tls import certificate_ends_ms, load_certificate, server_context
from bridge.words import counted

logger = logging.getLogger("dockbridge")

WARNING_DAYS: Final = 30


class ServerCertificate:
    """The TLS context of a site's listeners.

    Attributes:
        context: None if no listener uses TLS.

    Raises:
        ConfigError: if the certificate can't be used.
    """

    def __init__(self, listen: ListenSettings, directory: Path, now_ms: Callable[[], int]) -> None:
        self._listen = listen
        self._directory = directory
        self._now_ms = now_ms
        self.context = server_context(listen, directory)

    def reload(self, listen: ListenSettings | None = None) -> bool:
        """Use the certificate as it now is in its file, for every connection from now on. Returns False if no listener uses TLS.

        Args:
            listen: the settings that name the file, if they have changed.

        Raises:
            ConfigError: if it can't be used; the present one stays in use.
        """
        if self.context is None:
            return False
        listen = listen if listen is not None else self._listen
        server_context(listen, self._directory)  # a trial, so that a key that does not fit leaves the context in use as it is
        load_certificate(self.context, listen, self._directory)
        self._listen = listen
        return True

    async def watch(self) -> None:
        """Warn once a day when the end is near, until cancelled."""
        while True:
            ends_ms = certificate_ends_ms(self._directory / self._listen.tls_cert_file)
            if ends_ms is not None and (left_ms := ends_ms - self._now_ms()) < WARNING_DAYS * DAY_MS:
                when = "has ended" if left_ms < 0 else f"ends in {counted(left_ms // DAY_MS, 'day')}"
                logger.warning("the server's certificate %s; `dockbridge certificate renew` makes another", when)
            await asyncio.sleep(DAY_MS / 1000)
