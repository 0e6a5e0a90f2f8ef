"""Which module it was that could not become a graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["module_that_calls", "module_that_fails", "module_that_raises"]


def module_that_fails(module: nn.Module, inputs: Sequence[Tensor], shapes: Any) -> str | None:
    """Trace once more, and give the path of the innermost module in which tracing ends.

    Args:
        module: its forward pass cannot be traced.
        inputs: examples.
        shapes: as ``torch.export.export`` takes them.
    """
    with _running(module) as stack:
        try:
            torch.export.export(module, tuple(inputs), dynamic_shapes=shapes, strict=False)
        except Exception:  # noqa: BLE001 - it failed before, in any way; only where is asked
            return stack[-1] if stack else None
    return None


def module_that_raises(module: nn.Module, inputs: Sequence[Tensor]) -> str:
    """Run once more, and give the path of the innermost module in which running ends."""
    with _running(module) as stack, torch.no_grad(), contextlib.suppress(Exception):
        module(*inputs)
    return stack[-1] if stack else ""


def module_that_calls(module: nn.Module, inputs: Sequence[Tensor], operator: str) -> str | None:
    """Give the path of the first module that calls an operator, such as ``aten.linalg_inv_ex``."""
    with _running(module) as stack, _Spy(operator, stack) as spy:
        module(*inputs)
    return spy.found


class _Spy(TorchDispatchMode):
    """Remembers which module was running when an operator was called first."""

    def __init__(self, operator: str, stack: list[str]) -> None:
        super().__init__()
        self.found: str | None = None
        self._operator = operator
        self._stack = stack

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self.found is None and str(func).startswith(f"{self._operator}."):
            self.found = self._stack[-1]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _running(module: nn.Module) -> Iterator[list[str]]:
    """Keep the paths of the modules that are being called; after an error they stay."""
    stack: list[str] = []

    def enter(path: str) -> Callable[..., None]:
        return lambda _module, _inputs: stack.append(path)

    def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
        stack.pop()

    handles = []
    for path, child in module.named_modules():
        handles += [child.register_forward_pre_hook(enter(path))]
        handles += [child.register_forward_hook(leave)]
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()
