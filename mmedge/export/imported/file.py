"""An ONNX file in a recipe: run as it is, it is the reference of its own proof."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.export.imported.reading import parse_onnx, read_onnx

__all__ = ["OnnxFile"]

Array = NDArray[np.generic]


class OnnxFile(nn.Module):
    """An encoder that exists only as an ONNX file; stands where a module would.

    >>> Encoder(module=OnnxFile("vad.onnx", constants={"sr": 16_000}))  # doctest: +SKIP

    It is called with what the front-end gives, one row at a time, and returns the file's
    outputs by name. The graph in the bundle is held against that: ONNX Runtime on the
    original file.

    Args:
        path: relative to the recipe's folder.
        inputs: the file's inputs in the order in which the modality feeds them (a text's
            ids, then mask); by default all in the file's order.
        constants: input -> value, for inputs that have to be fixed.
        channels_last: the file takes pictures as ``[B, H, W, C]`` (TensorFlow, Keras).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        inputs: Sequence[str] | None = None,
        constants: Mapping[str, Any] | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.channels_last = channels_last
        self._inputs = None if inputs is None else tuple(inputs)
        self._constants = {name: np.asarray(each) for name, each in (constants or {}).items()}
        self._data = b""
        self._session: Any = None

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self._data).hexdigest()

    def open(self, folder: Path) -> None:
        """Read the file.

        Args:
            folder: what the path is relative to.

        Raises:
            ConfigError: no such file, or names that it does not have.
            ArtefactError: damaged, or no ONNX file.
            IncompatibleError: nothing that a bundle's graph could be made of.
            ResourceError: more than 2 GB.
        """
        self._data = read_onnx(folder / self.path)
        parse_onnx(self._data, str(self.path))
        ort = require("onnxruntime", extra="cpu|gpu", why="an encoder from an ONNX file")
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = ort.InferenceSession(
                self._data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # its exceptions have no common base but this
            reason = str(exc).partition("\n")[0][:300]
            raise ArtefactError(f"ONNX Runtime cannot load {self.path}: {reason}") from exc
        known = self._named()
        for what, names in (("constants", self._constants), ("inputs", self._inputs or ())):
            for name in names:
                if name not in known:
                    raise ConfigError(
                        f"OnnxFile({what}=...) names {name!r}, but {self.path} has the inputs "
                        f"{', '.join(known)}"
                    )

    def model(self) -> onnx.ModelProto:
        """Parse the file anew; the caller may change what it gets."""
        return parse_onnx(self._data, str(self.path))

    def constants(self) -> dict[str, Array]:
        """Give the fixed inputs in the file's own types and ranks."""
        return {name: self._fixed(name, self._named()[name]) for name in self._constants}

    def feeds(self, states: Sequence[str] = ()) -> tuple[str, ...]:
        """Name the inputs that the modality feeds, in order: neither constants nor states."""
        if self._inputs is not None:
            return self._inputs
        names = [n for n in self._named() if n not in self._constants and n not in states]
        return tuple(sorted(names, key=lambda name: "mask" in name))  # a text's ids come first

    def forward(self, *given: Tensor, **states: Tensor) -> dict[str, Tensor]:
        """Run the file on one row.

        Raises:
            ConfigError: what is given does not fit the file's inputs.
        """
        if self._session is None:
            self.open(Path.cwd())
        names = self.feeds(tuple(states))
        known = self._named()
        if len(names) != len(given) or {*names, *states, *self._constants} != set(known):
            raise ConfigError(
                f"{self.path} takes {', '.join(known)}, and the modality feeds {len(given)} of "
                "them. Fix the others with OnnxFile(constants={name: value}), or choose and order "
                "them with OnnxFile(inputs=(...)); what it remembers is a State."
            )
        feeds = {
            name: self._convert(known[name], self._turned(tensor))
            for name, tensor in zip(names, given, strict=True)
        }
        feeds |= {name: self._convert(known[name], tensor) for name, tensor in states.items()}
        outputs = [each.name for each in self._session.get_outputs() if "tensor" in each.type]
        try:
            arrays = self._session.run(outputs, {**feeds, **self.constants()})
        except Exception as exc:  # its exceptions have no common base but this
            reason = str(exc).partition("\n")[0][:300]
            raise ConfigError(f"{self.path} fails under ONNX Runtime: {reason}") from exc
        pairs = zip(outputs, arrays, strict=True)
        return {name: torch.from_numpy(np.array(each)) for name, each in pairs}

    def order(self, dimensions: int) -> tuple[int, ...] | None:
        """Say how the axes of a picture are to be put for the file; ``None`` as they are."""
        axes = tuple(range(dimensions))
        last = self.channels_last and dimensions > 3
        return (*axes[:-3], *axes[-2:], axes[-3]) if last else None

    def _turned(self, tensor: Tensor) -> Tensor:
        order = self.order(tensor.ndim)
        return tensor if order is None else tensor.permute(order)

    def _named(self) -> dict[str, Any]:
        return {each.name: each for each in self._session.get_inputs()}

    def _convert(self, spec: Any, tensor: Tensor) -> Array:
        dtype = _dtype(spec, str(self.path))
        wanted = [size if isinstance(size, int) else None for size in spec.shape]
        came = list(tensor.shape)
        if len(wanted) != len(came) or any(
            want not in (None, 0, size) for want, size in zip(wanted, came, strict=True)
        ):
            raise ConfigError(
                f"{self.path}: input {spec.name!r} is {spec.type} {spec.shape}, but is given "
                f"{came}. Are the modality's sizes those of the training? A file from TensorFlow "
                "takes pictures as [B, H, W, C]: OnnxFile(channels_last=True). A batch other than "
                "1 must not be fixed."
            )
        return tensor.numpy().astype(dtype)

    def _fixed(self, name: str, spec: Any) -> Array:
        value = self._constants[name].astype(_dtype(spec, str(self.path)))
        return value.reshape((1,) * len(spec.shape)) if value.size == 1 else value


def _dtype(spec: Any, where: str) -> Any:
    kinds = {"float": "float32", "double": "float64"}
    kind = spec.type.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(kinds.get(kind, kind))
    except TypeError as exc:
        raise IncompatibleError(
            f"{where}: input {spec.name!r} has the type {spec.type}, which no graph of a bundle has"
        ) from exc
