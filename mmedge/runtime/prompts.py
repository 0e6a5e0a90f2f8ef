"""Prompts: texts given at run time that take the place of labels (CLIP, Radford 2021).

A model that says whether a text and another modality belong together answers any question
of the form "which of these?": each prompt is encoded once and kept, and the softmax over
the pairs' logits is the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError, ResourceError
from mmedge.manifest import Manifest
from mmedge.runtime.pairs import pair_logits
from mmedge.runtime.prediction import TaskPrediction
from mmedge.runtime.preprocess import Preprocessor, TextPreprocessor
from mmedge.specs import Matching

__all__ = ["MAX_PROMPTS", "Prompts", "make_prompts", "match_prompts", "takes_prompts"]

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
        texts: as given, without a template.
        embeddings: fusion input -> ``[N * T, ...]``: each text in every template, text by text.
    """

    task: str
    text: str
    query: str
    texts: tuple[str, ...]
    embeddings: Mapping[str, Array]


def make_prompts(
    texts: Sequence[str],
    template: str | Sequence[str],
    manifest: Manifest,
    preprocessors: Mapping[str, Preprocessor],
    encode: Encode,
) -> Prompts:
    """Tokenise and encode prompts; nothing else is encoded.

    Args:
        texts: what to choose from.
        template: holds ``{}`` once, where the text goes: ``"a photo of {}"``. With several,
            a text's logit is the mean over them (CLIP's ensembling, section 3.1.4).
        manifest: the bundle's.
        preprocessors: by modality.
        encode: runs an encoder on a batch.

    Raises:
        ConfigError: no matching task between a text and something else, no prompt, a prompt
            twice, empty or too long, or a template without a place.
        ResourceError: more than 1000 prompts.
    """
    task, text, query = _task(manifest)
    templates = (template,) if isinstance(template, str) else tuple(template)
    _check(texts, templates)
    filled = [each.replace("{}", one) for one in texts for each in templates]
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
    answers: list[TaskPrediction | None] = []
    text, query = (list(order).index(name) for name in (prompts.text, prompts.query))
    for row, present in enumerate(presence):
        if not present[query]:
            answers.append(None)
            continue
        here = present.copy()
        here[text] = True
        sample = {key: each[row : row + 1] for key, each in embeddings.items()}
        logits = pair_logits(prompts.task, sample, prompts.embeddings, here, fuse)
        answers.append(_choose(prompts.texts, logits.reshape(len(prompts.texts), -1).mean(axis=1)))
    return answers


def _choose(texts: Sequence[str], logits: NDArray[np.float64]) -> TaskPrediction:
    weights = np.exp(logits - logits.max())
    scores = dict(zip(texts, map(float, weights / weights.sum()), strict=True))
    best = max(scores, key=lambda text: scores[text])
    return TaskPrediction(scores=scores, label=best, contributions={})


def takes_prompts(manifest: Manifest) -> bool:
    """Tell whether the model has a task that prompts can be given for."""
    return _find_task(manifest) is not None


def _find_task(manifest: Manifest) -> tuple[str, str, str] | None:
    for name, task in manifest.tasks.items():
        if isinstance(task, Matching):
            texts = [each for each in task.between if manifest.modalities[each].kind == "text"]
            if len(texts) == 1:
                query = next(each for each in task.between if each != texts[0])
                return name, texts[0], query
    return None


def _task(manifest: Manifest) -> tuple[str, str, str]:
    found = _find_task(manifest)
    if found is not None:
        return found
    tasks = ", ".join(f"{name} ({task.kind})" for name, task in manifest.tasks.items())
    raise ConfigError(
        f"prompts need a matching task between a text and another modality; the model has {tasks}"
    )


def _check(texts: Sequence[str], templates: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise ConfigError(f"prompts are a list of texts, not the one text {texts[:60]!r}: [...]")
    if not templates:
        raise ConfigError("no template is given; without one, leave it at '{}'")
    for template in templates:
        if template.count("{}") != 1:
            raise ConfigError(f"the template {template!r} needs one {{}} where the prompt goes")
    if not all(text.strip() for text in texts):
        raise ConfigError("a prompt is empty; give texts that say something")
    if len(texts) < 2:
        raise ConfigError(
            f"among {len(texts)} prompts there is nothing to choose: give two or more. Whether one "
            "text fits, the task itself says, where the text is given as its modality"
        )
    if len(texts) * len(templates) > MAX_PROMPTS:
        times = f" in {len(templates)} templates" if len(templates) > 1 else ""
        raise ResourceError(
            f"{len(texts)} prompts{times} are more than {MAX_PROMPTS}: each is a row of the "
            "fusion head for every prediction. Give fewer."
        )
    for what, given in (("prompt", texts), ("template", templates)):
        twins = [text for text, times in Counter(given).items() if times > 1]
        if twins:
            raise ConfigError(f"the {what} {twins[0]!r} is given twice")
