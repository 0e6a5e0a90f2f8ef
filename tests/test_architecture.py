"""Who may import whom, read from the source of every module, lazy imports included.

Arrows are drawn by ``import`` statements at any depth, by dotted names in strings that
name one of our modules (a registry's table, ``import_module``), and by ``require("...")``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mmedge"

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50  # without signature and docstring

# Everything stands on these, and they on one another only.
BASE = frozenset(
    {
        "_closing",
        "_files",
        "_folders",
        "_memory",
        "_optional",
        "bundle",
        "errors",
        "manifest",
        "onnx_file",
        "operators",
        "specs",
    }
)

# A part of the package -> the parts that it may import beside itself and BASE.
ARROWS = {
    "models": frozenset[str](),
    "engines": frozenset[str](),
    "runtime": frozenset({"engines"}),
    "proof": frozenset({"runtime"}),
    "calibration": frozenset({"proof", "runtime"}),
    "export": frozenset({"models", "proof", "runtime"}),
    "doctor": frozenset({"engines", "runtime"}),
    "demo": frozenset({"models", "engines", "runtime", "proof", "calibration", "export"}),
}
# May import everything: the face, and what only hands names on.
TOP = frozenset({"", "__main__", "cli", "views"})

# The live half of the runtime; the offline stages never reach it, not even through others.
LIVE = ("sources", "pipeline", "sinks", "server")
OFFLINE = ("export", "calibration", "proof")

# Outside package -> the modules of ours that may import it (a prefix each).
OUTSIDE = {
    "torch": ("models", "export", "demo.recipe", "demo.train"),
    "onnxscript": ("export",),
    "onnx": ("export", "calibration", "engines", "demo.train"),
    "safetensors": ("export", "demo.recipe", "demo.train"),
    "mlxtend": ("demo",),
}


def name_of(file: Path) -> str:
    """Dotted name inside the package: ``runtime.backends.ort``, and "" for its root."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
MODULES = frozenset(FILES)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def part_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def statement_targets(node: ast.AST) -> Iterator[str]:
    """Full dotted names that one import statement may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            known = submodule.removeprefix("mmedge.") in MODULES
            yield submodule if known or node.module == "mmedge" else node.module


def string_targets(node: ast.AST) -> Iterator[str]:
    """Dotted names that are imported by string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        match = re.fullmatch(r"(mmedge(?:\.\w+)+)(?::\w+)?", node.value)
        if match and match[1].removeprefix("mmedge.") in MODULES:
            yield match[1]
    elif isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func).rpartition(".")[2]
        first = node.args[0]
        if called in {"require", "import_module", "__import__"} and isinstance(first, ast.Constant):
            yield str(first.value)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Everything that ``module`` imports by full dotted name, whenever it does."""
    nodes = list(ast.walk(tree_of(module)))
    statements = {target for node in nodes for target in statement_targets(node)}
    return frozenset(statements.union(*(string_targets(node) for node in nodes)))


def ours(module: str) -> frozenset[str]:
    """Modules of this package that ``module`` imports (dunders of the root do not count)."""
    names = {
        target.removeprefix("mmedge").removeprefix(".")
        for target in imports_of(module)
        if within(target, "mmedge") and not re.fullmatch(r"mmedge\.__\w+__", target)
    }
    return frozenset(names)


def reached_from(module: str) -> dict[str, str]:
    """Modules that ``module`` reaches over any number of steps -> the one that imports it."""
    reached: dict[str, str] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        for target in ours(current):
            if target in MODULES and target not in reached:
                reached[target] = current
                waiting.append(target)
    return reached


def may_import(module: str, target: str) -> bool:
    part, other = part_of(module), part_of(target)
    if part in TOP or part == other:
        return True
    if part in BASE:
        return other in BASE
    if part == "runtime" and other == "engines":
        return within(module, "runtime.backends")
    return other in BASE or other in ARROWS.get(part, frozenset())


def test_every_part_of_the_package_has_a_place_in_the_arrows() -> None:
    known = BASE | TOP | set(ARROWS)
    assert {part_of(module) for module in MODULES} - known == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_the_arrows_allow(module: str) -> None:
    wrong = [target for target in sorted(ours(module)) if not may_import(module, target)]
    assert wrong == [], f"mmedge.{module} must not import these parts of mmedge"


def test_the_base_has_no_circle() -> None:
    base = [module for module in MODULES if module in BASE]
    assert [module for module in base if module in reached_from(module)] == []


@pytest.mark.parametrize(
    "module", sorted(module for module in MODULES if part_of(module) in OFFLINE)
)
def test_an_offline_stage_never_reaches_the_live_half(module: str) -> None:
    wrong = {
        target: f"imported by mmedge.{by}"
        for target, by in reached_from(module).items()
        if any(within(target, f"runtime.{live}") for live in LIVE)
    }
    assert wrong == {}


@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_heavy_package_is_imported_only_where_it_belongs(outside: str) -> None:
    wrong = [
        module
        for module in sorted(MODULES)
        if any(within(target, outside) for target in imports_of(module))
        and not any(within(module, place) for place in OUTSIDE[outside])
    ]
    assert wrong == [], f"these must not import {outside}"


def test_no_file_is_longer_than_a_reader_likes() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in FILES.values()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body: a command's signature is as long as it has options."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_function_is_longer_than_a_reader_likes() -> None:
    lengths = {
        f"{FILES[module].relative_to(ROOT)}:{node.lineno} {node.name}": function_lines(node)
        for module in sorted(MODULES)
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert [module for module in MODULES if module.rpartition(".")[2] in drawers] == []
