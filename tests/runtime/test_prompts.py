"""Prompts in the place of labels: encoded once, chosen by the pairs' logits."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mmedge import Classification, Matching, Predictor
from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, MmedgeError, ProofError, ResourceError
from mmedge.manifest import FUSION, Manifest
from mmedge.runtime.decision import decide
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.pipeline.replay import as_run, ideal
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.preprocess import Preprocessor, make_preprocessor
from mmedge.runtime.prompts import Prompts, make_prompts, match_prompts
from mmedge.runtime.recording import Recording, open_recording
from mmedge.runtime.samples import Frame
from mmedge.specs import TensorSpec
from tests.fakes import with_graph
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.sinks.ticks import HandClock

ORDER = ("camera", "mic", "hint")


class Model:
    """A text's embedding is how many tokens it has; a pair's logit is the product."""

    def __init__(self) -> None:
        self.encoded: list[tuple[str, int]] = []

    def encode(self, name: str, arrays: Any) -> dict[str, NDArray[np.float32]]:
        self.encoded.append((name, len(arrays["mask"])))
        return {name: arrays["mask"].sum(axis=1, keepdims=True).astype(np.float32)}

    def fuse(self, embeddings: Any, presence: Any) -> dict[str, NDArray[np.float32]]:
        assert presence[:, 2].all()
        return {"pair": embeddings["camera"] * embeddings["hint"]}


@pytest.fixture
def manifest(demo: Bundle) -> Manifest:
    tasks = {"pair": Matching(between=("camera", "hint"))}
    return demo.manifest.model_copy(update={"tasks": tasks})


@pytest.fixture
def preprocessors(demo: Bundle) -> dict[str, Preprocessor]:
    ref = demo.manifest.tokenizers["hint"]
    spec = demo.manifest.modalities["hint"]
    return {"hint": make_preprocessor("hint", spec, demo.read(ref))}


def test_the_pairs_softmax_is_the_answer_and_each_prompt_is_encoded_once(
    manifest: Manifest, preprocessors: dict[str, Preprocessor]
) -> None:
    model = Model()
    prompts = make_prompts(
        ["odd", "odd prime", "small odd prime"], "{}", manifest, preprocessors, model.encode
    )
    embeddings = {"camera": np.float32([[2.0], [-1.0]]), "hint": np.zeros((2, 1), np.float32)}
    presence = np.array([[True, False, False]] * 2)
    first, second = match_prompts(prompts, embeddings, presence, ORDER, model.fuse)
    assert model.encoded == [("hint", 3)]
    assert first is not None
    assert second is not None
    expected = np.exp([2.0, 4.0, 6.0]) / np.exp([2.0, 4.0, 6.0]).sum()
    assert list(first.scores.values()) == pytest.approx(expected)
    assert (first.label, second.label) == ("small odd prime", "odd")


def test_the_template_goes_around_every_prompt(
    manifest: Manifest, preprocessors: dict[str, Preprocessor]
) -> None:
    texts = ["odd", "odd prime"]
    prompts = make_prompts(texts, "small {} prime", manifest, preprocessors, Model().encode)
    assert prompts.texts == ("odd", "odd prime")
    assert prompts.embeddings["hint"].tolist() == [[3.0], [4.0]]


def test_a_prompt_in_several_templates_has_the_mean_of_their_logits(
    manifest: Manifest, preprocessors: dict[str, Preprocessor]
) -> None:
    model = Model()
    texts, templates = ["odd", "odd prime"], ["{}", "small {} prime"]
    prompts = make_prompts(texts, templates, manifest, preprocessors, model.encode)
    assert model.encoded == [("hint", 4)]
    assert prompts.embeddings["hint"].tolist() == [[1.0], [3.0], [2.0], [4.0]]
    embeddings = {"camera": np.float32([[2.0]]), "hint": np.zeros((1, 1), np.float32)}
    presence = np.array([[True, False, False]])
    (answer,) = match_prompts(prompts, embeddings, presence, ORDER, model.fuse)
    assert answer is not None
    assert answer.scores["odd prime"] == pytest.approx(1 / (1 + np.exp(4 - 6)))


@pytest.fixture(scope="module")
def matching(demo: Bundle) -> Bundle:
    """The shipped model with its head's first logit alone, as if that said what matches."""
    manifest = demo.manifest
    head = onnx.load_from_string(demo.read(manifest.plans["fp32"].graphs[FUSION]))
    head.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    head.graph.node.append(helper.make_node("Gather", ["digit", "first"], ["pair"], axis=1))
    head.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("pair", onnx.TensorProto.FLOAT, ["batch", 1])
    )
    outputs = (TensorSpec(name="pair", dtype="float32", shape=("batch", 1)),)
    signature = manifest.graphs[FUSION].model_copy(update={"outputs": outputs})
    changed = manifest.model_copy(
        update={
            "tasks": {"pair": Matching(between=("camera", "hint"))},
            "graphs": {**manifest.graphs, FUSION: signature},
        }
    )
    bundle = Bundle.in_memory(changed, dict(demo.files))
    return with_graph(bundle, FUSION, head.SerializeToString())


