"""The signature of a graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mmedge.specs.base import Spec

__all__ = ["DType", "GraphSpec", "TensorSpec"]

DType = Literal["float32", "float16", "uint8", "int8", "int32", "int64", "bool"]
Dimension = Annotated[int, Field(ge=1, le=2**31)] | Literal["batch"]


class TensorSpec(Spec):
    """Name, element type and shape of a graph's input or output; axis 0 is the batch."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    dtype: DType
    shape: Annotated[tuple[Dimension, ...], Field(strict=False, max_length=8)]


class GraphSpec(Spec):
    """The signature of one graph, the same in every plan."""

    inputs: Annotated[tuple[TensorSpec, ...], Field(strict=False, min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(strict=False, min_length=1)]
