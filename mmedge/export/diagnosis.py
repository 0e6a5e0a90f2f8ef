"""When a graph differs from torch: which module differs first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmedge.errors import MmedgeError
from mmedge.export.graph import to_onnx
from mmedge.export.watch import watching
from mmedge.manifest import Tolerance
from mmedge.proof.parity import Finding, compare
from mmedge.proof.taps import with_output
from mmedge.runtime.backends import open_backend

__all__ = ["first_difference"]

Array = NDArray[np.generic]


def first_difference(
    what: str,
    module: nn.Module,
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    tolerance: Tolerance,
) -> tuple[str, Finding] | None:
    """Export once more with every child module's output visible, and compare in order.

    Returns:
        Path and finding of the first module beyond tolerance whose own inputs still
        agreed as far as they can be seen; ``None`` if no child differs, so that the
        difference arises in the forward pass between them.
    """
    feeds = {name: torch.from_numpy(array) for name, array in inputs.items()}
    seen = _outputs(module, list(feeds.values()))
    taps = {path: f"tap/{index}" for index, path in enumerate(seen)}
    try:
        model = to_onnx(what, module, feeds, outputs, taps).SerializeToString()
    except MmedgeError:
        return None  # the proof's own finding is the better message
    for tap in taps.values():
        model = with_output(model, tap)
    with open_backend("cpu", model, what=what) as backend:
        came = backend.run(inputs)
    for path, tap in taps.items():
        batch = len(seen[path])
        finding = compare(path, seen[path].numpy(), came[tap], tolerance, batch=batch)
        if not finding.passed:
            return path, finding
    return None


def _outputs(module: nn.Module, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Run torch and keep what each called submodule returned, where it has the batch."""
    with watching(module) as seen, torch.no_grad():
        module(*inputs)
    batch = len(inputs[0])
    return {path: out.detach() for path, out in seen.items() if out.ndim and len(out) == batch}
