from __future__ import annotations

from mmedge.calibration.report import summary
from mmedge.manifest import Kept
from tests.calibration.report.made import a_calibration, an_outcome, for_the_cpu
from tests.calibration.report.read import Read


def cells(read: Read) -> list[str]:
    return [each for each in read.texts if each.strip()]


def test_plans_stand_beside_fp32() -> None:
    read = Read(summary.plans(a_calibration()))
    said = cells(read)
    row = ["tensorrt", "mixed_tensorrt (simulated)", "50.0%", "0.20", "0.40", "0.20", "1.50 MB"]
    begin = said.index("tensorrt")
    assert said[begin : begin + 7] == row
    row = ["cpu", "mixed_cpu", "50.0%", "0.20", "0.40", "0.20", "0.60", "1.50 MB"]
    begin = said.index("cpu")
    assert said[begin : begin + 8] == row
    assert "0.5 are allowed" in read.text


def test_without_a_plan_for_the_cpu_no_latency_is_spoken_of() -> None:
    read = Read(summary.plans(a_calibration(an_outcome())))
    assert "measured on" not in read.text
    read = Read(summary.plans(a_calibration(for_the_cpu())))
    assert "simulated" not in read.text


def test_parts_are_counted_in_samples_and_groups() -> None:
    said = cells(Read(summary.splits(a_calibration())))
    begin = said.index("report")
    assert said[begin : begin + 4] == ["report", "no decision has seen it", "601", "7"]
    assert "skipped, because they could not be read: 1" in said


def test_skipped_clips_are_listed_up_to_two_hundred() -> None:
    found = a_calibration(skipped=tuple(f"clip {number}" for number in range(203)))
    said = cells(Read(summary.splits(found)))
    assert "clip 199" in said
    assert "clip 200" not in said
    assert "and 3 more, which are in the JSON" in said


def test_latency_is_told_encoder_by_encoder_where_it_was_measured() -> None:
    said = cells(Read(summary.facts(for_the_cpu())))
    assert said[-6:] == ["ant", "1", "entropy", "2", "1.1", "0.55"]
    assert cells(Read(summary.facts(an_outcome())))[-3:] == ["ant", "1", "entropy"]


def test_what_is_kept_has_its_reason_and_the_front_end_comes_last() -> None:
    front = Kept(layer="Log", precision="fp32", why="front-end; -13 to 5")
    project = Kept(layer="project", precision="fp16", why="noise is -20 dB")
    said = cells(Read(summary.kept(an_outcome(kept={"ant": (front, project)}))))
    assert said[0] == "ant: 1 behind the front-end, 1 in it"
    assert said[-6:] == ["project", "fp16", "noise is -20 dB", "Log", "fp32", "front-end; -13 to 5"]
    assert cells(Read(summary.kept(an_outcome(kept={})))) == ["Nothing."]


def test_subsets_are_told_for_both_parts() -> None:
    said = cells(Read(summary.subsets(an_outcome())))
    assert said[-4:] == ["ant", "side", "0.70", "0.70"]
    assert summary.subsets(an_outcome(searched=None, reported=None)) == ""
