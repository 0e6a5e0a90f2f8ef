"""Requests for engines that nothing has to be built for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mmedge.engines.cache import EngineCache
from mmedge.engines.request import EngineRequest, Place
from mmedge.engines.stored import Built

PLACE = Place(
    toolkit="tensorrt",
    version="10.3.0",
    gpu="Orin",
    capability=(8, 7),
    uuid="GPU-0",
    driver="540.4.0, CUDA 12.6",
)
REQUEST = EngineRequest(
    graph="camera",
    model_sha256="ab" * 32,
    plan="int8",
    profile={"frames": [[1, 8, 8, 3], [1, 8, 8, 3], [8, 8, 8, 3]]},
    flags={"workspace_bytes": None, "dla_core": None},
    place=PLACE,
)
BUILT = Built(engine=b"an engine of some length", about={"layers": 3})


def request(**changes: Any) -> EngineRequest:
    """`REQUEST` with other fields; those of the place by name, too."""
    of_place = {name: changes.pop(name) for name in Place.__slots__ if name in changes}
    return replace(REQUEST, place=replace(PLACE, **of_place), **changes)


def cache_in(folder: Path, **options: Any) -> EngineCache:
    """A cache and a key of its own."""
    return EngineCache(folder / "cache", key_file=folder / "state" / "engine.key", **options)


class Spy:
    """Builds engines that name their request, and counts what is built and deserialised."""

    def __init__(self, cache: EngineCache) -> None:
        self.cache = cache
        self.built = 0
        self.deserialised: list[bytes] = []
        self.reasons: list[str] = []

    def ask(self, wanted: EngineRequest = REQUEST) -> bytes:
        """What a user of the cache does: ask, and deserialise what comes."""

        def build() -> Built:
            self.built += 1
            return Built(engine=f"engine of {wanted.key}".encode(), about={"n": self.built})

        engine = self.cache.engine(wanted, build, self.reasons.append).engine
        self.deserialised.append(engine)
        assert engine == f"engine of {wanted.key}".encode()
        return engine

    @property
    def file(self) -> Path:
        (file,) = self.cache.folder.glob("*.engine")
        return file


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
