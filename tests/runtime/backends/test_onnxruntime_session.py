"""Why a session of ONNX Runtime could not be made."""

from __future__ import annotations

import pytest

from mmedge.errors import IncompatibleError, ResourceError
from mmedge.runtime.backends.onnxruntime_session import cannot_load


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "Exception during initialization: std::bad_alloc",
            ResourceError,
            (
                "graph 'ant': the memory does not suffice: Exception during initialization: "
                "std::bad_alloc. Close what else uses it."
            ),
        ),
        (
            "Unsupported model IR version: 99\nmore of it",
            IncompatibleError,
            (
                "ONNX Runtime 1.31.0 cannot load graph 'ant': Unsupported model IR version: 99. "
                "Was the bundle made by a newer mmedge? Upgrade onnxruntime."
            ),
        ),
    ],
)
def test_memory_is_told_from_a_graph_that_is_too_new(
    said: str, kind: type[Exception], words: str
) -> None:
    error = cannot_load("graph 'ant'", "1.31.0", RuntimeError(said))
    assert type(error) is kind
    assert str(error) == words
