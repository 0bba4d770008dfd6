"""A site's rules for ingest; `config/bridge.toml` describes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2

from bridge.domain.carriers import CarrierRules
from bridge.domain.codes.rules import CodeRules
from bridge.domain.facts import Unpaid
from bridge.domain.notices import NoticeRules
from bridge.domain.positions import PointRules, ShowingRules
from bridge.domain.visits import VisitRules
from bridge.ingest.sealing import NoSealer, Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A site's settings, in the terms of ingest and its projections."""

    site: str
    order_events_max: int = 2_000
    order_repeats_max: int = 100
    codes: CodeRules = CodeRules()  # noqa: RUF009 -- a tuple
    parked_deadline_ms: int = 86_400_000
    silent_after_ms: int = 259_200_000
    carriers: CarrierRules = CarrierRules()  # noqa: RUF009 -- frozen
    carrier_silent_after_ms: int = 604_800_000
    attempts_max: int = 3
    complete_after_ms: int | None = 604_800_000
    """None: never."""
    late_risk_before_ms: int = 14_400_000
    mispicks_keep_ms: int = 7_776_000_000
    unpaid: Unpaid = Unpaid.BLOCK_PICK
    status_keep_ms: int = 2_592_000_000
    gap_alert_after_ms: int = 600_000
    quiet_after_ms: int = 120_000
    positions_keep_ms: int = 604_800_000
    points: PointRules = PointRules()  # noqa: RUF009 -- a tuple
    showing: ShowingRules = ShowingRules()  # noqa: RUF009 -- a tuple
    visits: VisitRules = VisitRules()  # noqa: RUF009 -- a tuple
    position_alert_after_ms: int = 1_800_000
    quarantine_entries_max: int = 10_000
    stale_after_ms: int = 0
    """0: never."""
    stale_channels: tuple[tuple[str, int], ...] = ()
    """(channel, ms) of channels that have their own."""
    language: str = "en"
    """Of the names of articles in receipts: zh or en."""
    encode: Callable[[Any], bytes] = cbor2.dumps
    """Encodes published payloads; maps have their keys in deterministic order."""
    epoch: int = 0
    """How often the database was restored from a backup."""
    sealer: Sealer = NoSealer()  # noqa: RUF009 -- it has no state
    """Seals personal data, and what is quarantined."""
    pseudonym_ms: int = 2_592_000_000
    """After so long a worker's badge gets another pseudonym."""
    worker_keep_ms: int = 5_184_000_000
    """How long after its last use it is known whose pseudonym one is."""
    workers_max: int = 20_000
    """Pseudonyms of which it is known."""
    tours: bool = True
    """Whether parcels that a courier takes along go into the courier's own job."""
    shift_longest_ms: int = 50_400_000
    """After so long, a courier's shift that nobody ended counts as ended."""
    cash_open_after_ms: int = 43_200_000
    """So long after the end of a shift, its cash is to be counted."""
    quarantine_keep_ms: int = 1_209_600_000
    """How long what systems sent, and what could not be applied, is kept."""
    is_lab: bool = False
    """A lab publishes nothing of its own: a client that subscribes to `#` receives only what other clients publish."""
    notices: NoticeRules | None = None
    """What customers are told; None: nothing."""
    order_bound_from: int = field(init=False)
    """With fewer events than this, no bound of an order is reached."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "order_bound_from", min(self.order_events_max, self.order_repeats_max))
