"""What operations write that is no event and no change of ingest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from bridge.domain.articles import Article
from bridge.ingest.imported_files import ImportedFileRow
from bridge.operations.carrier_ports import FileUpkeep
from bridge.operations.handover_ports import HandoverWrites
from bridge.operations.place_ports import PlaceUpkeep


class TakenCode(NamedTuple):
    """A code of an article that another article has already."""

    sku: str
    code: str
    owner: str


class ArticlePlan(Struct, frozen=True, kw_only=True):
    """What a list of articles changes: the SKUs that are new or other than before, and how many are the same. If codes are taken, nothing is stored."""

    added: list[str]
    changed: list[str]
    same: int
    taken: list[TakenCode]


class Upkeep(FileUpkeep, HandoverWrites, PlaceUpkeep, Protocol):
    """Writes beside the log. They are called on the writer's thread (`SiteContext.on_writer`).

    Raises:
        StoreUnavailable: if the store can't take writes now.
    """

    def try_store(self) -> None:
        """Commit something that changes nothing, to see whether the store can."""
        ...

    def put_articles(self, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
        """Store articles, or nothing if one of their codes is taken.

        Raises:
            Refused: if there would be too many.
        """
        ...

    def remember_file(self, file: ImportedFileRow, *, files_max: int) -> None:
        """Store that a file of a watched folder came in; only the newest of each channel are kept."""
        ...

    def name_worker(self, badge: str, name: str, *, now_ms: int) -> str:
        """Give a badge a name. Returns its pseudonym."""
        ...

    def name_courier(self, courier: str, name: str, *, now_ms: int) -> None:
        """Give a courier a name."""
        ...

    def drop_quarantined(self, nos: Sequence[int]) -> None:
        """Delete entries of the quarantine."""
        ...
