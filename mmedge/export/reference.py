"""The trained model, run at every point of the data's way: what graphs are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmedge.errors import ConfigError, MmedgeError, ProofError
from mmedge.export.calling import WAYS
from mmedge.export.culprit import module_that_raises
from mmedge.export.encoders import EncoderGraph
from mmedge.export.modules import FusionGraph
from mmedge.export.theirs import their_line
from mmedge.export.watch import entering, watching
from mmedge.proof.chains import Chain
from mmedge.proof.golden import Golden, Raw
from mmedge.proof.parity import FP32, compare
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.runtime.preprocess import Preprocessor

__all__ = ["Reference", "call", "embedding_names", "run_chain", "run_golden"]

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the graphs were made from: torch modules or ONNX files by modality, and the head."""

    encoders: Mapping[str, EncoderGraph]
    fusion: FusionGraph

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should check of how their modules are called."""
        each = [note for graph in self.encoders.values() for note in graph.notes]
        return (*each, *self.fusion.notes)


def run_golden(
    reference: Reference,
    raws: Mapping[str, tuple[Raw, ...]],
    preprocessors: Mapping[str, Preprocessor],
) -> Golden:
    """Run raw samples through preprocessing and torch, for every subset of modalities."""
    names = tuple(reference.encoders)
    inputs = {name: _stack([preprocessors[name](raw) for raw in raws[name]]) for name in names}
    front_ends, embeddings = {}, {}
    for name, graph in reference.encoders.items():
        feeds = [torch.from_numpy(array) for array in inputs[name].values()]
        seen, outputs = encode(name, graph, feeds)
        if seen is not None:
            front_ends[name] = seen.numpy()
        keys = embedding_names(name, graph)
        embeddings[name] = {key: out.numpy() for key, out in zip(keys, outputs, strict=True)}
    presence = presence_rows(names)
    return Golden(
        raw=raws,
        inputs=inputs,
        front_ends=front_ends,
        embeddings=embeddings,
        presence=presence,
        outputs=_fuse(reference.fusion, embeddings, presence),
    )


def embedding_names(name: str, graph: EncoderGraph) -> tuple[str, ...]:
    """Names of the fusion head's inputs that this encoder feeds."""
    return (name, f"{name}_mask") if graph.has_mask else (name,)


def encode(
    name: str, graph: EncoderGraph, raw: Sequence[Tensor]
) -> tuple[Tensor | None, tuple[Tensor, ...]]:
    """Run one modality: what its front-end makes of the raw input, and what its encoder gives.

    An encoder with state begins anew in every row.
    """
    inputs = [*raw, *graph.initial(len(raw[0])).values()]
    seen = None
    if graph.front_end is not None:
        seen = call(f"the front-end of {name!r}", graph.front_end, graph.joined(*inputs))[0]
    outputs = call(f"encoder {name!r}", graph, inputs)
    return seen, outputs[: len(embedding_names(name, graph))]


def run_chain(name: str, graph: EncoderGraph, inputs: Mapping[str, Array], reset: int) -> Chain:
    """Walk consecutive windows ``[T, ...]``, beginning anew before window ``reset``."""
    count = len(next(iter(inputs.values())))
    states = list(graph.initial(1).values())
    steps = []
    for step in range(count):
        if step == reset:
            states = list(graph.initial(1).values())
        window = [torch.from_numpy(array[step : step + 1]) for array in inputs.values()]
        steps.append(_run(graph.what, graph, [*window, *states], seed=0))
        states = list(steps[-1][-len(states) :])
    keys = [*embedding_names(name, graph), *(state.name for state in graph.states)]
    columns = [torch.cat(column).numpy() for column in zip(*steps, strict=True)]
    made = dict(zip(keys, columns, strict=True))
    kept = {state.name: made.pop(state.name) for state in graph.states}
    return Chain(inputs=inputs, embeddings=made, states=kept, reset=reset)


