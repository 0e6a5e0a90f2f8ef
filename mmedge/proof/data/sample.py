"""One labelled sample, as every kind of data gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmedge.errors import ArtefactError, ConfigError, MmedgeError, ResourceError, SourceError
from mmedge.runtime.preprocess import Picture, Raw

__all__ = ["UNREADABLE", "RawInput", "Sample", "Unread", "texts_of"]

RawInput = Raw | Picture
"""What a preprocessor takes."""

UNREADABLE = (SourceError, ResourceError, ConfigError)
"""What a clip's own media may be to blame for: it is skipped and counted. A package that is
missing, or a bundle that is damaged, ends the run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """What the model hears and sees once, and what it should answer.

    Attributes:
        where: the place it comes from, for messages.
        raws: modality -> raw input, as its preprocessor takes it; one left out is absent.
        before: modality -> the windows that came just before, oldest first, where the
            modality's encoder remembers.
        labels: task -> label as written, checked (`mmedge.runtime.clips.read_label`).
        columns: what else is known of it: speaker, session, site.
        group: samples of one group stay together when data is split; empty where neither a
            column nor a file tells, so that equal inputs have to.
    """

    where: str
    raws: Mapping[str, RawInput]
    before: Mapping[str, tuple[RawInput, ...]] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """A clip that could not be read.

    Attributes:
        where: the place it stands at.
        error: why.
    """

    where: str
    error: MmedgeError


def texts_of(columns: Mapping[str, Any], where: str) -> dict[str, str]:
    """Give columns as text; what is null is left out.

    Raises:
        ArtefactError: a value is a list or an object.
    """
    texts: dict[str, str] = {}
    for name, value in columns.items():
        if isinstance(value, (list, tuple, Mapping)):
            raise ArtefactError(
                f"{where}: column {name!r} is {str(value)[:80]}; give a text or a number, or "
                "leave it out"
            )
        if value is not None:
            texts[name] = value if isinstance(value, str) else json.dumps(value, default=str)
    return texts
