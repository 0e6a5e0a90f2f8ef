"""Predictions along recorded files: which file feeds which modality, window by window."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, SourceError
from mmedge.manifest import Manifest
from mmedge.runtime.clips import Source, kind_of, open_video, read_clips
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.windows.walk import WindowSample, iter_windows
from mmedge.specs import Modality, Signal, Sound, Text

__all__ = [
    "FilePrediction",
    "assign",
    "downmixed",
    "only_text",
    "predict_clips",
    "predict_files",
    "predict_inputs",
]

_log = logging.getLogger(__name__)

BATCH = 16
"""Windows per call; the head then sees ``16 * 2^M`` rows."""
_FEEDS = {
    "image": ("image",),
    "sound": ("sound",),
    "video": ("image", "sound"),
    "signal": ("signal",),
}


@dataclass(frozen=True, slots=True)
class FilePrediction:
    """A prediction and the window that it stands for.

    Attributes:
        clip: number of the clip, from 0; 0 where only one was given.
        end_ns: end of the window since the file's beginning; 0 if nothing moves.
        prediction: what the model says.
    """

    clip: int
    end_ns: int
    prediction: Prediction

    def to_json(self) -> dict[str, Any]:
        """Give plain types, for a line of JSON."""
        return {"clip": self.clip, "end_ms": self.end_ns / 1e6, **self.prediction.to_json()}


def assign(
    inputs: Sequence[str], modalities: Mapping[str, Modality], *, text: str | None = None
) -> dict[str, Source]:
    """Find the modality that each input feeds; what a video lacks is logged as a warning.

    Args:
        inputs: ``NAME=FILE``, ``NAME=TEXT``, or a file whose content tells: a picture
            feeds the image modality, a sound the sound modality, a video both.
        modalities: the bundle's.
        text: for the model's only text modality.

    Raises:
        ConfigError: no or several modalities fit, or one is given twice.
        SourceError: a file cannot be read, or a video that was named for its sound has none.
    """
    sources: dict[str, Source] = {}
    if text is not None:
        inputs = [*inputs, f"{only_text(modalities)}={text}"]
    for given in inputs:
        name, equals, value = given.partition("=")
        if equals and name in modalities:
            _add(sources, name, _source(value, modalities[name]))
            continue
        if equals and not _exists(given):
            raise ConfigError(
                f"{given!r}: the model has no modality {name!r}, only {_names(modalities)}"
            )
        for target, source in _by_kind(given, modalities):
            _add(sources, target, source)
    return sources


def predict_inputs(
    predictor: Predictor,
    inputs: Sequence[str],
    *,
    text: str | None = None,
    clips: Path | None = None,
    every_ms: int = 250,
) -> Iterator[FilePrediction]:
    """Predict from what a command line gives: inputs as for `assign`, or a list of clips.

    Args:
        predictor: an open bundle.
        inputs: see `assign`.
        text: for the model's only text modality.
        clips: JSON lines (`read_clips`), instead of inputs.
        every_ms: hop where there is no sound.

    Raises:
        ConfigError: nothing to predict from, or things that exclude each other.
    """
    modalities = predictor.manifest.modalities
    if clips is not None:
        if inputs or text is not None:
            raise ConfigError("--clips names all inputs itself; leave out the others")
        return predict_clips(predictor, clips, every_ms=every_ms)
    if not inputs and text is None:
        raise ConfigError(f"nothing to predict from; give files or texts for {_names(modalities)}")
    return predict_files(predictor, assign(inputs, modalities, text=text), every_ms=every_ms)


def only_text(modalities: Mapping[str, Modality]) -> str:
    """Name the model's only text modality.

    Raises:
        ConfigError: there is none, or several.
    """
    names = [name for name, modality in modalities.items() if modality.kind == "text"]
    if len(names) != 1:
        raise ConfigError(
            f"--text needs a model with one text modality; it has {_names(modalities)}"
        )
    return names[0]


def downmixed(bundle: Bundle, how: str | None) -> Bundle:
    """Give the bundle with its sound modalities accepting stereo in this way."""
    if how is None:
        return bundle
    if how not in ("mean", "first"):
        raise ConfigError(f"--downmix {how!r} is neither 'mean' nor 'first'")
    modalities = {
        name: m.model_copy(update={"downmix": how}) if isinstance(m, Sound) else m
        for name, m in bundle.manifest.modalities.items()
    }
    manifest = bundle.manifest.model_copy(update={"modalities": modalities})
    return replace(bundle, manifest=manifest)


def predict_files(
    predictor: Predictor,
    sources: Mapping[str, Source],
    *,
    every_ms: int = 250,
    explain: bool = True,
    clip: int = 0,
) -> Iterator[FilePrediction]:
    """Predict window by window along files; arguments as for `iter_windows`.

    An encoder with state carries it from window to window; it begins anew with the files,
    and at a gap in the recording.
    """
    manifest = predictor.manifest
    _refuse_overlap(manifest, sources)
    streams = {name: predictor.stream(name) for name in manifest.states}
    windows = iter_windows(sources, manifest.modalities, every_ms=every_ms)
    for some in _batches(windows, frozenset(streams)):
        # What lies in a broken window is neither heard with what was before nor after it.
        broken = [streams[name] for name in some[0].broken & set(streams)]
        for stream in broken:
            stream.reset()
        raws = [window.raw for window in some]
        predictions = predictor.predict_batch(raws, explain=explain, streams=streams)
        for stream in broken:
            stream.reset()
        for window, prediction in zip(some, predictions, strict=True):
            yield FilePrediction(clip, window.end_ns, prediction)


def predict_clips(
    predictor: Predictor, path: Path, *, every_ms: int = 250, explain: bool = True
) -> Iterator[FilePrediction]:
    """Predict every clip of a list (`read_clips`), window by window."""
    clips = read_clips(path, predictor.manifest.modalities)
    for number, clip in enumerate(clips):
        yield from predict_files(
            predictor, clip.sources, every_ms=every_ms, explain=explain, clip=number
        )


def _add(sources: dict[str, Source], name: str, source: Source) -> None:
    if name in sources:
        raise ConfigError(
            f"modality {name!r} is given twice, by {sources[name]} and {source}; "
            "for several clips use --clips"
        )
    sources[name] = source


def _by_kind(given: str, modalities: Mapping[str, Modality]) -> list[tuple[str, Source]]:
    path = Path(given)
    kind = kind_of(path)
    found: list[tuple[str, Source]] = []
    for wanted in _FEEDS[kind]:
        if kind == "video" and wanted == "sound" and not _has_sound(path):
            if any(modality.kind == "sound" for modality in modalities.values()):
                _log.warning("%s has no sound: the model hears nothing", given)
            continue
        names = [name for name, modality in modalities.items() if modality.kind == wanted]
        if len(names) > 1:
            raise ConfigError(
                f"{given} could feed {' or '.join(names)}; say which: {names[0]}={given}"
            )
        found += [(name, path) for name in names]
    if not found:
        raise ConfigError(
            f"{given} is of kind {kind!r}, and no modality of the model takes that; it has "
            f"{_names(modalities)}"
        )
    return found


def _exists(given: str) -> bool:
    try:
        return Path(given).exists()
    except OSError:  # too long for a name: a text
        return False


def _source(value: str, modality: Modality) -> Source:
    if isinstance(modality, Text):
        return value
    path = Path(value)
    if modality.kind == "sound" and kind_of(path) == "video" and not _has_sound(path):
        raise SourceError(f"{path} is a video without sound; give another file, or leave it out")
    return path


def _has_sound(path: Path) -> bool:
    with open_video(path) as video:
        return bool(video.has_sound)


def _names(modalities: Mapping[str, Modality]) -> str:
    return ", ".join(f"{name} ({modality.kind})" for name, modality in modalities.items())


def _refuse_overlap(manifest: Manifest, sources: Mapping[str, Source]) -> None:
    """Windows come with the shortest hop, and an encoder with state takes each sample once."""
    hops_ms = {
        name: modality.hop_ms
        for name, modality in manifest.modalities.items()
        if name in sources and isinstance(modality, (Sound, Signal))
    }
    for name in set(manifest.states) & set(hops_ms):
        if min(hops_ms.values()) < hops_ms[name]:
            raise ConfigError(
                f"the encoder of {name!r} has a state and takes a window every {hops_ms[name]} ms, "
                f"but files are walked every {min(hops_ms.values())} ms because of another "
                "modality. Leave that one out, or export it with a longer hop_ms."
            )


def _batches(
    windows: Iterable[WindowSample], stateful: frozenset[str]
) -> Iterator[list[WindowSample]]:
    """Give some windows at a time; one that is broken for an encoder with state comes alone."""
    some: list[WindowSample] = []
    for window in windows:
        alone = bool(window.broken & stateful)
        if some and (alone or len(some) == BATCH):
            yield some
            some = []
        some.append(window)
        if alone:
            yield some
            some = []
    if some:
        yield some
