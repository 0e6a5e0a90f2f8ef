from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import mmedge

PROMISED = [
    "Bundle",
    "Classification",
    "Event",
    "EventConfig",
    "Image",
    "ImageQuality",
    "Inputs",
    "LiveConfig",
    "LogMel",
    "Matching",
    "MultiLabel",
    "Pcm",
    "Pipeline",
    "Prediction",
    "Predictor",
    "Raw",
    "Regression",
    "Signal",
    "Sound",
    "SoundQuality",
    "Text",
    "Tick",
    "image_from_hugging_face",
    "open_bundle",
    "sound_from_hugging_face",
]


def test_the_package_promises_these_names_and_no_others() -> None:
    assert mmedge.__all__ == PROMISED
    assert dir(mmedge) == PROMISED


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_name_is_there_and_is_called_so(name: str) -> None:
    found = getattr(mmedge, name)
    assert not isinstance(found, ModuleType)
    assert found.__name__ == name
    assert found.__module__.startswith("mmedge.")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mmedge' has no attribute 'predict'"):
        mmedge.predict  # noqa: B018


def test_a_promised_specification_can_be_had_without_the_runtime() -> None:
    code = "import sys, mmedge; mmedge.Image; print('mmedge.runtime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_importing_the_package_imports_none_of_its_parts() -> None:
    code = "import sys, mmedge; print(*(m for m in sys.modules if m.startswith('mmedge.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
