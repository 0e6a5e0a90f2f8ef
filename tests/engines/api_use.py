"""Which names of TensorRT mmedge's own code uses, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "mmedge"
FILES = sorted(
    file
    for pattern in ("engines/*.py", "runtime/backends/tensorrt/*.py")
    for file in PACKAGE.glob(pattern)
    if "trt." in file.read_text(encoding="utf-8") and file.name != "cuda.py"
)

OBJECTS = {
    "builder": "Builder",
    "context": "IExecutionContext",
    "cuda_engine": "ICudaEngine",
    "error": "ParserError",
    "flags": "NetworkDefinitionCreationFlag",
    "inspector": "EngineInspector",
    "layer": "ILayer",
    "network": "INetworkDefinition",
    "optimisation": "IOptimizationProfile",
    "parser": "OnnxParser",
    "runtime": "Runtime",
    "settings": "IBuilderConfig",
    "tensor": "ITensor",
    "timing_cache": "ITimingCache",
}
"""What TensorRT's objects are called in those files -> their class."""

DETECTED_BY = ("hasattr", "getattr", "_feature")


@dataclass(frozen=True)
class Use:
    """Names of the module, dotted: ``BuilderFlag.TF32``, ``Builder.create_network``.

    Attributes:
        needed: without a question.
        asked: last parts of names that are looked for before they are used.
    """

    needed: frozenset[str]
    asked: frozenset[str]


def read_use(files: list[Path]) -> Use:
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    asked = {text for node in nodes for text in _asked(node)}
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    chains = {
        name
        for node in nodes
        if isinstance(node, ast.Attribute) and id(node) not in inner
        for name in _named(node)
    }
    needed = {name for name in chains if name.rpartition(".")[2] not in asked}
    return Use(needed=frozenset(needed), asked=frozenset(asked))


def _asked(node: ast.AST) -> Iterator[str]:
    """Give the names in ``hasattr(x, "name")``, and in a loop over several."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in DETECTED_BY:
        yield from _texts(node.args[1])
    elif isinstance(node, ast.comprehension) and isinstance(node.iter, ast.Tuple):
        yield from _texts(node.iter)


def _texts(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _named(node: ast.Attribute) -> Iterator[str]:
    """Give the name behind ``trt.``, or behind an object of its own."""
    parts = ast.unparse(node).split(".")
    if "trt" in parts[:2] and parts[0] in ("trt", "self", "toolkit"):
        rest = parts[parts.index("trt") + 1 :]
        if rest:
            yield ".".join(rest)
    elif parts[0] in OBJECTS and len(parts) > 1:
        yield f"{OBJECTS[parts[0]]}.{parts[1].partition('(')[0]}"
