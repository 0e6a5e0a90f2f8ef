"""What a device's own time stamp means on the host's monotonic clock.

Sound cards stamp by a clock that nobody names: the wall clock through PulseAudio, the
monotonic one on ALSA's hardware devices, none at all (zero) on some boards. So the distance
of the wall clock to the monotonic one is measured with every block, and a stamp is believed
where one of the two makes sense of it.

No I/O, no clock is read here.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S

__all__ = ["DeviceStamps", "Handover"]

AHEAD_NS = 200 * NS_PER_MS
"""A block may end so long after it was handed over.

No microphone can do that; what listens in on a loudspeaker can, for it gets the sound before
it sounds.
"""
BEHIND_NS = 5 * NS_PER_S
"""It may have waited so long; a stamp that is older counts from somewhere else."""
STEP_NS = NS_PER_MS
"""Two clocks read one after the other differ by less, unless one of them was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What is known of one block of sound when the device hands it over.

    Attributes:
        index: frames that the device has handed over before it since it was opened.
        frames: in the block, above 0.
        host_ns: ``time.monotonic_ns()`` at that moment.
        wall_ns: the wall clock (nanoseconds since 1970) at that moment, read second.
        device_ns: when the device says that it captured the first frame, by whichever
            clock it has; 0 if it does not say.
    """

    index: int
    frames: int
    host_ns: int
    wall_ns: int
    device_ns: int = 0


class DeviceStamps:
    """Translates a device's stamps, whichever of the host's clocks they count by.

    Attributes:
        rebased: how often the clock that they count by has changed, or was set.
    """

    def __init__(self) -> None:
        self.rebased = 0
        self._seen: dict[int, int] = {}  # distance of the wall clock -> when it was last so
        self._used: int | None = None

    def captured_ns(self, block: Handover, rate_hz: int, expected_ns: int | None) -> int | None:
        """Tell when the block's first frame was captured.

        Args:
            block: in the order in which the device gave them.
            rate_hz: frames per second.
            expected_ns: when it should have been, if that is known. Around a step of the
                wall clock two distances are possible, and the nearer is right.

        Returns:
            Host time; ``None`` if the stamp makes no sense by any clock.
        """
        self._measure(block)
        end_ns = block.host_ns - block.frames * NS_PER_S // rate_hz
        possible = [
            distance
            for distance in (0, *self._seen)
            if block.device_ns and -AHEAD_NS <= end_ns - (block.device_ns - distance) <= BEHIND_NS
        ]
        if not possible:
            return None
        best = possible[-1]
        if expected_ns is not None:
            best = min(possible, key=lambda each: abs(block.device_ns - each - expected_ns))
        if self._used is not None and abs(best - self._used) > STEP_NS:
            self.rebased += 1
        self._used = best
        return block.device_ns - best

    def _measure(self, block: Handover) -> None:
        """Remember the distances of the last seconds; a delay between the reads is no step."""
        distance = block.wall_ns - block.host_ns
        known = next((each for each in self._seen if abs(each - distance) <= STEP_NS), distance)
        self._seen[known] = block.host_ns
        if len(self._seen) > 1:
            oldest_ns = block.host_ns - BEHIND_NS
            self._seen = {each: at for each, at in self._seen.items() if at >= oldest_ns}
