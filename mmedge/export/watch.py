"""Look into a torch module while it runs: what its submodules return, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

from torch import Tensor, nn

__all__ = ["entering", "watching"]


@contextlib.contextmanager
def watching(
    module: nn.Module, paths: Collection[str] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Collect the first tensor that each submodule returns on its first call.

    A parent ends after its children, so the first entry that is wrong is the innermost.

    Args:
        module: runs while the context is open.
        paths: which submodules; ``None`` for all.

    Yields:
        submodule path -> tensor, filled as the module runs.
    """
    seen: dict[str, Tensor] = {}

    def hook(path: str) -> Callable[[nn.Module, object, object], None]:
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(first, Tensor):
                seen.setdefault(path, first)

        return keep

    handles = [
        child.register_forward_hook(hook(path))
        for path, child in module.named_modules()
        if (path in paths if paths is not None else path)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def entering(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the first tensor that each submodule is given on its first call.

    Yields:
        submodule path -> tensor, filled as the module runs; without those that are called
        by keyword only.
    """
    given: dict[str, Tensor] = {}

    def hook(path: str) -> Callable[[nn.Module, tuple[object, ...]], None]:
        def keep(_module: nn.Module, inputs: tuple[object, ...]) -> None:
            if inputs and isinstance(inputs[0], Tensor):
                given.setdefault(path, inputs[0])

        return keep

    handles = [
        child.register_forward_pre_hook(hook(path)) for path, child in module.named_modules()
    ]
    try:
        yield given
    finally:
        for handle in handles:
            handle.remove()