def test_another_set_of_prompts_runs_the_text_encoder_once_and_nothing_else(
    matching: Bundle, counting: Any
) -> None:
    with Predictor(matching, backend="counting", prompts=["even", "odd"]) as predictor:
        assert counting.runs == [("graph 'hint'", 2)]
        predictor.set_prompts([str(number) for number in range(10)], "a {}")
        assert counting.runs == [("graph 'hint'", 2), ("graph 'hint'", 10)]
        frame = np.zeros((32, 32, 3), np.uint8)
        predictor.predict_batch([{"camera": frame}], explain=False)
        assert counting.runs[2:] == [
            ("graph 'camera'", 1),
            ("graph 'fusion'", 1),
            ("graph 'fusion'", 10),
        ]
        assert counting.closed == []


def test_prompts_may_be_set_while_other_threads_predict(matching: Bundle) -> None:
    sets = [["even", "odd"], ["small", "large", "prime"]]
    frame = np.zeros((32, 32, 3), np.uint8)
    with Predictor(matching, threads=1, prompts=sets[0]) as predictor:

        def predict(_: int) -> list[str]:
            (answer,) = predictor.predict_batch([{"camera": frame}], explain=False)
            return list(answer.tasks["pair"].scores)

        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(predict, number) for number in range(200)]
            while not all(answer.done() for answer in answers):
                for texts in sets:
                    predictor.set_prompts(texts)
        seen = [answer.result() for answer in answers]
    assert all(texts in sets for texts in seen)
    assert all(texts in seen for texts in sets)


def test_a_template_without_prompts_is_refused(matching: Bundle) -> None:
    with pytest.raises(ConfigError, match="needs prompts to stand around"):
        Predictor(matching, template="a {}")
    with pytest.raises(ConfigError, match="nothing to choose"):
        Predictor(matching, prompts=[])


def test_ids_beyond_the_encoders_vocabulary_say_whose_tokenizer_it_must_be(
    predictor: Predictor,
) -> None:
    length = predictor.manifest.graphs["hint"].inputs[0].shape[1]
    ids = np.full((1, length), 9_999, np.int64)
    with pytest.raises(ArtefactError, match="gave ids up to 9999: if that is more than the enc"):
        predictor.encode("hint", {"ids": ids, "mask": np.ones_like(ids)})


def test_without_the_query_there_is_no_answer(manifest: Manifest) -> None:
    prompts = Prompts("pair", "hint", "camera", ("a",), {"hint": np.ones((1, 1), np.float32)})
    embeddings = {"camera": np.zeros((1, 1), np.float32), "hint": np.ones((1, 1), np.float32)}
    presence = np.array([[False, False, True]])
    assert match_prompts(prompts, embeddings, presence, ORDER, Model().fuse) == [None]
    (prediction,) = decide(
        manifest, Model().fuse, embeddings, presence, explain=False, prompts=prompts
    )
    assert prediction.tasks == {}
    assert not prediction.nothing_present


def test_an_answer_that_is_no_number_is_refused() -> None:
    prompts = Prompts("pair", "hint", "camera", ("a",), {"hint": np.ones((1, 1), np.float32)})
    embeddings = {"camera": np.full((1, 1), np.nan, np.float32)}
    presence = np.array([[True, False, False]])
    with pytest.raises(ProofError, match="task 'pair' with NaN"):
        match_prompts(prompts, embeddings, presence, ORDER, Model().fuse)


@pytest.mark.parametrize(
    "case",
    [
        ([], "{}", ConfigError, "among 0 prompts there is nothing to choose"),
        (["odd"], "{}", ConfigError, "among 1 prompts there is nothing to choose: give two"),
        (["odd", " "], "{}", ConfigError, "a prompt is empty"),
        (["odd", "odd"], "{}", ConfigError, "'odd' is given twice"),
        (["odd", "even"], "a digit", ConfigError, "needs one {} where the prompt goes"),
        (["odd", "even"], "{} {}", ConfigError, "needs one {} where the prompt goes"),
        (["odd", "even"], [], ConfigError, "no template is given"),
        (["odd", "even"], ["{}", "{}"], ConfigError, "the template '{}' is given twice"),
        ("odd", "{}", ConfigError, "a list of texts, not the one text 'odd'"),
        ([f"{i}" for i in range(501)], ["{}", "a {}"], ResourceError, "501 prompts in 2 templates"),
        (["odd", "odd " * 20], "{}", ConfigError, r"encoder of 'hint' reads \(8 tokens"),
        ([f"{i}" for i in range(10_000)], "{}", ResourceError, "10000 prompts are more than 1000"),
    ],
)
def test_prompts_that_cannot_be_meant_are_refused(
    manifest: Manifest,
    preprocessors: dict[str, Preprocessor],
    case: tuple[Any, Any, type[MmedgeError], str],
) -> None:
    texts, template, error, words = case
    with pytest.raises(error, match=words):
        make_prompts(texts, template, manifest, preprocessors, Model().encode)


