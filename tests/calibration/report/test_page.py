"""The page as a whole: complete, self-contained, and safe whatever names say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mmedge.calibration.confusion import Confusion
from mmedge.calibration.outcome import Outcome
from mmedge.calibration.report import draw_page
from mmedge.calibration.sensitivity import Unit
from mmedge.manifest import Kept
from tests.calibration.report.made import (
    SKIPPED,
    a_calibration,
    a_trial,
    an_outcome,
    for_the_cpu,
)
from tests.calibration.report.read import Read

HEADINGS = [
    "Accuracy against cost",
    "What each layer costs",
    "Answers",
    "Kept above the plan's precision",
    "Values and their ranges",
]
EVIL = "</title><script>alert('x')</script><img src=x onerror=alert(1)> & \"'"


def test_every_section_is_there_for_both_targets() -> None:
    read = Read(draw_page(a_calibration()))
    assert [each for each in read.texts if each in HEADINGS] == HEADINGS * 2
    assert [each["id"] for tag, each in read.tags if tag == "section" and "id" in each] == [
        "tensorrt",
        "cpu",
    ]
    for word in ("Plans", "Samples", "mixed_tensorrt (simulated)", "mixed_cpu", *SKIPPED):
        assert word in read.texts
    assert "measured on a CPU" in read.text
    assert "Plans for TensorRT are simulated" in read.text


def test_a_browser_needs_nothing_else_and_runs_nothing() -> None:
    page = draw_page(a_calibration())
    read = Read(page)
    names = {name for _, attributes in read.tags for name in attributes}
    assert names.isdisjoint({"src", "href", "srcset", "action", "data"})
    assert not [name for name in names if name.startswith("on")]
    tags = {tag for tag, _ in read.tags}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "img", "form"})
    assert "url(" not in page
    assert "@import" not in page
    assert not re.search(r"https?:", page)
    assert "Content-Security-Policy" in [
        attributes.get("http-equiv") for _, attributes in read.tags
    ]


def test_it_is_made_for_light_and_dark_and_for_a_phone() -> None:
    page = draw_page(a_calibration())
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page


def test_what_strangers_wrote_is_text_and_stays_text() -> None:
    harmless, bad = Read(draw_page(a_calibration())), EVIL
    outcome = an_outcome(
        verdict=bad,
        waived=bad,
        units=(
            Unit(modality="ant", layers=(bad,), macs=1, noise=0.01),
            Unit(modality="ant", layers=("conv",), macs=1, noise=0.0001),
        ),
        kept={"ant": (Kept(layer=bad, precision="fp16", why=bad),)},
        methods={"ant": bad},
    )
    (watched,) = outcome.watched["ant"]
    assert outcome.reported is not None
    side = replace(outcome.reported.confusions["side"], labels=("left", bad))
    outcome = replace(
        outcome,
        watched={"ant": (replace(watched, value=bad),)},
        reported=replace(outcome.reported, confusions={bad: side}),
    )
    page = draw_page(a_calibration(outcome, for_the_cpu(), skipped=(bad,), machine=bad))
    read = Read(page)
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in harmless.tags}
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror" not in {name for _, attributes in read.tags for name in attributes}
    assert read.texts.count(bad) >= 7


def test_a_file_name_that_is_no_utf8_can_be_written() -> None:
    page = draw_page(a_calibration(skipped=("clip \udcff.wav",)))
    assert "clip ?.wav" in page
    page.encode()


def test_an_outcome_of_nothing_says_so() -> None:
    nothing = Outcome(target="cpu", plan=None, verdict="nothing is faster", precision="fp32")
    read = Read(draw_page(a_calibration(nothing, skipped=(), labelled=False, unlabelled=("side",))))
    for words in (
        "Nothing is faster.",
        "no plan",
        "Nothing was tried.",
        "No layer was measured.",
        "No classification was judged.",
        "No clip was skipped.",
    ):
        assert words in read.texts
    assert "There are no labels: a drop is how often" in read.text
    assert read.count("svg") == 0


def test_a_refusal_shows_what_was_tried() -> None:
    trial = a_trial("conv", drop=3.0, bound=4.0)
    refused = an_outcome(plan=None, searched=trial, reported=None, trials=(trial,), watched={})
    read = Read(draw_page(a_calibration(refused)))
    assert "no plan" in read.texts
    assert read.count("g", "mark trial") == 2  # one of them in the legend
    assert read.count("g", "mark plan") == 0
    assert "Values and their ranges" not in read.texts


def test_a_calibration_for_no_target_has_its_plans_and_samples() -> None:
    found = replace(a_calibration(), outcomes=())
    read = Read(draw_page(found))
    assert "fp32" in read.texts
    assert read.count("h2") == 2


@pytest.mark.parametrize("waived", ["", "3 points were allowed"])
def test_it_is_told_at_a_glance_whether_a_plan_is_proven(waived: str) -> None:
    read = Read(draw_page(a_calibration(for_the_cpu(waived=waived))))
    assert ("proven" in read.texts, "not proven" in read.texts) == (not waived, bool(waived))
    assert ("Accepted without proof: 3 points were allowed." in read.texts) == bool(waived)
    assert "measured" in read.texts
    assert "simulated" not in read.texts


def test_the_json_has_what_is_drawn() -> None:
    found = a_calibration().to_json()
    for outcome in found["outcomes"]:
        assert outcome["confusions"]["side"]["labels"] == ["left", "right"]
        assert [1, 1, 0, 1] in outcome["confusions"]["side"]["counts"]
        (watched,) = outcome["watched"]["ant"]
        assert watched["range"] == [-2.0, 2.0]
        assert watched["seen"] == [-1.0, 4.0]
        assert watched["clipped"] == pytest.approx(0.4, abs=0.002)
        assert sum(watched["counts"]) == watched["numbers"] == 1000
        assert len(watched["edges"]) == len(watched["counts"]) + 1
    assert [each["ratio"] for each in found["outcomes"][1]["trials"]] == [0.5, 0.6]
    assert [each["ratio"] for each in found["outcomes"][0]["trials"]] == [None, None]


def test_a_task_of_a_thousand_labels_is_listed_and_not_drawn() -> None:
    labels = tuple(f"label {number}" for number in range(1000))
    many = Confusion(labels=labels, counts=((3, 3, 3, 50), (3, 3, 4, 2), (5, 6, 6, 1)))
    outcome = an_outcome(reported=replace(a_trial("conv"), confusions={"side": many}))
    read = Read(draw_page(a_calibration(outcome)))
    assert "label 4" in read.texts
    assert "label 999" not in read.text
    assert "The plan answers otherwise than fp32 on 2 of 53 samples." in read.texts
    assert "fp32 is wrong on 1, the plan on 3." in read.texts
