"""What a candidate loses: task by task, whatever kind it is, with labels and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle, file_ref
from mmedge.calibration.candidate import CANDIDATE, Candidate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.judging import SPOILED, Judge
from mmedge.calibration.trial import Trial
from mmedge.errors import ConfigError
from mmedge.manifest import Plan
from mmedge.proof.data import Sample
from mmedge.proof.parity import FP32
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression
from tests.fakes import head_graph, linear_bundle
from tests.proof.data.making import prepared, sound
from tests.remembering import remembering_bundle

SIDE = Classification(labels=("left", "right"))
TAGS = MultiLabel(labels=("low", "high"), thresholds=(0.5,))
LEVEL = Regression(names=("level",), units=("m",))
FIELD = Raw(shape=(2,))
PAIR = Matching(between=("ant", "bee"))
NOTHING = Candidate(int8={}, methods={})


def weights(columns: int, scale: float = 1.0) -> Any:
    """Each task's outputs are the first numbers of the embeddings, ``2 x + 1``, summed."""
    return np.full((2, 2, columns), scale, np.float32) * np.float32([1, 0])[None, :, None]


def with_candidate(tasks: dict[str, Any], scales: dict[str, float]) -> Bundle:
    """Two sounds; the candidate's head multiplies each task's outputs by its scale."""
    plain = {name: weights(int(np.prod(task.shape))) for name, task in tasks.items()}
    if "side" in plain:
        plain["side"] *= np.float32([1, -1])
    bundle = linear_bundle(2, tasks=tasks, weights=plain)
    head = head_graph(
        ("ant", "bee"),
        {name: each * np.float32(scales.get(name, 1.0)) for name, each in plain.items()},
        shapes={name: task.shape for name, task in tasks.items()},
    )
    ref = file_ref("fusion", ".onnx", head)
    fp32 = bundle.manifest.plans["fp32"]
    plan = Plan(
        precision="int8",
        target="cpu",
        graphs={**fp32.graphs, "fusion": ref},
        tolerances=FP32,
    )
    plans = {"fp32": fp32, CANDIDATE: plan}
    manifest = bundle.manifest.model_copy(update={"plans": plans})
    return Bundle.in_memory(manifest, {**bundle.files, ref.name: head})


def samples(count: int = 40, **labels: Any) -> list[Sample]:
    """Sounds of -1..1; a label that can be called is asked with each one's number."""
    return [
        Sample(
            where=str(number),
            raws={"ant": sound(2 * number / count - 1, 0), "bee": sound(2 * number / count - 1, 1)},
            labels={k: v(number) if callable(v) else v for k, v in labels.items()},
        )
        for number in range(count)
    ]


def judge_of(folder: Path, bundle: Bundle, data: list[Sample], **changes: Any) -> Judge:
    config = CalibrateConfig(bundle=folder, data=folder, **{"max_drop": 5.0, **changes})
    (folder / "store").mkdir()
    return Judge(bundle, prepared(folder, data, bundle), folder / "store", config)


def judged(folder: Path, bundle: Bundle, data: list[Sample], **changes: Any) -> Trial:
    return judge_of(folder, bundle, data, **changes).judge(bundle, NOTHING, 1.0)


def test_a_task_without_labels_beside_one_with_them_is_judged_by_agreement(
    tmp_path: Path,
) -> None:
    bundle = with_candidate({"side": SIDE, "level": LEVEL}, {"level": 0.5})
    trial = judged(tmp_path, bundle, samples(side="left"))
    assert {task: drop.metric for task, drop in trial.drops.items()} == {
        "side": "accuracy",
        "level": "change",
    }
    assert trial.drops["side"].value == 0
    assert trial.drops["level"].value > 5
    assert not trial.within


def test_without_any_labels_all_tasks_are_judged_by_agreement(tmp_path: Path) -> None:
    bundle = with_candidate({"side": SIDE, "tags": TAGS}, {"side": -1.0})
    trial = judged(tmp_path, bundle, samples())
    assert {task: drop.metric for task, drop in trial.drops.items()} == {
        "side": "agreement",
        "tags": "agreement",
    }
    assert trial.drops["side"].value > 90
    assert trial.drops["tags"].value == 0
    assert trial.confusions["side"].labelled is False


def test_every_kind_of_task_is_judged_in_its_metric(tmp_path: Path) -> None:
    tasks = {"side": SIDE, "tags": TAGS, "level": LEVEL, "field": FIELD, "pair": PAIR}
    scales = {"tags": -1.0, "level": 0.9, "field": 0.5, "pair": -1.0}
    data = samples(
        side="left",
        tags=lambda n: ["high", "low"] if n > 20 else [],
        level=lambda n: 8 * n / 40 - 2.0,
        field=lambda n: [8 * n / 40 - 2.0] * 2,
        pair=lambda n: n > 15,
    )
    trial = judged(tmp_path, with_candidate(tasks, scales), data)
    assert {task: drop.metric for task, drop in trial.drops.items()} == {
        "side": "accuracy",
        "tags": "mean_average_precision",
        "level": "relative_mae",
        "field": "relative_rms",
        "pair": "accuracy",
    }
    assert trial.drops["side"].value == 0
    assert all(trial.drops[task].value > 5 for task in ("tags", "level", "field", "pair"))
    assert all(drop.bound >= drop.value for drop in trial.drops.values())
    assert set(trial.subsets["ant"]) == set(tasks)


