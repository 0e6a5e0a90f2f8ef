"""All that makes a float32 graph easier to round in INT8, in one place."""

from __future__ import annotations

from collections.abc import Mapping

from mmedge.calibration.channels import Channels
from mmedge.calibration.graph import Graph, attribute
from mmedge.calibration.layers import moving_values
from mmedge.calibration.rewrite.centring import centre
from mmedge.calibration.rewrite.migrated import Migrated
from mmedge.calibration.rewrite.smoothing import migrate

__all__ = ["channel_axes", "ease"]


def channel_axes(model: bytes) -> dict[str, int]:
    """Give what to watch the channels of: value -> channel axis, for layers with weights."""
    graph = Graph(model)
    moving, skipped = moving_values(graph), graph.front_end()
    return {
        node.input[0]: 1 if node.op_type in ("Conv", "ConvTranspose") else -1
        for node in graph.nodes
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
        and node.name not in skipped
        and node.input[0] in moving
        and node.input[1] not in moving
        and not attribute(node, "transA", 0)
    }


def ease(model: bytes, channels: Mapping[str, Channels]) -> Migrated:
    """Centre what begins at zero, and migrate the outliers of dense layers.

    Args:
        model: a float32 graph.
        channels: of the values of `channel_axes`.

    Returns:
        the graph, and the channels of everything that layers with weights take in it: ranges
        and means to lower it with.
    """
    centred = centre(model, channels)
    known = {**channels, **centred.channels}
    dense = {name: seen for name, seen in known.items() if name not in centred.channels}
    migrated = migrate(centred.model, dense)
    return Migrated(model=migrated.model, channels={**known, **migrated.channels})
