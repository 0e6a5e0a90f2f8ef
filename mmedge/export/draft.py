"""A bundle in the making: tokenizers, samples, graphs, and at last a manifest over all."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmedge.bundle import Bundle, file_ref
from mmedge.errors import ConfigError, ResourceError
from mmedge.export.calling import takes_presence
from mmedge.export.chain import seeded_chain
from mmedge.export.config import ExportConfig
from mmedge.export.encoder_model import encoder_model, pair
from mmedge.export.encoders import EncoderGraph
from mmedge.export.graph import signature, to_onnx
from mmedge.export.modules import FusionGraph
from mmedge.export.recipe import Recipe
from mmedge.export.reference import Reference, embedding_names, encode
from mmedge.export.samples import MIN_SAMPLES, read_complete, seeded_samples
from mmedge.export.weights import digest_weights
from mmedge.manifest import (
    FUSION,
    PRESENCE,
    SCHEMA,
    FileRef,
    GoldenRef,
    Manifest,
    Plan,
)
from mmedge.proof.absence import cost_of_absence
from mmedge.proof.chains import Chain
from mmedge.proof.golden import MAX_BYTES, Golden, Raw
from mmedge.proof.parity import FP32, Parity
from mmedge.runtime.preprocess import Preprocessor, make_preprocessor
from mmedge.specs import GraphSpec, Modality, Text

__all__ = ["Draft", "fusion_inputs"]

_log = logging.getLogger(__name__)

Array = NDArray[np.generic]


class Draft:
    """A bundle in the making: files by name, graphs by modality."""

    def __init__(self, recipe: Recipe, config: ExportConfig) -> None:
        self._recipe = recipe
        self._config = config
        self._files: dict[str, bytes] = {}
        self._graphs: dict[str, tuple[FileRef, GraphSpec]] = {}
        self._tokenizers: dict[str, FileRef] = {}
        self._plans: dict[str, Plan] = {}
        self.modalities = {name: self._adopt(name, m) for name, m in recipe.modalities.items()}
        self.preprocessors: dict[str, Preprocessor] = {
            # From the recipe's own, so that a complaint names the user's tokenizer file.
            name: make_preprocessor(name, m, self._tokenizer(name))
            for name, m in recipe.modalities.items()
        }

    def samples(self) -> tuple[dict[str, tuple[Raw, ...]], dict[str, tuple[Raw, ...]]]:
        """Give the raw samples to prove on, and those that travel with the bundle."""
        config = self._config
        tokenizers = {name: self._files[ref.name] for name, ref in self._tokenizers.items()}
        count = max(config.samples, MIN_SAMPLES)
        seeded = seeded_samples(self.modalities, tokenizers, count, config.seed)
        if config.clips is None:
            return seeded, seeded
        clips = read_complete(config.clips, self.modalities)
        if config.golden == "seeded":
            return clips, seeded
        return clips, {name: raws[: config.samples] for name, raws in clips.items()}

    def reference(self, raws: Mapping[str, tuple[Raw, ...]]) -> tuple[Reference, list[str]]:
        """Wrap the recipe's modules as they will be exported."""
        encoders = {
            name: EncoderGraph(name, modality, self._recipe.encoder(name)).eval()
            for name, modality in self.modalities.items()
        }
        columns = {
            key: column
            for column, (name, graph) in enumerate(encoders.items())
            for key in embedding_names(name, graph)
        }
        defaults, notes = self._defaults(encoders, raws)
        head = self._recipe.head
        return Reference(
            encoders, FusionGraph(head, columns, self._recipe.tasks, defaults).eval()
        ), notes

    def chains(self, reference: Reference, *, shipped: bool) -> dict[str, Chain]:
        """Walk seeded windows with every encoder that has a state."""
        return {
            name: seeded_chain(
                graph, self.modalities[name], self.preprocessors[name], self._config.seed, shipped
            )
            for name, graph in reference.encoders.items()
            if graph.states
        }

    def add(self, name: str, reference: Reference, golden: Golden) -> None:
        """Export one graph: a modality's, or the fusion head's."""
        if name == FUSION:
            inputs, outputs = fusion_inputs(golden), list(self._recipe.tasks)
            model = to_onnx("the fusion head", reference.fusion, pair(inputs), outputs)
        else:
            model = encoder_model(reference.encoders[name], golden.inputs[name])
        data = model.SerializeToString(deterministic=True)
        self._graphs[name] = (self._file(name, ".onnx", data), signature(model))

    def keep(self, name: str, bundle: Bundle, golden: Golden) -> None:
        """Take a graph over from an existing bundle, as it is.

        Raises:
            ConfigError: its sizes are not those of the recipe's other parts.
        """
        spec = bundle.manifest.graphs[name]
        states = () if name == FUSION else tuple(s.spec for s in self._recipe.states(name))
        if states != bundle.manifest.states.get(name, ()):
            raise ConfigError(
                f"the bundle's encoder {name!r} remembers other states than the recipe's: --only "
                "cannot change them. Export the whole bundle."
            )
        fed = {} if name == FUSION else bundle.manifest.encoder_outputs(name)
        for tensor in spec.inputs if name == FUSION else spec.outputs[: len(fed)]:
            key = tensor.name if name == FUSION else fed[tensor.name]
            made = fusion_inputs(golden).get(key)
            if made is None or made.shape[1:] != tensor.shape[1:]:
                came = "nothing" if made is None else list(made.shape[1:])
                raise ConfigError(
                    f"the bundle's graph {name!r} has {key!r} with sizes {list(tensor.shape[1:])}, "
                    f"the recipe {came}: --only cannot change sizes. Export the whole bundle."
                )
        ref = bundle.manifest.plans["fp32"].graphs[name]
        self._files[ref.name] = bundle.read(ref)
        self._graphs[name] = (ref, bundle.manifest.graphs[name])

    def keep_plans(self, bundle: Bundle) -> list[str]:
        """Take an existing bundle's other plans over, but for the part that is replaced.

        Returns:
            What the user has to know of each.
        """
        only = self._config.only
        for name, plan in bundle.manifest.plans.items():
            if name != "fp32":
                graphs = {part: ref for part, ref in plan.graphs.items() if part != only}
                self._files |= {ref.name: bundle.read(ref) for ref in graphs.values()}
                self._plans[name] = plan.model_copy(update={"graphs": graphs})
        return [
            f"plan {name} has the new {only} in float32; what accuracy was measured in it was "
            "the old one's: calibrate again"
            for name in self._plans
        ]

    def unproven(self) -> Bundle:
        """Put the graphs together in memory, to prove them; golden samples are not there yet."""
        nothing = GoldenRef(file=self._file("golden", ".npz", b""), samples=1, source="seeded")
        return self._bundle(nothing, {})

    def finish(self, shipped: Golden, proven: Golden, parity: Parity) -> Bundle:
        """Put the bundle together, its report included."""
        report = {
            "parity": parity.to_json(),
            "absence": cost_of_absence(proven, self._recipe.tasks),
        }
        text = json.dumps(report, indent=1) + "\n"
        packed, count = _pack(shipped, self._config.samples)
        ref = self._file("golden", ".npz", packed)
        golden = GoldenRef(file=ref, samples=count, source=self._config.golden)
        return self._bundle(golden, {"parity": self._file("parity", ".json", text.encode())})

    def _bundle(self, golden: GoldenRef, reports: dict[str, FileRef]) -> Bundle:
        recipe = self._recipe
        exported = {name: ref for name, (ref, _) in self._graphs.items()}
        manifest = Manifest(
            mmedge_schema=SCHEMA,
            name=recipe.name or _name_of(self._config.out),
            made_by={p: version(p) for p in ("mmedge", "torch", "onnx", "onnxscript")},
            weights_sha256=digest_weights(recipe.networks()),
            presence=tuple(self.modalities),
            modalities=self.modalities,
            tasks=dict(recipe.tasks),
            graphs={name: spec for name, (_, spec) in self._graphs.items()},
            states={
                name: tuple(state.spec for state in recipe.states(name))
                for name in recipe.encoders
                if recipe.states(name)
            },
            plans={
                "fp32": Plan(precision="fp32", target="any", graphs=exported, tolerances=FP32),
                **{
                    name: plan.model_copy(update={"graphs": {**exported, **plan.graphs}})
                    for name, plan in self._plans.items()
                },
            },
            tokenizers=self._tokenizers,
            golden=golden,
            reports=reports,
        )
        return Bundle.in_memory(manifest, dict(self._files))

    def _file(self, stem: str, suffix: str, data: bytes) -> FileRef:
        ref = file_ref(stem, suffix, data)
        self._files[ref.name] = data
        return ref

    def _adopt(self, name: str, modality: Modality) -> Modality:
        """Take a text's tokenizer into the bundle."""
        if not isinstance(modality, Text):
            return modality
        path = self._recipe.folder / modality.tokenizer
        if not path.is_file():
            raise ConfigError(f"modality {name!r}: there is no tokenizer file {path}")
        ref = self._file(f"tokenizer-{name}", ".json", path.read_bytes())
        self._tokenizers[name] = ref
        return modality.model_copy(update={"tokenizer": ref.name})

    def _tokenizer(self, name: str) -> bytes | None:
        ref = self._tokenizers.get(name)
        return None if ref is None else self._files[ref.name]

    def _defaults(
        self, encoders: Mapping[str, EncoderGraph], raws: Mapping[str, tuple[Raw, ...]]
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Find what an absent slot holds for a head that does not know presence."""
        head = self._recipe.head
        if takes_presence(head.module):
            if head.absent is not None:
                raise ConfigError(
                    "the fusion head has a parameter 'presence' and so handles absence itself; "
                    "leave Fusion(absent=...) out"
                )
            return {}, []
        if head.absent is None:
            raise ConfigError(
                "the fusion head has no parameter 'presence', so mmedge has to know what it "
                "sees for an absent modality: Fusion(module=head, absent='mean'), or "
                "absent={name: tensor}"
            )
        if head.absent == "mean" and self._config.only not in (None, FUSION):
            raise ConfigError(
                f"--only {self._config.only} with Fusion(absent='mean'): the mean stands in the "
                "fusion graph, which would keep the old one. Export the whole bundle."
            )
        if head.absent != "mean":
            bad = [name for name, each in head.absent.items() if not each.isfinite().all()]
            if bad:
                raise ConfigError(f"Fusion(absent=...) holds NaN or infinity for {bad[0]!r}")
            if set(head.absent) != set(encoders):
                raise ConfigError(
                    f"Fusion(absent=...) gives tensors for {sorted(head.absent)}, but the "
                    f"modalities are {sorted(encoders)}"
                )
            return {name: head.absent[name] for name in encoders}, []
        means = {}
        for name, graph in encoders.items():
            arrays = [self.preprocessors[name](raw) for raw in raws[name]]
            feeds = [torch.from_numpy(np.stack([a[key] for a in arrays])) for key in arrays[0]]
            means[name] = encode(name, graph, feeds)[1][0].mean(dim=0)
        what = f"{len(next(iter(raws.values())))} "
        what += "samples of seeded noise; give --clips for a meaningful default"
        if self._config.clips is not None:
            what = f"{len(next(iter(raws.values())))} clips"
        return means, [f"absent modalities get their mean embedding over {what}"]


def _pack(golden: Golden, count: int) -> tuple[bytes, int]:
    """Pack as many samples as may travel."""
    count = fewer = min(count, golden.samples)
    while fewer:
        packed = golden.first(fewer).to_bytes()
        if len(packed) <= MAX_BYTES:
            if fewer < count:
                _log.warning("%d of %d golden samples fit into 16 MB", fewer, count)
            return packed, fewer
        fewer = min(fewer - 1, fewer * MAX_BYTES // len(packed))
    raise ResourceError("not even one golden sample fits into 16 MB; use smaller inputs")


def _name_of(out: Path) -> str:
    """Make a name out of a folder's that the manifest takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", out.stem).lstrip("._-")[:127] or "model"


def fusion_inputs(golden: Golden) -> dict[str, Array]:
    """Give the head's inputs for the full set of modalities."""
    inputs = {key: array for arrays in golden.embeddings.values() for key, array in arrays.items()}
    inputs[PRESENCE] = np.ones((golden.samples, len(golden.embeddings)), dtype=bool)
    return inputs
