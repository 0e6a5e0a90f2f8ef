"""A camera and a microphone that see and hear what is played, at known times."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedge._closing import Closing
from tests.live import pipewire, pulse
from tests.live.pipewire import PipeWire
from tests.live.pulse import PulseServer
from tests.live.rtsp import ROOT

SOUND_HZ = 48_000


def missing() -> str:
    """What the stage needs and this machine lacks, as a reason to skip; empty if nothing."""
    return "; ".join(reason for reason in (pulse.missing(), pipewire.missing()) if reason)


class Stage(Closing):
    """PipeWire's camera, PulseAudio's microphone, and a loudspeaker before that one."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stage")
        self._played = 0
        self.sound = PulseServer(Path(self._folder.name))
        self._speaker: subprocess.Popen[str] | None = None
        try:
            self.sound.start()
            self.camera = PipeWire()
            self.plug_speaker()
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program needs to see and hear it; run it by ``pw-v4l2``."""
        return {**self.camera.environment, **self.sound.environment}

    def plug_speaker(self) -> None:
        """Begin a loudspeaker, as is needed after the sound server has gone."""
        if self._speaker is not None:
            self._speaker.kill()
            self._speaker.communicate()
        self._speaker = subprocess.Popen(
            [sys.executable, "-m", "tests.live.speaker"],
            cwd=ROOT,
            env={**os.environ, **self.sound.environment, "PULSE_SINK": "mic"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._speaker.stdout is not None
        assert self._speaker.stdout.readline() == "ready\n"

    def perform(
        self,
        film: npt.NDArray[np.uint8] | None,
        sound: npt.NDArray[np.int16] | None,
        rate_hz: float = 30,
        *,
        in_s: float = 1.0,
    ) -> int:
        """Show and play both from one moment on.

        Args:
            film: uint8 luma ``[n, h, w]``; 640x480 must be a whole multiple.
            sound: int16 at 48 kHz.
            rate_hz: of the film.
            in_s: until the moment.

        Returns:
            That moment, by the monotonic clock.
        """
        begin_ns = time.monotonic_ns() + int(in_s * 1e9)
        self._played += 1
        for what, content in (("film", film), ("sound", sound)):
            if content is None:
                continue
            path = Path(self._folder.name) / f"{what}{self._played}.npy"
            np.save(path, content)
            if what == "film":
                self.camera.show(path, begin_ns, rate_hz)
            else:
                assert self._speaker is not None
                assert self._speaker.stdin is not None
                self._speaker.stdin.write(f"{path} {begin_ns}\n")
                self._speaker.stdin.flush()
        return begin_ns

    def close(self) -> None:
        if self._speaker is not None:
            self._speaker.kill()
            self._speaker.communicate()
        self.sound.kill()
        if hasattr(self, "camera"):
            self.camera.close()
        self._folder.cleanup()
