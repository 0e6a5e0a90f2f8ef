"""A stream's own time, mapped onto the pipeline's clock."""

from __future__ import annotations

__all__ = ["StreamClock"]

_NS_PER_S = 1_000_000_000
_WINDOW_NS = 10 * _NS_PER_S
_LATE_NS = _NS_PER_S
_STEP_NS = _NS_PER_S // 2


class StreamClock:
    """Knows when what a stream stamps with its own time was captured.

    Nothing tells when a stream's zero was, but nothing comes before it was captured: of
    all lately seen differences between arrival and stream time the least is nearest to
    the truth, off by the shortest way through encoder and network. (NTP picks the sample of
    least delay for the same reason: RFC 5905, section 10.) "Lately" is the last 10 to 20 s,
    so that the mapping follows a sender whose clock runs faster or slower.

    All tracks of a stream share one, so that what they have to do with each other stays
    exactly as the sender stamped it.
    """

    def __init__(self) -> None:
        self.anchors = 0
        self._last_ns = self._last_offset_ns = 0
        self._began_ns = self._least_ns = self._before_ns = 0

    def note(self, stream_ns: int, arrival_ns: int) -> bool:
        """Take notice of something that came.

        A step of stream time anchors the mapping anew, and `anchors` counts up.

        Args:
            stream_ns: end of what came, on the stream's clock.
            arrival_ns: when it came, on the pipeline's.

        Returns:
            Whether it is fresh; ``False`` if it comes more than a second late.
        """
        offset_ns = arrival_ns - stream_ns
        if not self.anchors or self._stepped(offset_ns, arrival_ns):
            self._anchor(offset_ns, arrival_ns)
        self._last_ns, self._last_offset_ns = arrival_ns, offset_ns
        if offset_ns - self.offset_ns > _LATE_NS:
            return False
        if arrival_ns - self._began_ns > _WINDOW_NS:
            self._before_ns, self._least_ns = self._least_ns, offset_ns
            self._began_ns = arrival_ns
        self._least_ns = min(self._least_ns, offset_ns)
        return True

    def _stepped(self, offset_ns: int, arrival_ns: int) -> bool:
        """Tell a step of stream time from a network that paused and then hurries."""
        change_ns = offset_ns - self._last_offset_ns
        waited_ns = arrival_ns - self._last_ns
        return not -_LATE_NS < change_ns < max(_LATE_NS, waited_ns + _STEP_NS)

    def _anchor(self, offset_ns: int, arrival_ns: int) -> None:
        self.anchors += 1
        self._began_ns = arrival_ns
        self._least_ns = self._before_ns = offset_ns

    @property
    def offset_ns(self) -> int:
        """Pipeline time minus stream time."""
        return min(self._least_ns, self._before_ns)

    def pipeline_ns(self, stream_ns: int) -> int:
        """Give the pipeline's time for the stream's."""
        return stream_ns + self.offset_ns
