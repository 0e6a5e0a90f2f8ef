"""Is there enough in the data to take ranges from?"""

from __future__ import annotations

import numpy as np

from mmedge.errors import ConfigError
from mmedge.manifest import Manifest
from mmedge.proof.data.prepared import Prepared
from mmedge.specs import Sound, Text

__all__ = ["LEAST", "LEAST_TEXTS", "SILENCE", "refuse_unfit"]

LEAST = 8
"""Different inputs that each modality needs. Fewer show no encoder's range of activations."""
LEAST_TEXTS = 2
"""The same for texts, of which a device may know only a few."""
SILENCE = 1e-4
"""A sound whose samples lie this close together is silent: -80 dB of full scale."""

_EMPTY = {
    "image": "are pictures of one colour; is the lens covered?",
    "sound": "are silent or all zero; is the microphone muted?",
    "signal": "never change; is the sensor connected?",
    "text": "are texts of one token.",
}


def refuse_unfit(prepared: Prepared, manifest: Manifest, *, part: str = "") -> None:
    """Refuse data that says too little of a modality.

    NaN and infinity are no inputs at all: preprocessing refuses them, clip by clip.

    Args:
        prepared: the data, or a part of it.
        manifest: the model's.
        part: the part's name, for messages.

    Raises:
        ConfigError: a modality has too few different inputs, or too few that are not constant.
    """
    among = f" of the part {part!r}" if part else ""
    for name in prepared.modalities:
        spec = manifest.modalities[name]
        least = LEAST_TEXTS if isinstance(spec, Text) else LEAST
        different = prepared.unique(name)
        having = int(np.count_nonzero(prepared.presence[:, prepared.modalities.index(name)]))
        if different < least:
            raise ConfigError(
                f"modality {name!r}: {different} different input(s) in the {having} of "
                f"{len(prepared)} clips{among} that have it, and at least {least} are needed; give "
                "more clips as they come in service"
            )
        floor = SILENCE if isinstance(spec, Sound) else 0.0
        telling = int(np.count_nonzero(prepared.spread(name) > floor))
        if telling < least:
            raise ConfigError(
                f"modality {name!r}: {different - telling} of its {different} different "
                f"inputs{among} {_EMPTY[spec.kind]} At least {least} that are not are needed"
            )
