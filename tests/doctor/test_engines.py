from __future__ import annotations

from mmedge.engines.cache import EngineCache
from tests.doctor.seeding import Seeded, named, names
from tests.engines.requests import BUILT, request


def keep(machine: Seeded, **changes: str) -> None:
    place = machine.place
    cache = EngineCache(place.cache, key_file=place.key_file)
    cache.engine(request(**changes), lambda: BUILT)


def test_an_engine_of_a_newer_tensorrt_is_found(machine: Seeded) -> None:
    machine.jetson()  # with TensorRT 10.3.0.30
    keep(machine, version="10.13.0")
    found = named(machine.examine(), "engine-newer")
    assert found.severity == "warning"
    assert found.what == (
        "1 engine of the cache was built by TensorRT 10.13.0, and here is 10.3.0.30: an older one "
        "cannot run it; nothing uses it, and nothing but 'mmedge build' builds it again"
    )
    assert found.remedy == "mmedge build BUNDLE"


def test_engines_of_the_tensorrt_that_is_here_are_right(machine: Seeded) -> None:
    machine.jetson()
    keep(machine, version="10.3.0")
    assert [each for each in names(machine.examine()) if each.startswith("engine")] == []


def test_an_engine_whose_tensorrt_is_gone_is_a_note(machine: Seeded) -> None:
    keep(machine, toolkit="tensorrt_rtx", version="1.7.1.116")
    found = named(machine.examine(), "engine-older")
    assert found.severity == "note"
    assert "built by TensorRT-RTX 1.7.1.116, and here is none" in found.what


def test_an_engine_that_was_changed_is_found(machine: Seeded) -> None:
    keep(machine)
    (file,) = machine.cache.glob("*.engine")
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    found = named(machine.examine(), "engine-distrusted")
    assert (found.severity, found.where) == ("warning", file.name)
    assert found.remedy == "mmedge build BUNDLE"
    assert "built again" not in found.what  # serve and predict refuse it, and build nothing
    assert "was not signed with this device's key, or was changed or damaged" in found.what
