"""How libraries say that memory does not suffice: in words, for want of an error of its own."""

from __future__ import annotations

__all__ = ["lacks_memory"]

_SIGNS = (
    "out of memory",  # CUDA, TensorRT
    "outofmemory",
    "insufficient memory",
    "memory allocation",
    "failed to allocate memory",  # ONNX Runtime (bfc_arena.cc)
    "status_alloc_failed",  # cuBLAS and cuDNN
    "bad_alloc",  # C++
    "bad allocation",
)


def lacks_memory(said: str) -> bool:
    """Tell whether that is what an error of a library's says."""
    text = said.lower()
    return any(sign in text for sign in _SIGNS)
