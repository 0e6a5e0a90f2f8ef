from __future__ import annotations

from mmedge.calibration.report.sensitivity import draw_sensitivity
from mmedge.calibration.sensitivity import Unit
from tests.calibration.report.made import an_outcome
from tests.calibration.report.read import Read


def unit(noise: float, *layers: str, modality: str = "ant") -> Unit:
    return Unit(modality=modality, layers=layers, macs=1_000, noise=noise)


def test_a_unit_is_drawn_by_its_noise_and_by_whether_it_was_restored() -> None:
    read = Read(draw_sensitivity(an_outcome()))
    assert [each for each in read.texts if each.endswith(" dB")] == ["-20.0 dB", "-40.0 dB"]
    bars = [
        (attributes["class"], width["width"])
        for (tag, attributes), (_, width) in zip(read.tags, read.tags[1:], strict=False)
        if tag == "svg" and str(attributes["class"]).startswith("bar")
    ]
    # -45 to 0 dB
    assert bars == [("bar restored", "55.6%"), ("bar int8", "11.1%")]


def test_what_was_not_measured_has_no_bar_and_what_changed_nothing_says_so() -> None:
    units = (unit(float("nan"), "conv"), unit(0.0, "project"))
    read = Read(draw_sensitivity(an_outcome(units=units)))
    assert "not measured" in read.texts
    assert "none" in read.texts
    assert read.count("svg", "bar int8") == 0
    assert read.count("svg", "bar restored") == 1


def test_a_unit_without_any_noise_that_was_measured_is_no_error() -> None:
    read = Read(draw_sensitivity(an_outcome(units=(unit(float("nan"), "conv"),))))
    assert "not measured" in read.texts


def test_units_stand_under_their_encoder_and_name_all_their_layers() -> None:
    units = (unit(0.1, "a", "b", "c"), unit(0.2, "d", modality="bee"), unit(0.3, "e"))
    read = Read(draw_sensitivity(an_outcome(units=units)))
    headings = ("ant", "bee", "a and 2 more", "d", "e")
    assert [each for each in read.texts if each in headings] == [
        "ant", "a and 2 more", "e", "bee", "d",
    ]  # fmt: skip
    titles = [attributes["title"] for tag, attributes in read.tags if tag == "li"]
    assert titles[0] == "a, b, c: 1,000 multiply-accumulates"


def test_without_a_plan_nothing_is_said_to_be_restored() -> None:
    read = Read(draw_sensitivity(an_outcome(plan=None)))
    assert "kept above INT8" not in read.texts
    assert read.count("svg", "bar ") == 2
