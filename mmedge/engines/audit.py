"""What a plan promised against what was built, layer by layer.

TensorRT may end well and compute in another precision than asked. So the types of the graph
that was compiled say what each product must take, the plan says which of them are INT8, and
the engine's own list of layers says what they do take: all three have to agree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from mmedge.engines.graph import MULTIPLY, PlanGraph
from mmedge.engines.layers import Fused
from mmedge.errors import ProofError

if TYPE_CHECKING:
    import onnx

__all__ = ["Audit", "Promise", "audit", "read_promise"]

_PRECISIONS = {"FLOAT": "Float", "FLOAT16": "Half", "INT8": "Int8"}
_TYPES = _PRECISIONS | {
    "BFLOAT16": "BFloat16",
    "UINT8": "UInt8",
    "INT32": "Int32",
    "INT64": "Int64",
    "BOOL": "Bool",
}
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a plan's graph is to compute in.

    Attributes:
        products: name of each convolution and matrix product -> ``Float``, ``Half``, ``Int8``.
        adds: names of the nodes that add, which a product may take along.
        casts: name of each node that turns one type into another, before a product too -> the
            type that it takes.
        attentions: the products of each attention.
        spare: products that an engine may lack: they hang on shapes alone, so that they may be
            computed once, when it is built; or no output hangs on them.
    """

    products: dict[str, str]
    adds: frozenset[str]
    casts: dict[str, str]
    attentions: tuple[frozenset[str], ...]
    spare: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found.

    Attributes:
        layers: of the engine.
        precisions: ``Float``, ``Half``, ``Int8`` -> how many products compute in it.
        attentions: how many the graph has...
        fused: ...and how many of them are one layer of the engine.
        wrong: what is not as it was promised; empty if all is.
    """

    layers: int
    precisions: dict[str, int]
    attentions: int
    fused: int
    wrong: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "layers": self.layers,
            "precisions": dict(self.precisions),
            "attentions": self.attentions,
            "fused": self.fused,
            "wrong": list(self.wrong),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(**{**fields, "wrong": tuple(fields["wrong"])})

    def check(self, what: str) -> None:
        """Refuse an engine that is not what was promised.

        Raises:
            ProofError: it is not.
        """
        if self.wrong:
            more = f"; and {len(self.wrong) - SHOWN} more" if len(self.wrong) > SHOWN else ""
            raise ProofError(
                f"{what} was built otherwise than its plan says: "
                f"{'; '.join(self.wrong[:SHOWN])}{more}"
            )


def read_promise(graph: PlanGraph, int8: Collection[str]) -> Promise:
    """Read what a graph is to compute in. Its large constants are gone afterwards.

    Args:
        graph: the plan's.
        int8: the layers that the plan lists.

    Raises:
        ProofError: the plan lists a layer as INT8 that has no Q/DQ, or leaves one out; or two
            products have the same name, and an engine's layers tell which nodes they are of by
            that.
    """
    attentions = tuple(graph.attentions())
    products = _products(graph)
    rounded = {
        name for name, node in products.items() if all(map(graph.is_rounded, node.input[:2]))
    }
    if differs := sorted(rounded ^ set(int8)):
        listed = "lists" if differs[0] in int8 else "does not list"
        raise ProofError(
            f"{graph.what}: the plan {listed} {differs[0]!r} as INT8, and its graph says otherwise"
        )
    taken = {
        name: [value for value in node.input[:2] if value in graph.moving]
        for name, node in products.items()
    }
    spare = frozenset(
        name
        for name, node in products.items()
        if node.output[0] not in graph.hanging & graph.needed
    )
    types = graph.types()
    return Promise(
        products={
            name: "Int8" if name in rounded else _PRECISIONS[types[values[0]]]
            for name, values in taken.items()
            if values
        },
        adds=frozenset(_name(node) for node in graph.nodes if node.op_type in ("Add", "Sum")),
        casts={
            _name(node): _TYPES.get(types[node.input[0]], "")
            for node in graph.nodes
            if node.op_type == "Cast"
        },
        attentions=attentions,
        spare=spare,
    )


def _name(node: onnx.NodeProto) -> str:
    """Give a node's name, or that under which TensorRT lists it where it has none."""
    return node.name or f"node_of_{node.output[0]}"


def _products(graph: PlanGraph) -> dict[str, onnx.NodeProto]:
    found: dict[str, onnx.NodeProto] = {}
    for node in graph.nodes:
        if node.op_type in MULTIPLY and found.setdefault(_name(node), node) is not node:
            raise ProofError(
                f"{graph.what} has two products with the name {_name(node)!r}: what an engine "
                "computes could not be told of either. Export it again."
            )
    return found


def audit(promise: Promise, engine: Sequence[Fused], *, hidden: bool = False) -> Audit:
    """Compare an engine's layers with what was promised.

    Args:
        promise: of the plan's graph.
        engine: its layers.
        hidden: whether layers may be in a DLA's program, which lists none.
    """
    counts = dict.fromkeys(_PRECISIONS.values(), 0)
    wrong = []
    for name, wanted in promise.products.items():
        holding = [each for each in engine if name in each.nodes]
        # What comes before and after a product may be a layer of its own under the same name.
        layers = [each for each in holding if each.multiplies] or holding
        if layers and all(_fits(each, wanted, promise) for each in layers):
            counts[wanted] += 1
        elif layers or not (hidden or name in promise.spare):
            inputs = sorted({kind for each in layers for kind in each.inputs}) or ["nothing"]
            wrong.append(f"{name} takes {' and '.join(inputs)} where {wanted} was promised")
    fused = sum(any(pair <= each.nodes for each in engine) for pair in promise.attentions)
    return Audit(
        layers=len(engine),
        precisions={name: count for name, count in counts.items() if count},
        attentions=len(promise.attentions),
        fused=fused,
        wrong=tuple(wrong),
    )


def _fits(layer: Fused, wanted: str, promise: Promise) -> bool:
    """Tell whether a layer multiplies what was promised."""
    kinds = set(layer.inputs) & set(_PRECISIONS.values())
    if wanted == "Int8":
        # Another type beside it is what is added behind the product.
        return "Int8" in kinds and (len(kinds) == 1 or bool(layer.nodes & promise.adds))
    if "Int8" in kinds:
        return False
    cast = {promise.casts[name] for name in layer.nodes & promise.casts.keys()}
    return bool({wanted, *cast} & set(layer.inputs)) and kinds <= {wanted, *cast}
