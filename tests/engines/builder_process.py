"""A process that builds engines; a test starts it, and kills it where it waits.

Arguments: the folder for cache and key, the file that every build adds a byte to, where it is
to stop: nowhere, or at a moment of `MOMENTS`, where it says ``here`` and waits for ever; and
the plan that is asked for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from mmedge import _files
from mmedge.engines import cache as cache_module
from mmedge.engines import device_key
from mmedge.engines.cache import EngineCache
from mmedge.engines.device_key import make_key
from mmedge.engines.stored import Built
from tests.engines.requests import request

ENGINE = bytes(range(256)) * 4096  # 1 MiB: more than one write
MOMENTS = {
    "key drafted": (device_key.os, "fsync", "before"),
    "locked": (cache_module, "make_key", "after"),
    "building": (None, "", ""),
    "engine begun": (_files.os, "fdopen", "in its second write"),
    "engine drafted": (_files.os, "fsync", "before"),
    "engine synced": (_files.os, "fsync", "after"),
    "engine renamed": (_files, "sync_folder", "before"),
    "tidied": (EngineCache, "_tidy", "after"),
}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def stop() -> None:
    say("here")
    time.sleep(600)


class HalfWritten:
    """A file that gets no further than its first write."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __enter__(self) -> HalfWritten:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content)
        self.file.flush()
        stop()


def stop_at(where: Any, name: str, side: str) -> None:
    real = getattr(where, name)

    def stopping(*arguments: Any) -> Any:
        if side == "before":
            stop()
        result = real(*arguments)
        if side == "after":
            stop()
        return HalfWritten(result) if arguments[1:] == ("wb",) else result

    setattr(where, name, stopping)


def main(folder: Path, builds: Path, moment: str, plan: str) -> None:
    key_file = folder / "state" / "engine.key"
    if moment.startswith("engine"):
        make_key(key_file, say)  # it is drafted, too
    if moment in MOMENTS and moment != "building":
        stop_at(*MOMENTS[moment])

    def build() -> Built:
        with builds.open("ab") as file:
            file.write(b".")
        if moment == "building":
            stop()
        time.sleep(0.2)  # so that others come meanwhile
        return Built(engine=ENGINE, about={})

    cache = EngineCache(folder / "cache", key_file=key_file)
    built = cache.engine(request(plan=plan), build, say)
    say("right" if built.engine == ENGINE else "wrong")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
