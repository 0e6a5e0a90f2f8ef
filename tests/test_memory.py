"""How libraries say that memory does not suffice."""

from __future__ import annotations

import pytest

from mmedge._memory import lacks_memory


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("Error Code 2: OutOfMemory (Requested size was 4096 bytes.)", True),
        ("Failed to allocate memory for requested buffer of size 4096", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED", True),
        ("std::bad_alloc", True),
        ("bad allocation", True),
        ("CUDA failure 700: an illegal memory access was encountered", False),
        ("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED", False),
        ("", False),
    ],
)
def test_it_is_told_from_other_failures(said: str, lacking: bool) -> None:
    assert lacks_memory(said) is lacking
