"""The layers of an engine, as TensorRT itself lists them.

TensorRT-RTX's builder prints them while it compiles; of TensorRT's own engines an
``EngineInspector`` tells, on the device that runs them. Which fields it has is described in
NVIDIA's "Engine Inspector" and, for 11.x, "Migrating IEngineInspector Usage".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmedge.errors import ProofError

__all__ = ["Fused", "parse_inspection", "parse_listing"]

_LINE = re.compile(r"Name: (.*?), LayerType: (\w+), Inputs: \[(.*?)\], (?:Constants|Out)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_MULTIPLIES = re.compile(r"gemm|correlation|conv|matri|fullyconnected|mha", re.IGNORECASE)
# In words such as "Thirty-two wide channel vectorized row major Int8 format" or "Half".
_TYPES = (
    ("Int8", re.compile(r"\bint8\b", re.IGNORECASE)),
    ("BFloat16", re.compile(r"\bbf(loat)?16\b", re.IGNORECASE)),
    ("Half", re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE)),
    ("Float", re.compile(r"\b(fp32|float|float32)\b", re.IGNORECASE)),
    ("UInt8", re.compile(r"\buint8\b", re.IGNORECASE)),
    ("Int64", re.compile(r"\bint64\b", re.IGNORECASE)),
    ("Int32", re.compile(r"\bint32\b", re.IGNORECASE)),
    ("Bool", re.compile(r"\bbool(ean)?\b", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Fused:
    """One layer of the engine.

    Attributes:
        name: the compiler's.
        kind: its ``LayerType``.
        inputs: types of what it takes that is no constant, such as ``Int8``.
        nodes: names of the graph's nodes that went into it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    nodes: frozenset[str]

    @property
    def attends(self) -> bool:
        """Whether it is a whole attention: both products and the softmax between them."""
        return self.name.startswith("_gemm_mha")

    @property
    def multiplies(self) -> bool:
        """Whether it is a convolution or a matrix product, and not what comes before or after."""
        return self.attends or "_Fc" in self.name or bool(_MULTIPLIES.search(self.kind))


def parse_listing(text: str) -> tuple[Fused, ...]:
    """Read what TensorRT-RTX's builder prints behind ``Layers:``.

    Raises:
        ProofError: there is nothing to be read in it.
    """
    found = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            types = tuple(re.findall(r"Datatype: (\w+)", match[3]))
            found.append(Fused(match[1], match[2], types, frozenset(_NODE.findall(line))))
    return _some(found)


def parse_inspection(text: str) -> tuple[Fused, ...]:
    """Read the JSON of an ``EngineInspector``.

    Raises:
        ProofError: there is nothing to be read in it.
    """
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ProofError(f"the engine's inspector says nothing of its layers: {exc!r}") from exc
    # Without details, a layer is only a name.
    return _some([_inspected(each) for each in layers if isinstance(each, dict)])


def _inspected(layer: Mapping[str, Any]) -> Fused:
    return Fused(
        str(layer.get("Name", "")),
        str(layer.get("LayerType", "")),
        tuple(_type(each) for each in layer.get("Inputs", ()) if isinstance(each, dict)),
        frozenset(_NODE.findall(str(layer.get("Metadata", "")))),
    )


def _type(tensor: Mapping[str, Any]) -> str:
    """Give a tensor's type: 10.x has it in the words of its format, 11.x on its own."""
    fields = {name.lower(): str(value) for name, value in tensor.items()}
    words = fields.get("datatype") or fields.get("format/datatype") or fields.get("format", "")
    return next((name for name, pattern in _TYPES if pattern.search(words)), words)


def _some(found: list[Fused]) -> tuple[Fused, ...]:
    if not any(each.nodes for each in found):
        raise ProofError(
            "TensorRT lists no layers with the nodes of the graph that are in them: what it built "
            "cannot be audited"
        )
    return tuple(found)
