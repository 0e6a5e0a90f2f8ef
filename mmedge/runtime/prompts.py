"""Prompts: texts given at run time that take the place of labels (CLIP, Radford 2021).

A model that says whether a text and another modality belong together answers any question
of the form "which of these?": each prompt is encoded once and kept, and the softmax over
the pairs' logits is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError, ResourceError
from mmedge.manifest import Manifest
from mmedge.runtime.prediction import TaskPrediction, refuse_nan
from mmedge.runtime.preprocess import Preprocessor, TextPreprocessor
from mmedge.specs import Matching

__all__ = ["MAX_PROMPTS", "Prompts", "make_prompts", "match_prompts"]

MAX_PROMPTS = 1000
CHUNK = 64

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
Encode = Callable[[str, Arrays], Mapping[str, Array]]
Fuse = Callable[[Arrays, NDArray[np.bool_]], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts, encoded.

    Attributes:
        task: the matching task that they answer.
        text: the text modality whose place they take.
        query: the modality that is asked.
        texts: as given, without the template.
        embeddings: fusion input -> ``[N, ...]``.
    """

    task: str
    text: str
    query: str
    texts: tuple[str, ...]
    embeddings: Mapping[str, Array]


def make_prompts(
    texts: Sequence[str],
    template: str,
    manifest: Manifest,
    preprocessors: Mapping[str, Preprocessor],
    encode: Encode,
) -> Prompts:
    """Tokenise and encode prompts; nothing else is encoded.

    Args:
        texts: what to choose from.
        template: holds ``{}`` once, where the text goes: ``"a photo of {}"``.
        manifest: the bundle's.
        preprocessors: by modality.
        encode: runs an encoder on a batch.

    Raises:
        ConfigError: no matching task between a text and something else, no prompt, a prompt
            twice, empty or too long, or a template without a place.
        ResourceError: more than 1000 prompts.
    """
    task, text, query = _task(manifest)
    _check(texts, template)
    filled = [template.replace("{}", each) for each in texts]
    prepare = preprocessors[text]
    if isinstance(prepare, TextPreprocessor):
        for each in filled:
            if prepare.tokenizer.cuts(each):
                raise ConfigError(
                    f"the prompt {each[:60]!r} is longer than the encoder of {text!r} reads "
                    f"({manifest.graphs[text].inputs[0].shape[1]} tokens); shorten it"
                )
    parts = []
    for begin in range(0, len(filled), CHUNK):
        rows = [prepare(each) for each in filled[begin : begin + CHUNK]]
        parts.append(encode(text, {key: np.stack([row[key] for row in rows]) for key in rows[0]}))
    embeddings = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Prompts(task, text, query, tuple(texts), embeddings)


def match_prompts(
    prompts: Prompts,
    embeddings: Arrays,
    presence: NDArray[np.bool_],
    order: Sequence[str],
    fuse: Fuse,
) -> list[TaskPrediction | None]:
    """Answer each sample with the prompts; ``None`` where the query is absent.

    Args:
        prompts: from `make_prompts`.
        embeddings: fusion input -> ``[B, ...]``.
        presence: bool ``[B, M]``.
        order: the modalities in the order of presence.
        fuse: runs the head on a batch.
    """
    count = len(prompts.texts)
    answers: list[TaskPrediction | None] = []
    for row, present in enumerate(presence):
        if not present[list(order).index(prompts.query)]:
            answers.append(None)
            continue
        here = np.tile(present, (count, 1))
        here[:, list(order).index(prompts.text)] = True
        feeds = {key: np.repeat(each[row : row + 1], count, 0) for key, each in embeddings.items()}
        outputs = fuse({**feeds, **prompts.embeddings}, here)
        refuse_nan({prompts.task: outputs[prompts.task]})
        logits = outputs[prompts.task][:, 0].astype(np.float64)
        weights = np.exp(logits - logits.max())
        scores = dict(zip(prompts.texts, map(float, weights / weights.sum()), strict=True))
        best = max(scores, key=lambda text: scores[text])
        answers.append(TaskPrediction(scores=scores, label=best, contributions={}))
    return answers


def _task(manifest: Manifest) -> tuple[str, str, str]:
    for name, task in manifest.tasks.items():
        if isinstance(task, Matching):
            texts = [each for each in task.between if manifest.modalities[each].kind == "text"]
            if len(texts) == 1:
                query = next(each for each in task.between if each != texts[0])
                return name, texts[0], query
    tasks = ", ".join(f"{name} ({task.kind})" for name, task in manifest.tasks.items())
    raise ConfigError(
        f"prompts need a matching task between a text and another modality; the model has {tasks}"
    )


def _check(texts: Sequence[str], template: str) -> None:
    if template.count("{}") != 1:
        raise ConfigError(f"the template {template!r} needs one {{}} where the prompt goes")
    if not texts or not all(text.strip() for text in texts):
        raise ConfigError("prompts must be texts that are not empty, and at least one")
    if len(texts) > MAX_PROMPTS:
        raise ResourceError(
            f"{len(texts)} prompts are more than {MAX_PROMPTS}: each is a row of the fusion head "
            "for every prediction. Give fewer."
        )
    twins = sorted({text for text in texts if list(texts).count(text) > 1})
    if twins:
        raise ConfigError(f"the prompt {twins[0]!r} is given twice")