def test_a_model_without_a_matching_task_says_what_it_has(
    manifest: Manifest, preprocessors: dict[str, Preprocessor]
) -> None:
    tasks = {"digit": Classification(labels=("a", "b"))}
    other = manifest.model_copy(update={"tasks": tasks})
    with pytest.raises(ConfigError, match=r"the model has digit \(classification\)"):
        make_prompts(["odd"], "{}", other, preprocessors, Model().encode)


def test_as_run_answers_with_the_prompts_that_were_set_before_the_start_and_after_it(
    matching: Bundle, tmp_path: Path
) -> None:
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), matching, LiveConfig())
    pipeline = Pipeline(matching, recorder=keep)
    pipeline.set_prompts(["even", "odd"])
    with pipeline:
        pipeline.push("camera", np.zeros((8, 8, 3), np.uint8))
        wait_until(lambda: pipeline.ready)
        pipeline.set_prompts(["one", "two"], ["a {}", "the {}"])
        pipeline.push("camera", np.ones((8, 8, 3), np.uint8))
        wait_until(lambda: pipeline.status().modalities["camera"].encodings == 2)
        wait_until(lambda: pipeline.idle)
        pipeline.close()
        made = [tick.decision() for tick in pipeline]
    assert set(made[0]["tasks"]["pair"]["scores"]) == {"even", "odd"}
    assert set(made[-1]["tasks"]["pair"]["scores"]) == {"one", "two"}
    with Predictor(matching, threads=1) as predictor:
        repeated = as_run(predictor, open_recording(tmp_path / "a.recording"))
        assert [tick.decision() for tick in repeated] == made


def recorded(bundle: Bundle, folder: Path) -> Recording:
    """Two seconds of ten pictures each; other prompts, in two templates, 1.05 s after the begin."""
    clock = HandClock(5 * 10**9)
    keep = Recorder(RecordConfig(path=folder / "a.recording"), bundle, LiveConfig(), clock=clock)
    keep.prompts(["even", "odd"], "{}")
    keep.start()
    for number in range(20):
        if number == 11:
            clock.forward(0.05)
            keep.prompts(("one", "two", "nine"), ("a {}", "the {}"))
            clock.forward(0.05)
        else:
            clock.forward(0.1)
        keep.sample("camera", Frame(clock(), np.full((8, 8, 3), number, np.uint8)))
    keep.close()
    return open_recording(folder / "a.recording")


def asked(ticks: Iterable[Tick]) -> list[tuple[float, tuple[str, ...]]]:
    """When, in seconds of the recording, what could be chosen from."""
    return [(t.time_ns / 1e9 - 5, tuple(t.prediction.tasks["pair"].scores)) for t in ticks]


def test_ideal_changes_the_prompts_when_they_were_changed(matching: Bundle, tmp_path: Path) -> None:
    recording = recorded(matching, tmp_path)
    with Predictor(matching, threads=1) as predictor:
        made = list(ideal(predictor, recording, LiveConfig()))
        told = asked(made)
        assert {texts for at_s, texts in told if at_s < 1.15} == {("even", "odd")}
        assert {texts for at_s, texts in told if at_s > 1.15} == {("one", "two", "nine")}
        assert 1.0 < max(at_s for at_s, texts in told if texts == ("even", "odd")) < 1.15
        predictor.set_prompts(["one", "two", "nine"], ["a {}", "the {}"])
        answer = predictor.predict(camera=np.full((8, 8, 3), 19, np.uint8))
        last = next(t for t in reversed(made) if "camera" in t.basis)
        assert last.prediction.tasks["pair"].scores == pytest.approx(answer.tasks["pair"].scores)


def test_ideal_takes_other_prompts_than_those_of_then(matching: Bundle, tmp_path: Path) -> None:
    recording = recorded(matching, tmp_path)
    with Predictor(matching, threads=1, prompts=["small", "large"]) as predictor:
        ticks = ideal(predictor, recording, LiveConfig(), recorded_prompts=False)
        assert {texts for _, texts in asked(ticks)} == {("small", "large")}


def test_ideal_leaves_prompts_out_where_the_model_takes_none(
    matching: Bundle, demo: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Predictor(demo, threads=1) as predictor:
        assert len(list(ideal(predictor, recorded(matching, tmp_path), LiveConfig()))) >= 20
    assert caplog.messages[-1].endswith("its prompts are left out; this model takes none")
