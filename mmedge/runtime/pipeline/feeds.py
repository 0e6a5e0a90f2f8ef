"""Which source feeds which modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.samples import SampleKind
from mmedge.runtime.sources import Source

__all__ = ["Feed", "check_feeds", "check_kind"]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A source, and the modalities that its samples go to.

    Attributes:
        make: gives a fresh, unopened object of the source.
        feeds: kind of sample -> modality; a source of picture and sound feeds two.
    """

    make: Callable[[], Source]
    feeds: Mapping[SampleKind, str]


def check_feeds(feeds: Sequence[Feed], bundle: Bundle) -> dict[str, SampleKind]:
    """Give the modalities that are fed, with the kind of what feeds them.

    Raises:
        ConfigError: one that the model does not have, of another kind, or fed twice.
    """
    fed: dict[str, SampleKind] = {}
    for each in feeds:
        for kind, name in each.feeds.items():
            if name in fed:
                raise ConfigError(f"modality {name!r} has two sources; give it one")
            check_kind(name, kind, bundle)
            fed[name] = kind
    return fed


def check_kind(name: str, kind: SampleKind, bundle: Bundle) -> None:
    """Refuse a modality that the model does not have in this kind."""
    modalities = bundle.manifest.modalities
    if name not in modalities or modalities[name].kind != kind:
        known = ", ".join(f"{each} ({m.kind})" for each, m in modalities.items())
        raise ConfigError(f"the model has no {kind} modality {name!r}; it has {known}")
