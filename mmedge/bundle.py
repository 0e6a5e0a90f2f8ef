"""The bundle: a folder ``NAME.mmedge/`` with graphs, manifest, golden samples and reports.

``manifest.json`` is the bundle's commit: files carry a part of their content's hash
in their name, the manifest is written last, and a file that it does not name does not
exist. A bundle may also live in memory, while it is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmedge._files import file_errors, sync_folder, write_synced, write_whole
from mmedge.errors import ArtefactError, ConfigError
from mmedge.manifest import MAX_MANIFEST_BYTES, FileRef, Manifest, parse_manifest

__all__ = [
    "MANIFEST",
    "SUFFIX",
    "Bundle",
    "check_target",
    "file_ref",
    "open_bundle",
    "save_bundle",
    "writing",
]

MANIFEST = "manifest.json"
SUFFIX = ".mmedge"
_LOCK = ".lock"
# Names that `file_ref` gives, and drafts of them; any other file is the user's.
_OURS = re.compile(r"(-[0-9a-f]{12}\.(onnx|npz|json|html)|^\..+\.(onnx|npz|json|html)\.part)$")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest and the bytes that it names.

    Attributes:
        manifest: what the bundle holds.
        files: file name -> content; a folder's files are read when asked for.
        path: the folder, or ``None`` for a bundle in memory.
        digest: SHA-256 of the manifest, which names every file's hash: the bundle's identity.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    path: Path | None
    digest: str

    @classmethod
    def in_memory(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Make a bundle that no folder holds yet."""
        return cls(manifest, files, None, hashlib.sha256(_encode(manifest)).hexdigest())

    def read(self, ref: FileRef) -> bytes:
        """Give the content of a file, after its size and hash have been checked.

        Raises:
            ArtefactError: it is missing, a link, or not what the manifest says.
        """
        data = self.files[ref.name]
        if len(data) != ref.bytes or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise ArtefactError(
                f"{self._where(ref)} is not the file that the manifest names (its size or hash "
                "differs): it was damaged or changed. Copy or export the bundle again."
            )
        return data

    def check(self) -> None:
        """Read every file once, so that all hashes are checked."""
        for ref in self.manifest.files:
            self.read(ref)

    def _where(self, ref: FileRef) -> str:
        return ref.name if self.path is None else str(self.path / ref.name)


def file_ref(stem: str, suffix: str, data: bytes) -> FileRef:
    """Name a content: ``stem-HASH.suffix``, so that another content has another name."""
    digest = hashlib.sha256(data).hexdigest()
    return FileRef(name=f"{stem}-{digest[:12]}{suffix}", sha256=digest, bytes=len(data))


