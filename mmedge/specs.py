"""What a model sees and answers, declared once.

The same frozen objects stand in the user's recipe, in the bundle's manifest and
in the running predictor, so that no stage can disagree with another about a size,
a filter or a sample rate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import Self

__all__ = [
    "NAME_PATTERN",
    "Classification",
    "DType",
    "GraphSpec",
    "Image",
    "LogMel",
    "Modality",
    "MultiLabel",
    "Name",
    "Regression",
    "ResizeFilter",
    "Sound",
    "Spec",
    "Task",
    "TensorSpec",
    "Text",
]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Size = Annotated[int, Field(ge=1, le=8192)]
Floats = Annotated[tuple[float, ...], Field(strict=False)]
Labels = Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=100_000)]
# Units and captions: free text, but short.
Note = Annotated[str, StringConstraints(max_length=256)]

ResizeFilter = Literal[
    "pillow-nearest",
    "pillow-box",
    "pillow-bilinear",
    "pillow-hamming",
    "pillow-bicubic",
    "pillow-lanczos",
    "cv2-nearest",
    "cv2-linear",
    "cv2-area",
    "cv2-cubic",
    "cv2-lanczos4",
]


class Spec(BaseModel):
    """Frozen, keyword-only, checked when made; unknown fields and NaN are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class Image(Spec):
    """A picture, or a clip of ``frames`` pictures, as the encoder was trained on it.

    The graph's input is uint8 ``[B, height, width, C]``, or ``[B, frames, height,
    width, C]`` when ``frames > 1``; ``C`` is 1 for ``grey`` and else 3. The front-end
    computes ``(x * scale - mean) / std`` per channel and hands the encoder float32
    with channels first.

    Attributes:
        height: rows that the encoder sees.
        width: columns that the encoder sees.
        filter: the resize filter that the training pipeline used. Pillow's (and
            torchvision's on PIL images) antialias; cv2's do not, but for ``area``.
        fit: how another aspect ratio is met: ``stretch`` resizes both sides;
            ``cover`` resizes the shorter side and cuts the centre; ``letterbox``
            resizes to fit inside and pads with ``fill``.
        shorter: for ``cover``: length of the shorter side after resizing, before the
            centre is cut (torchvision's ``Resize(256)``, ``CenterCrop(224)``). ``None``
            takes the smallest that covers ``height`` x ``width``.
        fill: grey value (0..255) of the ``letterbox`` padding.
        colour: channel order that the encoder was trained on.
        scale: factor from 0..255 to the unit of ``mean`` and ``std``.
        mean: per channel, after ``scale``.
        std: per channel, after ``scale``.
        frames: pictures per clip.
        stride_ms: time from one picture of a clip to the next.
    """

    kind: Literal["image"] = "image"
    height: Size
    width: Size
    filter: ResizeFilter = "pillow-bilinear"
    fit: Literal["stretch", "cover", "letterbox"] = "cover"
    shorter: Size | None = None
    fill: Annotated[int, Field(ge=0, le=255)] = 114
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: Annotated[float, Field(gt=0)] = 1 / 255
    mean: Floats = (0.0,)
    std: Floats = (1.0,)
    frames: Annotated[int, Field(ge=1, le=1024)] = 1
    stride_ms: Annotated[int, Field(ge=1, le=60_000)] = 100

    @property
    def channels(self) -> int:
        """Channels of the graph's input."""
        return 1 if self.colour == "grey" else 3

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("mean", "std"):
            values = getattr(self, field)
            if len(values) not in (1, self.channels):
                raise ValueError(
                    f"{field} has {len(values)} values; give 1, or one for each of the "
                    f"{self.channels} channels of colour={self.colour!r}"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std} must be positive: it divides")
        if self.shorter is not None:
            if self.fit != "cover":
                raise ValueError(f"shorter only means something with fit='cover', not {self.fit!r}")
            if self.shorter < max(self.height, self.width):
                raise ValueError(
                    f"shorter={self.shorter} leaves less than the {self.height}x{self.width} "
                    "that is cut from it; raise it"
                )
        return self


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
    # The transform is a dense matrix in the graph: 8,192 samples already make 268 MB.
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


