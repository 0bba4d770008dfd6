"""What a server offers over HTTP, by its settings."""

from __future__ import annotations

from pathlib import Path

from bridge.app import Application
from bridge.entrypoints.http import health, metrics
from bridge.entrypoints.http.gauges import GaugeReader
from bridge.entrypoints.http.health import Health
from bridge.entrypoints.http.metrics import Metrics
from bridge.entrypoints.http.server import HttpBounds, HttpServer


async def serve_metrics(app: Application, directory: Path) -> HttpServer:
    """Serve health and metrics on `metrics.listen`.

    Raises:
        SiteError: if that address can't be had.
    """
    settings = app.settings.metrics
    bounds = HttpBounds(connections_max=settings.connections_max, request_bytes_max=settings.request_bytes_max, request_timeout_s=settings.request_timeout_s)
    checks = Health(app, app.failed.is_set, commit_timeout_s=settings.commit_timeout_s)
    reader = GaugeReader(app, directory, every_s=settings.read_every_s)
    routes = [*health.routes(checks), *metrics.routes(Metrics(app, reader))]
    return await HttpServer.start("metrics.listen", settings.listen, routes, bounds)
