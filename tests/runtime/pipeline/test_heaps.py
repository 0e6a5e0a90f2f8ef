from __future__ import annotations

import re
import subprocess
import sys

import pytest

# Six threads allocate at the same time; glibc then tells of its heaps.
SCRIPT = """
import ctypes, sys, threading
if sys.argv[1] == "shared":
    from mmedge.runtime.pipeline.heaps import share_heaps
    assert share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
meeting = threading.Barrier(6)
def allocate():
    meeting.wait()
    for _ in range(1000):
        libc.malloc(ctypes.c_size_t(4096))
threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def heaps(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=60, check=True
    )
    return len(re.findall(r"<heap nr=", done.stdout))


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="heaps are counted by glibc's malloc_info"
)
def test_all_threads_share_two_heaps() -> None:
    assert heaps("as it comes") > 2
    assert heaps("shared") <= 2
