"""One torch module -> one ONNX graph that every stage after this can rely on.

Opset 20 and IR version 10, weights inside, a batch that is dynamic, operators that
TensorRT 10.3 has, names that can be read, and the same bytes for the same input.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn

from mmedge.errors import IncompatibleError, ResourceError
from mmedge.export.culprit import module_that_calls, module_that_fails
from mmedge.export.names import rename, scope_of
from mmedge.export.watch import watching
from mmedge.operators import ALLOWED, IR_VERSION, OPSET
from mmedge.specs import DType, GraphSpec, TensorSpec
from mmedge.specs.plan import MAX_FILE_BYTES

__all__ = ["IR_VERSION", "OPSET", "OURS", "finish", "quiet", "signature", "to_onnx"]

MAX_BATCH = 4096
_WRAPPED = "module."
OURS = "mmedge:"
"""Before the names of inputs and outputs until all others are changed: torch calls the
result of nn.Embedding "embedding", and that of a mean "mean"."""


def to_onnx(
    what: str,
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    taps: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Export a module.

    Args:
        what: the graph, as the subject of an error message.
        module: called with the inputs by position; gives a tuple.
        inputs: name -> example with a batch of at least 2 (a batch of 1 would be taken
            for a constant).
        outputs: names, in the order of the tuple.
        taps: submodule path -> name that its (first) output keeps inside the graph.

    Raises:
        IncompatibleError: torch cannot trace it, or the graph would need an operator that
            TensorRT 10.3 does not have.
        ResourceError: more than 2 GB of weights.
    """
    taps = taps or {}
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    # One entry: the wrapper takes all inputs as *args.
    shapes = ((*({0: batch} for _ in inputs),),)
    wrapped = _Tapped(module, list(taps)).eval()
    with quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                wrapped,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=[OURS + name for name in inputs],
                output_names=[OURS + name for name in (*outputs, *taps.values())],
                external_data=False,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as exc:
            _pass_on_interrupt(exc)
            reason = _explain(exc, wrapped, list(inputs.values()), shapes)
            raise IncompatibleError(f"{what} cannot become an ONNX graph: {reason}") from exc
    if program is None:
        raise IncompatibleError(f"{what}: torch returned no graph; use torch 2.9 or newer")
    model = program.model_proto
    del model.graph.output[len(outputs) :]
    _check_operators(what, model)
    finish(what, model)
    return model


def finish(what: str, model: onnx.ModelProto) -> None:
    """Make names readable, and check what every graph of a bundle has to be.

    Args:
        what: the graph, as the subject of an error message.
        model: changed in place; names that are to stay begin with `OURS`.
    """
    _tidy(model)
    _check_shapes(what, model)
    if model.ByteSize() >= MAX_FILE_BYTES:
        raise ResourceError(f"{what}: its weights exceed the 2 GB that one ONNX file can hold")
    onnx.checker.check_model(model, full_check=True)


def signature(model: onnx.ModelProto) -> GraphSpec:
    """Read a graph's inputs and outputs; axis 0 is the batch."""
    return GraphSpec(
        inputs=tuple(_tensor_spec(value) for value in model.graph.input),
        outputs=tuple(_tensor_spec(value) for value in model.graph.output),
    )


def _pass_on_interrupt(exc: BaseException) -> None:
    """The exporter wraps whatever stops it, Ctrl-C included."""
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, KeyboardInterrupt):
            raise KeyboardInterrupt from exc
        inner = inner.__cause__ or inner.__context__


class _Tapped(nn.Module):
    """Adds the outputs of named submodules to those of a module."""

    def __init__(self, module: nn.Module, paths: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self._paths = list(paths)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with watching(self.module, self._paths) as seen:
            outputs = self.module(*inputs)
        return (*outputs, *(seen[path] for path in self._paths))


def _check_operators(what: str, model: onnx.ModelProto) -> None:
    functions = {function.name for function in model.functions}
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type in ALLOWED:
            continue
        kind = "a function" if node.op_type in functions else "the operator"
        raise IncompatibleError(
            f"{what}: module {scope_of(node, _WRAPPED) or '(top)'!r} needs {kind} "
            f"{node.domain + '.' if node.domain else ''}{node.op_type}, which TensorRT 10.3 does "
            "not import. Write that module with other operations, or move the work into the "
            "front-end's specification."
        )


def _tidy(model: onnx.ModelProto) -> None:
    """Readable names; nothing that differs from run to run or tells of this machine."""
    rename(model.graph, _WRAPPED, OURS)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    graph.name = "mmedge"
    model.producer_name, model.producer_version = "mmedge", ""
    model.ir_version = IR_VERSION


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    dtype = cast("DType", onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name)
    sizes = [dim.dim_value for dim in kind.shape.dim]
    return TensorSpec(name=value.name, dtype=dtype, shape=("batch", *sizes[1:]))


def _check_shapes(what: str, model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        sizes = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        fixed = [size for size in sizes[1:] if not isinstance(size, int) or size < 1]
        if not sizes or isinstance(sizes[0], int) or fixed:
            raise IncompatibleError(
                f"{what}: tensor {value.name!r} came out with shape {sizes}: the batch (axis 0) "
                "has to be dynamic and every other dimension fixed. The forward pass must not fix "
                "the batch, as x.view(2, -1) does, nor make sizes out of values."
            )


def _explain(exc: BaseException, module: nn.Module, inputs: Sequence[Tensor], shapes: Any) -> str:
    """Say in one line what torch says in a hundred, and in which module it is so."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    reason = lines[0] if lines else type(exc).__name__
    unknown = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", reason)
    if unknown:
        where = _named(module_that_calls(module, inputs, unknown[1]))
        return (
            f"{where} needs {unknown[1]}, which has no ONNX form. "
            "Write that module with other operations."
        )
    where = _named(module_that_fails(module, inputs, shapes))
    return (
        f"{where}: {type(exc).__name__}: {reason[:400]} "
        "The forward pass must not branch on values of tensors, and must not fix the batch."
    )


def _named(path: str | None) -> str:
    """Name a module by its path, or the whole where it is not known better."""
    path = (path or "").removeprefix(_WRAPPED)
    return f"module {path!r}" if path else "its forward pass"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what torch says about its internals away from the user."""
    # Its loggers have handlers and levels of their own; and it prints whole programs.
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    said = io.StringIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                yield
    finally:
        logging.disable(disabled)
