"""Plans whose heads say right where the embeddings' sum is small; in truth all is left.

A sound whose first number is x has the embedding 2 x + 1, at x from 0 up to 0.23 in twelve
clips: alone it is 1 to 1.46, both together 2 to 2.92.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.bundle import save_bundle
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError, SourceError
from mmedge.proof.plans import EvalConfig, Evaluation, evaluate_plans
from mmedge.runtime.backends.instructions import Cpu
from mmedge.specs import Classification, Matching, Regression
from tests.fakes import head_graph
from tests.proof.data.making import clip_list, wav
from tests.proof.plans.making import SIGN, biased, clips, matching, with_plans


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """``fp32`` is always right; ``half`` is wrong at sums below 2.46, so with one sound always."""
    made = with_plans({"half": biased(2.46)})
    save_bundle(made, tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return clips(tmp_path / "data")


def table(found: Evaluation) -> dict[tuple[str, str], tuple[int, int]]:
    """(plan, subset) -> rightly answered, clips."""
    return {
        (row.plan, row.present): (round(row.metrics["accuracy"] * row.samples), row.samples)
        for row in found.rows
    }


def test_every_plan_is_judged_with_every_subset_on_the_clips_that_have_it(
    bundle: Path, data: Path
) -> None:
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data))
    assert found.samples == 12
    assert found.whole == "as given"
    assert table(found) == {
        ("fp32", "as given"): (12, 12),
        ("half", "as given"): (4, 12),  # 8 clips have both, and of those 4 are over 2.46
        ("fp32", "ant+bee"): (8, 8),
        ("half", "ant+bee"): (4, 8),
        ("fp32", "ant"): (12, 12),
        ("half", "ant"): (0, 12),
        ("fp32", "bee"): (8, 8),
        ("half", "bee"): (0, 8),
    }
    drops = {row.present: row.drop for row in found.rows if row.plan == "half"}
    assert {name: round(drop.value, 3) for name, drop in drops.items() if drop} == {
        "as given": 66.667,
        "ant+bee": 50.0,
        "ant": 100.0,
        "bee": 100.0,
    }
    assert all(row.drop is None for row in found.rows if row.plan == "fp32")
    (whole,) = (r for r in found.rows if (r.plan, r.present) == ("half", "ant+bee"))
    assert (whole.classes["left"].recall, whole.classes["left"].precision) == (0.5, 1.0)


def test_slices_are_named_that_break_the_limit_the_worst_first(bundle: Path, data: Path) -> None:
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data, by="speaker", max_drop=50))
    told = [
        (s.plan, s.value, s.samples, s.drop and round(s.drop.value), s.over) for s in found.slices
    ]
    assert told == [("half", "ann", 6, 100, True), ("half", "bob", 6, 33, False)]
    assert len(found.failures) == 1
    assert found.failures[0].startswith(
        "half, side: accuracy drops by 66.67 points on 12 clips, with 95 % confidence by at most "
    )
    assert found.failures[0].endswith("; 50 are allowed.")  # no number of clips would prove it


def test_a_limit_that_is_met_but_not_proven_says_how_many_clips_would_prove_it(
    tmp_path: Path, data: Path
) -> None:
    save_bundle(with_plans({"same": biased(0.0)}), tmp_path / "same.mmedge")
    config = EvalConfig(bundle=tmp_path / "same.mmedge", data=data, max_drop=0.5)
    (sentence,) = evaluate_plans(config).failures
    assert "accuracy drops by 0.00 points on 12 clips" in sentence
    assert "at most 22.09; 0.5 are allowed" in sentence  # 1 - 0.05 ** (1 / 12)
    assert sentence.endswith("about 600 clips would prove it.")
    config = EvalConfig(bundle=tmp_path / "same.mmedge", data=data, max_drop=23.0)
    assert evaluate_plans(config).failures == []


def test_sizes_and_latencies_are_of_the_graphs_that_a_subset_takes(
    bundle: Path, data: Path
) -> None:
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data))
    plain, half = found.plans
    assert (plain.plan, half.plan, half.target, half.simulated) == ("fp32", "half", "cpu", False)
    assert plain.bytes["ant+bee"] == plain.bytes["as given"] > plain.bytes["ant"] > 0
    assert set(half.latency_ms) == set(half.ratio) == {"ant+bee", "ant", "bee"}
    assert set(plain.ratio.values()) == {1.0}
    assert plain.latency_ms["ant+bee"] > plain.latency_ms["ant"] > 0


def test_a_plan_for_tensorrt_is_labelled_simulated_and_has_no_latency(
    tmp_path: Path, data: Path
) -> None:
    save_bundle(with_plans({"low": biased(0.0)}, "tensorrt"), tmp_path / "low.mmedge")
    found = evaluate_plans(EvalConfig(bundle=tmp_path / "low.mmedge", data=data))
    low = found.plans[1]
    assert (low.simulated, low.latency_ms, low.ratio) == (True, {}, {})
    assert found.plans[0].latency_ms
    assert found.to_json()["plans"][1]["simulated"] is True


def test_only_the_plans_that_were_asked_for_are_run(tmp_path: Path, data: Path) -> None:
    save_bundle(with_plans({"a": biased(0.0), "b": biased(1.0)}), tmp_path / "ab.mmedge")
    found = evaluate_plans(EvalConfig(bundle=tmp_path / "ab.mmedge", data=data, plans=("b",)))
    assert [plan.plan for plan in found.plans] == ["fp32", "b"]


def test_a_plan_that_cannot_run_here_is_noted_and_one_that_was_asked_for_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    old = Cpu(name="old", architecture="x86_64", instructions=frozenset())
    monkeypatch.setattr("mmedge.runtime.plans.this_cpu", lambda: old)
    made = with_plans({"fast": biased(0.0)}, instructions=("vnni",))
    save_bundle(made, tmp_path / "fast.mmedge")
    config = EvalConfig(bundle=tmp_path / "fast.mmedge", data=data)
    found = evaluate_plans(config)
    assert [plan.plan for plan in found.plans] == ["fp32"]
    assert found.notes[0].startswith("plan fast was left out: plan 'fast' needs vnni")
    with pytest.raises(IncompatibleError, match="needs vnni"):
        evaluate_plans(EvalConfig(bundle=config.bundle, data=data, plans=("fast",)))


def test_without_labels_a_drop_is_how_often_a_plan_answers_otherwise(
    bundle: Path, tmp_path: Path
) -> None:
    data = clips(tmp_path / "data", labels={})
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data))
    assert not found.labelled
    (row,) = (r for r in found.rows if (r.plan, r.present) == ("half", "ant+bee"))
    assert (row.metrics, row.classes, row.samples) == ({}, {}, 8)
    assert row.drop is not None
    assert (row.drop.metric, row.drop.value) == ("agreement", 50.0)


def test_a_task_without_labels_beside_one_with_them_is_judged_by_agreement(
    tmp_path: Path,
) -> None:
    tasks = {
        "side": Classification(labels=("left", "right")),
        "level": Regression(names=("level",), units=("m",)),
    }
    weights = {"side": SIGN, "level": SIGN[:, :, :1]}
    head = head_graph(("ant", "bee"), weights, bias=(1.0,))
    bundle = with_plans({"higher": head}, tasks=tasks)
    save_bundle(bundle, tmp_path / "two.mmedge")
    config = EvalConfig(bundle=tmp_path / "two.mmedge", data=clips(tmp_path / "d"), max_drop=90)
    found = evaluate_plans(config)
    assert (found.labelled, found.unlabelled) == (True, ("level",))
    drops = {row.task: row.drop for row in found.rows if row.present == "ant+bee" and row.drop}
    assert {task: drop.metric for task, drop in drops.items()} == {
        "side": "accuracy",
        "level": "change",
    }
    assert any("level" in failure for failure in found.failures)


def test_a_drop_is_in_the_metric_that_was_chosen(bundle: Path, data: Path) -> None:
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data, metric="macro_f1"))
    metrics = {row.drop.metric for row in found.rows if row.drop is not None}
    assert metrics == {"macro_f1"}


def test_recall_is_judged_over_all_clips_with_the_two_modalities(tmp_path: Path) -> None:
    fits = {"side": Matching(between=("ant", "bee"))}
    # The plan likes low numbers: it finds the bee of the lowest first, and fp32 the highest.
    low = head_graph(("ant", "bee"), {"side": -SIGN[:, :, :1]})
    save_bundle(with_plans({"low": low}, tasks=fits), tmp_path / "low.mmedge")
    data = clips(tmp_path / "data", labels={"side": True})
    config = EvalConfig(bundle=tmp_path / "low.mmedge", data=data, metric="recall_at_2")
    found = evaluate_plans(config)
    drops = {row.present: row.drop for row in found.rows if row.plan == "low"}
    whole = drops.pop("as given")
    assert whole is not None
    # Of 8 pairs each finds two, and none the same.
    assert (whole.metric, whole.value, whole.discordant) == ("recall_at_2", 0.0, 4)
    assert set(drops.values()) == {None}


def test_recall_without_labels_is_of_what_fp32_finds_first(tmp_path: Path) -> None:
    fits = {"side": Matching(between=("ant", "bee"))}
    low = head_graph(("ant", "bee"), {"side": -SIGN[:, :, :1]})
    save_bundle(with_plans({"low": low}, tasks=fits), tmp_path / "low.mmedge")
    data = clips(tmp_path / "data", labels={})
    config = EvalConfig(bundle=tmp_path / "low.mmedge", data=data, metric="recall_at_7")
    drops = {r.present: r.drop for r in evaluate_plans(config).rows if r.plan == "low"}
    # All twelve ants are asked, and the last of eight bees is to be found.
    assert drops["as given"] is not None
    assert (drops["as given"].metric, drops["as given"].value) == ("agreement", 100.0)
    assert drops["as given"].samples == 12


def test_what_the_clips_cannot_tell_is_not_taken_as_proven(tmp_path: Path) -> None:
    fits = {"side": Matching(between=("ant", "bee"))}
    save_bundle(with_plans({"a": matching(0.0)}, tasks=fits), tmp_path / "a.mmedge")
    data = clips(tmp_path / "data", labels={"side": True})
    config = EvalConfig(
        bundle=tmp_path / "a.mmedge", data=data, metric="roc_auc", max_drop=90.0, by="speaker"
    )
    found = evaluate_plans(config)
    assert found.failures == [
        "a, side: these clips cannot tell what it loses; give some of every kind"
    ]
    assert [(each.value, each.drop) for each in found.slices] == [("ann", None), ("bob", None)]


def test_temperatures_of_subsets_change_how_sure_a_plan_is_and_nothing_else(
    tmp_path: Path, data: Path
) -> None:
    table = {"side": {"ant": 100.0}}
    save_bundle(with_plans({"a": biased(0.0)}, temperatures=table), tmp_path / "a.mmedge")
    found = evaluate_plans(EvalConfig(bundle=tmp_path / "a.mmedge", data=data))
    errors = {(r.plan, r.present): r.metrics["calibration_error"] for r in found.rows}
    assert errors["a", "bee"] == pytest.approx(errors["fp32", "bee"])
    assert errors["fp32", "ant"] < 0.3  # sure of 0.73 to 0.81, and right
    assert errors["a", "ant"] == pytest.approx(0.5, abs=0.01)


def test_what_is_under_way_is_said(bundle: Path, data: Path) -> None:
    said: list[str] = []
    evaluate_plans(EvalConfig(bundle=bundle, data=data, by="speaker"), said.append)
    assert said == [
        "samples",
        "answers to as given",
        "answers to ant+bee",
        "answers to ant",
        "answers to bee",
        "answers by speaker",
        "latency",
    ]


def test_a_clip_that_cannot_be_read_is_skipped_and_named(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [{"ant": wav(folder, f"{n}.wav", n, 1), "labels": {"side": "left"}} for n in range(40)]
    data = clip_list(folder, [*rows, {"ant": "gone.wav", "labels": {"side": "left"}}])
    found = evaluate_plans(EvalConfig(bundle=bundle, data=data))
    assert found.samples == 40
    assert len(found.skipped) == 1
    assert "gone.wav" in found.skipped[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"plans": ("nope",)}, ConfigError, "no plan 'nope'; it has fp32, half"),
        ({"by": "nope"}, ConfigError, "no column 'nope' to judge by; they have speaker"),
        ({"metric": "nope"}, ConfigError, "judged by 'nope'; choose accuracy or macro_f1"),
        ({"max_drop": -1.0}, ConfigError, "must be a positive number of points"),
        ({"max_drop": float("nan")}, ConfigError, "must be a positive number of points"),
        ({"backend": "nope"}, ConfigError, "nope"),
        ({"data": "nowhere.jsonl"}, ConfigError, "there is no data at 'nowhere.jsonl'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    bundle: Path, data: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate_plans(EvalConfig(**{"bundle": bundle, "data": data, **options}))  # type: ignore[arg-type]


def test_a_label_that_is_no_class_is_an_error_that_names_it(bundle: Path, tmp_path: Path) -> None:
    data = clips(tmp_path / "data", labels={"side": "up"})
    with pytest.raises(ArtefactError, match="'up'"):
        evaluate_plans(EvalConfig(bundle=bundle, data=data))


def test_clips_that_are_all_gone_are_an_error(bundle: Path, tmp_path: Path) -> None:
    data = clip_list(tmp_path, [{"ant": "gone.wav", "labels": {"side": "left"}}] * 3)
    with pytest.raises(SourceError, match="3 of 3 clips cannot be read"):
        evaluate_plans(EvalConfig(bundle=bundle, data=data))


def test_neither_labels_nor_another_plan_leave_nothing_to_say(tmp_path: Path) -> None:
    save_bundle(with_plans({}), tmp_path / "one.mmedge")
    data = clips(tmp_path / "data", labels={})
    with pytest.raises(ConfigError, match="nothing can be said"):
        evaluate_plans(EvalConfig(bundle=tmp_path / "one.mmedge", data=data))


def test_nothing_is_left_behind(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    evaluate_plans(EvalConfig(bundle=bundle, data=data))
    with pytest.raises(ConfigError):
        evaluate_plans(EvalConfig(bundle=bundle, data=data, by="nope"))
    assert list(scratch.iterdir()) == []
