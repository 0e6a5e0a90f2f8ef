"""The thread of one encoder: takes what is new, encodes it, hands it on."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from mmedge.runtime.pipeline.encoding import Encoding, EncodingStage
from mmedge.runtime.pipeline.rate import Rate
from mmedge.runtime.pipeline.status import ModalityStatus
from mmedge.runtime.rings import Ring

__all__ = ["Worker", "pause_s"]

_log = logging.getLogger(__name__)

_WAIT_S = 0.2
_FAILURES_TO_REOPEN = 3
_MAX_PAUSE_S = 5.0
_SMOOTHING = 0.1
_HELD_UP_NS = 100_000_000


def pause_s(failures: int) -> float:
    """Give how long to wait before the graph is opened anew; 0 if it is not yet."""
    times, rest = divmod(failures, _FAILURES_TO_REOPEN)
    return 0.0 if rest or not times else min(0.1 * 2.0 ** min(times, 10), _MAX_PAUSE_S)


class Worker:
    """Runs one encoder.

    Args:
        stage: prepares and encodes.
        ring: where windows come from.
        deliver: takes what was made.
        reopen: gives the encoder a new graph, after it has failed some times in a row.
        hang_ms: one run may take so long.
        period_ns: from one run to the next at least; 0 for as fast as there is input.
        clock: the pipeline's.
        inherit: the worker that this one replaces, whose counts go on.
    """

    def __init__(
        self,
        stage: EncodingStage,
        ring: Ring,
        deliver: Callable[[Encoding], None],
        reopen: Callable[[], None],
        *,
        hang_ms: int,
        period_ns: int,
        clock: Callable[[], int],
        inherit: Worker | None = None,
    ) -> None:
        self.stage = stage
        self._ring = ring
        self._deliver = deliver
        self._reopen = reopen
        self._hang_ns = hang_ms * 1_000_000
        self._period_ns = period_ns
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"encode-{stage.name}", daemon=True)
        self._busy_since_ns: int | None = None
        self._handing_since_ns: int | None = None
        self._failures = 0
        self._complaints: tuple[str, ...] = ()
        self._encode_ms = math.nan
        self._rate = Rate()
        self.hung = 0
        """How often its encoder hung and was begun anew."""
        self._encodings = self._skipped = 0
        self._degraded = ""
        if inherit is not None:
            self.hung, self._rate = inherit.hung, inherit._rate
            self._encodings, self._skipped = inherit._encodings, inherit._skipped

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; what it is still making is thrown away."""
        self._stopped.set()
        self._ring.wake()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def hangs(self, now_ns: int) -> bool:
        """Tell whether the run that goes on takes too long."""
        since_ns = self._busy_since_ns
        stopped = self._stopped.is_set()
        return not stopped and since_ns is not None and now_ns - since_ns > self._hang_ns

    def held_up(self, now_ns: int) -> bool:
        """Tell whether who takes what it made keeps its thread for too long."""
        since_ns = self._handing_since_ns
        return since_ns is not None and now_ns - since_ns > _HELD_UP_NS

    def say(self, degraded: str) -> None:
        """Say what the encoder suffers from."""
        self._degraded = degraded

    def status(self, absent: str, age_ns: int | None) -> ModalityStatus:
        """Tell how the modality is."""
        return ModalityStatus(
            name=self.stage.name,
            present=not absent,
            reason=absent,
            age_ms=math.nan if age_ns is None else age_ns / 1e6,
            encodings=self._encodings,
            rate_hz=self._rate.per_second(self._clock()),
            skipped=self._skipped + self._ring.disordered,
            encode_ms=self._encode_ms,
            complaints=self._complaints,
            degraded=self._degraded,
        )

    def _run(self) -> None:
        due_ns = 0
        while not self._stopped.is_set():
            early_ns = due_ns - self._clock()
            if early_ns > 0:
                self._stopped.wait(min(early_ns / 1e9, _WAIT_S))
                continue
            window = self._ring.take(_WAIT_S)
            if window is None:
                continue
            self._busy_since_ns = begun_ns = self._clock()
            due_ns = begun_ns + self._period_ns
            try:
                encoding = self.stage(window)
            except Exception as exc:  # noqa: BLE001 - a model that raises must not end the stream
                self._busy_since_ns = None
                self._fail(exc)
            else:
                self._succeed(encoding)
                self._busy_since_ns = self._handing_since_ns = None

    def _succeed(self, encoding: Encoding) -> None:
        if self._stopped.is_set():
            return
        self._failures = 0
        self._degraded = ""
        self._encodings += 1
        self._skipped += encoding.skipped
        self._complaints = encoding.complaints
        now_ns = self._handing_since_ns = self._clock()
        self._busy_since_ns = None
        self._rate.count(now_ns)
        took_ms = sum(encoding.latency_ns.values()) / 1e6
        known = not math.isnan(self._encode_ms)
        step = _SMOOTHING * (took_ms - self._encode_ms) if known else 0.0
        self._encode_ms = self._encode_ms + step if known else took_ms
        self._deliver(encoding)

    def _fail(self, exc: Exception) -> None:
        self._failures += 1
        self._degraded = f"its encoder fails: {exc}"
        if self._failures == 1:
            _log.warning("modality %s: %s", self.stage.name, exc)
        self._ring.interrupt("its encoder failed")
        wait_s = pause_s(self._failures)
        if wait_s and not self._stopped.wait(wait_s):
            try:
                self._reopen()
            except Exception as broken:  # noqa: BLE001 - tried again after the next failures
                self._degraded = f"its encoder cannot be opened again: {broken}"
