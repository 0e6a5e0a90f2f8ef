"""What an encoder remembers of one stream."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.manifest import Manifest

__all__ = ["StreamState"]

Array = NDArray[np.generic]


class StreamState:
    """The state of one modality's encoder along one stream of windows.

    Hold one for each stream, give it to `Predictor.encode` with every window in order, and
    reset it at the beginning, after a gap, and after a window that was dropped. It is empty
    for an encoder without state, so that nobody has to ask.

    Args:
        manifest: the bundle's.
        modality: whose encoder.
        batch: streams that are encoded together, row by row.
    """

    def __init__(self, manifest: Manifest, modality: str, batch: int = 1) -> None:
        self.modality = modality
        self.batch = batch
        self._specs = manifest.states.get(modality, ())
        inputs = {spec.name: spec for spec in manifest.graphs[modality].inputs}
        self._initial: dict[str, Array] = {}
        for state in self._specs:
            sizes = [size for size in inputs[state.input].shape[1:] if isinstance(size, int)]
            row = np.broadcast_to(np.array(state.init, np.float32), (math.prod(sizes),)).reshape(
                sizes
            )
            self._initial[state.name] = np.repeat(row[None], batch, axis=0)
        self._arrays = dict(self._initial)

    def __bool__(self) -> bool:
        """Whether the encoder remembers anything."""
        return bool(self._specs)

    @property
    def arrays(self) -> dict[str, Array]:
        """State -> float32 ``[B, ...]``, what goes in with the next window."""
        return dict(self._arrays)

    def reset(self) -> None:
        """Begin anew."""
        self._arrays = dict(self._initial)

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `arrays` gave.

        Raises:
            ConfigError: it is the state of another encoder, or of another number of streams.
        """
        if set(arrays) != set(self._initial):
            raise ConfigError(
                f"the encoder of {self.modality!r} remembers {sorted(self._initial) or 'nothing'}, "
                f"but the state is of {sorted(arrays)}; give it what StreamState.arrays gave"
            )
        for name, array in arrays.items():
            want = self._initial[name]
            if array.shape != want.shape or array.dtype != want.dtype:
                raise ConfigError(
                    f"state {name!r} of {self.modality!r} is {array.dtype}{array.shape}, but its "
                    f"encoder takes {want.dtype}{want.shape}; give it what StreamState.arrays "
                    "gave, or begin anew with reset()"
                )
        self._arrays = dict(arrays)

    def feeds(self, modality: str, batch: int) -> dict[str, Array]:
        """Give the graph's inputs for the next window.

        Raises:
            ConfigError: it is another modality's, or of another number of streams.
        """
        if (modality, batch) != (self.modality, self.batch):
            raise ConfigError(
                f"a state of {self.batch} stream(s) of {self.modality!r} cannot go with {batch} "
                f"window(s) of {modality!r}; make one with Predictor.stream({modality!r}, {batch})"
            )
        return {state.input: self._arrays[state.name] for state in self._specs}

    def keep(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Remember what the graph gave for the next window, and give its other outputs."""
        if not self._specs:
            return dict(outputs)
        self._arrays = {state.name: outputs[state.output] for state in self._specs}
        kept = {state.output for state in self._specs}
        return {name: array for name, array in outputs.items() if name not in kept}
