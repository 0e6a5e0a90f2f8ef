"""Every name of TensorRT that mmedge uses is there in the versions that it says it runs on.

Names only: what they do on a device, a device has to show.
"""

from __future__ import annotations

import json

import pytest

from tests.engines.api_use import FILES, OBJECTS, read_use
from tests.rtx.bindings import ROOT, WHEELS, fetch_bindings, make_libraries, run_with

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]

ABSENT = "Builder.name_that_no_version_has"
# What an object of each version knows of itself: names, then what mmedge's own code finds.
LOOK = """
import json
import tensorrt_bindings as trt
from mmedge.engines.builder import _open_builder
from mmedge.engines.listening import hear, interruptible, listener_of, make_monitor
from mmedge.engines.settings import network_flags
from mmedge.engines.toolkit import Toolkit
from mmedge.errors import IncompatibleError

def is_there(name):
    found = trt
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True

kit = Toolkit(name="tensorrt", trt=trt, version=trt.__version__, driver=None)
with hear(trt) as heard:
    listener_of(trt).log(trt.ILogger.WARNING, "careful")
    listener_of(trt).log(trt.ILogger.VERBOSE, "Layers: none")
with interruptible() as stopped:
    monitor = make_monitor(trt, print, stopped)
monitor.phase_start("Building engine", None, 2)
goes_on = monitor.step_complete("Building engine", 0)
stopped.set()
ends = monitor.step_complete("Building engine", 1)
try:
    _open_builder(kit, heard)
    refused = ""
except IncompatibleError as exc:
    refused = str(exc)
names = NAMES
print(json.dumps({
    "version": trt.__version__,
    "missing": [name for name in names if not is_there(name)],
    "weak": hasattr(trt.BuilderFlag, "FP16"),
    "network_flags": network_flags(kit),
    "compiles_ahead": kit.compiles_ahead,
    "dla": hasattr(trt.Builder, "num_DLA_cores"),
    "progress": hasattr(trt.IBuilderConfig, "progress_monitor"),
    "heard": [list(heard.complaints), heard.layers],
    "steps": [goes_on, ends],
    "refused": refused,
}))
"""


@pytest.fixture(scope="module", params=WHEELS)
def looked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, object]]:
    version: str = request.param
    folder = tmp_path_factory.mktemp("bindings")
    fetch_bindings(version, folder)
    make_libraries(folder, int(version.split(".", maxsplit=1)[0]))
    names = [*sorted(read_use(FILES).needed), ABSENT]
    return version, json.loads(run_with(folder, LOOK.replace("NAMES", repr(names))))


def test_every_name_that_is_used_without_a_question_is_there(
    looked: tuple[str, dict[str, object]],
) -> None:
    version, found = looked
    assert str(found["version"]).startswith(version)
    assert found["missing"] == [ABSENT]  # so that it is seen to be looked for


def test_what_depends_on_the_version_is_detected(looked: tuple[str, dict[str, object]]) -> None:
    version, found = looked
    weak = version.startswith("10.")  # since 11 all networks are strongly typed
    assert (found["weak"], found["network_flags"]) == (weak, 2 if weak else 0)
    assert found["compiles_ahead"] is False
    assert (found["dla"], found["progress"]) == (True, True)


def test_the_logger_and_the_progress_monitor_are_of_that_version(
    looked: tuple[str, dict[str, object]],
) -> None:
    _, found = looked
    assert found["heard"] == [["careful"], "Layers: none"]
    assert found["steps"] == [True, False]


def test_a_library_that_gives_no_builder_is_named(looked: tuple[str, dict[str, object]]) -> None:
    _, found = looked
    assert "cannot start" in str(found["refused"])


def test_the_names_are_read_from_the_source() -> None:
    use = read_use(FILES)
    assert {"Builder.build_serialized_network", "BuilderFlag.TF32", "ILogger"} <= use.needed
    assert {"Runtime.deserialize_cuda_engine", "IExecutionContext.execute_async_v3"} <= use.needed
    assert {"FP16", "STRONGLY_TYPED", "progress_monitor", "num_DLA_cores"} <= use.asked
    assert len(use.needed) > 40
    words = "".join(file.read_text(encoding="utf-8") for file in FILES)
    engines = {name for name in OBJECTS if f"{name}." in words}
    assert {"builder", "network", "parser", "settings", "cuda_engine", "context"} <= engines
    assert (ROOT / "mmedge/engines/builder.py") in FILES


def test_tensorrt_rtx_has_the_names_too() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install 'mmedge[rtx]'")
    from mmedge.engines.toolkit import open_toolkit

    missing = []
    for name in read_use(FILES).needed:
        found: object = trt
        for part in name.split("."):
            if not hasattr(found, part):
                missing.append(name)
                break
            found = getattr(found, part)
    assert missing == []
    assert open_toolkit("tensorrt_rtx", needs_gpu=False).compiles_ahead
