"""Records what comes and what was made of it, without delaying either.

Each modality has a thread and a queue of its own, since pictures take long to compress; the
log has one too. What cannot be kept up with is lost and counted.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmedge._closing import Closing
from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding
from mmedge.runtime.pipeline.fusing import Selection
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.recording.layout import HEADER, LOG, SUFFIX, Header
from mmedge.runtime.recording.writer import (
    LinesWriter,
    PicturesWriter,
    SoundWriter,
    TrackWriter,
)
from mmedge.runtime.samples import Block, Frame, Sample
from mmedge.specs import Modality

__all__ = ["RecordConfig", "Recorder"]

_log = logging.getLogger(__name__)

_CLOSING_S = 3.0
_CHECK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Where and how much is recorded.

    Attributes:
        path: the folder ``NAME.recording``; it must not exist.
        max_bytes: the recording ends when it is so large.
        max_s: ... or so long.
        lossless: keep pictures to the bit (FFV1); else by MJPEG, with which a replay no
            longer gives exactly the same decisions.
        waiting_bytes: samples of one modality that may wait to be written.
    """

    path: Path
    max_bytes: int = 4 * 2**30
    max_s: float = 3600
    lossless: bool = True
    waiting_bytes: int = 128 * 2**20

    def __post_init__(self) -> None:
        if self.path.suffix != SUFFIX:
            raise ConfigError(f"a recording's name ends in {SUFFIX}, not {self.path.name!r}")
        if self.path.exists():
            raise ConfigError(f"{self.path} exists already; choose another name")
        for name in ("max_bytes", "max_s", "waiting_bytes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be positive")


class Recorder(Closing):
    """Takes samples, encodings and predictions; never waits.

    Args:
        config: where and how much.
        bundle: what predicts meanwhile.
        live: how the pipeline behaves.
        clock: the pipeline's.
    """

    def __init__(
        self,
        config: RecordConfig,
        bundle: Bundle,
        live: LiveConfig,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config
        self._clock = clock
        self._begun_ns = clock()
        self._header = Header(
            bundle=bundle.digest,
            model=bundle.manifest.name,
            modalities={n: bundle.manifest.modalities[n] for n in bundle.manifest.presence},
            live=asdict(live),
            begun_ns=self._begun_ns,
            begun_utc_ns=time.time_ns(),
            lossless=config.lossless,
        )
        try:
            config.path.mkdir(parents=True)
        except OSError as exc:
            raise ConfigError(f"{config.path} cannot be made: {exc.strerror}") from exc
        self._write_header(self._header)
        self._tracks = {
            name: _Track(_writer(config, name, modality), config.waiting_bytes)
            for name, modality in self._header.modalities.items()
        }
        self._journal = _Track(_LogWriter(config.path), config.waiting_bytes)
        self._checked_ns = self._begun_ns
        self.ended = ""
        """Why it has ended; empty while it goes on."""

    def sample(self, modality: str, sample: Sample) -> None:
        """Take a sample as its source gave it."""
        if not self.ended:
            self._tracks[modality].put(sample, _size(sample))
            self._check()

    def encoding(self, encoding: Encoding) -> None:
        """Take note of an embedding."""
        row = {
            "what": "encoding",
            "modality": encoding.modality,
            "number": encoding.number,
            "place": list(encoding.place),
            "reset": encoding.reset,
            "skipped": encoding.skipped,
        }
        self._note(row)

    def selection(self, selection: Selection, tick: Tick) -> None:
        """Take note of a prediction."""
        uses = {name: encoding.number for name, encoding in selection.present.items()}
        self._note(
            {"what": "tick", "uses": uses, "utc_ns": tick.utc_ns, "decision": tick.decision()}
        )

    def close(self) -> None:
        """Write what waits and the final header; waits some seconds at most."""
        self._end("it was closed")
        for track in (*self._tracks.values(), self._journal):
            track.close()
        complete = not any(t.alive for t in (*self._tracks.values(), self._journal))
        self._write_header(self._described(complete))

    def _note(self, row: dict[str, Any]) -> None:
        if not self.ended:
            self._journal.put(row, 1000)

    def _check(self) -> None:
        """End when a limit is reached; looked at once a second."""
        now_ns = self._clock()
        if now_ns - self._checked_ns < _CHECK_S * 1e9:
            return
        self._checked_ns = now_ns
        if now_ns - self._begun_ns >= self._config.max_s * 1e9:
            self._end(f"it has become {self._config.max_s:g} s long")
        size = sum(file.stat().st_size for file in self._config.path.iterdir())
        if size >= self._config.max_bytes:
            self._end(f"it has reached {self._config.max_bytes} bytes")
        broken = next((t.broken for t in self._tracks.values() if t.broken), self._journal.broken)
        if broken:
            self._end(f"it could not be written: {broken}")

    def _end(self, why: str) -> None:
        if not self.ended:
            self.ended = why
            _log.warning("recording %s: %s", self._config.path, why)

    def _described(self, complete: bool) -> Header:
        tracks = {name: t.writer.track(t.lost) for name, t in self._tracks.items()}
        return self._header.model_copy(
            update={
                "tracks": {name: t for name, t in tracks.items() if t.samples},
                "complete": complete and not any(t.broken for t in self._tracks.values()),
                "ended": self.ended,
            }
        )

    def _write_header(self, header: Header) -> None:
        draft = self._config.path / f".{HEADER}.part"
        draft.write_text(header.model_dump_json(indent=1) + "\n", encoding="utf-8")
        draft.replace(self._config.path / HEADER)


class _LogWriter(TrackWriter):
    """The log: a line per encoding and prediction."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "log")
        self._file = (folder / LOG).open("w", encoding="utf-8")

    def write(self, sample: dict[str, Any]) -> None:
        self._file.write(json.dumps(sample) + "\n")

    def track(self, lost: int) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._file.close()


class _Track:
    """One thread and its queue."""

    def __init__(self, writer: TrackWriter, most_bytes: int) -> None:
        self.writer = writer
        self.lost = 0
        self.broken = ""
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, sample: Any, size_bytes: int) -> None:
        with self._changed:
            if self.broken or self._bytes + size_bytes > self._most_bytes:
                self.lost += 1
                return
            self._waiting.append((sample, size_bytes))
            self._bytes += size_bytes
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        try:
            while (sample := self._next()) is not None:
                self.writer.write(sample)
        except Exception as exc:  # noqa: BLE001 - a full disk ends the recording, nothing else
            self.broken = str(exc) or type(exc).__name__
        try:
            self.writer.close()
        except Exception as exc:  # noqa: BLE001 - as above
            self.broken = self.broken or str(exc)

    def _next(self) -> Any:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            sample, size_bytes = self._waiting.popleft()
            self._bytes -= size_bytes
            return sample


def _writer(config: RecordConfig, name: str, modality: Modality) -> TrackWriter:
    if modality.kind == "image":
        return PicturesWriter(config.path, name, lossless=config.lossless)
    if modality.kind == "sound":
        return SoundWriter(config.path, name)
    return LinesWriter(config.path, name)


def _size(sample: Sample) -> int:
    if isinstance(sample, Frame):
        return sample.pixels.nbytes
    return sample.samples.nbytes if isinstance(sample, Block) else 1000
