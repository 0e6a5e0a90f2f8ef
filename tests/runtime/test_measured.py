"""What was measured: which is the fastest, and when a record counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime import measured
from mmedge.runtime.machine import Machine, this_machine
from mmedge.runtime.measured import (
    Record,
    Timing,
    fastest,
    find_record,
    forget_first_run,
    save_record,
)
from tests.fakes import linear_bundle

HERE = Machine(cpu="Zen 3", cores=2)
NOW = {"mmedge": "0.1.0", "onnxruntime": "1.31.1", "openvino": "2026.4.1"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path))


def timing(backend: str, plan: str, ratio: float) -> Timing:
    return Timing(backend=backend, plan=plan, p50_ms=10 * ratio, ratio=ratio)


def record(bundle: Bundle, **fields: object) -> Record:
    made = {
        "digest": bundle.digest,
        "machine": str(HERE),
        "versions": NOW,
        "reference": "cpu fp32",
        "timings": (timing("cpu", "fp32", 1.0), timing("openvino", "fp32", 0.5)),
        **fields,
    }
    return Record.model_validate(made)


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        ([("cpu", "fp32", 1.0)], ("cpu", "fp32")),
        # Another backend only where it is worth it.
        ([("cpu", "fp32", 1.0), ("openvino", "fp32", 0.9)], ("openvino", "fp32")),
        ([("cpu", "fp32", 1.0), ("openvino", "fp32", 0.91)], ("cpu", "fp32")),
        ([("cpu", "fp32", 1.0), ("openvino", "fp32", 1.2)], ("cpu", "fp32")),
        # ... than the best that the usual one has.
        ([("cpu", "fp32", 1.0), ("cpu", "a", 0.6), ("openvino", "fp32", 0.7)], ("cpu", "a")),
        ([("cpu", "fp32", 1.0), ("cpu", "a", 0.6), ("openvino", "fp32", 0.55)], ("cpu", "a")),
        (
            [("cpu", "fp32", 1.0), ("cpu", "a", 0.6), ("openvino", "fp32", 0.54)],
            ("openvino", "fp32"),
        ),
        # A plan that is slower than float32 is never taken.
        ([("cpu", "fp32", 1.0), ("cpu", "a", 1.01)], ("cpu", "fp32")),
        # ... nor one that gains less than measuring twice may differ.
        ([("cpu", "fp32", 1.0), ("cpu", "a", 0.98)], ("cpu", "fp32")),
        ([("cpu", "fp32", 1.0), ("cpu", "a", 0.97)], ("cpu", "a")),
        ([("cpu", "fp32", 1.0), ("cpu", "a", 0.96), ("cpu", "b", 0.95)], ("cpu", "b")),
        ([("cpu", "b", 0.95), ("cpu", "a", 0.96), ("cpu", "fp32", 1.0)], ("cpu", "b")),
        ([("cpu", "a", 1.0), ("cpu", "fp32", 1.0)], ("cpu", "fp32")),
        ([("openvino", "fp32", 1.0)], ("openvino", "fp32")),
    ],
)
def test_the_fastest_is_taken_and_another_backend_only_where_it_is_worth_it(
    timings: list[tuple[str, str, float]], expected: tuple[str, str]
) -> None:
    best = fastest(timing(*each) for each in timings)
    assert best is not None
    assert (best.backend, best.plan) == expected


def test_a_plan_that_is_asked_for_is_taken_from_where_it_is_fastest() -> None:
    rows = [timing("cpu", "fp32", 1.0), timing("cpu", "a", 0.5), timing("openvino", "fp32", 0.8)]
    best = fastest(rows, plan="fp32")
    assert best is not None
    assert best.backend == "openvino"
    assert fastest(rows, plan="b") is None
    assert fastest([]) is None


def test_what_is_kept_is_found_again() -> None:
    bundle = linear_bundle()
    path = save_record(record(bundle), bundle, HERE)
    assert find_record(bundle, HERE, NOW) == (record(bundle), "")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_without_a_record_there_is_nothing_to_say() -> None:
    assert find_record(linear_bundle(), HERE, NOW) == (None, "")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({**NOW, "onnxruntime": "1.32.0"}, "onnxruntime was 1.31.1 then and is 1.32.0 now"),
        ({**NOW, "mmedge": "0.2.0"}, "mmedge was 0.1.0 then and is 0.2.0 now"),
        (
            {"mmedge": "0.1.0", "onnxruntime": "1.31.1"},
            "openvino was 2026.4.1 then and is not installed now",
        ),
    ],
)
def test_another_version_makes_it_stale(now: dict[str, str], words: str) -> None:
    bundle = linear_bundle()
    save_record(record(bundle), bundle, HERE)
    assert find_record(bundle, HERE, now) == (None, words)


def test_something_new_beside_it_does_not_make_it_stale() -> None:
    bundle = linear_bundle()
    save_record(record(bundle), bundle, HERE)
    assert find_record(bundle, HERE, {**NOW, "tensorrt": "11.4"})[0] is not None


def test_a_bundle_that_has_changed_is_told_so() -> None:
    bundle = linear_bundle()
    save_record(record(bundle), bundle, HERE)
    renamed = bundle.manifest.model_copy(update={"name": "other"})
    changed = Bundle.in_memory(renamed, bundle.files)
    assert find_record(changed, HERE, NOW) == (None, "the bundle has changed since")


def test_another_machine_is_told_so() -> None:
    bundle = linear_bundle()
    save_record(record(bundle), bundle, HERE)
    there = Machine(cpu="Zen 3", cores=4)
    assert find_record(bundle, there, NOW) == (None, "it was measured on another machine")


def test_a_file_that_is_of_something_else_inside_does_not_count() -> None:
    bundle = linear_bundle()
    save_record(record(bundle, digest="f" * 64), bundle, HERE)
    found, why = find_record(bundle, HERE, NOW)
    assert found is None
    assert "of another bundle or machine" in why


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', " " * 70_000])
def test_a_damaged_record_does_not_count(text: str) -> None:
    bundle = linear_bundle()
    path = save_record(record(bundle), bundle, HERE)
    path.write_text(text, encoding="utf-8")
    found, why = find_record(bundle, HERE, NOW)
    assert found is None
    assert why.endswith("cannot be read")


def test_a_place_that_cannot_be_written_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "file"))
    bundle = linear_bundle()
    with pytest.raises(ConfigError, match="Set MMEDGE_CACHE to another folder"):
        save_record(record(bundle), bundle, HERE)
    assert find_record(bundle, HERE, NOW)[0] is None


@pytest.mark.parametrize(("by", "left"), [("first run", False), ("bench", True)])
def test_a_first_runs_record_can_be_forgotten_and_a_benchs_stays(by: str, left: bool) -> None:
    bundle, here = linear_bundle(), this_machine()
    for _ in range(2):
        forget_first_run(bundle)  # nothing there is fine
        save_record(record(bundle, by=by, machine=str(here), versions={}), bundle, here)
    forget_first_run(bundle)
    assert (find_record(bundle)[0] is not None) == left


def test_a_user_without_a_home_has_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object) -> Path:
        raise ConfigError("no home")

    monkeypatch.setattr(measured, "cache_folder", homeless)
    assert find_record(linear_bundle(), HERE, NOW) == (None, "")
