"""The engines that were built here, and the one builder that adds to them at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmedge._files import DRAFT
from mmedge._folders import cache_folder
from mmedge.engines.device_key import Unfit, default_key_file, make_key, read_key
from mmedge.engines.locking import alone, writing
from mmedge.engines.request import BUILDER, EngineRequest, Place
from mmedge.engines.stored import Built, Head, read_engine, read_head, write_engine
from mmedge.engines.timings import NAME, keep_timings, kept_timings
from mmedge.errors import ConfigError, IncompatibleError

__all__ = ["LIMIT_BYTES", "EngineCache", "Entry", "default_folder"]

LIMIT_BYTES = 8 * 2**30
"""All engines together, unless told otherwise; those that were used longest ago give way."""

_SUFFIX = ".engine"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the cache.

    Attributes:
        path: where it is.
        bytes: its size.
        used_s: when it was built or last opened, in seconds since 1970.
        head: what it holds; ``None`` if it is not to be trusted...
        problem: ...and why not.
    """

    path: Path
    bytes: int
    used_s: float
    head: Head | None
    problem: str = ""


def default_folder() -> Path:
    """Give the folder for engines in the user's cache."""
    return cache_folder() / "engines"


class EngineCache:
    """Engines of this device's own making, in a folder that only this user may write.

    A file's name begins with the graph's hash and ends with the key of all that the engine
    hangs on. It is signed with the key of this device; one that is not is never given to
    anyone. Of one graph's file, plan, TensorRT and GPU there is one engine: a new one, after an
    update or with other flags, replaces the old. Beyond ``limit_bytes`` those that were used
    longest ago are removed, but none that this object built or gave.

    Args:
        folder: where; ``None`` for the user's.
        key_file: of this device; ``None`` for the user's. Never in the folder: who copies
            that must not have the key with it.
        limit_bytes: all engines together.

    Raises:
        ConfigError: the key would be in the folder.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        key_file: Path | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.folder = default_folder() if folder is None else folder
        self.limit_bytes = limit_bytes
        self._key_file = default_key_file() if key_file is None else key_file
        self._mine: set[Path] = set()
        if self._key_file.resolve().is_relative_to(self.folder.resolve()):
            raise ConfigError(
                f"the key of this device, {self._key_file}, must not be in the cache "
                f"{self.folder}, and be copied with it. Set MMEDGE_CACHE to another folder."
            )

    def engine(
        self,
        request: EngineRequest,
        build: Callable[[], Built],
        on_reason: Callable[[str], None] = _LOG.info,
    ) -> Built:
        """Give an engine that was built here, and build it first if there is none.

        Of several processes that ask at once, one builds and the others wait, whatever they
        ask for: two builders on one GPU would spoil each other's timings, and take twice the
        memory, which a board of 8 GB has not.

        Args:
            request: which one.
            build: makes it. Not called if there is one.
            on_reason: told why it is built, and what is waited for.

        Raises:
            ConfigError: the folder cannot be written, or others may write it.
            ResourceError: the disk is full.
        """
        path = self._path(request)
        if isinstance(found := self._open(path, request), Built):
            return found
        with alone(self.folder, on_reason):
            key = make_key(self._key_file, on_reason)
            found = self._open(path, request)  # somebody may have built it meanwhile
            if isinstance(found, Built):
                return found
            on_reason(found or self._replaced(request) or "there is none yet")
            built = build()
            with writing(self.folder):
                write_engine(path, request, built, key)
                self._mine.add(path)
                self._tidy(path, request)
        return built

    def find(self, model_sha256: str, place: Place, *, what: str) -> tuple[EngineRequest, Built]:
        """Give the engine of a graph's file that was used here last; builds none.

        Args:
            model_sha256: hash of the graph's file.
            place: where it is to run.
            what: the graph, for error messages.

        Returns:
            what it was built for, and the engine.

        Raises:
            IncompatibleError: there is none that may be used here.
        """
        reasons = []
        for entry in self._entries(model_sha256):
            if entry.head is None:
                reasons.append(entry.problem)
            elif entry.head.request.model_sha256 == model_sha256:
                if unfit := _unfit(entry.head.request, place):
                    reasons.append(f"the one that is kept was built {unfit}")
                    continue
                found = self._open(entry.path, entry.head.request)
                if isinstance(found, Built):
                    return entry.head.request, found
                reasons.append(found)
        why = f": {reasons[0]}" if reasons else ""
        rtx = " --rtx" if place.toolkit == "tensorrt_rtx" else ""
        raise IncompatibleError(
            f"{what} has no engine for {place}{why}. Build it with: mmedge build BUNDLE{rtx}, and "
            "the same --plan if you give one here."
        )

    def timings(self, place: Place) -> bytes:
        """Give what the compiler has measured in a place before."""
        return kept_timings(self.folder, place, self._key_file)

    def keep_timings(self, timings: bytes, place: Place) -> None:
        """Keep what the compiler has measured; while an engine is built, and by its builder."""
        keep_timings(timings, self.folder, place, self._key_file)

    def entries(self) -> tuple[Entry, ...]:
        """List what is kept, the last used first; whole engines are not read for it."""
        return self._entries("")

    def clean(self) -> tuple[Entry, ...]:
        """Remove all engines, and say which; the compiler's timings go with them.

        Raises:
            ConfigError: the folder cannot be written, or another process builds.
        """
        if not self.folder.is_dir():
            return ()
        with alone(self.folder, None), writing(self.folder):
            entries = self.entries()
            for entry in entries:
                entry.path.unlink(missing_ok=True)
            (self.folder / NAME).unlink(missing_ok=True)
            self._remove_drafts()
        return entries

    def _path(self, request: EngineRequest) -> Path:
        return self.folder / f"{request.model_sha256[:16]}-{request.key[:32]}{_SUFFIX}"

    def _open(self, path: Path, request: EngineRequest) -> Built | str:
        """Give an engine if it is this request's and to be trusted, else why not."""
        try:
            head, built = read_engine(path, read_key(self._key_file))
        except FileNotFoundError:
            return ""
        except Unfit as exc:
            return str(exc)
        if head.request.key != request.key:
            return f"{path} holds another engine than its name says"
        with suppress(OSError):  # a folder that may only be read serves as well
            os.utime(path)
        self._mine.add(path)
        return built

    def _replaced(self, request: EngineRequest) -> str:
        """Say in what the engine is another than the one that it is to replace."""
        for entry in self._entries(request.model_sha256):
            if entry.head is not None and request.replaces(entry.head.request):
                return request.differences(entry.head.request)
        return ""

    def _entries(self, model_sha256: str) -> tuple[Entry, ...]:
        try:
            key: bytes | None = read_key(self._key_file)
            why = ""
        except Unfit as exc:
            key, why = None, str(exc)
        found = []
        for path in self.folder.glob(f"{model_sha256[:16]}*{_SUFFIX}"):
            with suppress(FileNotFoundError):  # removed meanwhile
                if not path.is_dir():
                    found.append(_entry(path, key, why))
        return tuple(sorted(found, key=lambda entry: (-entry.used_s, entry.path)))

    def _tidy(self, path: Path, request: EngineRequest) -> None:
        """Remove what nobody will ask for again, and what is too much, beside a new file."""
        self._remove_drafts()
        left = []
        for entry in self.entries():
            stale = entry.head is None or request.replaces(entry.head.request)
            if stale and entry.path != path:
                entry.path.unlink(missing_ok=True)
            else:
                left.append(entry)
        total = sum(entry.bytes for entry in left)
        for entry in reversed(left):
            if total > self.limit_bytes and entry.path not in self._mine:
                entry.path.unlink(missing_ok=True)
                total -= entry.bytes

    def _remove_drafts(self) -> None:
        """Remove what builders that were killed have left; only they write, one at a time."""
        for draft in self.folder.glob(f".*{DRAFT}"):
            draft.unlink(missing_ok=True)


def _unfit(request: EngineRequest, place: Place) -> str:
    """Say for what else an engine was built; nothing if it is for this place."""
    if request.place != place:
        alike = str(request.place) == str(place)
        return "for another device of this kind" if alike else f"for {request.place}"
    return "" if request.builder == BUILDER else "by another version of mmedge"


def _entry(path: Path, key: bytes | None, why: str) -> Entry:
    """Look at one file; ``why`` there is no key."""
    status, head = path.lstat(), None
    if key is not None:
        try:
            head = read_head(path, key)
        except Unfit as exc:
            why = str(exc)
    return Entry(path=path, bytes=status.st_size, used_s=status.st_mtime, head=head, problem=why)
