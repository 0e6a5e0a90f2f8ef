"""ONNX files as other exporters write them. Needs torch: import it after ``importorskip``."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

FLOAT = TensorProto.FLOAT


class Stem(nn.Module):
    """Whatever fixes a batch: a flatten, a class token, heads, an LSTM that starts somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Dropout(),
        )
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.start = nn.Parameter(torch.randn(2, 1, 6))
        self.flat, self.last = nn.Linear(128, 4), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        cells = self.drop(self.norm(self.conv(x)).relu())
        rows = torch.cat([self.token.expand(batch, -1, -1), cells.flatten(2).transpose(1, 2)], 1)
        heads = rows.reshape(batch, 17, 2, 4).transpose(1, 2)
        mixed = (heads @ heads.transpose(-1, -2)).softmax(-1) @ heads
        begin = self.start.expand(-1, batch, -1).contiguous()
        tokens = mixed.transpose(1, 2).reshape(batch, 17, 8)
        told, _ = self.lstm(tokens, (begin, torch.zeros(2, batch, 6)))
        return self.flat(cells.reshape(batch, -1)) + self.last(told[:, -1])


def scripted(
    path: Path, module: nn.Module, *inputs: Tensor, free: bool = False, opset: int = 17
) -> Path:
    """Export with torch's older exporter; ``free`` makes the batch of the input dynamic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=[f"x{index}" for index in range(len(inputs))],
            output_names=["y"],
            dynamic_axes={f"x{i}": {0: "n"} for i in range(len(inputs))} if free else None,
        )
    return path


def traced(path: Path, module: nn.Module, *inputs: Tensor) -> Path:
    """Export with torch's newer exporter, its batch fixed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), inputs, str(path), dynamo=True, external_data=False, verbose=False
        )
    return path


def drawn(
    path: Path,
    nodes: list[Any],
    inputs: Mapping[str, list[Any]],
    outputs: Mapping[str, list[Any]],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    kinds: Mapping[str, int] | None = None,
    **more: Any,
) -> Path:
    """Write a file node by node; ``kinds`` are element types other than float32."""
    signature = [
        [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, FLOAT), shape)
            for name, shape in each.items()
        ]
        for each in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "drawn", *signature, tensors)
    domains = sorted({node.domain for node in nodes})
    opsets = [
        helper.make_opsetid(each, opset if each in ("", "ai.onnx.ml") else 1) for each in domains
    ]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)
    onnx.save(model, path)
    return path


def node(kind: str, inputs: list[str], outputs: list[str] | str, **attributes: Any) -> Any:
    """One node; a single output needs no list."""
    return helper.make_node(
        kind, inputs, [outputs] if isinstance(outputs, str) else outputs, **attributes
    )
