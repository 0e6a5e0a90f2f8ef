"""From what a user asks for on the command line to the sinks of a pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from mmedge.errors import ConfigError
from mmedge.runtime.samples import Frame

if TYPE_CHECKING:
    from mmedge.runtime.pipeline.recorder import RecordConfig
    from mmedge.runtime.sinks import Sink

__all__ = ["Outputs", "make_sinks"]


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
        record: keeps everything that comes in a recording.
    """

    as_json: bool = False
    only_events: bool = False
    show: bool = False
    jsonl: Path | None = None
    metrics_file: Path | None = None
    http: str | None = None
    http_token: Path | None = None
    record: RecordConfig | None = None

    def __post_init__(self) -> None:
        if self.http_token is not None and self.http is None:
            raise ConfigError("a token is of no use without --http")
        if self.only_events and not self.as_json and self.jsonl is None:
            raise ConfigError("only events of what? Give --json or --jsonl FILE as well")


def make_sinks(
    outputs: Outputs,
    latest_frame: Callable[[], Frame | None],
    on_quit: Callable[[], None],
    tell: Callable[[str], None],
) -> list[Sink]:
    """Make the sinks; what cannot work is found here, and not at the first prediction.

    Args:
        outputs: which.
        latest_frame: gives the newest picture, for the window.
        on_quit: called when the window is closed, or the reader of stdout has gone and nothing
            else is wanted.
        tell: told a token that was made, for people; it belongs in no log.

    Raises:
        ConfigError: a file or address that cannot be had.
        IncompatibleError: an OpenCV without windows.
        MissingDependencyError: a package that a sink needs is not installed.
    """
    from mmedge.runtime.sinks.jsonl import JsonLines, JsonLinesConfig
    from mmedge.runtime.sinks.lines import What

    what: What = "events" if outputs.only_events else "ticks"
    with ExitStack() as made:  # what was made is closed again if what follows cannot be

        def add(sink: Sink) -> None:
            made.callback(sink.close)
            sinks.append(sink)

        sinks: list[Sink] = []
        if outputs.http is not None:
            add(_server(outputs.http, outputs.http_token, tell))
        if outputs.show:
            from mmedge.runtime.sinks.window import Window, WindowConfig

            add(Window(WindowConfig(), latest_frame, on_quit=on_quit))
        if outputs.jsonl is not None:
            add(JsonLines(JsonLinesConfig(target=outputs.jsonl, what=what)))
        if outputs.metrics_file is not None:
            from mmedge.runtime.sinks.metrics_file import MetricsFile, MetricsFileConfig

            add(MetricsFile(MetricsFileConfig(path=outputs.metrics_file)))
        stdout = JsonLinesConfig(target="-", what=what)
        alone = not sinks and outputs.record is None
        if outputs.as_json:
            add(JsonLines(stdout, on_gone=on_quit if alone else None))
        else:
            from mmedge.runtime.sinks.terminal import Terminal  # rich takes a while, and memory

            add(Terminal())
        made.pop_all()
    return sinks


def _server(address: str, token_file: Path | None, tell: Callable[[str], None]) -> Sink:
    from mmedge.runtime.server import Server, ServerConfig, find_token
    from mmedge.runtime.server.token import TOKEN_VARIABLE

    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ConfigError(f"--http {address!r}: give PORT or HOST:PORT, such as 8080")
    wanted = token_file is not None or bool(os.environ.get(TOKEN_VARIABLE))
    guarded = wanted or not _is_loopback(host)
    token = find_token(os.environ, token_file) if guarded else None
    config = ServerConfig(host=host, port=int(port), token="" if token is None else token.value)
    server = Server(config)
    server.start()
    if token is not None and token.origin == "made":
        # The one place where it is told: nobody else knows it.
        tell(f"whoever asks on {address} needs this token: {token.value}")
    return server


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # the server says what is wrong with it
