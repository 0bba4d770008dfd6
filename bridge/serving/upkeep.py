"""What operations write beside the log: see `operations.upkeep_ports.Upkeep`."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain.articles import Article
from bridge.domain.places import Place
from bridge.ingest.channel_files import ChannelFileRow, DenialRow, ExportRow
from bridge.ingest.imported_files import ImportedFileRow
from bridge.operations.handover_ports import Handover
from bridge.operations.place_ports import PlacePlan
from bridge.operations.upkeep_ports import ArticlePlan
from bridge.serving.open_site import OpenSite
from bridge.store.articles import put_articles
from bridge.store.carrier_queries import note_file, put_denials, remember_export
from bridge.store.database import drop_quarantined
from bridge.store.handovers import close_handover
from bridge.store.imported_files import remember_file
from bridge.store.places import put_places
from bridge.store.workers import name_courier, name_worker


class StoreUpkeep:
    """The writes of `Upkeep`, in a site's database."""

    def __init__(self, site: OpenSite) -> None:
        self._site = site

    def try_store(self) -> None:
        self._site.store.try_commit()

    def put_articles(self, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
        plan = put_articles(self._site.engine, articles, articles_max=articles_max)
        self._site.settler.forget_articles()
        return plan

    def put_places(self, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
        plan = put_places(self._site.engine, places, removes_others=removes_others, places_max=places_max)
        self._site.settler.forget_places()
        return plan

    def remember_file(self, file: ImportedFileRow, *, files_max: int) -> None:
        remember_file(self._site.engine, file, files_max=files_max)

    def close_handover(self, handover: Handover, *, keep_from_ms: int) -> int:
        return close_handover(self._site.engine, handover, keep_from_ms=keep_from_ms)

    def name_worker(self, badge: str, name: str, *, now_ms: int) -> str:
        return name_worker(self._site.engine, self._site.vault, badge, name, now_ms)

    def name_courier(self, courier: str, name: str, *, now_ms: int) -> None:
        name_courier(self._site.engine, self._site.vault, courier, name, now_ms)

    def drop_quarantined(self, nos: Sequence[int]) -> None:
        drop_quarantined(self._site.engine, nos)

    def remember_export(self, row: ExportRow) -> None:
        remember_export(self._site.engine, row)

    def note_file(self, row: ChannelFileRow) -> None:
        note_file(self._site.engine, row)

    def put_denials(self, rows: Sequence[DenialRow], *, denials_max: int) -> None:
        put_denials(self._site.engine, rows, denials_max=denials_max)