def open_bundle(path: Path | str) -> Bundle:
    """Open a bundle's folder; files are checked as they are read.

    Raises:
        ArtefactError: it is no bundle, or its manifest is not to be trusted.
        ConfigError: there is nothing, or nothing that may be read.
        IncompatibleError: it was written by a newer mmedge.
    """
    folder = Path(path)
    try:
        exists, has_manifest = folder.exists(), (folder / MANIFEST).exists()
    except OSError as exc:
        raise ConfigError(f"{folder} cannot be opened: {exc.strerror}") from exc
    if not exists:
        raise ConfigError(
            f"there is no bundle at {folder}. Make one with: mmedge export RECIPE -o NAME{SUFFIX}"
        )
    if not has_manifest:
        raise ArtefactError(
            f"{folder} is not a bundle: it has no {MANIFEST}. A bundle is a folder NAME{SUFFIX} "
            "written by 'mmedge export'."
        )
    data = _read_plain(folder / MANIFEST, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(data)
    sizes = {ref.name: ref.bytes for ref in manifest.files}
    return Bundle(manifest, _Folder(folder, sizes), folder, hashlib.sha256(data).hexdigest())


def check_target(path: Path, *, replace: bool) -> None:
    """Refuse a place where a bundle could not be written, before the work is done.

    Raises:
        ConfigError: wrong suffix, no parent folder, something else is there, a bundle is
            there and ``replace`` is false, or the system does not let us write.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(f"a bundle's name ends in {SUFFIX}, not {path.name!r}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder {path.absolute().parent} does not exist; make it first")
    if path.is_symlink() or (path.exists() and not (path / MANIFEST).is_file()):
        raise ConfigError(f"{path} exists and is not a bundle; choose another name")
    if path.exists() and not replace:
        raise ConfigError(f"{path} exists already; add --force to replace it")
    try:
        with tempfile.TemporaryFile(dir=path if path.exists() else path.absolute().parent):
            pass
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def save_bundle(bundle: Bundle, path: Path | str, *, replace: bool = False) -> Bundle:
    """Write a bundle as a folder: whole, or not at all.

    A new bundle is written beside its place and renamed. In an existing one, the new
    files come first, the manifest is replaced last, and what it no longer names is removed;
    where that fails, the new files are.

    Raises:
        ConfigError: as for `check_target`, another process is writing there, or the
            system does not let us.
        ResourceError: the disk is full.
    """
    folder = Path(path)
    check_target(folder, replace=replace)
    contents = {ref.name: bundle.read(ref) for ref in bundle.manifest.files}
    write = _replace if folder.exists() else _create
    with file_errors(folder):
        write(folder, contents, _encode(bundle.manifest))
    return open_bundle(folder)


def _create(folder: Path, contents: Mapping[str, bytes], manifest: bytes) -> None:
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    try:
        for name, data in contents.items():
            write_synced(staged / name, data)
        write_synced(staged / MANIFEST, manifest)
        staged.chmod(0o755)
        staged.rename(folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    sync_folder(folder.absolute().parent)


def _replace(folder: Path, contents: Mapping[str, bytes], manifest: bytes) -> None:
    with writing(folder):
        new = [folder / name for name in contents if not (folder / name).exists()]
        try:
            for name, data in contents.items():
                _renew(folder / name, data)
            _renew(folder / MANIFEST, manifest)
        except BaseException:
            if (folder / MANIFEST).read_bytes() != manifest:
                for path in new:
                    path.unlink(missing_ok=True)
            raise
        for stray in folder.iterdir():
            if stray.name not in contents and _OURS.search(stray.name) and stray.is_file():
                stray.unlink()


@contextlib.contextmanager
def writing(folder: Path, *, wait_s: float = 10.0) -> Iterator[None]:
    """Be the only one to write a bundle's folder; who is that already may be it again.

    Raises:
        ConfigError: another process is, and after ``wait_s`` still.
        ArtefactError: the lock is a link.
    """
    from filelock import FileLock, Timeout  # brings asyncio and sqlite3: who reads needs none

    file, gone = folder / _LOCK, ""
    if file.is_symlink():
        raise ArtefactError(f"{file} is a link, and a bundle holds none; remove it")
    lock = FileLock(file, is_singleton=True)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as exc:
        # On a file system without locks the file is one, and names its holder. One who was
        # killed on this machine keeps out nobody; of another machine's nothing can be known.
        with contextlib.suppress(FileNotFoundError):  # given back meanwhile
            if file.stat().st_size:
                gone = f". If its machine was switched off, remove {file}"
        raise ConfigError(
            f"another process is writing {folder}; try again when it is done{gone}"
        ) from exc
    try:
        yield
    finally:
        lock.release()


def _renew(path: Path, data: bytes) -> None:
    """Write a file that does not hold this already."""
    if path.is_symlink() or not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


def _encode(manifest: Manifest) -> bytes:
    return (manifest.model_dump_json(indent=1) + "\n").encode()


def _read_plain(path: Path, limit_bytes: int) -> bytes:
    """Read a plain file of at most ``limit_bytes``; a link could lead out of the bundle."""
    try:
        # Not blocking: opening a named pipe would otherwise wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags)
    except FileNotFoundError as exc:
        raise ArtefactError(f"{path} is missing from the bundle. Copy or export it again.") from exc
    except OSError as exc:
        raise ArtefactError(
            f"{path} cannot be opened as a plain file ({exc.strerror}): a bundle holds no links "
            "and no folders. Copy or export it again."
        ) from exc
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or path.is_symlink():
            raise ArtefactError(f"{path} is not a plain file; a bundle holds nothing else")
        if status.st_size > limit_bytes:
            raise ArtefactError(f"{path} has {status.st_size} bytes, {limit_bytes} were expected")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


class _Folder(Mapping[str, bytes]):
    """The files that the manifest names, read when asked for."""

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self._folder = folder
        self._sizes = sizes

    def __getitem__(self, name: str) -> bytes:
        return _read_plain(self._folder / name, self._sizes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)
