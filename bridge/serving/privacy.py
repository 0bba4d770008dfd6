"""How a site forgets: see `operations.privacy_ports.Privacy`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bridge.config import DATABASE_NAME
from bridge.errors import NotFound, Refused
from bridge.ingest.ports import StoreUnavailable
from bridge.ingest.workers import WorkerRow, about_badge, hashes_of
from bridge.operations.privacy_ports import BackupLeft, KeyStatus, Proof, SearchedFile
from bridge.operations.sealed_text import open_text
from bridge.searching import forms_of, search
from bridge.serving.backups import backups_of
from bridge.serving.open_site import OpenSite
from bridge.store import forgetting, workers
from bridge.store.people import People
from bridge.store.sealing import rows_by_key, wrap_anew
from bridge.vault import SealError, SiteKey, key_part
from bridge.words import counted

logger = logging.getLogger("dockbridge")

HOUR_MS: Final = 3_600_000
_COPIES: Final = (f"{Path(DATABASE_NAME).stem}-before-*.db", "replaced-*/*.db")
"""Copies of the database that an upgrade and a restore leave."""


class SitePrivacy:
    """The writes and searches of one site."""

    def __init__(self, site: OpenSite, people: People) -> None:
        self._site = site
        self._people = people

    def forget(self, orders: Sequence[str], *, at_ms: int) -> list[bytes]:
        parts = forgetting.sealed_of(self._site.reader, orders)
        forget_as_asked(self._site, orders, at_ms)
        return parts

    def forget_worker(self, who: str, *, at_ms: int) -> list[WorkerRow]:
        site = self._site
        rows = workers.rows_of_worker(site.reader, site.vault, who)
        if not rows:
            return []
        pseudonyms, hashes = [row.pseudonym for row in rows], self._badge_hashes(rows)
        site.privacy_log.worker_forgotten(pseudonyms, hashes, at_ms)
        with forgetting.secure(site.engine) as connection:
            forgetting.unlink(connection, pseudonyms, hashes, at_ms)
        site.settler.forget_workers()
        return rows

    def _badge_hashes(self, rows: Sequence[WorkerRow]) -> list[bytes]:
        """All hashes of the badge of these rows: each of the site's keys gave it another one."""
        found = dict.fromkeys(row.badge_hash for row in rows)
        for row in rows:
            with suppress(SealError):
                found |= dict.fromkeys(hashes_of(self._site.vault, self._site.vault.open(row.badge, about_badge(row.pseudonym)).decode()))
        return list(found)

    def forget_courier(self, courier: str, *, at_ms: int) -> bytes | None:
        name = next((row.name for row in self._site.queries.courier_names() if row.courier == courier), None)
        phones = [device.device for device in self._site.registry.list() if device.courier == courier]
        self._site.privacy_log.courier_forgotten(courier, phones, at_ms)
        with forgetting.secure(self._site.engine) as connection:
            forgetting.drop_courier_name(connection, courier, at_ms)
            forgetting.drop_positions(connection, phones, at_ms)
        self._site.settler.forget_places()
        return name

    def forget_texts(self, texts: Sequence[str], typed: Sequence[str]) -> int:
        folded = [text.casefold().encode() for text in typed]
        gone = forgetting.drop_quarantined_with(self._site.engine, self._site.vault, texts)
        gone += forgetting.forget_words(self._site.engine, lambda word: any(text in open_text(self._site.vault, word).casefold().encode() for text in folded))
        return gone + self._site.audit.forget(folded)

    def request(self, orders: Sequence[str], *, at_ms: int) -> None:
        self._site.privacy_log.requested(orders, at_ms)
        forgetting.request(self._site.engine, orders, at_ms)

    def hold(self, order: str, *, at_ms: int) -> None:
        self._site.privacy_log.held(order, at_ms)
        forgetting.hold(self._site.engine, order, at_ms)

    def lift(self, order: str, *, at_ms: int) -> None:
        self._site.privacy_log.lifted(order, at_ms)
        forgetting.lift(self._site.engine, order)

    async def prove(self, texts: Sequence[str], sealed: Sequence[bytes]) -> Proof:
        is_empty = await self._site.writer.run(lambda: forgetting.empty_log(self._site.engine))
        needles = [form for text in texts for form in forms_of(text)] + [key_part(part) for part in sealed]
        searched = await self._site.aside(search, list(self._files()), needles)
        return Proof(searched=[SearchedFile(file=s.file, bytes=s.bytes, found=s.found) for s in searched], log_is_empty=is_empty)

    def backups(self) -> list[BackupLeft]:
        settings, directory = self._site.settings, self._site.directory
        kept_ms = int(settings.backup.keep * settings.backup.every_h * HOUR_MS)
        own_backups = backups_of(directory, settings)
        made = own_backups.made() if own_backups is not None else []
        own = [(int(at.timestamp() * 1000), path) for at, path in made]
        others = [(int(path.stat().st_mtime * 1000), path) for path in self._copies()]
        found = [BackupLeft(file=str(path), made_ms=ms, expires_ms=ms + kept_ms) for ms, path in own]
        return found + [BackupLeft(file=str(path), made_ms=ms, expires_ms=None) for ms, path in others]

    # --- keys -------------------------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyStatus]:
        vault, rows = self._site.vault, rows_by_key(self._site.reader)
        here = {key.id for key in vault.keys}
        missing = [SiteKey(key_id, "", b"", 0) for key_id in sorted(rows.keys() - here)]
        return [
            KeyStatus(
                key=key.id.hex(),
                created_ms=key.created_ms,
                backed_up_ms=key.backed_up_ms,
                is_here=key.id in here,
                is_current=key.id == vault.current.id,
                rows=rows.get(key.id, 0),
            )
            for key in (*missing, *vault.keys)
        ]

    def make_key(self, *, now_ms: int) -> None:
        self._site.keys.make(now_ms=now_ms)
        self._site.vault.reload()

    def wrap_anew(self, *, rows_max: int) -> int:
        # People first: their sealed secrets are in the file beside the database, too.
        wrapped = self._people.wrap_factors_anew(self._site.vault.wrap_anew, rows_max=rows_max)
        return wrapped or wrap_anew(self._site.engine, self._site.vault, rows_max=rows_max)

    def mark_backed_up(self, key: str, *, now_ms: int) -> None:
        self._site.keys.put(self._found(key)._replace(backed_up_ms=now_ms))
        self._site.vault.reload()

    def destroy_key(self, key: str) -> None:
        found = self._found(key)
        if found.id == self._site.vault.current.id:
            raise Refused(f"key {key} is the newest one", fix="make a new one first: `dockbridge keys rotate`")
        if rows := rows_by_key(self._site.reader).get(found.id, 0):
            raise Refused(f"key {key} still seals {counted(rows, 'row')}", fix="wrap them anew first: `dockbridge keys rotate --go-on`")
        self._site.keys.destroy(found.id)
        self._site.vault.forget(found.id)

    def reload_keys(self) -> None:
        self._site.vault.reload()

    def _found(self, key: str) -> SiteKey:
        for found in self._site.vault.keys:
            if found.id.hex() == key:
                return found
        raise NotFound(f"there is no key {key}", fix="`dockbridge keys status` lists them")

    def _copies(self) -> list[Path]:
        return sorted(path for pattern in _COPIES for path in self._site.directory.glob(pattern))

    def _files(self) -> Iterator[Path]:
        """Every file of the site, without its backups and copies, and without what cannot be read as a file."""
        copies, backups = set(self._copies()), (self._site.directory / self._site.settings.backup.folder).resolve()
        for path in sorted(self._site.directory.rglob("*")):
            if path.is_file() and path not in copies and not (self._site.settings.backup.folder and path.resolve().is_relative_to(backups)):
                yield path


def forget_as_asked(site: OpenSite, orders: Sequence[str], at_ms: int) -> None:
    """Forget orders because somebody asked for it: no restore of an older backup undoes that. Call it on the writer's thread."""
    site.privacy_log.forgotten(orders, at_ms)  # first: what a crash leaves undone is done at the next start
    forgetting.forget_orders(site.engine, orders, at_ms)


async def warn_without_sheet(site: OpenSite) -> None:
    """Say that a key is nowhere but in its folder, once something is sealed with it. It reads every sealed row: no start should wait for that."""
    try:
        rows = await site.aside(rows_by_key, site.reader)
    except StoreUnavailable as error:
        logger.warning("it can't be said now whether each key has a recovery sheet: %s", error)
        return
    for key in site.vault.keys:
        if rows.get(key.id) and not key.backed_up_ms:
            logger.warning("key %s has no recovery sheet: if %s is lost, so is who gets the orders; run `dockbridge keys backup`", key.id.hex(), site.keys.path)
    for key_id in sorted(rows.keys() - {key.id for key in site.vault.keys}):
        logger.warning("key %s is missing, which seals %d rows; type it in from its recovery sheet: `dockbridge keys restore`", key_id.hex(), rows[key_id])
