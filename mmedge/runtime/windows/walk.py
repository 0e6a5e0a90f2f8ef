"""The offline driver: files in, one raw sample of all modalities per hop out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips import Source, is_image, kind_of, read_image, read_images
from mmedge.runtime.preprocess import Raw
from mmedge.runtime.windows.cut import NS_PER_MS
from mmedge.runtime.windows.signals import SignalTrack
from mmedge.runtime.windows.tracks import SoundTrack, VideoTrack
from mmedge.specs import Image, Modality, Signal, Sound, Text

__all__ = ["WindowSample", "iter_windows"]

Track = SoundTrack | VideoTrack | SignalTrack


@dataclass(frozen=True, eq=False)
class WindowSample:
    """What the modalities hold at one time.

    Attributes:
        end_ns: end of the window since the files' beginning; 0 if nothing moves.
        raw: by modality, as its preprocessor takes it; one that is absent is left out,
            and it may be empty. The arrays are not to be written to.
        broken: those whose window was not recorded whole; a state does not reach over it.
    """

    end_ns: int
    raw: dict[str, Raw]
    broken: frozenset[str] = frozenset()


def iter_windows(
    sources: Mapping[str, Source],
    modalities: Mapping[str, Modality],
    *,
    every_ms: int = 250,
    max_age_ms: int | None = None,
) -> Iterator[WindowSample]:
    """Walk files in step, one sample per hop, without holding more than a window of them.

    The first window ends one window after the files' beginning, and the last where the
    longest file has no further whole hop. Files begin together, unless they are one file.
    The window is that of the sound or signal; without one it is that of the longest clip of
    pictures, else ``every_ms``. Still pictures and texts are the same in all samples;
    where nothing else is given there is one sample.

    Args:
        sources: by modality: a path for an image (a picture or a video), a sound (a
            sound, or a video's) or a signal; several paths for a clip of pictures; or a text.
        modalities: the bundle's, by name. One without a source is absent throughout.
        every_ms: hop where there is no sound or signal, whose ``hop_ms`` is else taken (the
            shortest of several).
        max_age_ms: an older picture of a video is absent; ``None`` means the length of
            window of the sound or signal, or 1000 without.

    Yields:
        The samples in order of time.

    Raises:
        ConfigError: no source, an unknown modality, or a source of the wrong type.
        SourceError: a file cannot be read, or is of another kind than its modality's.
        ResourceError: a file is too large.
        MissingDependencyError: a package that reads a file is not installed.
    """
    for option, value in (("every_ms", every_ms), ("max_age_ms", max_age_ms)):
        if value is not None and value <= 0:
            raise ConfigError(f"{option}={value} must be positive milliseconds")
    _check(sources, modalities)
    chosen = {name: modalities[name] for name in sources}
    moving = [spec for spec in chosen.values() if isinstance(spec, (Sound, Signal))]
    clips_ms = [
        spec.frames * spec.stride_ms
        for spec in chosen.values()
        if isinstance(spec, Image) and spec.frames > 1
    ]
    length_ms = max([spec.window_ms for spec in moving] or clips_ms or [every_ms])
    hop_ms = min([spec.hop_ms for spec in moving] or [every_ms])
    if max_age_ms is None:
        max_age_ms = length_ms if moving else 1000
    return _walk(sources, chosen, length_ms, hop_ms, max_age_ms)


def _check(sources: Mapping[str, Source], modalities: Mapping[str, Modality]) -> None:
    if not sources:
        raise ConfigError(f"no source is given; give one for some of {sorted(modalities)}")
    for name, source in sources.items():
        if name not in modalities:
            raise ConfigError(
                f"'{name}' is not a modality of this model, only {sorted(modalities)}"
            )
        modality = modalities[name]
        if isinstance(modality, Text):
            fits, wanted = isinstance(source, str) and source.strip() != "", "a text"
        elif isinstance(modality, Image) and isinstance(source, tuple):
            fits = modality.frames > 1 and len(source) == modality.frames
            wanted = "one picture" if modality.frames == 1 else f"{modality.frames} pictures"
        else:
            fits, wanted = isinstance(source, str | Path), "the path of a file"
        if not fits:
            raise ConfigError(
                f"modality '{name}' of kind '{modality.kind}' takes {wanted}, but got "
                f"{source!r}; leave it out if there is none"
            )


def _walk(
    sources: Mapping[str, Source],
    chosen: Mapping[str, Modality],
    length_ms: int,
    hop_ms: int,
    max_age_ms: int,
) -> Iterator[WindowSample]:
    still: dict[str, Raw] = {}
    tracks: dict[str, Track] = {}
    with ExitStack() as stack:
        for name, source in sources.items():
            opened = _open(name, source, chosen[name], max_age_ms * NS_PER_MS)
            if isinstance(opened, Track):
                tracks[name] = stack.enter_context(closing(opened))
            else:
                still[name] = opened
        if not tracks:
            yield WindowSample(0, still)
            return
        for end_ns in count(length_ms * NS_PER_MS, hop_ms * NS_PER_MS):
            reached = [track.advance(end_ns) for track in tracks.values()]
            if not any(reached) and end_ns > length_ms * NS_PER_MS:
                return
            windows = {name: track.window(end_ns) for name, track in tracks.items()}
            present = {name: raw for name, raw in windows.items() if raw is not None}
            # In the order in which the sources were given.
            raw = {name: (still | present)[name] for name in sources if name in still | present}
            broken = {name for name, track in tracks.items() if not track.whole()}
            yield WindowSample(end_ns, raw, frozenset(broken & set(raw)))


def _open(name: str, source: Source, modality: Modality, max_age_ns: int) -> Raw | Track:
    if isinstance(modality, Text):
        return str(source)
    if isinstance(source, tuple):
        return read_images(source)
    path = Path(source)
    if isinstance(modality, Sound):
        if is_image(path):
            raise _wrong_kind(name, "a sound or a video", path, "image")
        return SoundTrack(name, modality, path)
    if isinstance(modality, Signal):
        return SignalTrack(name, modality, path)
    kind = kind_of(path)
    if kind == "video":
        return VideoTrack(name, modality, path, max_age_ns)
    if kind == "image" and modality.frames == 1:
        return read_image(path)
    wanted = "a picture or a video" if modality.frames == 1 else "a video"
    raise _wrong_kind(name, wanted, path, kind)


def _wrong_kind(name: str, wanted: str, path: Path, kind: str) -> SourceError:
    return SourceError(
        f"modality '{name}' takes {wanted}, but '{path}' is of kind '{kind}'; give another file"
    )
