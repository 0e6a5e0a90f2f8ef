"""The log-mel front-end's parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.base import Spec

__all__ = ["LogMel"]


class LogMel(Spec):
    """A log-mel spectrogram, inside the graph, as the encoder was trained on it.

    Frames of ``frame`` samples every ``hop`` are windowed, zero-padded to
    ``fft_size``, transformed; ``|X| ** power`` passes a bank of ``mels`` triangles;
    then the logarithm, and ``(y - mean) / std``.

    Attributes:
        mels: triangles in the bank.
        fft_size: length of the Fourier transform, samples.
        frame: length of the window, samples; ``None`` means ``fft_size``.
        hop: samples from one frame to the next.
        low_hz: lower edge of the bank.
        high_hz: upper edge of the bank; ``None`` means half the sample rate.
        mel: the mel scale: ``htk`` (O'Shaughnessy 1987), ``slaney`` (Auditory Toolbox,
            1998; librosa's default) or ``kaldi`` (HTK's formula, triangles drawn in mel).
        norm: ``slaney`` gives the triangles equal area, ``None`` equal height.
        window: taper of a frame; ``povey`` is Kaldi's own default (BEATs).
        periodic: the taper is one period long (torch.stft's and librosa's habit), not
            symmetric (Kaldi's).
        center: the signal is padded by ``fft_size // 2`` on both sides, by reflection,
            so that frame ``t`` is centred at ``t * hop`` (torch.stft, librosa); otherwise
            frame ``t`` starts there.
        power: 1 for magnitude, 2 for power.
        preemphasis: ``x[t] - preemphasis * x[t - 1]`` within each frame (Kaldi, AST);
            the first sample stands in for the one before it.
        remove_dc: each frame's mean is subtracted first (Kaldi, AST).
        log: ``ln``, ``log10``, or ``db`` (10 log10 for power, 20 log10 for magnitude).
        floor: smallest value that reaches the logarithm. Extractors that count samples
            in 16-bit units (Kaldi, BEATs) have theirs divided by ``2**30`` here, and
            ``30 * ln(2)`` subtracted from their ``mean``.
        floor_by: ``clamp`` takes ``max(x, floor)``, ``add`` takes ``x + floor``.
        span: values further than this below the maximum are raised to that limit, in
            units of ``log`` (Whisper: 8); ``None`` for none. The maximum is that of the
            window's spectrogram, each channel by itself.
        drop_last: the last frame is left out (Whisper).
        mean: subtracted after the logarithm.
        std: divides after ``mean``.
        layout: ``mel_time`` gives ``[B, mels, T]``, ``time_mel`` gives ``[B, T, mels]``.
    """

    mels: Annotated[int, Field(ge=1, le=1024)] = 80
    # The transform is a dense matrix in the graph: 8,192 samples already make 134 MB.
    fft_size: Annotated[int, Field(ge=2, le=8192)] = 400
    frame: Annotated[int, Field(ge=2, le=8192)] | None = None
    hop: Annotated[int, Field(ge=1, le=65_536)] = 160
    low_hz: Annotated[float, Field(ge=0)] = 0.0
    high_hz: Annotated[float, Field(gt=0)] | None = None
    mel: Literal["htk", "slaney", "kaldi"] = "slaney"
    norm: Literal["slaney"] | None = "slaney"
    window: Literal["hann", "hamming", "povey", "rectangular"] = "hann"
    periodic: bool = True
    center: bool = True
    power: Literal[1, 2] = 2
    preemphasis: Annotated[float, Field(ge=0, lt=1)] = 0.0
    remove_dc: bool = False
    log: Literal["ln", "log10", "db"] = "ln"
    # Smaller floors are zero in float32 on devices that flush subnormals: log(0).
    floor: Annotated[float, Field(ge=1e-37)] = 1e-10
    floor_by: Literal["clamp", "add"] = "clamp"
    span: Annotated[float, Field(gt=0)] | None = None
    drop_last: bool = False
    mean: float = 0.0
    std: Annotated[float, Field(gt=0)] = 1.0
    layout: Literal["mel_time", "time_mel"] = "mel_time"

    @property
    def frame_size(self) -> int:
        """Samples under the window."""
        return self.fft_size if self.frame is None else self.frame

    def frames(self, samples: int) -> int:
        """How many frames a signal of ``samples`` samples gives."""
        padded = samples + 2 * (self.fft_size // 2) if self.center else samples
        # A centred frame spans the whole transform (torch.stft); Kaldi's only the window.
        span = self.fft_size if self.center else self.frame_size
        return (padded - span) // self.hop + 1 - int(self.drop_last)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frame_size > self.fft_size:
            raise ValueError(f"frame={self.frame} does not fit into fft_size={self.fft_size}")
        if self.high_hz is not None and self.high_hz <= self.low_hz:
            raise ValueError(f"high_hz={self.high_hz} must lie above low_hz={self.low_hz}")
        return self
