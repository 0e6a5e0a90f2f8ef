"""What of a bundle a proof may rest on: its golden samples, and what it is allowed.

A bundle says itself what it is to be held against, so a stranger's could make its own
proof easy. Here that is refused.
"""

from __future__ import annotations

import numpy as np

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError
from mmedge.manifest import FUSION, Manifest, Tolerance
from mmedge.proof.chains import chain_fits
from mmedge.proof.golden import MAX_BYTES, Golden
from mmedge.proof.parity import FP32
from mmedge.proof.subsets import presence_rows
from mmedge.specs import Image, Signal, Sound

__all__ = ["load_golden", "tolerance_of"]


def load_golden(bundle: Bundle) -> Golden:
    """Read a bundle's golden samples, and hold them against its manifest."""
    manifest = bundle.manifest
    if manifest.golden.file.bytes > MAX_BYTES:
        raise ArtefactError(f"the golden samples exceed {MAX_BYTES} bytes; export the model again")
    golden = Golden.from_bytes(bundle.read(manifest.golden.file))
    if (
        set(golden.raw) != set(manifest.modalities)
        or set(golden.outputs) != set(manifest.tasks)
        or not np.array_equal(golden.presence, presence_rows(manifest.presence))
        or any(len(raws) != manifest.golden.samples for raws in golden.raw.values())
        or not _fits(golden, manifest)
        or set(golden.chains) != set(manifest.states)
        or not all(chain_fits(each, name, manifest) for name, each in golden.chains.items())
    ):
        raise ArtefactError(
            "the golden samples belong to another model than the manifest; export it again"
        )
    return golden


def _fits(golden: Golden, manifest: Manifest) -> bool:
    """Tell whether all arrays are there, in the types and shapes that the graphs have."""
    fused = {spec.name: spec for spec in manifest.graphs[FUSION].inputs}
    for name in manifest.modalities:
        made = [fused[key] for key in manifest.encoder_outputs(name).values()]
        for arrays, specs in (
            (golden.inputs.get(name, {}), manifest.encoder_inputs(name)),
            (golden.embeddings.get(name, {}), made),
        ):
            came = {key: (array.dtype, array.shape) for key, array in arrays.items()}
            sizes = {i.name: (golden.samples, *i.shape[1:]) for i in specs}
            if came != {i.name: (np.dtype(i.dtype), sizes[i.name]) for i in specs}:
                return False
    rows = (len(golden.presence), golden.samples)
    return (
        _with_front_end(manifest) <= set(golden.front_ends) <= set(manifest.modalities)
        and all(array.dtype == np.float32 for array in golden.outputs.values())
        and all(array.shape[:1] == rows[1:] for array in golden.front_ends.values())
        and all(array.dtype == np.float32 for array in golden.front_ends.values())
        and all(array.shape[:2] == rows for array in golden.outputs.values())
    )


def _with_front_end(manifest: Manifest) -> set[str]:
    """The modalities whose graphs always begin with a front-end; any other may."""
    return {
        name
        for name, modality in manifest.modalities.items()
        if isinstance(modality, (Image, Signal))
        or (isinstance(modality, Sound) and (modality.log_mel is not None or modality.standardise))
    }


def tolerance_of(bundle: Bundle, plan: str, kind: str) -> Tolerance:
    """Take the plan's tolerance; what float32 may differ is not the bundle's to say."""
    precision = bundle.manifest.plans[plan].precision
    for name, tolerance in bundle.manifest.plans[plan].tolerances.items():
        if name == kind and (precision != "fp32" or tolerance == FP32[kind]):
            return tolerance
        if name == kind:
            raise ArtefactError(
                f"plan {plan!r} allows {tolerance.absolute:g} + {tolerance.relative:g} |r|, but "
                f"float32 on a {kind} is held to {FP32[kind].absolute:g} + "
                f"{FP32[kind].relative:g} |r|; export the model again"
            )
    raise ArtefactError(f"plan {plan!r} has no tolerance for a {kind}; export the model again")
