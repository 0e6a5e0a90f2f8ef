"""What TensorRT's backend hands to TensorRT: this device's own engine for this place, or nothing.

TensorRT runs what it deserialises, so a spy counts what it was given: see `RecordingTensorRT`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmedge.engines.device_key import default_key_file
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends import open_backend
from tests.engines.requests import flip
from tests.fakes import encoder_graph
from tests.runtime.backends.recording_cuda import TOOLKIT, RecordingTensorRT, keep, stand_in

MODEL = encoder_graph()
DRIVER = TOOLKIT.driver
assert DRIVER is not None


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RecordingTensorRT:
    """The stand-in, and an engine of `MODEL` in the cache, signed with a key of the test's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    trt = stand_in(monkeypatch, tmp_path / "cache")
    keep(MODEL)
    return trt


@pytest.fixture
def file(trt: RecordingTensorRT, tmp_path: Path) -> Path:
    (file,) = (tmp_path / "cache" / "engines").glob("*.engine")
    return file


def refused(trt: RecordingTensorRT, words: str, model: bytes = MODEL) -> None:
    with pytest.raises(IncompatibleError, match=words):
        open_backend("tensorrt", model, what="graph 'ant'")
    assert trt.deserialised == []
    assert trt.cuda.calls == []


def test_the_engine_as_it_was_written_is_deserialised_once(trt: RecordingTensorRT) -> None:
    open_backend("tensorrt", MODEL, what="graph 'ant'").close()
    assert trt.deserialised == [MODEL]  # the stand-in's engine is its graph


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is cut short"),
        (lambda file: file.write_bytes(file.read_bytes()[:40]), "is cut short"),
        (lambda file: file.write_bytes(b""), "is cut short"),
        (lambda file: file.write_bytes(MODEL), "is no engine of this version of mmedge"),
        (lambda file: flip(file, -1), "was changed or damaged after it was written"),
        (lambda file: flip(file, 40), "was not signed with this device's key"),
        (lambda file: file.chmod(0o666), "may be read or written by others"),
        (lambda _: default_key_file().write_bytes(bytes(32)), "was not signed with this device's"),
        (lambda _: default_key_file().unlink(), "this device has no key yet"),
    ],
)
def test_nothing_is_of_what_was_changed_cut_or_signed_elsewhere(
    trt: RecordingTensorRT, file: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(file)
    refused(trt, words)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(TOOLKIT, version="10.3.0.1"),
        replace(TOOLKIT, name="tensorrt_rtx"),
        replace(TOOLKIT, driver=replace(DRIVER, kernel="540.4.1")),
        replace(TOOLKIT, driver=replace(DRIVER, version=(12, 7))),
        *(
            replace(TOOLKIT, driver=replace(DRIVER, gpus=(replace(DRIVER.gpus[0], **change),)))
            for change in ({"name": "another"}, {"capability": (8, 6)}, {"uuid": "GPU-1"})
        ),
    ],
    ids=["version", "toolkit", "driver", "cuda", "gpu", "capability", "uuid"],
)
def test_nothing_is_where_tensorrt_driver_or_gpu_is_another(
    monkeypatch: pytest.MonkeyPatch, trt: RecordingTensorRT, elsewhere: Any
) -> None:
    toolkit = replace(elsewhere, trt=trt)
    monkeypatch.setattr("mmedge.runtime.backends.tensorrt.open_toolkit", lambda _: toolkit)
    refused(trt, "the one that is kept was built for")


def test_nothing_is_for_a_graph_with_other_weights(trt: RecordingTensorRT) -> None:
    refused(trt, "has no engine for", encoder_graph(factor=3))
