"""From what a user asks for on the command line to the sinks of a pipeline."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmedge.errors import ConfigError
from mmedge.runtime.samples import Frame

if TYPE_CHECKING:
    from mmedge.runtime.sinks import Sink

__all__ = ["Outputs", "make_sinks"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where predictions go; by default to a view on the terminal, and nowhere else.

    Attributes:
        as_json: JSON lines on stdout instead of the view.
        only_events: of the JSON lines only what began or ended.
        show: a window with the picture.
        jsonl: rotated files of JSON lines.
        metrics_file: ``NAME.prom`` for node_exporter.
        http: ``PORT`` or ``HOST:PORT`` of the HTTP face.
        http_token: a file that holds its token.
        record: a recording, ``NAME.recording``.
    """

    as_json: bool = False
    only_events: bool = False
    show: bool = False
    jsonl: Path | None = None
    metrics_file: Path | None = None
    http: str | None = None
    http_token: Path | None = None
    record: Path | None = None


def make_sinks(
    outputs: Outputs, latest_frame: Callable[[], Frame | None], on_quit: Callable[[], None]
) -> list[Sink]:
    """Make the sinks; what cannot work is found here, and not at the first prediction.

    Args:
        outputs: which.
        latest_frame: gives the newest picture, for the window.
        on_quit: called when the window is closed.

    Raises:
        ConfigError: a file or address that cannot be had.
        IncompatibleError: an OpenCV without windows.
        MissingDependencyError: a package that a sink needs is not installed.
    """
    from mmedge.runtime.sinks.jsonl import JsonLines, JsonLinesConfig
    from mmedge.runtime.sinks.lines import What
    from mmedge.runtime.sinks.terminal import Terminal

    what: What = "events" if outputs.only_events else "ticks"
    sinks: list[Sink] = []
    if outputs.as_json:
        sinks.append(JsonLines(JsonLinesConfig(target="-", what=what)))
    else:
        sinks.append(Terminal())
    if outputs.jsonl is not None:
        sinks.append(JsonLines(JsonLinesConfig(target=outputs.jsonl, what=what)))
    if outputs.metrics_file is not None:
        from mmedge.runtime.sinks.metrics_file import MetricsFile, MetricsFileConfig

        sinks.append(MetricsFile(MetricsFileConfig(path=outputs.metrics_file)))
    if outputs.http is not None:
        sinks.append(_server(outputs.http, outputs.http_token))
    if outputs.show:
        from mmedge.runtime.sinks.window import Window, WindowConfig

        sinks.append(Window(WindowConfig(), latest_frame, on_quit=on_quit))
    return sinks


def _server(address: str, token_file: Path | None) -> Sink:
    from mmedge.runtime.server import Server, ServerConfig, find_token

    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal():
        raise ConfigError(f"--http {address!r}: give PORT or HOST:PORT, such as 8080")
    token = ""
    if token_file is not None or not _is_loopback(host):
        found = find_token(os.environ, token_file)
        token = found.value
        if found.origin == "made":
            # The one place where it is told: nobody else knows it.
            _log.warning("whoever asks on %s needs this token: %s", address, token)
    server = Server(ServerConfig(host=host, port=int(port), token=token))
    server.start()
    return server


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
