"""Retrieval: the head's own logit across modalities, the cosine within one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmedge import Matching, Predictor
from mmedge.errors import ConfigError, IncompatibleError, ProofError, ResourceError
from mmedge.runtime.pairs import pair_logits
from mmedge.runtime.retrieval import gallery as gallery_module
from mmedge.runtime.retrieval.gallery import Gallery, Table
from mmedge.runtime.retrieval.items import Item
from mmedge.runtime.retrieval.search import build_gallery, search
from tests.fakes import encoder_graph, linear_bundle, with_graph

FITS = {"fits": Matching(between=("ant", "bee"))}
# A window s of a modality has the embedding 2 s + 1, and the pair's logit is
# ant[0] + 10 * bee[1]; the third modality would add a thousand.
WEIGHTS = {"fits": [[[1.0], [0.0]], [[0.0], [10.0]], [[1000.0], [0.0]]]}


def sound(*samples: float) -> np.ndarray:
    return np.array(samples, np.float32)


def item(name: str, *, end_ns: int = 0, **inputs: Any) -> Item:
    return Item(name=name, inputs=inputs, end_ns=end_ns)


@pytest.fixture(scope="module")
def model() -> Iterator[Predictor]:
    with Predictor(linear_bundle(3, tasks=FITS, weights=WEIGHTS), threads=1) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def bees(model: Predictor) -> Gallery:
    samples = {"low": -0.5, "high": 0.5, "middle": 0.0}
    return build_gallery(model, [item(name, bee=sound(0, s)) for name, s in samples.items()])


def test_across_modalities_the_score_is_the_heads_logit(model: Predictor, bees: Gallery) -> None:
    hits = search(model, bees, {"ant": sound(0.25, 0)})
    assert [hit.name for hit in hits] == ["high", "middle", "low"]
    assert [hit.score for hit in hits] == [1.5 + 20, 1.5 + 10, 1.5]
    assert {(hit.modality, hit.measure) for hit in hits} == {("bee", "fits")}
    probability = model.predict(ant=sound(0.25, 0), bee=sound(0, 0.5)).tasks["fits"].scores["match"]
    assert probability == pytest.approx(1 / (1 + np.exp(-hits[0].score)))


def test_either_side_of_a_matching_task_may_ask(model: Predictor) -> None:
    gallery = build_gallery(model, [item("a", ant=sound(0, 0)), item("b", ant=sound(0.5, 0))])
    hits = search(model, gallery, {"bee": sound(0, 0)})
    assert [(hit.name, hit.score) for hit in hits] == [("b", 12.0), ("a", 11.0)]


def test_within_a_modality_the_score_is_the_cosine(model: Predictor, bees: Gallery) -> None:
    hits = search(model, bees, {"bee": sound(0, 0)})
    # Embeddings (1, 1) against (1, 1), (1, 2) and (1, 0).
    assert [hit.name for hit in hits] == ["middle", "high", "low"]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 3 / 10**0.5, 1 / 2**0.5])
    assert {hit.measure for hit in hits} == {"cosine"}


def test_of_several_windows_of_a_file_the_best_is_the_hit(model: Predictor) -> None:
    gallery = build_gallery(
        model,
        [
            item("song", bee=sound(0, 0.1), end_ns=1),
            item("song", bee=sound(0, 0.9), end_ns=2),
            item("speech", bee=sound(0, 0.2), end_ns=3),
        ],
    )
    hits = search(model, gallery, {"ant": sound(0, 0)})
    assert [(hit.name, hit.end_ns) for hit in hits] == [("song", 2), ("speech", 3)]
    assert len(search(model, gallery, {"ant": sound(0, 0)}, top=1)) == 1


def test_of_several_windows_of_a_query_the_closest_counts(model: Predictor, bees: Gallery) -> None:
    hits = search(model, bees, [{"bee": sound(0, 0)}, {"ant": None}, {"bee": sound(0, -0.5)}])
    assert {hit.name: hit.score for hit in hits} == pytest.approx(
        {"low": 1.0, "middle": 1.0, "high": 3 / 10**0.5}
    )


def test_a_matching_task_goes_before_the_cosine_unless_told(model: Predictor) -> None:
    gallery = build_gallery(model, [item("x", ant=sound(0, 0)), item("y", bee=sound(0, 0))])
    (across,) = search(model, gallery, {"ant": sound(0, 0)})
    (within,) = search(model, gallery, {"ant": sound(0, 0)}, among="ant")
    assert (across.name, across.measure) == ("y", "fits")
    assert (within.name, within.measure) == ("x", "cosine")


def test_an_item_of_two_modalities_is_an_entry_of_each(model: Predictor) -> None:
    gallery = build_gallery(model, [item("x", ant=sound(0, 0), bee=sound(0, 0), cat=None)])
    assert {name: table.names for name, table in gallery.tables.items()} == {
        "ant": ("x",),
        "bee": ("x",),
    }


def test_many_items_keep_their_order_and_are_counted(model: Predictor) -> None:
    counts: list[int] = []
    items = [item(str(i), ant=sound(i / 100, 0)) for i in range(40)]
    table = build_gallery(model, items, counts.append).tables["ant"]
    assert counts == [16, 32, 40]
    assert table.names == tuple(map(str, range(40)))
    assert table.embeddings["ant"][:, 0] == pytest.approx(1 + np.arange(40) / 50)


def test_tokens_are_averaged_over_those_that_count(demo_search: Any) -> None:
    assert demo_search == pytest.approx([1.0, 0.0])


@pytest.fixture
def demo_search(predictor: Predictor) -> list[float]:
    """Scores of two entries of the shipped model's token modality, set by hand."""
    width = predictor.manifest.graphs["fusion"].inputs
    shape = next(spec.shape for spec in width if spec.name == "hint")
    tokens = np.zeros((2, *map(int, shape[1:])), np.float32)
    mask = np.zeros(tokens.shape[:2], bool)
    (asked,) = [predictor.embed([{"hint": "even"}])]
    mask[:, :1] = True
    mean = asked["hint"][0][asked["hint_mask"][0].astype(bool)].mean(axis=0)
    tokens[0, 0] = 3 * mean
    tokens[:, 1] = 99  # masked
    table = Table(
        names=("same", "zero"),
        end_ns=np.zeros(2, np.int64),
        embeddings={"hint": tokens, "hint_mask": mask},
    )
    gallery = Gallery(bundle=predictor.bundle.digest, plan="fp32", tables={"hint": table})
    return [hit.score for hit in search(predictor, gallery, {"hint": "even"})]


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ({"cat": sound(0, 0)}, {}, "matching tasks compare ant with bee; otherwise only entries"),
        ({"ant": None}, {}, "cannot compare these"),
        ({"ant": sound(0, 0)}, {"among": "dog"}, "the gallery has no 'dog'; it has bee"),
        ({"ant": sound(0, 0)}, {"top": 0}, "top=0 hits cannot be found"),
    ],
)
def test_what_cannot_be_compared_says_why(
    model: Predictor, bees: Gallery, query: Any, options: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        search(model, bees, query, **options)


def test_several_ways_to_compare_have_to_be_told_apart(model: Predictor) -> None:
    gallery = build_gallery(model, [item("x", ant=sound(0, 0), bee=sound(0, 0))])
    with pytest.raises(ConfigError, match=r"in several ways, ant with bee \(fits\), bee with ant"):
        search(model, gallery, {"ant": sound(0, 0), "bee": sound(0, 0)})


def test_a_gallery_of_another_bundle_is_refused(model: Predictor, bees: Gallery) -> None:
    with pytest.raises(IncompatibleError, match="embeddings of two models cannot be compared"):
        search(model, replace(bees, bundle="0" * 64), {"ant": sound(0, 0)})


def test_a_gallery_of_another_plan_is_searched_with_a_warning(
    model: Predictor, bees: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(search(model, replace(bees, plan="int8"), {"ant": sound(0, 0)})) == 3
    assert "was encoded in plan int8, the query in fp32" in caplog.text


def test_nothing_is_no_gallery(model: Predictor) -> None:
    with pytest.raises(ConfigError, match="nothing to put into the gallery"):
        build_gallery(model, [])


def test_an_embedding_that_is_no_number_is_refused_with_its_name() -> None:
    bundle = with_graph(linear_bundle(1), "ant", encoder_graph(factor=np.inf))
    with (
        Predictor(bundle, threads=1) as predictor,
        pytest.raises(ProofError, match=r"'ant' answers b\.wav with NaN"),
    ):
        build_gallery(predictor, [item("b.wav", ant=sound(0, 0))])


def test_too_many_embeddings_are_refused_on_the_way(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_module, "MAX_BYTES", 200)
    drawn: list[int] = []

    def items() -> Iterator[Item]:
        for i in range(100):
            drawn.append(i)
            yield item(str(i), ant=sound(0, 0))

    with pytest.raises(ResourceError, match="make several"):
        build_gallery(model, items())
    assert len(drawn) == 32


def test_names_that_a_terminal_would_obey_are_escaped_and_long_ones_cut(model: Predictor) -> None:
    names = ("a\x1b[2J\n", "b\udc80", "c" * 2000)
    gallery = build_gallery(model, [item(name, ant=sound(0, 0)) for name in names])
    assert gallery.tables["ant"].names == (
        "a\\x1b[2J\\n",
        "b\\udc80",
        "c" * 997 + "...",
    )


def test_the_head_is_asked_in_parts_that_fit_memory() -> None:
    rows: list[int] = []

    def fuse(feeds: Mapping[str, Any], presence: Any) -> dict[str, Any]:
        rows.append(len(presence))
        assert {len(each) for each in feeds.values()} == {len(presence)}
        return {"fits": feeds["ant"][:, 0, :1] + feeds["bee"]}

    one = {"ant": np.full((1, 256, 1024), 5, np.float32), "bee": np.zeros((1, 1), np.float32)}
    many = {"bee": np.arange(7, dtype=np.float32)[:, None]}
    logits = pair_logits("fits", one, many, np.array([True, True]), fuse)
    assert logits.tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert rows == [3, 3, 1]
