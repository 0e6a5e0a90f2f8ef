"""From a recipe to a bundle that has been proven equal to the trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from mmedge.bundle import Bundle, check_target, open_bundle, save_bundle
from mmedge.errors import ConfigError, ProofError
from mmedge.export.config import ExportConfig
from mmedge.export.diagnosis import first_difference
from mmedge.export.draft import Draft, fusion_inputs
from mmedge.export.filling import fill
from mmedge.export.recipe import Recipe
from mmedge.export.reference import Reference, run_golden
from mmedge.export.vocabulary import check_vocabularies
from mmedge.manifest import FUSION
from mmedge.proof.golden import Golden
from mmedge.proof.parity import FP32, Finding, Parity
from mmedge.proof.verify import verify

__all__ = ["Exported", "export_bundle"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle on disk, and the proof that it passed, with what the user should know."""

    bundle: Bundle
    parity: Parity


def export_bundle(
    recipe: Recipe, config: ExportConfig, on_stage: Callable[[str], None] = lambda _: None
) -> Exported:
    """Export a recipe, prove the graphs against torch, and write the bundle.

    Args:
        recipe: from `load_recipe`, or made in code.
        config: where to, from which weights, proven on what.
        on_stage: told the name of each stage as it begins.

    Raises:
        ConfigError: the recipe's parts do not fit each other.
        ArtefactError: the weights are damaged, unsafe, or another model's.
        IncompatibleError: a module cannot become a graph that TensorRT 10.3 imports.
        ProofError: a graph's numbers are not the trained model's. Nothing is written.
    """
    check_target(config.out, replace=config.replace or config.only is not None)
    recipe.open_files()
    draft = Draft(recipe, config)
    kept = _kept(draft, recipe, config)
    on_stage("weights")
    notes = fill(recipe, config.weights)
    notes += draft.keep_plans(kept) if kept is not None else []
    on_stage("samples")
    proof_raws, shipped_raws = draft.samples()
    reference, absent_notes = draft.reference(proof_raws)
    check_vocabularies(reference, draft.modalities, draft.preprocessors)
    golden = replace(
        run_golden(reference, proof_raws, draft.preprocessors),
        chains=draft.chains(reference, shipped=False),
    )
    for name in (*recipe.modalities, FUSION):
        if kept is not None and name != config.only:
            draft.keep(name, kept, golden)
            continue
        on_stage(f"graph {name}")
        draft.add(name, reference, golden)
    on_stage("parity")
    parity = replace(
        _prove(draft, reference, golden, config.only),
        inputs="clips" if config.clips else "seeded",
        notes=(*notes, *absent_notes, *reference.notes),
    )
    shipped = replace(golden, chains=draft.chains(reference, shipped=True))
    if shipped_raws is not proof_raws:
        again = run_golden(reference, shipped_raws, draft.preprocessors)
        shipped = replace(again, chains=shipped.chains)
    if shipped_raws is not proof_raws or shipped.chains:
        _prove(draft, reference, shipped, config.only)
    on_stage("write")
    bundle = draft.finish(shipped, golden, parity)
    return Exported(
        save_bundle(bundle, config.out, replace=config.replace or kept is not None), parity
    )


def _kept(draft: Draft, recipe: Recipe, config: ExportConfig) -> Bundle | None:
    """Open the bundle that one part is to be replaced in, if that was asked for."""
    if config.only is None:
        return None
    if config.only not in recipe.parts():
        raise ConfigError(f"--only {config.only!r} is none of the parts {sorted(recipe.parts())}")
    bundle = open_bundle(config.out)
    if bundle.manifest.modalities != draft.modalities:
        raise ConfigError(
            f"{config.out} sees {', '.join(bundle.manifest.modalities)}; the recipe names other "
            f"modalities ({', '.join(draft.modalities)}) or other parameters. Export it whole, "
            "without --only."
        )
    if config.only != FUSION and bundle.manifest.tasks != dict(recipe.tasks):
        raise ConfigError(
            f"{config.out} has other tasks than the recipe, or other labels: those belong to the "
            f"fusion head, which --only {config.only} leaves as it is. Export the whole bundle."
        )
    return bundle


def _prove(draft: Draft, reference: Reference, golden: Golden, only: str | None) -> Parity:
    """Hold the graphs against torch, in memory, before anything is written."""
    parity = verify(draft.unproven(), golden=golden)
    failure = parity.first_failure
    if failure is None:
        return parity
    if only is not None and not failure.point.startswith(f"{only}/"):
        raise ProofError(
            f"{_describe(failure)} What --only {only} leaves as it is, is not the recipe's: give "
            "the weights and the defaults that it was exported from, or export the whole bundle."
        )
    raise ProofError(f"{_describe(failure)} {_blame(failure, reference, golden)}")


def _describe(finding: Finding) -> str:
    present = f" with {finding.subset} present" if finding.subset else ""
    return (
        f"parity failed at {finding.point}{present}: sample {finding.sample}, batch "
        f"{finding.batch}, largest error {finding.error:.3g}, {finding.ratio:.3g} times what is "
        "allowed. Nothing was written."
    )


def _blame(finding: Finding, reference: Reference, golden: Golden) -> str:
    """Name the first module beyond tolerance, in the graph where the finding was made."""
    where = finding.point.partition("/")[0]
    inputs, outputs = fusion_inputs(golden), list(golden.outputs)
    graph: nn.Module = reference.fusion
    if where in reference.encoders:
        graph = encoder = reference.encoders[where]
        initial = encoder.initial(golden.samples)
        inputs = {**golden.inputs[where], **{name: each.numpy() for name, each in initial.items()}}
        outputs = [*golden.embeddings[where], *(state.tensors[1] for state in encoder.states)]
        if encoder.file is not None:
            return "What was made of the ONNX file computes something else than the file itself."
    found = first_difference(f"graph {where!r}", graph, inputs, outputs, FP32["cpu"])
    if found is None:
        return "No module differs by itself: look at the forward pass around them."
    path, at_module = found
    return (
        f"The first module that differs is {path!r} (error {at_module.error:.3g} at sample "
        f"{at_module.sample}): its ONNX form, or that of what leads to it, computes something "
        "else than torch. Write it with other operations."
    )
