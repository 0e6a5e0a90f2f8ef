"""Raw samples to embeddings: who is present, which rows an encoder sees, what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.manifest import FUSION, Manifest
from mmedge.runtime.streams import StreamState
from mmedge.specs import TensorSpec

__all__ = ["embed", "zeros"]

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
Prepare = Callable[[str, Any], Arrays]
Encode = Callable[[str, Arrays, StreamState | None], Arrays]


def embed(
    manifest: Manifest,
    prepare: Prepare,
    encode: Encode,
    samples: Sequence[Mapping[str, Any]],
    streams: Mapping[str, StreamState],
) -> dict[str, Array]:
    """Prepare and encode raw samples.

    Args:
        manifest: the bundle's.
        prepare: turns one raw input into a graph's arrays.
        encode: runs an encoder on a batch.
        samples: raw inputs by modality.
        streams: modality -> state, where the samples are consecutive windows of one stream.

    Returns:
        fusion input -> ``[B, ...]``; zeros where a sample lacks the modality.

    Raises:
        ConfigError: an unknown modality, or an input that is not what it expects.
    """
    known = manifest.presence
    for sample in samples:
        strange = sorted(set(sample) - set(known))
        if strange:
            raise ConfigError(
                f"the model has no modality {strange[0]!r}; it has {', '.join(known)}"
            )
    embeddings: dict[str, Array] = {}
    for name in known:
        prepared = [
            None if sample.get(name) is None else prepare(name, sample[name]) for sample in samples
        ]
        slots = {
            output: zeros(_fused(manifest, output), len(samples))
            for output in manifest.encoder_outputs(name).values()
        }
        for rows, arrays in _encoded(name, prepared, encode, streams.get(name)):
            for output, array in arrays.items():
                slots[output][rows] = array
        embeddings |= slots
    return embeddings


def zeros(spec: TensorSpec, batch: int) -> Array:
    """Give a tensor of a graph's, all zero."""
    sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
    return np.zeros((batch, *sizes), dtype=spec.dtype)


def _encoded(
    name: str, prepared: Sequence[Arrays | None], encode: Encode, stream: StreamState | None
) -> list[tuple[list[int], Arrays]]:
    """Encode what is there: all at once, or window by window where the encoder remembers."""
    if not stream:
        rows = [row for row, each in enumerate(prepared) if each is not None]
        there = [each for each in prepared if each is not None]
        stacked = {key: np.stack([one[key] for one in there]) for key in there[0]} if there else {}
        return [(rows, encode(name, stacked, None))] if there else []
    made = []
    for row, each in enumerate(prepared):
        if each is None:
            stream.reset()  # what came before is no longer what came just before
        else:
            batch = {key: array[None] for key, array in each.items()}
            made.append(([row], encode(name, batch, stream)))
    return made


def _fused(manifest: Manifest, name: str) -> TensorSpec:
    return next(spec for spec in manifest.graphs[FUSION].inputs if spec.name == name)