def test_a_matching_task_is_judged_by_recall_where_that_is_asked_for(tmp_path: Path) -> None:
    bundle = with_candidate({"pair": PAIR}, {"pair": -1.0})
    trial = judged(tmp_path, bundle, samples(pair=True), metric="recall_at_1")
    # The item with the largest number is the best of all; the other way round the smallest.
    assert (trial.drops["pair"].metric, trial.drops["pair"].samples) == ("recall_at_1", 40)
    assert (trial.drops["pair"].value, trial.drops["pair"].discordant) == (0, 2)
    assert trial.subsets == {"ant": {}, "bee": {}}  # there is nothing to search


def test_recall_without_a_pair_that_matches_is_an_error_that_says_so(tmp_path: Path) -> None:
    bundle = with_candidate({"pair": PAIR}, {})
    with pytest.raises(ConfigError, match="no clip to tell the recall of task 'pair'"):
        judged(tmp_path, bundle, samples(pair=False), metric="recall_at_3")


@pytest.mark.parametrize(
    ("task", "label", "metric", "words"),
    [
        (LEVEL, 1.0, None, "relative_mae: their true values are all the same"),
        (PAIR, True, "roc_auc", "roc_auc: it takes some for which a label holds and some for"),
        (TAGS, [], None, "mean_average_precision: it takes some for which a label holds"),
    ],
)
def test_what_the_samples_cannot_tell_is_an_error_before_anything_is_tried(
    tmp_path: Path, task: Any, label: Any, metric: str | None, words: str
) -> None:
    bundle = with_candidate({"it": task}, {})
    with pytest.raises(ConfigError, match=f"task 'it': these samples cannot tell {words}"):
        judge_of(tmp_path, bundle, samples(it=label), metric=metric)


@pytest.mark.parametrize(("max_drop", "named"), [(10.0, False), (9.9, True)])
def test_a_subset_in_which_one_clip_alone_would_be_too_much_is_named_and_not_judged(
    tmp_path: Path, max_drop: float, named: bool
) -> None:
    data = samples(25, side="left")
    alone = [Sample(where=s.where, raws={"bee": s.raws["bee"]}, labels=s.labels) for s in data[:20]]
    bundle = with_candidate({"side": SIDE}, {"side": -1.0})  # left for right
    trial = judged(tmp_path, bundle, [*alone, *data[20:]], max_drop=max_drop)
    # Of ant there are 5 clips, and 20 % or 19.8 % may be lost: it takes 5 clips, or 6.
    assert trial.unjudged == ({"ant": {"side": 5}} if named else {})
    assert (trial.subsets["ant"] == {}) == named
    assert trial.subsets["bee"]["side"] != 0
    assert trial.to_json()["unjudged"] == trial.unjudged


def test_a_subset_whose_few_samples_cannot_tell_is_left_out(tmp_path: Path) -> None:
    data = samples(level=float)
    alone = {"ant": sound(0.5, 0)}
    data = [Sample(where=s.where, raws={"bee": s.raws["bee"]}, labels=s.labels) for s in data]
    data.append(Sample(where="one", raws=alone, labels={"level": 1.0}))
    trial = judged(tmp_path, with_candidate({"level": LEVEL}, {}), data)
    assert trial.subsets["ant"] == {}
    assert trial.subsets["bee"] == {"level": 0.0}
    assert trial.drops["level"].samples == 41


def test_an_encoder_that_remembers_is_judged_at_the_last_of_its_windows(tmp_path: Path) -> None:
    bundle = remembering_bundle()
    plain = bundle.manifest.plans["fp32"]
    other = remembering_bundle(forget=0.5)  # of what it remembers half is lost in each window
    graphs = {**plain.graphs, "ear": other.manifest.plans["fp32"].graphs["ear"]}
    plan = plain.model_copy(update={"graphs": graphs, "target": "cpu", "precision": "int8"})
    plans = {"fp32": plain, CANDIDATE: plan}
    both = Bundle.in_memory(
        bundle.manifest.model_copy(update={"plans": plans}), {**other.files, **bundle.files}
    )
    data = [
        Sample(
            where=str(n),
            raws={"ear": sound(n, 0, 0, 0)},
            before={"ear": (sound(4, 0, 0, 0),)} if n % 2 else {},
            labels={"sum": 10 + n + (4 if n % 2 else 0)},
        )
        for n in range(40)
    ]
    trial = judged(tmp_path, both, data)
    # Alone a sound is 5 too low; behind the window before, (10 / 2 + 4) / 2 and not 14: 9.5.
    truths = np.array([10 + n + (4 if n % 2 else 0) for n in range(40)])
    deviation = np.abs(truths - truths.mean()).mean()
    assert trial.drops["sum"].value == pytest.approx(100 * (5 + 9.5) / 2 / deviation)


def test_a_candidate_that_answers_with_no_number_has_failed_and_nothing_else_ends(
    tmp_path: Path,
) -> None:
    bundle = with_candidate({"side": SIDE}, {"side": np.nan})
    config = CalibrateConfig(bundle=tmp_path, data=tmp_path, max_drop=100.0, accept_unproven=True)
    (tmp_path / "store").mkdir()
    data = prepared(tmp_path, samples(side="left"), bundle)
    judge = Judge(bundle, data, tmp_path / "store", config)
    trial = judge.judge(bundle, NOTHING, 1.0)
    assert (trial.drops, trial.accepted, trial.refuted, trial.settled) == ({}, False, True, False)
    assert judge.noise(bundle) == SPOILED > 1
