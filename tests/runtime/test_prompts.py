"""Prompts in the place of labels: encoded once, chosen by the pairs' logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedge import Classification, Matching
from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, MmedgeError, ProofError, ResourceError
from mmedge.manifest import Manifest
from mmedge.runtime.decision import decide
from mmedge.runtime.preprocess import Preprocessor, make_preprocessor
from mmedge.runtime.prompts import Prompts, make_prompts, match_prompts

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
    prompts = make_prompts(["odd"], "small {} prime", manifest, preprocessors, Model().encode)
    assert prompts.texts == ("odd",)
    assert prompts.embeddings["hint"].tolist() == [[3.0]]


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
        ([], "{}", ConfigError, "at least one"),
        (["odd", " "], "{}", ConfigError, "not empty"),
        (["odd", "odd"], "{}", ConfigError, "'odd' is given twice"),
        (["odd"], "a digit", ConfigError, "needs one {} where the prompt goes"),
        (["odd"], "{} {}", ConfigError, "needs one {} where the prompt goes"),
        (["odd " * 20], "{}", ConfigError, r"longer than the encoder of 'hint' reads \(8 tokens"),
        ([f"{i}" for i in range(10_000)], "{}", ResourceError, "10000 prompts are more than 1000"),
    ],
)
def test_prompts_that_cannot_be_meant_are_refused(
    manifest: Manifest,
    preprocessors: dict[str, Preprocessor],
    case: tuple[list[str], str, type[MmedgeError], str],
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
