"""Feature extractors of sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError
from mmedge.specs.hugging_face.files import Settings, check, make, read, refuse
from mmedge.specs.log_mel import LogMel
from mmedge.specs.presets import ast_log_mel, clap_log_mel, whisper_log_mel
from mmedge.specs.sound import Sound

__all__ = ["sound_from_hugging_face"]


class _Sounds(Settings):
    sampling_rate: int = 16_000


class _Whisper(_Sounds):
    feature_size: int = 80
    hop_length: int = 160
    chunk_length: int = 30
    n_fft: int = 400
    dither: float = 0.0


class _Ast(_Sounds):
    num_mel_bins: int = 128
    max_length: int = 1024
    do_normalize: bool = True
    mean: float = -4.2677393
    std: float = 4.5689974


class _Clap(_Sounds):
    sampling_rate: int = 48_000
    feature_size: int = 64
    hop_length: int = 480
    fft_window_size: int = 1024
    max_length_s: int = 10
    frequency_min: float = 0
    frequency_max: float = 14_000
    top_db: float | None = None
    truncation: str = "fusion"


class _Wav2Vec2(_Sounds):
    feature_size: int = 1
    do_normalize: bool = True


def sound_from_hugging_face(
    path: Path | str, *, window_ms: int | None = None, hop_ms: int | None = None
) -> Sound:
    """Read what a sound encoder hears from a model's ``preprocessor_config.json``.

    Whisper, Audio Spectrogram Transformer, CLAP, and raw samples as wav2vec 2.0, HuBERT and
    WavLM take them. A sound that is shorter than the window ends in silence here; CLAP's
    extractor repeats it, AST's fills up the spectrogram. CLAP's networks take ``[B, 1, T, 64]``,
    fused ones ``[B, 4, T, 64]``, and an encoder here gets ``[B, T, 64]``.

    Args:
        path: the file, or the folder that holds it.
        window_ms: length of a window, where the file does not say it (raw samples).
        hop_ms: time from one window to the next; by default a whole window.

    Raises:
        ConfigError: there is no such file; the extractor is not known here, or does what a
            `Sound` cannot say; or the window's length is missing or another one.
    """
    path, given = read(Path(path), "feature_extractor")
    kind = str(given.get("feature_extractor_type", ""))
    if kind not in _SOUNDS or "auto_map" in given:
        refuse(path, f"the feature extractor {kind!r} is not one of {', '.join(_SOUNDS)}", Sound)
    fields = _SOUNDS[kind](path, given)
    length_ms = fields.setdefault("window_ms", window_ms)
    if length_ms is None:
        raise ConfigError(f"{path} does not say how long a window is; give window_ms=...")
    if window_ms not in (None, length_ms):
        raise ConfigError(f"window_ms={window_ms}, but by {path} the model takes {length_ms} ms")
    return make(path, Sound, {**fields, "hop_ms": length_ms if hop_ms is None else hop_ms})


def _whisper(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    told = check(path, _Whisper, given)
    if told.dither:
        refuse(path, f"dither={told.dither} adds random noise; set it to 0", Sound)
    changes = {
        "mels": told.feature_size,
        "fft_size": told.n_fft,
        "hop": told.hop_length,
        "high_hz": 8000.0,
    }
    return {
        "rate_hz": told.sampling_rate,
        "window_ms": told.chunk_length * 1000,
        "log_mel": _changed(path, whisper_log_mel(), changes),
    }


def _ast(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    told = check(path, _Ast, given)
    if told.sampling_rate != 16_000:
        # Its two implementations then differ: frames of 400 samples, or of 25 ms.
        refuse(path, f"sampling_rate={told.sampling_rate}: only 16000 has one meaning", Sound)
    changes = {
        "mels": told.num_mel_bins,
        "mean": told.mean if told.do_normalize else 0.0,
        "std": 2 * told.std if told.do_normalize else 1.0,
    }
    return {
        "rate_hz": 16_000,
        "window_ms": (told.max_length - 1) * 10 + 25,
        "log_mel": _changed(path, ast_log_mel(), changes),
    }


def _clap(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    told = check(path, _Clap, given)
    if told.truncation not in ("fusion", "rand_trunc") or told.top_db is not None:
        refuse(path, f"truncation={told.truncation!r}, top_db={told.top_db}", Sound)
    changes = {
        "mels": told.feature_size,
        "fft_size": told.fft_window_size,
        "hop": told.hop_length,
        "low_hz": told.frequency_min,
        "high_hz": told.frequency_max,
    }
    return {
        "rate_hz": told.sampling_rate,
        "window_ms": told.max_length_s * 1000,
        "log_mel": _changed(path, clap_log_mel(fused=told.truncation == "fusion"), changes),
    }


def _raw(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    told = check(path, _Wav2Vec2, given)
    if told.feature_size != 1:
        refuse(path, f"feature_size={told.feature_size} is not one channel of samples", Sound)
    return {"rate_hz": told.sampling_rate, "standardise": told.do_normalize}


_SOUNDS: dict[str, Callable[[Path, Mapping[str, Any]], dict[str, Any]]] = {
    "WhisperFeatureExtractor": _whisper,
    "ASTFeatureExtractor": _ast,
    "ClapFeatureExtractor": _clap,
    "Wav2Vec2FeatureExtractor": _raw,
}


def _changed(path: Path, preset: LogMel, changes: Mapping[str, Any]) -> LogMel:
    return make(path, LogMel, {**preset.model_dump(), **changes})
