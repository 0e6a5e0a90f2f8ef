"""Golden samples: inputs, and what the trained model made of them at every point.

The file is a numpy archive without pickle. Its keys:

| key | holds |
|---|---|
| ``raw/MODALITY/I`` | sample I as it came: uint8 picture, float32 sound or signal, or text |
| ``rate/MODALITY/I`` | the sound's sample rate, Hz |
| ``input/MODALITY/TENSOR`` | ``[S, ...]`` what the encoder's graph takes |
| ``front_end/MODALITY`` | ``[S, ...]`` what its front-end makes of it |
| ``embedding/MODALITY/TENSOR`` | ``[S, ...]`` what the encoder makes of that |
| ``chain_input/MODALITY/TENSOR`` | ``[T, ...]`` consecutive windows, for an encoder with state |
| ``chain_embedding/MODALITY/TENSOR`` | ``[T, ...]`` what the encoder makes of them |
| ``chain_state/MODALITY/STATE`` | ``[T, ...]`` what it remembers after each |
| ``chain_reset/MODALITY`` | the window before which it begins anew |
| ``presence`` | bool ``[R, M]``, the subsets of modalities |
| ``output/TASK`` | ``[R, S, K]``, for a raw task ``[R, S, *shape]``: the head's outputs |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ArtefactError
from mmedge.proof.chains import Chain
from mmedge.runtime.archive import DAMAGE, pack, unpack
from mmedge.runtime.preprocess import Pcm

__all__ = ["MAX_BYTES", "Golden"]

MAX_BYTES = 16 * 2**20
MAX_UNPACKED_BYTES = 256 * 2**20

_CHAIN = ("input", "embedding", "state")

Array = NDArray[np.generic]
Raw = Array | Pcm | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """See the table above; ``S`` samples, ``R`` subsets of ``M`` modalities."""

    raw: Mapping[str, tuple[Raw, ...]]
    inputs: Mapping[str, Mapping[str, Array]]
    front_ends: Mapping[str, Array]
    embeddings: Mapping[str, Mapping[str, Array]]
    presence: NDArray[np.bool_]
    outputs: Mapping[str, Array]
    chains: Mapping[str, Chain] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.raw.values())))

    def first(self, count: int) -> Golden:
        """Give the first ``count`` samples."""
        return Golden(
            raw={name: raw[:count] for name, raw in self.raw.items()},
            inputs=_cut(self.inputs, count),
            front_ends={name: array[:count] for name, array in self.front_ends.items()},
            embeddings=_cut(self.embeddings, count),
            presence=self.presence,
            outputs={task: array[:, :count] for task, array in self.outputs.items()},
            chains=self.chains,
        )

    def to_bytes(self) -> bytes:
        """Pack as a numpy archive; the same samples give the same bytes."""
        flat: dict[str, Any] = {"presence": self.presence}
        for name, raws in self.raw.items():
            for index, raw in enumerate(raws):
                flat[f"raw/{name}/{index}"] = raw.samples if isinstance(raw, Pcm) else raw
                if isinstance(raw, Pcm):
                    flat[f"rate/{name}/{index}"] = raw.rate_hz
        for prefix, table in (("input", self.inputs), ("embedding", self.embeddings)):
            for name, arrays in table.items():
                flat |= {f"{prefix}/{name}/{key}": array for key, array in arrays.items()}
        flat |= {f"front_end/{name}": array for name, array in self.front_ends.items()}
        flat |= {f"output/{task}": array for task, array in self.outputs.items()}
        for name, chain in self.chains.items():
            flat[f"chain_reset/{name}"] = chain.reset
            for prefix in _CHAIN:
                arrays = getattr(chain, f"{prefix}s")
                flat |= {f"chain_{prefix}/{name}/{key}": each for key, each in arrays.items()}
        return pack(flat)

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Unpack; the file may come from a stranger.

        Raises:
            ArtefactError: damaged, too large, or not laid out as above.
        """
        what, remedy = "the golden samples", "export the model again"
        flat = unpack(data, limit_bytes=MAX_UNPACKED_BYTES, what=what, remedy=remedy)
        try:
            return cls(
                raw=_raws(flat),
                inputs=_nested(flat, "input"),
                front_ends=_flat(flat, "front_end"),
                embeddings=_nested(flat, "embedding"),
                presence=flat["presence"].astype(bool),
                outputs=_flat(flat, "output"),
                chains=_chains(flat),
            )
        except DAMAGE as exc:
            raise ArtefactError(f"{what} cannot be read ({exc}); {remedy}") from exc


def _chains(flat: Mapping[str, Array]) -> dict[str, Chain]:
    inputs, embeddings, states = (_nested(flat, f"chain_{prefix}") for prefix in _CHAIN)
    return {
        name: Chain(
            inputs=inputs.get(name, {}),
            embeddings=embeddings.get(name, {}),
            states=states.get(name, {}),
            reset=int(reset),
        )
        for name, reset in _flat(flat, "chain_reset").items()
    }


def _raws(flat: Mapping[str, Array]) -> dict[str, tuple[Raw, ...]]:
    names = {key.split("/")[1] for key in flat if key.startswith("raw/")}
    return {name: _raw_of(flat, name) for name in sorted(names)}


def _raw_of(flat: Mapping[str, Array], name: str) -> tuple[Raw, ...]:
    raws: list[Raw] = []
    while (key := f"raw/{name}/{len(raws)}") in flat:
        rate = flat.get(f"rate/{name}/{len(raws)}")
        array = flat[key]
        if rate is not None:
            raws.append(Pcm(array.astype(np.float32), int(rate)))
        else:
            raws.append(str(array) if array.dtype.kind == "U" else array)
    return tuple(raws)


def _flat(flat: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    start = f"{prefix}/"
    return {key.removeprefix(start): each for key, each in flat.items() if key.startswith(start)}


def _nested(flat: Mapping[str, Array], prefix: str) -> dict[str, dict[str, Array]]:
    nested: dict[str, dict[str, Array]] = {}
    for key, array in _flat(flat, prefix).items():
        name, _, tensor = key.partition("/")
        nested.setdefault(name, {})[tensor] = array
    return nested


def _cut(table: Mapping[str, Mapping[str, Array]], count: int) -> dict[str, dict[str, Array]]:
    return {name: {k: each[:count] for k, each in arrays.items()} for name, arrays in table.items()}
