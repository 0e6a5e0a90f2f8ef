"""What a sound encoder hears."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.log_mel import LogMel
from mmedge.specs.quality import SoundQuality
from mmedge.specs.windowed import Windowed

__all__ = ["Sound"]


class Sound(Windowed):
    """A window of sound as the encoder was trained on it.

    The graph's input is float32 PCM in [-1, 1], ``[B, samples]`` for one channel and
    else ``[B, channels, samples]``.

    Attributes:
        rate_hz: samples per second.
        channels: channels that the encoder sees.
        window_ms: length of one window.
        hop_ms: time from one window to the next.
        log_mel: the front-end; ``None`` hands the encoder the samples (or the recipe's
            own front-end module does the work).
        standardise: each window to mean 0 and deviation 1 (wav2vec 2.0 and its offspring,
            ``Wav2Vec2FeatureExtractor``), in the graph; not together with ``log_mel``.
        downmix: what becomes of more channels than ``channels`` when that is 1:
            ``mean`` or ``first``; ``None`` refuses them.
        quality: when live sound counts as spoiled.
    """

    kind: Literal["sound"] = "sound"
    rate_hz: Annotated[int, Field(ge=1000, le=384_000)]
    channels: Annotated[int, Field(ge=1, le=64)] = 1
    log_mel: LogMel | None = None
    standardise: bool = False
    downmix: Literal["mean", "first"] | None = None
    quality: SoundQuality = SoundQuality()

    @model_validator(mode="after")
    def _check(self) -> Self:
        mel = self.log_mel
        if mel is not None and self.standardise:
            raise ValueError("standardise is for encoders of samples; leave out log_mel")
        if mel is not None:
            if mel.high_hz is not None and mel.high_hz > self.rate_hz / 2:
                raise ValueError(
                    f"log_mel.high_hz={mel.high_hz} lies above half of rate_hz={self.rate_hz}"
                )
            if mel.frames(self.samples) < 1:
                raise ValueError(
                    f"a window of {self.samples} samples is shorter than one log-mel frame of "
                    f"{mel.frame_size}; raise window_ms"
                )
            if mel.center and self.samples <= mel.fft_size // 2:
                raise ValueError(
                    f"center=True reflects {mel.fft_size // 2} samples, more than the window's "
                    f"{self.samples}; raise window_ms or lower fft_size"
                )
        return self
