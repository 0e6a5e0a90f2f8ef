"""Records what comes and what was made of it, without delaying either.

Each modality has a thread and a queue of its own, since pictures take long to compress; the
log has one too. What cannot be kept up with is lost and counted. A recording that reaches its
limit, or that a full disk stops, ends by itself; predictions go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mmedge._closing import Closing
from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding
from mmedge.runtime.pipeline.fusing import Selection
from mmedge.runtime.pipeline.record_queue import RecordQueue
from mmedge.runtime.pipeline.status import SinkStatus
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.recording.layout import HEADER, SUFFIX, Header
from mmedge.runtime.recording.writer import (
    LinesWriter,
    LogWriter,
    PicturesWriter,
    SoundWriter,
    TrackWriter,
)
from mmedge.runtime.samples import Block, Frame, Sample
from mmedge.specs import Modality

__all__ = ["RecordConfig", "Recorder"]

_log = logging.getLogger(__name__)

_CLOSING_S = 3.0
_CHECK_NS = 500_000_000
_LINE_BYTES = 1000
"""What a line of the log or of a text takes while it waits, about."""


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
            if not getattr(self, name) > 0:
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
        self._header = Header(
            bundle=bundle.digest,
            model=bundle.manifest.name,
            modalities={n: bundle.manifest.modalities[n] for n in bundle.manifest.presence},
            live=asdict(live),
            begun_ns=clock(),
            begun_utc_ns=time.time_ns(),
            lossless=config.lossless,
        )
        self._checked_ns = self._header.begun_ns
        self._writers: dict[str, TrackWriter] = {}
        self._tracks = {n: RecordQueue(config.waiting_bytes) for n in self._header.modalities}
        self._log = RecordQueue(config.waiting_bytes)
        self._queues = [*self._tracks.values(), self._log]
        self._begun = False
        self._ended_ns: int | None = None
        self._ending = threading.Lock()
        self._writing = threading.Lock()
        self._finished = False
        self.ended = ""
        """Why it has ended; empty while it goes on."""

    def start(self) -> None:
        """Make the folder, and begin to write what has come and comes. The pipeline does this.

        Raises:
            ConfigError: it cannot be made.
        """
        config = self._config
        begun_ns = self._clock()
        self._header = self._header.model_copy(
            update={"begun_ns": begun_ns, "begun_utc_ns": time.time_ns()}
        )
        self._checked_ns = begun_ns
        try:
            config.path.mkdir(parents=True)
            self._write_header(self._header)
            for name, modality in self._header.modalities.items():
                self._writers[name] = _writer(config, name, modality)
            log = LogWriter(config.path)
        except OSError as exc:
            for writer in self._writers.values():
                writer.close()
            told = "it exists already" if isinstance(exc, FileExistsError) else exc.strerror
            raise ConfigError(f"{config.path} cannot be made: {told}") from exc
        for name, writer in self._writers.items():
            self._tracks[name].start(writer, self._tell)
        self._log.start(log, self._tell)
        self._begun = True

    def sample(self, modality: str, sample: Sample) -> None:
        """Take a sample as its source gave it; of what the first bundle lacks nothing is kept."""
        if not self.ended and modality in self._tracks:
            self._tracks[modality].put(sample, _size(sample))

    def prompts(self, texts: Sequence[str], template: str | Sequence[str]) -> None:
        """Take note of the texts that a matching task chooses among from now on."""
        template = template if isinstance(template, str) else list(template)
        row = {"time_ns": self._clock(), "texts": list(texts), "template": template}
        self._note({"what": "prompts", **row})

    def threads(self, graphs: Mapping[str, int | None], backend: str, plan: str) -> None:
        """Take note of what runs the graphs from now on, and with how many threads each."""
        row = {"graphs": dict(graphs), "backend": backend, "plan": plan}
        self._note({"what": "threads", **row})

    def swap(self, bundle: Bundle) -> None:
        """Take note that what comes from now on was made with a bundle opened anew."""
        self._note({"what": "swap", "bundle": bundle.digest})

    def encoding(self, encoding: Encoding) -> None:
        """Take note of an embedding."""
        self._note(
            {
                "what": "encoding",
                "modality": encoding.modality,
                "number": encoding.number,
                "place": list(encoding.place),
                "reset": encoding.reset,
                "skipped": encoding.skipped,
            }
        )

    def selection(self, selection: Selection, tick: Tick) -> None:
        """Take note of a prediction."""
        uses = {name: encoding.number for name, encoding in selection.present.items()}
        self._note(
            {"what": "tick", "uses": uses, "utc_ns": tick.utc_ns, "decision": tick.decision()}
        )

    def poll(self) -> None:
        """End when a limit is reached, and write the end; the pipeline does this now and then."""
        now_ns = self._clock()
        if not self._begun or now_ns - self._checked_ns < _CHECK_NS:
            return
        self._checked_ns = now_ns
        if not self.ended:
            self._check(now_ns)
        elif not any(queue.alive for queue in self._queues):
            self._finish()

    def status(self) -> SinkStatus:
        """Tell what was taken and lost, and why it has ended, if it has."""
        return SinkStatus(
            name="recording",
            taken=sum(writer.samples for writer in self._writers.values()),
            dropped=sum(queue.lost for queue in self._queues),
            degraded=self.ended,
        )

    def stop(self, why: str = "it was closed") -> None:
        """Take no more, and let what waits be written; does not wait for that."""
        with self._ending:
            if self.ended:
                return
            self.ended = why
            self._ended_ns = self._clock()
        _log.info("recording %s: %s", self._config.path, why)
        for queue in self._queues:
            queue.stop()

    def close(self, timeout_s: float = _CLOSING_S) -> None:
        """Write what waits and the final header; waits at most so long."""
        self.stop()
        until_s = time.monotonic() + timeout_s
        for queue in self._queues:
            queue.join(max(until_s - time.monotonic(), 0))
        self._finish()

    def _tell(self) -> None:
        self._write_header(self._described(complete=False))

    def _note(self, row: dict[str, object]) -> None:
        if not self.ended:
            self._log.put(row, _LINE_BYTES)

    def _check(self, now_ns: int) -> None:
        broken = [queue.broken for queue in self._queues if queue.broken]
        if broken:
            _log.warning("recording %s cannot go on: %s", self._config.path, broken[0])
            self.stop(f"it could not be written: {broken[0]}")
        elif now_ns - self._header.begun_ns >= self._config.max_s * 1e9:
            self.stop(f"it has become {self._config.max_s:g} s long")
        elif _folder_bytes(self._config.path) >= self._config.max_bytes:
            self.stop(f"it has reached {self._config.max_bytes} bytes")

    def _finish(self) -> None:
        with self._ending:
            if self._finished or not self._begun:
                return
            self._finished = True
        whole = not any(queue.alive or queue.broken for queue in self._queues)
        try:
            self._write_header(self._described(complete=whole))
        except OSError as exc:
            _log.warning("the end of %s cannot be written: %s", self._config.path, exc.strerror)

    def _described(self, *, complete: bool) -> Header:
        tracks = {n: writer.track(self._tracks[n].lost) for n, writer in self._writers.items()}
        return self._header.model_copy(
            update={
                "tracks": {name: track for name, track in tracks.items() if track.samples},
                "complete": complete,
                "ended": self.ended,
                "ended_ns": self._ended_ns,
            }
        )

    def _write_header(self, header: Header) -> None:
        draft = self._config.path / f".{HEADER}.part"
        with self._writing:
            try:
                draft.write_text(header.model_dump_json(indent=1) + "\n", encoding="utf-8")
                draft.replace(self._config.path / HEADER)
            except OSError:
                draft.unlink(missing_ok=True)
                raise


def _folder_bytes(folder: Path) -> int:
    """Add up the sizes of the files; what goes away meanwhile counts nothing."""
    total = 0
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):
                total += file.stat().st_size
    return total


def _writer(config: RecordConfig, name: str, modality: Modality) -> TrackWriter:
    if modality.kind == "image":
        return PicturesWriter(config.path, name, lossless=config.lossless)
    if modality.kind == "sound":
        return SoundWriter(config.path, name)
    return LinesWriter(config.path, name)


def _size(sample: Sample) -> int:
    if isinstance(sample, Frame):
        return sample.pixels.nbytes
    return sample.samples.nbytes if isinstance(sample, Block) else _LINE_BYTES
