"""The stand-ins for CUDA and TensorRT have no names that the real ones have not."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends.tensorrt.cuda import Cuda
from tests.runtime.backends import recording_cuda as stand_ins

pytestmark = pytest.mark.rtx


def public(thing: Any) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("stand_in", "real"),
    [
        (stand_ins._Runtime, "Runtime"),
        (stand_ins._Engine, "ICudaEngine"),
        (stand_ins._Context, "IExecutionContext"),
        (stand_ins.TensorIOMode, "TensorIOMode"),
        (stand_ins.ILogger, "ILogger"),
    ],
)
def test_tensorrts_stand_ins_have_no_names_of_their_own(stand_in: type, real: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert public(stand_in)
    assert public(stand_in) - set(dir(getattr(trt, real))) == set()


def test_what_the_backend_sets_on_a_runtime_is_there() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert "DLA_core" in dir(trt.Runtime)


@pytest.mark.parametrize("name", sorted(stand_ins.DATA_TYPES.values()))
def test_tensorrt_calls_its_types_so(name: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert trt.DataType.__members__[name].name == name


@pytest.mark.parametrize(
    "name", sorted(each for each in vars(stand_ins.RecordingCuda) if each.startswith("cuda"))
)
def test_cudas_stand_in_has_no_names_of_its_own(name: str) -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    real, ours = getattr(runtime, name), getattr(stand_ins.RecordingCuda, name)
    if inspect.isfunction(ours):
        arguments = list(inspect.signature(ours).parameters)[1:]
        assert len(arguments) == len(inspect.signature(real).parameters)


def test_without_a_driver_the_real_cuda_fails_in_our_words() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    try:
        probe()
    except IncompatibleError:
        pass
    else:
        pytest.skip("there is a driver here")
    cuda = Cuda(runtime, "12.6")
    calls = [
        cuda.open_stream,
        lambda: cuda.allocate(8),
        lambda: cuda.copy_in(0, np.zeros(1), 0),
        lambda: cuda.copy_out(np.zeros(1), 0, 0),
        lambda: cuda.wait(0),
        lambda: cuda.free(1),
    ]
    for call in calls:
        with pytest.raises(IncompatibleError, match=r"'cuda-python==12\.\*'"):
            call()