def call(what: str, module: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Run a module twice without gradients; both runs have to give the same bits.

    Raises:
        ConfigError: its forward pass raises; the message gives the shapes that went in.
        ProofError: it draws random numbers, and so cannot be proven.
    """
    first = _run(what, module, inputs, seed=0)
    second = _run(what, module, inputs, seed=1)
    if not all(_same(a, b) for a, b in zip(first, second, strict=True)):
        culprit = _first_random(what, module, inputs)
        raise ProofError(
            f"{what} gives another answer each time for the same input: {culprit} is random in "
            "eval mode (dropout with training=True, or sampling), or keeps state between calls. "
            "A prediction that cannot be repeated cannot be proven; make it deterministic."
        )
    _refuse_nan(what, module, inputs, first)  # before the next: NaN agrees with nothing
    _refuse_coupling(what, module, inputs, first)
    return first


def _refuse_coupling(
    what: str, module: nn.Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> None:
    """A row must be answered alike alone and among others: live, it is alone."""
    for row in {0, len(inputs[0]) - 1} if len(inputs[0]) > 1 else ():
        here = slice(row, row + 1)
        alone = _run(what, module, [tensor[here] for tensor in inputs], seed=0)
        for one, many in zip(alone, outputs, strict=True):
            if not compare(what, many[here].numpy(), one.numpy(), FP32["cpu"], batch=1).passed:
                raise ProofError(
                    f"{what} answers a sample differently alone than in a batch: its forward "
                    "pass mixes the rows of a batch (a mean or a sum over dimension 0, or batch "
                    "statistics). Make each row's answer its own."
                )


def _run(
    what: str, module: nn.Module, inputs: Sequence[Tensor], *, seed: int
) -> tuple[Tensor, ...]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        try:
            returned = module(*inputs)
        except MmedgeError:
            raise
        except Exception as exc:  # the user's code: anything can come out of it
            given = module.seen(*inputs) if isinstance(module, EncoderGraph) else inputs
            shapes = ", ".join(f"{str(t.dtype)[6:]}{tuple(t.shape)}" for t in given)
            reason = _reason(exc, module, inputs)
            raise ConfigError(f"{what} fails on inputs of shape {shapes}: {reason}") from exc
    outputs = returned if isinstance(returned, (tuple, list)) else (returned,)
    batch = len(inputs[0])
    for output in outputs:
        if not isinstance(output, Tensor) or not output.ndim or len(output) != batch:
            came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ConfigError(f"{what} was given a batch of {batch} and returned {came}")
    return tuple(output.detach() for output in outputs)


def _reason(exc: Exception, module: nn.Module, inputs: Sequence[Tensor]) -> str:
    """Say what the user's code complains of, in which module, and on which line."""
    path = module_that_raises(module, inputs)
    places = [f"module {path!r}"] if path else []
    places += [line] if (line := their_line(exc)) else []
    if isinstance(module, FusionGraph):
        places += [f"it was called with {WAYS[module.way]}, which Fusion(call=...) changes"]
    text = f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
    return f"{text} ({'; '.join(places)})" if places else text


def _first_random(what: str, module: nn.Module, inputs: Sequence[Tensor]) -> str:
    """Name the innermost module that differs first between two runs of the same input."""
    given, seen = [], []
    for seed in (0, 1):
        with entering(module) as went_in, watching(module) as came_out:
            _run(what, module, inputs, seed=seed)
        given.append(went_in)
        seen.append(came_out)
    path = next((path for path in seen[0] if _differs(path, *seen)), "")
    while path and _differs(path, *given):  # it only passes on what its caller drew
        path = path.rpartition(".")[0]
    return f"its module {path!r}" if path else "its own forward pass"


def _differs(path: str, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return path in a and path in b and not _same(a[path], b[path])


def _same(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are the same to the bit; NaN is NaN."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _refuse_nan(
    what: str, module: nn.Module, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> None:
    if not any(output.isnan().any() for output in outputs):
        return
    with watching(module) as seen:
        _run(what, module, inputs, seed=0)
    first = next((path for path, tensor in seen.items() if tensor.isnan().any()), "")
    raise ProofError(
        f"{what} gives NaN{f', first in its module {first!r}' if first else ''}: what is not a "
        "number cannot be proven. Keep divisors above zero, and masks finite."
    )


def _fuse(
    fusion: FusionGraph, embeddings: Mapping[str, Mapping[str, Array]], presence: NDArray[np.bool_]
) -> dict[str, Array]:
    inputs = [torch.from_numpy(array) for each in embeddings.values() for array in each.values()]
    samples = len(inputs[0])
    rows = []
    for present in presence:  # one subset at a time: tokens are large
        here = torch.from_numpy(np.tile(present, (samples, 1)))
        what = f"with {row_name(tuple(embeddings), present)} present the fusion head"
        rows.append(call(what, fusion, [*inputs, here]))
    return {
        task: np.stack([row[index].numpy() for row in rows])
        for index, task in enumerate(fusion.tasks)
    }


def _stack(prepared: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {key: np.stack([one[key] for one in prepared]) for key in prepared[0]}
