from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ProofError, ResourceError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.data import Sample, prepare_samples
from mmedge.runtime.predictor import Predictor
from tests.fakes import CountingBackend, linear_bundle
from tests.proof.data.making import SIDES, prepared, sound
from tests.remembering import remembering_bundle

# Ant's first value x stands in the embedding as 2 x + 1, bee's as well; `SIDES` adds them all.
SAMPLES = [
    Sample(where="a", raws={"ant": sound(1, 0), "bee": sound(2, 0)}),
    Sample(where="b", raws={"ant": sound(1, 0)}),
    Sample(where="c", raws={"bee": sound(2, 0)}),
    Sample(where="d", raws={}),
]


@pytest.fixture
def sides() -> Iterator[Predictor]:
    with Predictor(SIDES) as opened:
        yield opened


def sums(outputs: dict[str, Any]) -> list[float]:
    """The left logit of each sample."""
    return [float(each) for each in outputs["side"][:, 0]]


def test_each_sample_is_answered_with_what_it_has_or_with_a_subset_of_it(
    sides: Predictor, tmp_path: Path
) -> None:
    answers = Answers(sides, EmbeddingStore(prepared(tmp_path, SAMPLES), tmp_path))
    # Ant gives 3 + 1, bee 5 + 1.
    assert answers.rows().tolist() == [0, 1, 2]  # the last one has nothing to answer from
    assert sums(answers.outputs()) == [10, 4, 6]
    assert answers.presence().tolist() == [[True, True], [True, False], [False, True]]
    ant = np.array([True, False])
    assert answers.rows(ant).tolist() == [0, 1]
    assert sums(answers.outputs(ant)) == [4, 4]
    assert answers.presence(ant).tolist() == [[True, False], [True, False]]
    assert sums(answers.outputs(np.array([True, True]))) == [10]


def test_a_subset_that_no_sample_has_is_answered_with_nothing(
    sides: Predictor, tmp_path: Path
) -> None:
    answers = Answers(sides, EmbeddingStore(prepared(tmp_path, SAMPLES[1:2]), tmp_path))
    assert answers.outputs(np.array([False, True]))["side"].shape == (0, 2)


def test_answers_are_those_of_the_predictor_whatever_the_batch(tmp_path: Path) -> None:
    bundle = linear_bundle(2)
    random = np.random.default_rng(1)
    raws = [
        {
            name: sound(*random.normal(size=2))
            for name in ("ant", "bee")
            if name == "ant" or random.random() < 0.5
        }
        for _ in range(300)
    ]
    with Predictor(bundle) as predictor:
        samples = [Sample(where="", raws=each) for each in raws]
        data = prepare_samples(samples, predictor.prepare, bundle.manifest, tmp_path / "data")
        outputs = Answers(predictor, EmbeddingStore(data, tmp_path)).outputs()
        expected = predictor.predict_batch(raws, explain=False)
    levels = [each.tasks["level"].scores["level"] for each in expected]
    assert outputs["level"][:, 0] == pytest.approx(levels, rel=1e-5, abs=1e-6)


def test_equal_inputs_are_encoded_once_and_by_equal_graphs_never_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "mmedge.runtime.predictor.open_backend",
        lambda _, model, **options: CountingBackend(model, **options),
    )
    CountingBackend.runs.clear()
    with Predictor(SIDES) as predictor, Predictor(SIDES) as twin:
        store = EmbeddingStore(prepared(tmp_path, SAMPLES * 3), tmp_path)
        for each in (predictor, twin):
            Answers(each, store).outputs()
    encoded = [rows for graph, rows in CountingBackend.runs if graph != "graph 'fusion'"]
    assert encoded == [1, 1]


def test_an_encoder_that_remembers_is_asked_at_the_last_of_its_windows(tmp_path: Path) -> None:
    bundle = remembering_bundle()
    (name,) = bundle.manifest.modalities
    windows = [sound(1, 1), sound(2, 2), sound(3, 3)]
    with Predictor(bundle) as predictor:
        state = predictor.stream(name)
        for each in windows:
            arrays = {k: a[None] for k, a in predictor.prepare(name, each).items()}
            expected = predictor.encode(name, arrays, state=state)[name]
        sample = Sample(where="", raws={name: windows[-1]}, before={name: tuple(windows[:-1])})
        data = prepare_samples([sample], predictor.prepare, bundle.manifest, tmp_path / "data")
        found = EmbeddingStore(data, tmp_path).of(predictor)[name]
    assert np.array_equal(found, expected)


def test_progress_ends_with_everything(sides: Predictor, tmp_path: Path) -> None:
    shares: list[float] = []
    samples = [Sample(where="", raws={"ant": sound(n, 0)}) for n in range(40)]
    EmbeddingStore(prepared(tmp_path, samples), tmp_path, shares.append).of(sides)
    assert shares == [0.8, 1.0]


@pytest.mark.skipif(os.name != "posix", reason="blocks of POSIX")
def test_embeddings_have_their_place_on_the_disk_before_they_are_mapped(
    sides: Predictor, tmp_path: Path
) -> None:
    store = EmbeddingStore(prepared(tmp_path, SAMPLES), tmp_path)
    made = store._file("wide", (3_000_000,), "float32")  # more would end the process by a signal
    assert (tmp_path / "wide.dat").stat().st_blocks * 512 >= made.nbytes == 12_000_000


def test_a_disk_that_is_full_of_embeddings_is_an_error(
    sides: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddingStore(prepared(tmp_path, SAMPLES), tmp_path)

    def full(path: Path, size_bytes: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mmedge.proof.answers._reserve", full)
    with pytest.raises(ResourceError, match=r"cannot be kept .* No space .* set TMPDIR"):
        store.of(sides)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    weights = {"level": np.full((1, 2, 1), np.nan)}
    bundle = linear_bundle(1, weights=weights)
    with Predictor(bundle) as predictor:
        data = prepared(tmp_path, [Sample(where="", raws={"ant": sound(1, 0)})], bundle)
        with pytest.raises(ProofError, match="NaN"):
            Answers(predictor, EmbeddingStore(data, tmp_path)).outputs()
