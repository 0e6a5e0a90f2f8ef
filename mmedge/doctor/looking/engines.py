"""The engines that are kept here: what built them, read from their signed heads."""

from __future__ import annotations

from dataclasses import dataclass

from mmedge.doctor.place import Place

__all__ = ["KeptEngine", "look_at_engines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEngine:
    """One file of the cache.

    Attributes:
        file: its name.
        toolkit: ``tensorrt`` or ``tensorrt_rtx``; empty where it is not to be trusted...
        version: of the toolkit.
        problem: ...and why not.
    """

    file: str
    toolkit: str = ""
    version: str = ""
    problem: str = ""


def look_at_engines(place: Place) -> tuple[KeptEngine, ...]:
    """List the cache; no engine is deserialised."""
    from mmedge.engines.cache import EngineCache

    entries = EngineCache(place.cache, key_file=place.key_file).entries()
    return tuple(
        KeptEngine(file=each.path.name, problem=each.problem)
        if each.head is None
        else KeptEngine(
            file=each.path.name,
            toolkit=each.head.request.place.toolkit,
            version=each.head.request.place.version,
        )
        for each in entries
    )