class Sound(Spec):
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
        downmix: what becomes of more channels than ``channels`` when that is 1:
            ``mean`` or ``first``; ``None`` refuses them.
    """

    kind: Literal["sound"] = "sound"
    rate_hz: Annotated[int, Field(ge=1000, le=384_000)]
    channels: Annotated[int, Field(ge=1, le=64)] = 1
    window_ms: Annotated[int, Field(ge=1, le=600_000)]
    hop_ms: Annotated[int, Field(ge=1, le=600_000)]
    log_mel: LogMel | None = None
    downmix: Literal["mean", "first"] | None = None

    @property
    def samples(self) -> int:
        """Samples per window and channel."""
        return self.rate_hz * self.window_ms // 1000

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("window_ms", "hop_ms"):
            if self.rate_hz * getattr(self, field) % 1000:
                raise ValueError(
                    f"{field}={getattr(self, field)} at rate_hz={self.rate_hz} is not a whole "
                    "number of samples; choose another length"
                )
        if self.hop_ms > self.window_ms:
            raise ValueError(
                f"hop_ms={self.hop_ms} must lie in 1..{self.window_ms} (window_ms): a longer "
                "hop would skip samples"
            )
        mel = self.log_mel
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


class Text(Spec):
    """A text, as token ids of a fixed length.

    The graph's inputs are int64 ``ids`` ``[B, max_tokens]`` and int64 ``mask`` of the
    same shape, 1 where a token stands and 0 where ``pad_id`` fills up.

    Attributes:
        tokenizer: file in the JSON format of the ``tokenizers`` library; in a recipe a
            path (relative to the recipe's file), in a manifest a file of the bundle.
        max_tokens: longer texts are cut there.
        pad_id: token that fills up shorter texts.
    """

    kind: Literal["text"] = "text"
    tokenizer: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    pad_id: Annotated[int, Field(ge=0)] = 0


Modality = Annotated[Image | Sound | Text, Field(discriminator="kind")]


class Classification(Spec):
    """One label out of several; the head gives logits ``[B, len(labels)]``.

    Attributes:
        labels: in the order of the logits.
        threshold: below this probability no label is given.
        temperature: divides the logits before the softmax (Guo et al. 2017).
    """

    kind: Literal["classification"] = "classification"
    labels: Labels
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    temperature: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.labels)
        return self


class MultiLabel(Spec):
    """Any number of labels; the head gives one logit each, ``[B, len(labels)]``.

    Attributes:
        labels: in the order of the logits.
        thresholds: probability from which a label holds: one for all, or one each.
    """

    kind: Literal["multi_label"] = "multi_label"
    labels: Labels
    thresholds: Floats = (0.5,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.labels)
        if len(self.thresholds) not in (1, len(self.labels)):
            raise ValueError(
                f"{len(self.thresholds)} thresholds for {len(self.labels)} labels: give 1 or all"
            )
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise ValueError(f"thresholds {self.thresholds} must be probabilities")
        return self


class Regression(Spec):
    """One or several quantities; the head gives ``[B, len(names)]``, or ``[B]`` for one.

    Attributes:
        names: the quantities, in the order of the outputs.
        units: one each, for people to read.
        scale: the head's output times this...
        offset: ...plus this is the quantity in ``units``.
    """

    kind: Literal["regression"] = "regression"
    names: Labels
    units: Annotated[tuple[Note, ...], Field(strict=False)]
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.names)
        if len(self.units) != len(self.names):
            raise ValueError(f"{len(self.units)} units for {len(self.names)} names: give one each")
        return self


Task = Annotated[Classification | MultiLabel | Regression, Field(discriminator="kind")]

DType = Literal["float32", "float16", "uint8", "int8", "int32", "int64", "bool"]
Dimension = Annotated[int, Field(ge=1, le=2**31)] | Literal["batch"]


class TensorSpec(Spec):
    """Name, element type and shape of a graph's input or output; axis 0 is the batch."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    dtype: DType
    shape: Annotated[tuple[Dimension, ...], Field(strict=False, max_length=8)]


class GraphSpec(Spec):
    """The signature of one graph, the same in every plan."""

    inputs: Annotated[tuple[TensorSpec, ...], Field(strict=False, min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(strict=False, min_length=1)]


def _refuse_twins(names: tuple[str, ...]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1}) if len(names) < 2000 else []
    if twins or len(set(names)) != len(names):
        raise ValueError(f"names must differ from one another; these occur twice: {twins}")
