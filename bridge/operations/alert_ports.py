"""What operations need to read of alerts."""

from __future__ import annotations

from typing import Protocol

from bridge.operations.order_ports import Row


class AlertQueries(Protocol):
    """Alerts, and what people said of them."""

    def alerts(self) -> list[Row]:
        """The alerts that are raised now, the oldest first, with what people said of them: see `operations.alerts.AlertNow`. A silence may be over."""
        ...

    def silences(self) -> list[Row]:
        """What is silenced: `code`, `subject` (empty: every one), `until_ms`, `at_ms`, `who` and `reason`. It may be over."""
        ...
